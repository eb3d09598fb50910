"""Read a network from a file, whichever format and layout it has."""

import os
import warnings
from pathlib import Path

import numpy as np

from skconvnet.architecture import Hyperparameters, find_architecture
from skconvnet.architecture.errors import did_you_mean
from skconvnet.interchange.description import Description, check_count, describe, read_config, read_header
from skconvnet.interchange.layouts import LAYOUTS
from skconvnet.interchange.matching import read_torch
from skconvnet.interchange.onnx.reader import read_onnx
from skconvnet.interchange.own import is_own, read_outputs, wanted_of_own
from skconvnet.interchange.packages import PACKAGES, find_weights
from skconvnet.interchange.pytorch import is_pytorch, read_pytorch
from skconvnet.interchange.safetensors import read_safetensors
from skconvnet.interchange.stored import StoredNetwork, reverse_channels, sort_classes
from skconvnet.interchange.weights import collect

__all__ = ["printable", "read_network", "read_weights"]

_OWN = "skconvnet"
_ORDERS = ("rgb", "bgr")
_MOST_BYTES = 2**32
# The mean and standard deviation of ImageNet's pixels, which the libraries of PyTorch use; but some weights are from
# TensorFlow.
_IMAGENET = describe(pixel_mean=[123.675, 116.28, 103.53], pixel_std=[58.395, 57.12, 57.375])
_OTHERS = {  # by layout, or by architecture
    "efficientnet_pytorch": describe(pixel_mean=127, pixel_std=128),
    "googlenet_torchvision": describe(pixel_mean=127.5, pixel_std=127.5),  # its transform_input=True
}


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
        Its classes are sorted, and it takes RGB.

    Raises
    ------
    ImportError
        If a library that the format needs is not installed.
    ValueError
        If the file is not a network, or not one that fits the other arguments.
    """
    _check_choice("channel_order", channel_order, _ORDERS)
    _check_choice("layout", layout, ("auto", _OWN, *LAYOUTS))
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path={path!r:.80} is not the path of a file. Give a text or a Path.")
    given = describe(architecture, image_shape, classes, pixel_mean, pixel_std)
    _warn_of_small_pixels("pixel_mean and pixel_std standardise", given.pixel_mean, given.pixel_scale, 4)
    file = Path(path)
    if path in PACKAGES and not file.is_file():
        file, given = find_weights(path), given.or_else(Description(path))
    try:
        stored = sort_classes(_read(file, given, layout, channel_order))
        return reverse_channels(stored) if channel_order == "bgr" else stored
    except ValueError as error:
        raise ValueError(printable(f"{os.fspath(path)!r} cannot be loaded: {error}")) from error


def printable(text):
    """Return a text without control characters except line ends: those in a file could control a terminal.

    Examples
    --------
    >>> printable("conv" + chr(27) + "[2J")
    'conv [2J'
    """
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name}={value!r:.80} is not one of {', '.join(map(repr, choices))}.")


def _read(path, given, layout, channel_order):
    """Return the network of a file; `given` comes before what the file says."""
    if not path.is_file():  # opening a FIFO would wait for a writer
        raise ValueError(f"{_no_file(path)} Give the path of a .safetensors, .pth, .pt or .onnx file.")
    if path.suffix == ".onnx":
        return _read_onnx(path, given)
    file = read_weights(path)
    header = read_header(file.metadata)
    if header.classes is not None:
        check_count(given.classes, len(header.classes))
    description = given.or_else(header)
    if layout == _OWN or (layout == "auto" and is_own(file)):
        return _read_own(file, description)
    description = description.or_else(read_config(path.with_name("config.json")))
    match, learned = read_torch(file.arrays, description, layout)
    if match.bound.image_shape[2] == 3 and channel_order == "rgb":
        description = description.or_else(_usual_pixels(match, description))
    pixels = _pixels(description, match.bound)
    return StoredNetwork(match.bound, learned, match.classes, *pixels, match.has_classifier)


def _no_file(path):
    """Return why a path is not that of a file."""
    if path.is_dir():
        return "it is a directory."
    known = f"the names are {', '.join(PACKAGES)}" if len(PACKAGES) > 1 else f"the only name is {next(iter(PACKAGES))}"
    hint = did_you_mean(os.fspath(path), PACKAGES) or f": {known}."
    return f"there is no such file, and no package of weights has this name{hint}"


def _usual_pixels(match, description):
    """Return how the published weights of a network standardise pixels; they may be said already."""
    said = description.pixel_mean is not None and description.pixel_scale is not None
    if (match.layout, match.name) == ("timm", "efficientnet_lite0") and not said:
        raise ValueError(
            "timm has two networks with these arrays. If this is tf_efficientnet_lite0, pass pixel_mean=127.5 and "
            "pixel_std=127.5, or put its config.json beside it. efficientnet_lite0.ra_in1k pads its images in another "
            "way and is not read."
        )
    return _OTHERS.get(match.layout) or _OTHERS.get(match.name, _IMAGENET)


def _read_onnx(path, given):
    """Return the network of an ONNX file, whose graph is its architecture."""
    if given.architecture is not None:
        raise ValueError("an ONNX file has its own architecture. Leave architecture=None.")
    bound, learned, classes, mean, scale = read_onnx(path, given.image_shape)
    classes = np.arange(bound.n_classes) if classes is None else classes
    if given.pixel_mean is None or given.pixel_scale is None:
        _warn_of_small_pixels("The file standardises", mean, scale, 6)
    description = given.or_else(Description(classes=classes, pixel_mean=mean, pixel_scale=scale))
    check_count(description.classes, bound.n_classes)
    return StoredNetwork(bound, learned, description.classes, *_pixels(description, bound))


def _warn_of_small_pixels(subject, mean, scale, stacklevel):
    """Warn if pixels from 0 to 1 are standardised: of bytes, the same numbers make wrong scores.

    Parameters
    ----------
    subject : str
        What standardises, with its verb.
    mean, scale : ndarray or None
        If one is None, there is no warning.
    stacklevel : int
        From here to the caller of `load_network`.
    """
    if mean is None or scale is None or (mean < 0).any() or (mean > 1).any() or (scale <= 1).any():
        return
    numbers = [[f"{255 * number:.6g}" for number in array.ravel()] for array in (mean, 1 / scale)]
    told = [", ".join(texts[:4] + ["..."] * (len(texts) > 4)) for texts in numbers]
    warnings.warn(
        f"{subject} pixels from 0 to 1. If yours are from 0 to 255, pass pixel_mean=[{told[0]}] and "
        f"pixel_std=[{told[1]}].",
        stacklevel=stacklevel,
    )


def read_weights(path):
    """Read the arrays of a file in one of the formats for weights.

    Parameters
    ----------
    path : Path
        The file. Its content decides the format, not its name.

    Returns
    -------
    WeightsFile

    Raises
    ------
    ImportError
        If a library that the format needs is not installed.
    ValueError
        If it is of no known format or very large, or as `read_safetensors` and `read_pytorch` do.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes, and networks of up to {_MOST_BYTES:,} are read.")
    data = path.read_bytes()
    if data[8:9] == b"{":
        return read_safetensors(data)
    if is_pytorch(data):
        return read_pytorch(data)
    raise ValueError("it is neither a file of safetensors nor one of torch.save.")


