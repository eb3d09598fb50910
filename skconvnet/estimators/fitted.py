"""The attributes of a fitted classifier: their names, and the check that they belong together.

They may come from a file that is damaged or was made to do harm. Kernels get the addresses of arrays, so that a wrong
shape would make them read memory that belongs to others.
"""

from functools import cache
from itertools import islice
from math import isnan, prod
from operator import itemgetter

import numpy as np

from skconvnet.architecture import Architecture, BoundArchitecture, Hyperparameters, walk
from skconvnet.architecture.notation.table import MAX_LAYERS
from skconvnet.engine import Learned, Network, OptimizerState, device_for_scoring
from skconvnet.engine.network import image_work
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters
from skconvnet.interchange import StoredNetwork
from skconvnet.training import History, TrainingState

_ATTRIBUTES = ("architecture_", "image_shape_", "n_features_in_", "pixel_mean_", "pixel_scale_")
LEARNED = ("coefs_", "intercepts_", "norm_means_", "norm_variances_")  # in the order of `Learned`


def fitted_objects(classifier):
    """Return the objects that decide about the scores: attributes, and the arrays of each list."""
    names, objects_of = _scored(classifier._target_attributes)
    try:
        objects = objects_of(vars(classifier))
    except KeyError:  # one is missing, or not unpacked
        objects = [getattr(classifier, name, None) for name in names]
    coefs, intercepts, means, variances = objects[-len(LEARNED) :]
    try:
        return [*objects, *coefs, *intercepts, *means, *variances]
    except TypeError:  # one is no list
        return [*objects]


@cache
def _scored(target_attributes):
    """Return the names of the attributes that decide about the scores, and a function that gets them from a dict."""
    names = ("device", "float32_precision", *_ATTRIBUTES, *target_attributes, *LEARNED)
    return names, itemgetter(*names)


def network_attributes(classifier):
    """Return the objects that decide which network a classifier has, for which images and classes."""
    return [getattr(classifier, name, None) for name in (*_ATTRIBUTES, *classifier._target_attributes)]


def learned_arrays(classifier):
    """Return the learned arrays of a fitted classifier: `Learned` with its own lists."""
    return Learned(*(getattr(classifier, name) for name in LEARNED))


def unpack_parameters(classifier, parameters):
    """Check and unpack the parameters that `partial_fit` has left in the training state.

    Parameters
    ----------
    classifier : ConvNetClassifier
        A fitted classifier.
    parameters : ndarray of float32, (n,)
        In the order of the network's layout.

    Returns
    -------
    Learned
        New arrays.

    Raises
    ------
    ValueError
        If they are not those of the classifier's network, or as `check_fitted` does.
    """
    layout = lay_out_parameters(_check_network(classifier), CPU)
    is_vector = isinstance(parameters, np.ndarray) and parameters.dtype == np.float32
    if not is_vector or parameters.shape != (layout.size,):
        raise _damaged(f"the training state has {_shown(parameters)}, and not float32 of shape ({layout.size},)")
    return layout.unpack(parameters)


def fitted_network(classifier, device=None):
    """Make the network of a fitted classifier, whose attributes are checked.

    Parameters
    ----------
    classifier : ConvNetClassifier
        A fitted classifier.
    device : CpuDevice or CudaDevice, optional
        Where it is run. By default one for scoring.

    Returns
    -------
    Network
        It has copies of the arrays.

    Raises
    ------
    ValueError
        As `check_fitted` does.
    """
    bound = check_fitted(classifier)
    if device is None:
        device = device_for_scoring(classifier.device, image_work(bound), classifier.float32_precision)
    network = Network(bound, classifier.pixel_mean_, classifier.pixel_scale_, device)
    with np.errstate(over="ignore"):
        network.learned = learned_arrays(classifier)
    if not np.isfinite(network.parameters.sum(dtype=np.float64)):
        for name, arrays in zip(LEARNED, learned_arrays(classifier), strict=True):
            for number, array in enumerate(arrays):
                _check_finite(f"{name}[{number}]", array)
    return network


def stored_network(classifier):
    """Return the network of a fitted classifier.

    Parameters
    ----------
    classifier : ConvNetClassifier
        A fitted classifier.

    Returns
    -------
    StoredNetwork
        It shares the arrays with the classifier.

    Raises
    ------
    ValueError
        If the fitted attributes do not belong together: see `check_fitted`.
    """
    bound, kind = check_fitted(classifier), classifier._kind
    pixels = classifier.pixel_mean_, classifier.pixel_scale_
    return StoredNetwork(bound, learned_arrays(classifier), kind.classes, *pixels, **kind.standardisation())


