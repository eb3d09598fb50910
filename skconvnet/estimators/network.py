"""From a classifier's parameters, an image shape and classes to a bound architecture."""

from math import prod

import numpy as np

from skconvnet.architecture import HYPERPARAMETERS, Hyperparameters, find_architecture
from skconvnet.estimators.pretrained import bind_pretrained, pretrained_network


def bind_network(classifier, image_shape, n_classes, stored=None):
    """Bind the architecture of a classifier as its `fit` does.

    Parameters
    ----------
    classifier : ConvNetClassifier
        Its `architecture` and the parameters in `HYPERPARAMETERS` are read.
    image_shape : tuple of int
        (height, width, channels).
    n_classes : int or None
        Number of classes. None: those of the pretrained network, the width of the last FC in the text, or else 10.
    stored : StoredNetwork, optional
        The classifier's pretrained network, if it was read before.

    Returns
    -------
    BoundArchitecture

    Raises
    ------
    ArchitectureError
        If a parameter is wrong, or a layer does not fit its input.
    ValueError
        If the pretrained network is refused, or does not fit the images or the architecture.
    """
    stored = pretrained_network(classifier.pretrained) if stored is None else stored
    if stored is None:
        return bind_own(classifier, image_shape, n_classes)
    if isinstance(classifier.architecture, str) and classifier.architecture == "auto":
        return bind_pretrained(stored, image_shape, n_classes)
    n_classes = stored.architecture.n_classes if n_classes is None else n_classes
    return bind_pretrained(stored, image_shape, n_classes, bind_own(classifier, image_shape, n_classes))


def bind_own(classifier, image_shape, n_classes):
    """Bind the architecture that a classifier's parameters give, whatever its pretrained network is."""
    hyperparameters = Hyperparameters(**{name: getattr(classifier, name) for name in HYPERPARAMETERS})
    architecture = find_architecture(classifier.architecture, image_shape, hyperparameters)
    return architecture.bind(image_shape, n_classes, hyperparameters)


def expected_image_shape(classifier, X, stored):
    """Return the image shape with which `fit` reads images.

    Parameters
    ----------
    classifier : ConvNetClassifier
        Its `image_shape` is read.
    X : array-like
        The images, before any check.
    stored : StoredNetwork or None
        The pretrained network.

    Returns
    -------
    tuple of int or None
        The classifier's `image_shape`; else that of the pretrained network, if X has rows of that size; else None.

    Examples
    --------
    >>> from skconvnet import ConvNetClassifier
    >>> expected_image_shape(ConvNetClassifier(image_shape=(4, 16)), [[0] * 64], stored=None)
    (4, 16)
    """
    if classifier.image_shape is not None or stored is None:
        return classifier.image_shape
    image_shape = stored.architecture.image_shape
    row = X[0] if isinstance(X, (list, tuple)) and X else None
    sides = tuple(getattr(X, "shape", ()))[1:] if row is None else np.shape(row)
    return image_shape if sides == (prod(image_shape),) else None
