# make demo and make test do all that they need on a fresh machine, with Python 3.10 or newer.
PYTHON ?= python3
DEMO_MINUTES ?= 4
BIN := .venv/bin
comma := ,

# WORLD, and some of the judges, are compiled when they are installed; without a C compiler their tests are skipped.
COMPILER := $(shell command -v cc)
PLUGINS := lvc-runtime lvc-unet lvc-hifigan lvc-wavenet lvc-tacotron lvc-supervector $(if $(COMPILER),lvc-world)
EXTRAS := dev$(if $(COMPILER),$(comma)judges$(comma)pesq)
SPEECH ?= ../shared/speech
BENCH := $(BIN)/python -W ignore benchmarks
RECIPE := --config recipes/librispeech.yaml --data.root $(SPEECH)/LibriSpeech

.PHONY: help demo test test-fast lint site wheels benchmarks clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    clone with the model that ships and with a GAN trained for $(DEMO_MINUTES) minutes (DEMO_MINUTES); writes demo/index.html"
	@echo "make test    run every test (10 to 16 minutes on two cores)"
	@echo "make test-fast   run the tests that take little (a minute and a half)"
	@echo "make lint    check style and types"
	@echo "make site    build the documentation site into site/; a warning is an error"
	@echo "make wheels  build all wheels, install them in environments of their own (PYTHONS), and run tests there"
	@echo "make benchmarks   print the figures of docs/results.md (some hours; speech in SPEECH=$(SPEECH))"
	@echo "make clean   remove .venv, demo, site and caches"
	@echo "PYTHON=python3.12 make ... chooses the interpreter that .venv is made with"

demo: .venv/.installed-demo
	$(BIN)/lvc demo --output demo --minutes $(DEMO_MINUTES)

# Two processes, each test file whole in one of them, for the fixtures that a file's tests share.
TESTS = $(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

# In two halves: what the libraries under test keep until a process ends adds up with the number of tests.
FIRST = tests/cli tests/demo tests/documentation tests/evaluation tests/hostile tests/inference tests/voice

test: .venv/.installed-dev
	$(TESTS) $(FIRST); first=$$?; $(TESTS) $(addprefix --ignore=,$(FIRST)) && exit $$first

test-fast: .venv/.installed-dev
	$(TESTS) -m "not slow"

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

site: .venv/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

PYTHONS ?= $(PYTHON)
wheels: .venv/.installed-dev
	$(BIN)/python benchmarks/wheels.py $(addprefix --python ,$(PYTHONS))

benchmarks: .venv/.installed-judges
	$(BENCH)/features.py
	$(BENCH)/training_step.py $(RECIPE)
	$(BENCH)/training_step.py --config recipes/vocoder_vocos.yaml --data.root $(SPEECH)/index.tsv
	$(BENCH)/vocoder_speed.py
	$(BENCH)/vocoder_overfitting.py $(SPEECH)/LJSpeech/wavs/LJ001-0001.flac --steps 150
	$(BENCH)/copy_synthesis.py --pairs $(SPEECH)/eval_pairs.tsv --output runs/copy_synthesis
	$(BENCH)/memory.py $(RECIPE)
	$(BENCH)/long.py --speech $(SPEECH)
	$(BENCH)/many.py --speech $(SPEECH)
	$(BENCH)/live.py --speech $(SPEECH)
	$(BENCH)/export.py --speech $(SPEECH)
	$(BENCH)/overfitting.py $(RECIPE)
	$(BENCH)/textbook.py --data.root $(SPEECH)/LJSpeech
	$(BENCH)/metrics.py --speech $(SPEECH) --time runs/metrics
	$(BENCH)/librispeech.py --speech $(SPEECH) --output runs/benchmark
	$(BENCH)/startup.py
	$(BENCH)/scaffold.py --speech $(SPEECH)
	$(BENCH)/cloning.py --speech $(SPEECH) --output runs/cloning --second-encoder SupervectorSpeakerEncoder
	$(BENCH)/ablations.py --speech $(SPEECH) --output runs/ablations --only

clean:
	rm -rf .venv demo site .pytest_cache .mypy_cache .ruff_cache

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "$(PYTHON) is not Python 3.10 or newer; name one: PYTHON=python3.12 make ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

# The demo needs less than the tests, so it has an installation of its own; the tests' has both.
.venv/.installed-demo: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[demo]"
	@touch $@

.venv/.installed-dev: pyproject.toml $(wildcard plugins/*/pyproject.toml) | .venv/.made
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[$(EXTRAS)]" $(PLUGINS:%=-e ./plugins/%)
	@touch .venv/.installed-demo $@

# Beside the tests' tools: the site's own packages are small, and ruff lays out its signatures.
.venv/.installed-docs: .venv/.installed-dev
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[$(EXTRAS),docs]"
	@touch $@

# The judges need a C compiler: webrtcvad and pesq have no wheels.
.venv/.installed-judges: .venv/.installed-dev
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[dev,judges,pesq]"
	@touch $@
