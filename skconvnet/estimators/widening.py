"""A network for more classes: that of a fitted classifier, with more outputs."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np

from skconvnet.engine import Learned, OptimizerState
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters
from skconvnet.estimators.fitted import LEARNED, learned_arrays, stored_network
from skconvnet.estimators.pretrained import bind_pretrained, head_of


def widened(classifier, classes):
    """Return a copy of a fitted classifier whose network has outputs for more classes.

    The weights of the known classes stay, and so do their moments in the optimizer. Each weight of a new class is the
    mean of those of the known classes. Its score is then the mean of their scores, so that an image of a known class is
    predicted as before. Weights of zero would not do this: a score of zero is the highest where the others are
    negative. The moments of a new class are zero: with Adam, its first steps are then larger, and it is learned sooner.

    Parameters
    ----------
    classifier : ConvNetClassifier
        A fitted classifier of which each image has one class.
    classes : ndarray of shape (n_classes,)
        The sorted labels, those of the classifier among them.

    Returns
    -------
    ConvNetClassifier

    Raises
    ------
    ValueError
        If the head of the network cannot be widened.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> classifier = ConvNetClassifier("INPUT -> FC", random_state=0).fit(X, y)
    >>> widened(classifier, np.arange(5)).coefs_[0].shape
    (64, 5)
    """
    before = classifier.architecture_
    bound = _with_classes(classifier, len(classes))
    layout, wider_layout = lay_out_parameters(before, CPU), lay_out_parameters(bound, CPU)
    spread = partial(_spread, shapes=wider_layout.shapes, places=np.searchsorted(classes, classifier.classes_))
    state, optimizer = classifier._training_state, classifier._training_state.optimizer
    if optimizer is not None:
        optimizer.check_size(layout.size)
        moments = [wider_layout.pack(spread(layout.unpack(moment), of_new=_zero)) for moment in optimizer.moments]
        optimizer = OptimizerState(np.stack(moments), optimizer.n_steps)
    wider = copy.copy(classifier)
    learned = spread(learned_arrays(classifier), of_new=_mean)
    vars(wider).update(
        zip(LEARNED, learned, strict=True),
        architecture_=bound,
        classes_=classes,
        _training_state=replace(state, optimizer=optimizer, parameters=None),
    )
    return wider


def _with_classes(classifier, n_classes):
    """Return the network of a classifier with a head for more classes."""
    head = classifier.architecture_.layers[head_of(classifier.architecture_)]
    try:
        if getattr(head, "groups", 1) != 1:
            raise ValueError(f"The filters of {head.name} are in {head.groups} groups, which would change.")
        return bind_pretrained(stored_network(classifier), classifier.image_shape_, n_classes)
    except ValueError as error:
        raise ValueError(
            f"The network {classifier.architecture_} cannot be widened to {n_classes} classes. {error} Fit a new "
            "network with all classes."
        ) from error


def _spread(learned, shapes, places, of_new):
    """Put the numbers of the known classes at their places among all, and what `of_new` makes of them at the others."""
    return Learned(*([*map(partial(_widen, places, of_new), *pair)] for pair in zip(learned, shapes, strict=True)))


def _widen(places, of_new, array, shape):
    if array.shape == shape:  # of a layer before the head
        return array
    wider = np.empty(shape, np.float32)
    wider[...] = of_new(array)
    wider[..., places] = array
    return wider


def _zero(array):
    return 0.0


def _mean(array):
    return array.mean(axis=-1, keepdims=True, dtype=np.float64)
