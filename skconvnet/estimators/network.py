"""From a classifier's parameters, an image shape and classes to a bound architecture."""

import inspect
import warnings
from math import prod

import numpy as np

from skconvnet.architecture import (
    HYPERPARAMETERS,
    Hyperparameters,
    find_architecture,
    is_auto,
    too_large_filters,
    without_effect,
)
from skconvnet.architecture.errors import shown
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
    if is_auto(classifier.architecture):
        return bind_pretrained(stored, image_shape, n_classes)
    n_classes = stored.architecture.n_classes if n_classes is None else n_classes
    return bind_pretrained(stored, image_shape, n_classes, bind_own(classifier, image_shape, n_classes))


def bind_own(classifier, image_shape, n_classes):
    """Bind the architecture that a classifier's parameters give, whatever its pretrained network is."""
    hyperparameters = hyperparameters_of(classifier)
    architecture = find_architecture(classifier.architecture, image_shape, hyperparameters)
    return architecture.bind(image_shape, n_classes, hyperparameters)


def hyperparameters_of(classifier):
    """Return the `Hyperparameters` among an estimator's parameters; raise an ArchitectureError if one is wrong."""
    return Hyperparameters(**{name: getattr(classifier, name) for name in HYPERPARAMETERS})


def warn_of_no_effect(classifier, bound, stacklevel):
    """Warn once of parameters that change nothing about the network, and of filters that see mostly padding.

    Parameters
    ----------
    classifier : ConvNetClassifier
        Its parameters are read.
    bound : BoundArchitecture
        The network that its parameters make.
    stacklevel : int
        As in `warnings.warn`.
    """
    reasons = parameters_without_effect(classifier, bound.image_shape)
    if reasons:
        told = spell_without_effect(reasons, vars(classifier), classifier.architecture)
        warnings.warn(told, stacklevel=stacklevel)
    too_large = too_large_filters(bound)
    if too_large:
        warnings.warn(f"{'; '.join(too_large)}. Use a smaller F.", stacklevel=stacklevel)


def spell_without_effect(reasons, values, architecture):
    """Return the text of the warning about parameters that change nothing about a network.

    Parameters
    ----------
    reasons : dict of str to str
        The reason of each, as of `parameters_without_effect`.
    values : dict
        The values of parameters, by name.
    architecture : str or Architecture

    Returns
    -------
    str

    Examples
    --------
    >>> print(spell_without_effect({"N": "nothing is repeated *N"}, {"N": 3}, "linear"))
    N=3 (nothing is repeated *N) has no effect on the network of architecture='linear'. Leave out what has no effect,
    or take the numbers out of the text.
    """
    by_reason = {}
    for name, reason in reasons.items():
        is_whole = name in values  # not some values of a sequence
        by_reason.setdefault(reason, []).append(f"{name}={values[name]!r}" if is_whole else name)
    parts = [f"{' and '.join(names)} ({reason})" for reason, names in by_reason.items()]
    have = "has" if len(reasons) == 1 else "have"
    if is_auto(architecture):
        of, instead = "", "give the architecture as a text that reads it"
    else:
        of, instead = f" of architecture={shown(architecture)}", "take the numbers out of the text"
    return f"{', '.join(parts)} {have} no effect on the network{of}. Leave out what has no effect, or {instead}."


def parameters_without_effect(classifier, image_shape):
    """Return the reason of each parameter that is not the default and changes nothing about the network.

    Examples
    --------
    >>> from skconvnet import ConvNetClassifier
    >>> parameters_without_effect(ConvNetClassifier("lenet5", F=7, body_rate=0.1), (32, 32, 1))
    {'F': 'each CONV spells its own', 'body_rate': 'pretrained is None'}
    """
    hyperparameters, defaults = hyperparameters_of(classifier), Hyperparameters()
    if classifier.pretrained is not None and is_auto(classifier.architecture):
        changed = [name for name in HYPERPARAMETERS if getattr(hyperparameters, name) != getattr(defaults, name)]
        return dict.fromkeys(changed, "the pretrained network has its own")
    architecture = find_architecture(classifier.architecture, image_shape, hyperparameters)
    reasons = without_effect(architecture, image_shape, hyperparameters, is_auto(classifier.architecture))
    if classifier.pretrained is None:
        defaults = inspect.signature(type(classifier)).parameters
        of_pretrained = [name for name in ("body_rate", "head_first") if name in defaults]
        changed = [name for name in of_pretrained if getattr(classifier, name) != defaults[name].default]
        reasons |= dict.fromkeys(changed, "pretrained is None")
    return reasons


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
