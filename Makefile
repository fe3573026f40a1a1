# `make help` lists the targets. They are short: the flask command, pytest and the linters
# do the work, and each can be called without make.

PYTHON ?= python3
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

export PORT

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 14

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "myapp needs Python 3.11 or newer; say which one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "this Python has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/.runtime: requirements.txt | .venv/.python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m myapp.core.stores.redis.program
	@touch $@

.venv/.development: requirements.txt requirements-dev.txt | .venv/.python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m myapp.core.stores.redis.program
	@touch $@ .venv/.runtime

.PHONY: run
run: .venv/.runtime ## migrate, load demo data, serve with reload (PORT=5000)
	@exec $(BIN)/flask dev

.PHONY: serve
serve: .venv/.runtime ## the same app under uWSGI, as in production (PORT=5000)
	@$(BIN)/flask new-secret
	@MYAPP_ENV=production $(BIN)/flask db upgrade
	@MYAPP_ENV=production exec $(BIN)/uwsgi --ini myapp.ini \
		--attach-daemon2 "cmd=$(BIN)/flask worker --scheduler --with-parent 0,stopsignal=15"

.PHONY: worker
worker: .venv/.runtime ## a worker and a scheduler, as in production (WORKER="--concurrency 4")
	@MYAPP_ENV=production exec $(BIN)/flask worker --scheduler $(WORKER)

.PHONY: test
test: .venv/.development ## the whole suite on SQLite and a Redis of its own
	@env -u TEST_DATABASE_URLS -u TEST_REDIS_URL $(BIN)/pytest -q $(PARALLEL)

.PHONY: test-all
test-all: .venv/.development clients/node_modules ## the suite on every engine, and on a Redis Cluster, with branch coverage of core
	@TEST_DATABASE_URLS= TEST_REDIS_URL="$(TEST_REDIS_URL)" $(BIN)/coverage run -m pytest -q $(PARALLEL)
	@$(SERVERS) $(BIN)/coverage run -m pytest $(REST) $(ON_SERVERS)
	@$(SERVERS) $(BIN)/pytest $(REST) $(addprefix --deselect=,$(ON_SERVERS))
	@TEST_REDIS_URL=cluster $(BIN)/coverage run -m pytest -q $(PARALLEL) $(ON_CLUSTER)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=95

.PHONY: lint
lint: .venv/.development ## black, flake8, mypy, and the promises of openapi.json
	@$(BIN)/black --quiet --check --diff .
	@$(BIN)/flake8
	@$(BIN)/mypy
	@MYAPP_ENABLED_FEATURES=all $(BIN)/flask openapi --check

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

.PHONY: bench
bench: .venv/.runtime ## measure the app beside its peers (wrk, PostgreSQL; BENCH="--rounds 2")
	@$(BIN)/python bench/run.py $(BENCH)

.PHONY: faults
faults: .venv/.development ## kill and stop the app and its stores under load (FAULTS="--writes 3000")
	@$(BIN)/python bench/faults.py $(FAULTS)

.PHONY: deploy-rehearsal
deploy-rehearsal: .venv/.development ## 20 releases under load, 3 of them broken (REHEARSAL="--releases 6")
	@$(BIN)/python deploy/rehearse.py --collisions $(REHEARSAL)

.PHONY: two-machines
two-machines: .venv/.development ## a release on two machines, one cut off, a backup restored (root, Linux)
	@$(BIN)/python deploy/rehearse_machines.py $(REHEARSAL)

.PHONY: clean
clean: ## remove what was made here: .venv, caches, and the data in instance/
	rm -rf clients/openapi*.json clients/python clients/typescript clients/node_modules screenshots
	rm -rf .venv .mypy_cache .pytest_cache .hypothesis .coverage instance/myapp.db* instance/redis
	find . -name __pycache__ -prune -exec rm -rf {} +
