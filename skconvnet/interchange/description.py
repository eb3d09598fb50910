"""What is said about a network besides its weights: by the caller, by its file, or by a file beside it."""

import json
from dataclasses import dataclass, replace

import numpy as np

from skconvnet.architecture import ARCHITECTURES
from skconvnet.architecture.binding import image_volume
from skconvnet.interchange.layouts import library_name
from skconvnet.interchange.own import check_label_size, read_labels

__all__ = ["Description", "check_count", "describe", "read_config", "read_header"]

_NO_HEAD = " without its classifier"  # behind the name of an architecture in a header
_PADDED_OTHERWISE = {"efficientnet_lite0"}  # names that mean other networks in timm
_MOST_BYTES = 2**24  # of a config.json


@dataclass(frozen=True)
class Description:
    """What is known about a network besides its weights. None: nothing is said.

    Parameters
    ----------
    architecture : str, Architecture or None
        The network.
    image_shape : tuple of int or None
        (height, width, channels).
    classes : ndarray of shape (n_classes,) or None
        The labels in the order of the scores.
    pixel_mean, pixel_scale : ndarray of float64 or None
        One number, or one for each channel; see `StoredNetwork`.
    """

    architecture: object = None
    image_shape: object = None
    classes: np.ndarray | None = None
    pixel_mean: np.ndarray | None = None
    pixel_scale: np.ndarray | None = None

    def or_else(self, other):
        """Return the description in which `other` says what this one leaves open."""
        return replace(self, **{name: value for name, value in vars(other).items() if getattr(self, name) is None})


def describe(architecture=None, image_shape=None, classes=None, pixel_mean=None, pixel_std=None):
    """Return the description of the arguments of `skconvnet.load_network`.

    Parameters
    ----------
    architecture, image_shape, classes, pixel_mean, pixel_std
        As there.

    Returns
    -------
    Description

    Raises
    ------
    ValueError
        If the labels are not a list, the image shape is none, or the pixel statistics are no numbers.

    Examples
    --------
    >>> describe(pixel_std=[0.5, 1, 2]).pixel_scale
    array([2. , 1. , 0.5])
    """
    if classes is not None:
        if isinstance(classes, list | tuple):
            check_label_size(classes)
        labels = np.asarray(classes)
        if labels.dtype.kind in "OT" and all(isinstance(label, str) for label in labels.ravel()):  # as pandas has them
            labels = labels.astype(np.str_)
        if labels.ndim != 1 or labels.dtype.kind not in "biufU":
            raise ValueError(f"classes={classes!r:.80} is not a list of strings, booleans or numbers.")
        classes = labels
    if image_shape is not None:
        is_grey = isinstance(image_shape, (list, tuple)) and len(image_shape) == 2
        image = image_volume((*image_shape, 1) if is_grey else image_shape)
        image_shape = (image.height, image.width, image.depth)
    mean = None if pixel_mean is None else _numbers("pixel_mean", pixel_mean)
    return Description(architecture, image_shape, classes, mean, _scale(pixel_std))


def check_count(classes, n_scores):
    """Raise a ValueError if there is not one label for each score; None is no labels."""
    if classes is not None and len(classes) != n_scores:
        raise ValueError(
            f"classes has {len(classes)} labels, and the network has {n_scores} scores. Pass one label for each score."
        )


def read_header(metadata):
    """Return what the header of a .safetensors file says.

    Parameters
    ----------
    metadata : dict of str to str
        Numbers and lists are in JSON.

    Returns
    -------
    Description

    Raises
    ------
    ValueError
        If an entry is not what its name says.
    """
    image_shape, mean, scale, std = (
        _json(name, metadata) for name in ("image_shape", "pixel_mean", "pixel_scale", "pixel_std")
    )
    architecture = metadata.get("architecture")
    if architecture is not None:
        architecture = architecture.removesuffix(_NO_HEAD)
        name = library_name(architecture)
        architecture = name if name in ARCHITECTURES else architecture
    said = describe(architecture, image_shape, read_labels(metadata), mean, std)
    return said if scale is None else replace(said, pixel_scale=_numbers("pixel_scale", scale))


def read_config(path):
    """Return what the config.json of timm says.

    Parameters
    ----------
    path : Path
        The file. It need not exist.

    Returns
    -------
    Description
        Nothing is said if there is no such file, or if it is not one of timm.

    Raises
    ------
    ValueError
        If the file is one of timm, and an entry is not what its name says.
    """
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return Description()
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return Description()
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        return Description()
    try:
        return _described(config)
    except ValueError as error:
        raise ValueError(f"{path.name} beside it: {error}") from error


def _described(config):
    """Return what the dictionary in a config.json of timm says."""
    architecture, of_weights = config["architecture"], config.get("pretrained_cfg") or {}
    if architecture.partition(".")[0] in _PADDED_OTHERWISE:
        raise ValueError(
            f"{architecture!r:.80} of timm pads its images in another way than the network of this name in "
            "ARCHITECTURES. Take the weights whose name begins with tf_."
        )
    if not isinstance(of_weights, dict):
        raise ValueError(f"pretrained_cfg is {of_weights!r:.80}, and not a dictionary.")
    mean, std, size, labels = (
        of_weights.get(name, config.get(name)) for name in ("mean", "std", "input_size", "label_names")
    )
    if not isinstance(size, list | None):
        raise ValueError(f"input_size is {size!r:.80}, and not a list.")
    if labels is not None and not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
        raise ValueError(f"label_names is {labels!r:.80}, and not a list of texts.")
    said = describe(library_name(architecture), size and (*size[1:], size[0]), labels, mean, std)
    of_pixels = {"pixel_mean": 255.0, "pixel_scale": 1 / 255.0}  # timm has them for pixels from 0 to 1
    return replace(
        said, **{name: getattr(said, name) * by for name, by in of_pixels.items() if getattr(said, name) is not None}
    )


def _json(name, metadata):
    if name not in metadata:
        return None
    try:
        return json.loads(metadata[name])
    except (ValueError, RecursionError):
        raise ValueError(f"its header has {name}={metadata[name]!r:.80}, and needs numbers in JSON.") from None


def _scale(std):
    if std is None:
        return None
    numbers = _numbers("pixel_std", std)
    if not (numbers > 0).all():
        raise ValueError(f"pixel_std={std!r:.80} is not positive.")
    return 1.0 / numbers


def _numbers(name, values):
    """Return finite numbers as an array of float64."""
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array(np.nan)
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(numbers.astype(np.float32)).all()
    if numbers.ndim > 1 or not is_finite:
        raise ValueError(f"{name}={values!r:.80} is neither a finite number nor a list of these, one for each channel.")
    return numbers
