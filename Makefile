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
.PHONY: help run test test-fast test-postgres test-browser lint format types contracts audit lock vendor \
	schema screenshots proof-deliveries proof-escalations proof-events proof-chain bench-waiting races \
	crash model drill rolling clean

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

bench-waiting: .venv/.stamp-dev ## Let long polls and sockets wait, and measure: ARGS="--polls 600 --sockets 200"
	@$(SERVICES) --postgres --durable --redis -- $(PY) -m bench.waiting $(ARGS)

rolling: .venv/.stamp-dev ## Replace every role under traffic behind HAProxy: ROLLING_ROUNDS=3 (a minute each)
	@ROLLING_ROUNDS=$(or $(ROLLING_ROUNDS),1) $(SERVICES) --postgres --redis --haproxy -- \
		$(PY) -m pytest -q -s tests/test_rolling.py $(ARGS)

races: .venv/.stamp-dev ## Run the races on PostgreSQL for hundreds of rounds (half an hour)
	@RACE_ROUNDS=300 $(SERVICES) --postgres --redis -- $(PY) -m pytest -q --timeout 1800 \
		tests/workflows/test_races.py tests/workflows/test_policy_races.py \
		tests/workflows/test_rollback_races.py tests/workflows/test_receipt_races.py $(ARGS)

.PHONY: crash
crash: .venv/.stamp-dev ## Kill everything at every statement and judge what is left: ARGS="--stride 20"
	@$(PY) -m scripts.crash --report docs/crash-matrix.md $(ARGS)

.PHONY: model
model: .venv/.stamp-dev ## Search the model of decide, expire, claim and crash in larger worlds (minutes)
	@$(PY) -m tests.model $(ARGS)

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

audit: $(PY) ## Ask whether a locked package has a known vulnerability; skipped where nobody can tell
	@$(PY) scripts/audit.py

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
	@$(SERVICES) --postgres --durable --redis -- $(PY) -m scripts.proof_escalations $(ARGS)

proof-events: .venv/.stamp-dev ## Kill everything at random and compare what followers heard: ARGS="--events 100000"
	@$(SERVICES) --postgres --durable -- $(PY) -m scripts.proof_events $(ARGS)

proof-chain: .venv/.stamp-dev ## Verify a million events and write down the time: ARGS="--events 1000000"
	@$(SERVICES) --postgres --durable -- $(PY) -m scripts.proof_chain $(ARGS)

proof-deliveries: .venv/.stamp-dev ## Let a provider fail half of the time and count: ARGS="--requests 1000"
	$(SERVICES) --postgres --durable --redis -- $(PY) -m scripts.proof_deliveries $(ARGS)

drill: .venv/.stamp-dev ## Restore a backup under traffic, and see that nothing runs twice: ARGS="--requests 4"
	@$(SERVICES) --postgres --redis -- $(PY) -m scripts.drill_restore $(ARGS)

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
