# `make run` and `make test` do all their own set-up on a machine with Python >= 3.11 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# On a terminal people see what is downloaded, and how far it is.
QUIET  := $(shell test -t 2 || echo --quiet)

.PHONY: run test soak lint bench bench-hesabgar docs lock clean

define find_python
	p="$(PYTHON)"; $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Peyvand needs Python 3.11 or newer; '$$p' is not. Say: make $@ PYTHON=/path/to/python3.11" >&2; exit 1; }
endef

$(VENV)/.run: requirements/bootstrap.txt requirements/run.txt pyproject.toml
	@$(find_python)
	@echo "Making the environment in $(VENV) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install $(QUIET) --compile-bytecode --require-hashes -r requirements/run.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install $(QUIET) --compile-bytecode --require-hashes -r requirements/test.txt
	@touch $@

run: $(VENV)/.run
	@exec $(BIN)/hub dev

test: $(VENV)/.test
	@./.ci/chromium
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest

# Every source at once: 20,000 orders, duplicates, malformed ones, outages; three ledgers must agree. SOAK=n for fewer.
SOAK ?= 20000
soak: $(VENV)/.test
	@PEYVAND_SOAK=$(SOAK) $(BIN)/python -m pytest tests/soak -o log_cli=true -o log_cli_level=WARNING

lint: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.run
	@$(BIN)/python -m bench

bench-hesabgar: $(VENV)/.run
	@$(BIN)/python -m bench.hesabgar

docs: $(VENV)/.run
	@$(BIN)/hub docs docs

lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/bootstrap.in -o requirements/bootstrap.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/build.in -o requirements/build.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements/production.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra embedded pyproject.toml requirements/build.in -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra embedded --group test pyproject.toml requirements/build.in -o requirements/test.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
