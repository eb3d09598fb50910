"""Load images from a directory or zip archive with a folder of JPEG and PNG files for each class."""

import io
import warnings
from math import prod
from numbers import Integral
from pathlib import Path, PurePosixPath

import numpy as np
from sklearn.utils import Bunch

from skconvnet._system import machine_memory
from skconvnet.data.files import open_files

__all__ = ["load_image_folder"]

_ENDINGS = {".jpg", ".jpeg", ".jpe", ".jfif", ".png"}
_OTHER_IMAGES = {".avif", ".bmp", ".gif", ".heic", ".tif", ".tiff", ".webp"}
_GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}  # Pillow's names for images without colour


def load_image_folder(path, *, size=None, channels=None, on_error="raise", return_X_y=False):
    """Load images from a directory with one folder for each class, as scikit-learn's `load_files` loads texts.

    Parameters
    ----------
    path : str or path-like
        A directory or a zip archive. It contains one folder for each class, with the name of the class; subfolders
        belong to the same class. A folder around all others, without an image of its own, is passed through: an
        archive may hold ``cats/1.png`` or ``animals/cats/1.png``. Images are the files that end in .jpg, .jpeg, .jpe,
        .jfif or .png, in either case. Other files are ignored, and so are hidden ones (a name that begins with a dot,
        ``__MACOSX``).
    size : int or tuple of int, default=None
        (height, width) to which every image is scaled, or the side of a square; proportions are not kept. None needs
        images of one size.
    channels : {1, 3}, default=None
        1 converts all images to grey, 3 to RGB. None converts them to grey if all are grey, else to RGB.
    on_error : {"raise", "warn"}, default="raise"
        What to do with a file that cannot be read as an image: raise an error, or warn and leave it out. Both name
        the file.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch
        A dictionary-like object with the attributes

        data : ndarray of uint8, shape (n, height, width) if grey, (n, height, width, 3) if RGB
            The images, sorted by class and then by name. `ConvNetClassifier` takes them in this form, other estimators
            take ``data.reshape(len(data), -1)``.
        target : ndarray of str, shape (n,)
            The class of each image.
        target_names : list of str
            The classes, sorted.
        filenames : ndarray of str, shape (n,)
            The name of each file, relative to `path`.
    (data, target) : tuple
        If `return_X_y`.

    Raises
    ------
    ValueError
        If a parameter is invalid; if there are no images, or one is not in a folder; if a file cannot be read, is not
        a regular file, or has more pixels than Pillow's limit against decompression bombs; if sizes differ; if the
        images need more memory than the machine has.
    FileNotFoundError
        If nothing is at `path`.
    ImportError
        If Pillow is not installed: ``pip install 'skconvnet[images]'``.

    Warns
    -----
    UserWarning
        If a folder has files but no JPEG or PNG, or also images in other formats; if links lead to a directory that is
        read under another name; if all classes have the same subfolders, as ``train`` and ``test`` have, since these
        are more likely the classes.

    Notes
    -----
    The orientation in a file's EXIF data is applied. Transparency is ignored. Of 16 bits the upper 8 are kept. CMYK
    and palettes become RGB. Scaling is bilinear, over all pixels that a new one covers. Memory is allocated once, for
    all images. Links to files and directories are followed, except in an archive; each directory is read once.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from PIL import Image
    >>> with TemporaryDirectory() as path:
    ...     for name in ("dark/1.png", "dark/2.png", "light/1.png"):
    ...         file = Path(path, name)
    ...         file.parent.mkdir(exist_ok=True)
    ...         Image.fromarray(np.full((24, 32), 200 * ("light" in name), np.uint8)).save(file)
    ...     X, y = load_image_folder(path, size=8, return_X_y=True)
    >>> X.shape, X[:, 0, 0].tolist(), y.tolist()
    ((3, 8, 8), [0, 0, 200], ['dark', 'dark', 'light'])
    """
    size = _check_size(size)
    if channels not in (None, 1, 3):
        raise ValueError(f"channels={channels!r} is invalid. Use None, 1 (grey) or 3 (RGB).")
    if on_error not in ("raise", "warn"):
        raise ValueError(f"on_error={on_error!r} is invalid. Use 'raise' or 'warn'.")
    _require_pillow()
    with open_files(path) as (files, read, skipped):
        if skipped:
            warnings.warn(
                f"{_some(skipped)} below {str(path)!r}: these links are left out. They lead to directories that are "
                "read under another name.",
                stacklevel=2,
            )
        classes = _classes(path, files)
        names = sorted(classes)  # by class first: the parts in front of the class are the same
        mode = {1: "L", 3: "RGB", None: None}[channels] or _mode_of_all(names, read)
        if size is not None:
            _check_memory(len(names), size if mode == "L" else (*size, 3))
        data, kept = _decode(path, names, lambda name: _pixels(read(name), size, mode), on_error)
    target = np.array([classes[name] for name in kept])
    if return_X_y:
        return data, target
    filenames = np.array(["/".join(name) for name in kept])
    return Bunch(data=data, target=target, target_names=np.unique(target).tolist(), filenames=filenames)


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


