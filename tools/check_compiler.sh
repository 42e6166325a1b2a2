#!/usr/bin/env bash
# Reports missing tools for building Horovod, if it has to be built, at once instead of minutes later.
#
#     tools/check_compiler.sh VENV WHEELS
#
# The arguments are those of tools/build_horovod.sh. Exits with 1 if a tool is missing.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
venv=${1:?is missing: VENV} wheels=${2:?is missing: WHEELS}

if [ -e "$venv/.horovod" ] || has_wheel "$venv" "$wheels"; then
    exit 0
fi
missing=
for tool in g++ cmake make; do
    command -v "$tool" > /dev/null || missing+=" $tool"
done
if [ -n "$missing" ]; then
    say "make: Horovod has to be built, and that needs:$missing. On Debian or Ubuntu, as root:" \
        "  apt-get install$missing"
    exit 1
fi
