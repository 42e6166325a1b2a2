#!/usr/bin/env bash
# Installs Horovod with its MXNet part, from a cached wheel or else by building it.
#
#     tools/build_horovod.sh VENV WHEELS [BACKENDS]
#
# VENV is an environment with MXNet and the package's extra `horovod`; WHEELS is a folder that keeps the wheel, for the
# next environment, and the build's log. BACKENDS is gloo, without further requirements; gloo,mpi, which needs Open
# MPI's headers; or gloo,mpi,nccl for GPUs, which also needs CUDA 11 (in CUDA_HOME), NCCL's header and MXNet's CUDA
# build. Takes 2 to 6 minutes the first time.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
venv=${1:?is missing: VENV} backends=${3:-gloo}
wheels=$(wheels_of_horovod "${2:?is missing: WHEELS}" "$backends")
case $backends in
gloo) settings=(HOROVOD_WITHOUT_MPI=1) ;;
gloo,mpi) settings=(HOROVOD_WITH_MPI=1) ;;
gloo,mpi,nccl)
    # For the same GPUs as MXNet's wheel. NCCL is shared with MXNet, not linked a second time.
    settings=(HOROVOD_WITH_MPI=1 HOROVOD_GPU_OPERATIONS=NCCL HOROVOD_NCCL_HOME=/usr HOROVOD_NCCL_LINK=SHARED
        HOROVOD_CUDA_HOME="${CUDA_HOME:-/usr/local/cuda}" HOROVOD_BUILD_CUDA_CC_LIST="60,70,80,86")
    ;;
*)
    say "BACKENDS are gloo, gloo,mpi or gloo,mpi,nccl, not $backends"
    exit 1
    ;;
esac

# A wheel counts as good only after an import.
install_wheel() {
    run_pip "$venv" install --no-deps --no-index --force-reinstall "$wheels"/horovod-*-"$(tag_of "$venv")"-*.whl &&
        "$venv/bin/python" -c 'import horovod.mxnet'
}

if has_wheel "$@" && install_wheel 2> /dev/null; then
    exit 0
fi
say "Building Horovod with $backends (2 to 6 minutes; its wheel is kept in $wheels) ..."
mkdir -p "$wheels"
log=$wheels/build.log
building=$(mktemp -d)
trap 'rm -rf "$building"' EXIT
# The build fails if the environment's path contains a blank.
ln -s "$(realpath "$venv")" "$building/venv"
jobs=$(nproc)

# This works only after MXNet is installed, without build isolation (which hides MXNet from the build) and without pip's
# cache (which may have a Horovod without its MXNet part). MAKEFLAGS replaces those of a make that runs this script,
# whose job server the build must not use. CMake 4 refuses Horovod's files without CMAKE_POLICY_VERSION_MINIMUM.
if ! env -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u PYTHON -u HOROVOD_GPU_OPERATIONS \
    MAKEFLAGS=-j$((jobs < 8 ? jobs : 8)) CMAKE_POLICY_VERSION_MINIMUM=3.5 PATH="$building/venv/bin:$PATH" \
    HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 "${settings[@]}" \
    HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 \
    "$building/venv/bin/python" -m pip wheel --no-input --no-build-isolation --no-cache-dir --no-deps \
    "horovod==$horovod" --no-binary horovod -w "$building" > "$log" 2>&1; then
    grep -iE 'error|could not|no rule' "$log" | cut -c1-300 | tail -n 15 >&2 || true
    say "make: Horovod could not be built; the complete log is $log"
    exit 1
fi
mv "$building"/horovod-*.whl "$wheels/"
install_wheel
