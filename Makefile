# `make help` lists the targets. They are short: the flask command, pytest and the linters
# do the work, and each can be called without make.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 5000
BIN := .venv/bin
# The engines of `make test-all` besides SQLite; each run creates its own databases.
TEST_DATABASE_URLS ?= postgresql+psycopg://postgres@127.0.0.1:5432/postgres mysql+pymysql://root@127.0.0.1:3306/
TEST_REDIS_URL ?= redis://127.0.0.1:6379/15

# The tests that run once more on a Redis Cluster, which each test process starts.
ON_CLUSTER := myapp/carts $(addprefix myapp/core/,backup model query rest stores/redis/test_spread.py) \
	$(wildcard myapp/core/stores/test_*.py) -k "redis or kept or cart"

# The tests whose code differs on each engine: their coverage counts on the servers, too.
ON_SERVERS := $(addprefix myapp/core/,backup jobs stores/sql stores/test_faults.py)

# One process for each core; each process has its own databases.
PARALLEL ?= -n auto --maxprocesses 8 --dist worksteal

# Coverage doubles the time of a test, so each test is run with it once: on SQLite, or
# where the code of an engine is.
SERVERS := TEST_DATABASE_URLS="$(TEST_DATABASE_URLS)" TEST_REDIS_URL="$(TEST_REDIS_URL)" TEST_EXTERNAL=1
REST := -q $(PARALLEL) -k "not sqlite or external"

# The tests of one feature: make test FEATURE=catalog.
TESTED := $(if $(FEATURE),myapp/$(FEATURE))

# pip says nothing for half a minute when it is quiet, and too much when it is not.
PROGRESS := awk '/^Collecting/ { printf "\r  %d packages", ++n; fflush() } \
	/^Installing/ { printf "\r  %d packages, unpacking\n", n; fflush() }'
define install
	@echo "installing $(1) into .venv; the first time takes half a minute"
	@rm -f .venv/.failed
	@{ PYTHONUNBUFFERED=1 $(BIN)/pip install --disable-pip-version-check --no-input -r $(1) \
		|| touch .venv/.failed; } | $(PROGRESS)
	@test ! -e .venv/.failed
	@$(BIN)/python -m myapp.core.stores.redis.program
endef

export HOST PORT

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 19

.venv/.python:
	@test -w . || { echo "this folder cannot be written: $(CURDIR)" >&2; exit 1; }
	@command -v $(PYTHON) > /dev/null || { echo "there is no $(PYTHON); install Python 3.11 or newer, or say where it is: make PYTHON=/usr/bin/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); myapp needs Python 3.11 or newer; say which one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "this Python has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.runtime: requirements.txt | .venv/.python
	$(call install,requirements.txt)
	@touch $@

.venv/.development: requirements.txt requirements-dev.txt | .venv/.python
	$(call install,requirements-dev.txt)
	@touch $@ .venv/.runtime

.PHONY: run
run: .venv/.runtime ## migrate, load demo data, serve with reload (PORT=5000)
	@exec $(BIN)/flask dev --host $(HOST)

.PHONY: serve
serve: .venv/.runtime ## the same under uWSGI, as in production (HOST=0.0.0.0)
	@$(BIN)/python -m myapp.core.ports $(HOST) $(PORT) "make serve"
	@$(BIN)/flask new-secret
	@MYAPP_ENV=production $(BIN)/flask db upgrade
	@printf '\n  http://$(HOST):$(PORT)/\n\n'
	@ADDRESS=$(HOST) MYAPP_ENV=production exec $(BIN)/uwsgi --ini myapp.ini \
		--attach-daemon2 "cmd=$(BIN)/flask worker --scheduler --with-parent 0,stopsignal=15"

.PHONY: worker
worker: .venv/.runtime ## jobs, as in production (WORKER="--concurrency 4")
	@MYAPP_ENV=production exec $(BIN)/flask worker --scheduler $(WORKER)

.PHONY: test
test: .venv/.development ## all tests, with no other server: 5 min (FEATURE=carts)
	@test -z "$(FEATURE)" || test -d "myapp/$(FEATURE)" || { echo "there is no feature $(FEATURE)" >&2; exit 1; }
	@env -u TEST_DATABASE_URLS -u TEST_REDIS_URL $(BIN)/pytest -q $(PARALLEL) $(TESTED)

.PHONY: test-all
test-all: .venv/.development clients/node_modules ## all tests on every engine, with coverage: 35 min
	@TEST_DATABASE_URLS= TEST_REDIS_URL="$(TEST_REDIS_URL)" $(BIN)/coverage run -m pytest -q $(PARALLEL)
	@$(SERVERS) $(BIN)/coverage run -m pytest $(REST) $(ON_SERVERS)
	@$(SERVERS) $(BIN)/pytest $(REST) $(addprefix --deselect=,$(ON_SERVERS))
	@TEST_REDIS_URL=cluster $(BIN)/coverage run -m pytest -q $(PARALLEL) $(ON_CLUSTER)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=95

.PHONY: lint
lint: .venv/.development ## black, flake8, mypy, openapi.json, migrations: 1 min
	@$(BIN)/black --quiet --check --diff .
	@$(BIN)/flake8
	@$(BIN)/mypy
	@MYAPP_ENABLED_FEATURES=all $(BIN)/flask openapi --check
	@$(BIN)/flask check-migrations

.PHONY: format
format: .venv/.development ## let black format the tree
	@$(BIN)/black --quiet .

clients/node_modules: clients/package-lock.json
	npm ci --prefix clients --no-audit --no-fund --silent
	@touch $@

.PHONY: clients
clients: .venv/.development clients/node_modules ## a Python client and TypeScript types, in clients/
	@$(BIN)/flask openapi > clients/openapi.json
	@$(BIN)/python clients/for_python.py clients/openapi.json clients/openapi-python.json
	@PATH="$(CURDIR)/$(BIN):$$PATH" openapi-python-client generate --path clients/openapi-python.json \
		--config clients/python.yml --meta setup --output-path clients/python --overwrite \
		--fail-on-warning
	@clients/node_modules/.bin/openapi-typescript clients/openapi.json --default-non-nullable=false \
		--output clients/typescript/schema.d.ts

.PHONY: upgrade
upgrade: ## merge a newer myapp (FROM=<url or path> TO=<tag>)
	@$(PYTHON) -m myapp.core.scaffold.upgrade "$(FROM)" "$(TO)"

.PHONY: bench
bench: .venv/.runtime ## measure it beside its peers: 40 min (BENCH="--rounds 2")
	@$(BIN)/python bench/run.py $(BENCH)

.PHONY: faults
faults: .venv/.development ## kill it and its stores under load (FAULTS="--writes 3000")
	@$(BIN)/python bench/faults.py $(FAULTS)

.PHONY: deploy-rehearsal
deploy-rehearsal: .venv/.development ## 20 releases under load: 15 min (REHEARSAL="--releases 6")
	@$(BIN)/python deploy/rehearse.py --collisions $(REHEARSAL)

.PHONY: two-machines
two-machines: .venv/.development ## a release on two machines, one cut off: 10 min
	@$(BIN)/python deploy/rehearse_machines.py $(REHEARSAL)

.PHONY: clean
clean: ## remove what can be made again: .venv, caches, clients
	rm -rf clients/openapi*.json clients/python clients/typescript clients/node_modules screenshots
	rm -rf .venv .mypy_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: clean-data
clean-data: ## remove the data of development; asks first
	@printf 'remove all data in instance/development/? [y/N] '; read answer; test "$$answer" = y
	rm -rf instance/development
