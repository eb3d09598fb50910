# The vocabulary of this project. Every target makes what it needs, so each works on a fresh checkout.

PYTHON ?= python3
VENV ?= .venv
python := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint peers bench dist wheel clean

help:   ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1 \t\2/p' $(MAKEFILE_LIST)

demo: $(VENV)/.has-package   ## install, then fit scikit-learn's digits and report accuracy and times
	$(python) -m skconvnet demo

test: $(VENV)/.has-test   ## the tests, and the examples in the docstrings
	$(python) -m pytest

lint: $(VENV)/.has-lint   ## ruff and the layering contracts of setup.cfg
	$(VENV)/bin/ruff check
	$(VENV)/bin/lint-imports --no-cache

peers: $(VENV)/.has-peers   ## install PyTorch and the other peers, for `make test` and `make bench` to compare with

bench: $(VENV)/.has-bench   ## accuracy and speed side by side with the peers, on a machine that does nothing else
	$(python) -m benchmarks.train
	$(python) -m benchmarks.infer
	$(python) -m benchmarks.infer --large
	$(python) -m benchmarks.cold
	$(python) -m benchmarks.memory
	$(python) -m benchmarks.search
	$(python) -m benchmarks.scale --plot build/bench
	$(python) -m benchmarks.accuracy_digits
	$(python) -m benchmarks.accuracy_fashion
	$(python) -m benchmarks.defaults
	$(python) -m benchmarks.score_map
	$(python) -m benchmarks.case_studies

dist: $(VENV)/.has-dev   ## build the source archive and the wheel into dist/
	$(python) -m build

# The wheel stands on the path alone with its dependencies: what it forgot to pack is missed here.
wheel: $(VENV)/.has-package   ## build the wheel, and run it outside the checkout
	rm -rf build/wheel && $(python) -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(python) -m pip install --quiet --no-deps --target build/wheel/outside build/wheel/*.whl
	cd build/wheel/outside && PYTHONPATH=. $(abspath $(python)) -c "import skconvnet, os; \
	    assert skconvnet.__file__.startswith(os.getcwd()), skconvnet.__file__"
	cd build/wheel/outside && PYTHONPATH=. $(abspath $(python)) -m skconvnet demo

clean:   ## remove what the other targets made
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache .hypothesis

# One stamp an extra of pyproject.toml, so that a second run installs nothing. The install is editable: code that
# changes is code that runs.

$(VENV)/.has-package: pyproject.toml | $(python)
	$(python) -m pip install --quiet --editable .
	@touch $@

$(VENV)/.has-%: pyproject.toml | $(python)
	$(python) -m pip install --quiet --editable '.[$*]'
	@touch $@

# A half-made environment (no ensurepip, say) is removed, so that the next try starts afresh.
$(python):
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
