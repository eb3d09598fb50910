"""Read a network from a file, whichever format and layout it has."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skconvnet.architecture import ArchitectureError, find_architecture
from skconvnet.interchange.own import read_labels, wanted_of_own
from skconvnet.interchange.safetensors import read_safetensors
from skconvnet.interchange.stored import StoredNetwork, sort_classes
from skconvnet.interchange.weights import collect

__all__ = ["read_network"]


@dataclass(frozen=True)
class Description:
    """What is said about a network besides its weights: by the caller, by the file, or by what is usual.

    Parameters
    ----------
    architecture : str, Architecture or None
        The network. None, as below: nothing is said.
    image_shape : tuple of int or None
        (height, width, channels).
    classes : ndarray of shape (n_classes,) or None
        The labels in the order of the scores.
    pixel_mean, pixel_scale : array-like of float or None
        A number, or one for each channel.
    """

    architecture: object = None
    image_shape: object = None
    classes: object = None
    pixel_mean: object = None
    pixel_scale: object = None

    def or_else(self, other):
        """Return the description in which `other` says what this one leaves open."""
        return replace(self, **{name: value for name, value in vars(other).items() if getattr(self, name) is None})


def read_network(
    path,
    *,
    architecture=None,
    image_shape=None,
    classes=None,
    pixel_mean=None,
    pixel_std=None,
    channel_order="rgb",
    layout="auto",
):
    """Read a network from a file. Nothing in the file is executed.

    Parameters
    ----------
    path, architecture, image_shape, classes, pixel_mean, pixel_std, channel_order, layout
        As in `skconvnet.load_network`.

    Returns
    -------
    StoredNetwork
        Its classes are sorted.

    Raises
    ------
    ImportError
        If a library that the format needs is not installed.
    ValueError
        If the file is not a network, or not one that fits the other arguments.
    """
    given = Description(architecture, image_shape, _labels(classes), pixel_mean, _scale(pixel_std))
    try:
        file = _read_weights(path)
        return sort_classes(_stored(file, given.or_else(_header(file.metadata))))
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)!r} cannot be loaded: {error}") from error


def _read_weights(path):
    path = Path(path)
    if not path.is_file():  # opening a FIFO would wait for a writer
        raise ValueError("there is no such file. Give the path of a .safetensors file.")
    return read_safetensors(path.read_bytes())


def _header(metadata):
    """Return what the header of a file says."""
    said = {}
    for name in ("image_shape", "pixel_mean", "pixel_scale", "pixel_std"):
        if name in metadata:
            try:
                said[name] = json.loads(metadata[name])
            except ValueError:
                raise ValueError(f"its header has {name}={metadata[name]!r:.80}, and needs numbers in JSON.") from None
    if "pixel_std" in said:
        said["pixel_scale"] = _scale(said.pop("pixel_std"))
    return Description(metadata.get("architecture"), classes=read_labels(metadata), **said)


def _stored(file, description):
    """Return the network of a file with a description."""
    wanted_of = wanted_of_own
    for name in ("architecture", "image_shape", "classes", "pixel_mean", "pixel_scale"):
        if getattr(description, name) is None:
            raise ValueError(f"it does not say its {name}. Pass {name.replace('scale', 'std')}.")
    classes = description.classes
    architecture = find_architecture(description.architecture, description.image_shape)
    bound = _bind(architecture, description.image_shape, len(classes))
    learned = collect(wanted_of(bound), file.arrays)
    pixels = [
        _per_channel(name, getattr(description, name), bound.image_shape[2]) for name in ("pixel_mean", "pixel_scale")
    ]
    return StoredNetwork(bound, learned, classes, *pixels)


def _bind(architecture, image_shape, n_classes):
    """Bind an architecture; an error about the number of classes is told as one about their labels."""
    try:
        return architecture.bind(image_shape, n_classes)
    except ArchitectureError:
        n_scores = architecture.bind(image_shape).n_classes
        if n_scores != n_classes:
            raise ValueError(
                f"classes has {n_classes} labels, and the network has {n_scores} scores. Pass one label for each score."
            ) from None
        raise


def _labels(classes):
    """Return the labels that a caller gives as an array."""
    if classes is None:
        return None
    labels = np.asarray(classes)
    if labels.ndim != 1 or labels.dtype.kind not in "biufU":
        raise ValueError(f"classes={classes!r:.80} is not a list of strings, booleans or numbers.")
    return labels


def _scale(std):
    """Return the factors of pixels from their standard deviations."""
    if std is None:
        return None
    numbers = _numbers("pixel_std", std)
    if not (numbers > 0).all():
        raise ValueError(f"pixel_std={std!r:.80} is not positive.")
    return 1.0 / numbers


def _numbers(name, values):
    """Return numbers as an array of float64."""
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={values!r:.80} is not a number, nor one for each channel.") from None


def _per_channel(name, values, channels):
    """Return one finite float32 for each channel."""
    numbers = _numbers(name, values)
    if numbers.ndim > 1 or numbers.size not in (1, channels) or not np.isfinite(numbers.astype(np.float32)).all():
        raise ValueError(f"{name}={values!r:.80} is not a finite number, nor one for each of {channels} channels.")
    return np.array(np.broadcast_to(numbers.ravel(), channels), np.float32)
