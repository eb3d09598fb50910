"""The page of the convolution demo: one file of HTML, with style, scripts and data inside."""

import json
from importlib.resources import files
from numbers import Integral
from string import Template

from skconvnet.architecture import ArchitectureError
from skconvnet.architecture.binding import image_volume
from skconvnet.architecture.errors import shown
from skconvnet.demo.data import LARGEST, convolution_data, notation_data

# In this order: a script uses names of those before it when it is loaded.
_SCRIPTS = ("errors", "notation", "layers", "binding", "summary", "convolution", "boxes", "network", "page")


def convolution_page(image_shape=(7, 7, 3), *, K=2, F=3, S=2, P=1, seed=0):
    """Return the convolution demo as one page of HTML.

    It needs no other file and no network. A reader steps the window of a CONV layer over its input, and sees the
    products, their sum and the size of the output; and types networks in the notation, and sees their volumes.

    Parameters
    ----------
    image_shape : tuple of int, default=(7, 7, 3)
        (height, width, channels) of the input volume that is shown first.
    K, F, S, P : int
        Number of filters, their extent, the stride and the zero-padding that are shown first.
    seed : int, default=0
        Determines the numbers of the input volume and of the filters, which are small whole numbers.

    Returns
    -------
    str
        The page.

    Raises
    ------
    ArchitectureError
        If a number is not whole, or larger than the page can show.

    Examples
    --------
    >>> from pathlib import Path
    >>> page = convolution_page((5, 5, 1), K=1, S=1)
    >>> Path("convolution-demo.html").write_text(page, encoding="utf-8")  # doctest: +SKIP
    """
    volume = image_volume(image_shape)
    settings = {"W": volume.width, "H": volume.height, "D": volume.depth, "F": F, "S": S, "P": P, "K": K}
    settings = {letter: _checked(letter, value) for letter, value in settings.items()}
    data = notation_data() | {"convolution": convolution_data(settings, seed)}
    return Template(_read("page.html")).substitute(
        style=_read("style.css"),
        # "<" is escaped, since a text that ends a script would end it
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        scripts="\n".join(_read(f"scripts/{name}.js") for name in _SCRIPTS),
    )


def _checked(letter, value):
    """Return a setting as an int, or raise ArchitectureError if the page cannot show it."""
    lowest, largest = 0 if letter == "P" else 1, LARGEST[letter]
    if isinstance(value, Integral) and not isinstance(value, bool) and lowest <= value <= largest:
        return int(value)
    raise ArchitectureError(
        f"in the demo, {letter} must be a whole number from {lowest} to {largest}, got {shown(value)}"
    )


def _read(name):
    return files("skconvnet.demo").joinpath(name).read_text(encoding="utf-8")
