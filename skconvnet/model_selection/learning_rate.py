"""find_learning_rate: a range test of learning rates."""

import warnings
from dataclasses import dataclass, field
from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import _num_samples

from skconvnet.architecture.errors import shown
from skconvnet.architecture.hyperparameters import whole_number
from skconvnet.data import check_labels
from skconvnet.data.numbers import check_numbers
from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.limits import auto_batch_size

_MEMORY = 0.9  # of the moving average of losses
_DIVERGED = 4  # times the lowest loss
_STILL_FALLING = 0.05  # of the whole way to the lowest loss, in the last tenth of the steps
_FALLEN = 0.8  # of the way to the lowest loss, whose own rate is too high for thousands of steps


@dataclass(frozen=True, eq=False)
class LearningRateCurve:
    """The result of `find_learning_rate`.

    Parameters
    ----------
    rates : ndarray of float
        The learning rate of each step.
    losses : ndarray of float
        The training loss of each minibatch, before its step.

    Attributes
    ----------
    smoothed_losses : ndarray of float
        The moving average of the losses, of which each new loss is a tenth.
    suggestion : float
        The rate at which the average has fallen by four fifths of the way from its highest value to its lowest one.

    Examples
    --------
    >>> curve = LearningRateCurve(np.array([0.001, 0.01, 0.1]), np.array([2.3, 1.2, 6.0]))
    >>> curve.smoothed_losses.round(2).tolist(), curve.suggestion
    ([2.3, 1.72, 3.3], 0.01)
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed_losses: np.ndarray = field(init=False)
    suggestion: float = field(init=False)

    def __post_init__(self):
        smoothed = _moving_average(self.losses)
        object.__setattr__(self, "smoothed_losses", smoothed)
        object.__setattr__(self, "suggestion", float(self.rates[_where_fallen(smoothed)]))

    def plot(self, ax=None):
        """Plot the losses against the learning rates, with the suggestion as a vertical line.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to plot. None: a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                message = "LearningRateCurve draws with Matplotlib. Install it: pip install matplotlib"
                raise ImportError(message) from error
            _, ax = pyplot.subplots()
        ax.plot(self.rates, self.losses, alpha=0.3, label="loss of a minibatch")
        ax.plot(self.rates, self.smoothed_losses, label="moving average")
        ax.axvline(self.suggestion, linestyle="--", color="grey", label=f"suggestion {self.suggestion:.2g}")
        top = 2 * self.smoothed_losses[0] - self.smoothed_losses.min()
        ax.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(None, top))
        ax.legend()
        return ax


def find_learning_rate(estimator, X, y, *, lowest=1e-5, highest=1.0, n_steps=100):
    """Train a copy of an estimator with rising learning rates, and record the loss of each step.

    This is the range test of Smith. The rates rise geometrically from `lowest` to `highest`. The test ends before that
    where the moving average of the losses is four times its lowest value, or a loss is not finite.

    Parameters
    ----------
    estimator : ConvNetClassifier, ConvNetRegressor, or a Pipeline that ends in one
        It is not changed. The other steps of a Pipeline are fitted to X, as copies.
    X, y
        Images and targets, as `fit` takes them. Each step uses a minibatch, drawn as the estimator's `batch_size` and
        `random_state` say.
    lowest, highest : float, default=1e-5 and 1.0
        The first rate and the last.
    n_steps : int, default=100
        The number of steps, at least 2.

    Returns
    -------
    LearningRateCurve
        The rates, the losses, and a suggestion for `learning_rate_init`, with a method ``plot``.

    Raises
    ------
    ValueError
        If an argument is invalid, `fit` would refuse the parameters or the data, or the loss is not finite at the
        lowest rate.

    Warns
    -----
    UserWarning
        If the loss falls at no rate, or still falls at the highest one; or as `partial_fit` does.

    Notes
    -----
    The suggestion is for the schedule "one-cycle", whose highest rate it is. It is the rate at which the moving average
    of the losses has fallen by four fifths of the way to its lowest value. The rate of the lowest value itself says
    little: a network that has unlearned everything keeps a loss that is nearly as low. The suggestion is a good place
    to begin a search, not its result. The test ignores `max_iter`, `early_stopping` and `checkpoint`. Pixels are
    standardised by the first minibatch.

    References
    ----------
    L. N. Smith, "Cyclical learning rates for training neural networks", 2015, arXiv:1506.01186.
    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2017,
    arXiv:1708.07120.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier, find_learning_rate
    >>> X, y = load_digits(return_X_y=True)
    >>> curve = find_learning_rate(ConvNetClassifier(K=8, random_state=0), X, y)
    >>> 0.0005 < curve.suggestion < 0.1
    True
    """
    rates = _rates(lowest, highest, n_steps)
    while isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = clone(estimator[:-1]).fit_transform(X, y)
        estimator = estimator[-1]
    if not isinstance(estimator, BaseConvNet):
        raise ValueError(
            "estimator must be a ConvNetClassifier, a ConvNetRegressor or a Pipeline that ends in one, but "
            f"{shown(estimator)} came."
        )
    estimator = clone(estimator)
    estimator._validate_params()
    X, y = _checked(estimator, X, y)
    rng = check_random_state(estimator.random_state)
    network, losses = _network(estimator, X, rng), []
    with warnings.catch_warnings(record=True) as caught:
        for rate, arguments in zip(rates, _minibatches(estimator, X, y, network.batch_size, rng), strict=False):
            network.set_params(learning_rate_init=rate)
            try:
                network.partial_fit(**arguments)
            except FloatingPointError:
                break
            losses.append(network.loss_curve_[-1])
            average = _moving_average(losses)
            if average[-1] > _DIVERGED * average.min():
                break
            warnings.simplefilter("ignore")  # what the first step warned of
    for warning in caught:
        warnings.warn(warning.message, warning.category, stacklevel=2)
    if not losses:
        raise ValueError(
            f"The loss is not finite at the lowest rate, {lowest:.3g}. Use a lower one, and look for outliers in X."
        )
    curve = LearningRateCurve(rates[: len(losses)], np.array(losses))
    doubt = _doubt(curve.smoothed_losses, lowest, highest, n_steps)
    if doubt is not None:
        warnings.warn(f"The test says little: {doubt}", stacklevel=2)
    return curve


