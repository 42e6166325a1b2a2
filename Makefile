# The environment, the demo and the tests. `make help` says what there is.
#
# Everything is installed into .venv. A file in it says that a part is complete: .venv/.python (an environment
# of a Python that fits, in this very folder), .package (the package and MXNet), .extras (what the tests need)
# and .horovod. So a second `make demo` installs nothing, and a changed setup.cfg is installed anew.

# One bash for a whole recipe. Make takes leading blanks, @, + and - off each of its lines.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast stress lint environment test-environment compiler clean FORCE

# What a user may set: make PYTHON=python3.10 demo, make ARGS="-k mixup" test-fast, make WHEELS=DIR test
PYTHON ?=
THREADS ?= 1
JOBS ?= 2
ROUNDS ?= 50
ARGS ?=
WHEELS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gluon_tricks

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --no-input --disable-pip-version-check
PYTEST := PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
HOROVOD := horovod==0.28.1
HOROVOD_WHEELS := $(WHEELS)/horovod-0.28.1-mxnet-1.9.1-gloo

# Settings of the user's that would send Python or pip somewhere else than into .venv.
unexport PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX
export PIP_USER := 0

help:
	@cat <<-'END'
	make demo        install into .venv, then train, evaluate and export a ResNet-D on handwritten digits
	make test        install the rest too (Horovod is built once, about 2 minutes), then run every test
	make test-fast   the same without the slow tests
	make stress      the tests that kill and resume, ROUNDS=50 times each
	make lint        ruff
	make clean       remove .venv and what Python and its tools left behind; runs stay
	Settings, before any of them:
	make PYTHON=python3.11 ...    the Python to use: 3.8, 3.9, 3.10 or 3.11
	make JOBS=4 ...               test processes at a time (2), each with THREADS=1 threads of MXNet
	make ARGS="-k mixup" ...      more arguments for pytest, or for the demo's recipe
	END

demo: $(VENV)/.package
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/demo_digits.sh $(ARGS)

test: test-environment
	@$(PYTEST) $(ARGS)

test-fast: test-environment
	@$(PYTEST) -m "not slow" $(ARGS)

stress: test-environment
	@GLUON_TRICKS_STRESS=$(ROUNDS) $(PYTEST) -m stress -o timeout=0 $(ARGS)

lint: $(VENV)/.extras
	@$(BIN)/ruff check --output-format concise .

environment: $(VENV)/.package

test-environment: $(VENV)/.python compiler $(VENV)/.horovod

# Runs every time and changes its file only where it makes an environment. A candidate has to run to be
# believed: a name on the PATH may be a shim of a version manager that has no such Python.
$(VENV)/.python: FORCE
	@say() { printf '%s\n' "$$@" >&2; }
	version() { "$$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
	fits() { case "$$(version "$$1")" in 3.8 | 3.9 | 3.10 | 3.11) ;; *) return 1 ;; esac; }
	candidates="python3.11 python3.10 python3.9 python3.8 python3 python"
	here=
	for name in $$candidates; do
		if fits "$$name"; then here=$$name; break; fi
	done
	if [ -n "$(PYTHON)" ] && ! fits "$(PYTHON)"; then
		found=$$(version "$(PYTHON)")
		if [ -n "$$found" ]; then found="is Python $$found"; else found="does not run here"; fi
		say "make: $(PYTHON) $$found." \
			"gluon_tricks runs on Python 3.8, 3.9, 3.10 and 3.11: MXNet 1.9.1 and the numpy it needs have no others." \
			"Name one of these:  make PYTHON=$${here:-python3.11} demo"
		exit 1
	fi
	python="$(PYTHON)"
	if [ -z "$$python" ]; then python=$$here; fi
	rmdir "$(VENV)" 2>/dev/null || true  # one that is empty
	# What is there is kept if it is whole, of this folder and, where a Python was named, of that one.
	installed=$$(version "$(BIN)/python")
	whole() { [ ! -e "$(VENV)/.installing" ] && [ "$$(cat "$@" 2>/dev/null)" = "$$installed $$PWD" ]; }
	if [ -n "$$installed" ] && whole; then
		if [ -z "$(PYTHON)" ] || [ "$$(version "$(PYTHON)")" = "$$installed" ]; then exit 0; fi
		say "$(VENV) is of Python $$installed; making it anew for $(PYTHON)."
	elif [ -e "$(VENV)/.made-by-make" ]; then
		say "$(VENV) is incomplete, of another folder, or its Python has gone; making it anew."
	elif [ -e "$(VENV)" ]; then
		say "make: $(VENV) is there, but this Makefile did not make it. Remove or rename it, then try again."
		exit 1
	fi
	if [ -z "$$python" ]; then
		say "make: no suitable Python here. gluon_tricks runs on Python 3.8, 3.9, 3.10 and 3.11; tried:"
		for name in $$candidates; do
			found=$$(version "$$name")
			say "  $$name: $${found:-does not run}"
		done
		say "Install one and, where it has another name, name it:  make PYTHON=/path/to/python3.11 demo"
		exit 1
	fi
	number=$$(version "$$python")
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
		say "make: Python $$number cannot make virtual environments. On Debian or Ubuntu, as root:" \
			"  apt-get install python$$number-venv"
		exit 1
	fi
	packages=
	for pair in libgomp.so.1:libgomp1 libquadmath.so.0:libquadmath0 \
		libGL.so.1:libgl1 libgthread-2.0.so.0:libglib2.0-0; do
		"$$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$${pair%:*}" 2>/dev/null ||
			packages+=" $${pair#*:}"
	done
	if [ -n "$$packages" ]; then
		say "make: MXNet and OpenCV need system libraries that are missing. On Debian or Ubuntu, as root:" \
			"  apt-get install$$packages"
		exit 1
	fi
	say "Making $(VENV) with Python $$number ..."
	rm -rf "$(VENV)"
	mkdir "$(VENV)"
	touch "$(VENV)/.made-by-make"
	"$$python" -m venv "$(VENV)"
	printf '%s\n' "$$number $$PWD" > "$@"

