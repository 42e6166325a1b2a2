#!/usr/bin/env bash
# Installs the package in editable mode, with some of its extras.
#
#     tools/install_package.sh VENV EXTRAS
#
# VENV is an environment from tools/make_environment.sh, and EXTRAS are some of setup.cfg's, for example cpu,data. An
# interrupted or failed installation leaves VENV/.installing behind: make_environment.sh then starts from scratch, since
# pip considers a half-written package installed.
set -Eeuo pipefail # E: failures in functions trigger the trap below, too
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
venv=${1:?is missing: VENV} extras=${2:?is missing: EXTRAS}

touch "$venv/.installing"
trap 'say "make: the installation failed, see above. It needs a network; run it again."' ERR
run_pip "$venv" install 'pip>=22.3,<26' 'setuptools>=64,<76' wheel
run_pip "$venv" install --no-build-isolation --editable ".[$extras]"
"$venv/bin/python" -c 'import cv2, gluoncv, mxnet'
rm "$venv/.installing"
