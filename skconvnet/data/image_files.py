"""Image files that are decoded while they are used, and the loading of further images like those of a folder."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np

from skconvnet.data.image_file import Form, decode
from skconvnet.engine import PixelSource

__all__ = ["ImageFiles", "Listing", "attempt", "decode_listed", "in_order"]

_AHEAD = 4  # files for each thread: some decode while others wait for their turn


@dataclass(frozen=True)
class Listing:
    """Files of images, and what they become.

    Parameters
    ----------
    names : sequence of tuple of str
        The files.
    read : callable
        ``read(name)`` returns the bytes of one. Several threads call it at once.
    form : Form
        The form to give to them.
    n_jobs : int or None
        How many threads decode.
    """

    names: list
    read: object
    form: Form
    n_jobs: int | None


class ImageFiles(PixelSource):
    """Images in files, which are decoded each time they are used. `load_image_folder` makes them with ``lazy=True``.

    They are like an array of uint8: estimators take them as X, and a slice or an array of indices gives some of them,
    still as files. An index gives the pixels of one image.

    Parameters
    ----------
    listing : Listing
        The files.
    shape : tuple of int
        (n, height, width) of grey images or (n, height, width, 3).
    indices : ndarray of int64, (n,)
        Which of the files, in this order.

    Attributes
    ----------
    filenames : ndarray of str, (n,)
        The name of each file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> from skconvnet import load_image_folder
    >>> with TemporaryDirectory() as path:
    ...     paths = [Path(path, f"{value}.png") for value in (10, 20, 30)]
    ...     for value, file in zip((10, 20, 30), paths):
    ...         Image.fromarray(np.full((4, 4), value, np.uint8)).save(file)
    ...     files = load_image_folder(paths, labelled=False, lazy=True).data
    ...     files, files[1:].shape, int(files[1:][0].max())
    (ImageFiles of shape (3, 4, 4), (2, 4, 4), 20)
    """

    def __init__(self, listing, shape, indices):
        super().__init__(shape, np.uint8)
        self._listing = listing
        self._indices = indices

    def __repr__(self):
        return f"ImageFiles of shape {self.shape}"

    @property
    def filenames(self):
        """The name of each file, ndarray of str."""
        return np.array(["/".join(self._listing.names[index]) for index in self._indices])

    def __getitem__(self, which):
        """Return some of the images, which are not read, or the pixels of one."""
        chosen = np.arange(len(self))[which]
        if chosen.ndim == 0:
            return self.read(chosen[None])[0]
        return ImageFiles(self._listing, (len(chosen), *self.shape[1:]), self._indices[chosen])

    def read(self, indices):
        """Decode some of the images.

        Parameters
        ----------
        indices : ndarray of int64, (m,)
            The images.

        Returns
        -------
        ndarray of uint8, (m, height, width) or (m, height, width, 3)

        Raises
        ------
        ValueError
            If a file cannot be read as an image, or has other sides than the first one.
        """
        listing, shape = self._listing, self.shape[1:]
        names = [listing.names[index] for index in self._indices[indices]]
        pixels = np.empty((len(names), *shape), np.uint8)
        with closing(in_order(partial(attempt, decode_listed, listing), names, listing.n_jobs)) as attempts:
            for place, (name, (decoded, error)) in enumerate(zip(names, attempts, strict=True)):
                if error is not None:
                    raise ValueError(f"{'/'.join(name)!r} cannot be read as an image: {error}.") from error
                if decoded.pixels.shape != shape:
                    raise ValueError(
                        f"Images differ in size: {'/'.join(name)!r} has {decoded.pixels.shape[0]} x "
                        f"{decoded.pixels.shape[1]} pixels, and the first one {shape[0]} x {shape[1]} (height x "
                        "width). Use size=(height, width) to scale all to one size."
                    )
                pixels[place] = decoded.pixels
        return pixels


def decode_listed(listing, name):
    """Return the decoded image of a file in a `Listing`."""
    return decode(listing.read(name), listing.form)


def attempt(decode_file, *arguments):
    """Return a decoded image and None, or None and the error. Decoders raise many types, even SyntaxError."""
    try:
        return decode_file(*arguments), None
    except MemoryError:
        raise
    except Exception as error:
        return None, error


def in_order(work, names, n_jobs):
    """Yield ``work(name)`` for each name, in order. Threads work a few names ahead, so that few results wait."""
    n_threads = joblib.effective_n_jobs(-1 if n_jobs is None else int(n_jobs))
    with ThreadPoolExecutor(n_threads) as threads:
        started = deque()
        try:
            for name in names:
                started.append(threads.submit(work, name))
                if len(started) > _AHEAD * n_threads:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:  # after an error, nothing is decoded in vain
            for future in started:
                future.cancel()
