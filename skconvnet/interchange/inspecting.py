"""Tell what a file of a network holds, without executing anything in it."""

import os
from contextlib import suppress
from pathlib import Path

from skconvnet.interchange.packages import PACKAGES, find_weights
from skconvnet.interchange.reading import printable, read_network, read_weights

__all__ = ["inspect_file"]

_MOST_ARRAYS, _MOST_CLASSES, _WIDTH = 20, 10, 100


def inspect_file(path):
    """Describe the content of a file.

    Parameters
    ----------
    path : str or os.PathLike
        A file that `skconvnet.load_network` may read, or the name of an installed package of weights.

    Returns
    -------
    str
        Header, network, images, classes and volumes. If it is no network that can be loaded, the reason, and the arrays
        that it has.

    Raises
    ------
    ValueError
        If the file is of no known format.
    """
    file = find_weights(path) if path in PACKAGES and not Path(path).is_file() else Path(path)
    try:
        stored = read_network(path)
    except ValueError as error:
        if not file.is_file():
            raise
        if file.suffix == ".onnx":  # perhaps it only leaves open how pixels are standardised
            stored = read_network(path, pixel_mean=0, pixel_std=1)
            return "\n".join([*_head(file, None), *_network(stored), str(error)])
        with suppress(ValueError):  # not even its arrays can be read
            content = read_weights(file)
            return "\n".join([*_head(file, content), *_arrays(content.arrays), str(error)])
        raise
    content = None if file.suffix == ".onnx" else read_weights(file)
    return "\n".join([*_head(file, content), *_network(stored)])


def _head(file, content):
    yield f"{os.fspath(file)}: {file.stat().st_size:,} bytes"
    for name, text in sorted(content.metadata.items() if content else ()):
        yield f"  {name}: {_short(text)}"


def _arrays(arrays):
    n_numbers = sum(array.size for array in arrays.values())
    yield f"{len(arrays)} arrays with {n_numbers:,} numbers"
    for name, array in sorted(arrays.items())[:_MOST_ARRAYS]:
        yield f"  {_short(name)}: {array.dtype} {array.shape}"
    if len(arrays) > _MOST_ARRAYS:
        yield f"  and {len(arrays) - _MOST_ARRAYS} more"


def _network(stored):
    bound = stored.architecture
    height, width, channels = bound.image_shape
    yield f"images of {height} x {width} pixels with {channels} channel{'s' * (channels != 1)}"
    yield f"pixels from 0 to 255, minus {_numbers(stored.pixel_mean)}, times {_numbers(stored.pixel_scale)}"
    yield _outputs(stored)
    yield str(bound.summary())


def _outputs(stored):
    if not stored.has_classifier:
        return "no classifier: the last layer has zeros"
    if stored.outputs == "labels":
        return f"{stored.architecture.n_classes} labels, of which an image may have several"
    if stored.outputs == "numbers":
        count = len(stored.target_mean)
        return (
            f"{count} number{'s' * (count != 1)}: outputs times {_numbers(stored.target_scale[:_MOST_CLASSES])}, plus "
            f"{_numbers(stored.target_mean[:_MOST_CLASSES])}"
        )
    labels = stored.classes
    more = ", ..." if len(labels) > _MOST_CLASSES else ""
    return f"{len(labels)} classes: {_short(', '.join(map(str, labels[:_MOST_CLASSES])))}{more}"


def _numbers(values):
    return ", ".join(f"{value:.6g}" for value in values)


def _short(text):
    """Return a text in one line."""
    line = printable(text[: _WIDTH + 1]).replace("\n", " ")
    return line if len(text) <= _WIDTH else f"{line[:_WIDTH]}..."
