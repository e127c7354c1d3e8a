# The commands of this repository. Each works on a bare Debian 12 with python3.11 and make; the logic stands in deploy/bin.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.PHONY: help run demo test faults bench lint format types imports env env-dev requirements clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST)

run: env  ## start the gateway and its simulators with embedded defaults (ARGS=... goes to `q2c run`)
	@.venv/bin/q2c run $(ARGS)

demo: env  ## drive the sample deals from quote to cash (ARGS=--json; ARGS=--scaled starts real servers with deploy/services)
	@PYTHONPATH=. .venv/bin/q2c demo $(ARGS)

test:  ## everything: lint, types, import rules and every test, on real servers (ARGS=... goes to pytest)
	@deploy/bin/prepare dev
	@deploy/bin/test $(ARGS)

faults: env-dev  ## the engine under fire: kills, hangs, vendors that misbehave; an oracle reads the vendors' books (ARGS="--minutes 2 --seed 7 --json")
	@.venv/bin/python -m deploy.services ready rabbitmq postgres >/dev/null
	@PYTHONPATH=. .venv/bin/python -m tests.faults.storm $(ARGS)

bench: env-dev  ## figures beside the rivals, in one run (ARGS="booking --json"; --quick, --only q2c,dbos)
	@deploy/bin/prepare bench
	@.venv/bin/python -m deploy.services ready rabbitmq postgres >/dev/null
	@PYTHONPATH=. .venv/bin/python -m tests.bench $(ARGS)

lint: env-dev  ## ruff's rules, its format, and the import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports

imports: env-dev  ## the import rules alone
	@.venv/bin/lint-imports

types: env-dev  ## mypy, strict
	@.venv/bin/mypy

format: env-dev  ## put imports and layout in order
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

env:  ## make .venv with what the gateway needs to run (does nothing when it is there)
	@deploy/bin/prepare run

env-dev:  ## the same, with what checks and tests it
	@deploy/bin/prepare dev

requirements: env-dev  ## write the lock files anew from pyproject.toml (ARGS=--upgrade takes newer versions)
	@deploy/bin/lock $(ARGS)

clean:  ## remove environments, caches and what a local run kept
	rm -rf .venv .venv-tryton .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info data .q2c
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
