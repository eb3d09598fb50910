"""Named arrays of a file, and how they become the learned arrays of a network. They are matched by name."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from skconvnet.engine import Learned

__all__ = ["Wanted", "WeightsFile", "as_float32", "collect", "file_differences"]

_MOST_LINES = 8  # of an error


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """What a file of weights holds.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Floating-point numbers are float32. Others are as they are in the file.
    metadata : dict of str to str
        What the file says about itself.
    """

    arrays: dict
    metadata: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """An array that a network needs.

    Parameters
    ----------
    layer : str
        The name of the layer that learned it.
    key : str
        Its name in the file.
    shapes : tuple of tuple of int
        The shapes that it may have in the file.
    convert : callable, optional
        Takes an array of such a shape, and returns it as `Learned` has it.
    """

    layer: str
    key: str
    shapes: tuple
    convert: Callable = np.asarray


def as_float32(data, dtype):
    """Return the numbers in a buffer, floating-point numbers as float32.

    Parameters
    ----------
    data : buffer
        The bytes.
    dtype : str
        A dtype of NumPy, or "bf16": the upper halves of float32.

    Returns
    -------
    ndarray of shape (n,)
        Float32. Another dtype if the numbers are whole numbers or booleans.

    Examples
    --------
    >>> as_float32(np.array([0x3F80, 0xC000], "<u2").tobytes(), "bf16")
    array([ 1., -2.], dtype=float32)
    """
    if dtype == "bf16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype(np.float32, copy=False)
    numbers = np.frombuffer(data, dtype)
    if numbers.dtype.kind != "f":
        return numbers
    with np.errstate(over="ignore"):  # infinity is refused where the array is used
        return numbers.astype(np.float32, copy=False)


def file_differences(wanted, arrays, ignored=frozenset()):
    """Return how the arrays of a file differ from those that a network needs, in lines of text.

    Parameters
    ----------
    wanted : Learned of lists of Wanted or None
        What the network needs. None where a layer has no such numbers.
    arrays : dict of str to ndarray
        The arrays of the file.
    ignored : set of str
        Names of arrays that no layer needs.

    Returns
    -------
    list of str
        Missing arrays and wrong shapes by layer, and the arrays of no layer.
    """
    lines, known = [], set(ignored)
    for one in _each(wanted):
        known.add(one.key)
        needed = " or ".join(map(str, one.shapes))
        if one.key not in arrays:
            lines.append(f"{one.layer}: {one.key} of shape {needed} is missing")
        elif arrays[one.key].shape not in one.shapes:
            lines.append(f"{one.layer}: {one.key} has the shape {arrays[one.key].shape}, and needs {needed}")
    return lines + [f"{key} of shape {arrays[key].shape} belongs to no layer" for key in arrays if key not in known]


def collect(bound, wanted, arrays, ignored=frozenset()):
    """Return the learned arrays of a network from those of a file.

    Parameters
    ----------
    bound : BoundArchitecture
        The network, for errors.
    wanted : Learned of lists of Wanted or None
        What the network needs. None where a layer has no such numbers.
    arrays : dict of str to ndarray
        The arrays of the file.
    ignored : set of str
        Names of arrays that no layer needs.

    Returns
    -------
    Learned
        New arrays.

    Raises
    ------
    ValueError
        If arrays are missing, have another shape or belong to no layer, if numbers are quantised or not finite, or if
        variances are negative.
    """
    lines = file_differences(wanted, arrays, ignored)
    if lines:
        shown, more = lines[:_MOST_LINES], len(lines) - _MOST_LINES
        if more > 0:
            shown.append(f"and {more} more")
        raise ValueError(
            f"its arrays are not those of this network for images of shape {bound.image_shape}:\n    "
            + "\n    ".join(shown)
        )
    for one in _each(wanted):
        _check_numbers(one, arrays[one.key])
    for one in filter(None, wanted.variances):
        if (arrays[one.key] < 0).any():
            raise ValueError(f"{one.layer}: {one.key} has negative variances. Give an intact file.")
    return Learned(*([_converted(one, arrays) for one in group] for group in wanted))


def _each(wanted):
    return (one for group in wanted for one in group if one is not None)


def _check_numbers(one, array):
    if array.dtype != np.float32:
        raise ValueError(
            f"{one.layer}: {one.key} has numbers of the type {array.dtype}. Quantised weights are not read: give a "
            "file with floating-point numbers."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{one.layer}: {one.key} has NaN or infinity in float32. Give an intact file.")


def _converted(one, arrays):
    if one is None:
        return np.zeros(0, np.float32)
    return np.array(one.convert(arrays[one.key]), np.float32, order="C")  # a copy: a view would keep the whole file
