# Two commands for a fresh clone: `make demo` and `make test`. Python and make suffice.

PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
BIN = $(VENV)/bin
# Tested versions; CI tests what people install.
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: help demo test test-slow test-lowest check format clean

help:
	@echo "make demo       install, and run the main job on real images"
	@echo "make test       install, and run the tests"
	@echo "make test-slow  the long tests as well (tens of minutes)"
	@echo "make test-lowest"
	@echo "                install the oldest versions allowed beside it, and run the tests"
	@echo "                (8 GB, and as long as make test again)"
	@echo "make check      lint, types, layers, documentation"
	@echo "make format     format the code"
	@echo "make clean      remove the environment and tool caches, never cache/ or runs/"

demo: $(VENV)/.demo
	$(BIN)/embedcache demo

# One process per core, as much of the suite waits for other processes and for the disk; and one
# thread in each, as the threads of two processes on two cores wait for one another.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m "slow or not slow"

# The oldest versions that pyproject.toml allows. Their own warnings, of deprecations that newer
# versions have dealt with, are not ours to mend: here warnings are no errors.
test-lowest: $(LOWEST)/.dev
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n auto --dist worksteal -o filterwarnings=

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) tools/preflight.py "$(VENV)"
	$(PYTHON) -m venv "$(VENV)"

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e ".[demo]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/.demo

$(LOWEST)/.dev: pyproject.toml constraints-lowest.txt
	$(PYTHON) tools/preflight.py "$(LOWEST)"
	$(PYTHON) -m venv "$(LOWEST)"
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check -c constraints-lowest.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf "$(VENV)" "$(LOWEST)" .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