def _rates(lowest, highest, n_steps):
    """Return the rates of all steps."""
    for name, rate in (("lowest", lowest), ("highest", highest)):
        if not isinstance(rate, Real) or isinstance(rate, bool) or not 0 < rate < np.inf:
            raise ValueError(f"{name} must be a finite number above 0, but {shown(rate)} came.")
    if lowest >= highest:
        raise ValueError(f"lowest={lowest} must be less than highest={highest}.")
    return np.geomspace(lowest, highest, whole_number("n_steps", n_steps, 2, error=ValueError))


def _checked(estimator, X, y):
    """Return images and targets of which minibatches can be taken; raise a ValueError if there are none."""
    X = X.tocsr() if issparse(X) else X
    y = _standardised(y) if is_regressor(estimator) else check_labels(y)
    try:
        n_images = _num_samples(X)
    except TypeError as error:
        raise ValueError(f"X is {shown(X)}. Pass an array of images, as fit takes them.") from error
    if n_images == 0:
        raise ValueError("X has no image. Pass at least one.")
    if len(y) != n_images:
        raise ValueError(f"X has {n_images:,} images, but y has {len(y):,} values.")
    if is_classifier(estimator) and type_of_target(y).startswith("continuous"):
        raise ValueError("y has numbers that are no classes. Use ConvNetRegressor, or pass labels.")
    return X, y


def _doubt(averages, lowest, highest, n_steps):
    """Return why a curve is no evidence for a rate, and what to do; None if it is evidence."""
    if averages.argmin() == 0:
        return f"the loss falls at no rate from lowest={lowest:.3g} to highest={highest:.3g}. Pass other rates."
    at_last = averages[-1 - max(1, n_steps // 10)] - averages[-1]
    if len(averages) == n_steps and at_last > _STILL_FALLING * (averages.max() - averages[-1]):
        return f"the loss still falls at highest={highest:.3g}. Pass a higher one."
    return None


def _standardised(y):
    """Return numbers standardised by all of them: the first minibatch may be one image, or have one number."""
    y = check_numbers(y)
    y = y[:, 0] if y.shape[1] == 1 else y
    scale = y.std(axis=0)
    return (y - y.mean(axis=0)) / np.where(scale > 0, scale, 1.0)


def _network(estimator, X, rng):
    """Return the estimator to train by `partial_fit`, with one minibatch in each call."""
    n_images, size = _num_samples(X), estimator.batch_size
    settings = {"learning_rate": "constant", "early_stopping": False, "checkpoint": None, "warm_start": False}
    settings["batch_size"] = auto_batch_size(n_images) if size == "auto" else size
    if isinstance(size, Integral):
        settings["batch_size"] = min(size, n_images)
    if getattr(estimator, "class_weight", None) is not None:
        settings["class_weight"] = None  # the weights of minibatches are those of all images
    settings["random_state"] = rng.randint(2**31 - 1)
    return clone(estimator).set_params(**settings)


def _minibatches(estimator, X, y, size, rng):
    """Yield the arguments of `partial_fit` for one minibatch after the other, without end."""
    weights, classes = None, {"classes": unique_labels(y)} if is_classifier(estimator) else {}
    if getattr(estimator, "class_weight", None) is not None:
        if len(np.shape(y)) == 2 and np.shape(y)[1] > 1:
            raise ValueError(
                "class_weight weighs classes, and y has several labels for an image. Use class_weight=None."
            )
        weights = compute_sample_weight(estimator.class_weight, y)
    n_images = _num_samples(X)
    while True:
        order = rng.permutation(n_images)
        for first in range(0, n_images - size + 1, size):
            batch = order[first : first + size]
            some = {} if weights is None else {"sample_weight": weights[batch]}
            yield {"X": _safe_indexing(X, batch), "y": _safe_indexing(y, batch), **classes, **some}


def _where_fallen(averages):
    """Return the place at which averages have fallen by `_FALLEN` of the way from the highest to the lowest one."""
    lowest = averages.argmin()
    highest = averages[: lowest + 1].argmax()
    enough = averages[highest] - _FALLEN * (averages[highest] - averages[lowest])
    return highest + np.argmax(averages[highest:] <= enough)


def _moving_average(losses):
    """Return the exponential moving average of losses, without the bias of its beginning."""
    averages, average = [], 0.0
    for number, loss in enumerate(losses, 1):
        average = _MEMORY * average + (1 - _MEMORY) * loss
        averages.append(average / (1 - _MEMORY**number))
    return np.array(averages)
