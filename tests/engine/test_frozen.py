"""Layers that do not learn, and layers that learn at the rate of the body."""

from dataclasses import replace

import numpy as np
import pytest

from skconvnet.architecture import walk
from skconvnet.engine import SGD, Adam, Learned, SoftmaxCrossEntropy, Trainer, split_architecture
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.plan.plan import plan_training
from skconvnet.engine.program.instructions import INSTRUCTIONS, Block, Op
from skconvnet.engine.program.target import CPU, GPU
from skconvnet.engine.weights.fold import fold_batch_norms
from skconvnet.engine.weights.layout import ScaleSlot, learning_layers
from tests import oracles
from tests.engine.networks import WINOGRAD, WINOGRAD_TRAPS, Problem, mismatches
from tests.engine.walker import Walk

CHAIN = Problem(
    "INPUT -> CONV(K=8, bias=no) -> NORM -> RELU -> DROPOUT(0.3) -> CONV(K=9) -> NORM(layer) -> TANH -> POOL"
    " -> NORM -> CONV(K=8) -> NORM -> RELU -> DROPOUT(0.3) -> FC(5) -> RELU -> FC",
    (6, 8, 2),
    n=7,
)
BRANCHES = Problem(
    "INPUT -> CONV(K=8) -> NORM -> (CONV(K=8) -> NORM -> RELU + CONV(K=8) -> TANH + SKIP) -> RELU"
    " -> (CONV(K=3) -> RELU | CONV(K=8) -> RELU | SKIP) -> POOL -> FC",
    (6, 6, 2),
    n=7,
)
TWO_RATES = Problem(
    "INPUT -> CONV(K=8) -> NORM(layer) -> RELU -> DROPOUT(0.3) -> CONV(K=9) -> TANH -> POOL -> CONV(K=8) -> NORM"
    " -> RELU -> FC(5) -> RELU -> FC",
    (6, 8, 2),
    n=7,
)
OF_TILES = Problem(*WINOGRAD_TRAPS["branches"])


def up_to(problem, name):
    """The names of all layers up to this one."""
    names = [layer.name for layer in walk(problem.bound.layers)]
    return frozenset(names[: names.index(name) + 1])


def planned(problem, target, frozen, body=frozenset()):
    layout = problem.network(CpuDevice(target)).parameter_layout
    loss = SoftmaxCrossEntropy(problem.label_smoothing)
    return plan_training(problem.bound, layout, loss, problem.n, target, frozen, body), layout


def step(problem, frozen, body=frozenset(), optimizer=None, alpha=0.0, rate=1.0, device=None):
    """The network before and after a step, and the loss; by default the step is minus the gradient."""
    network = problem.network(device)
    before = network.learned
    trainer = Trainer(
        network,
        problem.images,
        problem.targets,
        problem.weights,
        optimizer=optimizer or SGD(0.0, False),
        alpha=alpha,
        loss=SoftmaxCrossEntropy(problem.label_smoothing),
        batch_size=problem.n,
        n_threads=2,
        plan=planned(problem, network.device.target, frozen, body)[0],
    )
    loss = trainer.step(np.arange(problem.n), rate).loss
    return before, network.learned, loss, network.parameter_layout.unpack(-trainer.state.moments[0])


def named(loss, coefs, intercepts):
    found = {f"d_weights {number}": coef for number, coef in enumerate(coefs)}
    return found | {f"d_biases {number}": own for number, own in enumerate(intercepts)} | {"loss": loss}


def expected_behind(problem, name):
    """Loss and gradients of the layers behind one of the chain, on what those up to it score, in float64."""
    number = [layer.name for layer in problem.bound.layers].index(name) + 1
    first, second = split_architecture(problem.bound, number)
    n_first = len(learning_layers(first))
    n_running = sum(layer.kind == "NORM" and layer.mode == "batch" for layer in learning_layers(first))
    layers = oracles.layers_of(first.layers, problem.engine_mask)
    x = oracles.forward(layers, problem.parameters[:n_first], problem.x.astype(float), problem.running[:n_running])
    layers = oracles.layers_of(second.layers, problem.engine_mask)
    rest = problem.parameters[n_first:], x.reshape(problem.n, *second.image_shape), problem.targets, problem.weights
    gradients = oracles.gradients(layers, *rest, problem.label_smoothing)
    return named(oracles.mean_loss(layers, *rest, problem.label_smoothing), *zip(*gradients, strict=True))


