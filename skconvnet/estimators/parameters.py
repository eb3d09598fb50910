"""Constraints on the parameters of the estimators, and what to write instead of what other libraries have."""

from functools import wraps
from inspect import signature
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from skconvnet.architecture.errors import most_similar
from skconvnet.data import check_class_weight
from skconvnet.engine import check_device

_LAYER = "is a layer of the architecture here"
# What other libraries have, and what to write instead: the name of a parameter, or a sentence that begins with "That".
_NAMES_ELSEWHERE = {
    other: name
    for name, others in {
        "architecture": "layers model network",
        "K": "filters n_filters num_filters out_channels n_kernels",
        "F": "kernel_size filter_size kernel",
        "S": "strides stride",
        "P": "padding",
        "hidden_layer_sizes": "hidden_units hidden_size units n_hidden",
        "image_shape": "input_shape input_size image_size",
        "solver": "optimizer",
        "alpha": "weight_decay l2 l2_regularization reg_lambda",
        "learning_rate_init": "lr eta eta0",
        "max_iter": "epochs n_epochs num_epochs max_epochs n_iter iterations nb_epoch",
        "n_iter_no_change": "patience",
        "validation_fraction": "validation_split val_fraction",
        "augment": "augmentation data_augmentation transforms",
        "device": "gpu use_gpu use_cuda cuda",
        "n_jobs": "n_threads num_threads num_workers nthread",
        "random_state": "seed random_seed",
        "class_weight": "class_weights",
    }.items()
    for other in others.split()
}
_ELSEWHERE = {
    "activation": f"{_LAYER}, such as RELU, TANH or SIGMOID: 'INPUT -> FC -> TANH -> FC'",
    "filter": "is `K` (how many filters) or `F` (their extent)",
    "dropout": f"{_LAYER}: 'INPUT -> FC -> RELU -> DROPOUT(0.5) -> FC'",
    "batch_norm": f"{_LAYER}: 'INPUT -> CONV -> NORM -> RELU -> FC'",
    "max_fun": "belongs to solver='lbfgs', which needs all images in each step. Use solver='adam' or 'sgd'",
    "metrics": "is not chosen here: pass `scoring` to cross_validate",
    "module": "is `architecture`, a text such as 'INPUT -> CONV -> RELU -> POOL -> FC'",
    "betas": "is `beta_1` and `beta_2`",
}
_WORDS_ELSEWHERE = {
    "device": {"gpu": "A GPU is 'cuda'.", Real: "A GPU is 'cuda'; CUDA_VISIBLE_DEVICES chooses among several."},
    "learning_rate": {Real: "A number is learning_rate_init."},
    "loss": {"mse": "'mse' is 'squared_error'.", "mae": "'mae' is 'absolute_error'."},
    "solver": {"lbfgs": "'lbfgs' needs all images in each step: write 'adam' or 'sgd'."},
}
_ARGUMENTS_ELSEWHERE = dict.fromkeys(
    ("validation_data", "eval_set", "validation_set"), "That is X_val=..., y_val=... here."
)

# What only one of the estimators has.
_OF_CLASSIFIER = dict.fromkeys(
    ("criterion", "loss"), "is always cross-entropy in a classifier; `loss` is a parameter of ConvNetRegressor"
)
_OF_REGRESSOR = {
    "criterion": "is `loss`",
    "class_weight": "is for classes, with ConvNetClassifier. Weigh images by the sample_weight of fit",
    "label_smoothing": "is for classes, with ConvNetClassifier",
}


def refuse_unknown(estimator, parameters, error):
    """Raise an error if the class of an estimator has not all of these parameters. It says what to write instead.

    Parameters
    ----------
    estimator : type
        The class.
    parameters : iterable of str
        Names.
    error : type
        The class of the error.

    Examples
    --------
    >>> from skconvnet import ConvNetClassifier
    >>> refuse_unknown(ConvNetClassifier, ["epochs"], TypeError)
    Traceback (most recent call last):
    TypeError: ConvNetClassifier has no parameter 'epochs'. That is `max_iter` here.
    """
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature(estimator).parameters.values())  # of a subclass
    known = estimator._get_param_names()
    for name in parameters:
        if name.partition("__")[0] not in known and not takes_any:
            hint = _of_estimators(name.casefold(), known) or instead_of(name, known)
            raise error(f"{estimator.__name__} has no parameter {name!r}. {hint}")


def _of_estimators(name, known):
    """Return a sentence about a parameter of other libraries that is no other parameter here; None if it is unknown."""
    own = _OF_REGRESSOR if "loss" in known else _OF_CLASSIFIER
    elsewhere = own.get(name) or _ELSEWHERE.get(name)
    return elsewhere and f"That {elsewhere}{' here' if elsewhere.startswith('is `') else ''}."


def instead_of(name, known):
    """Return a sentence about what to write instead of an unknown parameter, of an estimator or of a function.

    Parameters
    ----------
    name : str
        The unknown parameter.
    known : sequence of str
        The parameters that there are.

    Returns
    -------
    str

    Examples
    --------
    >>> instead_of("epochs", ["max_iter"]), instead_of("maxiter", ["max_iter"]), instead_of("Q", ["F", "K"])
    ('That is `max_iter` here.', 'Did you mean max_iter?', 'It has F, K.')
    """
    name = name.casefold()
    if _NAMES_ELSEWHERE.get(name) in known:
        return f"That is `{_NAMES_ELSEWHERE[name]}` here."
    nearest = most_similar(name, known)
    return f"Did you mean {nearest}?" if nearest else f"It has {', '.join(known)}."


