"""Load images from a directory or zip archive, with a folder for each class or without classes."""

import warnings
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from zipfile import is_zipfile

import numpy as np
from sklearn.utils import Bunch

from skconvnet.data.files import Files, open_files, read_file
from skconvnet.data.image_file import (
    Form,
    check_form,
    check_memory,
    is_grey,
    is_image,
    is_other_image,
    require_pillow,
    warn_of_few_bits,
)
from skconvnet.data.image_files import ImageFiles, Listing, attempt, decode_listed, in_order
from skconvnet.data.labels import convert_labels

__all__ = ["load_image_folder"]


def load_image_folder(
    path,
    *,
    labels=None,
    size=None,
    channels=None,
    crop=None,
    labelled=True,
    lazy=False,
    on_error="raise",
    n_jobs=None,
    return_X_y=False,
):
    """Load images from a directory with one folder for each class, as scikit-learn's `load_files` loads texts.

    Parameters
    ----------
    path : str, path-like or sequence of these
        A directory, a zip archive or a list of files. A directory or an archive contains one folder for each class,
        with the name of the class; subfolders belong to the same class. A folder around all others, without an image of
        its own, is passed through: an archive may hold ``cats/1.png`` or ``animals/cats/1.png``. Images are the files
        whose name ends like a format that is read (see the notes), in either case. Other files are ignored, and so are
        hidden ones (a name that begins with a dot, ``__MACOSX``). The files of a list are read whatever their names
        are.
    labels : array-like of shape (n,), default=None
        The class of each file in a list, of any type that `ConvNetClassifier` takes.
    size : int or tuple of int, default=None
        (height, width) to which every image is scaled, or the side of a square. None needs images of one size.
    channels : {1, 3}, default=None
        1 converts all images to grey, 3 to RGB. None converts them to grey if all are grey, else to RGB.
    crop : {"center"}, default=None
        What is scaled to `size`. None: all of the image; proportions are not kept. "center": the middle of the image,
        in the proportions of `size`, which takes 7/8 of the side that limits it. So ``size=224`` gives what scaling
        the shorter side to 256 and cutting out 224 x 224 pixels gives: most networks trained on ImageNet are tested
        with such images.
    labelled : bool, default=True
        Whether there are classes: folders, or the `labels` of a list. False loads all images at and below `path`, and
        no target.
    lazy : bool, default=False
        Whether to decode files when they are used, and not now: for images that do not fit into memory. `data` is then
        an `ImageFiles`, which estimators take in place of an array, with the same results to the bit. A fit decodes
        each file once for the mean and deviation of the pixels, and once in each epoch, a minibatch at a time. Give
        `channels`, or files are opened until one has colour. Not for an archive.
    on_error : {"raise", "warn"}, default="raise"
        What to do with a file that cannot be read as an image: raise an error, or warn and leave it out. Both name
        the file.
    n_jobs : int, default=None
        How many threads decode, as scikit-learn understands it; None is one for each processor. The result is the
        same.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch
        A dictionary-like object with the attributes

        data : ndarray of uint8, shape (n, height, width) if grey, (n, height, width, 3) if RGB
            The images, sorted by class and then by name; if not `labelled`, by name; of a list, in its order.
            `ConvNetClassifier` takes them in this form, other estimators take ``data.reshape(len(data), -1)``. If
            `lazy`, an `ImageFiles`.
        target : ndarray of str, shape (n,)
            The class of each image; of a list, its `labels`. If not `labelled`, it is missing, and so is
            `target_names`.
        target_names : list of str
            The classes, sorted.
        filenames : ndarray of str, shape (n,)
            The name of each file, relative to `path`; of a list, as there. In the order of `data`: sorted, or that of
            the list.
        load : callable
            ``load(path, on_error="raise")`` loads other images with the same `size`, `channels` and `crop`: a file, a
            list of files, or a directory or archive. It returns an array like `data`, also of one file, for
            ``classifier.predict(bunch.load("cat.jpg"))``. Images of another size are scaled if `size` was given, else
            they are an error. So is always a `path` that does not exist.
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
        If Pillow is not installed: ``pip install pillow``.

    Warns
    -----
    UserWarning
        If a folder beside the classes has no image; if images in other formats are left out; if links lead to a
        directory that is read under another name; if all classes have the same subfolders, as ``train`` and ``test``
        have, since these are more likely the classes; if images of 16 bits have no value of more than 14.

    Notes
    -----
    Formats: AVIF, BMP, GIF, JPEG, JPEG 2000, MPO, PCX, PNG, PPM (also PGM and PBM), QOI, SGI, Sun raster, TGA, TIFF and
    WebP, as far as the installed Pillow decodes them. The content of a file decides, not which of their endings it has.
    Of an animation or a file of several pages, the first picture is read.

    The orientation in a file's EXIF data is applied. Transparent pixels are laid on white. Of 16 bits the upper 8 are
    kept; pixels of 32 bits or floating-point numbers are refused, since their range is not known. CMYK and palettes
    become RGB. Scaling is bilinear, over all pixels that a new one covers; a JPEG of at least four times the size is
    decoded smaller first. A file has the same pixels whatever is loaded with it: see `load_image`.

    Memory is allocated once, for all images. Links to files and directories are followed, except in an archive; each
    directory is read once.

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
    form = check_form(size, channels, crop)
    _check_options(labelled, lazy, on_error, n_jobs, return_X_y)
    require_pillow("load_image_folder")
    with _opened(path, labels, labelled, lazy) as (files, place):
        if files.skipped:
            warnings.warn(
                f"{_some(files.skipped)} below {str(path)!r}: these links are left out. They lead to directories that "
                "are read under another name.",
                stacklevel=2,
            )
        names = _images(path, files) if place else files.names
        classes = None if labels is None else convert_labels(labels)
        if labelled and place:
            classes = _classes(path, files, names)
        if form.mode is None:
            form = replace(form, mode=_mode_of_all(names, files.read))
        listing = Listing(names, files.read, form, n_jobs)
        if lazy:
            data, kept = _not_decoded(place, listing), range(len(names))
        else:
            if form.size is not None:
                check_memory(len(names), form.size if form.mode == "L" else (*form.size, 3))
            data, kept = _decode(place, listing, on_error)
    bunch = Bunch(data=data, filenames=np.array(["/".join(names[index]) for index in kept]))
    bunch.load = _Loader(form, data.shape[1:], n_jobs)
    if not labelled:
        return bunch
    target = np.asarray(classes)[kept]
    if return_X_y:
        return data, target
    return Bunch(**bunch, target=target, target_names=np.unique(target).tolist())


@contextmanager
def _opened(path, labels, labelled, lazy):
    """Open what is to be loaded; yield the `Files`, and the directory or archive, or "" of a list."""
    if isinstance(path, (str, PathLike)):
        if labels is not None:
            raise ValueError("labels are for a list of files. The classes of a directory or archive are its folders.")
        if Path(path).is_file() and is_image(Path(path).parts) and not is_zipfile(path):
            raise ValueError(
                f"{str(path)!r} is neither a directory nor a zip archive. Read one image with load_image, or pass a "
                "list of files."
            )
        if lazy and Path(path).is_file():
            raise ValueError(f"lazy=True does not read the archive {str(path)!r}. Unpack it, and pass the directory.")
        with open_files(path) as files:
            yield files, str(path)
        return
    try:
        names = [(fspath(file),) for file in path]
    except TypeError as error:
        raise ValueError(
            f"path has the type {type(path).__name__}. Pass a directory, a zip archive or a list of files."
        ) from error
    if not names:
        raise ValueError("path is an empty list. Pass a file or more.")
    if Path(*names[0]).is_dir():
        raise ValueError(f"path is a list with the directory {names[0][0]!r}. Pass a directory, or a list of files.")
    if labelled and labels is None:
        raise ValueError("A list of files has no folders with the names of classes. Pass labels, or labelled=False.")
    if isinstance(labels, str):
        raise ValueError(f"labels={labels!r} is one label. Pass a list, with one label for each file.")
    if labels is not None and (not labelled or len(labels) != len(names)):
        what = "labelled=False" if not labelled else f"{len(names)} files and {len(labels)} labels"
        raise ValueError(f"load_image_folder got {what}. Pass one label for each file, or none with labelled=False.")
    yield Files(names, [], [], _read_listed), ""


def _read_listed(name):
    """Return the bytes of a file of a list."""
    return read_file(Path(*name))


@dataclass(frozen=True)
class _Loader:
    """Loads images in the form of those that `load_image_folder` has loaded before."""

    form: Form
    shape: tuple
    n_jobs: int | None

    def __call__(self, path, on_error="raise"):
        """Return images, uint8 of shape (n, height, width) if grey, (n, height, width, 3) if RGB."""
        if isinstance(path, (str, PathLike)) and not _is_folder(path):
            if not Path(path).exists():
                raise FileNotFoundError(
                    f"{str(path)!r} does not exist. Pass a file, a list of files, a directory or a zip archive."
                )
            path = [path]
        channels = 1 if self.form.mode == "L" else 3
        options = {"channels": channels, "crop": self.form.crop, "n_jobs": self.n_jobs, "on_error": on_error}
        data = load_image_folder(path, size=self.form.size, labelled=False, **options).data
        if data.shape[1:] != self.shape:
            raise ValueError(
                f"The images have {_sides(data[0])} pixels, and those that were loaded before have "
                f"{self.shape[0]} x {self.shape[1]} (height x width). Load these with size=(height, width)."
            )
        return data


def _is_folder(path):
    """Return whether a path is that of a directory or a zip archive."""
    return Path(path).is_dir() or is_zipfile(path)


def _not_decoded(place, listing):
    """Return the images as files, of the size of the first one if no size is given.

    If the first one has 16 bits, a few others are decoded for the warning of few bits.
    """
    name, form = listing.names[0], listing.form
    decoded, error = attempt(decode_listed, listing, name)
    if error is not None:
        raise ValueError(f"{'/'.join(name)!r} cannot be read as an image: {error}.") from error
    sides = decoded.pixels.shape[:2]
    if decoded.highest is not None:
        others = (
            attempt(decode_listed, listing, other)[0] for other in listing.names[1 :: 1 + len(listing.names) // 16]
        )
        highest = [other.highest for other in (decoded, *others) if other is not None and other.highest is not None]
        warn_of_few_bits(place or "the list", max(highest), stacklevel=4)
    shape = (len(listing.names), *sides) if form.mode == "L" else (len(listing.names), *sides, 3)
    return ImageFiles(listing, shape, np.arange(len(listing.names)))


def _check_options(labelled, lazy, on_error, n_jobs, return_X_y):
    """Raise a ValueError if one of these parameters is invalid."""
    if labelled not in (True, False):
        raise ValueError(f"labelled={labelled!r} is invalid. Use True or False.")
    if lazy not in (True, False):
        raise ValueError(f"lazy={lazy!r} is invalid. Use True or False.")
    if lazy and on_error == "warn":
        raise ValueError("lazy=True does not know which files cannot be read. Use on_error='raise'.")
    if not labelled and return_X_y:
        raise ValueError("labelled=False loads no y for return_X_y=True. Use the attribute data of the Bunch.")
    if on_error not in ("raise", "warn"):
        raise ValueError(f"on_error={on_error!r} is invalid. Use 'raise' or 'warn'.")
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ValueError(f"n_jobs={n_jobs!r} is invalid. Use a number of threads, -1 or None (all processors).")


def _images(path, files):
    """Return the names of the images among the files, sorted: by class first, for what is before the class is equal."""
    names = [name for name in files.names if is_image(name)]
    if not names:
        found = f"there are only {_formats(files.names)} files" if files.names else "there are no files"
        raise ValueError(f"No image below {str(path)!r} can be read: {found}.")
    others = [name for name in files.names if is_other_image(name)]
    if others:
        warnings.warn(
            f"{len(others)} images below {str(path)!r} are left out, for example {'/'.join(min(others))!r}: their "
            "format is not read. Convert them to PNG or JPEG.",
            stacklevel=3,
        )
    return sorted(names)


def _classes(path, files, names):
    """Return the class of each image."""
    depth = 0
    while len({name[depth] for name in names}) == 1 and all(len(name) > depth + 2 for name in names):
        depth += 1  # one folder around all others, without an image of its own
    for name in names:
        if len(name) == 1:
            raise ValueError(
                f"{'/'.join(name)!r} in {str(path)!r} is not in a folder. Put each image in a folder with the name of "
                "its class, or use labelled=False, which loads images without classes."
            )
    for warning in (*_folders_without_images(path, files, names, depth), *_equal_subfolders(path, names, depth)):
        warnings.warn(warning, stacklevel=3)
    return [name[depth] for name in names]


def _formats(names):
    """Return up to five suffixes of files for a message."""
    suffixes = sorted({PurePosixPath(name[-1]).suffix or name[-1] for name in names})
    return ", ".join(suffixes[:5])


def _folders_without_images(path, files, names, depth):
    """Yield a warning for each folder, no deeper than the classes at `depth`, that has no image."""
    with_images = {name[:end] for name in names for end in range(1, depth + 2)}
    without = {}
    for name, most in [(name, len(name)) for name in files.folders] + [(name, len(name) - 1) for name in files.names]:
        folders = (name[:end] for end in range(1, min(depth + 1, most) + 1))
        outermost = next((folder for folder in folders if folder not in with_images), None)
        if outermost is not None:
            others = without.setdefault(outermost, [])
            others += [name] * (most < len(name))
    for folder, others in sorted(without.items()):
        yield (
            f"{'/'.join(folder)!r} in {str(path)!r} is not a class: it has no images that can be read, "
            f"{f'only {_formats(others)} files' if others else 'and no other files'}."
        )


def _equal_subfolders(path, names, depth):
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


def _mode_of_all(names, read):
    """Return "L" if no image has colour, else "RGB"."""
    for name in names:
        try:
            if not is_grey(read(name)):
                return "RGB"
        except Exception:  # it comes again in `_decode`
            continue
    return "L"


def _decode(place, listing, on_error):
    """Return the pixels and the indices of all files that can be decoded; `place` is for messages."""
    data, kept, highest, names = None, [], None, listing.names
    first, within = None, f" in {place!r}" if place else ""
    with closing(in_order(partial(attempt, decode_listed, listing), names, listing.n_jobs)) as attempts:
        for index, (name, (decoded, error)) in enumerate(zip(names, attempts, strict=True)):
            if error is not None:
                trouble = f"{'/'.join(name)!r}{within} cannot be read as an image: {error}"
                if on_error == "raise":
                    raise ValueError(f"{trouble}. Use on_error='warn' to leave it out.") from error
                warnings.warn(f"{trouble}. It is left out.", stacklevel=3)
                continue
            if data is None:
                check_memory(len(names), decoded.pixels.shape)
                data, first = np.empty((len(names), *decoded.pixels.shape), np.uint8), "/".join(name)
            if decoded.pixels.shape != data.shape[1:]:
                raise ValueError(
                    f"Images differ in size: {first!r} has {_sides(data[0])} pixels and {'/'.join(name)!r} has "
                    f"{_sides(decoded.pixels)} (height x width). Use size=(height, width) to scale all to one size."
                )
            data[len(kept)] = decoded.pixels
            kept.append(index)
            if decoded.highest is not None:
                highest = max(decoded.highest, highest or 0)
    if not kept:
        raise ValueError(f"None of the {len(names)} files{within} can be read as an image.")
    warn_of_few_bits(place or "the list", highest, stacklevel=4)
    return data[: len(kept)], kept


def _sides(pixels):
    """Return the height and width for a message."""
    return f"{pixels.shape[0]} x {pixels.shape[1]}"
