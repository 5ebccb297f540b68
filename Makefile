# Everything a newcomer or CI types. Logic stands in manage.py commands and in scripts/.
# Variables: PORT, HOST and DATA for `run`; PYTHON to choose an interpreter; ARGS for what a tool takes.

# The newest supported Python that runs (a version manager's shim may exist and fail).
IS_SUPPORTED = -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3; do \
	"$$each" $(IS_SUPPORTED) && echo "$$each" && break; done)

PY := .venv/bin/python
# uv is a speed-up where it is installed, never a need.
INSTALL = $(if $(shell command -v uv),uv pip install --quiet --compile-bytecode --python $(PY),$(PY) -m pip install \
	--quiet --disable-pip-version-check --no-input) --require-hashes --requirement
# What is not named here is left to .env, then to the settings' defaults. The environment carries it
# too, because settings are read before a command sees its options.
UP = $(if $(PORT),PORT="$(PORT)") $(if $(HOST),HOST="$(HOST)") $(if $(DATA),HITL_DATA="$(DATA)") \
	exec $(PY) manage.py up \
	$(if $(PORT),--port "$(PORT)") $(if $(HOST),--host "$(HOST)") $(if $(DATA),--data "$(DATA)")
SERVICES := $(PY) scripts/services.py
SUITE := $(PY) scripts/suite.py

.DEFAULT_GOAL := help
.PHONY: help run test test-fast test-postgres test-browser lint format types contracts lock vendor \
	schema screenshots proof-deliveries proof-escalations races clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.stamp-run ## Start everything on this machine: PORT=4000 HOST=127.0.0.1 DATA=var
	@$(UP)

test: .venv/.stamp-dev ## Run every test: SQLite, PostgreSQL + Redis, browser
	@$(SERVICES) --postgres --redis --chromium -- $(SUITE) sqlite postgres browser -- $(ARGS)

test-fast: .venv/.stamp-dev ## Run the tests that need neither server nor browser
	@$(SUITE) sqlite -- $(ARGS)

test-postgres: .venv/.stamp-dev ## Run the tests on a private PostgreSQL and Redis
	@$(SERVICES) --postgres --redis -- $(SUITE) postgres -- $(ARGS)

test-browser: .venv/.stamp-dev ## Run the tests in Chromium
	@$(SERVICES) --chromium -- $(SUITE) browser -- $(ARGS)

races: .venv/.stamp-dev ## Run the races on PostgreSQL for hundreds of rounds (half an hour)
	@RACE_ROUNDS=300 $(SERVICES) --postgres --redis -- $(PY) -m pytest -q --timeout 1800 \
		tests/workflows/test_races.py tests/workflows/test_policy_races.py $(ARGS)

lint: .venv/.stamp-dev ## Check style of code and templates, and the vendored files' hashes
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m djlint --lint --quiet templates
	$(PY) scripts/vendor.py --check

format: .venv/.stamp-dev ## Format the code and fix what can be fixed
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: .venv/.stamp-dev ## Check types
	$(PY) -m mypy

contracts: .venv/.stamp-dev ## Check that imports go down only
	.venv/bin/lint-imports

lock: ## Pin requirements*.in with hashes: ARGS=--upgrade to move the pins
	@PYTHON="$(PYTHON)" scripts/lock.sh $(ARGS)

vendor: .venv/.stamp-dev ## Bring the browser libraries from npm again: ARGS=--accept for new versions
	$(PY) scripts/vendor.py $(ARGS)

schema: .venv/.stamp-dev ## Write the API's description to docs/openapi.yaml
	@mkdir -p docs
	$(PY) manage.py spectacular --file docs/openapi.yaml --validate --fail-on-warn

screenshots: .venv/.stamp-dev ## Take the pictures that the documentation shows
	$(SERVICES) --chromium -- $(PY) scripts/screenshots.py $(ARGS)

proof-escalations: .venv/.stamp-dev ## Let 10,000 requests escalate in one second: ARGS="--requests 10000"
	@$(SERVICES) --postgres --redis -- $(PY) -m scripts.proof_escalations $(ARGS)

proof-deliveries: .venv/.stamp-dev ## Let a provider fail half of the time and count: ARGS="--requests 1000"
	$(SERVICES) --postgres --redis -- $(PY) -m scripts.proof_deliveries $(ARGS)

clean: ## Remove the environment and all caches; data in var/ stays
	rm -rf .venv .cache .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@test -n "$(PYTHON)" && "$(PYTHON)" $(IS_SUPPORTED) || { \
		echo "hitl needs Python 3.11, 3.12 or 3.13; $(if $(PYTHON),$(PYTHON) is not that,none of them runs here)." >&2; \
		echo "Install one, or name it: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "Making a virtual environment in .venv with $(PYTHON) ..."
	@"$(PYTHON)" -m venv .venv

.venv/.stamp-run: requirements.txt | $(PY)
	@echo "Installing the locked packages, which takes about half a minute ..."
	@$(INSTALL) requirements.txt
	@touch $@

# The development lock is a superset with the same pins, so that it settles both.
.venv/.stamp-dev: requirements-dev.txt requirements.txt | $(PY)
	@echo "Installing the locked packages and the tools, which takes about a minute ..."
	@$(INSTALL) requirements-dev.txt
	@touch .venv/.stamp-run $@
