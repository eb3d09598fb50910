"""The layout of skconvnet itself: the learned arrays by number, and all else that a network needs in the header."""

import json
from contextlib import suppress

import numpy as np

from skconvnet.engine import Learned
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters, learning_layers
from skconvnet.interchange.safetensors import write_safetensors
from skconvnet.interchange.texts import general_text
from skconvnet.interchange.weights import Wanted

__all__ = ["check_label_size", "is_own", "read_labels", "read_outputs", "wanted_of_own", "write_network"]

_FORMAT = "skconvnet network 1"
_DTYPES = {np.dtype(code).str: code for code in "?bBhHiIlLqQefd"}  # of labels that are no strings
_LABELS = (str, bool, int, float)
_MOST_CHARACTERS = 2**24  # of all labels, in an array that has room for the longest everywhere
_GROUPS = ("coefs", "intercepts", "norm_means", "norm_variances")


def write_network(stored):
    """Return the content of a .safetensors file with a network.

    Parameters
    ----------
    stored : StoredNetwork
        The network.

    Returns
    -------
    bytes

    Raises
    ------
    ImportError
        If the library safetensors is not installed.
    ValueError
        If the labels are neither numbers, booleans nor texts.
    """
    metadata = {
        "format": _FORMAT,
        "architecture": general_text(stored.architecture),
        "image_shape": json.dumps(stored.architecture.image_shape),
        "rounding": stored.architecture.rounding,
        "pixel_mean": json.dumps(stored.pixel_mean.tolist()),
        "pixel_scale": json.dumps(stored.pixel_scale.tolist()),
        **_said_of_outputs(stored),
    }
    arrays = {
        _key(group, number): array
        for group, arrays in zip(_GROUPS, stored.learned, strict=True)
        for number, array in enumerate(arrays)
        if array.size
    }
    return write_safetensors(arrays, metadata)


def _said_of_outputs(stored):
    """Return what the header says about the outputs: the classes, the number of labels, or the mean and the scale."""
    if stored.outputs == "labels":
        return {"n_labels": json.dumps(stored.architecture.n_classes)}
    if stored.outputs == "numbers":
        return {name: json.dumps(getattr(stored, name).tolist()) for name in ("target_mean", "target_scale")}
    labels = stored.classes.tolist()
    if not all(isinstance(label, _LABELS) for label in labels):
        raise ValueError(
            f"The labels have dtype {stored.classes.dtype}, such as {stored.classes[0]!r}, and the file has only "
            "numbers of up to 64 bits, booleans and texts. Fit with labels of one of these types."
        )
    return {"classes": json.dumps(labels), "classes_dtype": stored.classes.dtype.str}


def is_own(file):
    """Return whether a `WeightsFile` has this layout."""
    return any(key.startswith("coefs.") for key in file.arrays) and "architecture" in file.metadata


def wanted_of_own(bound):
    """Return the arrays that a network needs from a file of this layout.

    Parameters
    ----------
    bound : BoundArchitecture
        The network.

    Returns
    -------
    Learned of lists of Wanted or None
    """
    layers = [layer.name for layer in learning_layers(bound)]
    norms = [layer.name for layer in learning_layers(bound) if layer.kind == "NORM" and layer.mode == "batch"]
    shapes = lay_out_parameters(bound, CPU).shapes
    return Learned(
        *(
            [
                Wanted(name, _key(group, number), (shape,)) if shape != (0,) else None
                for number, (name, shape) in enumerate(zip(names, shapes_of_group, strict=True))
            ]
            for group, names, shapes_of_group in zip(_GROUPS, (layers, layers, norms, norms), shapes, strict=True)
        )
    )


def _key(group, number):
    return f"{group}.{number:02}"


def read_labels(metadata):
    """Return the labels in a header.

    Parameters
    ----------
    metadata : dict of str to str
        "classes" is a list in JSON; "classes_dtype", if it is there, the dtype of the labels.

    Returns
    -------
    ndarray of shape (n_classes,), or None
        None if the header has no list of labels.

    Raises
    ------
    ValueError
        If they are not labels of one type.

    Examples
    --------
    >>> read_labels({"classes": "[false, true]"})
    array([False,  True])
    """
    try:
        values = json.loads(metadata["classes"])
    except (KeyError, ValueError, RecursionError):  # a description in words
        return None
    kinds = {type(value) for value in values} if isinstance(values, list) else set()
    dtype = metadata.get("classes_dtype", "")
    if len(kinds) == 1 and kinds <= {*_LABELS}:
        check_label_size(values)
        with suppress(OverflowError):
            labels = np.array(values, _DTYPES.get(dtype))
            if labels.dtype.kind in "biufU" and labels.tolist() == values:  # neither rounded nor NaN
                return labels
    raise ValueError(f"its header has the classes {metadata['classes']:.80}, which are not labels of one type {dtype}.")


def read_outputs(metadata):
    """Return what a header says about outputs that are no classes.

    Parameters
    ----------
    metadata : dict of str to str
        Values in JSON.

    Returns
    -------
    n_outputs : int or None
        None: nothing is said, so that the outputs are classes.
    target_mean, target_scale : ndarray of float64, shape (n_outputs,), or None
        As `StoredNetwork` has them.

    Raises
    ------
    ValueError
        If an entry is not what its name says.

    Examples
    --------
    >>> read_outputs({"n_labels": "3"})
    (3, None, None)
    """
    names = [name for name in ("n_labels", "target_mean", "target_scale") if name in metadata]
    if not names:
        return None, None, None
    try:
        values = [json.loads(metadata[name]) for name in names]
        if names == ["n_labels"] and type(values[0]) is int and values[0] >= 2:
            return values[0], None, None
        mean, scale = (np.array(numbers, np.float64) for numbers in values)
        is_valid = mean.ndim == 1 and mean.shape == scale.shape and mean.size > 0 and (scale > 0).all()
        if names[0] == "target_mean" and is_valid and np.isfinite([mean, scale]).all():
            return len(mean), mean, scale
    except (ValueError, TypeError, OverflowError, RecursionError):
        pass
    raise ValueError(
        f"its header has {' and '.join(f'{name}={metadata[name]:.80}' for name in names)}, and needs the number of "
        "labels, or the mean and the positive scale of each output."
    )


def check_label_size(values):
    """Raise a ValueError if the array of these labels would be far larger than the list, as with one very long label.

    Parameters
    ----------
    values : list
        The labels.
    """
    longest = max((len(value) for value in values if isinstance(value, str)), default=0)
    if len(values) * longest > _MOST_CHARACTERS:
        raise ValueError(
            f"it has {len(values):,} classes with names of up to {longest:,} characters, and all together may have "
            f"{_MOST_CHARACTERS:,}. Give shorter names."
        )
