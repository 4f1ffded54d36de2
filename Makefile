# Each target does its own set-up: a virtual environment in the checkout, the install, then the work.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY := passive
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test check docs lmms clean

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

lmms: .venv/installed  ## The tests inside lmms-eval, in an environment of its own; says why where it cannot be made
	scripts/test_lmms_eval.sh

.venv/installed-docs: .venv/installed
	$(BIN)/pip install --quiet -e ".[docs]"
	touch $@

clean:
	rm -rf .venv .venv-lmms .pytest_cache .mypy_cache .ruff_cache .hypothesis demo site
