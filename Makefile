# make sweep: the default sweep. make test: the tests (make test-slow: those of minutes). Each does all of its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=

.PHONY: sweep test test-slow goldens lint format setup lock wheel clean

sweep: setup
	$(BIN)/turbo-lab sweep

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

# What takes minutes, such as fifty kills of a running sweep.
test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

# The packaged goldens hold here, and catch every fault that is put in.
goldens: setup
	OMP_WAIT_POLICY=PASSIVE $(BIN)/turbo-lab golden check
	OMP_WAIT_POLICY=PASSIVE $(BIN)/turbo-lab golden mutate

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

setup: $(STAMP)

# The stamp is written last: an installation that was cut off is done again.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "turbo-lab needs Python 3.11 or newer; make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
# On all cores, and once: without it every process that imports diffusers takes twice as long
# where Python may not write byte-code. Left out: a file of torch in the syntax of Python 3.12.
	$(BIN)/python -m compileall -q -j 0 -x py312_ $(VENV)/lib
	touch $@

# Resolve anew, keeping what is installed where it still fits. Needs uv.
lock:
	uv pip compile pyproject.toml --extra test --extra train --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
	  -o requirements.lock
	sed -i '1i # Exact versions with hashes: runtime, test and train extras, Linux x86-64, Python 3.11. Made by: make lock' requirements.lock

wheel: setup
	$(BIN)/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
