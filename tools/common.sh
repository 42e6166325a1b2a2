# shellcheck shell=bash
# Shared by the scripts of this folder, which source it. They run in the repository's folder and change nothing outside
# the environment that they are given.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# User settings that would lead Python or pip elsewhere.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX
export PIP_USER=0

horovod=0.28.1

say() { # LINE...
    printf '%s\n' "$@" >&2
}

run_pip() { # VENV ARGUMENT...
    "$1/bin/python" -m pip -qq --no-input --disable-pip-version-check "${@:2}"
}

# The folder in WHEELS for Horovod's wheels; its name has everything that determines the build.
wheels_of_horovod() { # WHEELS [BACKENDS]
    echo "$1/horovod-$horovod-mxnet-1.9.1-${2:-gloo}"
}

# Whether there is a cached wheel of Horovod for VENV's Python.
has_wheel() { # VENV WHEELS [BACKENDS]
    compgen -G "$(wheels_of_horovod "${@:2}")/horovod-*-$(tag_of "$1")-*.whl" > /dev/null
}

tag_of() { # VENV
    "$1/bin/python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])'
}