def expected_folded(problem, n_learning):
    """Loss and gradients of the last layers that learn, with every NORM(batch) folded into the layer before."""
    bound, learned = fold_batch_norms(problem.bound, problem.learned)
    layers, parameters = oracles.layers_of(bound.layers, problem.engine_mask), list(zip(*learned[:2], strict=True))
    rest = parameters, problem.x.astype(float), problem.targets, problem.weights, problem.label_smoothing
    gradients = oracles.gradients(layers, *rest)[-n_learning:]
    return named(oracles.mean_loss(layers, *rest), *zip(*gradients, strict=True))


def assert_step(problem, frozen, expected, device=None):
    """Layers that are frozen keep every bit, and the others have the gradients that are expected."""
    before, after, loss, gradients = step(problem, frozen, device=device)
    stays = [layer.name in frozen for layer in learning_layers(problem.bound)]
    n_frozen = sum(stays)
    for old, new in zip(before[:2], after[:2], strict=True):
        assert all(np.array_equal(*pair) for pair in zip(old[:n_frozen], new[:n_frozen], strict=True))
    norms = [layer for layer in learning_layers(problem.bound) if layer.kind == "NORM" and layer.mode == "batch"]
    for old, new in zip(before[2:], after[2:], strict=True):
        same = [np.array_equal(*pair) for pair in zip(old, new, strict=True)]
        assert same == [layer.name in frozen for layer in norms]
    found = named(np.float64(loss), gradients.coefs[n_frozen:], gradients.intercepts[n_frozen:])
    assert mismatches(found, expected) == {}


@pytest.mark.parametrize("name", ["CONV 1", "NORM 1", "DROPOUT 1", "NORM 2", "NORM 3", "NORM 4", "RELU 3"])
def test_layers_behind_frozen_ones_learn_from_what_those_score(name):
    assert_step(CHAIN, up_to(CHAIN, name), expected_behind(CHAIN, name))


@pytest.mark.parametrize(("name", "n_learning"), [("NORM 2", 4), ("CONV 3", 3), ("SUM 1", 3), ("CONV 4", 2)])
def test_the_last_frozen_layer_may_be_inside_branches(name, n_learning):
    assert_step(BRANCHES, up_to(BRANCHES, name), expected_folded(BRANCHES, n_learning))


@pytest.mark.parametrize("target", [CPU, GPU], ids=["CPU", "GPU"])
@pytest.mark.parametrize("name", [None, "NORM 1", "NORM 2"])
def test_a_pretrained_norm_learns_scales_and_shifts_and_keeps_its_running_statistics(target, name):
    body = up_to(BRANCHES, "POOL 1")
    frozen = frozenset() if name is None else up_to(BRANCHES, name)
    before, after, loss, gradients = step(BRANCHES, frozen, body, device=CpuDevice(target))
    for old, new in zip(before[2:], after[2:], strict=True):
        assert all(np.array_equal(*pair) for pair in zip(old, new, strict=True))
    layers = oracles.in_inference(oracles.layers_of(BRANCHES.bound.layers), BRANCHES.running)
    rest = BRANCHES.parameters, BRANCHES.x, BRANCHES.targets, BRANCHES.weights, BRANCHES.label_smoothing
    n_frozen = sum(layer.name in frozen for layer in learning_layers(BRANCHES.bound))
    expected = named(oracles.mean_loss(layers, *rest), *zip(*oracles.gradients(layers, *rest)[n_frozen:], strict=True))
    assert (
        mismatches(named(np.float64(loss), gradients.coefs[n_frozen:], gradients.intercepts[n_frozen:]), expected) == {}
    )


