"""Check the numbers that a regressor is fitted to."""

import numpy as np
from sklearn.utils import check_array, column_or_1d

from skconvnet.data.arrays import as_numpy
from skconvnet.data.labels import check_none_missing


def check_numbers(y):
    """Check that y has one or several finite numbers for each image.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, n_outputs)
        Numbers.

    Returns
    -------
    ndarray of float64, shape (n, n_outputs)

    Raises
    ------
    ValueError
        If y is None, or is not of this shape, or has something that is not a finite number.

    Examples
    --------
    >>> check_numbers([0.5, 2])
    array([[0.5],
           [2. ]])
    """
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None. Pass one number for each image.")
    y = as_numpy(y, "y")
    if np.ma.is_masked(y):
        raise ValueError("y has masked numbers. Every image needs a number: leave out images without one.")
    if isinstance(y, (np.ndarray, list)) and len(y) and np.asarray(y[0]).dtype.kind in "USTMm":
        raise ValueError(
            f"y has {y[0]!r:.40}, which is no number. ConvNetRegressor predicts numbers: convert y, as "
            "np.asarray(y, dtype=float) does with numbers in strings, or use ConvNetClassifier for classes."
        )
    y = check_array(y, dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan", input_name="y")
    check_none_missing(y, "number")
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return y.reshape(len(y), -1)
