#!/usr/bin/env bash
# Looks for faults that need no run: ruff and mypy over the Python files, hadolint over the Dockerfiles, and shellcheck,
# if it is installed, over the scripts.
#
#     tools/lint.sh VENV
#
# VENV is an environment that has the package's extra `test`. All checks run; exits with 1 if one of them found something.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
bin=${1:?is missing: VENV}/bin status=0

"$bin/ruff" check --quiet --output-format concise . || status=1
"$bin/ruff" format --quiet --check --output-format concise . || status=1
"$bin/mypy" --no-error-summary || status=1
# A step for each script, so that a failed build goes on at its own: not one RUN of all (DL3059).
"$bin/hadolint" --ignore DL3059 tools/docker/*.Dockerfile || status=1
if command -v shellcheck > /dev/null; then
    shellcheck -x tools/*.sh recipes/*.sh docs/examples/*.sh .ci/run || status=1
else
    say "shellcheck is not installed: the scripts were not checked (apt-get install shellcheck)"
fi
exit "$status"
