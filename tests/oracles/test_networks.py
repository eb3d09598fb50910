"""Whole networks against finite differences and PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

from tests import oracles
from tests.engine.networks import problems


@pytest.fixture(scope="module")
def network():
    """Layers, parameters, images and targets of a small network with a CONV, overlapping pools and two FC layers."""
    rng = np.random.default_rng(0)
    layers = [
        oracles.Conv(S=1, P=1, extent=(5, 6)),
        oracles.Relu(),
        oracles.MaxPool(F=3, S=2, P=0, extent=(2, 3)),
        oracles.FullyConnected(),
        oracles.Relu(),
        oracles.FullyConnected(),
    ]
    shapes = [(3, 3, 2, 4), (2 * 3 * 4, 5), (5, 3)]
    parameters = [(rng.normal(size=shape), rng.normal(size=shape[-1])) for shape in shapes]
    return layers, parameters, rng.normal(size=(3, 5, 6, 2)), np.array([0, 2, 1])


def test_volumes_of_the_first_network_of_the_notes():
    """In the CS231n notes, [32x32x3] becomes [32x32x12] after CONV, [16x16x12] after POOL and [1x1x10] after FC."""
    layers = [
        oracles.Conv(S=1, P=1, extent=(32, 32)),
        oracles.Relu(),
        oracles.MaxPool(F=2, S=2, P=0, extent=(16, 16)),
        oracles.FullyConnected(),
    ]
    parameters = [(np.zeros((3, 3, 3, 12)), np.zeros(12)), (np.zeros((16 * 16 * 12, 10)), np.arange(10.0))]
    volumes = oracles.volumes(layers, parameters, np.zeros((1, 32, 32, 3)))
    assert [volume.shape[1:] for volume in volumes[1:]] == [(32, 32, 12), (32, 32, 12), (16, 16, 12), (1, 1, 10)]
    assert_array_equal(oracles.forward(layers, parameters, np.zeros((1, 32, 32, 3))), [np.arange(10)])


def assert_gradients_are_finite_differences(layers, parameters, x, targets):
    weights = np.array([1.0, 0.5, 2.0])
    found = oracles.gradients(layers, parameters, x, targets, weights, label_smoothing=0.1)
    assert len(found) == len(parameters)
    for number, pair in enumerate(parameters):
        for which in (0, 1):

            def objective(array, number=number, which=which):
                changed = [list(pair) for pair in parameters]
                changed[number][which] = array
                return oracles.mean_loss(layers, changed, x, targets, weights, label_smoothing=0.1)

            assert found[number][which].shape == pair[which].shape
            assert_allclose(found[number][which], oracles.finite_differences(objective, pair[which]), atol=1e-7)


def test_gradients_of_a_network_agree_with_finite_differences(network):
    assert_gradients_are_finite_differences(*network)


@pytest.fixture(scope="module")
def branched():
    """A network with nested branches, NORM in all modes, groups, a CONV without biases, and DROPOUT."""
    rng = np.random.default_rng(1)

    def conv(groups=1):
        return oracles.Conv(S=1, P=1, extent=(4, 5), groups=groups)

    def mask(number, shape):
        return np.random.default_rng(number).random(shape) > 0.3

    inner = oracles.Stack(
        ((conv(groups=2), oracles.Tanh()), (oracles.AveragePool(F=3, S=1, P=1, extent=(4, 5)),), (oracles.Skip(),))
    )
    residual = oracles.Sum(((inner, oracles.BatchNorm(), conv(groups=1)), (oracles.Dropout(0.3, 0, mask),)))
    layers = [
        conv(),
        oracles.LayerNorm(),
        residual,
        oracles.LocalResponseNorm(size=3, alpha=0.5),
        oracles.Sum(((oracles.Skip(),), (oracles.Skip(),))),
        oracles.AveragePool(F=(4, 5), S=1, P=0, extent=(1, 1)),
        oracles.Dropout(0.3, 1, mask),
        oracles.BatchNorm(momentum=0.5),
        oracles.Sigmoid(),
        oracles.FullyConnected(),
    ]
    shapes = [(3, 3, 2, 4), (4,), (3, 3, 2, 2), (10,), (3, 3, 10, 4), (4,), (4, 3)]
    parameters = [(rng.normal(size=shape), rng.normal(size=shape[-1])) for shape in shapes]
    parameters[2] = (parameters[2][0], np.zeros(0))
    return layers, parameters, rng.normal(size=(3, 4, 5, 2)), np.array([0, 2, 1])


def test_gradients_through_branches_agree_with_finite_differences(branched):
    assert_gradients_are_finite_differences(*branched)


def test_running_statistics_are_those_of_the_input_of_each_norm(branched):
    layers, parameters, x, _ = branched
    running = [(np.zeros(10), np.ones(10)), (np.zeros(4), np.ones(4))]
    first, second = oracles.running_after(layers, parameters, x, running)
    before_second = oracles.volumes(layers, parameters, x)[7]
    assert_array_equal(second, oracles.running_statistics(before_second, np.zeros(4), np.ones(4), 0.5))
    _, *before = oracles.volumes(layers[:2], parameters[:2], x)
    stack = layers[2].branches[0][0].forward(before[-1], [parameters[2], ()], [()], [()])
    assert_array_equal(first, oracles.running_statistics(stack, np.zeros(10), np.ones(10), 0.1))


def test_inference_has_the_running_statistics_and_no_dropout(branched):
    layers, parameters, x, _ = branched
    running = [(np.full(10, 0.5), np.full(10, 2.0)), (np.full(4, 0.25), np.full(4, 3.0))]
    fixed = oracles.in_inference(layers, running)
    assert type(fixed[2].branches[0][1]) is type(fixed[7]) is oracles.FixedNorm
    assert type(fixed[2].branches[1][0]) is type(fixed[6]) is oracles.Skip
    assert_array_equal(fixed[2].branches[0][1].variance, np.full(10, 2))
    scores = oracles.forward(layers, parameters, x, running)
    one_by_one = [oracles.forward(layers, parameters, x[n : n + 1], running) for n in range(3)]
    assert_allclose(scores, np.concatenate(one_by_one), rtol=1e-12)  # they do not depend on the other images


def test_inputs_of_looks_into_branches(branched):
    layers, parameters, x, _ = branched
    own = oracles.per_layer(layers, iter(parameters))
    found = list(oracles.inputs_of(oracles.Skip, layers, own, x))
    assert [batch.shape[3] for _, batch in found] == [4, 4, 4]
    ((layer, batch),) = oracles.inputs_of(oracles.LayerNorm, layers, own, x)
    assert layer is layers[1]
    assert_array_equal(batch, oracles.volumes(layers, parameters, x)[1])


@given(problem=problems(torch=True))
def test_random_networks_agree_with_pytorch(in_torch, problem):
    """Scores, loss, gradients and running statistics of random networks with all layers and nested branches."""
    found, expected = problem.expected(), problem.expected_of(in_torch)
    assert found.keys() == expected.keys()
    largest = max(np.abs(array).max(initial=0) for array in expected.values())
    for name, wanted in expected.items():
        assert_allclose(found[name], wanted, atol=1e-10 * largest, err_msg=name)
