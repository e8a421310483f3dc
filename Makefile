# The daily life of the project. Every target makes .venv when needed.
#   make setup PIP_ARGS="…"              passes options to pip, for example for a CPU-only torch
#   make setup PYTHON=python3.12          another interpreter

PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
# Tests and the quickstart start hundreds of processes: what they import is compiled once.
unexport PYTHONDONTWRITEBYTECODE
# One process a core with one thread each: small models gain nothing from more threads.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --dist loadfile
# Types and shapes checked while the tests run, which doubles their time; lines counted.
CHECKED := --jaxtyping-packages=figclip,tests.typechecking.check --cov=figclip \
  --cov-report=term:skip-covered --cov-fail-under=90

.PHONY: setup quickstart check test only-tests test-slow torture test-real test-gpu test-lowest wheel \
  bench ablations mutants clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable ".[dev]"
	@touch $@

quickstart: setup
	$(BIN)/figclip quickstart --out quickstart

# Lint, format, types; the import-layer and function-length tests are in tests/test_style.py.
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_style.py

# `check` runs the house rules. It uses one core, so the tests run beside it.
test: setup
	$(MAKE) --no-print-directory --jobs 2 check only-tests

only-tests:
	$(PYTEST) --ignore tests/test_style.py

# All tests again with shapes checked and lines counted, and with them the slow ones: full-size
# architectures, kill loops, transformers 4 in an environment of its own.
test-slow: .venv/.ready-slow
	$(PYTEST) -m "not real and not gpu" $(CHECKED)

.venv/.ready-slow: .venv/.ready
	$(BIN)/pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable ".[dev,slow]"
	@touch $@

# Disks that fail and kills at every change of every writer, damaged files before every reader
# (FIGCLIP_FUZZ_CASES=1000000), seeded; hours. `test-slow` does a little.
torture: setup
	FIGCLIP_TORTURE=full $(PYTEST) --dist load -m slow tests/torture

# Real annotations and videos: FIGCLIP_REAL_DATA=/path make test-real
test-real: setup
ifdef FIGCLIP_REAL_DATA
	$(PYTEST) -m real
else
	@echo "skipped: FIGCLIP_REAL_DATA is not set (the folder with data/vidsitu and data/videos)"
endif

# What a GPU computes; skipped, and said so, without one. The rest is for benchmarks/gpu_check.py.
test-gpu: setup
	$(BIN)/python -m pytest -q -m gpu tests/gpu

# The default tests on the lowest versions that pyproject.toml promises, in .venv-lowest.
test-lowest: .venv-lowest/.ready
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -q --numprocesses auto --dist loadfile \
	  --ignore tests/test_style.py

.venv-lowest/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	sed -n 's/^  "\([A-Za-z0-9_-]*\)>=\([0-9.]*\)",$$/\1==\2/p' pyproject.toml \
	  > .venv-lowest/lowest.txt
	.venv-lowest/bin/pip install --quiet $(PIP_ARGS) --constraint .venv-lowest/lowest.txt \
	  --editable ".[dev]"
	@touch $@

# dist/figclip-….whl, installed into an empty environment and used from there.
wheel: setup
	rm -rf build dist
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(PYTHON) -m venv build/wheel-env
	build/wheel-env/bin/pip install --quiet $(PIP_ARGS) --constraint constraints.txt dist/*.whl
	build/wheel-env/bin/figclip --version
	build/wheel-env/bin/python -I tests/slow/from_wheel.py build/quickstart

# figclip against what one would use instead, and against the machine; an hour on two idle cores.
bench: .venv/.ready-bench
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/image_tower.py --threads 2
	$(BIN)/python benchmarks/decoding.py
	$(BIN)/python benchmarks/store_reading.py

.venv/.ready-bench: .venv/.ready
	$(BIN)/pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable ".[dev,bench]"
	@touch $@

# Hours on two cores; goes on where it stopped. Writes docs/ablations.md.
ablations: setup
	$(BIN)/python benchmarks/ablations.py ablations

# Whether the tests see changes of what decides a result; an hour on two cores, goes on where it stopped.
mutants: setup
	$(BIN)/python benchmarks/mutants.py mutants

clean:
	rm -rf .venv .venv-lowest build dist quickstart ablations mutants
