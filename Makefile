.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
SERVE := $(VENV)/.serve-installed
DEV := $(VENV)/.dev-installed
TRAIN := $(VENV)/.train-installed
# Each worker computes on one thread. A module stays with one worker, so that its fixtures are made once.
PARALLEL ?= --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder --durations 40
# Tests of real processes wait for leases and for processes to start: two workers more than processors fill the gaps.
TWO_MORE ?= $(PARALLEL) --numprocesses $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )))
# What a change is tried with again and again: without servers, trainings, and the hundreds of tests by HTTP.
FAST := tests/unit tests/contract tests/architecture tests/docs tests/integration/store tests/api/test_search.py \
	--ignore tests/unit/settings/test_misconfiguration.py
SOAK_SECONDS ?= 7200
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help run train-deps test test-fast test-real soak check audit sbom openapi commands docs fix bench system-packages clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

run: $(SERVE) ## install, migrate, add the sample gallery on the first start, serve and run jobs
	$(BIN)/lookalike serve --host $(HOST) --port $(PORT) --samples --worker

test: $(DEV) $(TRAIN) system-packages ## install everything that tests need and run every test
	$(BIN)/python -m pytest $(TWO_MORE)

test-fast: $(DEV) ## the tests that take seconds: units, the store on SQLite, searching
	$(BIN)/python -m pytest $(PARALLEL) --dist worksteal -m "not slow and not postgres" $(FAST)

test-real: $(DEV) $(TRAIN) ## the tests of real pictures, from LOOKALIKE_TEST_DATA_DIR and _CORPUS_DIR
	$(BIN)/python -m pytest $(PARALLEL) -m real_pictures

soak: $(DEV) $(TRAIN) system-packages ## the long runs: slow tests with larger numbers, then two hours of mixed requests
	LOOKALIKE_SOAK=1 $(BIN)/python -m pytest -m slow --timeout 7200
	$(BIN)/python benchmarks/soak.py --seconds $(SOAK_SECONDS) --json build/soak.json --csv build/soak.csv

check: $(DEV) ## lint, format, strict types, import contracts, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

audit: $(DEV) ## look for known vulnerabilities of the pinned packages, where there is a network
	$(PIP) "pip-audit>=2.10"
	$(BIN)/python tools/audit.py

sbom: $(DEV) ## list the pinned packages of serving and training as CycloneDX documents in dist/
	$(PIP) "cyclonedx-bom>=7.5"
	mkdir -p dist
	for image in serve train; do $(BIN)/cyclonedx-py requirements requirements/$$image.lock --pyproject pyproject.toml \
		--output-reproducible --output-file dist/sbom-$$image.cdx.json || exit 1; done

openapi: $(SERVE) ## rewrite docs/openapi.json after a change to the HTTP interface
	$(BIN)/python -m tools.openapi

commands: $(SERVE) ## rewrite the tables of docs/commands.md after a change to the command
	$(BIN)/python -m tools.commands

docs: $(VENV)/pyvenv.cfg ## build the documentation as a site into build/site, with its links checked
	.ci/docs $(BIN)/python

fix: $(DEV) ## apply what the linter can mend by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) ## the quick benchmarks, against their named peers
	$(PIP) -r requirements/bench.lock
	$(BIN)/python benchmarks/search.py --quick
	$(BIN)/python benchmarks/service.py --quick

train-deps: $(TRAIN) ## install what training needs (torch: several GB)

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(SERVE): $(VENV)/pyvenv.cfg requirements/serve.lock pyproject.toml
	@echo "Installing what serving needs…"
	$(PIP) -r requirements/serve.lock
	$(PIP) --no-deps --editable .
	@echo "Compiling the search kernels…"
	$(BIN)/python -P -m app.index.warm_up >/dev/null
	@touch $@

$(DEV): $(SERVE) requirements/dev.lock
	$(PIP) -r requirements/dev.lock
	@touch $@

$(TRAIN): $(DEV) requirements/train.lock
	$(PIP) -r requirements/train.lock
	@touch $@

# What the tests need besides Python: a browser, proxies, and a checker of units. Elsewhere than on Debian, install these
# programs and put them on PATH.
system-packages:
	@.ci/system-packages

clean: ## remove the virtual environment and caches, never the data
	rm -rf $(VENV) .venv-clients .venv-docs build/site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
