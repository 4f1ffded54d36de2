# Each target does its own set-up: a virtual environment in the checkout, the install, then the work.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY := passive
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test check docs clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e ".[dev]"
	touch $@

demo: .venv/installed  ## A tiny Video LLM, before and after it was patched
	$(BIN)/pave demo

test: .venv/installed  ## The default suite, in two processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

check: .venv/installed  ## Lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed-docs  ## The site, in site/
	$(BIN)/mkdocs build

.venv/installed-docs: .venv/installed
	$(BIN)/pip install --quiet -e ".[docs]"
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis demo site
