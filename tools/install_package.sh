#!/usr/bin/env bash
# Installs the package, editable, and what some of its extras need.
#
#     tools/install_package.sh VENV EXTRAS
#
# VENV is a folder that tools/make_environment.sh made, and EXTRAS are some of setup.cfg's, for example cpu,data.
# VENV/.installing stays behind if an installation was interrupted or failed: make_environment.sh then starts from
# nothing, since pip takes a half-written package for an installed one.
set -Eeuo pipefail # E: the trap below is set off by a failure in a function too
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
venv=${1:?is missing: VENV} extras=${2:?is missing: EXTRAS}

touch "$venv/.installing"
trap 'say "make: the installation failed, see above. It needs a network; run it again."' ERR
run_pip "$venv" install 'pip>=22.3,<26' 'setuptools>=64,<76' wheel
run_pip "$venv" install --no-build-isolation --editable ".[$extras]"
"$venv/bin/python" -c 'import cv2, gluoncv, mxnet'
rm "$venv/.installing"
