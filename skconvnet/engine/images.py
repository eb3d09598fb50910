"""Images as the machine reads them: whole arrays untouched, minibatches converted when they are used."""

from dataclasses import dataclass

import numpy as np

__all__ = ["NO_IMAGES", "Images"]

_CHUNK = 1 << 20  # pixels that are converted at a time


@dataclass(frozen=True)
class Images:
    """A set of images of one size, over an array that is neither copied nor written.

    Parameters
    ----------
    pixels : ndarray of shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
        Any real dtype, any layout; it may be read-only or a memory map.
    shape : tuple of int
        (height, width, channels).

    Examples
    --------
    >>> import numpy as np
    >>> images = Images(np.zeros((5, 64), np.uint8), (8, 8, 1))
    >>> len(images), images.is_direct
    (5, True)
    """

    pixels: np.ndarray
    shape: tuple[int, int, int]

    def __len__(self):
        return len(self.pixels)

    @property
    def is_direct(self):
        """Whether the machine can read the array as it stands: C-contiguous uint8 or float32."""
        kind, flags = self.pixels.dtype, self.pixels.flags
        return kind in (np.uint8, np.float32) and kind.isnative and flags.c_contiguous and flags.aligned

    def source(self, indices):
        """Say where the machine finds some of the images.

        Parameters
        ----------
        indices : ndarray of int64, (batch,)
            Of the images, in the order of the minibatch.

        Returns
        -------
        pixels : ndarray of uint8, (n, height * width * channels) or (0, 0)
        floats : ndarray of float32, likewise
            One of the two holds the images, the other is empty.
        rows : ndarray of int64, (batch,)
            Where in it each image of the minibatch stands.
        """
        if not self.is_direct:
            return _NO_PIXELS, self._floats(indices), np.arange(len(indices))
        flat = np.asarray(self.pixels).reshape(len(self), -1)
        if flat.dtype == np.uint8:
            return flat, _NO_FLOATS, indices
        return _NO_PIXELS, flat, indices

    def chunks(self, size):
        """Yield consecutive runs of indices, `size` each but the last."""
        for first in range(0, len(self), size):
            yield np.arange(first, min(first + size, len(self)))

    def statistics(self, weights=None):
        """Mean and inverse standard deviation of each channel.

        Parameters
        ----------
        weights : ndarray of shape (n,), optional
            How much each image counts, >= 0 and not all zero. One of weight zero is as good as not there. Without
            weights all images count the same, and where all weights are equal the bits are those without.

        Returns
        -------
        mean, scale : ndarray of float32, (channels,)
            The same bits for the same values, whatever their dtype and layout. A constant channel has scale 1.
        """
        height, width, channels = self.shape
        if weights is None or (weights == weights[0]).all():
            weights = np.ones(len(self))
        count, shift, total, squares = 0, None, 0.0, 0.0
        for indices in self.chunks(max(1, _CHUNK // (height * width * channels))):
            counting = indices[weights[indices] > 0]
            if len(counting) == 0:
                continue
            which = slice(indices[0], indices[-1] + 1) if len(counting) == len(indices) else counting
            values = self._floats(which).reshape(-1, channels).astype(np.float64)
            of_pixel = np.repeat(weights[counting].astype(np.float64), height * width)[:, None]
            # Sums around the first chunk's mean: around zero, a large mean would drown a small deviation.
            shift = (values * of_pixel).sum(axis=0) / of_pixel.sum() if shift is None else shift
            values -= shift
            count += of_pixel.sum()
            total = total + (values * of_pixel).sum(axis=0)
            squares = squares + (np.square(values) * of_pixel).sum(axis=0)
        offset = total / count
        deviation = np.sqrt(np.maximum(squares / count - np.square(offset), 0.0))
        mean = shift + offset
        constant = deviation <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
        return mean.astype(np.float32), (1.0 / np.where(constant, 1.0, deviation)).astype(np.float32)

    def _floats(self, which):
        chosen = np.asarray(self.pixels)[which]
        return np.ascontiguousarray(chosen.reshape(len(chosen), -1), dtype=np.float32)


_NO_PIXELS = np.zeros((0, 0), np.uint8)
_NO_FLOATS = np.zeros((0, 0), np.float32)
NO_IMAGES = (_NO_PIXELS, _NO_FLOATS, np.zeros(0, np.int64))  # the source of an empty minibatch
