# Everything runs in .venv, which is made on first use. Needs: Python >= 3.11 with venv, make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check-slow clean

# ResNet-50, from the ONNX graph that the onnx package ships, on the default chip.
demo: $(VENV)/.run
	@mkdir -p out
	@graph=$$($(BIN)/python -c 'import importlib.util as u; print(u.find_spec("onnx").submodule_search_locations[0])') \
	  && graph="$$graph/backend/test/data/light/light_resnet50.onnx" \
	  && echo "spatem solve $$graph -o out/resnet50.json" \
	  && $(BIN)/spatem solve "$$graph" -o out/resnet50.json
	$(BIN)/spatem evaluate out/resnet50.json

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q

check-slow: $(VENV)/.dev
	$(BIN)/pytest -q -m slow

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
