"""Images from files: a folder, or a zip archive of one, that has a folder of JPEGs and PNGs for each class."""

import io
import os
import warnings
import zipfile
from contextlib import contextmanager
from math import prod
from numbers import Integral
from pathlib import Path, PurePosixPath

import numpy as np
from sklearn.utils import Bunch

from skconvnet._system import machine_memory

__all__ = ["load_image_folder"]

_ENDINGS = {".jpg", ".jpeg", ".jpe", ".jfif", ".png"}
_OTHER_IMAGES = {".avif", ".bmp", ".gif", ".heic", ".tif", ".tiff", ".webp"}
_GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}  # Pillow's names for images without colour
_MOST_BYTES = 2**29  # of a file in an archive, unpacked: no image within Pillow's limit of pixels needs more


def load_image_folder(path, *, size=None, channels=None, on_error="raise", return_X_y=False):
    """Load images that lie in one folder for each class, as scikit-learn's `load_files` loads texts.

    Parameters
    ----------
    path : str or path-like
        A directory, or a zip archive, which is read where it is. Below it is one folder for each class, named as the
        class; folders within belong to the same class. A folder around all the others that has no image itself is
        passed through, so it does not matter whether an archive holds ``cats/1.png`` or ``animals/cats/1.png``. Images
        are the files that end in .jpg, .jpeg, .jpe, .jfif or .png, in either case; other files, and what is hidden (a
        name with a dot in front, ``__MACOSX``), are passed over, with a warning where a folder has no others.
    size : int or tuple of int, default=None
        (height, width) to scale every image to, or the side of a square; proportions are not kept. With None they must
        all have the same size.
    channels : {1, 3}, default=None
        1 makes all images grey, 3 makes them RGB. None makes them grey if there is none with colour.
    on_error : {"raise", "warn"}, default="raise"
        What to do about a file that cannot be read as an image: raise an error, or warn and go on without it. Both
        name the file.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` only.

    Returns
    -------
    Bunch
        With the attributes

        data : ndarray of uint8, shape (n, height, width) if grey, (n, height, width, 3) if RGB
            The images, sorted by class and then by name. `ConvNetClassifier` takes them as they are, other estimators
            take ``data.reshape(len(data), -1)``.
        target : ndarray of str, shape (n,)
            The class of each.
        target_names : list of str
            The classes, sorted.
        filenames : ndarray of str, shape (n,)
            The name of each file, below `path`.
    (data, target) : tuple
        If `return_X_y`.

    Raises
    ------
    ValueError
        If a parameter is not what it has to be; if there are no images, or one that is in no folder; if a file cannot
        be read, or has more pixels than Pillow's limit against decompression bombs; if the sizes differ; if the images
        take more memory than the machine has.
    FileNotFoundError
        If there is nothing at `path`.
    ImportError
        If Pillow is not installed; it comes with ``pip install skconvnet[images]``.

    Warns
    -----
    UserWarning
        If a folder has files, but no JPEG or PNG, or also images of other kinds; if all classes have the same folders
        within, as ``train`` and ``test`` have, since it is then these that are the classes more likely.

    Notes
    -----
    An orientation in a file's EXIF data is applied, so images stand as viewers show them. Transparency is ignored. Of
    16 bits the upper 8 are kept. CMYK and palettes become RGB. Scaling is bilinear over all the pixels that a new one
    covers. Memory is allocated once, for all images together.

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
        raise ValueError(f"channels={channels!r} is none of None, 1 (grey), 3 (RGB).")
    if on_error not in ("raise", "warn"):
        raise ValueError(f"on_error={on_error!r} is none of 'raise', 'warn'.")
    _require_pillow()
    with _files_below(path) as (files, read):
        classes = _classes(path, files)
        names = sorted(classes)  # by class first: they differ from the class's folder on
        mode = {1: "L", 3: "RGB", None: None}[channels] or _mode_of_all(names, files, read)
        if size is not None:
            _check_memory(len(names), size if mode == "L" else (*size, 3))
        data, kept = _decode(path, names, files, read, size, mode, on_error)
    target = np.array([classes[name] for name in kept])
    if return_X_y:
        return data, target
    filenames = np.array(["/".join(name) for name in kept])
    return Bunch(data=data, target=target, target_names=np.unique(target).tolist(), filenames=filenames)


def _check_size(size):
    """Return (height, width) or None."""
    sides = (size, size) if isinstance(size, Integral) else size
    if sides is None:
        return None
    if not (isinstance(sides, (tuple, list)) and len(sides) == 2):
        raise ValueError(f"size={size!r} is no size. Use an int, (height, width), or None.")
    if not all(isinstance(side, Integral) and not isinstance(side, bool) and side >= 1 for side in sides):
        raise ValueError(f"size={size!r} is no size. Height and width are whole numbers, 1 or more.")
    return int(sides[0]), int(sides[1])


def _require_pillow():
    """Raise an error that says what to do if there is no Pillow."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError("load_image_folder needs Pillow: pip install skconvnet[images]") from error


