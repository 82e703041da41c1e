# Everything runs in .venv, which setup builds from pyproject.toml pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One BLAS thread: our arrays are small, and two test workers share two cores.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: setup demo test check dist bench clean

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml constraints.txt package.json
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@# The accessibility test needs a browser and axe-core; without them it is skipped, by name.
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --no-package-lock || echo "npm failed: the accessibility test will be skipped"; \
	else echo "no npm: the accessibility test will be skipped"; fi
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	  apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || echo "no chromium: the accessibility test will be skipped"
	@touch $@

demo: setup
	$(BIN)/saltus demo --out saltus-demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: setup
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m 'not slow'

# dist/saltus-VERSION-py3-none-any.whl and the sdist beside it.
dist: setup
	rm -rf dist build/lib
	mkdir -p dist
	$(BIN)/python -c "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"

# A pretrained model (under the Gemma terms of use, 1.5 GB, kept in build/) and llama.cpp's server, compiled for any
# processor: a build for this one alone crashes on virtual machines that promise instructions they do not have.
export SALTUS_GEMMA ?= $(CURDIR)/build/gemma

bench: $(VENV)/.bench
	@for script in $(filter-out benchmarks/gemma.py,$(wildcard benchmarks/*.py)); do \
	  echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(VENV)/.bench: $(VENV)/.done benchmarks/gemma.py
	CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF" CMAKE_BUILD_PARALLEL_LEVEL=$${CMAKE_BUILD_PARALLEL_LEVEL:-2} \
	  $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,bench]'
	@test -f "$(SALTUS_GEMMA)/config.json" || $(BIN)/python benchmarks/gemma.py "$(SALTUS_GEMMA)"
	@touch $@

clean:
	rm -rf $(VENV) node_modules build dist *.egg-info src/*.egg-info
