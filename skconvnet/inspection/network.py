"""The checks of the estimator and of the image that a display is made from."""

import numpy as np
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
        is_class = isinstance(estimator, type)
        name = estimator.__name__ if is_class else type(estimator).__name__
        came = f"the class {name}: make an object, {name}(...)" if is_class else f"an object of class {name}"
        raise TypeError(
            f"A ConvNetClassifier or ConvNetRegressor is needed, got {came}. Of a Pipeline, pass the last step, "
            "pipeline[-1], and of a search, best_estimator_."
        )
    if must_be_fitted:
        check_is_fitted(estimator)


def check_one_image(image, dimensions=(2, 3), image_shape=None):
    """Return an image as an array; raise an error if it has another number of dimensions.

    Parameters
    ----------
    image : object
        What the caller passed.
    dimensions : tuple of int, default=(2, 3)
        The possible numbers of dimensions.
    image_shape : tuple of int, default=None
        The (height, width, channels) of the network. A few rows of so many pixels, and (1, height, width) with another
        number of channels, are several images.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If it is several images, or no array.

    Examples
    --------
    >>> check_one_image([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    try:
        array = np.asarray(image)
    except ValueError as error:
        raise ValueError(
            "image has rows of different lengths. Pass one image, an array of shape (height, width) or (height, width, "
            "channels)."
        ) from error
    if array.ndim in dimensions and not (image_shape and _are_several(array.shape, image_shape)):
        return array
    came = f"image has the shape {array.shape}" if array.ndim else f"image is {image!r:.80}"
    raise ValueError(
        f"{came}. Pass one image, an array of shape (height, width) or (height, width, channels): of an array X of "
        "images, X[0]."
    )


def _are_several(shape, image_shape):
    """Return whether the shape of an array is one of several images, of which each has an image shape."""
    height, width, channels = image_shape
    if len(shape) == 2:
        return shape[1] == height * width * channels and shape[0] < height  # lower than any image of the network
    return len(shape) == 3 and shape[0] == 1 and shape[2] != channels
