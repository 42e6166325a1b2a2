# shellcheck shell=bash
# What the scripts of this folder share; they source it. They run in the repository's folder and leave alone what is
# outside of the environment that they are given.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# Settings of the user's that would send Python or pip somewhere else.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX
export PIP_USER=0

horovod=0.28.1

say() { # LINE...
    printf '%s\n' "$@" >&2
}

run_pip() { # VENV ARGUMENT...
    "$1/bin/python" -m pip -qq --no-input --disable-pip-version-check "${@:2}"
}

# The folder of WHEELS for Horovod as it is built here; all that decides how a wheel came out is in its name.
wheels_of_horovod() { # WHEELS [BACKENDS]
    echo "$1/horovod-$horovod-mxnet-1.9.1-${2:-gloo}"
}

# Whether a wheel of Horovod is kept for VENV's Python.
has_wheel() { # VENV WHEELS [BACKENDS]
    compgen -G "$(wheels_of_horovod "${@:2}")/horovod-*-$(tag_of "$1")-*.whl" > /dev/null
}

tag_of() { # VENV
    "$1/bin/python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])'
}
