#!/usr/bin/env bash
# Makes the virtual environment into which everything is installed.
#
#     tools/make_environment.sh VENV [PYTHON]
#
# VENV is its folder, for example .venv, and PYTHON the interpreter, by default the first supported one. A complete
# environment of this folder, with the given PYTHON, is kept. Any other environment of this script is made again, except
# for that of another copy of this package. Other folders are never touched. Writes VENV/.python at the end.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
venv=${1:?is missing: VENV} named=${2:-}
candidates=(python3.11 python3.10 python3.9 python3.8 python3 python)

# The version of an interpreter, or nothing if it does not run: a name on the PATH may be a shim of a version manager
# without that Python.
version() { # PYTHON
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null || true
}

fits() { # PYTHON
    case $(version "$1") in 3.8 | 3.9 | 3.10 | 3.11) ;; *) return 1 ;; esac
}

first_that_fits() {
    local name
    for name in "${candidates[@]}"; do
        if fits "$name"; then
            echo "$name"
            return
        fi
    done
}

# Whether VENV was completely installed, and in this folder: its programs contain the interpreter's absolute path.
is_whole() { # VERSION
    [ ! -e "$venv/.installing" ] && [ "$(cat "$venv/.python" 2> /dev/null)" = "$1 $PWD" ]
}

# The other copy of this package for which VENV was made, if that still exists. A VENV inside this folder was moved or
# copied with it.
other_owner() {
    local number owner
    read -r number owner < <(cat "$venv/.python" 2> /dev/null) || true
    case $(realpath -m "$venv") in "$(realpath "$PWD")"/*) return ;; esac
    if [ -n "${owner:-}" ] && [ "$owner" != "$PWD" ] && [ -d "$owner" ]; then
        echo "$owner"
    fi
}

# The interpreter with which VENV was made, if this one is VENV's own, which is about to be removed.
maker() { # PYTHON
    "$1" -c 'import os, sys
if os.path.realpath(sys.prefix) == os.path.realpath(sys.argv[1]):
    print(sys._base_executable)' "$venv"
}

missing_libraries() { # PYTHON
    local pair
    for pair in libgomp.so.1:libgomp1 libquadmath.so.0:libquadmath0 libGL.so.1:libgl1 libgthread-2.0.so.0:libglib2.0-0; do
        "$1" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "${pair%:*}" 2> /dev/null || printf ' %s' "${pair#*:}"
    done
}

python=$(first_that_fits)
if [ -n "$named" ] && ! fits "$named"; then
    found=$(version "$named")
    say "make: $named ${found:+is Python }${found:-does not run here}." \
        "gluon_tricks runs on Python 3.8, 3.9, 3.10 and 3.11: MXNet 1.9.1 and the numpy it needs have no others." \
        "Name one of these:  make PYTHON=${python:-python3.11} demo"
    exit 1
fi
python=${named:-$python}

rmdir "$venv" 2> /dev/null || true # if it is empty
installed=$(version "$venv/bin/python")
owner=$(other_owner)
if [ -n "$owner" ]; then
    say "make: $venv belongs to $owner. Name another folder, for example:  make VENV=.venv demo"
    exit 1
elif [ -n "$installed" ] && is_whole "$installed"; then
    if [ -z "$named" ] || [ "$(version "$named")" = "$installed" ]; then
        exit 0
    fi
    say "$venv is of Python $installed; making it again for $named."
elif [ -e "$venv/.made-by-make" ]; then
    say "$venv is incomplete, of another folder, or its Python has gone; making it again."
elif [ -e "$venv" ]; then
    say "make: $venv is there, but this Makefile did not make it. Remove or rename it, then try again."
    exit 1
fi

if [ -z "$python" ]; then
    say "make: no suitable Python here. gluon_tricks runs on Python 3.8, 3.9, 3.10 and 3.11; tried:"
    for name in "${candidates[@]}"; do
        found=$(version "$name")
        say "  $name: ${found:-does not run}"
    done
    say "Install one and, if it has another name, name it:  make PYTHON=/path/to/python3.11 demo"
    exit 1
fi
made_with=$(maker "$python")
python=${made_with:-$python}
number=$(version "$python")
if ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
    say "make: Python $number cannot make virtual environments. On Debian or Ubuntu, as root:" \
        "  apt-get install python$number-venv"
    exit 1
fi
packages=$(missing_libraries "$python")
if [ -n "$packages" ]; then
    say "make: MXNet and OpenCV need system libraries that are missing. On Debian or Ubuntu, as root:" \
        "  apt-get install$packages"
    exit 1
fi

say "Making $venv with Python $number ..."
rm -rf "$venv"
mkdir "$venv"
touch "$venv/.made-by-make"
"$python" -m venv "$venv"
printf '%s\n' "$number $PWD" > "$venv/.python"
