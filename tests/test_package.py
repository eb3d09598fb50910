"""What importing the package costs, and its public names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import skconvnet
import skconvnet.inspection

API_PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def imported_modules(statement):
    """The top-level names of the modules that a fresh process has imported after `statement`."""
    command = [sys.executable, "-c", f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_does_not_import_numba():
    modules = imported_modules("import skconvnet")
    assert "skconvnet" in modules
    assert not modules & {"numba", "llvmlite", "torch", "PIL"}


def test_checking_a_grid_does_not_import_numba():
    call = (
        "valid_param_grid(ConvNetClassifier(), {'F': [3]}, (8, 8), 10, max_params=1e9, max_memory=1e9, max_flops=1e9)"
    )
    modules = imported_modules(f"from skconvnet import *; {call}")
    assert "skconvnet" in modules
    assert not modules & {"numba", "llvmlite"}


_SKIPPED = """
import pytest

pytest.importorskip("no_such_module", reason="needs the extra skconvnet[cuda]")
"""
_PARTLY_SKIPPED = """
import pytest

def test_a_kernel():
    pytest.importorskip("no_such_module", reason="needs the extra skconvnet[cuda]")

def test_something_else():
    pytest.importorskip("no_such_module", reason="needs something else")
"""


@pytest.mark.parametrize("source", [_SKIPPED, _PARTLY_SKIPPED], ids=["module", "test"])
def test_continuous_integration_fails_if_the_tests_of_kernels_are_skipped(tmp_path, source):
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_configure\n")
    (tmp_path / "test_kernels.py").write_text(source)
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTEST_ADDOPTS": ""}

    def run(required):
        settings = environment | {"SKCONVNET_REQUIRE_CUDA": required}
        return subprocess.run(command, capture_output=True, text=True, env=settings, cwd=tmp_path)

    assert run("").returncode in (0, 5)  # 5: no tests
    failed = run("1")
    assert failed.returncode in (1, 2)
    assert "run `make cuda`" in failed.stdout
    assert "needs the extra skconvnet[cuda]" in failed.stdout
    assert "something else" not in failed.stdout
    assert "SKCONVNET_REQUIRE_CUDA=1" in (root / ".ci" / "run").read_text()


@pytest.mark.parametrize("module", [skconvnet, skconvnet.inspection, skconvnet.model_selection])
def test_public_names_are_on_the_api_page(module):
    page = API_PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^   (?:\w+\.)?(\w+)$|^\.\. data:: (\w+)$", page, re.MULTILINE)
    assert set(module.__all__) <= {name or data for name, data in listed}


def test_every_public_name_is_documented():
    assert [name for name in skconvnet.__all__ if not getattr(skconvnet, name).__doc__] == []


def test_the_version_has_the_form_of_a_release():
    assert re.fullmatch(r"\d+\.\d+\.\d+([.a-z]+\d*)?", skconvnet.__version__)
