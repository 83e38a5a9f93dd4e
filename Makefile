# make demo    teacher -> student -> distilled -> pruned -> converted -> int8 -> engine, with a report in demo-out/
# make test    lint, types, the import rule, every test, and the gate on speed
# make lint    the first three alone
# make gate    does speed hold? kernels against what does not change with them; seconds, a minute at most
# make format  let ruff mend what it can
#
# The first call makes .venv; PYTHON=python3.12 chooses the interpreter, JOBS=4 the test processes.

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS  ?= 2

# The first interpreter that is new enough and can make a virtual environment.
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
SUITABLE   := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

# Whatever the user set: hundreds of processes import PyTorch and Numba, which take thrice as long without bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test lint style types tests bytecode gate format install clean

demo: install
	$(BIN)/sparsenet demo $(DEMO_ARGS)

test: install
	@# The checks of types take long on one core; beside them is all that comes before the tests, and their beginning.
	@$(MAKE) --no-print-directory -j3 types tests
	@$(MAKE) --no-print-directory gate

lint: style types

style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install
	$(BIN)/mypy

tests: style bytecode
	@# Tests that call make begin anew: a jobserver handed down is one more line of warnings.
	MAKEFLAGS= MFLAGS= $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Python's code of all that each test process imports, made once.
bytecode: install
	@$(BIN)/python -m pytest --collect-only -q >/dev/null 2>&1 || true # what is wrong, the tests say

gate: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest bench/gate_speed.py -q $(GATE_ARGS) \
	    || { test $$? -eq 8 && echo "the gate: too noisy to tell; repeat it on a machine that does nothing else"; }

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@for python in $(CANDIDATES); do \
	    if $$python -c '$(SUITABLE)' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "error: no Python >= 3.11 with the venv module among: $(CANDIDATES)." \
	         "Install one (on Debian: python3 and python3-venv) or name it: make PYTHON=/path/to/python" >&2; \
	    exit 1; \
	fi; \
	echo "setting up $(VENV) with $$($$found --version): once, some minutes"; \
	$$found -m venv $(VENV)
	@# Of tens of thousands of files some thousands are imported, and Python compiles those by itself.
	@$(BIN)/python -m pip install -qq --no-compile -c constraints.txt -e '.[train,onnx,bench,reproduce,cluster,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache demo-out
