# `make sweep` runs the default sweep, `make test` the tests; `make help` lists every target.
# Each target does its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=

.DEFAULT_GOAL := sweep
.PHONY: help sweep test test-slow test-all goldens golden-check golden-mutate lint format docs notebook setup lock wheel sdist release clean

help: ## show this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) \
	  | while IFS='|' read -r target about; do printf '  make %-10s %s\n' "$$target" "$$about"; done
	@printf '\n  PYTHON=python3.12 chooses the interpreter, PYTEST_ARGS="-k prompts" the tests.\n'

sweep: setup ## run the default sweep (the default target)
	$(BIN)/turbo-lab sweep

test: setup ## run the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

# These take minutes; one of them kills a running sweep fifty times.
test-slow: setup ## run the slow tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

# One run imports torch once per worker, and leaves no worker idle between the two.
test-all: setup ## run the fast and the slow tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

goldens: golden-check golden-mutate ## check the packaged goldens, and that they catch every injected fault

golden-check: setup
	OMP_WAIT_POLICY=PASSIVE $(BIN)/turbo-lab golden check

golden-mutate: setup
	OMP_WAIT_POLICY=PASSIVE $(BIN)/turbo-lab golden mutate

lint: setup ## check style and types (ruff, mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## fix style where it can be fixed automatically
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: setup ## write docs/json.md from the code
	$(BIN)/python -m tests.docs.json_page

notebook: setup ## run docs/notebook.ipynb and write its outputs
	$(BIN)/python -m tests.docs.notebook

setup: $(STAMP) ## install the locked packages and turbo-lab into .venv

# The stamp is written last, so that an interrupted installation is repeated.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "turbo-lab needs Python 3.11 or newer; make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
# Compile all modules once, on all cores. Otherwise each process that imports diffusers takes twice
# as long where Python may not write byte code. Skipped: a file of torch in Python 3.12 syntax.
	$(BIN)/python -m compileall -q -j 0 -x py312_ $(VENV)/lib
	touch $@

# Installed versions are kept where they still fit.
lock: ## resolve requirements.lock again (needs uv)
	uv pip compile pyproject.toml --extra test --extra train --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
	  -o requirements.lock
	sed -i '1i # Exact versions with hashes: runtime, test and train extras, Linux x86-64, Python 3.11. Made by: make lock' requirements.lock

wheel: setup ## build the wheel into dist/
	$(BIN)/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .

sdist: setup ## build the source archive into dist/
	$(BIN)/python -m hatchling build -t sdist -d dist

release: setup ## build and check VERSION=0.2.0, and publish nothing
	$(BIN)/python .ci/release.py $(VERSION)

clean: ## remove .venv, builds and caches
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
