# make demo and make test do all that they need on a fresh machine, with Python 3.10 or newer.
PYTHON ?= python3
DEMO_MINUTES ?= 4
BIN := .venv/bin

.PHONY: help demo test lint clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    train a small voice for $(DEMO_MINUTES) minutes (DEMO_MINUTES), clone with it, write demo/index.html"
	@echo "make test    run every test"
	@echo "make lint    check style and types"
	@echo "make clean   remove .venv, demo and caches"
	@echo "PYTHON=python3.12 make ... chooses the interpreter that .venv is made with"

demo: .venv/.installed-demo
	$(BIN)/lvc demo --output demo --minutes $(DEMO_MINUTES)

test: .venv/.installed-dev
	$(BIN)/python -m pytest -q

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "$(PYTHON) is not Python 3.10 or newer; name one: PYTHON=python3.12 make ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

# The demo needs less than the tests (no compiler, no judges), so it has an installation of its own; the tests' has both.
.venv/.installed-demo: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[demo]"
	@touch $@

.venv/.installed-dev: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[dev]"
	@touch .venv/.installed-demo $@
