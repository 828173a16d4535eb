# Every target makes what it needs first; `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
JOBS ?= auto
# Start-up is measured, and part of every script: modules are compiled, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONUNBUFFERED
export PIP_DISABLE_PIP_VERSION_CHECK = 1
RUN = $(VENV)/bin
NEED_PYTHON = demo test lint types man man-check bench dist

.DEFAULT_GOAL = help
.PHONY: help clean $(NEED_PYTHON)

# One clear line where python is missing, too old, or without venv; a virtual environment of another version is removed.
# Here, and not in a rule: make looks only once whether a file is there, and that must be after the removal.
ifneq ($(filter $(NEED_PYTHON),$(MAKECMDGOALS)),)
PROBLEM := $(shell sh tools/check_python.sh "$(PYTHON)" "$(VENV)")
ifneq ($(PROBLEM),)
$(error $(PROBLEM))
endif
endif

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed ## install into .venv and show every check of every concept
	@$(RUN)/ipcctl tour

test: $(VENV)/.developing ## run the tests (ARGS='-k zombie', PYTHON=python3.12)
	@$(RUN)/pytest -n $(JOBS) $(ARGS)

lint: $(VENV)/.developing ## look for mistakes and style (ruff)
	@$(RUN)/ruff check

types: $(VENV)/.developing ## check the types (mypy --strict)
	@$(RUN)/mypy

man: $(VENV)/.developing ## make the man pages from the commands
	@$(RUN)/python tools/make_man.py man

man-check: $(VENV)/.developing ## fail if a man page is stale
	@$(RUN)/python tools/make_man.py --check man

bench: $(VENV)/.developing ## measure against the peers, in one run (ARGS=startup)
	@$(RUN)/python tests/bench $(ARGS)

dist: man-check ## build the wheel and the source archive into dist/
	@$(RUN)/python -m hatchling build -d dist

clean: ## remove what these targets made
	@rm -rf .venv .venv-* dist build .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# venv writes pip last: a virtual environment that has it was made to its end.
$(VENV)/bin/pip:
	@"$(PYTHON)" -m venv "$(VENV)"

$(VENV)/.installed: $(VENV)/bin/pip pyproject.toml
	@$(RUN)/python -m pip install -q -e .
	@$(RUN)/python -m compileall -q src
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	@$(RUN)/python -m pip install -q -e '.[dev]'
	@touch $@
