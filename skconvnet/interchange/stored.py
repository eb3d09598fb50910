"""The stored network: what every file format is read into, and written from."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skconvnet.architecture import BoundArchitecture
from skconvnet.engine import Learned

__all__ = ["StoredNetwork"]


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A network with everything that its scores depend on.

    Parameters
    ----------
    architecture : BoundArchitecture
        The network, bound to the images and the number of classes of its file.
    learned : Learned
        The learned arrays, float32, as `ConvNetClassifier` has them in `coefs_`, `intercepts_`, `norm_means_` and
        `norm_variances_`.
    classes : ndarray of shape (n_classes,)
        The labels, in the order of the scores. They need not be sorted.
    pixel_mean, pixel_scale : ndarray of float32, shape (channels,)
        Pixels, from 0 to 255, are standardised as ``(pixel - pixel_mean) * pixel_scale``.
    """

    architecture: BoundArchitecture
    learned: Learned
    classes: np.ndarray
    pixel_mean: np.ndarray
    pixel_scale: np.ndarray

    @cached_property
    def digest(self):
        """The SHA-256 of text, image shape, pixel statistics and learned arrays, in hexadecimal digits.

        The labels are not part of it.
        """
        found = hashlib.sha256(repr((str(self.architecture), tuple(self.architecture.image_shape))).encode())
        for arrays in ([self.pixel_mean, self.pixel_scale], *self.learned):
            for array in arrays:
                found.update(repr(array.shape).encode())
                found.update(np.ascontiguousarray(array, "<f4"))
        return found.hexdigest()
