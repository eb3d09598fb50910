# Every target creates what it needs, so it works on a fresh checkout.

PYTHON ?= python3
VENV ?= .venv
python := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs peers cuda bench dist wheel clean

help:   ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1 \t\2/p' $(MAKEFILE_LIST)

demo: $(VENV)/.has-package   ## install, fit scikit-learn's digits, report accuracy and times
	$(python) -m skconvnet demo

test: $(VENV)/.has-test   ## run the tests and the examples in docstrings, in two processes
	$(python) -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/.has-lint   ## run ruff and check the import contracts of setup.cfg
	$(VENV)/bin/ruff check
	$(VENV)/bin/lint-imports --no-cache

# Kernels are compiled before the examples, so that these measure themselves. A warning fails the build.
docs: $(VENV)/.has-docs   ## build the documentation into build/docs
	$(python) -m skconvnet warmup
	$(python) -m sphinx -W --keep-going docs build/docs

peers: $(VENV)/.has-peers   ## install PyTorch and the other peers, with which tests and benchmarks compare

cuda: $(VENV)/.has-cuda-test   ## install NVIDIA's compilers, so that the tests of GPU kernels run; needs no GPU

bench: $(VENV)/.has-bench   ## measure and compare with the peers; use an idle machine
	$(python) -m benchmarks.train
	$(python) -m benchmarks.infer
	$(python) -m benchmarks.infer --large
	$(python) -m benchmarks.cold
	$(python) -m benchmarks.memory
	$(python) -m benchmarks.stream
	$(python) -m benchmarks.search
	$(python) -m benchmarks.scale --plot build/bench
	$(python) -m benchmarks.accuracy_digits
	$(python) -m benchmarks.accuracy_fashion
	$(python) -m benchmarks.regression
	$(python) -m benchmarks.defaults
	$(python) -m benchmarks.score_map
	$(python) -m benchmarks.case_studies
	$(python) -m benchmarks.winograd errors
	$(python) -m benchmarks.winograd accuracy
	$(python) -m benchmarks.winograd speed
	$(python) -m benchmarks.depthwise
	$(python) -m benchmarks.cuda

dist: $(VENV)/.has-dev   ## build the source archive and the wheel into dist/
	$(python) -m build

# Only the wheel and its dependencies are on the path, so a module missing from the wheel fails here.
wheel: $(VENV)/.has-package   ## build the wheel and run it outside the checkout
	rm -rf build/wheel && $(python) -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(python) -m pip install --quiet --no-deps --target build/wheel/outside build/wheel/*.whl
	cd build/wheel/outside && PYTHONPATH=. $(abspath $(python)) -c "import skconvnet, os; \
	    assert skconvnet.__file__.startswith(os.getcwd()), skconvnet.__file__"
	cd build/wheel/outside && PYTHONPATH=. $(abspath $(python)) -m skconvnet demo
	cd build/wheel/outside && PYTHONPATH=. $(abspath $(python)) -m skconvnet demo conv

clean:   ## remove what the other targets created
	rm -rf $(VENV) dist build docs/gallery docs/reference .pytest_cache .ruff_cache .hypothesis

# One stamp per extra of pyproject.toml, so that a second run installs nothing. Installs are editable.

$(VENV)/.has-package: pyproject.toml | $(python)
	$(python) -m pip install --quiet --editable .
	@touch $@

$(VENV)/.has-%: pyproject.toml | $(python)
	$(python) -m pip install --quiet --editable '.[$*]'
	@touch $@

# If creating the environment fails, for example without ensurepip, remove it, so that the next run starts over.
$(python):
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
