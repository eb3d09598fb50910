"""The weights that a new head begins with: a logistic regression on what the layers before it compute."""

from functools import wraps
from threading import Lock

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # a requirement of scikit-learn

from skconvnet.engine.weights.layout import learning_layers

_C = 0.01  # features mostly outnumber the images of a class, and are far from independent
_USUAL_SUM = 64.0  # of what the head of a new network reads: 128 activations of about 1/2 behind a RELU
_CHUNK = 1 << 24  # activations that are averaged at a time
_LIFT = 1.0  # of the range of scores
_STRAIGHT = 4.0  # from here on, the functions below hardly change what they are given
NEARLY_STRAIGHT = ("RELU", "PRELU", "HSWISH", "GELU")  # for large scores
_ONE_AT_A_TIME = Lock()  # the number of threads of BLAS is one for the whole process


def pooled(images, volume):
    """Compute the mean of each depth slice.

    Parameters
    ----------
    images : Images
        Activations, whose shape is that of `volume`.
    volume : Volume
        Height, width and depth.

    Returns
    -------
    ndarray of float64, shape (n, depth)
    """
    means = np.empty((len(images), volume.depth))
    for indices in images.chunks(max(1, _CHUNK // volume.size)):
        which = slice(indices[0], indices[-1] + 1)
        pixels = images.rows(which).reshape(len(indices), -1, volume.depth)
        means[which] = pixels.mean(axis=1, dtype=np.float64)
    return means


def _with_one_thread(function):
    """Have a function compute with one thread of BLAS, so that its bits are always the same."""

    @wraps(function)
    def call(*arguments, **named):
        with _ONE_AT_A_TIME, threadpool_limits(1, user_api="blas"):
            return function(*arguments, **named)

    return call


def rate_of_head(features):
    """Return the learning rate of a head that begins as a regression, as a part of that of new networks.

    A step of Adam changes each weight by about the learning rate, and so a score by that times the sum of what the head
    reads. Pretrained features may be many and large: a rate for new networks would undo the regression at once.

    Parameters
    ----------
    features : ndarray of float64, shape (n, depth)
        The mean of each depth slice that the head reads.

    Returns
    -------
    float
        At most 1.

    Examples
    --------
    >>> rate_of_head(np.ones((5, 32))), rate_of_head(np.ones((5, 640)))
    (1.0, 0.1)
    """
    total = float(np.abs(features).sum(axis=1).mean())
    return min(1.0, _USUAL_SUM / total) if total else 1.0


@_with_one_thread
def regress(features, targets, weights, n_classes):
    """Fit scikit-learn's LogisticRegression to standardised features, and fold the standardisation into it.

    Parameters
    ----------
    features : ndarray of float64, shape (n, depth)
        What the head reads.
    targets : ndarray of int64, shape (n,)
        Class indices. At least two classes have weight.
    weights : ndarray of shape (n,)
        The weight of each image, >= 0.
    n_classes : int
        Number of classes. Those without images have the smallest intercept, and weights of zero.

    Returns
    -------
    coef : ndarray of float64, shape (depth, n_classes)
    intercept : ndarray of float64, shape (n_classes,)

    Examples
    --------
    >>> coef, intercept = regress(np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([0, 0, 2, 2]), np.ones(4), 3)
    >>> (np.array([[0.5], [5.0]]) @ coef + intercept).argmax(axis=1).tolist()
    [0, 2]
    """
    counts = weights > 0
    features, targets, weights = features[counts], targets[counts], weights[counts].astype(np.float64)
    weights /= weights.mean()
    scaler = StandardScaler().fit(features, sample_weight=weights)
    model = LogisticRegression(C=_C, max_iter=1000).fit(scaler.transform(features), targets, sample_weight=weights)
    present, slopes, offsets = model.classes_, model.coef_.T, model.intercept_
    if len(present) == 2:  # there is one score, that of the second class above the first
        slopes, offsets = np.hstack([-slopes, slopes]) / 2, np.r_[-offsets, offsets] / 2
    coef, intercept = np.zeros((features.shape[1], n_classes)), np.full(n_classes, 0.0)
    coef[:, present] = slopes / scaler.scale_[:, None]
    intercept[:] = (offsets - scaler.mean_ @ coef[:, present]).min()
    intercept[present] = offsets - scaler.mean_ @ coef[:, present]
    return coef, intercept


@_with_one_thread
def regress_numbers(features, targets, weights):
    """Fit scikit-learn's Ridge to standardised features, and fold the standardisation into it.

    Parameters
    ----------
    features : ndarray of float64, shape (n, depth)
        What the head reads.
    targets : ndarray of shape (n, n_outputs)
        Standardised numbers.
    weights : ndarray of shape (n,)
        The weight of each image, >= 0.

    Returns
    -------
    coef : ndarray of float64, shape (depth, n_outputs)
    intercept : ndarray of float64, shape (n_outputs,)

    Examples
    --------
    >>> x = np.linspace(0, 1, 1000)[:, None]
    >>> coef, intercept = regress_numbers(x, 2 * x + 1, np.ones(1000))
    >>> bool(abs(coef[0, 0] - 2) < 0.2)
    True
    """
    counts = weights > 0
    features, targets, weights = features[counts], targets[counts], weights[counts].astype(np.float64)
    weights /= weights.mean()
    scaler = StandardScaler().fit(features, sample_weight=weights)
    model = Ridge(alpha=1 / _C).fit(scaler.transform(features), targets.astype(np.float64), sample_weight=weights)
    coef = np.atleast_2d(model.coef_).T / scaler.scale_[:, None]  # that of a single output is 1d
    return coef, np.atleast_1d(model.intercept_) - scaler.mean_ @ coef


@_with_one_thread
def with_head(bound, place, learned, features, coef, intercept):
    """Return what a network has learned, with a regression on pooled features as its head.

    Parameters
    ----------
    bound : BoundArchitecture
        The network.
    place : int
        The place of its head in the chain, a CONV of one group or an FC.
    learned : Learned
        What it has learned.
    features : ndarray of float64, shape (n, depth)
        The mean of each depth slice that the head reads, for all training images.
    coef : ndarray of float64, shape (depth, n_classes)
    intercept : ndarray of float64, shape (n_classes,)

    Returns
    -------
    Learned
        Each position of the head's window has the same share of `coef`, so that the mean of its scores over all
        positions is that of the regression; with zero-padding, nearly. A RELU, PRELU, HSWISH or GELU behind the head
        gets scores that are mostly positive: all biases are raised alike, which does not change the probabilities.
    """
    head = [layer.name for layer in learning_layers(bound)].index(bound.layers[place].name)
    taps = learned.coefs[head].size // coef.size
    if {*NEARLY_STRAIGHT} & {layer.kind for layer in bound.layers[place:]}:
        scores = features @ coef + intercept
        intercept = intercept + max(_LIFT * np.ptp(scores), _STRAIGHT) - scores.min()
    coefs, intercepts = list(learned.coefs), list(learned.intercepts)
    coefs[head] = (np.tile(coef, (taps, 1)) / taps).reshape(coefs[head].shape).astype(np.float32)
    if intercepts[head].size:
        intercepts[head] = intercept.astype(np.float32)
    return learned._replace(coefs=coefs, intercepts=intercepts)