@pytest.mark.parametrize("name", ["CONV 1", "CONV 2", "CONV 3"])
def test_frozen_weights_are_transformed_once(name):
    frozen = up_to(OF_TILES, name)
    n_learning = sum(layer.name not in frozen for layer in learning_layers(OF_TILES.bound))
    assert_step(OF_TILES, frozen, expected_folded(OF_TILES, n_learning), CpuDevice(WINOGRAD))
    n_preparing = planned(OF_TILES, WINOGRAD, frozen)[0].n_preparing
    assert n_preparing == (name != "CONV 1")  # the first CONV reads images, and has no transform


@pytest.mark.parametrize("target", [CPU, GPU, WINOGRAD], ids=["CPU", "GPU", "minimal filtering"])
@pytest.mark.parametrize(
    ("problem", "name"),
    [(CHAIN, "NORM 1"), (CHAIN, "NORM 3"), (BRANCHES, "NORM 2"), (BRANCHES, "CONV 4"), (OF_TILES, "CONV 2")],
)
def test_a_walk_through_the_plan_finds_no_trespass_and_the_update_reaches_what_learns(problem, name, target):
    frozen, body = up_to(problem, name), frozenset(layer.name for layer in walk(problem.bound.layers[:-1]))
    plan, layout = planned(problem, target, frozen, body)
    Walk(plan, layout.size, problem.n)
    reached, in_body = np.zeros(layout.size, int), np.zeros(layout.size, bool)
    for block in plan.blocks:
        run = slice(block[Block.OFFSET], block[Block.OFFSET] + block[Block.ROWS] * block[Block.COLUMNS])
        reached[run] += 1
        in_body[run] = block[Block.IN_BODY]
    for layer, slot in zip(learning_layers(problem.bound), layout.slots, strict=True):
        first = slot.scale if isinstance(slot, ScaleSlot) else slot.weights
        assert (reached[first], in_body[first]) == (layer.name not in frozen, layer.name in body - frozen)


def test_less_of_the_batch_is_kept_and_computed_where_layers_are_frozen():
    all_learn, some_learn = (planned(CHAIN, CPU, up_to(CHAIN, name))[0] for name in ("CONV 1", "NORM 3"))
    assert some_learn.batch < all_learn.batch
    assert len(some_learn.program) < len(all_learn.program)


class OtherEps(CpuDevice):
    """Has another eps in frozen NORM."""

    def execution(self, plan, *arguments):
        program = plan.program.copy()
        column = INSTRUCTIONS[Op.RUNNING_STATISTICS].number("eps")
        program[program[:, 0] == Op.RUNNING_STATISTICS, column] = np.float64(0.1).view(np.int64)
        return super().execution(replace(plan, program=program), *arguments)


def test_a_fault_in_the_frozen_coefficients_is_noticed():
    with pytest.raises(AssertionError):
        assert_step(CHAIN, up_to(CHAIN, "NORM 1"), expected_behind(CHAIN, "NORM 1"), OtherEps())


@pytest.mark.parametrize("optimizer", [Adam, SGD])
def test_the_body_learns_at_its_own_rate(optimizer):
    body = up_to(TWO_RATES, "CONV 3")
    settings = {"alpha": 0.3, "rate": 0.25}
    _, mixed, *_ = step(TWO_RATES, frozenset(), body, optimizer(body_rate=0.5), **settings)
    _, fast, *_ = step(TWO_RATES, frozenset(), optimizer=optimizer(), **settings)
    _, slow, *_ = step(TWO_RATES, frozenset(), optimizer=optimizer(), **settings | {"rate": 0.125})
    is_slow = [layer.name in body for layer in learning_layers(TWO_RATES.bound)]
    expected = Learned(
        *(
            [s if own else f for own, s, f in zip(is_slow, *pair, strict=True)]
            for pair in zip(slow[:2], fast[:2], strict=True)
        ),
        fast.means,
        fast.variances,
    )
    for found, wanted in zip(mixed, expected, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(found, wanted, strict=True))
    assert not np.array_equal(mixed.coefs[0], fast.coefs[0])
