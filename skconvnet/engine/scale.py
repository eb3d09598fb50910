"""Doubts about pixels: images of another scale than those of fit, and outliers among the training images."""

import math

import numpy as np

__all__ = ["PixelScale", "doubt_about_constant", "doubt_about_outlier"]

_FAR = 8  # training deviations: of 64 training images, at most one is as far from their mean (Markov's inequality)
_DARK = 5  # all pixels are less than a fifth of the root mean square: none of 60,000 in Fashion-MNIST, of 10,000 photos
_FAINT = 20  # times smaller: deviation and root mean square, where a few pixels are brighter
_BRIGHT = 20  # a mean above it is one of pixels from 0 to 255
_MANY_PIXELS = 1 << 18  # a sample of so many takes no time beside their scores
_SAMPLE = 16  # images
_SAMPLE_PIXELS = 1 << 12  # of an image in the sample
_OUTLIER = 30  # deviations
_SHARE = 0.1  # of the variance: a pixel that makes up more of it than this ruins the scale of all others
_ALONE = 3  # times as far from the mean as the next: two pixels of 1 among zeros are no outliers
_BLOCK = 1 << 20  # pixels


class PixelScale:
    """The mean and deviation of the pixels that a network was trained on, compared with those of other images.

    Parameters
    ----------
    mean, scale : ndarray of float32, (channels,)
        Pixels are standardised as (pixel - mean) * scale.

    Attributes
    ----------
    takes_bytes : bool
        Whether the mean of the pixels is one of pixels from 0 to 255.

    Examples
    --------
    >>> import numpy as np
    >>> from skconvnet.engine import Images
    >>> scale = PixelScale(np.float32([100]), np.float32([1 / 60]))
    >>> images = np.arange(256.0).reshape(4, 64)
    >>> scale.doubt(Images(images, (8, 8, 1), largest=255))
    >>> scale.doubt(Images(images + 5000, (8, 8, 1), largest=5255))
    'X has pixels of a larger scale, and the network was trained on pixels with mean 100 and deviation 60. Scale the \
images as those of fit, unless they are only brighter.'
    """

    def __init__(self, mean, scale):
        self._mean, self._deviation = mean.astype(np.float64), 1 / np.maximum(scale.astype(np.float64), 1e-300)
        self._size = np.hypot(self._mean, self._deviation)  # root of the mean square
        reach = _FAR * self._deviation
        # Pixels are not far if their absolute values are up to the first, or if they are from 0 to the second.
        self._highest = float((reach - np.abs(self._mean)).min())
        self._highest_unsigned = float((reach + self._mean).min()) if (np.abs(self._mean) <= reach).all() else -math.inf
        self.takes_bytes = bool(mean.max() > _BRIGHT)

    def norms_of_one(self, n_pixels):
        """Return between which norms of all its pixels a single image needs no closer look.

        Parameters
        ----------
        n_pixels : int
            Values in an image.

        Returns
        -------
        lowest, highest : float
        """
        lowest = max(float(self._size.max()) / _DARK, 1.0 if self.takes_bytes else 0.0)
        return math.sqrt(n_pixels) * lowest, math.sqrt(n_pixels / len(self._size)) * self._highest

    def suits(self, pixels):
        """Return whether the pixels of a single image are neither far from those of training nor all small.

        Parameters
        ----------
        pixels : ndarray, (n_pixels,)
            Of any real dtype.

        Returns
        -------
        bool
            False if a pixel is NaN or infinite, or if the image needs a closer look.
        """
        distances = pixels.reshape(-1, len(self._mean)) - self._mean
        squares = np.einsum("ij,ij->j", distances, distances)  # no array of them, and no warning of infinity
        are_near = squares <= len(distances) * np.square(_FAR * self._deviation)
        return bool(are_near.all() and np.abs(pixels).max() >= self._size.max())

    def doubt(self, images):
        """Return why images seem to have another scale than those of training.

        A sample of them is read, if they are many or their largest pixel is unusual.

        Parameters
        ----------
        images : Images
            The images.

        Returns
        -------
        str or None
            None if they seem to have the same scale, or if the sample is constant.
        """
        seem_floats_up_to_1 = self.takes_bytes and images.pixels.dtype.kind == "f" and 0 < images.largest <= 1
        are_few = len(images) * math.prod(images.shape) < _MANY_PIXELS
        if are_few and not seem_floats_up_to_1 and self._is_usual(images):
            return None
        sample = _sample(images)
        mean, deviation = sample.mean(axis=0), sample.std(axis=0)
        if _are_constant(mean, deviation):
            return None
        if seem_floats_up_to_1:
            return "X has floats up to 1, and the network was trained on pixels from 0 to 255. Multiply them by 255."
        size = np.hypot(mean, deviation)
        is_far = np.hypot(mean - self._mean, deviation) > _FAR * self._deviation
        if not (is_far.any() or self._are_faint(sample, deviation, size)):
            return None
        channel = int(np.argmax(is_far))
        which, only = ("larger", "brighter") if size[channel] > self._size[channel] else ("smaller", "darker")
        # The same text for each batch of a stream: Python shows it once.
        return (
            f"X has pixels of a {which} scale, and the network was trained on pixels with mean "
            f"{self._mean[channel]:.3g} and deviation {self._deviation[channel]:.3g}. {self._advice(sample, only)}"
        )

    def _are_faint(self, sample, deviation, size):
        """Return whether the pixels of a sample are small in each channel, given its deviation and root mean square."""
        if not (size < self._size / _DARK).all():  # else the largest pixel is no smaller
            return False
        is_faint = (deviation < self._deviation / _FAINT) & (size < self._size / _FAINT)
        return bool((is_faint | (np.abs(sample).max(axis=0) < self._size / _DARK)).all())

    def _is_usual(self, images):
        """Return whether the largest pixel of a few images is one of images of the same scale."""
        is_unsigned = images.pixels.dtype.kind in "bu"
        highest = self._highest_unsigned if is_unsigned else self._highest
        if images.are_bytes and not isinstance(images.pixels, np.ndarray):  # files: all would be decoded
            return highest >= 255
        largest = _largest(images)
        return not (largest < self._size.max() or largest > highest)  # NaN is not known

    def _advice(self, sample, only):
        """Return what to do, for the two scales that are usual; `only` is what else the images may be."""
        low, high = sample.min(), sample.max()
        if self.takes_bytes and -1 <= low and high <= 1:
            return "Multiply them by 255 if they are from 0 to 1."
        is_unit = (np.abs(self._mean) <= 1).all() and (self._deviation <= 1).all()
        if is_unit and low >= 0 and 16 < high <= 255:
            return "Divide them by 255 if those of fit were from 0 to 1."
        return f"Scale the images as those of fit, unless they are only {only}."


