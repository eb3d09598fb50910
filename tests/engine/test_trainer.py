"""Training steps: several of them against the oracles and PyTorch, what they leave alone, and going on."""

import pickle
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.architecture import walk
from skconvnet.engine import SGD, Adam, Images, OptimizerState, Scorer, thread_count
from skconvnet.engine.program.instructions import Warp
from skconvnet.engine.program.target import UNLIMITED
from tests import oracles
from tests.engine import torch_networks
from tests.engine.networks import VARIED, VARIED_SHAPE, Problem, cpu, differences, is_learning

SMALL = Problem("INPUT -> CONV(K=5) -> RELU -> POOL -> CONV(K=9) -> RELU -> FC(7) -> RELU -> FC", (6, 8, 2), n=12)
# CONV in front of NORM has no biases: their gradient is 0 but for rounding, of which Adam would make steps.
RESNET = Problem(
    "INPUT -> CONV(K=8, bias=no) -> NORM(momentum=0.3) -> RELU"
    " -> (CONV(K=8, bias=no) -> NORM -> RELU -> DROPOUT(0.3) -> CONV(K=8, bias=no) -> NORM + SKIP) -> RELU"
    " -> (CONV(K=12, S=2, bias=no) -> NORM + CONV(K=12, F=1, S=2, P=0, bias=no) -> NORM) -> RELU"
    " -> POOL(average, F=all) -> DROPOUT -> FC",
    (7, 9, 3),
    n=12,
)
PADDED = Problem(
    "INPUT -> CONV(K=6) -> SIGMOID -> NORM"
    " -> (CONV(K=9, groups=3) -> NORM(layer) | PRELU -> TANH | CONV(K=3, F=1, bias=no)) -> NORM(lrn)"
    " -> CONV(K=5) -> NORM -> RELU -> DROPOUT(0.2) -> FC(7) -> NORM(layer) -> FC",
    (4, 5, 3),
    n=12,
)
MINIBATCHES = [np.array([3, 1, 4, 0, 5]), np.array([9, 2, 6, 8, 7, 11]), np.array([10]), np.array([5, 5, 3])]
LEARNING_RATES = [0.01, 0.02, 0.005, 0.01]


def train(trainer, minibatches=MINIBATCHES, learning_rates=LEARNING_RATES):
    return [trainer.step(*step).loss for step in zip(minibatches, learning_rates, strict=True)]


def oracle_of(problem, optimizer, alpha, seed=0):
    """Losses, parameters and running statistics after the steps of `train`, in float64."""
    learning = [layer for layer in walk(problem.bound.layers) if is_learning(layer)]
    parameters = [tuple(own.astype(float) for own in pair) for pair in problem.parameters]
    running = [tuple(own.astype(float) for own in pair) for pair in problem.running]
    memories = [tuple((np.zeros(own.shape), np.zeros(own.shape)) for own in pair) for pair in parameters]
    losses = []
    for number, (indices, rate) in enumerate(zip(MINIBATCHES, LEARNING_RATES, strict=True), 1):
        masks = partial(problem.engine_mask, seed=seed, step=number)
        layers = oracles.layers_of(problem.bound.layers, masks)
        x, rest = problem.x[indices].astype(float), (problem.targets[indices], problem.weights[indices])
        losses.append(oracles.mean_loss(layers, parameters, x, *rest, problem.label_smoothing))
        gradients = oracles.gradients(layers, parameters, x, *rest, problem.label_smoothing)
        running = oracles.running_after(layers, parameters, x, running)

        def stepped(p, gradient, memory, decay, number=number, rate=rate, indices=indices):
            if isinstance(optimizer, Adam):
                p, *memory = oracles.adam(p, gradient, *memory, number, rate, alpha * decay)
                return p, tuple(memory)
            rest = (rate, optimizer.momentum, optimizer.nesterov, alpha * decay, len(indices))
            p, velocity = oracles.sgd(p, gradient, memory[0], *rest)
            return p, (velocity, memory[1])

        moved = [
            [stepped(*own, decay) for *own, decay in zip(*parts, (layer.kind in ("CONV", "FC"), 0), strict=True)]
            for layer, *parts in zip(learning, parameters, gradients, memories, strict=True)
        ]
        parameters = [tuple(own[0] for own in layer) for layer in moved]
        memories = [tuple(own[1] for own in layer) for layer in moved]
    return losses, parameters, running


