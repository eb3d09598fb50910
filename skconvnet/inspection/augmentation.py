"""Augmented images, as arrays and as a picture."""

import numpy as np
from sklearn.utils import check_random_state

from skconvnet.architecture.hyperparameters import whole_number
from skconvnet.data.forms import as_one_array
from skconvnet.data.images import check_images, check_several
from skconvnet.engine import Images
from skconvnet.engine.loading import load_augmented
from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.inspection.drawing import axes_or_new, check_axes, show_image
from skconvnet.training import make_augmentation

__all__ = ["AugmentationDisplay", "augmented_images"]

_WIDTH, _LEAST = 8, (2, 1)  # inches of a new figure; images that are not square may need more
_LONGEST, _SHORTEST = 2, 0.17  # inches of the sides of an image: the shorter is at least a line of text


def augmented_images(X, augment, *, n_variants=8, image_shape=None, random_state=None):
    """Augment images as the training of a network does.

    Parameters
    ----------
    X : array-like
        Images, as `ConvNetClassifier.fit` takes them. All of them are one minibatch.
    augment : str, callable, list of them, or None
        As of `ConvNetClassifier`.
    n_variants : int, default=8
        How often each image is augmented, at least once.
    image_shape : tuple of int, default=None
        (height, width, channels), for rows that are not square images.
    random_state : int, RandomState instance or None, default=None
        Determines the changes: variant k is what a fit with this random state sees in step k if the images are its
        minibatch, in this order.

    Returns
    -------
    ndarray of float32, (n_images, n_variants, height, width, channels)
        In the units of X. Where no image is, pixels are the mean of X.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, _ = load_digits(return_X_y=True)
    >>> augmented_images(X[:5], ["rotate", "crop(1)"], n_variants=3, random_state=0).shape
    (5, 3, 8, 8, 1)
    """
    n_variants = whole_number("n_variants", n_variants, 1, error=ValueError)
    images = _images_of(X, image_shape)
    return _augmented(images, len(images), augment, n_variants, random_state)


def _images_of(X, image_shape):
    """Check images and return them."""
    X = as_one_array(X)
    if X.shape[:1] == (0,):
        raise ValueError("X has no images. Pass at least one.")
    images = check_images(ConvNetClassifier(image_shape=image_shape), X, image_shape, reset=True)
    if image_shape is None:
        check_several(images.pixels.shape, images)
    return images


def _augmented(images, n, augment, n_variants, random_state):
    """Augment the first n images, which are one minibatch. The mean of the pixels is that of all images."""
    augmentation = make_augmentation(augment, images.shape)
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    mean, scale = (np.float32(numbers) for numbers in images.statistics())
    first = images.take(slice(n))
    variants = []
    for step in range(1, n_variants + 1):
        changed, warps = _changed(first, augmentation, seed, step), augmentation.draw(seed, step, len(first))
        variants.append(load_augmented(changed, warps, mean, scale))
    return np.stack(variants, axis=1) / scale + mean


def _changed(images, augmentation, seed, step):
    """Return images as the functions of an augmentation change them."""
    if not augmentation.functions:
        return images
    return Images(augmentation.change(seed, step, np.array(images.unconverted(slice(None)))), images.shape)


class AugmentationDisplay:
    """A picture of augmented images: a row for each image, the image itself first.

    Images with other than three channels are drawn in grey, as the mean of their channels.

    Make one with `from_images`. It needs Matplotlib: ``pip install matplotlib``.

    Parameters
    ----------
    images : ndarray, (n_images, height, width, channels)
        The images.
    variants : ndarray, (n_images, n_variants, height, width, channels)
        What `augmented_images` makes of them.
    n_images : int, default=None
        Of how many images these are the first. None if they are all.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the picture.
    figure_ : matplotlib Figure
        Its figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, _ = load_digits(return_X_y=True)
    >>> display = AugmentationDisplay.from_images(X[:5], "rotate", random_state=0)  # doctest: +SKIP
    """

    def __init__(self, images, variants, *, n_images=None):
        self.images = images
        self.variants = variants
        self.n_images = n_images

    @classmethod
    def from_images(cls, X, augment, *, n_variants=8, image_shape=None, random_state=None, max_images=10, ax=None):
        """Augment images and draw them.

        Parameters
        ----------
        X, augment, n_variants, image_shape, random_state
            As of `augmented_images`. Each image of X is a row of the picture.
        max_images : int, default=10
            The most images that are drawn, the first of X. The others are not augmented.
        ax : matplotlib Axes, default=None
            Where to draw; by default, in a new figure.

        Returns
        -------
        AugmentationDisplay
        """
        check_axes(cls, ax)
        max_images = whole_number("max_images", max_images, 1, error=ValueError)
        n_variants = whole_number("n_variants", n_variants, 1, error=ValueError)
        images = _images_of(X, image_shape)
        variants = _augmented(images, max_images, augment, n_variants, random_state)
        first = images.unconverted(slice(max_images))
        return cls(first, variants, n_images=len(images)).plot(max_images=max_images, ax=ax)

    def plot(self, *, max_images=10, ax=None):
        """Draw the images.

        Parameters
        ----------
        max_images : int, default=10
            The most images that are drawn, the first. Above them is written of how many.
        ax : matplotlib Axes, default=None
            Where to draw; by default, in a new figure.

        Returns
        -------
        AugmentationDisplay
            This display.
        """
        n_shown = min(whole_number("max_images", max_images, 1, error=ValueError), len(self.images))
        n_images = len(self.images) if self.n_images is None else self.n_images
        grid = self._grid(n_shown)
        ax = axes_or_new(self, ax, self._size(grid.shape))
        show_image(ax, grid if grid.shape[2] == 3 else grid[..., 0])
        ax.set_axis_off()
        if n_shown < n_images:
            ax.set_title(f"{n_shown} of {n_images:,} images", fontsize="medium")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _size(self, shape):
        """Return the inches of a new figure for a grid of this height and width."""
        sides = self.images.shape[1:3]
        inches = min(_WIDTH / shape[1], _LONGEST / max(sides))  # of a pixel
        inches = max(inches, min(_SHORTEST / min(sides), _LONGEST / max(sides)))
        return max(_LEAST[0], inches * shape[1]), max(_LEAST[1], inches * shape[0])

    def _grid(self, n):
        """Return the first images side by side, from 0 to 1, with white between them; of other than RGB, the mean."""
        everything = np.concatenate([self.images[:n, None], self.variants[:n]], axis=1)
        everything = everything if everything.shape[-1] == 3 else everything.mean(axis=-1, keepdims=True)
        low, high = everything[:, 0].min(), everything[:, 0].max()
        everything = np.clip((everything - low) / (high - low or 1), 0, 1)
        framed = np.pad(everything, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1)
        n_rows, n_columns, height, width, channels = framed.shape
        return framed.transpose(0, 2, 1, 3, 4).reshape(n_rows * height, n_columns * width, channels)
