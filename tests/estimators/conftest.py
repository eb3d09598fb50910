"""Data that the tests of the estimators share."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.utils import shuffle

from tests.estimators.quick import quick


@pytest.fixture(scope="module")
def digits():
    """400 digits as rows of whole numbers, and their labels."""
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:400].astype(np.uint8), y[:400]


@pytest.fixture(scope="module")
def more_digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[400:800].astype(np.uint8), y[400:800]


@pytest.fixture(scope="module")
def fitted(digits):
    return quick(architecture="INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC", max_iter=10).fit(
        *digits
    )
