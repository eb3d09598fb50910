"""Augmentation: random mirroring, shifting and covering of the images in each training minibatch.

This module draws the random numbers; the engine changes the image while it loads it. The numbers depend only on the
seed, the step and the position in the minibatch. Those of one kind do not depend on whether other kinds are used.
"""

from dataclasses import dataclass

import numpy as np

from skconvnet.engine.program.instructions import Warp

__all__ = ["AUGMENTATIONS", "Augmentation", "make_augmentation"]

AUGMENTATIONS = ("flip", "crop", "cutout")
_STREAM = 1  # sets the draws apart from those of the minibatches' order, which begin with the same seed


@dataclass(frozen=True)
class Augmentation:
    """Draws the random changes of the images of a minibatch.

    Parameters
    ----------
    kinds : tuple of str
        Some of `AUGMENTATIONS`, in any order:

        "flip" mirrors the columns of an image with probability one half.

        "crop" shifts the image by a number of rows and a number of columns, each uniform from -P to P, where P is an
        eighth of the side, rounded down: 4 pixels of 32, as if a crop was taken of the image padded by P. It leaves
        sides of less than 8 pixels alone. Source: He et al., "Deep Residual Learning for Image Recognition", 2015,
        section 4.2.

        "cutout" covers a square, of half the shorter side rounded down, whose centre is uniform over the pixels of the
        image; so it may lie partly outside. Source: DeVries, Taylor, "Improved Regularization of Convolutional Neural
        Networks with Cutout", 2017, arXiv:1708.04552, section 3.
    image_shape : tuple of int
        (height, width, channels).

    Examples
    --------
    >>> warps = Augmentation(("flip", "crop"), (32, 32, 3)).draw(seed=0, step=0, n=3)
    >>> warps[:, : Warp.CUT_TOP]  # FLIP, DOWN and RIGHT
    array([[ 1, -1,  1],
           [ 1, -3, -4],
           [ 0,  4, -2]])
    """

    kinds: tuple[str, ...]
    image_shape: tuple[int, int, int]

    def draw(self, seed, step, n):
        """Draw the changes of the images of one minibatch.

        Parameters
        ----------
        seed, step : int
            The seed of the training, >= 0, and the number of the step.
        n : int
            Number of images in the minibatch.

        Returns
        -------
        ndarray of int64, shape (n, 7); (0, 7) without augmentation
            A row for each image, with the columns of `skconvnet.engine.program.instructions.Warp`. A row does not
            depend on the number of images.
        """
        if not self.kinds:
            return np.zeros((0, len(Warp)), np.int64)
        height, width, _ = self.image_shape
        # One row per image and one column per purpose. All are drawn, so that the kinds do not depend on each other.
        mirror, down, right, row, column = np.random.default_rng((seed, step, _STREAM)).random((n, 5)).T
        warps = np.zeros((n, len(Warp)), np.int64)
        if "flip" in self.kinds:
            warps[:, Warp.FLIP] = mirror < 0.5
        if "crop" in self.kinds:
            warps[:, Warp.DOWN] = _uniform(down, -(height // 8), height // 8)
            warps[:, Warp.RIGHT] = _uniform(right, -(width // 8), width // 8)
        if "cutout" in self.kinds:
            side = min(height, width) // 2
            top = _uniform(row, 0, height - 1) - side // 2
            left = _uniform(column, 0, width - 1) - side // 2
            warps[:, Warp.CUT_TOP], warps[:, Warp.CUT_BOTTOM] = np.clip((top, top + side), 0, height)
            warps[:, Warp.CUT_LEFT], warps[:, Warp.CUT_RIGHT] = np.clip((left, left + side), 0, width)
        return warps


def make_augmentation(augment, image_shape):
    """Make the augmentation for the parameter `augment` of an estimator.

    Parameters
    ----------
    augment : None, str, or list or tuple of str
        Some of `AUGMENTATIONS`; None for no augmentation.
    image_shape : tuple of int
        (height, width, channels).

    Returns
    -------
    Augmentation

    Raises
    ------
    ValueError
        If `augment` is unknown, contains a name twice, or is an empty sequence.

    Examples
    --------
    >>> make_augmentation("flip", (8, 8, 1)).kinds
    ('flip',)
    >>> make_augmentation(None, (8, 8, 1)).draw(seed=0, step=0, n=3).shape
    (0, 7)
    """
    kinds = (augment,) if isinstance(augment, str) else () if augment is None else augment
    known = ", ".join(map(repr, AUGMENTATIONS))
    if not isinstance(kinds, (list, tuple)):
        raise ValueError(f"augment={augment!r} is no augmentation. Use None, one of {known}, or a list of them.")
    for kind in kinds:
        if not isinstance(kind, str) or kind not in AUGMENTATIONS:
            raise ValueError(f"augment={augment!r} has {kind!r}, which is none of {known}.")
        if kinds.count(kind) > 1:
            raise ValueError(f"augment={augment!r} has {kind!r} twice. Name each of {known} once at most.")
    if augment is not None and not kinds:
        raise ValueError(f"augment={augment!r} is empty. Use None for no augmentation, or some of {known}.")
    return Augmentation(tuple(kinds), image_shape)


def _uniform(draws, lowest, highest):
    """Convert draws from [0, 1) to integers that are uniform from lowest to highest."""
    return lowest + np.floor(draws * (highest - lowest + 1)).astype(np.int64)
