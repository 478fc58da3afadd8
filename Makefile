# Everything Penstock's own development needs, on a machine that has make and Python 3.11 or newer.
# `make run` and `make test` set up what they need by themselves; nothing is installed outside .venv.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements.lock
PYTHONS ?= python3.14 python3.13 python3.12 python3.11 python3 python
PYTEST ?= -n auto --dist worksteal

# Without bytecode every start of Penstock compiles all of it again, and tests start it a thousand times.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test check format screenshots bench bench-console bench-data soak emulators rivals lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make the virtual environment from the lock file (done by the others when needed)

run: $(READY) ## open the console on sample_pipelines/; without a terminal, run each sample once and compare
	@if [ -t 0 ] && [ -t 1 ]; then exec $(BIN)/penstock -w sample_pipelines; \
	else exec $(BIN)/python checks/samples.py sample_pipelines; fi

test: $(READY) ## run the tests; the last line counts those skipped for want of PostgreSQL; few failures are run again alone
	@$(BIN)/python -m pytest $(PYTEST) || $(BIN)/python -m checks.second_look $$?

check: $(READY) ## style, types, floor plan, import budgets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python checks/import_budget.py

format: $(READY) ## rewrite the code in the project's style
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

screenshots: $(READY) ## pictures of every view of the console, into screenshots/
	@$(BIN)/python -m checks.screenshots

bench: $(READY) ## measure; one JSON line per benchmark
	@$(BIN)/python -m benchmarks

bench-console: $(READY) ## measure the console on a terminal, 100,000 runs in the store (WORKSPACE=... takes one made before)
	@$(BIN)/python -m benchmarks.console $(WORKSPACE)

bench-data: $(READY) ## measure how data moves, beside dlt after `make rivals`; one JSON line per figure (needs PostgreSQL)
	@for each in benchmarks/data*.py; do $(BIN)/python -m benchmarks.$$(basename $$each .py) || exit 1; done

soak: $(READY) emulators ## what the crash and race tests do once, many times over
	@$(BIN)/python -m pytest -m soak --timeout 0

# Too large, and too particular about its versions, for the environment of everything else. Azurite runs on Node:
# without npm, or when it cannot be had, its tests are skipped.
EMULATORS := .venv-emulators
AZURITE := azurite@3.35.0

emulators: $(EMULATORS)/.ready ## what stands in for systems of others in `make soak` (780 MB)

$(EMULATORS)/.ready: checks/emulators.txt $(READY)
	@echo "Setting up $(EMULATORS) (once)"
	@rm -rf $(EMULATORS) && $(BIN)/python -m venv $(EMULATORS)
	@$(EMULATORS)/bin/python -m pip install --quiet --disable-pip-version-check -r checks/emulators.txt
	@if ! command -v npm >/dev/null; then echo "No npm here: the tests on Azurite (Azure) will be skipped"; \
	elif ! npm install --silent --no-audit --no-fund --no-save --prefix $(EMULATORS) $(AZURITE); then \
	  rm -rf $(EMULATORS)/node_modules; echo "$(AZURITE) could not be installed: its tests will be skipped"; fi
	@touch $@

RIVALS := .venv-rivals

rivals: $(RIVALS)/.ready ## what `make bench-data` measures beside Penstock (300 MB)

$(RIVALS)/.ready: checks/rivals.txt $(READY)
	@echo "Setting up $(RIVALS) (once)"
	@rm -rf $(RIVALS) && $(BIN)/python -m venv $(RIVALS)
	@$(RIVALS)/bin/python -m pip install --quiet --disable-pip-version-check -r checks/rivals.txt
	@touch $@

lock: $(BIN)/python ## resolve the dependencies anew into requirements.lock (UPGRADE=1 takes newer versions)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		$(if $(UPGRADE),--upgrade) pyproject.toml -o $(LOCK)
	@! grep -nE '://|^ *-|file:|/home|/tmp' $(LOCK) | grep -vE -- '--hash=' \
		|| { echo "$(LOCK) names an address or a path (lines above): make it from plain package names"; exit 1; }

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .venv-emulators .venv-rivals .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# A virtual environment remembers where it stands and needs its Python: in a folder that was moved, or when the
# system's Python is gone, it is made anew. Done while reading this file, before make looks at any date.
$(shell if [ -f $(READY) ] && ! { [ "$$(cat $(READY))" = "$(CURDIR)" ] && $(BIN)/python -c ''; } 2>/dev/null; \
	then rm -rf $(VENV); fi)

$(BIN)/python:
	@found=; for python in $(PYTHONS); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found=$$python; break; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Penstock needs Python 3.11 or newer with the venv module; tried: $(PYTHONS)."; \
	  echo "Install one (Debian, Ubuntu: apt install python3-venv), or name yours: make PYTHONS=/path/to/python3 $(MAKECMDGOALS)"; \
	  exit 2; \
	fi; \
	echo "Setting up $(VENV) with $$($$found --version) (once; about a minute)"; \
	rm -rf $(VENV) && $$found -m venv $(VENV)

# Redone when the lock or pyproject.toml is newer than the last time.
$(READY): $(LOCK) pyproject.toml $(BIN)/python
	@rm -f $(READY)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "$(CURDIR)" > $(READY)
