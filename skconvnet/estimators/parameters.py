"""Constraints on the parameters of the estimators."""

from inspect import signature

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from skconvnet.architecture.errors import did_you_mean
from skconvnet.data import check_class_weight
from skconvnet.engine import check_device

_LAYER = "is a layer of the architecture here"
# What other libraries have, and what to write instead.
_ELSEWHERE = {
    "activation": f"{_LAYER}, such as RELU, TANH or SIGMOID: 'INPUT -> FC -> TANH -> FC'",
    "filter": "is `K` (how many filters) or `F` (their extent)",
    "dropout": f"{_LAYER}: 'INPUT -> FC -> RELU -> DROPOUT(0.5) -> FC'",
    "batch_norm": f"{_LAYER}: 'INPUT -> CONV -> NORM -> RELU -> FC'",
    "max_fun": "belongs to solver='lbfgs', which needs all images in each step. Use solver='adam' or 'sgd'",
    "metrics": "is not chosen here: pass `scoring` to cross_validate",
    "module": "is `architecture`, a text such as 'INPUT -> CONV -> RELU -> POOL -> FC'",
    "betas": "is `beta_1` and `beta_2`",
} | {
    other: f"is `{name}`"
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

# What only one of the estimators has.
_OF_CLASSIFIER = dict.fromkeys(
    ("criterion", "loss"), "is not chosen: ConvNetRegressor has `loss`, not ConvNetClassifier"
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
            raise error(f"{estimator.__name__} has no parameter {name!r}. {_hint(name, known)}")


def _hint(name, known):
    """Return a sentence about what to write instead of an unknown parameter."""
    name = name.casefold()
    own = _OF_REGRESSOR if "loss" in known else _OF_CLASSIFIER
    elsewhere = own.get(name) or _ELSEWHERE.get(name)
    if elsewhere is not None:
        return f"That {elsewhere}{' here' if elsewhere.startswith('is `') else ''}."
    nearest = did_you_mean(name, known).removeprefix(": did")
    return f"Did{nearest}" if nearest else f"It has {', '.join(known)}."


class Numbers(Interval):
    """An interval of numbers for a table of parameter constraints. True is no number."""

    def is_satisfied_by(self, value):
        """Return whether the value is a number of the interval."""
        return not isinstance(value, bool) and super().is_satisfied_by(value)


class Words(StrOptions):
    """Words for a table of parameter constraints. An error about another one says what other libraries' are here."""

    def __init__(self, words, elsewhere):
        super().__init__(words)
        self._elsewhere = elsewhere

    def __str__(self):
        return f"{super().__str__()} ({self._elsewhere})"


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
