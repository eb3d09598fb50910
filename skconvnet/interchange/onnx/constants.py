"""Nodes of a graph that compute constants, such as the shape of a Reshape."""

from math import prod

import numpy as np

from skconvnet.interchange.onnx.graph import MAX_NUMBERS

__all__ = ["WRONG_VALUES", "axes_of", "compute_constant", "new_shape", "squeezed", "unsqueezed", "whole_numbers"]

# What code raises to which numbers, texts or shapes of the wrong kind are given; a file may have any.
WRONG_VALUES = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
_MAX_AXES = 64  # of NumPy
_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float32, 11: np.float32, 16: np.float32}


def compute_constant(node, inputs):
    """Return the constant that a node computes from constants.

    Parameters
    ----------
    node : Node
        The node.
    inputs : list of ndarray or None
        Its inputs; None in place of one that is left out.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If the operator is not read here, or its inputs do not fit it.
    """
    if node.op not in _OPERATORS:
        raise node.refused("it computes a constant, which is only read from other operators. Simplify the graph first.")
    try:
        result = np.asarray(_OPERATORS[node.op](node, *inputs))
    except WRONG_VALUES as error:
        raise node.refused(f"its inputs do not fit it ({error})") from error
    return result


def axes_of(node, axes):
    """Return the axes of a node, which are an attribute or, in newer versions, an input."""
    found = node.attributes.get("axes") if axes is None else axes
    return None if found is None else whole_numbers(found)


def whole_numbers(numbers):
    """Return a shape, or numbers for axes, as a tuple of Python's integers; a ValueError if there are too many.

    Examples
    --------
    >>> whole_numbers(np.array([2, 3]))
    (2, 3)
    """
    numbers = np.atleast_1d(numbers)
    if numbers.size > _MAX_AXES:
        raise ValueError(f"it has {numbers.size} extents or axes, and at most {_MAX_AXES} are read")
    return tuple(int(number) for number in numbers)


def new_shape(dimensions, wanted, allow_zero=False):
    """Return the shape that Reshape gives: 0 keeps a dimension, and -1 is what remains.

    Examples
    --------
    >>> new_shape((2, 3, 4), (0, -1))
    (2, 12)
    """
    wanted = whole_numbers(wanted)
    shape = list(wanted)
    if not allow_zero:
        shape = [dimensions[axis] if extent == 0 else extent for axis, extent in enumerate(shape)]
    size = prod(dimensions)
    if shape.count(-1) == 1:
        others = -prod(shape)
        shape[shape.index(-1)] = size // others if others else 0
    if min(shape, default=1) < 0 or prod(shape) != size:
        raise ValueError(f"the shape {dimensions} does not become {wanted}")
    return tuple(shape)


def squeezed(dimensions, axes):
    """Return a shape without the axes of length 1, or without those given."""
    if axes is None:
        axes = [axis for axis, extent in enumerate(dimensions) if extent == 1]
    dropped = {range(len(dimensions))[axis] for axis in axes}
    if any(dimensions[axis] != 1 for axis in dropped):
        raise ValueError(f"axes {tuple(axes)} of the shape {dimensions} do not all have the length 1")
    return tuple(extent for axis, extent in enumerate(dimensions) if axis not in dropped)


def unsqueezed(dimensions, axes):
    """Return a shape with new axes of length 1, whose places are those in the result."""
    n = len(dimensions) + len(axes)
    added = {range(n)[axis] for axis in axes}
    if len(added) != len(axes):
        raise ValueError(f"the axes {tuple(axes)} are not different")
    old = iter(dimensions)
    return tuple(1 if axis in added else next(old) for axis in range(n))


def _constant(node):
    values = [node.attributes[name] for name in ("value", "value_float", "value_floats") if name in node.attributes]
    if values:
        return np.asarray(values[0]) if isinstance(values[0], np.ndarray) else np.asarray(values[0], np.float32)
    return np.asarray(node.attributes.get("value_int", node.attributes.get("value_ints")), np.int64)


def _constant_of_shape(node, shape):
    shape = whole_numbers(shape)
    value = node.attributes.get("value", np.zeros(1, np.float32))
    if min(shape, default=1) < 0 or prod(shape) > MAX_NUMBERS:
        raise ValueError(f"the shape {shape} is too large")
    return np.broadcast_to(value.reshape(()), shape)  # one number in memory, whatever the shape


def _cast(node, array):
    return array.astype(_TYPES[node.attributes["to"]])


def _transpose(node, array):
    return array.transpose(node.attributes.get("perm"))


def _gather(node, array, indices):
    _check_size(prod(indices.shape) * (array.size // max(1, array.shape[0])))
    return np.take(array, indices.astype(np.int64), axis=node.attributes.get("axis", 0))


def _concat(node, *arrays):
    _check_size(sum(array.size for array in arrays))
    return np.concatenate(arrays, axis=node.attributes.get("axis", 1))


def _slice(node, array, starts=None, ends=None, axes=None, steps=None):
    given = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    given = {name: node.attributes.get(name) if value is None else value for name, value in given.items()}
    given = {name: value if value is None else whole_numbers(value) for name, value in given.items()}
    n = len(given["starts"])
    axes = range(n) if given["axes"] is None else given["axes"]
    steps = [1] * n if given["steps"] is None else given["steps"]
    chosen = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, given["starts"], given["ends"], steps, strict=True):
        chosen[axis] = slice(start, end, step)
    return array[tuple(chosen)]


def _arithmetic(function):
    def compute(node, a, b):
        if "O" in (a.dtype.kind, b.dtype.kind):  # Python would join texts, and repeat them
            raise ValueError("texts are no numbers")
        _check_size(prod(np.broadcast_shapes(a.shape, b.shape)))
        return function(a, b).astype(a.dtype)

    return compute


def _divide(a, b):
    if a.dtype.kind in "iu":
        return np.sign(a) * np.sign(b) * (np.abs(a) // np.maximum(np.abs(b), 1))  # ONNX rounds towards zero
    with np.errstate(all="ignore"):
        return a / b


def _check_size(size):
    if size > MAX_NUMBERS:
        raise ValueError(f"the result has {size} numbers, and at most {MAX_NUMBERS} are read")


_OPERATORS = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Identity": lambda node, array: array,
    "Cast": _cast,
    "Transpose": _transpose,
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Reshape": lambda node, array, shape: array.reshape(
        new_shape(array.shape, shape, node.attributes.get("allowzero"))
    ),
    "Squeeze": lambda node, array, axes=None: array.reshape(squeezed(array.shape, axes_of(node, axes))),
    "Unsqueeze": lambda node, array, axes=None: array.reshape(unsqueezed(array.shape, axes_of(node, axes))),
    "Add": _arithmetic(np.add),
    "Sub": _arithmetic(np.subtract),
    "Mul": _arithmetic(np.multiply),
    "Div": _arithmetic(_divide),
}
