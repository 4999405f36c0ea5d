# `make demo`, `make test` and `make lint` each set up .venv first, so either works on a fresh clone.

# The first Python >= 3.11 on the path; override with `make PYTHON=/path/to/python3.12 ...`.
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
# Where torch comes from; empty means pip's default. CPU only: https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

BIN := .venv/bin
STAMP := .venv/.installed
CONSTRAINTS := constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo reproduce docs test lint format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The extra hcp is left out: its data have terms of their own.
install: $(STAMP) ## create .venv with all extras but hcp, at the versions of constraints.txt

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "pavi needs Python 3.11 or newer; PYTHON='$(PYTHON)' is not." \
			"Try: make PYTHON=/path/to/python3.11 $(or $(MAKECMDGOALS),install)" >&2; exit 1; }
	'$(PYTHON)' -m venv .venv
	$(BIN)/python -m pip install --constraint $(CONSTRAINTS) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --constraint $(CONSTRAINTS) --editable '.[arviz,convert,data,docs,experiments,nuts,plot,pyro,zarr,dev]'
	@touch $@

demo: $(STAMP) ## fit the three-level school model to Chem97 and draw its figures
	$(BIN)/python -m experiments.demo

PRESET ?= smoke
reproduce: $(STAMP) ## every ablation of the paper; PRESET=smoke, desk or full
	@failed=; for study in $(notdir $(patsubst %/study.yaml,%,$(sort $(wildcard configs/reproduce/*/study.yaml)))); do \
		$(BIN)/python -m experiments.reproduce $$study --preset $(PRESET) || failed="$$failed $$study"; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

docs: $(STAMP) ## build the documentation in docs/_build; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

# One thread per process: the two workers already fill two cores. Each begins with one half of the
# tests, so that what a module shares is made once, and who is done first helps the other.
test: export OMP_NUM_THREADS = 1
test: export MKL_NUM_THREADS = 1
test: $(STAMP) ## run the tests and the doctests
	$(BIN)/python -m pytest -n 2 --dist worksteal
	$(BIN)/python -m pytest --doctest-modules pavi

lint: $(STAMP) ## check style, types and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell

format: $(STAMP) ## let ruff fix and format what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove caches and build outputs; keeps .venv and runs
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
