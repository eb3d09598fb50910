"""Steps on blocks of parameters against the oracles, the sum over shards, and the transposed copies."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine import SGD, Adam
from skconvnet.engine.program.instructions import Block, SegmentKind
from skconvnet.engine.program.memory import aligned_zeros
from tests import oracles
from tests.engine.cpu.programs import run

SLOT = 256
LEARNING_RATES = [0.1, 0.01, 0.3, 0.05]


def block_of(**columns):
    """The numbers of one block; transposed nowhere unless told, its gradient summed by shards unless told."""
    block = dict.fromkeys((column.name for column in Block), 0) | {"CONTRACTION": -1, "TRANSPOSED": -1, "GRADIENT": -1}
    return list((block | columns).values())


def step(parameters, moments, gradients, rule, **block):
    """Update one block, given the gradient of each shard, (shards, parameters)."""
    slots = aligned_zeros(SLOT * len(gradients))
    slots.reshape(-1, SLOT)[:, : parameters.size] = gradients
    run(
        [],
        slots,
        samples=len(gradients),
        shard_size=1,
        slot=SLOT,
        kind=SegmentKind.UPDATE,
        blocks=[block_of(**block)],
        parameters=parameters,
        moments=moments,
        rule=rule,
    )


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("decay", [0, 1])
@pytest.mark.parametrize(
    "optimizer", [Adam(), Adam(0.5, 0.9, 1e-3), SGD(), SGD(nesterov=False), SGD(0.0), SGD(0.0, False)], ids=repr
)
def test_steps(optimizer, decay, alpha):
    rng = np.random.default_rng(0)
    parameters = rng.standard_normal(64).astype(np.float32)
    gradients = rng.standard_normal((len(LEARNING_RATES), 1, 64)).astype(np.float32)
    moments = np.zeros((2, 64), np.float32)
    p, first, second = parameters.astype(float), np.zeros(64), np.zeros(64)
    for number, (gradient, rate) in enumerate(zip(gradients, LEARNING_RATES, strict=True), 1):
        step(parameters, moments, gradient, optimizer.rule(rate, alpha, number, 10), ROWS=4, COLUMNS=16, DECAY=decay)
        if isinstance(optimizer, Adam):
            betas = (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
            p, first, second = oracles.adam(p, gradient[0], first, second, number, rate, alpha * decay, *betas)
        else:
            rest = (rate, optimizer.momentum, optimizer.nesterov, alpha * decay, 10)
            p, first = oracles.sgd(p, gradient[0], first, *rest)
        # 1 - beta_2 in float32 is off by one part in 80,000.
        assert_allclose(parameters, p, rtol=2e-5, atol=5e-6)
        assert_allclose(moments, [first, second], rtol=2e-5, atol=5e-6)


@pytest.mark.parametrize("shards", [1, 2, 3, 16])
def test_the_gradients_of_all_shards_are_added_in_their_order(shards):
    gradients = np.random.default_rng(0).standard_normal((shards, 64)).astype(np.float32)
    parameters, moments = np.zeros(64, np.float32), np.zeros((2, 64), np.float32)
    step(parameters, moments, gradients, SGD(0.0).rule(1.0, 0.0, 1, 1), ROWS=1, COLUMNS=64)
    total = gradients[0].copy()
    for gradient in gradients[1:]:
        total += gradient
    assert_array_equal(parameters, -total)


@pytest.mark.parametrize("shards", [1, 3])
def test_a_gradient_that_is_complete_is_taken_from_where_it_lies(shards):
    """It is not summed again, whatever the slots hold."""
    parameters, moments = np.zeros(16, np.float32), np.zeros((2, 16), np.float32)
    memory = aligned_zeros(4 * SLOT)
    memory[:] = 99
    memory[40:56] = gradient = np.arange(1, 17)
    run(
        [],
        memory,
        samples=shards,
        shard_size=1,
        slot=SLOT,
        kind=SegmentKind.UPDATE,
        blocks=[block_of(ROWS=1, COLUMNS=16, GRADIENT=40)],
        parameters=parameters,
        moments=moments,
        rule=SGD(0.0).rule(1.0, 0.0, 1, 1),
    )
    assert_array_equal(parameters, -gradient)
    assert_array_equal(memory[40:56], gradient)
    assert (np.r_[memory[:40], memory[56:]] == 99).all()


def test_a_step_touches_its_block_alone():
    parameters, moments = np.ones(64, np.float32), np.ones((2, 64), np.float32)
    rule = Adam().rule(0.1, 0.5, 1, 1)
    step(parameters, moments, np.ones((1, 64)), rule, OFFSET=16, ROWS=2, COLUMNS=8, DECAY=1)
    for changed in (parameters, *moments):
        assert (np.r_[changed[:16], changed[32:]] == 1).all()
    assert (parameters[16:32] != 1).all()


@pytest.mark.parametrize(("rows", "columns", "stride"), [(1, 8, 1), (5, 16, 5), (3, 8, 11)])
@pytest.mark.parametrize("kind", [SegmentKind.TRANSPOSE, SegmentKind.UPDATE])
def test_the_transposed_copy_is_that_of_the_parameters_after_the_step(rows, columns, stride, kind):
    size = rows * columns
    before = np.arange(1, size + 1, dtype=np.float32)
    parameters, moments = before.copy(), np.zeros((2, size), np.float32)
    memory = aligned_zeros(SLOT + columns * stride)
    memory[:size], memory[SLOT:] = 0.5, 99
    block = block_of(ROWS=rows, COLUMNS=columns, TRANSPOSED=SLOT, TRANSPOSED_STRIDE=stride)
    rule = SGD(0.0).rule(1.0, 0.0, 1, 1)
    run([], memory, kind=kind, blocks=[block], parameters=parameters, moments=moments, rule=rule)
    assert_array_equal(parameters, before - (kind == SegmentKind.UPDATE) * np.float32(0.5))
    turned = memory[SLOT:].reshape(columns, stride)
    assert_array_equal(turned[:, :rows], parameters.reshape(rows, columns).T)
    assert_array_equal(turned[:, rows:], 99)
