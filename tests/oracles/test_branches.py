"""Sums and stacks of branches against arrays computed by hand."""

import numpy as np
from numpy.testing import assert_array_equal

from tests import oracles
from tests.oracles.cases import plane


def test_a_sum_by_hand():
    """x + relu(x) + x is 3x where x is positive, else 2x."""
    layer = oracles.Sum(((oracles.Skip(),), (oracles.Relu(),), (oracles.Skip(), oracles.Skip())))
    x = plane([-1, 2])
    assert_array_equal(layer.forward(x, [()], [()], [(), ()]), plane([-2, 6]))
    d_x, *d_own = layer.backward(plane([10, 100]), x, [()], [()], [(), ()])
    assert_array_equal(d_x, plane([20, 300]))
    assert d_own == [[()], [()], [(), ()]]


def test_a_stack_by_hand():
    """Depth slices are in the order of the branches. Their input gradients are added."""
    doubling = oracles.Conv(S=1, P=0, extent=(1, 2)), (np.full((1, 1, 1, 2), 2.0), np.zeros(0))
    layer = oracles.Stack(((oracles.Relu(),), doubling[:1], (oracles.Skip(),)))
    own = [[()], [doubling[1]], [()]]
    x = plane([-1, 3])
    assert_array_equal(layer.forward(x, *own), [[[[0, -2, -2, -1], [3, 6, 6, 3]]]])
    d_out = np.array([[[[1.0, 10.0, 100.0, 1000.0], [2.0, 20.0, 200.0, 2000.0]]]])
    d_x, *d_own = layer.backward(d_out, x, *own)
    assert_array_equal(d_x, plane([2 * 110 + 1000, 2 + 2 * 220 + 2000]))
    assert_array_equal(d_own[1][0][0].ravel(), [-10 + 3 * 20, -100 + 3 * 200])
