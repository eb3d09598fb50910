"""The numbers that a regressor is fitted to."""

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning

from skconvnet.data.numbers import check_numbers
from tests.estimators.quick import refused


def test_numbers_become_columns_of_float64():
    assert check_numbers([1, 2]).tolist() == [[1.0], [2.0]]
    assert check_numbers(np.ones((2, 3), np.float32)).dtype == np.float64
    with pytest.warns(DataConversionWarning, match="column-vector"):
        assert check_numbers([[1], [2]]).shape == (2, 1)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "the target y is None"),
        (["a", "b"], "which is no number"),
        ([1, np.nan], "Input y contains NaN at y[1]. Every image needs a number that is not missing."),
        ([[1, 2], [3, np.nan]], "Input y contains NaN at y[1, 1]"),
        ([1, np.inf], "Input y contains infinity"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), "y has masked numbers"),
        (np.zeros((2, 2, 2)), "dim 3"),
    ],
)
def test_what_are_no_finite_numbers_is_refused(y, message):
    with refused(message):
        check_numbers(y)


@pytest.mark.parametrize("y", [["cat", "dog"], np.array(["1", "2"]), np.array(["2020-01-01", "2021-01-01"], "M8[D]")])
def test_what_is_no_number_is_for_the_classifier(y):
    with pytest.raises(
        ValueError, match=r"which is no number.*np.asarray\(y, dtype=float\).*ConvNetClassifier for classes"
    ):
        check_numbers(y)
