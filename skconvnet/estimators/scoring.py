"""Scores of images by a fitted classifier. Its attributes are checked once, and its scorer is kept."""

import operator
from itertools import chain, islice
from math import prod

import numpy as np

from skconvnet.architecture import Architecture, BoundArchitecture, walk
from skconvnet.architecture.notation.table import MAX_LAYERS
from skconvnet.engine import Learned, Network, Scorer, lay_out_parameters, thread_count
from skconvnet.estimators.limits import check_scoring_memory

_SCALARS = ("architecture_", "image_shape_", "n_features_in_", "classes_", "pixel_mean_", "pixel_scale_")
LEARNED = ("coefs_", "intercepts_", "norm_means_", "norm_variances_")  # in the order of `Learned`


def score_images(scorer, images, n_jobs):
    """Compute the scores of images, if the machine has enough memory.

    Parameters
    ----------
    scorer : Scorer
        The network.
    images : Images
        The n images.
    n_jobs : int or None
        As in `ConvNetClassifier`.

    Returns
    -------
    ndarray of float32, shape (n, n_scores)

    Raises
    ------
    ValueError
        If the machine has not enough memory.
    """
    return scorer.scores(images, thread_count(n_jobs), lambda needed: check_scoring_memory(images.shape, needed))


class ScorerCache:
    """Keeps the scorer of a fitted classifier as long as its fitted attributes are the same objects.

    The arrays become read-only when the scorer is made, because a change in place could not be noticed. Threads may
    share a cache. A copy or a file of it is empty.
    """

    _kept = (), None  # the attributes, and their scorer

    def __reduce__(self):
        return ScorerCache, ()

    def __setstate__(self, state):
        """Ignore what a file contains."""

    @staticmethod
    def of(estimator):
        """Return the cache that an estimator keeps; it gets one if it has none."""
        cache = vars(estimator).get("_scorer_cache")
        if type(cache) is not ScorerCache:  # a file may have something else in its place
            cache = estimator._scorer_cache = ScorerCache()
        return cache

    def scorer(self, classifier, make=Scorer):
        """Return the scorer of a classifier.

        Parameters
        ----------
        classifier : ConvNetClassifier
            A fitted classifier.
        make : callable, optional
            Makes the scorer from a `Network`.

        Returns
        -------
        Scorer
            The same object as before if all fitted attributes are the same objects.

        Raises
        ------
        ValueError
            If the fitted attributes do not belong together: see `check_fitted`.
        """
        attributes = _attributes_of(classifier)
        kept, scorer = self._kept
        if len(kept) != len(attributes) or any(map(operator.is_not, kept, attributes)):
            scorer = make(load_network(classifier))
            for array in (classifier.pixel_mean_, classifier.pixel_scale_, *chain(*learned_arrays(classifier))):
                array.flags.writeable = False
            self._kept = attributes, scorer  # one assignment: another thread sees both or neither
        return scorer


def _attributes_of(classifier):
    """Return the attributes that decide about the scores, with the arrays of each list."""
    attributes = [getattr(classifier, name, None) for name in _SCALARS]
    for name in LEARNED:
        value = getattr(classifier, name, None)
        attributes += value if isinstance(value, list) else [value]
    return attributes


def learned_arrays(classifier):
    """Return the learned arrays of a fitted classifier: `Learned` with its own lists."""
    return Learned(*(getattr(classifier, name) for name in LEARNED))


def load_network(classifier):
    """Check the attributes of a fitted classifier, and make its network.

    Parameters
    ----------
    classifier : ConvNetClassifier
        A fitted classifier.

    Returns
    -------
    Network
        It has copies of the arrays.

    Raises
    ------
    ValueError
        As `check_fitted` does.
    """
    network = Network(check_fitted(classifier), classifier.pixel_mean_, classifier.pixel_scale_)
    with np.errstate(over="ignore"):
        network.learned = learned_arrays(classifier)
    if not np.isfinite(network.parameters.sum(dtype=np.float64)):
        for name, arrays in zip(LEARNED, learned_arrays(classifier), strict=True):
            for number, array in enumerate(arrays):
                _check_finite(f"{name}[{number}]", array)
    return network


