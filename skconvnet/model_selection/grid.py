"""valid_param_grid: the combinations of a parameter grid that fit the images and do not cost too much."""

import warnings
from dataclasses import dataclass
from math import prod
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import ParameterGrid

from skconvnet.architecture import HYPERPARAMETERS
from skconvnet.architecture.errors import did_you_mean, shown
from skconvnet.architecture.hyperparameters import whole_number
from skconvnet.data import check_image_shape
from skconvnet.engine import memory_needed
from skconvnet.engine.network import BYTES_PER_PARAMETER
from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.features import ConvNetFeatures, fitted_classifier, layer_name
from skconvnet.estimators.fitted import check_fitted
from skconvnet.estimators.limits import LARGEST_AUTO_BATCH, check_batch_size
from skconvnet.estimators.network import bind_network
from skconvnet.estimators.parameters import check_settings
from skconvnet.estimators.tuning import frozen_layers
from skconvnet.training import make_augmentation
from skconvnet.training.checkpoint import MANY_FITS

_MAX_REASONS = 20  # in an error
_MAX_NAMED = 5  # combinations in a warning
_MANY = 10  # times its width: an image shape that is so high is perhaps X.shape


class ParamGrid(list):
    """The valid combinations of a parameter grid, as a list of grids with one combination each.

    Parameters
    ----------
    candidates : iterable of dict
        The valid combinations. Each parameter has a list with one value.
    dropped : iterable of tuple
        For each other combination (params, reason): a dict with the values of the parameters, and a str.

    Attributes
    ----------
    dropped : list of tuple
        As the parameter.

    Examples
    --------
    >>> grid = ParamGrid([{"F": [3]}], dropped=[({"F": 4}, "it does not fit")])
    >>> grid, grid.dropped
    ([{'F': [3]}], [({'F': 4}, 'it does not fit')])
    """

    def __init__(self, candidates=(), dropped=()):
        super().__init__(candidates)
        self.dropped = list(dropped)


