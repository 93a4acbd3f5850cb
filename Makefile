# Everything a person types. `make demo` and `make test` do their own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup peers demo test fast check check-style format bench soak lock clean

setup: $(VENV)/.ready hanse/pages/assets/vendor/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Hanse needs Python 3.11 or newer; set PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what requirements.lock names ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

hanse/pages/assets/vendor/.ready: package-lock.json package.json $(VENV)/.ready
	@echo "installing the browser assets package-lock.json names ..."
	@command -v npm >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-node.lock
	@if command -v npm >/dev/null 2>&1; then npm ci --silent --no-audit --no-fund; else PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --silent --no-audit --no-fund; fi
	@$(BIN)/python -m hanse.pages.vendor
	@touch $@

# Programs that are not ours, which the tests meet. What cannot be had skips its tests with a reason.
peers: setup
	@$(BIN)/python tests/peers/install.py || test -z "$$HANSE_REQUIRE_PEERS"

demo: setup
	@$(BIN)/hanse demo up

# Both parts run, whatever the first one says; the second one starts whole federations, so it runs alone.
test: peers
	@$(BIN)/pytest -q -n 2 --dist loadfile -m "not slow and not soak"; quick=$$?; $(BIN)/pytest -q -m slow && test $$quick = 0

fast: setup
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not slow and not soak" -x

check-style: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: check-style fast

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Ten stories with a process killed in each (HANSE_SOAK_RUNS=50: half an hour).
soak: setup
	$(BIN)/pytest -q -s -m soak

# What must be quick, measured: every tests/bench/bench_*.py as a table. `make bench ONLY="pages gocdb"` chooses.
bench: setup
	$(BIN)/python -m tests.bench $(ONLY)

# New versions on purpose, never by accident: writes the lock files anew.
lock: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements-node.in -o requirements-node.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 tests/peers/requirements.in -o tests/peers/requirements.lock

clean:
	rm -rf $(VENV) .peers node_modules hanse/pages/assets/vendor