def _read_own(file, description):
    """Return the network of a file that `save_network` has written."""
    n_outputs, target_mean, target_scale = read_outputs(file.metadata)
    for name in ("architecture", "image_shape", "classes")[: 3 if n_outputs is None else 2]:
        if getattr(description, name) is None:
            raise ValueError(f"it does not say its {name}. Pass {name}.")
    if n_outputs is None:
        n_outputs = len(description.classes)
    elif description.classes is not None:
        raise ValueError("its network has several labels or numbers as outputs, and no classes. Leave classes=None.")
    architecture = find_architecture(description.architecture, description.image_shape)
    rounding = {name: text for name, text in file.metadata.items() if name == "rounding"}  # old files have none
    bound = architecture.bind(description.image_shape, n_outputs, Hyperparameters(**rounding))
    learned = collect(bound, wanted_of_own(bound), file.arrays)
    pixels = _pixels(description, bound)
    return StoredNetwork(
        bound, learned, description.classes, *pixels, target_mean=target_mean, target_scale=target_scale
    )


def _pixels(description, bound):
    """Return mean and scale of each channel."""
    channels, pixels = bound.image_shape[2], []
    stated = {"pixel_mean": description.pixel_mean, "pixel_std": description.pixel_scale}
    if missing := " and ".join(name for name, numbers in stated.items() if numbers is None):
        raise ValueError(f"it does not say its {missing}. Pass {missing}, for pixels from 0 to 255.")
    for name, argument in (("pixel_mean", "pixel_mean"), ("pixel_scale", "pixel_std")):
        numbers = getattr(description, name)
        if numbers.size not in (1, channels):
            raise ValueError(
                f"{argument} has {numbers.size} numbers. Pass one, or one for each of {channels} channels."
            )
        with np.errstate(over="ignore"):
            pixels.append(np.array(np.broadcast_to(numbers.ravel(), channels), np.float32))
        if not np.isfinite(pixels[-1]).all() or (name == "pixel_scale" and not pixels[-1].all()):
            raise ValueError(
                f"its {name} is {pixels[-1].tolist()!r:.80} in float32, and cannot standardise pixels. Pass {argument}."
            )
    return pixels
