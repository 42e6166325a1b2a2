#!/usr/bin/env bash
# Builds the documentation's site, a folder of HTML pages. A broken link or reference is an error.
#
#     tools/build_docs.sh VENV [FOLDER]
#
# VENV is an environment with the package's extra `docs`, and FOLDER the folder of the site, by default site.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
venv=${1:?is missing: VENV} site=${2:-site}

"$venv/bin/python" -m sphinx -q -W --keep-going -c docs -d "$site/.doctrees" . "$site"
cp "$site/README.html" "$site/index.html"
say "The site's first page is $site/index.html"
