"""Constraints on the parameters of the estimators."""

from sklearn.utils._param_validation import Interval, StrOptions

from skconvnet.engine import check_device


class Numbers(Interval):
    """An interval of numbers for a table of parameter constraints. True is no number."""

    def is_satisfied_by(self, value):
        """Return whether the value is a number of the interval."""
        return not isinstance(value, bool) and super().is_satisfied_by(value)


class Solvers(StrOptions):
    """The names of the optimizers; the error about another one says what becomes of "lbfgs"."""

    def __str__(self):
        return f"{super().__str__()} ('lbfgs' needs all images in each step; write 'adam' or 'sgd')"


def check_settings(estimator, splits):
    """Raise a ValueError if parameters do not go together, or are not implemented.

    Parameters
    ----------
    estimator : ConvNetClassifier
        Its parameters are checked.
    splits : bool
        Whether validation data are split off the training data.
    """
    check_device(estimator.device)
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
