# `make demo` and `make test` do all their own set-up on a fresh Debian with git, make and Python 3.11.
# The Python environment stays in VENV, the JavaScript tools in node_modules, both outside version control.
PYTHON ?= python3.11
VENV ?= .venv
PY := $(VENV)/bin/python
PORT ?= 8800
MINUTES ?= 30
COUNT ?= 1000000
COMPILE := $(VENV)/bin/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# Python files that differ from the last commit, new ones too.
CHANGED := git diff --name-only --diff-filter=d HEAD -- '*.py'; git ls-files --others --exclude-standard -- '*.py'

.DEFAULT_GOAL := help
.PHONY: help demo dev test quick fix lint types unit coverage faults soak fuzz bench attacks tag lock clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## simulator, sample shop, proxy and dashboard on loopback
	$(PY) -m proxy demo --port $(PORT)

dev: $(VENV)/.run node_modules/.done ## the demo, built and started again whenever a file of proxy/ or static/ changes
	$(PY) tools/dev.py --watch proxy --watch static --build "node tools/build.mjs" -- $(PY) -m proxy demo --port $(PORT)

test: lint types unit ## everything that must hold before a change lands

quick: $(VENV)/.dev .postgres lint ## half a minute: lint, types of changed files, tests of rules, graph and queue
	{ $(CHANGED); } | xargs -r $(VENV)/bin/mypy
	CAPI_PROXY_EXAMPLES=20 $(PY) -m pytest -m "not long" tests/rules tests/graph tests/queue

fix: $(VENV)/.dev node_modules/.done ## mend what lint can mend, format, build the tag
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	node tools/build.mjs

lint: $(VENV)/.dev ## ruff's rules and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.dev node_modules/.done ## mypy, and TypeScript's check of static/
	$(VENV)/bin/mypy
	npx --no-install tsc -p static
	npx --no-install tsc -p static/check
	npx --no-install tsc -p static/tsconfig.pages.json

unit: $(VENV)/.dev node_modules/.done .chromium .firefox .postgres .servers .promtool .wrk ## all tests
	$(PY) -m pytest

coverage: $(VENV)/.dev .postgres .servers .promtool .wrk ## a table of the lines that no test runs (without browsers and faults), and the floor for them
	CAPI_PROXY_EXAMPLES=100 $(PY) -m pytest --cov --cov-report=term --timeout 1800 --ignore=tests/browser --ignore=tests/blockers --ignore=tests/faults --ignore=tests/cluster

faults: $(VENV)/.dev .postgres ## the long runs against crashes, power cuts, a broken Graph and a broken PostgreSQL (two hours)
	CAPI_PROXY_KILLS=500 CAPI_PROXY_CUTS=120 $(PY) -m pytest tests/faults -n 2
	CAPI_PROXY_KILLS=12 CAPI_PROXY_ORDERS=10000 $(PY) -m pytest tests/orders -n 2
	CAPI_PROXY_ROUNDS=100 $(PY) -m pytest tests/cluster -n 0

soak: $(VENV)/.dev ## mixed faults under load for MINUTES (30), with an account after each round
	PYTHONPATH=.:tests:tests/faults $(PY) tests/faults/soak.py --minutes $(MINUTES)

fuzz: $(VENV)/.fuzz ## COUNT (1000000) made-up requests, and a tenth as many led by coverage: no error, none too long
	mkdir -p build/fuzz
	PYTHONPATH=.:tests:tests/fuzz $(PY) tests/fuzz/guided.py build/fuzz -atheris_runs=$$(($(COUNT) / 10)) -max_len=4096 \
		-artifact_prefix=build/fuzz/
	PYTHONPATH=.:tests:tests/fuzz $(PY) tests/fuzz/run.py --count $(COUNT) --choices build/fuzz --found build/found

bench: $(VENV)/.dev .postgres ## the ratios of docs/benchmarks.md, one after another (an hour)
	sh tools/system.sh wrk
	for name in ingest durable backlog lanes freshness enrich delivery postgres large_plans server_events server_attacks backfill workers tag; do $(PY) bench/$$name.py; done

attacks: $(VENV)/.dev ## what a stranger's attacks cost honest visitors (25 minutes)
	$(PY) bench/attacks.py

tag: node_modules/.done ## build static/*.min.js from their sources
	node tools/build.mjs

lock: $(VENV)/.dev ## write exact versions and hashes of all dependencies
	$(COMPILE) --upgrade -o requirements.lock requirements.in
	$(COMPILE) --upgrade -c requirements.lock -o requirements-postgres.lock requirements-postgres.in
	$(COMPILE) --upgrade -c requirements.lock -c requirements-postgres.lock -o requirements-dev.lock requirements-dev.in
	$(COMPILE) --upgrade -o requirements-fuzz.lock requirements-fuzz.in
	$(PY) tools/pins.py

$(VENV)/bin/python:
	sh tools/system.sh venv $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock | $(VENV)/bin/python
	$(PY) -m pip install --quiet --require-hashes -r requirements.lock
	touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/bin/python
	$(PY) -m pip install --quiet --require-hashes -r requirements-dev.lock
	touch $@ $(VENV)/.run

$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.dev
	$(PY) -m pip install --quiet --require-hashes -r requirements-fuzz.lock
	touch $@

node_modules/.done: package-lock.json
	sh tools/system.sh node
	npm ci --silent --no-audit --no-fund
	touch $@

.PHONY: .chromium .firefox .postgres .servers .promtool .wrk
.chromium .firefox .postgres .servers .promtool .wrk:
	sh tools/system.sh $(@:.%=%)

clean: ## remove what the targets above made
	rm -rf $(VENV) node_modules build dist .coverage* ./*.egg-info
