# `make run` serves, `make test` tests: each does all the set-up that it needs, and none when nothing changed.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two workers share what takes the longest: starting and killing real servers. The kernels come first,
# so that no two processes compile the same ones.
PYTEST := $(BIN)/bot4 warm && $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

help:
	@echo "make run      serve on http://127.0.0.1:8000 with everything built in"
	@echo "make test     the tests"
	@echo "make lint     style, types, import contracts"
	@echo "make slow     the longer tests"
	@echo "make bench    measure the figures, into build/bench.json"
	@echo "make load     Locust against a server of its own;  make soak: memory over ten million orders"
	@echo "make format   rewrite the sources in the house style"
	@echo "make lock     choose new versions of the dependencies"
	@echo "make clean    remove what was built; never the data folder"

run: setup
	@exec $(BIN)/bot4 serve

test: setup
	@$(PYTEST) $(ARGS)

slow: setup
	@$(PYTEST) -m slow $(ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: setup
	@$(BIN)/bot4 bench $(ARGS)

load: setup
	@$(BIN)/python -m loadtests.run $(ARGS)

soak: setup
	@$(BIN)/python -m loadtests.run --soak $(ARGS)

setup: $(STAMP)

# The stamp is as new as the lock that it was made from; another lock makes another environment.
$(STAMP): requirements-dev.lock .ci/environment
	@sh .ci/environment $(VENV) requirements-dev.lock
	@touch $(STAMP)

# Versions and hashes only: no index, no host. Both for every platform and every Python that we support.
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate

lock: setup
	@$(COMPILE) --upgrade --group dev --output-file requirements-dev.lock
	@$(COMPILE) --upgrade --constraint requirements-dev.lock --output-file requirements.lock

clean:
	@rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find app tests migrations loadtests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

.PHONY: help run test slow lint format bench load soak setup lock clean