def check_fitted(classifier):
    """Check that the attributes of a fitted classifier belong together.

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
    bound = _check_network(classifier)
    _check_present(classifier, LEARNED)
    shapes = lay_out_parameters(bound, CPU).shapes
    for name, arrays, expected in zip(LEARNED, learned_arrays(classifier), shapes, strict=True):
        if not isinstance(arrays, list) or len(arrays) != len(expected):
            raise _damaged(f"{name} is {_shown(arrays)}, and not a list of {len(expected)} arrays")
        for number, (array, shape) in enumerate(zip(arrays, expected, strict=True)):
            _check_array(f"{name}[{number}]", array, shape)
    for number, variances in enumerate(classifier.norm_variances_):
        if (variances < 0).any():
            raise _damaged(f"norm_variances_[{number}] has a negative number")
    return bound


def _check_network(classifier):
    """Check the attributes except the learned arrays, and return the network, bound again."""
    _check_present(classifier, (*_ATTRIBUTES, *classifier._target_attributes))
    _check_image_shape(classifier.image_shape_, classifier.n_features_in_)
    kind = classifier._kind
    problem = kind.problem()
    if problem is not None:
        name, needed = problem
        raise _damaged(f"{name} is {_shown(getattr(classifier, name))}, and not {needed}")
    bound = _bind_again(classifier, kind.n_outputs)
    for name in ("pixel_mean_", "pixel_scale_"):
        _check_array(name, getattr(classifier, name), bound.image_shape[2:])
        _check_finite(name, getattr(classifier, name))
    return bound


def _check_present(classifier, names):
    for name in names:
        if not hasattr(classifier, name):
            raise _damaged(f"{name} is missing")


def state_to_resume(classifier):
    """Check a fitted classifier, and return the state that its next fit resumes.

    Parameters
    ----------
    classifier : ConvNetClassifier
        A fitted classifier.

    Returns
    -------
    TrainingState

    Raises
    ------
    ValueError
        As `check_fitted` does, or if the state has values of the wrong type.
    """
    check_fitted(classifier)
    state = classifier._training_state
    try:
        wrong = [name for name, is_valid in _validity(state).items() if not is_valid]
    except (AttributeError, TypeError) as error:  # its objects may be anything
        raise _damaged(f"the training state is incomplete ({error})") from error
    if wrong:
        raise _damaged(f"{wrong[0]} of the training state is invalid")
    return state


def _validity(state):
    """Return for each part of a training state whether its types and values are possible."""
    history, plateau, optimizer = state.history, state.history.plateau, state.optimizer
    counters = (state.seed, state.n_drawn, history.n_images, history.n_epochs, history.n_plateaus, plateau.count)
    curves = (history.loss_curve, history.accuracy_curve, history.validation_scores)
    rates = history.learning_rates
    return {
        "the type": type(state) is TrainingState and type(history) is History,
        "a counter": all(type(count) is int and 0 <= count < 2**62 for count in counters),
        "the seed": state.seed < 2**32,
        "a curve": all(type(curve) is list and {*map(type, curve)} <= {float} for curve in curves),
        "a learning rate": type(rates) is tuple and {*map(type, rates)} <= {float},
        "the plateau": type(plateau.best) is float and not isnan(plateau.best),
        "stops_early": type(history.stops_early) is bool,
        "the solver": type(state.solver) is str,
        "freeze": state.frozen is None or type(state.frozen) is str,
        "the head's rate": type(state.head_rate) is float and 0 < state.head_rate <= 1,
        "the optimizer": optimizer is None or _is_optimizer(optimizer),
    }


def _is_optimizer(optimizer):
    moments, n_steps = optimizer.moments, optimizer.n_steps
    return (
        type(optimizer) is OptimizerState
        and type(n_steps) is int
        and 0 <= n_steps < 2**62
        and isinstance(moments, np.ndarray)
        and moments.dtype == np.float32
    )


def _check_image_shape(image_shape, n_features_in):
    extents = image_shape if isinstance(image_shape, tuple) else ()
    if len(extents) != 3 or not all(type(extent) is int and extent >= 1 for extent in extents):
        raise _damaged(f"image_shape_ is {_shown(image_shape)}, and not a tuple of three positive int")
    if type(n_features_in) is not int or n_features_in != prod(image_shape):
        raise _damaged(f"n_features_in_ is {_shown(n_features_in)}, and not the product of image_shape_={image_shape}")


def _bind_again(classifier, n_outputs):
    """Bind the text of the architecture again; raise a ValueError if the result is not equal to it.

    The rounding only counts for larger images: on those of the fit, the text shows each layer that rounds.
    """
    architecture, image_shape = classifier.architecture_, classifier.image_shape_
    try:
        if not isinstance(architecture, BoundArchitecture):
            raise TypeError(f"it is a {type(architecture).__name__}")
        if next(islice(walk(architecture.layers), MAX_LAYERS, None), None) is not None:
            raise ValueError(f"it has more than {MAX_LAYERS} layers")
        hyperparameters = Hyperparameters(rounding=architecture.rounding)
        bound = Architecture.parse(str(architecture)).bind(image_shape, n_outputs, hyperparameters)
        if bound != architecture:
            raise ValueError(f"its text is that of {bound!r}")
    except Exception as error:  # the attributes of its layers may be anything
        raise _damaged(
            f"architecture_ is no network for images of image_shape_={image_shape} and the {n_outputs} outputs of "
            f"{' and '.join(classifier._target_attributes)}: {error}"
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
