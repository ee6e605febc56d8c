# make run [PORT=8000]   the whole of SpeedTrade on this machine, Ctrl-C ends it
# make test              what CI runs: lint, then every test
# make coverage          which lines the tests run, and whether they are enough
# make vendors           brokers on this machine to trade against, Ctrl-C ends them
# make chaos             every fault by dice: thirty times the lives, twenty times the kills of make test
# make bench [ONLY=row] [QUICK=1]   every figure about speed beside its floor, ten minutes
# make soak [SECONDS=1800] [SEED=n]  orders while processes are killed by dice, then every promise
# make fuzz [EXAMPLES=200] [SEED=n]  the API under a fuzzer, longer than make test has time for
# make mutants [ONLY=part]  the code changed thousands of times, a test must notice each time; hours
# make load [SECONDS=120] [PAUSE=2]  a market open on this machine, with its goals
# make out                          twice the web processes, and a leader that is killed
# make growth [QUICK=1]             the same work with up to a thousand times as many rows
# make lint | fmt | openapi | screens | constraints | clean

PORT ?= 8000
export PORT
VENDORS_PORT ?= 8701

PYTHON ?= $(shell sh tools/python.sh)
BIN := .venv/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check
CHROMIUM := /usr/bin/chromium
RUN_STAMP := .venv/.installed-run
DEV_STAMP := .venv/.installed-dev
SPECS_STAMP := .venv/.vendor-specs
PGBENCH_STAMP := .venv/.pgbench
NGINX_STAMP := .venv/.nginx
MUTANTS := .venv/mutants
MUTANTS_STAMP := $(MUTANTS)/.installed
COVERAGE_LEAST := 85
PRODUCT := speedtrade accounts marketdata portfolio trading

.PHONY: openapi run test coverage chaos soak fuzz mutants bench load out growth vendors lint lint-code lint-django fmt screens constraints clean
.DEFAULT_GOAL := run

run: $(RUN_STAMP)
	@exec $(PY) manage.py up

# Three workers on two cores: a test waits for its servers half the time. The browser tests come
# last, in processes of their own: Playwright leaves an event loop running.
# What measures a page comes after all of them, when nothing else runs.
test: lint $(SPECS_STAMP) $(CHROMIUM)
	$(PY) -m pytest -n 3 --dist loadgroup -q -m "not e2e and not drill and not namespaces and not nginx"
	$(PY) -m pytest -n 2 --dist loadgroup -q -m "e2e and not measured"
	$(PY) -m pytest -q -m "e2e and measured"

# Measuring makes the tests half as fast again; lives by dice and browsers would add no line.
coverage: $(SPECS_STAMP)
	@rm -f .coverage .coverage.*
	$(PY) -m pytest -n 2 --dist loadgroup -q -m "not e2e and not lives and not drill and not namespaces and not nginx" --cov --cov-report=term:skip-covered \
		--cov-fail-under=$(COVERAGE_LEAST)

# Half an hour or more: `make test` runs a small part of it.
chaos: export CHAOS := 1
chaos: export LINE_RUNS ?= 5000
chaos: export SIM_RUNS ?= 10000
chaos: export KILLS ?= 1000
chaos: export BOOK_ORDERS ?= 100000
chaos: export HISTORIES ?= 100000
chaos: export RECONNECTS ?= 100
chaos: export WILD_QUOTES ?= 1000000
chaos: $(SPECS_STAMP) $(NGINX_STAMP)
	$(PY) -m pytest -n 2 --dist loadgroup -q -m "not nginx" trading/tests/test_lines.py \
		trading/tests/test_simulation.py tests/chaos portfolio/tests/test_lots.py \
		marketdata/tests/test_gate.py
	$(PY) -m pytest -q -m nginx tests/chaos

soak: SECONDS ?= 1800
soak: $(DEV_STAMP)
	$(PY) -m tests.chaos.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

fuzz: export EXAMPLES ?= 200
fuzz: $(DEV_STAMP)
	$(PY) -m pytest -q -s --show-capture=no -m fuzz tests/fuzz

# docs/mutants.md says which may live, and why. What is done already is kept in mutants/. The first
# half is plain Python; the second needs servers, and ONLY names the parts of paths that it is for.
mutants: $(MUTANTS_STAMP)
ifndef ONLY
	PATH=$(CURDIR)/$(MUTANTS)/bin:$$PATH $(MUTANTS)/bin/mutmut run --max-children 2
	$(MUTANTS)/bin/mutmut results
endif
	$(MUTANTS)/bin/python -m tests.mutants_forked $(ONLY)

# Figures mean something where nothing else runs; docs/benchmarks.md keeps them.
bench: $(DEV_STAMP) $(PGBENCH_STAMP)
	$(PY) -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