# .installing stays behind where an installation was interrupted or failed: the next run then starts from
# nothing, since pip takes a half-written package for an installed one.
FAILED := echo "make: the installation failed, see above. It needs a network; try again to start it anew." >&2
$(VENV)/.package: $(VENV)/.python setup.cfg pyproject.toml
	@echo "Installing MXNet, GluonCV and the package (about 900 MB, 1 to 3 minutes) ..." >&2
	touch "$(VENV)/.installing"
	trap '$(FAILED)' ERR
	$(PIP) install 'pip>=22.3,<26' 'setuptools>=64,<76' wheel
	$(PIP) install --no-build-isolation --editable '.[cpu,data]'
	$(BIN)/python -c 'import cv2, gluoncv, mxnet'
	rm "$(VENV)/.installing"
	touch "$@"

$(VENV)/.extras: $(VENV)/.package
	@echo "Installing what the tests need (ONNX Runtime, pytest and others, about a minute) ..." >&2
	touch "$(VENV)/.installing"
	trap '$(FAILED)' ERR
	$(PIP) install --no-build-isolation --editable '.[cpu,data,onnx,tensorboard,horovod,test]'
	rm "$(VENV)/.installing"
	touch "$@"

# Asked for before anything is installed, not minutes later.
compiler: $(VENV)/.python
	@if [ -e "$(VENV)/.horovod" ] || ls "$(HOROVOD_WHEELS)"/*-"$$($(BIN)/python -c \
		'import sys; print("cp%d%d" % sys.version_info[:2])')"-*.whl > /dev/null 2>&1; then exit 0; fi
	missing=
	for tool in g++ cmake make; do
		command -v "$$tool" > /dev/null || missing+=" $$tool"
	done
	if [ -n "$$missing" ]; then
		printf '%s\n' "make: Horovod has to be built, and that needs:$$missing. On Debian or Ubuntu, as root:" \
			"  apt-get install$$missing" >&2
		exit 1
	fi

# The one way that works: after MXNet, without build isolation (which hides MXNet from the build), without
# pip's cache (which may hold a Horovod without its MXNet part), believed only after an import. The environment
# is named by a link, since the build cannot bear a space in its path. MAKEFLAGS replaces this make's own, whose
# job server is not for the build. CMake 4 refuses Horovod's files without CMAKE_POLICY_VERSION_MINIMUM.
$(VENV)/.horovod: $(VENV)/.extras
	@install() {
		$(PIP) install --no-deps --no-index --force-reinstall "$(HOROVOD_WHEELS)"/horovod-*-"$$tag"-*.whl &&
			$(BIN)/python -c 'import horovod.mxnet'
	}
	tag=$$($(BIN)/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
	if ls "$(HOROVOD_WHEELS)"/horovod-*-"$$tag"-*.whl > /dev/null 2>&1 && install 2> /dev/null; then
		touch "$@"
		exit 0
	fi
	echo "Building Horovod with Gloo (2 to 6 minutes; its wheel is kept in $(HOROVOD_WHEELS)) ..." >&2
	mkdir -p "$(HOROVOD_WHEELS)"
	log="$(HOROVOD_WHEELS)/build.log"
	building=$$(mktemp -d)
	trap 'rm -rf "$$building"' EXIT
	ln -s "$$PWD/$(VENV)" "$$building/venv"
	jobs=$$(nproc)
	if ! env -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u PYTHON -u HOROVOD_GPU_OPERATIONS \
		MAKEFLAGS=-j$$((jobs < 8 ? jobs : 8)) CMAKE_POLICY_VERSION_MINIMUM=3.5 PATH="$$building/venv/bin:$$PATH" \
		HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 \
		HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 \
		"$$building/venv/bin/python" -m pip wheel --no-input --no-build-isolation --no-cache-dir --no-deps \
		$(HOROVOD) --no-binary horovod -w "$$building" > "$$log" 2>&1; then
		grep -iE 'error|could not|no rule' "$$log" | cut -c1-300 | tail -n 15 >&2 || true
		echo "make: Horovod could not be built; its whole log is $$log" >&2
		exit 1
	fi
	mv "$$building"/horovod-*.whl "$(HOROVOD_WHEELS)/"
	install
	touch "$@"

clean:
	@if [ -e "$(VENV)/.made-by-make" ]; then rm -rf "$(VENV)"; fi
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find gluon_tricks tests -name __pycache__ -type d -prune -exec rm -rf {} +
