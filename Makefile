# Everything runs in .venv, which is made on first use. Needs: Python >= 3.11 with venv, make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# On all cores. Neighbours in a file share what they have computed, so a worker gets a row of them.
PYTEST := $(BIN)/pytest -q -n auto --dist worksteal
# What breaks most often and is tested in seconds: reading, the evaluator, mapping and its models, the command line.
QUICK := tests/cli/test_commands.py tests/cli/test_printing.py tests/evaluator/test_grid.py tests/evaluator/test_hand.py \
  tests/evaluator/test_mutations.py tests/formulations/test_mapping.py::test_enumeration_cpsat_and_ilp_agree \
  tests/mapping/test_mapping.py tests/network tests/report/test_grid.py tests/test_boundaries.py \
  tests/files/test_names.py tests/test_profile.py tests/mapping/test_shortage.py

.PHONY: demo check test lint compiled ready check-slow clean

# ResNet-50, from the ONNX graph that the onnx package ships, on the default chip.
demo: $(VENV)/.run
	@mkdir -p out
	@graph=$$($(BIN)/python -c 'import importlib.util as u; print(u.find_spec("onnx").submodule_search_locations[0])') \
	  && graph="$$graph/backend/test/data/light/light_resnet50.onnx" \
	  && echo "spatem solve $$graph -o out/resnet50.json" \
	  && $(BIN)/spatem solve "$$graph" -o out/resnet50.json
	$(BIN)/spatem evaluate out/resnet50.json

# For a first try: the code as it is written, its types, and the quick tests; under a minute.
check: ready
	@echo "quick tests: reading, evaluator, mapping, command line; 'make test' runs all but the slow ones"
	$(PYTEST) $(QUICK)

# Everything but the slow tests, doctests included.
test: ready
	@echo "all tests but the slow ones, on all cores; 'make check-slow' runs those"
	$(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# The event replay by numba, on a core beside mypy where it is not compiled yet.
compiled: $(VENV)/.dev
	@$(BIN)/python -c 'from spatem_opt.evaluator import prepare; prepare()'

ready: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j2 lint compiled

# Alone and one after the other: they measure time.
check-slow: $(VENV)/.dev
	$(BIN)/pytest -q -m slow -o faulthandler_timeout=3600

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .hypothesis

# What running needs; again when the dependencies change.
$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# What developing needs on top.
$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,plot]'
	@touch $@