load: SECONDS ?= 120
load: $(DEV_STAMP)
	$(PY) -m tests.bench.load --seconds $(SECONDS) $(if $(PAUSE),--pause $(PAUSE))

out: $(DEV_STAMP) $(NGINX_STAMP)
	$(PY) -m tests.bench.out

growth: $(DEV_STAMP)
	$(PY) -m tests.bench.growth $(if $(QUICK),--quick)

lint: lint-code lint-django

lint-code: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --severity-level medium --configfile pyproject.toml $(PRODUCT)
	$(PIP) check

# Under production settings with secrets of the moment; no server is asked.
lint-django: export SPEEDTRADE_ENV := production
lint-django: export SECRET_KEY = $(call random,48)
lint-django: export JWT_SIGNING_KEY = $(call random,48)
lint-django: export FIELD_KEYS = $(call random,32)
lint-django: export ALLOWED_HOSTS := speedtrade.example
lint-django: export DATABASE_URL := postgresql://nobody@127.0.0.1:1/none
lint-django: export REDIS_URL := redis://127.0.0.1:1/0
lint-django: $(DEV_STAMP)
	$(PY) manage.py check --deploy --fail-level WARNING
	$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

random = $(shell $(PYTHON) -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom($(1))).decode())')

environment = $(PYTHON) -m venv $(1) > /dev/null \
	|| ( $(PYTHON) -m venv --clear --without-pip $(1) && pip --python $(1)/bin/python install --quiet pip )

fmt: $(DEV_STAMP)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# Alpaca and Kraken as loopback servers, with a market maker; README says how to trade there.
vendors: $(SPECS_STAMP)
	@exec $(PY) tools/vendors.py --port $(VENDORS_PORT)

# The API's own document, which a test compares with the code.
openapi: $(DEV_STAMP)
	$(PY) manage.py spectacular --validate --file docs/openapi.yaml

# Every page at two widths, light and dark, into docs/screens/.
screens: $(DEV_STAMP) $(CHROMIUM)
	$(PY) tools/screens.py

# Resolve everything in one go for Python 3.11; direct pins stay in the two requirements files.
constraints: $(DEV_STAMP)
	$(PIP) install --quiet uv
	( echo "# Every package of the whole resolution for Python 3.11, written by \`make constraints\`. Do not edit."; \
	  $(BIN)/uv pip compile requirements-dev.txt requirements-mutants.txt --python-version 3.11 --no-annotate --no-header --quiet ) > .venv/constraints.new
	mv .venv/constraints.new constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov mutants
	find . -name __pycache__ -type d -not -path './.data/*' -prune -exec rm -rf {} +

$(PY):
	$(PYTHON) -c 'import sys; sys.exit("SpeedTrade needs Python 3.11 or newer." if sys.version_info < (3, 11) else 0)'
	$(call environment,.venv)

$(RUN_STAMP): requirements.txt constraints.txt | $(PY)
	$(PIP) install --quiet -r requirements.txt -c constraints.txt
	@touch $@

$(DEV_STAMP): requirements.txt requirements-dev.txt constraints.txt | $(PY)
	$(PIP) install --quiet -r requirements-dev.txt -c constraints.txt
	@touch $@ $(RUN_STAMP)

$(MUTANTS_STAMP): requirements-dev.txt requirements-mutants.txt constraints.txt | $(PY)
	$(call environment,$(MUTANTS))
	$(MUTANTS)/bin/python -m pip --disable-pip-version-check install --quiet \
		-r requirements-dev.txt -r requirements-mutants.txt -c constraints.txt
	@touch $@

# What the loopback vendors of the tests are checked against: fetched, never installed.
$(SPECS_STAMP): tools/vendor_specs.py | $(DEV_STAMP)
	$(PY) tools/vendor_specs.py
	@touch $@

$(CHROMIUM):
	@test "$$(id -u)" = 0 || { echo "The browser tests need $(CHROMIUM): install Debian's chromium."; exit 1; }
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium

# Unpacked and not installed, where there is none: their packages would start servers.
$(PGBENCH_STAMP): | $(DEV_STAMP)
	$(call unpacked,pgbench,postgresql-15 libpq5)
	@touch $@

$(NGINX_STAMP): | $(DEV_STAMP)
	$(call unpacked,nginx,nginx)
	@touch $@

unpacked = PATH=$$PATH:/usr/sbin command -v $(1) >/dev/null || ( apt-get update -qq && mkdir -p .venv/$(1)/debs && \
	cd .venv/$(1)/debs && apt-get download -qq $(2) && \
	for deb in *.deb; do dpkg-deb --extract "$$deb" ..; done )
