# make demo    a chat page with a real model on 127.0.0.1:8000; ARGS go to tokenstream demo
# make test    the environment (made once), then the whole suite; ARGS go to pytest
# make test-matrix    every app under every server, and their table in docs/deployment.md
# make fuzz    hostile input for an hour; ARGS="--minutes 10 -k decoder"
# make lint    ruff, mypy, pyright
# make format  ruff, which rewrites the files
# make soak    1,050 streams at once, for SECONDS=600; SOAK_SEED=... repeats one
# make node-clients    the clients of Node that tests/clients reads our streams with
# make bench   all benchmarks, short, and their tables in docs/performance.md; ARGS go to each

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= test,bench,transformers,demo,django,flask,starlette
LINTERS = ruff mypy "pyright[nodejs]" django-stubs
ARGS ?=

BIN = $(VENV)/bin
# The constraints hold for every install: a torch of pip's own choice takes gigabytes.
PIP = $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
INSTALLED = $(VENV)/.installed
LINTABLE = $(VENV)/.lintable

.PHONY: help test node-clients test-matrix fuzz soak lint mypy pyright format install test-wheel clean demo bench

help:
	@sed -n '/^# make/s/^# //p' Makefile

test: $(INSTALLED)
	@$(BIN)/python -m pytest $(ARGS)

NODE_CLIENTS = tests/clients/node

node-clients:
	@cd $(NODE_CLIENTS) && npm ci --no-audit --no-fund --loglevel=error

# The table is written when all is green; TOKENSTREAM_RECORDS is where its times are noted.
RECORDS = $(CURDIR)/build/matrix.jsonl

test-matrix: $(INSTALLED)
	@mkdir -p $(dir $(RECORDS))
	@rm -f $(RECORDS)
	@TOKENSTREAM_MATRIX=1 TOKENSTREAM_RECORDS=$(RECORDS) $(BIN)/python -m pytest tests/servers $(ARGS)
	@$(BIN)/python -m tests.servers.table $(RECORDS)

fuzz: $(INSTALLED)
	@$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(LINTABLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory -j2 mypy pyright

mypy: $(LINTABLE)
	$(BIN)/mypy

pyright: $(LINTABLE)
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(LINTABLE)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(INSTALLED) $(LINTABLE)

# Installed anew only when one of the two files has changed: no network is needed otherwise.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("tokenstream needs Python 3.11 or later, this is " + sys.version.split()[0] + ": make test PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[$(EXTRAS)]"
	@touch $@

$(LINTABLE): $(INSTALLED)
	$(PIP) $(LINTERS)
	@touch $@

# The suite against the wheel, as it is built from the sdist, where the source tree can't be
# imported: a file that is missing from either is seen. All else is linked from $(VENV).
WHEEL = build/wheel
WHEEL_PYTHON = $(WHEEL)/venv/bin/python
SITE = import sysconfig; print(sysconfig.get_path("purelib"))
FROM_WHEEL = import sys, tokenstream; assert tokenstream.__file__.startswith(sys.prefix)
TREE = $(wildcard tests docs example_projects benchmarks pyproject.toml *.md LICENSE)

test-wheel: $(INSTALLED)
	@rm -rf $(WHEEL)
	@mkdir -p $(WHEEL)/run
	@$(BIN)/python -m build --no-isolation --outdir $(WHEEL)/dist . >$(WHEEL)/build.log 2>&1 || { cat $(WHEEL)/build.log; exit 1; }
	@$(BIN)/python -m venv --without-pip $(WHEEL)/venv
	@$(BIN)/python -m pip --disable-pip-version-check --quiet --python $(WHEEL_PYTHON) install --no-deps $(WHEEL)/dist/*.whl
	@find "$$($(BIN)/python -c '$(SITE)')" -mindepth 1 -maxdepth 1 ! -name '*tokenstream*' -exec ln -s {} "$$($(WHEEL_PYTHON) -c '$(SITE)')" ';'
	@tar c --exclude node_modules --exclude __pycache__ $(TREE) | tar x -C $(WHEEL)/run
	@ln -s $(CURDIR)/$(NODE_CLIENTS)/node_modules $(WHEEL)/run/$(NODE_CLIENTS)/node_modules
	@cd $(WHEEL)/run && "$(CURDIR)/$(WHEEL_PYTHON)" -c '$(FROM_WHEEL)'
	@cd $(WHEEL)/run && "$(CURDIR)/$(WHEEL_PYTHON)" -m pytest $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

demo: $(INSTALLED)
	@$(BIN)/python -m tokenstream demo $(ARGS)

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks --quick --write-docs $(ARGS)

SECONDS ?= 600

soak: $(INSTALLED)
	@SOAK_SECONDS=$(SECONDS) $(BIN)/python -m pytest -rP tests/soak $(ARGS)