def flat(network):
    """Weights and biases in network order."""
    return [own for pair in zip(network.learned.coefs, network.learned.intercepts, strict=True) for own in pair]


@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("optimizer", [Adam(), SGD(), SGD(0.5, nesterov=False)], ids=repr)
@pytest.mark.parametrize("problem", [SMALL, RESNET], ids=["plain", "resnet"])
def test_steps_are_those_of_the_oracles(problem, optimizer, alpha):
    """From the second step on, this also shows that the transposed weights are written anew.

    Scales and shifts of a NORM do not decay; what DROPOUT drops is another draw in every step.
    """
    network = problem.network()
    trainer = problem.trainer(network, optimizer=optimizer, alpha=alpha)
    trainer.seed = 5
    losses = train(trainer)
    expected_losses, expected, running = oracle_of(problem, optimizer, alpha, seed=5)
    assert_allclose(losses, expected_losses, rtol=1e-4)
    for found, wanted in zip(flat(network), [own for pair in expected for own in pair], strict=True):
        assert_allclose(found, wanted.reshape(found.shape), atol=1e-4)
    after = network.learned
    for found, wanted in zip(zip(after.means, after.variances, strict=True), running, strict=True):
        assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_accuracy_is_that_of_the_scores(n_threads):
    network = SMALL.network()
    right = Scorer(network).scores(SMALL.images, 1).argmax(axis=1) == SMALL.targets
    assert 0 < right.mean() < 1
    found = SMALL.trainer(network, n_threads=n_threads).step(np.arange(SMALL.n), 0.1)
    assert found.score == pytest.approx(np.average(right, weights=SMALL.weights))


def test_the_loss_falls():
    network = SMALL.network()
    trainer = SMALL.trainer(network, optimizer=Adam())
    losses = [trainer.step(np.arange(SMALL.n), 0.01).loss for _ in range(40)]
    assert losses[-1] < losses[0] / 2


# -- What steps leave alone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [Adam(), SGD()], ids=repr)
def test_a_learning_rate_of_zero_changes_no_parameter(optimizer):
    network = SMALL.network()
    before = network.parameters.copy()
    trainer = SMALL.trainer(network, optimizer=optimizer, alpha=0.1)
    losses = [trainer.step(np.arange(SMALL.n), 0.0).loss for _ in range(2)]
    assert losses[0] == losses[1]
    assert_array_equal(network.parameters, before)


def test_a_learning_rate_of_zero_still_moves_the_running_statistics():
    network = RESNET.network()
    before = network.learned
    RESNET.trainer(network, alpha=0.1).step(np.arange(RESNET.n), 0.0)
    after = network.learned
    for kind in ("coefs", "intercepts"):
        for one, other in zip(getattr(after, kind), getattr(before, kind), strict=True):
            assert_array_equal(one, other)
    for one, other in zip(after.means + after.variances, before.means + before.variances, strict=True):
        assert (one != other).all()


def test_scoring_moves_nothing_and_drops_nothing():
    network = RESNET.network()
    before = network.parameters.copy()
    scores = Scorer(network).scores(RESNET.images, 1)
    assert_array_equal(network.parameters, before)
    assert_array_equal(Scorer(network).scores(RESNET.images, 1), scores)
    one_by_one = [Scorer(network).scores(Images(image[None], RESNET.shape), 1)[0] for image in RESNET.x]
    assert_array_equal(one_by_one, scores)


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
@pytest.mark.parametrize("problem", [Problem(VARIED, VARIED_SHAPE, n=12), PADDED], ids=["plain", "branched"])
def test_what_pads_the_parameters_stays_zero(problem, optimizer):
    network = problem.network()
    trainer = problem.trainer(network, optimizer=optimizer, alpha=0.1)
    train(trainer)
    assert np.isfinite(network.parameters).all()
    for vector in (network.parameters, *trainer.state.moments):
        assert_array_equal(network.parameter_layout.pack(network.parameter_layout.unpack(vector)), vector)
        assert vector.any() or not isinstance(optimizer, Adam)