def valid_param_grid(
    estimator, param_grid, image_shape, n_classes=None, max_params=None, max_memory=None, max_flops=None
):
    """Return the combinations of a parameter grid that `fit` accepts, within limits on their cost.

    Nothing is fitted.

    Parameters
    ----------
    estimator : ConvNetClassifier, ConvNetRegressor, or an estimator that contains one
        The estimator that you pass to the search, such as a Pipeline. Names in `param_grid` have the prefixes of its
        steps.
    param_grid : dict of str to sequence, or list of such dicts
        As in `sklearn.model_selection.GridSearchCV`. It may contain any parameter, also of other steps.
    image_shape : tuple of int
        (height, width, channels) of the images that reach the classifier, or (height, width) if they are grey. If the
        classifier has an `image_shape` with the same number of pixel values, that one is used.
    n_classes : int or None, default=None
        The number of classes, at least 2, or of the outputs of a regressor. None: the units of the last FC in the text,
        or else 10.
    max_params : float or None, default=None
        Largest number of weights and biases.
    max_memory : float or None, default=None
        Most bytes for training in one thread, without the images; each further thread needs some more.
        ``batch_size="auto"`` counts as 128, its largest value.
    max_flops : float or None, default=None
        Most multiply-adds for one image forward, as in the volume table.

    Returns
    -------
    ParamGrid
        A list with a dict for each valid combination, in the order of `sklearn.model_selection.ParameterGrid`.
        GridSearchCV, HalvingGridSearchCV and RandomizedSearchCV take it as their grid. Its ``dropped`` is a list of
        (params, reason) for the other combinations.

    Warns
    -----
    UserWarning
        If combinations make the same network with the same other parameters, as those over F do if each CONV spells
        its own. The first is kept, and the others are in ``dropped``. Also if `image_shape` may be ``X.shape``.

    Raises
    ------
    ValueError
        If `param_grid` is not a grid, contains an unknown parameter, or has no valid combination; if the estimator
        contains no ConvNetClassifier; or if another argument is invalid.

    Notes
    -----
    The parameters of classifiers and of `ConvNetFeatures` are checked as ``fit(X, y)`` checks them. `fit` may still
    refuse a combination because of the data, the memory of the machine, or the parameters of other steps.

    Examples
    --------
    >>> from skconvnet import ConvNetClassifier, valid_param_grid
    >>> estimator = ConvNetClassifier("INPUT -> CONV -> RELU -> FC", K=8, rounding="exact")
    >>> grid = valid_param_grid(estimator, {"F": [2, 3], "S": [1, 2], "P": [0]}, image_shape=(8, 8), n_classes=10)
    >>> grid
    [{'F': [2], 'P': [0], 'S': [1]}, {'F': [2], 'P': [0], 'S': [2]}, {'F': [3], 'P': [0], 'S': [1]}]
    >>> for params, reason in grid.dropped:
    ...     print(params, reason)
    {'F': 3, 'P': 0, 'S': 2} CONV 1 over the height of [8x8x1]: (W - F + 2P)/S + 1 = (8 - 3 + 0)/2 + 1 = 3.5 is not a
    whole number, and rounding='exact' refuses it: rounding='floor' rounds down. What fits:
    round=floor, round=ceil, S=1, F=2 with P=0, F=4 with P=0, W=7, W=9
        INPUT -> CONV -> RELU -> FC
                 ^
    >>> grid = valid_param_grid(estimator, {"K": [8, 800]}, image_shape=(8, 8), n_classes=10, max_params=100_000)
    >>> grid, grid.dropped
    ([{'K': [8]}], [({'K': 800}, '520,010 parameters > max_params=100,000')])
    """
    shape = _check_shape(image_shape)
    if n_classes is not None:
        n_classes = whole_number("n_classes", n_classes, 1)
    limits = _Limits(max_params, max_memory, max_flops)
    candidates = [(params, _networks(_set_params(estimator, params))) for params in _combinations(param_grid)]
    if not any(networks for _, networks in candidates):
        raise ValueError(f"There is no ConvNetClassifier in {shown(estimator)}. Pass one, or a Pipeline with one.")
    grid, kept, equal = ParamGrid(), {}, []
    for params, networks in candidates:
        bounds, reason = [], None
        for network in networks.values():
            bound, reason = _check(network, shape, n_classes, limits)
            bounds.append(bound)
            if reason is not None:
                break
        first = params if reason is not None else kept.setdefault(_what_is_fitted(params, networks, bounds), params)
        if first is not params:
            reason = f"the same network as {_format_params(first)}"
            equal.append(f"{_format_params(params)} is {reason}")
        if reason is None:
            grid.append({name: [value] for name, value in params.items()})
        else:
            grid.dropped.append((params, reason))
    if not grid:
        raise ValueError(_no_valid_combination(grid.dropped, shape))
    if equal:
        warnings.warn(_equal_combinations(equal, len(candidates)), stacklevel=2)
    return grid


def _check_shape(image_shape):
    """Return image_shape as three ints; say so if it looks like X.shape."""
    shape = tuple(image_shape) if np.iterable(image_shape) else ()
    is_of_X = len(shape) == 4 or (len(shape) == 3 and shape[1] == shape[2] > 4 and shape[0] > 2 * shape[1])
    if is_of_X:
        raise ValueError(
            f"image_shape={image_shape!r} looks like X.shape. Pass the shape of one image, image_shape={shape[1:]!r}."
        )
    checked = check_image_shape(image_shape)
    if len(shape) == 2 and checked[0] >= _MANY * checked[1]:
        warnings.warn(
            f"image_shape={image_shape!r} was taken as images {checked[0]:,} high and {checked[1]:,} wide. If it is "
            "X.shape of rows, pass the (height, width, channels) of an image instead.",
            stacklevel=3,
        )
    return checked