@contextmanager
def _files_below(path):
    """Yield {the parts of a file's name below `path`: the file}, and a function that returns the bytes of such a file.

    Nothing of an archive is ever written to the disk, so a name that leads elsewhere can do no harm; it is refused
    because the class that it stands for is unclear.
    """
    path = Path(path)
    if path.is_dir():
        yield {file.relative_to(path).parts: file for file in _walk(path)}, Path.read_bytes
    elif not path.exists():
        raise FileNotFoundError(f"There is no {str(path)!r}. Give a directory or a zip archive with a folder a class.")
    else:
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{str(path)!r} is neither a directory nor a zip archive: {error}.") from error
        with archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            files = {_parts(path, entry.filename): entry for entry in entries}
            yield files, lambda entry: _unpack(archive, entry)


def _walk(path):
    """Yield the files below a directory. Links are followed, but not to a directory that they are in."""
    for folder, folders, files in os.walk(path, followlinks=True):
        here = Path(folder)
        folders[:] = [name for name in folders if not here.resolve().is_relative_to((here / name).resolve())]
        yield from (here / name for name in files)


def _parts(path, filename):
    """Return the parts of a name in an archive; some programs write them with a backslash, or a slash in front."""
    parts = PurePosixPath(filename.replace("\\", "/").lstrip("/")).parts
    if ".." in parts:
        raise ValueError(f"{filename!r} in {str(path)!r} leads out of the archive. Pack the folder anew.")
    return parts


def _unpack(archive, entry):
    """Return the bytes of a file in an archive."""
    if entry.file_size > _MOST_BYTES:
        raise ValueError(f"it unpacks to {entry.file_size:,} bytes")
    return archive.read(entry)


def _classes(path, files):
    """Return {name: its class} of the images among the files."""
    visible = [name for name in files if not any(part.startswith(".") or part == "__MACOSX" for part in name)]
    names = [name for name in visible if _ending(name) in _ENDINGS]
    if not names:
        found = f"only files of the kinds {_kinds(visible)}" if visible else "no files at all"
        raise ValueError(f"There are no JPEG or PNG images below {str(path)!r}: {found}.")
    depth = 0
    while len({name[depth] for name in names}) == 1 and all(len(name) > depth + 2 for name in names):
        depth += 1  # one folder around all the others, without an image of its own
    for name in names:
        if len(name) == 1:
            raise ValueError(
                f"{'/'.join(name)!r} in {str(path)!r} is in no folder of a class. Each image belongs in a folder that "
                "has the name of its class."
            )
    for doubt in (_folders_without_images, _images_left_out, _folders_alike):
        for warning in doubt(path, visible, names, depth):
            warnings.warn(warning, stacklevel=3)
    return {name: name[depth] for name in names}


def _ending(name):
    """Return the ending of a file's name, in lower case."""
    return PurePosixPath(name[-1]).suffix.lower()


def _kinds(names):
    """Return the endings of files, five at most, for a message."""
    kinds = sorted({PurePosixPath(name[-1]).suffix or name[-1] for name in names})
    return ", ".join(kinds[:5])