def test_a_minibatch_without_weight_does_nothing():
    network = SMALL.network()
    trainer = SMALL.trainer(network, optimizer=Adam(), alpha=0.1)
    trainer.step(np.arange(3), 0.1)
    trainer.weights[3:6] = 0
    parameters, moments = network.parameters.copy(), trainer.state.moments.copy()
    assert trainer.step(np.arange(3, 6), 0.1) == (0.0, 0.0)
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
@pytest.mark.parametrize("problem", [Problem(VARIED, VARIED_SHAPE, n=12), RESNET], ids=["plain", "resnet"])
def test_going_on_from_a_state_is_as_if_never_stopped(problem, optimizer):
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
    losses = [SMALL.trainer(one, batch_size=5).step(np.arange(5), 0.1).loss]
    trainer = SMALL.trainer(other, batch_size=5)
    trainer.step(np.arange(5, 10), 0.0)  # whose remains must not count
    losses.append(trainer.step(np.arange(5), 0.1).loss)
    assert losses[0] == losses[1]
    ragged = [SMALL.trainer(SMALL.network(), batch_size=size).step(np.arange(5), 0.1).loss for size in (5, 12, 100)]
    assert_allclose(ragged, losses[0], rtol=1e-6)


# -- The same bits -----------------------------------------------------------------------------------------------------


def trained(problem, n_threads=1, seed=0, device=None):
    """Parameters, running statistics among them, moments and losses after the steps of `train`."""
    network = problem.network(device)
    trainer = problem.trainer(network, optimizer=Adam(), alpha=0.1, n_threads=n_threads)
    trainer.seed = seed
    losses = train(trainer)
    return {"parameters": network.parameters, "moments": trainer.state.moments, "losses": np.array(losses)}


@pytest.mark.parametrize("n_threads", [2, 3, 16])
@pytest.mark.parametrize("problem", [RESNET, PADDED], ids=["resnet", "branched"])
def test_any_number_of_workers_gives_the_same_bits(problem, n_threads):
    """Work is divided among as many workers as asked for, in turns on the threads that there are."""
    expected = trained(problem)
    assert differences(trained(problem, n_threads=n_threads), expected) == []


@pytest.mark.parametrize("problem", [RESNET, PADDED], ids=["resnet", "branched"])
def test_two_threads_give_the_same_bits(problem):
    if thread_count() < 2:
        pytest.skip("this machine has one thread")
    expected = trained(problem)
    for _ in range(5):
        assert differences(trained(problem, n_threads=2), expected) == []


@pytest.mark.parametrize("problem", [RESNET, PADDED], ids=["resnet", "branched"])
def test_micro_batches_of_any_size_give_the_same_bits(problem):
    results = []
    for size in (1, 2, 3, 6):  # of shards of up to six samples
        results.append(trained(problem, device=cpu(max_shards=2, max_micro_batch=size, arena=UNLIMITED)))
    for found in results[1:]:
        assert differences(found, results[0]) == []


def test_the_seed_decides_what_is_dropped():
    one, again, other = trained(RESNET, seed=1), trained(RESNET, seed=1), trained(RESNET, seed=2)
    assert differences(one, again) == []
    assert (one["losses"] != other["losses"]).all()


def test_every_step_drops_others():
    trainer = RESNET.trainer(RESNET.network())
    losses = [trainer.step(np.arange(RESNET.n), 0.0).loss for _ in range(4)]
    assert len(set(losses)) == 4


# -- Augmentation ------------------------------------------------------------------------------------------------------


class Mirror:
    """An augmentation that mirrors every image, and notes what it was asked for."""

    functions = ()

    def __init__(self):
        self.asked = []

    def draw(self, seed, step, n, weights):
        self.asked.append((seed, step, n))
        warps = np.zeros((n, len(Warp)), np.int64)
        warps[:, Warp.FLIP] = 1
        return warps


@pytest.mark.parametrize(("n_drawn", "same"), [(2, True), (0, False)])
def test_steps_that_have_drawn_before_are_not_drawn_again(n_drawn, same):
    """Without momentum a new optimizer goes on as the one before would; only what is dropped may differ."""
    whole, stopped = RESNET.network(), RESNET.network()
    train(RESNET.trainer(whole))
    train(RESNET.trainer(stopped), MINIBATCHES[:2], LEARNING_RATES[:2])
    another = RESNET.trainer(stopped)
    another.n_drawn = n_drawn
    train(another, MINIBATCHES[2:], LEARNING_RATES[2:])
    assert np.array_equal(stopped.parameters, whole.parameters) == same


