"""Augmentation: random changes of the images in each training minibatch.

This module draws the random numbers; the engine changes the image while it loads it. The numbers depend only on the
seed, the step and the position in the minibatch. Those of one kind do not depend on whether other kinds are used.
A user's own function is the last resort: it changes the pixels of a minibatch before the engine loads them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from skconvnet.architecture.errors import did_you_mean
from skconvnet.engine.program.instructions import ONE, Warp

__all__ = ["AUGMENTATIONS", "Augmentation", "make_augmentation"]

# Numbers that set the draws apart from those of the minibatches' order, which begin with the same seed.
_STREAM, _FURTHER_STREAM, _PARTNER_STREAM, _SHARE_STREAM, _FUNCTION_STREAM = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class Amount:
    """The number in parentheses after the name of an augmentation.

    Parameters
    ----------
    meaning : str
        For errors.
    most : float
        The largest; all are larger than 0. Infinity stands for the longer side of the images.
    default : float or None
        None if it depends on the images.
    is_whole : bool
        Whether it counts pixels.
    """

    meaning: str
    most: float
    default: float | None = None
    is_whole: bool = False

    def range(self, image_shape):
        """Return the numbers that may be given, in words."""
        if self.is_whole:
            return f"{self.meaning}, a whole number from 1 to {max(image_shape[:2])}"
        return f"{self.meaning}, a number above 0, at most {self.most:g}"

    def has(self, number, image_shape):
        """Return whether a number may be given."""
        if self.is_whole:
            return number == int(number) and 1 <= number <= max(image_shape[:2])
        return 0 < number <= self.most


# A kind without an amount has None.
AUGMENTATIONS = {
    "flip": None,
    "crop": Amount("pixels", float("inf"), is_whole=True),
    "cutout": Amount("pixels of a side", float("inf"), is_whole=True),
    "rotate": Amount("degrees", 180, 15),
    "scale": Amount("a part of the size", 0.9, 0.2),
    "brightness": Amount("standard deviations", 10, 0.2),
    "contrast": Amount("a part of the contrast", 1, 0.2),
    "noise": Amount("standard deviations", 10, 0.1),
    "mixup": Amount("alpha of the Beta distribution", 10, 0.2),
}


@dataclass(frozen=True)
class Augmentation:
    """Draws the random changes of the images of a minibatch.

    Pixels are standardised first, so amounts of brightness and noise count standard deviations of the training pixels.
    Where no image is, pixels are 0, the mean of the training pixels.

    Parameters
    ----------
    amounts : dict of str to float or None
        The amount of each kind, some of `AUGMENTATIONS`; None for the default.

        "flip" mirrors the columns of an image with probability one half.

        "crop" shifts the image by a number of rows and a number of columns, each uniform from -P to P, as if a crop was
        taken of the image padded by P. By default, P is an eighth of the side, rounded down: 4 pixels of 32. This
        leaves sides of less than 8 pixels alone. A row and a column of the image always stay. Source: He et al., "Deep
        Residual Learning for Image Recognition", 2015, section 4.2.

        "cutout" covers a square whose centre is uniform over the pixels of the image; so it may lie partly outside. By
        default, its side is half the shorter side of the image, rounded down. Source: DeVries, Taylor, "Improved
        Regularization of Convolutional Neural Networks with Cutout", 2017, arXiv:1708.04552, section 3.

        "rotate" rotates the image about its centre by an angle, uniform from -15 to 15 degrees by default.

        "scale" enlarges the image by a factor, uniform from 0.8 to 1.2 by default: 1 less and more the amount.

        "brightness" adds a number to all pixels, uniform from -0.2 to 0.2 by default.

        "contrast" multiplies all pixels by a factor, uniform from 0.8 to 1.2 by default.

        "noise" adds a nearly normal number to each channel of each pixel, with the standard deviation 0.1 by default.

        "mixup" mixes each image with another one of its minibatch, and their targets in the same parts. The part of the
        other is the smaller one of two that a Beta(alpha, alpha) distribution makes, with the alpha 0.2 by default.
        Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2017, arXiv:1710.09412, section 2.
    image_shape : tuple of int
        (height, width, channels).
    functions : tuple of callable
        Each is called with the images of a minibatch and a `numpy.random.Generator`, and returns the images as the next
        one gets them.

    Examples
    --------
    >>> warps = Augmentation({"flip": None, "crop": None}, (32, 32, 3)).draw(seed=0, step=0, n=3)
    >>> warps[:, : Warp.CUT_TOP]  # FLIP, DOWN and RIGHT
    array([[ 1, -1,  1],
           [ 1, -3, -4],
           [ 0,  4, -2]])
    """

    amounts: dict[str, float | None]
    image_shape: tuple[int, int, int]
    functions: tuple[Callable, ...] = ()

    @property
    def kinds(self):
        """What is done, as texts: the names of the functions, then the kinds with their amounts in a fixed order.

        A default is not spelled.
        """
        return *map(_name_of, self.functions), *(
            kind if amount is None else f"{kind}({repr(amount).removesuffix('.0')})"
            for kind, amount in sorted(self.amounts.items())
        )

    def change(self, seed, step, pixels):
        """Return the images of one minibatch as the functions change them.

        Parameters
        ----------
        seed, step : int
            As of `draw`.
        pixels : ndarray, (n, height, width, channels)
            The images, which may be overwritten.

        Returns
        -------
        ndarray of float32, (n, height, width, channels)

        Raises
        ------
        ValueError
            If a function returns something else than finite images of that shape.
        """
        for number, function in enumerate(self.functions):
            rng = np.random.default_rng((seed, step, _FUNCTION_STREAM, number))
            pixels = _checked_images(function, function(pixels, rng), pixels.shape)
        return pixels.astype(np.float32)

    def draw(self, seed, step, n, weights=None):
        """Draw the changes of the images of one minibatch.

        Parameters
        ----------
        seed, step : int
            The seed of the training, >= 0, and the number of the step.
        n : int
            Number of images in the minibatch.
        weights : ndarray of shape (n,), optional
            The weights of the images. One without weight is mixed into no other.

        Returns
        -------
        ndarray of int64, shape (n, columns of Warp); (0, columns of Warp) without augmentation
            A row for each image, with the columns of `skconvnet.engine.program.instructions.Warp`. Of a row, only the
            partner in "mixup" depends on the number of images.
        """
        if not self.amounts:
            return np.zeros((0, len(Warp)), np.int64)
        warps = np.zeros((n, len(Warp)), np.int64)
        # One row per image and one column per purpose. All are drawn, so that the kinds do not depend on each other.
        self._place(warps, *np.random.default_rng((seed, step, _STREAM)).random((n, 5)).T)
        if "mixup" in self.amounts:
            partners = np.random.default_rng((seed, step, _PARTNER_STREAM)).permutation(n)
            shares = np.random.default_rng((seed, step, _SHARE_STREAM)).beta(*[self._amount("mixup")] * 2, n)
            warps[:, Warp.PARTNER] = partners - np.arange(n)
            if weights is not None:
                shares = np.where(weights[partners] > 0, shares, 0)
            warps[:, Warp.SHARE] = _parts(np.minimum(shares, 1 - shares))
        if self.amounts.keys() - {"flip", "crop", "cutout", "mixup"}:
            self._resample(warps, *np.random.default_rng((seed, step, _FURTHER_STREAM)).random((n, 5)).T)
        return warps

    def _place(self, warps, mirror, down, right, row, column):
        """Write which images are mirrored, how far they are shifted, and what is covered."""
        height, width, _ = self.image_shape
        if "flip" in self.amounts:
            warps[:, Warp.FLIP] = mirror < 0.5
        if "crop" in self.amounts:
            most = self.amounts["crop"]
            rows, columns = (side // 8 if most is None else min(int(most), side - 1) for side in (height, width))
            warps[:, Warp.DOWN] = _uniform(down, -rows, rows)
            warps[:, Warp.RIGHT] = _uniform(right, -columns, columns)
        if "cutout" in self.amounts:
            side = int(self.amounts["cutout"] or min(height, width) // 2)
            top = _uniform(row, 0, height - 1) - side // 2
            left = _uniform(column, 0, width - 1) - side // 2
            warps[:, Warp.CUT_TOP], warps[:, Warp.CUT_BOTTOM] = np.clip((top, top + side), 0, height)
            warps[:, Warp.CUT_LEFT], warps[:, Warp.CUT_RIGHT] = np.clip((left, left + side), 0, width)

    def _resample(self, warps, turn, size, light, gain, key):
        """Write how images are rotated and scaled, how their tones change, and the noise."""
        if "rotate" in self.amounts or "scale" in self.amounts:
            angle, factor = np.radians(self._around(0, "rotate", turn)), self._around(1, "scale", size)
            warps[:, Warp.COSINE], warps[:, Warp.SINE] = (
                _parts(np.cos(angle) / factor - 1),
                _parts(np.sin(angle) / factor),
            )
        warps[:, Warp.BRIGHTNESS] = _parts(self._around(0, "brightness", light))
        warps[:, Warp.CONTRAST] = _parts(self._around(1, "contrast", gain) - 1)
        if "noise" in self.amounts:
            warps[:, Warp.NOISE] = _parts(self._amount("noise"))
            warps[:, Warp.NOISE_KEY] = _uniform(key, 0, 2**31 - 1)

    def _amount(self, kind):
        """Return the amount of a kind, 0 if it is not used."""
        amount = self.amounts.get(kind, 0)
        return AUGMENTATIONS[kind].default if amount is None else amount

    def _around(self, middle, kind, draws):
        """Convert draws from [0, 1) to numbers around `middle` that differ from it by the kind's amount at most."""
        return middle + self._amount(kind) * (2 * draws - 1)


