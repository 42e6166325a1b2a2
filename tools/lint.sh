#!/usr/bin/env bash
# Static checks: ruff and mypy for the Python files, hadolint for the Dockerfiles and, if it is installed, shellcheck
# for the scripts.
#
#     tools/lint.sh VENV
#
# VENV is an environment with the package's extra `test`. All checks run; exits with 1 if one of them found something.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
bin=${1:?is missing: VENV}/bin status=0

"$bin/ruff" check --quiet --output-format concise . || status=1
"$bin/ruff" format --quiet --check --output-format concise . || status=1
"$bin/mypy" --no-error-summary || status=1
# One RUN per script, so that a failed build resumes at its script; DL3059 wants a single RUN.
"$bin/hadolint" --ignore DL3059 tools/docker/*.Dockerfile || status=1
if command -v shellcheck > /dev/null; then
    shellcheck -x tools/*.sh recipes/*.sh docs/examples/*.sh .ci/run || status=1
else
    say "shellcheck is not installed: the scripts were not checked (apt-get install shellcheck)"
fi
exit "$status"