def test_images_are_augmented_as_drawn_for_the_seed_and_each_step():
    by_hand, warped, augmentation = SMALL.network(), SMALL.network(), Mirror()
    mirrored = Images(np.ascontiguousarray(SMALL.x[:, :, ::-1]), SMALL.shape)
    expected = train(SMALL.trainer(by_hand, images=mirrored))
    trainer = SMALL.trainer(warped)
    trainer.augmentation, trainer.seed = augmentation, 7
    assert train(trainer) == expected
    assert_array_equal(warped.parameters, by_hand.parameters)
    assert augmentation.asked == [(7, step, len(batch)) for step, batch in enumerate(MINIBATCHES, 1)]


class Darken:
    """An augmentation that changes pixels by the step, and warps nothing."""

    functions = (None,)

    def draw(self, seed, step, n, weights):
        return np.zeros((0, len(Warp)), np.int64)

    def change(self, seed, step, pixels):
        return pixels - np.float32(step + seed)


@pytest.mark.parametrize("batch_at_a_time", [True, False])
def test_functions_change_the_images_of_each_step_that_is_taken(batch_at_a_time):
    """The step of a minibatch without weight is not taken."""
    weights, minibatches = SMALL.weights.copy(), [*MINIBATCHES[:2], np.array([2]), *MINIBATCHES[2:]]
    weights[2] = 0
    rates, found, by_hand = [0.01] * len(minibatches), SMALL.network(), SMALL.network()
    trainer, step, expected = SMALL.trainer(found), 0, []
    trainer.augmentation, trainer.seed = Darken(), 7
    trainer.set_data(SMALL.images, SMALL.targets, weights)
    plain = SMALL.trainer(by_hand)
    for indices in minibatches:
        step += weights[indices].sum() > 0
        plain.set_data(Images(SMALL.x.astype(np.float32) - np.float32(step + 7), SMALL.shape), SMALL.targets, weights)
        expected.append(plain.step(indices, 0.01))
    together = [[batch] for batch in minibatches] if batch_at_a_time else [minibatches]
    losses = [outcome for batches in together for outcome in trainer.steps(batches, rates[: len(batches)])]
    assert losses == expected
    assert_array_equal(found.parameters, by_hand.parameters)


# -- State from elsewhere ----------------------------------------------------------------------------------------------


def test_moments_that_may_not_be_written_are_copied():
    """As joblib opens them, for a worker or with mmap_mode="r"."""
    first, second = SMALL.network(), SMALL.network()
    kept = SMALL.trainer(first, optimizer=Adam())
    kept.step(np.arange(5), 0.1)
    second.learned = first.learned
    state = pickle.loads(pickle.dumps(kept.state))
    state.moments.flags.writeable = False
    before = state.moments.copy()
    moments = state.moments
    SMALL.trainer(second, optimizer=Adam(), state=state).step(np.arange(5), 0.1)
    assert_array_equal(moments, before)
    kept.step(np.arange(5), 0.1)
    assert_array_equal(second.parameters, first.parameters)


@pytest.mark.parametrize("shape", [(2, 8), (1, 100), (0,)])
def test_moments_of_another_layout_are_refused(shape):
    with pytest.raises(ValueError, match="as this version lays them out, so training cannot continue"):
        SMALL.trainer(SMALL.network(), state=OptimizerState(np.zeros(shape, np.float32)))


@pytest.mark.parametrize("target", [-1, 3, 2**40])
def test_targets_that_are_no_classes_are_refused(target):
    trainer = SMALL.trainer(SMALL.network())
    targets = SMALL.targets.copy()
    targets[5] = target
    with pytest.raises(ValueError, match="targets are not all between 0 and"):
        trainer.set_data(SMALL.images, targets, SMALL.weights)


def test_images_of_another_shape_are_refused():
    trainer = SMALL.trainer(SMALL.network())
    images = Images(np.zeros((12, 4, 4, 1), np.float32), (4, 4, 1))
    with pytest.raises(ValueError, match=r"shape \(4, 4, 1\), and the network \(6, 8, 2\)"):
        trainer.set_data(images, SMALL.targets, SMALL.weights)


@pytest.mark.parametrize("n", [(11, 12, 12), (12, 11, 12), (12, 12, 13)])
def test_another_number_of_images_targets_or_weights_is_refused(n):
    trainer = SMALL.trainer(SMALL.network())
    own = [np.concatenate([part, part])[:k] for part, k in zip((SMALL.x, SMALL.targets, SMALL.weights), n, strict=True)]
    with pytest.raises(ValueError, match="There are {} images, {} targets and {} weights".format(*n)):
        trainer.set_data(Images(own[0], SMALL.shape), *own[1:])