def _folders_without_images(path, visible, names, depth):
    """Yield a warning for each folder that might have been a class, had it an image; `depth` is that of the classes."""
    with_images = {name[:end] for name in names for end in range(1, depth + 2)}
    without = {}
    for name in visible:
        folders = (name[:end] for end in range(1, min(depth + 2, len(name))))
        outermost = next((folder for folder in folders if folder not in with_images), None)
        if outermost is not None:
            without.setdefault(outermost, []).append(name)
    for folder, others in sorted(without.items()):
        yield (
            f"{'/'.join(folder)!r} in {str(path)!r} is no class: it has no JPEG or PNG images, only files of the kinds "
            f"{_kinds(others)}. Convert them if they are images."
        )


def _images_left_out(path, visible, names, depth):
    """Yield a warning if there are images of other kinds in the folders of classes."""
    classes = {name[: depth + 1] for name in names}
    others = [name for name in visible if _ending(name) in _OTHER_IMAGES and name[: depth + 1] in classes]
    if others:
        yield (
            f"Images below {str(path)!r} are left out, {len(others)} in all, {'/'.join(min(others))!r} for one: only "
            "JPEG and PNG are read. Convert them."
        )


def _folders_alike(path, visible, names, depth):
    """Yield a warning if all classes have the same folders within, and nothing else, as train and test have."""
    within = {}
    for name in names:
        within.setdefault(name[depth], set()).add(name[depth + 1] if len(name) > depth + 2 else None)
    first, *others = within.values()
    if others and len(first) > 1 and None not in first and all(folders == first for folders in others):
        one = str(Path(path, *names[0][:depth], min(within)))
        yield (
            f"The classes are {_some(within)}, and in each are the same folders, {_some(first)}. If these are the "
            f"classes, load each of the others by itself, as {one!r}; a zip archive has to be unpacked before."
        )


def _some(names):
    """Return up to five names for a message."""
    return ", ".join(map(repr, sorted(names)[:5])) + ", ..." * (len(names) > 5)


def _check_memory(n, shape):
    """Raise a ValueError if n images of this shape take more memory than the machine has."""
    needed, memory = n * prod(shape), machine_memory()
    if needed > memory:
        raise ValueError(
            f"{n} images of {' x '.join(map(str, shape))} take {needed:,} bytes of memory, and this machine has "
            f"{memory:,}. Use a smaller size, or fewer images."
        )


def _open(content):
    """Return a Pillow image of which only the beginning has been decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
    except UnidentifiedImageError:  # Pillow names the BytesIO, which means nothing to the user
        raise ValueError("it does not begin as a JPEG or PNG does, or is cut off") from None


def _mode_of_all(names, files, read):
    """Return "L" if no image has colour, else "RGB"."""
    for name in names:
        try:
            if _open(read(files[name])).mode not in _GREY:
                return "RGB"
        except Exception:  # whatever it is, decoding will meet it again
            continue
    return "L"


def _decode(path, names, files, read, size, mode, on_error):
    """Return the pixels of all images that can be read, and the names of these."""
    data, kept = None, []
    for name in names:
        try:
            pixels = _pixels(read(files[name]), size, mode)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise all kinds, SyntaxError and struct.error among them
            trouble = f"{'/'.join(name)!r} in {str(path)!r} cannot be read as an image: {error}"
            if on_error == "raise":
                raise ValueError(f"{trouble}. With on_error='warn' it would be left out.") from error
            warnings.warn(f"{trouble}. It is left out.", stacklevel=3)
            continue
        if data is None:
            _check_memory(len(names), pixels.shape)
            data = np.empty((len(names), *pixels.shape), np.uint8)
        if pixels.shape != data.shape[1:]:
            raise ValueError(
                f"Images differ in size: {'/'.join(kept[0])!r} has {_sides(data[0])} pixels and {'/'.join(name)!r} has "
                f"{_sides(pixels)} (height x width). With size=(height, width) all are scaled to the same."
            )
        data[len(kept)] = pixels
        kept.append(name)
    if not kept:
        raise ValueError(f"None of the {len(names)} files below {str(path)!r} can be read as an image.")
    return data[: len(kept)], kept


def _sides(pixels):
    return f"{pixels.shape[0]} x {pixels.shape[1]}"


def _pixels(content, size, mode):
    """Decode one file: uint8 of shape (height, width) in mode "L", (height, width, 3) in mode "RGB"."""
    from PIL import Image, ImageOps

    image = _open(content)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image.info.pop("transparency", None)  # or convert would warn about some palettes
    image = image.convert(mode)
    if size is not None:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)
