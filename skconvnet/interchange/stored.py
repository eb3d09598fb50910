"""The stored network: what every file format is read into, and written from."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skconvnet.architecture import BoundArchitecture
from skconvnet.engine import Learned
from skconvnet.engine.weights.layout import learning_layers

__all__ = ["StoredNetwork", "reverse_channels", "sort_classes"]


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
    classes : ndarray of shape (n_classes,) or None
        The labels, in the order of the scores. They need not be sorted. None: an image has several labels, or numbers.
    pixel_mean, pixel_scale : ndarray of float32, shape (channels,)
        Pixels, from 0 to 255, are standardised as ``(pixel - pixel_mean) * pixel_scale``.
    has_classifier : bool, default=True
        Whether the file has the weights of the last layer. If not, they are zero, and so are all scores.
    target_mean, target_scale : ndarray of float64, shape (n_outputs,), default=None
        The numbers of an image are ``output * target_scale + target_mean``. None: the outputs are scores.
    """

    architecture: BoundArchitecture
    learned: Learned
    classes: np.ndarray | None
    pixel_mean: np.ndarray
    pixel_scale: np.ndarray
    has_classifier: bool = True
    target_mean: np.ndarray | None = None
    target_scale: np.ndarray | None = None

    @property
    def outputs(self):
        """What the outputs are: "classes", several "labels", or "numbers"."""
        if self.classes is not None:
            return "classes"
        return "labels" if self.target_mean is None else "numbers"

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


def sort_classes(stored):
    """Return the network with its classes sorted, as scikit-learn expects them.

    Parameters
    ----------
    stored : StoredNetwork
        Any network.

    Returns
    -------
    StoredNetwork
        The same network, whose last layers compute the scores in the order of the sorted labels. Outputs that are not
        classes keep their order.

    Raises
    ------
    ValueError
        If a label occurs twice, or if the order of the scores cannot be changed in the last layers.
    """
    if stored.classes is None:
        return stored
    classes, order, counts = np.unique(stored.classes, return_index=True, return_counts=True)
    twice = classes[counts > 1].tolist()
    if twice:
        raise ValueError(f"the class {twice[0]!r} occurs twice in classes. Give each class a name of its own.")
    if (order == np.arange(len(order))).all():
        return stored
    learned = Learned(*map(list, stored.learned))
    _reorder_output(stored.architecture, learned, order)
    return replace(stored, learned=learned, classes=classes)


def _reorder_output(architecture, learned, order):
    """Change the order of the last volume's channels, in the layers that compute them."""
    layers = learning_layers(architecture)
    places = {layer.name: place for place, layer in enumerate(layers)}
    running = [layer.name for layer in layers if layer.kind == "NORM" and layer.mode == "batch"]
    running_places = {name: place for place, name in enumerate(running)}
    for layer in reversed(architecture.layers):
        if hasattr(layer, "branches") or getattr(layer, "groups", 1) > 1 or getattr(layer, "mode", "") == "lrn":
            raise ValueError(
                f"its classes are not sorted, and {layer.name} does not let them be sorted. Pass sorted classes."
            )
        for arrays, place in (
            (learned.coefs, places.get(layer.name)),
            (learned.intercepts, places.get(layer.name)),
            (learned.means, running_places.get(layer.name)),
            (learned.variances, running_places.get(layer.name)),
        ):
            if place is not None and arrays[place].size:
                arrays[place] = np.ascontiguousarray(arrays[place][..., order])
        if layer.kind in ("CONV", "FC"):
            return


def reverse_channels(stored):
    """Return the network for images whose channels are in the reverse order.

    Parameters
    ----------
    stored : StoredNetwork
        A network that begins with a CONV or an FC.

    Returns
    -------
    StoredNetwork
        Of images with reversed channels, it computes the scores that `stored` computes of the images.

    Raises
    ------
    ValueError
        If the network begins with another layer.
    """
    first, depth = stored.architecture.layers[0], stored.architecture.image_shape[2]
    if first.kind not in ("CONV", "FC") or getattr(first, "groups", 1) > 1:
        raise ValueError(f"the channels of a network that begins with {first} cannot be reversed. Pass RGB images.")
    learned = Learned(*map(list, stored.learned))
    coef = learned.coefs[0]
    by_channel = coef.reshape(-1, depth, coef.shape[-1])[:, ::-1]
    learned.coefs[0] = np.ascontiguousarray(by_channel).reshape(coef.shape)
    mean, scale = stored.pixel_mean[::-1].copy(), stored.pixel_scale[::-1].copy()
    return replace(stored, learned=learned, pixel_mean=mean, pixel_scale=scale)