def _require_pillow():
    """Raise an ImportError that says how to install Pillow, if it is missing."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError("load_image_folder needs Pillow: pip install 'skconvnet[images]'") from error


def _classes(path, files):
    """Return a dict from the names of the images among the files to their classes."""
    names = [name for name in files if _ending(name) in _ENDINGS]
    if not names:
        found = f"only {_formats(files)} files" if files else "no files"
        raise ValueError(f"There are no JPEG or PNG images below {str(path)!r}, {found}.")
    depth = 0
    while len({name[depth] for name in names}) == 1 and all(len(name) > depth + 2 for name in names):
        depth += 1  # one folder around all others, without an image of its own
    for name in names:
        if len(name) == 1:
            raise ValueError(
                f"{'/'.join(name)!r} in {str(path)!r} is not in a folder. Put each image in a folder with the name of "
                "its class."
            )
    for find_warnings in (_folders_without_images, _images_in_other_formats, _equal_subfolders):
        for warning in find_warnings(path, files, names, depth):
            warnings.warn(warning, stacklevel=3)
    return {name: name[depth] for name in names}


def _ending(name):
    """Return the suffix of a file's name, in lower case."""
    return PurePosixPath(name[-1]).suffix.lower()


def _formats(names):
    """Return up to five suffixes of files for a message."""
    suffixes = sorted({PurePosixPath(name[-1]).suffix or name[-1] for name in names})
    return ", ".join(suffixes[:5])


def _folders_without_images(path, files, names, depth):
    """Yield a warning for each folder, no deeper than the classes at `depth`, that has files but no image."""
    with_images = {name[:end] for name in names for end in range(1, depth + 2)}
    without = {}
    for name in files:
        folders = (name[:end] for end in range(1, min(depth + 2, len(name))))
        outermost = next((folder for folder in folders if folder not in with_images), None)
        if outermost is not None:
            without.setdefault(outermost, []).append(name)
    for folder, others in sorted(without.items()):
        yield (
            f"{'/'.join(folder)!r} in {str(path)!r} is not a class: it has no JPEG or PNG images, only "
            f"{_formats(others)} files. Convert them if they are images."
        )


def _images_in_other_formats(path, files, names, depth):
    """Yield a warning if the folders of classes have images in other formats."""
    classes = {name[: depth + 1] for name in names}
    others = [name for name in files if _ending(name) in _OTHER_IMAGES and name[: depth + 1] in classes]
    if others:
        yield (
            f"{len(others)} images below {str(path)!r} are left out, for example {'/'.join(min(others))!r}: only JPEG "
            "and PNG are read. Convert them."
        )


def _equal_subfolders(path, files, names, depth):
    """Yield a warning if all classes have the same subfolders and nothing else, as train and test have."""
    within = {}
    for name in names:
        within.setdefault(name[depth], set()).add(name[depth + 1] if len(name) > depth + 2 else None)
    first, *others = within.values()
    if others and len(first) > 1 and None not in first and all(folders == first for folders in others):
        one = str(Path(path, *names[0][:depth], min(within)))
        yield (
            f"The classes are {_some(within)}, and each has the same subfolders, {_some(first)}. If these are the "
            f"classes, load one folder at a time, such as {one!r}; unpack a zip archive first."
        )


def _some(names):
    """Return up to five names for a message."""
    return ", ".join(map(repr, sorted(names)[:5])) + ", ..." * (len(names) > 5)


def _check_memory(n, shape):
    """Raise a ValueError if n images of this shape need more memory than the machine has."""
    needed, memory = n * prod(shape), machine_memory()
    if needed > memory:
        raise ValueError(
            f"{n} images of {' x '.join(map(str, shape))} need {needed:,} bytes of memory, and this machine has "
            f"{memory:,}. Use a smaller size, or fewer images."
        )


def _open(content):
    """Return a Pillow image. Only the beginning of the file is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
    except UnidentifiedImageError:  # Pillow's message names the BytesIO, not the file
        raise ValueError("it is not a JPEG or PNG file, or is truncated") from None


def _mode_of_all(names, read):
    """Return "L" if no image has colour, else "RGB"."""
    for name in names:
        try:
            if _open(read(name)).mode not in _GREY:
                return "RGB"
        except Exception:  # it comes again in `_decode`
            continue
    return "L"


def _decode(path, names, decode, on_error):
    """Return the pixels and the names of all images that ``decode(name)`` can read."""
    data, kept = None, []
    for name in names:
        try:
            pixels = decode(name)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise many types, even SyntaxError and struct.error
            trouble = f"{'/'.join(name)!r} in {str(path)!r} cannot be read as an image: {error}"
            if on_error == "raise":
                raise ValueError(f"{trouble}. Use on_error='warn' to leave it out.") from error
            warnings.warn(f"{trouble}. It is left out.", stacklevel=3)
            continue
        if data is None:
            _check_memory(len(names), pixels.shape)
            data = np.empty((len(names), *pixels.shape), np.uint8)
        if pixels.shape != data.shape[1:]:
            raise ValueError(
                f"Images differ in size: {'/'.join(kept[0])!r} has {_sides(data[0])} pixels and {'/'.join(name)!r} has "
                f"{_sides(pixels)} (height x width). Use size=(height, width) to scale all to one size."
            )
        data[len(kept)] = pixels
        kept.append(name)
    if not kept:
        raise ValueError(f"None of the {len(names)} files below {str(path)!r} can be read as an image.")
    return data[: len(kept)], kept


def _sides(pixels):
    """Return the height and width for a message."""
    return f"{pixels.shape[0]} x {pixels.shape[1]}"


def _pixels(content, size, mode):
    """Decode a file to uint8, of shape (height, width) in mode "L" and (height, width, 3) in mode "RGB"."""
    from PIL import Image, ImageOps

    image = _open(content)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image.info.pop("transparency", None)  # else convert warns about some palettes
    image = image.convert(mode)
    if size is not None:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)
