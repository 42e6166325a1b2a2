#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that parts of the project need; run it as root.
#
#     tools/install_system.sh PARTS
#
# PARTS are some of those below, for example package,horovod. .ci/run and the images of tools/docker call it.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
parts=${1:?is missing: PARTS}
declare -A packages=(
    [package]="python3-venv make libgomp1 libquadmath0 libgl1 libglib2.0-0"
    [horovod]="g++ cmake"
    [data]="libjpeg-turbo-progs"
    [lint]="shellcheck"
    [mpi]="openmpi-bin"
    [mpi-headers]="libopenmpi-dev"
    [ssh]="openssh-client openssh-server"
)

names=()
for part in ${parts//,/ }; do
    if [ -z "${packages[$part]:-}" ]; then
        say "There is no part $part, only: ${!packages[*]}"
        exit 1
    fi
    read -ra more <<< "${packages[$part]}"
    names+=("${more[@]}")
done
if ! dpkg -s "${names[@]}" > /dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${names[@]}"
fi
