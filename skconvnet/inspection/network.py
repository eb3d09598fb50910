"""The check of the estimator that a display is made from."""

from sklearn.utils.validation import check_is_fitted

from skconvnet.estimators.base import BaseConvNet


def check_network(estimator, must_be_fitted=True):
    """Raise an error if an estimator is not a network of this package.

    Parameters
    ----------
    estimator : object
        What the caller passed.
    must_be_fitted : bool, default=True
        Whether it has to be fitted.

    Raises
    ------
    TypeError
        If the estimator is no ConvNetClassifier or ConvNetRegressor.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    if not isinstance(estimator, BaseConvNet):
        raise TypeError(
            f"A ConvNetClassifier or ConvNetRegressor is needed, got a {type(estimator).__name__}. Of a Pipeline, pass "
            "the last step, pipeline[-1], and of a search, best_estimator_."
        )
    if must_be_fitted:
        check_is_fitted(estimator)