def checked_arguments(method):
    """Have a method refuse arguments that it has not, with what to write instead and without an internal name.

    Python calls a method by the class that defines it, which is `BaseConvNet` for `fit`.

    Examples
    --------
    >>> from skconvnet import ConvNetClassifier
    >>> ConvNetClassifier().fit([[0.0]], [0], epochs=3)
    Traceback (most recent call last):
    TypeError: ConvNetClassifier.fit() got an unexpected keyword argument 'epochs'. That is a parameter of the
    estimator: ConvNetClassifier(max_iter=...).
    """
    expected = signature(method)

    @wraps(method)
    def checked(self, *arguments, **named):
        try:
            expected.bind(self, *arguments, **named)
        except TypeError as error:
            names = list(expected.parameters)[1:]
            unknown = next((name for name in named if name not in names), None)
            hint = _instead_of_argument(unknown, self, names)
            raise TypeError(f"{type(self).__name__}.{method.__name__}() {_readable(error)}. {hint}") from None
        return method(self, *arguments, **named)

    return checked


def _readable(error):
    """Return Python's message about arguments with the method as its subject."""
    return str(error).replace("missing a required argument:", "needs the argument").replace("too many", "got too many")


def _instead_of_argument(name, estimator, names):
    """Return a sentence about what to pass to a method that takes `names`, where an argument is unknown or None is."""
    parameters = estimator._get_param_names()
    parameter = name if name in parameters else _NAMES_ELSEWHERE.get(name)
    if parameter in parameters:
        return f"That is a parameter of the estimator: {type(estimator).__name__}({parameter}=...)."
    if name in _ARGUMENTS_ELSEWHERE and "X_val" in names:
        return _ARGUMENTS_ELSEWHERE[name]
    nearest = most_similar(name or "", names)
    return f"Did you mean {nearest}?" if nearest else f"It takes {', '.join(names)}."


def other_word(message, estimator):
    """Return the end of scikit-learn's message about the value of a parameter that takes words: what to write instead.

    Examples
    --------
    >>> from skconvnet import ConvNetClassifier
    >>> other_word("The 'solver' parameter of ...", ConvNetClassifier(solver="Adam"))
    " Did you mean 'adam'?"
    """
    name = message.split("'")[1]
    value, constraints = getattr(estimator, name), estimator._parameter_constraints[name]
    words = [word for one in constraints if isinstance(one, StrOptions) for word in one.options]
    is_word = isinstance(value, str)
    key = value.casefold() if is_word else Real if isinstance(value, Real) else None
    elsewhere = _WORDS_ELSEWHERE.get(name, {}).get(key)
    nearest = most_similar(value, words) if is_word else None
    return f" {elsewhere}" if elsewhere else f" Did you mean {nearest!r}?" if nearest else ""


class Numbers(Interval):
    """An interval of numbers for a table of parameter constraints. True is no number."""

    def is_satisfied_by(self, value):
        """Return whether the value is a number of the interval."""
        return not isinstance(value, bool) and super().is_satisfied_by(value)


class Texts(StrOptions):
    """Any text of an architecture. An error says where the sizes go that MLPClassifier takes in its place."""

    def __init__(self):
        super().__init__({"auto"})

    def is_satisfied_by(self, value):
        """Return whether the value is a str."""
        return isinstance(value, str)

    def __str__(self):
        return (
            "a str such as 'auto', 'lenet5' or 'INPUT -> CONV -> RELU -> FC' (units of hidden FC layers are "
            "hidden_layer_sizes=)"
        )


def check_settings(estimator, splits):
    """Raise a ValueError if parameters do not go together, or are not implemented.

    Parameters
    ----------
    estimator : BaseConvNet
        Its parameters are checked.
    splits : bool
        Whether validation data are split off the training data.
    """
    check_device(estimator.device)
    check_class_weight(getattr(estimator, "class_weight", None))
    for name in ("beta_1", "beta_2"):
        beta = getattr(estimator, name)
        if estimator.solver == "adam" and np.float32(beta) == 1:
            raise ValueError(
                f"{name}={beta!r} is 1 in float32, in which the network is trained: the gradient would have no effect. "
                "Use 0.9999999 at most."
            )
    if estimator.warm_start and estimator.checkpoint is not None:
        raise ValueError(
            "warm_start=True resumes the network of the estimator, and checkpoint the network in the file. Use only "
            "one of them: warm_start=False or checkpoint=None."
        )
    if estimator.freeze is not None and estimator.pretrained is None:
        raise ValueError(
            f"freeze={estimator.freeze!r} keeps pretrained weights, but pretrained=None. Pass pretrained, which may be "
            "FrozenEstimator(classifier) with your own fitted classifier, or freeze=None."
        )
    if splits and estimator.validation_fraction == 0:
        raise ValueError(
            "early_stopping=True needs validation data, but validation_fraction=0. Use a larger validation_fraction, "
            "such as 0.1, or pass X_val and y_val."
        )
