# Everything a newcomer needs: `make reproduce`. Python 3.11 to 3.13, make and a package index are enough; see docs/setup.md.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
PROFILE ?= standard
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# Notebooks at once. In the larger profiles a few of them take hours, with as many processes as there are.
TOGETHER ?= $(if $(filter smoke standard,$(PROFILE)),2,1)
# An active conda environment is installed into, unless it is conda's own ("base"). Otherwise .venv is made.
CONDA := $(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX))
VENV := $(or $(CONDA),.venv)
BIN := $(VENV)/bin
STAMP := $(VENV)/.from-lock
PIP := -m pip --disable-pip-version-check
# JupyterLab in a container listens to the outside and opens no browser there; root is asked to be allowed.
CONTAINER ?= $(wildcard /.dockerenv /run/.containerenv)
LAB := $(if $(CONTAINER),--ip=0.0.0.0 --no-browser) $(if $(filter 0,$(shell id -u)),--allow-root)

.DELETE_ON_ERROR:
.PHONY: help setup reproduce test test-slow lock lab clean

help: ## list what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

setup: $(STAMP) ## the environment (.venv, or the active conda environment) from requirements.lock

reproduce: setup ## all tables, figures and report/index.html (PROFILE=smoke|standard|full|paper, JOBS=N)
	@$(BIN)/parzc data fetch || echo "going on with the labels that are here"
	$(BIN)/parzc run --profile $(PROFILE) --jobs $(JOBS) --together $(TOGETHER)

test: setup ## linting, types, the docstrings' examples and the tests (minutes)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --doctest-modules parzc_core
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: setup ## the tests that take longer, then property tests on random examples
	$(BIN)/python -m pytest -n 2 -m slow
	HYPOTHESIS_PROFILE=slow $(BIN)/python -m pytest -n 2 -m "hypothesis and not slow"

lab: setup ## open the notebooks in JupyterLab, which saves them without outputs
	$(BIN)/jupyter lab $(strip $(LAB)) --ContentsManager.pre_save_hook=parzc_core.pipeline.saving.without_outputs notebooks

# The pins are what a fresh environment resolves pyproject.toml to today. Left out: this project, suffixes of a build of
# torch (+cpu), and the GPU libraries that torch's own GPU build pins.
lock: ## resolve pyproject.toml anew into requirements.lock
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && set -o pipefail && \
	$(PYTHON) -m venv "$$folder/venv" && \
	"$$folder/venv/bin/python" $(PIP) --quiet install ".[test]" && \
	"$$folder/venv/bin/python" $(PIP) --quiet freeze --all --exclude parzc --exclude pip \
	    | sed -E 's/\+[A-Za-z0-9.]+$$//; /^(nvidia|cuda|triton)[-=]/d' > "$$folder/pins" && \
	if grep -nE '://|@' "$$folder/pins"; then echo "a pin is an address, not a version" >&2; exit 1; fi && \
	{ echo "# Every pin. Made from pyproject.toml by: make lock"; cat "$$folder/pins"; } > "$$folder/lock" && \
	mv "$$folder/lock" requirements.lock && echo "requirements.lock: $$(grep -c == requirements.lock) pins"

clean: ## remove the report, caches and what git ignores of results; .venv and committed results stay
	rm -rf report results/smoke results/standard results/paper .doit.db.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find parzc_core tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is newer than the lock once all is installed; a changed lock, or a set-up that was cut off, is done again.
# pip shows each package as it comes: the first time takes minutes. $(BIN)/python is checked too, as conda brings its own.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
$(STAMP): requirements.lock
	@[ -n "$(CONDA)" ] || $(PYTHON) -c '$(SUITS)' 2>/dev/null || \
	    { echo "Python 3.11 to 3.13 is needed (got: $(or $(PYTHON),none)); install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@[ -n "$(CONDA)" ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c '$(SUITS)' 2>/dev/null || \
	    { echo "$(VENV) has no Python 3.11 to 3.13; remove it, or conda install python=3.11, or conda deactivate" >&2; exit 1; }
	@echo "setting up $(VENV) from requirements.lock (a few minutes the first time)"
	@$(BIN)/python $(PIP) install -r requirements.lock
	@$(BIN)/python $(PIP) install --no-deps -e .
	@touch $(STAMP)
