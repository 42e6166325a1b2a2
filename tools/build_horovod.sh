#!/usr/bin/env bash
# Installs Horovod with its MXNet part and Gloo, for processors alone: from a wheel that was kept, else it is built.
#
#     tools/build_horovod.sh VENV WHEELS
#
# VENV is an environment that has MXNet and the package's extra `horovod`; WHEELS a folder to keep the wheel and the
# build's log in, for the next environment. Takes 2 to 6 minutes the first time.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
venv=${1:?is missing: VENV} wheels=$(wheels_of_horovod "${2:?is missing: WHEELS}")

# Believed only after an import.
install_wheel() {
    run_pip "$venv" install --no-deps --no-index --force-reinstall "$wheels"/horovod-*-"$(tag_of "$venv")"-*.whl &&
        "$venv/bin/python" -c 'import horovod.mxnet'
}

if has_wheel "$@" && install_wheel 2> /dev/null; then
    exit 0
fi
say "Building Horovod with Gloo (2 to 6 minutes; its wheel is kept in $wheels) ..."
mkdir -p "$wheels"
log=$wheels/build.log
building=$(mktemp -d)
trap 'rm -rf "$building"' EXIT
# The build cannot bear a blank in the environment's path.
ln -s "$(realpath "$venv")" "$building/venv"
jobs=$(nproc)

# The one way that works: after MXNet, without build isolation (which hides MXNet from the build) and without pip's
# cache (which may hold a Horovod without its MXNet part). MAKEFLAGS replaces those of a make that runs this script,
# whose job server is not for the build. CMake 4 refuses Horovod's files without CMAKE_POLICY_VERSION_MINIMUM.
if ! env -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u PYTHON -u HOROVOD_GPU_OPERATIONS \
    MAKEFLAGS=-j$((jobs < 8 ? jobs : 8)) CMAKE_POLICY_VERSION_MINIMUM=3.5 PATH="$building/venv/bin:$PATH" \
    HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 \
    HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 \
    "$building/venv/bin/python" -m pip wheel --no-input --no-build-isolation --no-cache-dir --no-deps \
    "horovod==$horovod" --no-binary horovod -w "$building" > "$log" 2>&1; then
    grep -iE 'error|could not|no rule' "$log" | cut -c1-300 | tail -n 15 >&2 || true
    say "make: Horovod could not be built; its whole log is $log"
    exit 1
fi
mv "$building"/horovod-*.whl "$wheels/"
install_wheel