def _what_is_fitted(params, networks, bounds):
    """Return a key that is equal for two combinations that fit the same networks with the same other parameters."""
    prefixes = [name for name, network in networks.items() if isinstance(network, BaseConvNet)]
    of_networks = {
        f"{prefix}__{name}".removeprefix("__")
        for prefix in prefixes
        for name in (*HYPERPARAMETERS, "architecture", "image_shape")
    }
    others = [(name, _value_key(value)) for name, value in sorted(params.items()) if name not in of_networks]
    return tuple((str(bound), bound.image_shape) for bound in bounds), tuple(others)


def _value_key(value):
    """Return the text of a simple value; of any other, which object it is."""
    is_simple = value is None or isinstance(value, (str, bool, Real))
    is_simple = is_simple or (isinstance(value, (tuple, list)) and all(isinstance(one, (str, Real)) for one in value))
    return repr(value) if is_simple else id(value)


@dataclass(frozen=True)
class _Limits:
    """Limits on the cost of a network, each a number above zero or None."""

    max_params: float | None
    max_memory: float | None
    max_flops: float | None

    def __post_init__(self):
        for name, limit in vars(self).items():
            is_number = isinstance(limit, Real) and not isinstance(limit, bool)
            if limit is not None and not (is_number and limit > 0):
                raise ValueError(f"{name} must be a number above 0 or None, but {shown(limit)} came.")

    def reason_to_drop(self, bound, batch_size):
        """Return which limit a network exceeds, or None."""
        table = bound.summary()
        if _exceeds(table.n_params, self.max_params):
            return f"{table.n_params:,} parameters > max_params={_format(self.max_params)}"
        if _exceeds(table.n_flops, self.max_flops):
            return f"{table.n_flops:,} multiply-adds > max_flops={_format(self.max_flops)}"
        if self.max_memory is None:
            return None
        limit, least = f"max_memory={_format(self.max_memory)}", BYTES_PER_PARAMETER * table.n_params
        if least > self.max_memory:  # then a plan, which takes longer, is not needed
            return f"{BYTES_PER_PARAMETER} * {table.n_params:,} parameters = {least:,} bytes at least > {limit}"
        needed = memory_needed(bound, batch_size, n_threads=1)
        return (
            f"{needed:,} bytes to train on minibatches of {batch_size:,} > {limit}"
            if needed > self.max_memory
            else None
        )


def _exceeds(cost, limit):
    return limit is not None and cost > limit


def _format(limit):
    return f"{limit:,}" if isinstance(limit, Integral) else f"{limit:,.10g}"


def _combinations(param_grid):
    """Return the combinations of a grid, a list of dicts."""
    try:
        combinations = list(ParameterGrid(param_grid))
        wrong = [name for params in combinations for name in params if not isinstance(name, str)]
        if wrong:
            raise TypeError(f"{shown(wrong[0])} is not a name")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"param_grid is not a grid: {str(error).rstrip('.')}. It must be a dict with a list of values for each "
            "name, or a list of such dicts. For RandomizedSearchCV, add distributions to the dicts of the result."
        ) from error
    if not any(combinations):
        raise ValueError(f"param_grid={shown(param_grid)} names no parameter. Give at least one, as {{'F': [3, 5]}}.")
    return combinations


def _set_params(estimator, params):
    """Return a clone of the estimator with these parameters."""
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        raise ValueError(f"estimator must be a ConvNetClassifier or contain one, but {shown(estimator)} came.")
    try:
        return clone(estimator).set_params(**clone(params, safe=False))
    except (AttributeError, ValueError) as error:
        hint = "" if "Did you mean" in str(error) else _similar_name(estimator, params)
        raise ValueError(f"{str(error).rstrip('.')}{hint}") from error