def _sample(images):
    """Return pixels of a few images, float64 of shape (pixels, channels). Of images in files, still fewer are read."""
    most = _SAMPLE
    if not isinstance(images.pixels, np.ndarray):
        most = max(1, min(most, len(images) // 64))
    which = np.linspace(0, len(images) - 1, min(most, len(images))).astype(np.int64)
    height, width, channels = images.shape
    step = -(-height * width // _SAMPLE_PIXELS)
    return images.rows(which, np.float64).reshape(len(which), -1, channels)[:, ::step].reshape(-1, channels)


def _are_constant(mean, deviation):
    """Return whether all pixels of a channel are equal, but for rounding, in each channel."""
    return bool((deviation <= 1e-6 * np.abs(mean)).all())


def doubt_about_constant(images, scale):
    """Return that all training images are alike, or None.

    Parameters
    ----------
    images : Images
        The training images. They are only read if they seem to be constant.
    scale : ndarray of float32, (channels,)
        As `Images.statistics` computes it: a constant channel has scale 1.

    Returns
    -------
    str or None

    Examples
    --------
    >>> import numpy as np
    >>> from skconvnet.engine import Images
    >>> images = Images(np.zeros((5, 64)), (8, 8, 1))
    >>> doubt_about_constant(images, images.statistics()[1])
    'The pixels of X are constant, and a network learns nothing from images that are all alike. Check how they were \
read.'
    """
    if (scale != 1).any():
        return None
    sample = _sample(images)
    if not _are_constant(sample.mean(axis=0), sample.std(axis=0)):
        return None
    return (
        "The pixels of X are constant, and a network learns nothing from images that are all alike. Check how they "
        "were read."
    )


def doubt_about_outlier(images, weights, mean, scale):
    """Return where a training pixel is so far from the others that it alone decides how all are standardised.

    Parameters
    ----------
    images : Images
        The training images. They are only read if their largest pixel may be one.
    weights : ndarray of shape (n,)
        Images of weight zero are ignored.
    mean, scale : ndarray of float32, (channels,)
        As `Images.statistics` computes them.

    Returns
    -------
    str or None
        None if there is no such pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from skconvnet.engine import Images
    >>> X = np.random.default_rng(0).integers(0, 256, (200, 64)).astype(float)
    >>> X[7, 3] = 1e6
    >>> images = Images(X, (8, 8, 1), largest=1e6)
    >>> doubt_about_outlier(images, np.ones(200), *images.statistics())
    'X[7, 3] is 1e+06, 113 standard deviations from the mean of the pixels, and makes up 100% of their variance. \
Beside it all others look alike. Correct or clip it, as np.clip(X, None, 255) does.'
    """
    kind = images.pixels.dtype
    if kind.kind not in "iuf" or kind.itemsize == 1:  # bytes have no outliers
        return None
    height, width, channels = images.shape
    n_pixels = np.count_nonzero(weights) * height * width
    least, mean, scale = max(_OUTLIER, math.sqrt(_SHARE * n_pixels)), mean.astype(float), scale.astype(float)
    if not ((_largest(images) + np.abs(mean)) * scale > least).any():
        return None
    farthest, place = 0.0, None
    for counting, values in _counting_blocks(images, weights):
        distances = np.abs(values - mean) * scale
        number = int(np.argmax(distances))
        if distances.flat[number] > farthest:
            image, *inside = np.unravel_index(number, (len(counting), *images.pixels.shape[1:]))
            farthest, place = float(distances.flat[number]), (int(counting[image]), *map(int, inside))
            value, channel = float(values.flat[number]), number % channels
    if farthest <= least:
        return None
    sign = 1 if value > mean[channel] else -1
    highest = [np.sort(sign * values[:, channel])[-2:] for _, values in _counting_blocks(images, weights)]
    neighbour = sign * float(np.sort(np.concatenate(highest))[-2])
    if _ALONE * sign * (neighbour - mean[channel]) * scale[channel] > farthest:
        return None
    limits = f"None, {neighbour:.6g}" if sign > 0 else f"{neighbour:.6g}, None"
    return (
        f"X[{', '.join(map(str, place))}] is {value:.6g}, {farthest:.0f} standard deviations from the mean of the "
        f"pixels, and makes up {min(1, farthest**2 / n_pixels):.0%} of their variance. Beside it all others look "
        f"alike. Correct or clip it, as np.clip(X, {limits}) does."
    )


def _counting_blocks(images, weights):
    """Yield indices of images with a weight above zero, and their pixels, float64 of shape (pixels, channels)."""
    for indices in images.chunks(max(1, _BLOCK // math.prod(images.shape))):
        counting = indices[weights[indices] > 0]
        if len(counting) > 0:
            yield counting, images.rows(counting, np.float64).reshape(-1, images.shape[2])


def _largest(images):
    """Return an upper bound of the absolute values; that of whole numbers is found here, since no check reads them."""
    pixels = images.pixels
    if pixels.dtype.kind == "f" or not isinstance(pixels, np.ndarray):
        return images.largest
    size = max(1, _BLOCK // math.prod(images.shape))
    blocks = [pixels[first : first + size] for first in range(0, len(pixels), size)]
    lowest = min(int(block.min()) for block in blocks) if pixels.dtype.kind == "i" else 0
    return max(-lowest, *(int(block.max()) for block in blocks))
