"""The part of a parameter grid that is worth a search: combinations whose volumes fit, at a cost that is allowed."""

from dataclasses import dataclass
from math import prod
from numbers import Integral, Real

from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import ParameterGrid

from skconvnet.architecture.errors import did_you_mean, shown
from skconvnet.architecture.hyperparameters import whole_number
from skconvnet.data import check_image_shape
from skconvnet.engine import memory_needed
from skconvnet.engine.network import BYTES_PER_PARAMETER
from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.estimators.features import ConvNetFeatures, fitted_classifier, layer_name
from skconvnet.estimators.limits import LARGEST_AUTO_BATCH, check_batch_size
from skconvnet.estimators.network import bind_network
from skconvnet.training import make_augmentation
from skconvnet.training.checkpoint import CheckpointFile

_LISTED = 20  # reasons in the error of a grid in which nothing fits


class ParamGrid(list):
    """What `valid_param_grid` returns: a list of grids of one candidate each, and what was left out of it.

    Parameters
    ----------
    candidates : iterable of dict
        For each candidate its parameters, a list with one value for each name.
    dropped : iterable of tuple
        For each combination that was left out its parameters, a value for each name, and the reason, a str.

    Attributes
    ----------
    dropped : list of tuple
        As above.

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
    """Leave out of a parameter grid what would be refused, or cost too much, before a search fits anything.

    Parameters
    ----------
    estimator : ConvNetClassifier, or an estimator with one inside
        As it is given to the search: a Pipeline, for one, whose parameters have the prefixes of its steps.
    param_grid : dict of str to sequence, or list of such dicts
        As GridSearchCV takes it. Any parameter may be in it; those that say nothing about the network, such as `alpha`
        or those of other steps, only stand in the combinations.
    image_shape : tuple of int
        (height, width, channels) of the images that reach the classifier, or (height, width) if they are grey. A
        classifier that has an `image_shape` of its own, of as many numbers, is taken by its word.
    n_classes : int or None, default=None
        The number of classes, at least 2. None: the width that a text spells for its last FC is taken for right, and
        one that spells none is counted with 10.
    max_params : float or None, default=None
        The most weights and biases allowed.
    max_memory : float or None, default=None
        The most bytes that training in one thread may take beside the images; each further thread takes some more.
        ``batch_size="auto"`` is counted as 128, which is the most that it stands for.
    max_flops : float or None, default=None
        The most multiply-adds of one image forward, as the volume table counts them.

    Returns
    -------
    ParamGrid
        A list that GridSearchCV, HalvingGridSearchCV and RandomizedSearchCV take as their grid: a dict for each
        combination that is left, in the order of `sklearn.model_selection.ParameterGrid`. Its ``dropped`` is a list of
        (params, reason), with the arithmetic in the reason.

    Raises
    ------
    ValueError
        If the grid is none, names a parameter that is not there, or nothing of it is left; if there is no
        ConvNetClassifier in the estimator; or if another argument is not what it has to be.

    Notes
    -----
    What is left is what ``fit(X, y)`` does not refuse for the parameters of classifiers and of `ConvNetFeatures`, given
    images of this shape in so many classes, which come as rows where a classifier has an `image_shape` of its own. What
    it may refuse for the data, for the memory of the machine, or for the parameters of other steps is not known here.

    Examples
    --------
    >>> from skconvnet import ConvNetClassifier, valid_param_grid
    >>> estimator = ConvNetClassifier("INPUT -> CONV -> RELU -> FC", K=8)
    >>> grid = valid_param_grid(estimator, {"F": [2, 3], "S": [1, 2], "P": [0]}, image_shape=(8, 8), n_classes=10)
    >>> grid
    [{'F': [2], 'P': [0], 'S': [1]}, {'F': [2], 'P': [0], 'S': [2]}, {'F': [3], 'P': [0], 'S': [1]}]
    >>> for params, reason in grid.dropped:
    ...     print(params, reason)
    {'F': 3, 'P': 0, 'S': 2} CONV 1 over the height of [8x8x1]: (W - F + 2P)/S + 1 = (8 - 3 + 0)/2 + 1 = 3.5 is no
    whole number. What fits: round=floor, round=ceil, S=1, F=2 with P=0, F=4 with P=0, W=7, W=9
        INPUT -> CONV -> RELU -> FC
                 ^
    >>> grid = valid_param_grid(estimator, {"K": [8, 800]}, image_shape=(8, 8), n_classes=10, max_params=100_000)
    >>> grid, grid.dropped
    ([{'K': [8]}], [({'K': 800}, '520,010 parameters > max_params=100,000')])
    """
    shape = check_image_shape(image_shape)
    if n_classes is not None:
        n_classes = whole_number("n_classes", n_classes, 2)
    limits = _Limits(max_params, max_memory, max_flops)
    candidates = [(params, _networks(_with_parameters(estimator, params))) for params in _combinations(param_grid)]
    if not any(networks for _, networks in candidates):
        raise ValueError(f"There is no ConvNetClassifier in {shown(estimator)}. Give one, or a Pipeline with one.")
    grid = ParamGrid()
    for params, networks in candidates:
        reasons = (_reason_against(network, shape, n_classes, limits) for network in networks)
        reason = next(filter(None, reasons), None)
        if reason is None:
            grid.append({name: [value] for name, value in params.items()})
        else:
            grid.dropped.append((params, reason))
    if not grid:
        raise ValueError(_nothing_left(grid.dropped, shape))
    return grid


@dataclass(frozen=True)
class _Limits:
    """The most that a network may cost, each a number above zero or None."""

    max_params: float | None
    max_memory: float | None
    max_flops: float | None

    def __post_init__(self):
        for name, limit in vars(self).items():
            is_number = isinstance(limit, Real) and not isinstance(limit, bool)
            if limit is not None and not (is_number and limit > 0):
                raise ValueError(f"{name} must be a number above 0 or None, but {shown(limit)} came.")

    def reason_against(self, bound, batch_size):
        """Return which limit a network exceeds, with the numbers, or None."""
        table = bound.summary()
        if _exceeds(table.n_params, self.max_params):
            return f"{table.n_params:,} parameters > max_params={_spelled(self.max_params)}"
        if _exceeds(table.n_flops, self.max_flops):
            return f"{table.n_flops:,} multiply-adds > max_flops={_spelled(self.max_flops)}"
        return None if self.max_memory is None else self._reason_of_memory(bound, table, batch_size)

    def _reason_of_memory(self, bound, table, batch_size):
        # Where even the parameters are too much no plan is made, which would take a while.
        least, limit = BYTES_PER_PARAMETER * table.n_params, f"max_memory={_spelled(self.max_memory)}"
        if _exceeds(least, self.max_memory):
            return f"{BYTES_PER_PARAMETER} * {table.n_params:,} parameters = {least:,} bytes at least > {limit}"
        needed = memory_needed(bound, batch_size, n_threads=1)
        if _exceeds(needed, self.max_memory):
            return f"{needed:,} bytes to train on minibatches of {batch_size:,} > {limit}"
        return None


def _exceeds(cost, limit):
    return limit is not None and cost > limit


def _spelled(limit):
    return f"{limit:,}" if isinstance(limit, Integral) else f"{limit:,.10g}"


def _combinations(param_grid):
    """Return the dicts of parameters that a grid stands for."""
    try:
        combinations = list(ParameterGrid(param_grid))
        wrong = [name for params in combinations for name in params if not isinstance(name, str)]
        if wrong:
            raise TypeError(f"{shown(wrong[0])} is no name")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"param_grid is no grid: {str(error).rstrip('.')}. It has to be a dict with a list of values for each "
            "name, or a list of such dicts. Distributions can be added to what is left of the grid: see docs/search.md."
        ) from error
    if not any(combinations):
        raise ValueError(f"param_grid={shown(param_grid)} names no parameter. Give at least one, as {{'F': [3, 5]}}.")
    return combinations


def _with_parameters(estimator, params):
    """Return a copy of the estimator with these parameters, as a search makes it."""
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        raise ValueError(f"estimator has to be a ConvNetClassifier or have one inside, but {shown(estimator)} came.")
    try:
        return clone(estimator).set_params(**clone(params, safe=False))
    except (AttributeError, ValueError) as error:
        raise ValueError(f"{str(error).rstrip('.')}{_nearest_names(estimator, params)}") from error


def _nearest_names(estimator, params):
    """Return the end of an error about parameters that are not there: a name with its prefix, or one spelled alike."""
    known = estimator.get_params()
    for name in params:
        if name not in known:
            prefixed = [other for other in known if other.endswith(f"__{name}")]
            return f": did you mean {prefixed[0]}?" if prefixed else did_you_mean(name, known)
    return ""


def _networks(estimator):
    """Return the ConvNetClassifiers in an estimator that its `fit` would fit, and its ConvNetFeatures."""
    params = {"": estimator} | estimator.get_params()
    frozen = tuple(f"{name}__" for name, part in params.items() if isinstance(part, FrozenEstimator))
    inside = [part for name, part in params.items() if not name.startswith(frozen)]
    return [part for part in inside if isinstance(part, (ConvNetClassifier, ConvNetFeatures))]


def _reason_against(network, shape, n_classes, limits):
    """Return why a classifier, or a transformer with one inside, is not worth fitting to such images, or None."""
    try:
        network._validate_params()
        if isinstance(network, ConvNetFeatures):
            layer_name(_architecture_of(network, shape, n_classes), network.layer)
            return None  # what it costs is a matter of the classifier inside
        bound = _bind(network, shape, n_classes)
    except ValueError as error:
        return str(error)
    return limits.reason_against(bound, LARGEST_AUTO_BATCH if network.batch_size == "auto" else network.batch_size)


def _architecture_of(features, shape, n_classes):
    """Return the bound architecture of which a transformer is to have a layer."""
    if isinstance(features.estimator, ConvNetClassifier):
        return _bind(features.estimator, shape, n_classes)
    network = fitted_classifier(features.estimator)
    _check_own_shape(network.image_shape_, shape)
    return network.architecture_


def _bind(classifier, shape, n_classes):
    """Bind a classifier's network as its `fit` would, with all that `fit` asks of its parameters."""
    classifier._check_settings(sets_aside=classifier.early_stopping)
    if classifier.checkpoint is not None:
        CheckpointFile(classifier.checkpoint)
    if classifier.image_shape is not None:
        _check_own_shape(check_image_shape(classifier.image_shape), shape)
        shape = check_image_shape(classifier.image_shape)
    bound = bind_network(classifier, shape, n_classes)
    if bound.n_classes < 2:
        raise ValueError(f"{bound} has 1 class, and a classifier needs 2 classes or more.")
    if classifier.batch_size != "auto":
        check_batch_size(bound, classifier.batch_size)
    make_augmentation(classifier.augment, bound.image_shape)
    return bound


def _check_own_shape(own, shape):
    """Raise a ValueError if images of a shape, as rows, cannot be taken for images of a network's own shape."""
    if prod(own) != prod(shape):
        raise ValueError(
            f"image_shape={own} has {prod(own):,} numbers, and images of shape {shape} have {prod(shape):,}."
        )


def _nothing_left(dropped, shape):
    """Say why no combination of a grid is left."""
    lines = [f"{', '.join(f'{name}={value!r}' for name, value in params.items())}: {why}" for params, why in dropped]
    further = [f"and {len(lines) - _LISTED:,} more"] if len(lines) > _LISTED else []
    headline = f"None of the {len(lines):,} combinations in param_grid is left for images of shape {shape}:"
    return "\n".join([headline, *lines[:_LISTED], *further])
