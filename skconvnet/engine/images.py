"""Images as the engine reads them: uint8 and float32 arrays in place, all others one minibatch at a time."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

__all__ = ["NO_PIXELS", "Images", "OnDevice", "PixelSource", "pixel_limit"]

_CHUNK_PIXELS = 1 << 20  # converted at a time
_MAX_DEVIATIONS = 1e15  # of a pixel from the mean: the squares of a million such numbers have a finite float32 sum


class PixelSource:
    """Images that are no array in memory, such as files or sparse rows. They are read a minibatch at a time.

    A subclass calls the constructor and defines `read`. Training reads the images several times: to check them, for
    the mean and deviation of the pixels, and in each epoch. The bits of a fit are those of the same images as an array.

    Parameters
    ----------
    shape : tuple of int
        (n, height * width * channels), (n, height, width) or (n, height, width, channels).
    dtype : dtype
        Of the pixels: any real dtype. Pixels of uint8 need no pass to check that they are finite.

    Examples
    --------
    >>> import numpy as np
    >>> class Ramp(PixelSource):
    ...     def read(self, indices):
    ...         return np.full((len(indices), *self.shape[1:]), indices[:, None], self.dtype)
    >>> Ramp((1000, 2), np.uint8)[7:10]
    array([[7, 7],
           [8, 8],
           [9, 9]], dtype=uint8)
    """

    def __init__(self, shape, dtype):
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def read(self, indices):
        """Return some of the images. Several threads may call it at once.

        Parameters
        ----------
        indices : ndarray of int64, (m,)
            The images, in any order, possibly repeated.

        Returns
        -------
        ndarray, (m, ...)
            Of the source's dtype, and of its shape behind the first axis. The same pixels in every call.
        """
        raise NotImplementedError

    def __getitem__(self, which):
        """Return the images of a slice or of an array of indices, or a single image, as an array."""
        indices = np.arange(len(self))[which]
        images = self.read(np.atleast_1d(indices))
        return images if indices.ndim else images[0]

    def __len__(self):
        return self.shape[0]

    @property
    def ndim(self):
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self):
        """The number of pixel values of all images."""
        return math.prod(self.shape)


class _Chosen(PixelSource):
    """Some of the images of another source."""

    def __init__(self, source, indices):
        super().__init__((len(indices), *source.shape[1:]), source.dtype)
        self._source, self._indices = source, indices

    def read(self, indices):
        return self._source.read(self._indices[indices])


class _Mirrored(PixelSource):
    """Images with left and right exchanged, minibatch by minibatch."""

    def __init__(self, images):
        super().__init__((len(images), *images.shape), images.pixels.dtype)
        self._images = images

    def read(self, indices):
        return self._images.unconverted(indices)[:, :, ::-1]


@dataclass(frozen=True)
class OnDevice:
    """The same pixels in the memory of a GPU, where another library has put them.

    Parameters
    ----------
    address : int
        Of the first pixel; the array is C-contiguous.
    dtype : dtype
        uint8 or float32.
    owner : object
        What keeps the memory.
    """

    address: int
    dtype: np.dtype
    owner: object


@dataclass(frozen=True)
class Images:
    """A set of images of one size. The array is neither copied nor written.

    Parameters
    ----------
    pixels : ndarray or PixelSource, (n, height * width * channels), (n, height, width) or (n, height, width, channels)
        Any real dtype and memory layout; it may be read-only or a memory map.
    shape : tuple of int
        (height, width, channels).
    largest : float, default=nan
        An upper bound of the pixels' absolute values. With NaN, `Network.check_pixels` accepts all images.
    on_device : OnDevice, optional
        The same pixels in the memory of a GPU, which then does not need a copy.

    Examples
    --------
    >>> import numpy as np
    >>> images = Images(np.zeros((5, 64), np.uint8), (8, 8, 1))
    >>> len(images), images.is_direct
    (5, True)
    """

    pixels: np.ndarray | PixelSource
    shape: tuple[int, int, int]
    largest: float = math.nan
    on_device: OnDevice | None = None

    def __len__(self):
        return len(self.pixels)

    @cached_property
    def is_direct(self):
        """Whether the machine can read the array in place: C-contiguous uint8 or float32."""
        if isinstance(self.pixels, PixelSource):
            return False
        kind, flags = self.pixels.dtype, self.pixels.flags
        return kind in (np.uint8, np.float32) and kind.isnative and flags.c_contiguous and flags.aligned

    @property
    def are_bytes(self):
        """Whether the pixels are uint8, in place or not."""
        return self.pixels.dtype == np.uint8

    def take(self, which):
        """Return some of the images; those of a `PixelSource` are not read.

        Parameters
        ----------
        which : slice or ndarray of int64, (m,)
            The images.

        Returns
        -------
        Images
        """
        is_source = isinstance(self.pixels, PixelSource)
        pixels = _Chosen(self.pixels, np.arange(len(self))[which]) if is_source else self.pixels[which]
        return replace(self, pixels=pixels, on_device=None)

    def mirrored(self):
        """Return the images with left and right exchanged. They are exchanged when a minibatch is read.

        Returns
        -------
        Images
        """
        return replace(self, pixels=_Mirrored(self), on_device=None)

    def source(self, indices):
        """Return arrays from which the machine reads some of the images.

        Parameters
        ----------
        indices : ndarray of int64, (batch,)
            The images, in the order of the minibatch.

        Returns
        -------
        pixels : ndarray of uint8 or float32, (n, height * width * channels)
            The same object in each call, if the machine can read the array in place.
        rows : ndarray of int64, (batch,)
            The row of each image of the minibatch.
        """
        return (self._flat, indices) if self.is_direct else (self.rows(indices), np.arange(len(indices)))

    @cached_property
    def _flat(self):
        return np.asarray(self.pixels).reshape(len(self), -1)

    def rows(self, which, dtype=np.float32):
        """Return some of the images, converted to a dtype.

        Parameters
        ----------
        which : slice or ndarray of int64, (m,)
            The images.
        dtype : dtype
            Of the pixels.

        Returns
        -------
        ndarray, (m, height * width * channels)
            C-contiguous.
        """
        chosen = self.unconverted(which)
        return np.ascontiguousarray(chosen, dtype=dtype).reshape(len(chosen), -1)

    def unconverted(self, which):
        """Return some of the images in their own dtype.

        Parameters
        ----------
        which : slice or ndarray of int64, (m,)
            The images.

        Returns
        -------
        ndarray, (m, height, width, channels)
            It may share memory with `pixels`.
        """
        is_source = isinstance(self.pixels, PixelSource)
        chosen = self.pixels.read(np.arange(len(self))[which]) if is_source else np.asarray(self.pixels)[which]
        return chosen.reshape(len(chosen), *self.shape)

    def chunks(self, size):
        """Yield consecutive index arrays of length `size`; the last may be shorter."""
        for first in range(0, len(self), size):
            yield np.arange(first, min(first + size, len(self)))

    def statistics(self, weights=None, chunk_pixels=_CHUNK_PIXELS):
        """Compute the mean and the inverse standard deviation of each channel.

        Parameters
        ----------
        weights : ndarray of shape (n,), optional
            The weight of each image, >= 0 and not all zero. Images of weight zero are ignored. Equal weights give the
            same bits as none.
        chunk_pixels : int, optional
            Pixels that are converted at a time.

        Returns
        -------
        mean, scale : ndarray of float32, (channels,)
            The same bits for the same values, whatever their dtype and memory layout. A constant channel has scale 1.

        Raises
        ------
        ValueError
            If a channel varies, but relative to its mean so little that it is constant in float32.
        """
        count, shift, total, squares = 0, None, 0.0, 0.0
        for values, of_pixel in self._weighted_chunks(weights, chunk_pixels):
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
        if constant.any() and not np.can_cast(self.pixels.dtype, np.float32):
            self._check_constant(constant, mean, weights, chunk_pixels)
        return mean.astype(np.float32), (1.0 / np.where(constant, 1.0, deviation)).astype(np.float32)

    def _check_constant(self, constant, mean, weights, chunk_pixels):
        """Raise a ValueError if channels that are constant in float32 vary, and were rounded to float32."""
        low, high, rounded = np.inf, -np.inf, False
        for values, _ in self._weighted_chunks(weights, chunk_pixels, self.pixels.dtype):
            low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
            rounded = rounded | (values != values.astype(np.float32)).any(axis=0)
        size = np.abs(mean)
        lost = constant & rounded & (high - low > 1e-12 * size) & (size > 1e-30)  # below are float64's rounding errors
        if lost.any():
            channel = int(np.argmax(lost))
            low, high = float(low[channel]), float(high[channel])
            raise ValueError(
                f"The pixels of X in channel {channel} are between {low!r} and {high!r}. Relative to their size they "
                "vary too little for float32. Subtract a constant, near their mean, from X in fit and in predict."
            )

    def check_standardised(self, mean, scale, name="X", chunk_pixels=_CHUNK_PIXELS):
        """Raise a ValueError if a pixel is so far from the mean that float32 cannot compute with it.

        Parameters
        ----------
        mean, scale : ndarray of float32, (channels,)
            Pixels are standardised as (pixel - mean) * scale.
        name : str, optional
            What the error calls the images.
        chunk_pixels : int, optional
            Pixels that are converted at a time.
        """
        channels = len(mean)
        for indices in self.chunks(max(1, chunk_pixels // math.prod(self.shape))):
            values = self.rows(slice(indices[0], indices[-1] + 1), np.float64).reshape(-1, channels)
            distance = np.abs(values - mean)
            far = (distance * scale > _MAX_DEVIATIONS) | (distance > np.finfo(np.float32).max)
            if far.any():
                number = int(np.argmax(far))
                value, channel = values.flat[number], number % channels
                image, *inside = np.unravel_index(number, (len(indices), *self.pixels.shape[1:]))
                place = ", ".join(str(int(i)) for i in (indices[0] + image, *inside))
                raise ValueError(
                    f"{name}[{place}] is {value:.6g}. The training pixels have mean {mean[channel]:.6g} and standard "
                    f"deviation {1 / scale[channel]:.6g}, and float32 cannot compute with pixels more than "
                    f"{_MAX_DEVIATIONS:g} deviations from the mean. Scale all images alike, and remove outliers."
                )

    def _weighted_chunks(self, weights, chunk_pixels, dtype=np.float32):
        """Yield pixels as float64, (rows, channels), and the weight of each row, without images of weight zero.

        Pixels are rounded to `dtype` first.
        """
        height, width, channels = self.shape
        if weights is None or (weights == weights[0]).all():
            weights = np.ones(len(self))
        for indices in self.chunks(max(1, chunk_pixels // math.prod(self.shape))):
            counting = indices[weights[indices] > 0]
            if len(counting) > 0:
                which = slice(indices[0], indices[-1] + 1) if len(counting) == len(indices) else counting
                values = self.rows(which, dtype).reshape(-1, channels).astype(np.float64)
                yield values, np.repeat(weights[counting].astype(np.float64), height * width)[:, None]


def pixel_limit(mean, scale):
    """Return an absolute value up to which float32 can compute with every standardised pixel.

    Parameters
    ----------
    mean, scale : ndarray of float32, (channels,)
        Pixels are standardised as (pixel - mean) * scale.

    Returns
    -------
    float
    """
    mean, scale = np.abs(mean.astype(np.float64)), np.maximum(scale.astype(np.float64), 1e-300)
    return float(np.min(np.minimum(_MAX_DEVIATIONS / scale, np.finfo(np.float32).max) - mean))


NO_PIXELS = np.zeros((0, 0), np.float32)  # of no image
