# `make demo` and `make test` need only Python 3.11 or 3.12 and make; each installs what it needs.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
VENV := .venv
BIN := $(VENV)/bin
# The first of these that is there and is 3.11 or 3.12; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo test bench check format lint types floors lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

# With a pip of its own first: the one that Python 3.11 brings sifts the index for twice as long.
$(VENV)/run.stamp: requirements-pip.lock requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "truecopy needs Python 3.11 or 3.12 (Bytewax has wheels for no later one); none found. Try: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements-pip.lock
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

demo: $(VENV)/run.stamp ## the whole pipeline on the embedded broker and the sandbox venue, about a minute
	$(BIN)/truecopy demo $(DEMO)

ifdef TESTS
test: $(VENV)/dev.stamp ## every test; TESTS='tests/core -k walk' narrows it
	$(BIN)/python -m pytest $(TESTS)
else
# Most tests wait for brokers and sockets, so three at a time on two cores; in the order that
# tests/conftest.py gives them, not by how many a file has.
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest --quiet --numprocesses 3 --dist loadfile --no-loadscope-reorder
endif

bench: $(VENV)/dev.stamp ## what it costs, against the last table; BENCH=--write records it, BENCH='--only latency'
	$(BIN)/python tests/bench/run.py $(BENCH)

.PHONY: soak
soak: $(VENV)/dev.stamp ## KILLS=100 SIGKILLs of every process and the broker; BROKERS=3, SEED=1; goes on where it was
	$(BIN)/python -m infra.soak --kills $(or $(KILLS),100) --brokers $(or $(BROKERS),1) --seed $(or $(SEED),1) --folder var/soak-$(or $(KILLS),100)-$(or $(BROKERS),1)-$(or $(SEED),1)

.PHONY: sim sim-mutants
SEEDS ?= 300
sim: $(VENV)/dev.stamp ## simulated worlds that try to break it; SEEDS=10000 SEED_BASE=N SIM=--minimise
	$(BIN)/python tests/sim/run.py --seeds $(SEEDS) $(if $(SEED_BASE),--base $(SEED_BASE)) $(SIM)

sim-mutants: $(VENV)/dev.stamp ## known bugs planted one at a time: each must be caught
	$(BIN)/python tests/sim/run_mutants.py $(MUTANTS)

.PHONY: golden
golden: $(VENV)/dev.stamp ## the golden digest again, after RULES was raised; GOLDEN=--same-rules, --tape
	$(BIN)/python tests/golden/record.py $(GOLDEN)

check: format-check lint types floors test ## format, lint, strict types, import floors, tests

format: $(VENV)/dev.stamp ## write the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

.PHONY: format-check
format-check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

floors: $(VENV)/dev.stamp
	$(BIN)/lint-imports

lock: $(VENV)/dev.stamp ## pin every dependency again, with hashes, for both Python versions
	$(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/pip install --quiet uv==0.13.9
	echo pip==26.3 | $(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' -o requirements-pip.lock -
	$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --extra build -o requirements.lock pyproject.toml
	$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --extra build --extra dev -o requirements-dev.lock pyproject.toml

clean: ## remove what make installed and what runs left behind
	rm -rf $(VENV) var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