def make_augmentation(augment, image_shape):
    """Make the augmentation for the parameter `augment` of an estimator.

    Parameters
    ----------
    augment : None, str, callable, or list or tuple of them
        Some of `AUGMENTATIONS`, most of which take an amount in parentheses, and functions; None for no augmentation.
    image_shape : tuple of int
        (height, width, channels).

    Returns
    -------
    Augmentation

    Raises
    ------
    ValueError
        If `augment` is unknown, contains a name twice or an amount that is out of range, or is an empty sequence.

    Examples
    --------
    >>> make_augmentation(["flip", "rotate(30)"], (8, 8, 1)).kinds
    ('flip', 'rotate(30)')
    >>> make_augmentation(None, (8, 8, 1)).draw(seed=0, step=0, n=3).shape
    (0, 15)
    """
    kinds = (augment,) if isinstance(augment, str) or callable(augment) else () if augment is None else augment
    known = ", ".join(map(repr, AUGMENTATIONS))
    if not isinstance(kinds, (list, tuple)):
        raise ValueError(f"augment={augment!r} is no augmentation. Use None, one of {known}, a function, or a list.")
    amounts = {}
    for kind in kinds:
        if callable(kind):
            continue
        name, amount = _parse(kind)
        if name not in AUGMENTATIONS:
            raise ValueError(
                f"augment={augment!r} has {kind!r}, which is none of {known}, and no function{_meant(kind) or '.'}"
            )
        if name in amounts:
            raise ValueError(f"augment={augment!r} has {name!r} twice. Name each of {known} once at most.")
        amounts[name] = None if amount is None else _checked_amount(augment, name, amount, image_shape)
    if "rotate" in amounts and min(image_shape[:2]) == 1:
        raise ValueError(
            f"augment={augment!r} has 'rotate', and images of shape {image_shape} are a line: rotated, most of its "
            "pixels are none of the image's. Leave 'rotate' out."
        )
    if augment is not None and not kinds:
        raise ValueError(f"augment={augment!r} is empty. Use None for no augmentation, or some of {known}.")
    return Augmentation(amounts, image_shape, tuple(filter(callable, kinds)))