def _similar_name(estimator, params):
    """Return the end of an error about an unknown parameter: a name that was perhaps meant."""
    known = estimator.get_params()
    for name in params:
        if name not in known:
            prefixed = [other for other in known if other.endswith(f"__{name}")]
            return f": did you mean {prefixed[0]}?" if prefixed else did_you_mean(name, known)
    return ""


def _networks(estimator):
    """Return the ConvNetClassifiers that `fit` of an estimator would fit, and its ConvNetFeatures, by their names."""
    params = {"": estimator} | estimator.get_params()
    frozen = tuple(f"{name}__" for name, part in params.items() if isinstance(part, FrozenEstimator))
    inside = {name: part for name, part in params.items() if not name.startswith(frozen)}
    return {name: part for name, part in inside.items() if isinstance(part, (BaseConvNet, ConvNetFeatures))}


def _check(network, shape, n_classes, limits):
    """Return the bound network of a classifier or transformer, and why `fit` refuses it or which limit it exceeds."""
    try:
        network._validate_params()
        if isinstance(network, ConvNetFeatures):
            bound = _bind_features(network, shape, n_classes)
            layer_name(bound, network.layer)
            return bound, None  # the limits are checked for the classifier inside
        bound = _bind(network, shape, n_classes)
    except ValueError as error:
        return None, str(error)
    batch_size = LARGEST_AUTO_BATCH if network.batch_size == "auto" else network.batch_size
    return bound, limits.reason_to_drop(bound, batch_size)


def _bind_features(features, shape, n_classes):
    """Return the architecture whose layer a transformer computes."""
    network = features.estimator
    if isinstance(network, FrozenEstimator):
        bound = check_fitted(fitted_classifier(network))
        _check_n_features(bound.image_shape, shape)
        return bound
    return _bind(network, shape, n_classes)


def _bind(classifier, shape, n_classes):
    """Check the parameters of a classifier as its `fit` does, and bind its architecture."""
    check_settings(classifier, splits=classifier.early_stopping)
    if classifier.checkpoint is not None:
        raise ValueError(f"checkpoint={shown(classifier.checkpoint)} is the file of one fit. {MANY_FITS}.")
    if classifier.image_shape is not None:
        _check_n_features(check_image_shape(classifier.image_shape), shape)
        shape = check_image_shape(classifier.image_shape)
    bound = bind_network(classifier, shape, n_classes)
    if bound.n_classes < classifier._least_outputs:
        raise ValueError(f"{bound} has 1 class, and a classifier needs 2 classes or more.")
    if classifier.batch_size != "auto":
        check_batch_size(bound, classifier.batch_size)
    make_augmentation(classifier.augment, bound.image_shape)
    frozen_layers(bound, classifier.freeze)
    return bound


def _check_n_features(own, shape):
    """Raise a ValueError if images of `shape`, as rows, are not images of a network's own shape."""
    if prod(own) != prod(shape):
        raise ValueError(
            f"image_shape={own} has {prod(own):,} pixel values, but images of shape {shape} have {prod(shape):,}."
        )


def _no_valid_combination(dropped, shape):
    """Return the error of a grid without a valid combination."""
    lines = [f"{_format_params(params)}: {why}" for params, why in dropped]
    more = [f"and {len(lines) - _MAX_REASONS:,} more"] if len(lines) > _MAX_REASONS else []
    headline = f"None of the {len(lines):,} combinations in param_grid is valid for images of shape {shape}:"
    return "\n".join([headline, *lines[:_MAX_REASONS], *more])


def _equal_combinations(equal, n_combinations):
    """Return the warning about combinations that make the network of another one."""
    more = f"; and {len(equal) - _MAX_NAMED:,} more, in .dropped of the result" if len(equal) > _MAX_NAMED else ""
    return (
        f"{len(equal):,} of the {n_combinations:,} combinations in param_grid make the network of another one, and "
        f"were dropped: {'; '.join(equal[:_MAX_NAMED])}{more}."
    )


def _format_params(params):
    return ", ".join(f"{name}={value!r}" for name, value in params.items())
