# Everything that is done here has a target; `make help` lists them. CI calls the same ones (.ci/run).

# The first Python that is new enough; `make demo PYTHON=/path/to/python` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
# The site is built without Airflow, by what docs/requirements.txt pins.
DOCS_VENV := .venv-docs
SITE ?= docs/_build
# Which older Airflow `make test-oldest` takes: one that tests/system/stack/versions/ has pins for.
AIRFLOW ?= 3.0.0
# Which versions of what we depend on `make test-bounds` takes.
BOUNDS ?= lowest
RUN := $(VENV)/bin/python
INSTALL := $(RUN) -m pip install -qq --disable-pip-version-check --no-input -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up down cluster cluster-down chaos test test-unit test-long test-tools test-oldest test-bounds mutants \
	check release bench bench-polling contract docs docs-pictures

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## run a Saagie job from a real Airflow, against a local Saagie; stops everything at the end
	@$(RUN) -m scripts.demo $(if $(RECORD),--record $(RECORD))

up: $(VENV)/.installed ## start the same Airflow and local Saagie and leave them running; prints addresses and logins
	@$(RUN) -m scripts.up

down: $(VENV)/.installed ## stop what `make up` started
	@$(RUN) -m scripts.down

cluster: $(VENV)/.installed-cluster ## the same with an Airflow as on several machines: PostgreSQL, Redis, two of most processes
	@bash scripts/cluster_env.sh
	@$(RUN) -m scripts.cluster

cluster-down: $(VENV)/.installed-cluster ## stop what `make cluster` started
	@$(RUN) -m scripts.cluster --down

chaos: $(VENV)/.installed-dev ## kill tasks and machines of such an Airflow, balance the books (ARGS="--kills 500 --seed 1")
	@bash scripts/cluster_env.sh
	@$(RUN) -m tests.system.cluster.chaos $(ARGS)

# JUNIT=folder keeps a report of each run there, with the time of every test.
JUNIT_REPORT = $(if $(JUNIT),--junitxml=$(JUNIT)/$@.xml)
PYTEST = $(RUN) -m pytest $(JUNIT_REPORT)

test: $(VENV)/.installed-dev ## run all tests but the long ones, in about two minutes (ARGS=... goes to pytest)
	@bash scripts/official_client_env.sh
	@bash scripts/chromium.sh
	@$(PYTEST) tests/unit tests/integration --numprocesses 3 $(ARGS)

test-unit: $(VENV)/.installed-dev ## run the tests that need no other process, in less than a minute
	@$(PYTEST) tests/unit --numprocesses 2 $(ARGS)

test-long: $(VENV)/.installed-dev ## run the long tests: real Airflow, browser on its pages, installed package, cluster
	@bash scripts/official_client_env.sh
	@bash scripts/chromium.sh
	@bash scripts/cluster_env.sh
	@$(PYTEST) tests/unit tests/integration tests/system -m long --numprocesses 4 $(ARGS)

test-tools: $(VENV)/.installed-dev ## run the tests of the project's own tools: releases, the compose file, the stack's scripts
	@$(PYTEST) tests/tools -m 'not by_hand' --numprocesses 2 $(ARGS)

test-oldest: ## run a smaller suite on the oldest Airflow (AIRFLOW=3.1.8: on that one; by hand, not in CI)
	@bash scripts/oldest_env.sh $(AIRFLOW)
	@.venv-$(AIRFLOW)/bin/python -m pytest -p no:anyio tests/system/stack/versions/test_*.py $(ARGS)

test-bounds: ## run the unit tests with the lowest versions we allow (BOUNDS=newest: the newest; by hand, not in CI)
	@PYTHON="$(PYTHON)" bash scripts/bounds_env.sh $(BOUNDS)
	@.venv-$(BOUNDS)/bin/python -m pytest -p no:anyio --numprocesses 4 \
		tests/unit/client tests/unit/emulator tests/unit/triggers $(ARGS)

mutants: $(VENV)/.installed-dev ## change the package at random places and count what the tests notice (ARGS=..., see docs)
	@$(RUN) -m scripts.mutants $(ARGS)

check: $(VENV)/.installed-dev ## ruff, mypy, the direction of imports
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(RUN) -m mypy --strict tests/support/typed_caller.py
	$(RUN) -m pytest --quiet tests/unit/test_import_direction.py

release: $(VENV)/.installed-dev ## build, commit and tag a version (VERSION=1.2.3); uploads and pushes nothing
	@$(RUN) -m scripts.release '$(VERSION)'

bench: $(VENV)/.installed-dev ## what imports, calls, large files and long lists cost, and how quick the local Saagie is
	@bash scripts/official_client_env.sh
	@$(RUN) -m benchmarks.import_cost
	@$(RUN) -m benchmarks.client_calls
	@$(RUN) -m benchmarks.artifacts
	@$(RUN) -m benchmarks.list_jobs
	@$(RUN) -m benchmarks.emulator_load

bench-polling: $(VENV)/.installed-dev ## what waiting for 10,000 runs costs, beside other providers (25 minutes; ARGS=--short: 5)
	@bash scripts/official_client_env.sh
	@bash scripts/peers_env.sh
	@$(RUN) -m benchmarks.polling $(ARGS)

contract: $(VENV)/.installed ## check on a real platform what we assume (SAAGIE_URL=... SAAGIE_LOGIN=... SAAGIE_PASSWORD=...)
	@$(RUN) -m scripts.contract

docs: $(DOCS_VENV)/.installed ## build the docs as a site, and say where it is; a warning is an error
	@$(DOCS_VENV)/bin/python -m sphinx -b html -d $(SITE)/doctrees -W --keep-going -n -E -q docs $(SITE)/html
	@echo "Open $(SITE)/html/index.html"

docs-pictures: $(VENV)/.installed-dev ## make the pictures in the docs anew
	@$(RUN) -m docs.make_pictures
	@$(RUN) -m docs.emulator_pictures
	@$(RUN) -m docs.draw_states
	@$(RUN) -m docs.draw_how
	@$(MAKE) --no-print-directory docs # the site's own picture has these in it
	@$(RUN) -m docs.site_picture

$(RUN):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(RUN)
	@echo "Installing Airflow and the provider into $(VENV) (once; a few minutes) ..."
	@$(INSTALL) -e '.[emulator]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(RUN)
	@echo "Installing Airflow, the provider and the tools into $(VENV) (once; a few minutes) ..."
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.installed $(VENV)/.installed-cluster $@

$(VENV)/.installed-cluster: $(VENV)/.installed
	@$(INSTALL) -e '.[emulator,cluster]'
	@touch $@

$(DOCS_VENV)/.installed: docs/requirements.txt
	@echo "Installing what builds the docs into $(DOCS_VENV) (once; some seconds) ..."
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(DOCS_VENV)
	@$(DOCS_VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-input -r docs/requirements.txt
	@touch $@
