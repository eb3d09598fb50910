"""Decode image files with Pillow: which formats are read, and how a file becomes pixels of one size."""

import io
from dataclasses import dataclass
from math import ceil, prod
from numbers import Integral
from os.path import splitext
from pathlib import Path
from typing import NamedTuple
from warnings import warn

import numpy as np

from skconvnet._system import machine_memory
from skconvnet.data.files import read_file

__all__ = [
    "Decoded",
    "Form",
    "check_form",
    "check_memory",
    "decode",
    "is_grey",
    "is_image",
    "is_other_image",
    "load_image",
    "require_pillow",
    "warn_of_few_bits",
]

# Formats of photographs and scans. What other programs draw or decode (EPS, WMF, PDF) is not read: a file from someone
# else must not start one.
_ENDINGS = {
    "AVIF": (".avif",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "MPO": (".mpo",),
    "PCX": (".pcx",),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "QOI": (".qoi",),
    "SGI": (".sgi", ".rgb", ".bw"),
    "SUN": (".ras",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "TGA": (".tga",),  # last: it begins with no mark of its own
}
_READ = frozenset(ending for endings in _ENDINGS.values() for ending in endings)
_OTHER_IMAGES = {".cr2", ".dcm", ".dng", ".eps", ".heic", ".heif", ".jxl", ".nef", ".psd", ".svg"}
_GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}  # Pillow's names for images without colour
_MIDDLE = 7 / 8  # of the shorter side: crop="center" keeps 224 of 256 pixels, as for most networks of ImageNet
_ORIENTATION = 0x0112  # EXIF; from 5 on, rows and columns are exchanged
_FEW_BITS = 14  # of 16: with the upper 8 of 16 kept, 64 grey levels or fewer are left


@dataclass(frozen=True)
class Form:
    """The form that every image of a set is given.

    Parameters
    ----------
    size : tuple of int or None
        (height, width); None keeps the size of the file.
    mode : {"L", "RGB"} or None
        Grey or colour; None is grey for a grey file, else colour.
    crop : {"center"} or None
        What is scaled to `size`: the middle, or all of the image.
    """

    size: tuple | None
    mode: str | None
    crop: str | None


class Decoded(NamedTuple):
    """The pixels of a file.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
        Grey or RGB.
    highest : int or None
        The highest value of a file with 16 bits a pixel, of which `pixels` are the upper 8; None for other files.
    """

    pixels: np.ndarray
    highest: int | None


def load_image(path, *, size=None, channels=None, crop=None):
    """Load one image, in the form that `load_image_folder` gives to each of its images.

    Parameters
    ----------
    path : str or path-like
        The file, in a format that `load_image_folder` reads.
    size : int or tuple of int, default=None
        (height, width) to which the image is scaled, or the side of a square. None keeps its own.
    channels : {1, 3}, default=None
        1 converts the image to grey, 3 to RGB. None converts it to grey if the file is grey, else to RGB.
    crop : {"center"}, default=None
        What is scaled to `size`: the middle of the image or, by default, all of it. See `load_image_folder`.

    Returns
    -------
    ndarray of uint8, shape (height, width) if grey, (height, width, 3) if RGB
        The pixels. With the `size`, `channels` and `crop` with which `load_image_folder` loaded the training images, a
        file has the pixels that it would have there. An estimator takes several images:
        ``classifier.predict([load_image("cat.jpg", size=224)])``.

    Raises
    ------
    ValueError
        If a parameter is invalid, or the file cannot be read as an image.
    FileNotFoundError
        If nothing is at `path`.
    ImportError
        If Pillow is not installed: ``pip install pillow``.

    Warns
    -----
    UserWarning
        If the file has 16 bits a pixel, and no value of more than 14.

    See Also
    --------
    load_image_folder : Load all images of a directory or zip archive.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from PIL import Image
    >>> with TemporaryDirectory() as path:
    ...     Image.fromarray(np.full((24, 32), 200, np.uint8)).save(Path(path, "light.webp"))
    ...     load_image(Path(path, "light.webp"), size=8, channels=1).shape
    (8, 8)
    """
    form = check_form(size, channels, crop)
    require_pillow("load_image")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist. Pass the path of an image.")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a directory. Read it with load_image_folder.")
    if form.size is not None:
        check_memory(1, form.size if form.mode == "L" else (*form.size, 3))
    try:
        decoded = decode(read_file(path), form)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many types, even SyntaxError and struct.error
        raise ValueError(f"{str(path)!r} cannot be read as an image: {error}.") from error
    warn_of_few_bits(path, decoded.highest, stacklevel=3)
    return decoded.pixels


def check_form(size, channels, crop):
    """Check the parameters of the public functions.

    Parameters
    ----------
    size, channels, crop : object
        As the user passed them.

    Returns
    -------
    Form
        What they stand for.

    Raises
    ------
    ValueError
        If one is invalid, or `crop` has no `size`.
    """
    size = _check_size(size)
    if channels not in (None, 1, 3):
        raise ValueError(f"channels={channels!r} is invalid. Use None, 1 (grey) or 3 (RGB).")
    if crop not in (None, "center"):
        raise ValueError(f"crop={crop!r} is invalid. Use None or 'center'.")
    if crop is not None and size is None:
        raise ValueError(f"crop={crop!r} needs a size, to which the middle of an image is scaled, such as size=224.")
    return Form(size, {1: "L", 3: "RGB", None: None}[channels], crop)