def _meant(kind):
    """Return the end of an error about an unknown kind: what was perhaps meant."""
    parts = re.findall(r"\w+(?:\([^)]*\))?", kind) if isinstance(kind, str) else []
    names = [part.partition("(")[0] for part in parts]
    if len(parts) > 1 and AUGMENTATIONS.keys() >= set(names):
        return f". Several are a list: {parts}."
    return next(filter(None, (did_you_mean(name, AUGMENTATIONS) for name in names)), "")


def _parse(kind):
    """Return the name of a kind and the text in its parentheses; None for what there is not."""
    found = re.fullmatch(r"(\w+)(?:\((.*)\))?", kind) if isinstance(kind, str) else None
    return found.groups() if found else (None, None)


def _name_of(function):
    """Return the module and the qualified name of a function, or of the class of another callable."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _checked_images(function, result, shape):
    """Return what a function made of images of a shape as an array; raise ValueError if it is no such images."""
    images, name = np.asarray(result), _name_of(function)
    if images.shape != shape or images.dtype.kind not in "buif":
        found = "None" if result is None else f"an array of shape {images.shape} and dtype {images.dtype}"
        raise ValueError(
            f"The function {name} in augment returned {found}. It must return real numbers of the shape {shape} that "
            "it gets: (images, height, width, channels)."
        )
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(images.astype(np.float32)).reshape(len(images), -1).all(axis=1)
    if not is_finite.all():
        raise ValueError(
            f"The function {name} in augment returned a number that is not finite in float32, in image "
            f"{int(np.argmin(is_finite))} of its minibatch. It must return finite numbers."
        )
    return images


def _checked_amount(augment, name, text, image_shape):
    """Return an amount as a number, None if it is the default; raise ValueError if it is out of range."""
    amount = AUGMENTATIONS[name]
    if amount is None:
        raise ValueError(f"augment={augment!r} has {name!r} with {text!r} in parentheses. It takes no amount.")
    is_number = re.fullmatch(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.ASCII | re.IGNORECASE)
    number = float(text) if is_number else float("nan")
    if not isfinite(number) or not amount.has(number, image_shape):
        allowed = amount.range(image_shape)
        raise ValueError(f"augment={augment!r} has {text!r} as the amount of {name!r}. It takes {allowed}.")
    return None if number == _default_amount(name, image_shape) else number


def _default_amount(name, image_shape):
    """Return the amount that is the same as none; None if there is no such amount."""
    height, width, _ = image_shape
    if name == "crop":
        return height // 8 if height // 8 == width // 8 else None
    return min(height, width) // 2 if name == "cutout" else AUGMENTATIONS[name].default


def _uniform(draws, lowest, highest):
    """Convert draws from [0, 1) to integers that are uniform from lowest to highest."""
    return lowest + np.floor(draws * (highest - lowest + 1)).astype(np.int64)


def _parts(numbers):
    """Round numbers to whole parts of `ONE`."""
    return np.rint(ONE * np.asarray(numbers)).astype(np.int64)
