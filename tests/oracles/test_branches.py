"""Sums, stacks and gates of branches against arrays computed by hand."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

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


def test_a_gate_by_hand():
    """x * relu(x) is x**2 where x is positive."""
    layer = oracles.Gate(((oracles.Skip(),), (oracles.Relu(),)))
    x = plane([-1, 3])
    assert_array_equal(layer.forward(x, [()], [()]), plane([0, 9]))
    d_x, *d_own = layer.backward(plane([10, 100]), x, [()], [()])
    assert_array_equal(d_x, plane([0, 600]))
    assert d_own == [[()], [()]]


def test_a_gate_of_one_pixel_by_hand():
    """x times its mean: the gradient of the mean is a sum over the pixels, and each has half of it."""
    mean = oracles.AveragePool(F=(1, 2), S=1, P=0, extent=(1, 1))
    layer = oracles.Gate(((mean,), (oracles.Skip(),)))
    x = plane([2, 4])
    assert_array_equal(layer.forward(x, [()], [()]), plane([6, 12]))
    d_x, *_ = layer.backward(plane([10, 100]), x, [()], [()])
    assert_array_equal(d_x, plane([10 * 3 + 420 / 2, 100 * 3 + 420 / 2]))


def test_gradients_of_a_gate_agree_with_finite_differences():
    """(CONV * POOL(average) -> CONV -> SIGMOID), whose second factor is one pixel."""
    rng = np.random.default_rng(0)
    conv, whole = oracles.Conv(S=1, P=0, extent=(2, 3)), oracles.AveragePool(F=(2, 3), S=1, P=0, extent=(1, 1))
    layer = oracles.Gate(((conv,), (whole, oracles.Conv(S=1, P=0, extent=(1, 1)), oracles.Sigmoid())))
    x, d_out = rng.standard_normal((2, 2, 2, 3, 2))
    filters = rng.standard_normal((2, 1, 1, 2, 2))

    def loss(x, first, second):
        own = [[(first, np.zeros(2))], [(), (second, np.zeros(2)), ()]]
        return float((d_out * layer.forward(x, *own)).sum())

    d_x, [(d_first, _)], [_, (d_second, _), _] = layer.backward(
        d_out, x, [(filters[0], np.zeros(2))], [(), (filters[1], np.zeros(2)), ()]
    )
    assert_allclose(d_x, oracles.finite_differences(lambda x: loss(x, *filters), x), atol=1e-8)
    for found, at in ((d_first, 0), (d_second, 1)):

        def changed(own, at=at):
            return loss(x, *(own if at == number else filters[number] for number in (0, 1)))

        assert_allclose(found, oracles.finite_differences(changed, filters[at]), atol=1e-8)
