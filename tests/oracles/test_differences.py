"""Finite differences of a known function."""

import numpy as np
from numpy.testing import assert_allclose

from tests import oracles


def test_finite_differences_of_a_known_function():
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    assert_allclose(oracles.finite_differences(lambda x: np.sum(x**3), x), 3 * x**2, rtol=1e-8)