def _check_size(size):
    """Return the parameter `size` as (height, width) or None."""
    sides = (size, size) if isinstance(size, Integral) else size
    if sides is None:
        return None
    if not (isinstance(sides, (tuple, list)) and len(sides) == 2):
        raise ValueError(f"size={size!r} is invalid. Use an int, (height, width) or None.")
    if not all(isinstance(side, Integral) and not isinstance(side, bool) and side >= 1 for side in sides):
        raise ValueError(f"size={size!r} is invalid. Height and width must be whole numbers, 1 or more.")
    return int(sides[0]), int(sides[1])


def require_pillow(function):
    """Raise an ImportError that says how to install Pillow, if it is missing.

    Parameters
    ----------
    function : str
        Its name in the error.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{function} needs Pillow, which is not installed: pip install pillow") from error


def is_image(name):
    """Return whether a file is read as an image.

    Parameters
    ----------
    name : tuple of str
        The parts of its name.

    Returns
    -------
    bool
        Whether its name ends like a format that is read. The content then decides between these formats.
    """
    return _ending(name) in _READ


def is_other_image(name):
    """Return whether a file is an image in a format that is not read.

    Parameters
    ----------
    name : tuple of str
        The parts of its name.

    Returns
    -------
    bool
        Whether its name ends like one.
    """
    return _ending(name) in _OTHER_IMAGES


def _ending(name):
    """Return the suffix of a file's name, in lower case."""
    return splitext(name[-1])[1].lower()


def check_memory(n, shape):
    """Raise a ValueError if n images of this shape need more memory than the machine has.

    Parameters
    ----------
    n : int
        The number of images.
    shape : tuple of int
        Of an image of uint8.
    """
    needed, memory = n * prod(shape), machine_memory()
    if needed > memory:
        raise ValueError(
            f"{n} images of {' x '.join(map(str, shape))} need {needed:,} bytes of memory, and this machine has "
            f"{memory:,}. Use a smaller size, or fewer images."
        )


def is_grey(content):
    """Return whether a file is an image without colour.

    Parameters
    ----------
    content : bytes
        Of the file. Only the beginning is decoded.

    Returns
    -------
    bool
        Whether it is.
    """
    return _open(content).mode in _GREY


def decode(content, form):
    """Decode a file.

    Parameters
    ----------
    content : bytes
        Of the file.
    form : Form
        The form to give to it.

    Returns
    -------
    Decoded
        The first picture of the file, in this form.

    Raises
    ------
    Exception
        Of any type, if the file is damaged, or its pixels have no range that is known.
    """
    from PIL import Image, ImageOps

    image = _open(content)
    mode = form.mode or ("L" if image.mode in _GREY else "RGB")
    if form.size is not None:
        _decode_smaller(image, form)
    ImageOps.exif_transpose(image, in_place=True)
    image, highest = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert(mode)
    if form.size is not None:
        image = image.resize(form.size[::-1], Image.Resampling.BILINEAR, _part(image.size, form))
    return Decoded(np.asarray(image), highest)


def _open(content):
    """Return a Pillow image. Only the beginning of the file is decoded."""
    from PIL import Image, UnidentifiedImageError

    Image.init()  # loads the decoders, also in a process that has got `ImageFiles` from another
    formats = [name for name in _ENDINGS if name in Image.OPEN]  # an older Pillow has fewer
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:  # Pillow's message names the BytesIO, not the file
        raise ValueError("it is in no format that is read, or is truncated") from None


def _part(sides, form):
    """Return the part of an image that is scaled: left, upper, right and lower, in pixels and fractions.

    `sides` are the width and height of the image.
    """
    if form.crop is None:
        return 0, 0, *sides
    height, width = form.size
    scale = _MIDDLE * min(sides[0] / width, sides[1] / height)
    margins = (sides[0] - scale * width) / 2, (sides[1] - scale * height) / 2
    return *margins, sides[0] - margins[0], sides[1] - margins[1]


def _decode_smaller(image, form):
    """Let the decoder of a JPEG skip what the scaling would average away: all but twice the pixels that are needed."""
    is_turned = image.getexif().get(_ORIENTATION, 1) >= 5
    sides = image.size[::-1] if is_turned else image.size
    left, upper, right, lower = _part(sides, form)
    needed = [
        ceil(2 * side * new / old)
        for side, new, old in zip(sides, form.size[::-1], (right - left, lower - upper), strict=True)
    ]
    image.draft(None, tuple(needed[::-1] if is_turned else needed))


def _to_8_bits(image):
    """Return the image with the upper 8 of 16 bits, and its highest value before."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image, None
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):  # whose "I" is of 16 bits
        raise ValueError(
            f"its pixels are {'floating-point numbers' if image.mode == 'F' else 'integers of 32 bits'}, in a range "
            "that is not known: scale them to 0..255, or pass an array of them to the estimator"
        )
    values = np.asarray(image)
    return Image.fromarray((values >> 8).astype(np.uint8)), int(values.max())


def warn_of_few_bits(path, highest, stacklevel):
    """Warn if images of 16 bits use so few of them that little is left in the upper 8.

    Parameters
    ----------
    path : path-like
        Of the images.
    highest : int or None
        The highest value of all images of 16 bits; None if there are none.
    stacklevel : int
        As of `warnings.warn`.
    """
    if highest is None or highest >= 1 << _FEW_BITS:
        return
    bits = max(highest.bit_length(), 1)
    warn(
        f"{str(path)!r} has 16 bits a pixel, but no value above {highest}, which needs {bits}. The upper 8 of 16 bits "
        f"are kept, which leaves the levels 0 to {highest >> 8} of 255. If the values are of {bits} bits, multiply "
        f"them by {1 << 16 - bits} in the files, or pass an array of them to the estimator.",
        stacklevel=stacklevel,
    )
