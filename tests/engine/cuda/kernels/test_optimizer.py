"""Steps on blocks of parameters against the oracles, the transposed copies, and the counter of steps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine import SGD, Adam
from skconvnet.engine.cuda.compiler import ptx
from skconvnet.engine.cuda.kernels.optimizer import (
    count_step,
    lower_sum_slots,
    lower_transpose,
    lower_update,
    transpose,
)
from skconvnet.engine.cuda.lowering import Call
from skconvnet.engine.program.instructions import Block, Rule
from tests import oracles
from tests.engine.cuda.kernels.harness import driver, launch, without_each_barrier
from tests.engine.cuda.ptx.execute import PtxError

LEARNING_RATES = [0.1, 0.01, 0.3]
OPTIMIZERS = [Adam(), Adam(0.5, 0.9, 1e-3), SGD(), SGD(nesterov=False), SGD(0.0), SGD(0.0, False)]


def block_of(**columns):
    """The numbers of one block; transposed nowhere unless told, its gradient in the slot unless told."""
    block = dict.fromkeys((column.name for column in Block), 0) | {"CONTRACTION": -1, "TRANSPOSED": -1, "GRADIENT": -1}
    return list((block | columns).values())


def execute(lower, blocks, rules=(), step=0, **arrays):
    """Replay a segment on float32 vectors by name, in place; those that are not given have one number."""
    blocks = np.array(blocks, np.int64)
    vectors = {name: np.zeros(1, np.float32) for name in "parameters gradient shared moment_1 moment_2".split()}
    tables = vectors | arrays | {"blocks": blocks, "step": np.array([step], np.int32)}
    tables["rules"] = np.array(rules, float).reshape(-1, len(Rule)) if len(rules) else np.zeros((1, len(Rule)))
    addresses = {}
    for name, table in tables.items():
        addresses[name] = driver().allocate(table.nbytes)
        driver().upload(addresses[name], table)
    launches = [*lower(Call(addresses, 0), blocks)]
    driver().record(launches).replay()
    driver().synchronize()
    for name, address in addresses.items():
        driver().download(address, tables[name])
        driver().free(address)
    return launches


def drawn(size, seed=0):
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


@pytest.mark.parametrize("decay", [0, 1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_steps(optimizer, decay):
    alpha, parameters, moments = 0.5, drawn(64), np.zeros((2, 64), np.float32)
    gradients = drawn((len(LEARNING_RATES), 64), 1)
    p, first, second = parameters.astype(float), np.zeros(64), np.zeros(64)
    rules = [optimizer.rule(rate, alpha, number, 10) for number, rate in enumerate(LEARNING_RATES, 1)]
    for number, (gradient, rate) in enumerate(zip(gradients, LEARNING_RATES, strict=True)):
        step = {"rules": rules, "step": number}
        arrays = {"parameters": parameters, "gradient": gradient, "moment_1": moments[0], "moment_2": moments[1]}
        execute(lower_update, [block_of(ROWS=4, COLUMNS=16, DECAY=decay)], **step, **arrays)
        if isinstance(optimizer, Adam):
            betas = (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
            p, first, second = oracles.adam(p, gradient, first, second, number + 1, rate, alpha * decay, *betas)
        else:
            rest = (rate, optimizer.momentum, optimizer.nesterov, alpha * decay, 10)
            p, first = oracles.sgd(p, gradient, first, *rest)
        # 1 - beta_2 in float32 is off by one part in 80,000.
        assert_allclose(parameters, p, rtol=2e-5, atol=5e-6)
        assert_allclose(moments, [first, second], rtol=2e-5, atol=5e-6)


@pytest.mark.parametrize("optimizer", [Adam, SGD])
def test_blocks_of_the_body_have_a_rate_of_their_own(optimizer):
    gradient, blocks = (
        drawn(64, 1),
        [block_of(ROWS=2, COLUMNS=16, DECAY=1, IN_BODY=1), block_of(OFFSET=32, ROWS=2, COLUMNS=16, DECAY=1)],
    )
    after = []
    for rule in (
        optimizer(body_rate=0.5).rule(0.25, 0.3, 1, 10),
        optimizer(body_rate=1.0).rule(0.125, 0.3, 1, 10),
        optimizer(body_rate=1.0).rule(0.25, 0.3, 1, 10),
    ):
        parameters, moments = drawn(64), np.zeros((2, 64), np.float32)
        arrays = {"parameters": parameters, "gradient": gradient, "moment_1": moments[0], "moment_2": moments[1]}
        execute(lower_update, blocks, [rule], **arrays)
        after.append(parameters)
    mixed, slow, fast = after
    assert_array_equal(mixed, np.r_[slow[:32], fast[32:]])
    assert not np.array_equal(slow[:32], fast[:32])


def test_blocks_of_any_length_are_updated_and_nothing_else():
    """One block of several pieces, ragged; one of a single quad; two whose gradients are elsewhere; a gap between."""
    rows, columns = 257, 1040  # 65.25 pieces of 4,096, so the 64 thread blocks take two each
    size = rows * columns
    blocks = [
        block_of(OFFSET=16, ROWS=rows, COLUMNS=columns),
        block_of(OFFSET=16 + size + 16, ROWS=1, COLUMNS=4),
        block_of(OFFSET=16 + size + 32, ROWS=1, COLUMNS=16, GRADIENT=0),
        block_of(OFFSET=16 + size + 64, ROWS=1, COLUMNS=4, GRADIENT=20),
    ]
    before, moments = drawn(size + 96), drawn(size + 96, 1)
    gradient, complete = drawn(size + 96, 2), np.arange(1, 33, dtype=np.float32)
    parameters, velocity = before.copy(), moments.copy()
    rules = [np.full(len(Rule), np.nan), SGD(0.0, False).rule(1.0, 0.0, 1, 1)]
    arrays = {"parameters": parameters, "gradient": gradient, "shared": complete, "moment_1": velocity}
    execute(lower_update, blocks, rules, 1, **arrays)
    expected, step = before.copy(), np.zeros(size + 96, np.float32)
    here = np.r_[16 : 16 + size, size + 32 : size + 36, size + 48 : size + 64, size + 80 : size + 84]
    step[here] = np.r_[gradient[16 : 16 + size], gradient[size + 32 : size + 36], complete[:16], complete[20:24]]
    assert_array_equal(parameters, expected - step)
    moments[here] = -step[here]
    assert_array_equal(velocity, moments)
    assert_array_equal(complete, np.arange(1, 33))


@pytest.mark.parametrize("lower", [lower_update, lower_transpose])
@pytest.mark.parametrize(("rows", "columns", "stride"), [(1, 8, 1), (5, 16, 5), (64, 32, 64), (33, 72, 40)])
def test_the_transposed_copy_is_that_of_the_parameters_after_the_step(lower, rows, columns, stride):
    size = rows * columns
    before = np.arange(1, size + 17, dtype=np.float32)
    parameters, gradient, velocity = before.copy(), np.full(size + 16, 0.5, np.float32), np.zeros(size + 16, np.float32)
    shared = np.full(8 + columns * stride, 99, np.float32)
    blocks = [
        block_of(OFFSET=0, ROWS=1, COLUMNS=16),
        block_of(OFFSET=16, ROWS=rows, COLUMNS=columns, TRANSPOSED=8, TRANSPOSED_STRIDE=stride),
    ]
    arrays = {"parameters": parameters, "gradient": gradient, "shared": shared, "moment_1": velocity}
    execute(lower, blocks, SGD(0.0, False).rule(1.0, 0.0, 1, 1), **arrays)
    assert_array_equal(parameters, before - (lower is lower_update) * np.float32(0.5))
    turned = shared[8:].reshape(columns, stride)
    assert_array_equal(turned[:, :rows], parameters[16:].reshape(rows, columns).T)
    assert_array_equal(turned[:, rows:], 99)
    assert (shared[:8] == 99).all()


def test_a_thread_block_transposes_several_tiles():
    """65 tiles for 64 thread blocks: the tile in shared memory is used again."""
    rows, columns = 65 * 32, 8
    parameters, shared = drawn(rows * columns), np.zeros(rows * columns, np.float32)
    block = block_of(ROWS=rows, COLUMNS=columns, TRANSPOSED=0, TRANSPOSED_STRIDE=rows)
    (launched,) = execute(lower_transpose, [block], parameters=parameters, shared=shared)
    assert launched.grid == (1, 64, 1)
    assert_array_equal(shared.reshape(columns, rows), parameters.reshape(rows, columns).T)


def test_a_missing_barrier_is_noticed():
    rows, columns = 65 * 32, 8
    vectors = {name: np.zeros(rows * columns, np.float32) for name in ("parameters", "shared")}
    block, count = block_of(ROWS=rows, COLUMNS=columns, TRANSPOSED=0, TRANSPOSED_STRIDE=rows), 0
    for _ in without_each_barrier(transpose):
        count += 1
        with pytest.raises(PtxError):
            execute(lower_transpose, [block], **vectors)
    assert count == 2


def test_there_are_no_launches_without_work():
    blocks = np.array([block_of(ROWS=1, COLUMNS=8)])
    names = dict.fromkeys("blocks parameters gradient shared moment_1 moment_2 rules step".split(), 0)
    assert [*lower_transpose(Call(names, 0), blocks)] == []
    assert len([*lower_update(Call(names, 0), blocks)]) == 1
    assert [*lower_update(Call(names, 0), blocks[:0])] == []


@pytest.mark.parametrize("contraction", [0, 3])
def test_gradients_that_the_update_should_compute_are_refused(contraction):
    with pytest.raises(ValueError, match="make the plan for the target GPU"):
        list(lower_update(Call({}, 0), np.array([block_of(ROWS=1, COLUMNS=8, CONTRACTION=contraction)])))


@pytest.mark.parametrize(("size", "slots"), [(4, 2), (1024, 3), (1028, 2), (2052, 5)])
def test_gradients_of_shards_are_added_in_their_order(size, slots):
    gradient = np.concatenate([np.full(4, 77, np.float32), drawn(size * slots, slots)])
    before, address = gradient.copy(), driver().allocate(gradient.nbytes)
    driver().upload(address, gradient)
    (launched,) = lower_sum_slots(Call({"gradient": address + 16}, 0), size, slots)
    driver().record([launched]).replay()
    driver().download(address, gradient)
    driver().free(address)
    total = before[4 : 4 + size].copy()
    for slot in range(1, slots):
        total += before[4 + slot * size :][:size]
    assert_array_equal(gradient, np.concatenate([before[:4], total, before[4 + size :]]))
    assert launched.grid == (-(-size // 1024), 1, 1)


def test_one_shard_has_nothing_to_add():
    assert [*lower_sum_slots(Call({"gradient": 0}, 0), 64, 1)] == []


def test_steps_are_counted():
    steps = np.array([7, 99], np.int32)
    for _ in range(2):
        launch(count_step, (1,), steps)
    assert_array_equal(steps, [9, 99])


def test_copies_are_made_in_float32():
    assert ".f64" not in ptx(transpose, (9, 0))
