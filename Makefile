# Everything a person types. `make` lists the targets; each one builds what it needs first.
# Needed on the machine: python3 (3.11 or newer, with its headers), gcc, make. CMake, Ninja and Cython come by pip.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PYTEST_ARGS ?=
SOAK_SECONDS ?= 600
SOAK_CPUS ?= 4
SOAK_PAIRS ?= 100

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
CMAKE := $(BIN)/cmake
CTEST := $(BIN)/ctest --output-on-failure -j $(JOBS) --timeout 240 --no-tests=error
# ThreadSanitizer of some compilers cannot place its shadow where the kernel randomises addresses widely.
NO_ASLR := $(shell setarch -R true 2>/dev/null && echo setarch -R)

NATIVE := pyproject.toml CMakeLists.txt shmalloc/core/CMakeLists.txt $(wildcard cmake/*) \
          $(wildcard shmalloc/*.px[di] shmalloc/*.pyx shmalloc/native/*) \
          $(wildcard witness/*.px[di] witness/*.pyx witness/core/*) \
          $(wildcard faultinj/*.px[di] faultinj/*.pyx faultinj/core/*) \
          $(wildcard shmalloc/core/*.[ch] shmalloc/core/base/*.[ch])
C_FILES = $(shell find shmalloc witness faultinj examples tests/core tests/witness_core tests/faultinj_core workloads -name '*.[ch]' 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test core-test core-asan core-tsan py-test lint format bench soak docs sdist clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/.dev ## build .venv with everything that development needs

demo: $(VENV)/.base ## run the main job: real packets replayed and forwarded by four processes, a leak and a reversed lock order found, a report
	$(BIN)/workloads demo

test: core-test py-test ## run every test: the C core under sanitizers, then pytest

core-test: core-asan core-tsan ## run the C tests: ASan and UBSan, then TSan on those labelled "race"

core-asan: $(VENV)/.dev
	@$(CMAKE) -S . -B build/core-asan -G Ninja -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN)/ninja)" --log-level=WARNING \
	    -DSHMALLOC_TESTS=ON -DSHMALLOC_DEBUG=ON -DSHMALLOC_WERROR=ON -DSHMALLOC_SANITIZE=address,undefined \
	    -DCMAKE_BUILD_TYPE=Debug -DSHMALLOC_INSTALL_LIB=OFF -DSHMALLOC_EXAMPLES=OFF
	@$(CMAKE) --build build/core-asan -j $(JOBS) -- --quiet
	$(CTEST) --test-dir build/core-asan

core-tsan: $(VENV)/.dev
	@$(CMAKE) -S . -B build/core-tsan -G Ninja -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN)/ninja)" --log-level=WARNING \
	    -DSHMALLOC_TESTS=ON -DSHMALLOC_DEBUG=ON -DSHMALLOC_WERROR=ON -DSHMALLOC_SANITIZE=thread \
	    -DCMAKE_BUILD_TYPE=Debug -DSHMALLOC_INSTALL_LIB=OFF -DSHMALLOC_EXAMPLES=OFF
	@$(CMAKE) --build build/core-tsan -j $(JOBS) -- --quiet
	$(NO_ASLR) $(CTEST) --test-dir build/core-tsan -L race

py-test: $(VENV)/.dev ## run pytest alone; PYTEST_ARGS adds arguments
	$(BIN)/pytest -n auto --dist loadgroup $(PYTEST_ARGS)

lint: $(VENV)/.dev ## check style and types of Python and C
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(BIN)/clang-format --dry-run -Werror $(C_FILES) && echo "clang-format: $(words $(C_FILES)) files as they should be"

format: $(VENV)/.dev ## bring Python and C into the style that lint checks
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES)

bench: $(VENV)/.dev ## measure against peers, as ratios within one run
	$(BIN)/workloads bench

soak: $(VENV)/.dev core-asan ## all the long forms: workloads (SOAK_SECONDS shared), the interpreter's own tests under witness, campaign, crash proof, sweep in pairs, planted faults
	@set -e; names=$$($(BIN)/workloads list --json | $(BIN)/python -c \
	    'import json, sys; print(*[w["name"] for w in json.load(sys.stdin)])'); \
	set -- $$names; each=$$(( $(SOAK_SECONDS) / $$# )); \
	for name in $$names; do $(BIN)/workloads run $$name --cpus $(SOAK_CPUS) --seconds $$each; done
	$(BIN)/python tests/e2e/cpython_suites.py
	@mkdir -p out
	$(BIN)/faultinj campaign run whole --engine processes:$(JOBS) --db out/whole.faultinj.db --fresh
	build/core-asan/tests/core/prove/prove --all
	$(BIN)/faultinj sweep --pairs $(SOAK_PAIRS)
	PYTHONPATH=tests $(BIN)/python -m plants.hunt --jobs $(JOBS)

docs: $(VENV)/.dev ## build the documentation in docs/_build/html
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

sdist: $(VENV)/.dev ## make the source distribution in dist/
	$(BIN)/python -m build --sdist

clean: ## remove what builds and runs left; keeps .venv
	rm -rf build dist out docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	rm -f $(VENV)/.base $(VENV)/.dev

distclean: clean
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "shmalloc needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m virtualenv --version >/dev/null 2>&1; then $(PYTHON) -m virtualenv -q $(VENV); \
	else echo "$(PYTHON) cannot make virtual environments: install your system's python3-venv package," \
	    "or 'pip install virtualenv', and try again" >&2; exit 1; fi

# The base install is enough to use shmalloc. Where the dev install exists it is the one kept up to date.
$(VENV)/.base: $(NATIVE) | $(BIN)/python
	@if [ -e $(VENV)/.dev ]; then $(MAKE) --no-print-directory $(VENV)/.dev; \
	else echo "building shmalloc in $(VENV)"; $(PIP) install -e .; fi
	@touch $@

# Editable: Python sources are used where they stand, and only a changed core is compiled again, incrementally.
$(VENV)/.dev: $(NATIVE) | $(BIN)/python
	@if [ -e $@ ] && [ ! pyproject.toml -nt $@ ]; then echo "compiling shmalloc again"; \
	    $(PIP) install --no-build-isolation --no-deps -e .; \
	else echo "building shmalloc in $(VENV) with what development needs"; $(PIP) install -e '.[dev]'; fi
	@touch $@