def check_fitted(classifier):
    """Check that the attributes of a fitted classifier belong together.

    They may come from a file that is damaged or was made to do harm. Kernels get the addresses of arrays, so that a
    wrong shape would make them read memory that belongs to others.

    Parameters
    ----------
    classifier : ConvNetClassifier
        A fitted classifier.

    Returns
    -------
    BoundArchitecture
        The network. It is bound again, and shares no object with the attributes.

    Raises
    ------
    ValueError
        If an attribute is missing, is of the wrong type or shape, or disagrees with another. The error names it.
    """
    missing = [name for name in (*_SCALARS, *LEARNED) if not hasattr(classifier, name)]
    if missing:
        raise _damaged(f"{missing[0]} is missing")
    _check_image_shape(classifier.image_shape_, classifier.n_features_in_)
    classes = classifier.classes_
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or len(classes) < 2:
        raise _damaged(f"classes_ is {_shown(classes)}, and not a 1d array of two or more labels")
    bound = _bind_again(classifier.architecture_, classifier.image_shape_, len(classes))
    for name in ("pixel_mean_", "pixel_scale_"):
        _check_array(name, getattr(classifier, name), bound.image_shape[2:])
        _check_finite(name, getattr(classifier, name))
    shapes = lay_out_parameters(bound).shapes
    for name, arrays, expected in zip(LEARNED, learned_arrays(classifier), shapes, strict=True):
        if not isinstance(arrays, list) or len(arrays) != len(expected):
            raise _damaged(f"{name} is {_shown(arrays)}, and not a list of {len(expected)} arrays")
        for number, (array, shape) in enumerate(zip(arrays, expected, strict=True)):
            _check_array(f"{name}[{number}]", array, shape)
    for number, variances in enumerate(classifier.norm_variances_):
        if (variances < 0).any():
            raise _damaged(f"norm_variances_[{number}] has a negative number")
    return bound


def _check_image_shape(image_shape, n_features_in):
    extents = image_shape if isinstance(image_shape, tuple) else ()
    if len(extents) != 3 or not all(type(extent) is int and extent >= 1 for extent in extents):
        raise _damaged(f"image_shape_ is {_shown(image_shape)}, and not a tuple of three positive int")
    if type(n_features_in) is not int or n_features_in != prod(image_shape):
        raise _damaged(f"n_features_in_ is {_shown(n_features_in)}, and not the product of image_shape_={image_shape}")


def _bind_again(architecture, image_shape, n_classes):
    """Return the architecture that the text of `architecture` stands for, which has to be equal to it."""
    try:
        if not isinstance(architecture, BoundArchitecture):
            raise TypeError(f"it is a {type(architecture).__name__}")
        if next(islice(walk(architecture.layers), MAX_LAYERS, None), None) is not None:
            raise ValueError(f"it has more than {MAX_LAYERS} layers")
        bound = Architecture.parse(str(architecture)).bind(image_shape, n_classes)
        if bound != architecture:
            raise ValueError(f"its text is that of {bound!r}")
    except Exception as error:  # the attributes of its layers may be anything
        raise _damaged(
            f"architecture_ is no network for images of image_shape_={image_shape} and {n_classes} classes_: {error}"
        ) from error
    return bound


def _check_array(name, array, shape):
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.shape != shape:
        raise _damaged(f"{name} is {_shown(array)}, and not an array of float32 of shape {shape}")


def _check_finite(name, array):
    with np.errstate(over="ignore"):
        finite = np.isfinite(array.astype(np.float32))
    if not finite.all():
        raise _damaged(f"{name} has NaN or infinity in float32")


def _shown(value):
    """Return what a value is, in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    plain = isinstance(value, (int, float, str)) or (isinstance(value, tuple) and {*map(type, value)} <= {int})
    return f"{value!r:.80}" if plain else f"a {type(value).__name__}"


def _damaged(what):
    return ValueError(
        f"The attributes of this fitted estimator do not belong together: {what}. The file it came from is damaged, or "
        "an attribute was replaced. Fit again, or load an intact file."
    )
