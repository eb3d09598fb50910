"""Training steps: several of them against the oracles and PyTorch, what they leave alone, and going on."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine import SGD, Adam
from tests import oracles
from tests.engine import torch_networks
from tests.engine.networks import VARIED, VARIED_SHAPE, Problem

SMALL = Problem("INPUT -> CONV(K=5) -> RELU -> POOL -> CONV(K=9) -> RELU -> FC(7) -> RELU -> FC", (6, 8, 2), n=12)
MINIBATCHES = [np.array([3, 1, 4, 0, 5]), np.array([9, 2, 6, 8, 7, 11]), np.array([10]), np.array([5, 5, 3])]
LEARNING_RATES = [0.01, 0.02, 0.005, 0.01]


def train(trainer, minibatches=MINIBATCHES, learning_rates=LEARNING_RATES):
    return [trainer.step(*step) for step in zip(minibatches, learning_rates, strict=True)]


def oracle_of(problem, optimizer, alpha):
    """Losses and parameters after the steps of `train`, in float64."""
    layers = oracles.layers_of(problem.bound.layers)
    parameters = [tuple(own.astype(float) for own in pair) for pair in problem.parameters]
    memories = [tuple((np.zeros(own.shape), np.zeros(own.shape)) for own in pair) for pair in parameters]
    losses = []
    for number, (indices, rate) in enumerate(zip(MINIBATCHES, LEARNING_RATES, strict=True), 1):
        data = (problem.x[indices].astype(float), problem.targets[indices], problem.weights[indices])
        losses.append(oracles.loss(layers, parameters, *data, problem.label_smoothing))
        gradients = oracles.gradients(layers, parameters, *data, problem.label_smoothing)

        def stepped(p, gradient, memory, decay, number=number, rate=rate, indices=indices):
            if isinstance(optimizer, Adam):
                p, *memory = oracles.adam(p, gradient, *memory, number, rate, alpha * decay)
                return p, tuple(memory)
            rest = (rate, optimizer.momentum, optimizer.nesterov, alpha * decay, len(indices))
            p, velocity = oracles.sgd(p, gradient, memory[0], *rest)
            return p, (velocity, memory[1])

        moved = [
            [stepped(*own, decay) for *own, decay in zip(*layer, (1, 0), strict=True)]
            for layer in zip(parameters, gradients, memories, strict=True)
        ]
        parameters = [tuple(own[0] for own in layer) for layer in moved]
        memories = [tuple(own[1] for own in layer) for layer in moved]
    return losses, parameters


def flat(network):
    """Weights and biases in network order."""
    return [own for pair in zip(network.learned.coefs, network.learned.intercepts, strict=True) for own in pair]


@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("optimizer", [Adam(), SGD(), SGD(0.5, nesterov=False)], ids=repr)
def test_steps_are_those_of_the_oracles(optimizer, alpha):
    """From the second step on, this also shows that the transposed weights are written anew."""
    network = SMALL.network()
    losses = train(SMALL.trainer(network, optimizer=optimizer, alpha=alpha))
    expected_losses, expected = oracle_of(SMALL, optimizer, alpha)
    assert_allclose(losses, expected_losses, rtol=1e-4)
    for found, wanted in zip(flat(network), [own for pair in expected for own in pair], strict=True):
        assert_allclose(found, wanted.reshape(found.shape), atol=1e-4)


def test_adam_with_decay_is_adamw_of_pytorch(in_torch):
    network, alpha, everything = SMALL.network(), 0.5, np.arange(SMALL.n)
    trainer = SMALL.trainer(network, optimizer=Adam(), alpha=alpha)
    train(trainer, [everything] * len(LEARNING_RATES))
    expected = in_torch(
        torch_networks.adamw_steps,
        torch_networks.plain(SMALL.bound.layers),
        [own for pair in SMALL.parameters for own in pair],
        *(SMALL.x, SMALL.targets, SMALL.weights, SMALL.label_smoothing, LEARNING_RATES, alpha),
    )
    for found, wanted in zip(flat(network), expected, strict=True):
        assert_allclose(found, wanted, atol=1e-4)


def test_the_loss_falls():
    network = SMALL.network()
    trainer = SMALL.trainer(network, optimizer=Adam())
    losses = [trainer.step(np.arange(SMALL.n), 0.01) for _ in range(40)]
    assert losses[-1] < losses[0] / 2


# -- What steps leave alone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [Adam(), SGD()], ids=repr)
def test_a_learning_rate_of_zero_changes_no_parameter(optimizer):
    network = SMALL.network()
    before = network.parameters.copy()
    trainer = SMALL.trainer(network, optimizer=optimizer, alpha=0.1)
    losses = [trainer.step(np.arange(SMALL.n), 0.0) for _ in range(2)]
    assert losses[0] == losses[1]
    assert_array_equal(network.parameters, before)


def test_decay_shrinks_weights_and_leaves_biases():
    problem = Problem("INPUT -> CONV(K=3) -> FC", (4, 4, 1))
    for optimizer, kept in ((Adam(), 1 - 0.1 * 0.5), (SGD(0.0), 1 - 0.1 * 0.5 / problem.n)):
        plain, decayed = problem.network(), problem.network()
        for network, alpha in ((plain, 0.0), (decayed, 0.5)):
            problem.trainer(network, optimizer=optimizer, alpha=alpha).step(np.arange(problem.n), 0.1)
        for before, found, without in zip(
            [own for pair in problem.parameters for own in pair], flat(decayed), flat(plain), strict=True
        ):
            if found.ndim == 1:
                assert_array_equal(found, without)
            else:
                assert_allclose(found, without - (1 - kept) * before.reshape(found.shape), atol=1e-6)


@pytest.mark.parametrize("optimizer", [Adam(), SGD()], ids=repr)
def test_what_pads_the_parameters_stays_zero(optimizer):
    problem = Problem(VARIED, VARIED_SHAPE, n=12)
    network = problem.network()
    trainer = problem.trainer(network, optimizer=optimizer, alpha=0.1)
    train(trainer)
    for vector in (network.parameters, *trainer.state.moments):
        assert_array_equal(network.layout.pack(network.layout.unpack(vector)), vector)
        assert vector.any() or not isinstance(optimizer, Adam)


def test_a_minibatch_without_weight_does_nothing():
    network = SMALL.network()
    trainer = SMALL.trainer(network, optimizer=Adam(), alpha=0.1)
    trainer.step(np.arange(3), 0.1)
    trainer.weights[3:6] = 0
    parameters, moments = network.parameters.copy(), trainer.state.moments.copy()
    assert trainer.step(np.arange(3, 6), 0.1) == 0.0
    assert trainer.state.n_steps == 1
    assert_array_equal(network.parameters, parameters)
    assert_array_equal(trainer.state.moments, moments)


def test_samples_without_weight_do_not_count():
    some, all_ = SMALL.network(), SMALL.network()
    SMALL.trainer(some).step(np.array([0, 2]), 0.1)
    trainer = SMALL.trainer(all_)
    trainer.weights[1] = 0
    trainer.step(np.array([0, 1, 2]), 0.1)
    for one, other in zip(flat(some), flat(all_), strict=True):
        assert_allclose(one, other, atol=1e-6)


def test_the_scale_of_weights_does_not_count():
    one, other = SMALL.network(), SMALL.network()
    SMALL.trainer(one).step(np.arange(5), 0.1)
    trainer = SMALL.trainer(other)
    trainer.weights *= 4
    trainer.step(np.arange(5), 0.1)
    assert_array_equal(one.parameters, other.parameters)


# -- Going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [Adam(), SGD()], ids=repr)
def test_going_on_from_a_state_is_as_if_never_stopped(optimizer):
    problem = Problem(VARIED, VARIED_SHAPE, n=12)
    whole, stopped, resumed = problem.network(), problem.network(), problem.network()
    settings = {"optimizer": optimizer, "alpha": 0.1}
    expected = train(problem.trainer(whole, **settings))
    first = problem.trainer(stopped, **settings)
    losses = train(first, MINIBATCHES[:2], LEARNING_RATES[:2])
    assert first.state.n_steps == 2
    resumed.learned = stopped.learned
    second = problem.trainer(resumed, state=pickle.loads(pickle.dumps(first.state)), **settings)
    losses += train(second, MINIBATCHES[2:], LEARNING_RATES[2:])
    assert losses == expected
    assert_array_equal(resumed.parameters, whole.parameters)
    assert second.state.n_steps == len(MINIBATCHES)


def test_parameters_set_from_outside_are_taken_up_by_refresh():
    moved, expected = SMALL.network(), SMALL.network()
    SMALL.trainer(expected).step(np.arange(5), 0.1)
    moved.initialise(np.random.default_rng(5))
    trainer = SMALL.trainer(moved)
    moved.learned = SMALL.learned
    trainer.refresh()
    trainer.step(np.arange(5), 0.1)
    assert_array_equal(moved.parameters, expected.parameters)


def test_a_minibatch_may_be_smaller_than_the_largest():
    one, other = SMALL.network(), SMALL.network()
    losses = [SMALL.trainer(one, batch_size=5).step(np.arange(5), 0.1)]
    trainer = SMALL.trainer(other, batch_size=5)
    trainer.step(np.arange(5, 10), 0.0)  # whose remains must not count
    losses.append(trainer.step(np.arange(5), 0.1))
    assert losses[0] == losses[1]
    ragged = [SMALL.trainer(SMALL.network(), batch_size=size).step(np.arange(5), 0.1) for size in (5, 12, 100)]
    assert_allclose(ragged, losses[0], rtol=1e-6)
