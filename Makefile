# The environment, the demo and the tests; `make help` lists the targets.
#
# The scripts in tools/ install everything into .venv. A file in it marks each complete part: .venv/.python (an
# environment with a supported Python, made for this folder), .package (the package and MXNet), .extras (the
# requirements of the tests), .horovod and .docs. So a second `make demo` installs nothing, and after a change of
# setup.cfg the parts are installed again.

SHELL := /bin/bash
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast stress lint docs system environment test-environment compiler clean FORCE

# Settings for users: make PYTHON=python3.10 demo, make ARGS="-k mixup" test-fast, make WHEELS=DIR test
PYTHON ?=
THREADS ?= 1
JOBS ?= 2
ROUNDS ?= 50
ARGS ?=
WHEELS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gluon_tricks

VENV := .venv
BIN := $(VENV)/bin
PYTEST := PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
unexport PYTHONPATH PYTHONHOME # Python would prefer the user's packages there to those in .venv

define HELP
make demo        install into .venv, then train, evaluate and export a ResNet-D on handwritten digits
make test        also install the rest (Horovod is built once, about 2 minutes), then run every test
make test-fast   the same without the slow tests
make stress      the tests that kill and resume, ROUNDS=50 times each, and every network of the zoo
make lint        ruff, mypy and shellcheck
make docs        the documentation as a site: site/index.html
make system      as root on Debian or Ubuntu: install all required system packages
make clean       remove .venv and the files of Python and its tools; runs are kept
Settings, for all of them:
make PYTHON=python3.11 ...    the Python to use: 3.8, 3.9, 3.10 or 3.11
make JOBS=4 ...               test processes at a time (2), each with THREADS=1 threads of MXNet
make ARGS="-k mixup" ...      more arguments for pytest, or for the demo's recipe
endef
help:
	@: $(info $(HELP))

demo: $(VENV)/.package
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/demo_digits.sh $(ARGS)
test: test-environment
	@$(PYTEST) $(ARGS)
test-fast: test-environment
	@$(PYTEST) -m "not slow" $(ARGS)
stress: test-environment
	@GLUON_TRICKS_STRESS=$(ROUNDS) $(PYTEST) -m stress -o timeout=0 $(ARGS)
lint: $(VENV)/.extras
	@bash tools/lint.sh $(VENV)
docs: $(VENV)/.docs
	@bash tools/build_docs.sh $(VENV) site
system:
	@bash tools/install_system.sh package,horovod,data,lint

environment: $(VENV)/.package
test-environment: $(VENV)/.python compiler $(VENV)/.horovod

# Runs every time, but changes its file only if it makes an environment.
$(VENV)/.python: FORCE
	@bash tools/make_environment.sh $(VENV) "$(PYTHON)"
$(VENV)/.package: $(VENV)/.python setup.cfg pyproject.toml
	@echo "Installing MXNet, GluonCV and the package (about 900 MB, 1 to 3 minutes) ..." >&2
	@bash tools/install_package.sh $(VENV) cpu,data && touch $@
$(VENV)/.extras: $(VENV)/.package
	@echo "Installing the requirements of the tests (ONNX Runtime, pytest and others, about a minute) ..." >&2
	@bash tools/install_package.sh $(VENV) cpu,data,onnx,safetensors,tensorboard,horovod,test && touch $@
$(VENV)/.docs: $(VENV)/.package
	@echo "Installing the requirements of the documentation's site (Sphinx and others, half a minute) ..." >&2
	@bash tools/install_package.sh $(VENV) cpu,data,docs && touch $@
compiler: $(VENV)/.python
	@bash tools/check_compiler.sh $(VENV) "$(WHEELS)"
$(VENV)/.horovod: $(VENV)/.extras
	@bash tools/build_horovod.sh $(VENV) "$(WHEELS)" && touch $@

clean:
	@if [ -e $(VENV)/.made-by-make ]; then rm -rf $(VENV); fi
	@rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find gluon_tricks tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
