"""Activation functions, dropout and the gradient of the bias: each instruction alone on the machine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr

from skconvnet.engine.program.instructions import Activation, Op, Space
from tests import oracles
from tests.engine.cpu.programs import (
    Memory,
    borders,
    execute_on,
    framed,
    inside,
    operand,
    run,
    shapes,
    volumes_of,
)
from tests.engine.networks import hashed


@given(shapes, borders, borders, st.booleans())
def test_relu(shape, x_border, y_border, in_place):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    x.flat[:4] = [np.nan, -0.0, np.inf, -np.inf]
    memory = Memory(fill=77)
    x_at, x_row = operand(memory, framed(x, x_border, 5), x_border)
    y_at, y_row = (x_at, x_row) if in_place else operand(memory, framed(x, y_border, 5), y_border)
    memory = memory.array()
    before = memory.copy()
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3], "x_row": x_row, "y_row": y_row}
    run([(Op.RELU, {"x": x_at, "y": y_at}, numbers)], memory, samples=shape[0])
    found = inside(memory, y_at, shape, y_row)
    assert_array_equal(found, np.where(x < 0, 0, x))  # a NaN is kept, so that a diverging fit is seen
    assert_array_equal(memory[before == 5], 5)
    assert_array_equal(memory[before == 77], 77)


@given(shapes, borders, borders, st.booleans(), st.booleans(), st.booleans())
def test_bias_relu_backward(shape, dy_border, dx_border, relu, bias, in_place):
    rng = np.random.default_rng(0)
    dy, y = (rng.integers(-4, 5, shape).astype(np.float32) for _ in range(2))
    y = np.maximum(y, 0)
    memory = Memory(fill=77)
    dy_at, dy_row = operand(memory, framed(dy, dy_border, 9), dy_border)
    y_at, y_row = operand(memory, framed(y, dx_border, 9), dx_border)
    dx_at, dx_row = (dy_at, dy_row) if in_place else operand(memory, framed(0 * dy + 6, dx_border, 9), dx_border)
    bias_at = memory.put(np.full(shape[3], 99.0))
    memory = memory.array()
    expected = np.where(y > 0, dy, 0) if relu else dy
    operands = {"dy": dy_at, "y": y_at, "dx": dx_at, "dbias": (Space.SHARD, bias_at, 0)}
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3], "dy_row": dy_row, "y_row": y_row}
    numbers |= {"dx_row": dx_row, "relu": relu, "bias": bias}
    run([(Op.BIAS_RELU_BACKWARD, operands, numbers)], memory, samples=shape[0])
    if relu:
        assert_array_equal(inside(memory, dx_at, shape, dx_row), expected)
    total = expected.sum(axis=(0, 1, 2)) if bias else np.full(shape[3], 99.0)
    assert_array_equal(memory[bias_at : bias_at + shape[3]], total)
    assert_array_equal(inside(memory, y_at, shape, y_row), y)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4).map(sum), st.integers(1, 3))
def test_the_gradient_of_the_bias_is_summed_over_micro_batches_and_begins_afresh_in_each_shard(samples, micro_batch):
    dy = np.random.default_rng(0).integers(-4, 5, (samples, 2, 3, 8)).astype(np.float32)
    memory = Memory(fill=77)
    dy_at, bias_at = memory.put(dy), memory.put(np.full(8 * samples, 99.0))
    memory = memory.array()
    numbers = {"rows": 2, "columns": 3, "depth": 8, "dy_row": 24, "y_row": 24, "dx_row": 24, "relu": 0, "bias": 1}
    place = (Space.BATCH, dy_at, 48)
    operands = {"dy": place, "y": place, "dx": place, "dbias": (Space.SHARD, bias_at, 0)}
    instructions = [(Op.BIAS_RELU_BACKWARD, operands, numbers)]
    run(instructions, memory, samples=samples, micro_batch=micro_batch, shard_size=3, slot=8)
    for shard, first in enumerate(range(0, samples, 3)):
        expected = dy[first : first + 3].sum(axis=(0, 1, 2))
        assert_array_equal(memory[bias_at + 8 * shard :][:8], expected)


# -- PRELU -------------------------------------------------------------------------------------------------------------


def with_slopes(op, volumes, borders, slopes, name, space=Space.LOCAL, **settings):
    """Run PRELU or PRELU_SLOPES, and return the last volume and the slopes named `name` after the run."""
    memory, shape = Memory(fill=77), volumes["x"].shape
    laid = {
        of: operand(memory, framed(volume, border, 5), border, space)
        for (of, volume), border in zip(volumes.items(), borders, strict=True)
    }
    slopes_at = memory.put(slopes)
    memory = memory.array()
    before = memory.copy()
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3]}
    numbers |= {f"{of}_row": row for of, (_, row) in laid.items()}
    operands = {of: at for of, (at, _) in laid.items()}
    operands[name] = (Space.SHARD if name == "dslopes" else Space.LOCAL, slopes_at, 0)
    run([(op, operands, numbers)], memory, samples=shape[0], **settings)
    for frame in (5, 77):
        assert_array_equal(memory[before == frame], frame)
    last, row = laid[[*volumes][-1]]
    return inside(memory, last, shape, row), memory[slopes_at : slopes_at + shape[3]]


@given(shapes, borders, borders, borders)
def test_prelu(shape, x_border, v_border, y_border):
    x, v, y = volumes_of(shape, 3)
    slopes = np.linspace(-1, 2, shape[3]).astype(np.float32)
    volumes, places = {"x": x, "v": v, "y": y}, (x_border, v_border, y_border)
    found, after = with_slopes(Op.PRELU, volumes, places, slopes, "slopes")
    assert_array_equal(found, np.where(x > 0, v, slopes * v))
    assert_array_equal(after, slopes)


def test_prelu_keeps_nan():
    """So that a diverging fit is seen."""
    x = np.full((1, 1, 1, 8), np.nan, np.float32)
    found, _ = with_slopes(Op.PRELU, {"x": x, "v": x, "y": 0 * x}, [(0, 0, 0, 0)] * 3, np.ones(8), "slopes")
    assert np.isnan(found).all()


@given(shapes, borders, borders)
def test_the_gradient_of_slopes(shape, x_border, dy_border):
    rng = np.random.default_rng(0)
    # Never 5 or 77, which say where nothing was written.
    x, dy = (rng.integers(-4, 5, shape).astype(np.float32) for _ in range(2))
    volumes, places = {"x": x, "dy": dy}, (x_border, dy_border)
    _, found = with_slopes(Op.PRELU_SLOPES, volumes, places, np.full(shape[3], 99.0), "dslopes")
    assert_array_equal(found, (dy * np.minimum(x, 0)).sum(axis=(0, 1, 2)))


@pytest.mark.parametrize("micro_batch", [1, 2, 5])
def test_the_gradient_of_slopes_is_summed_over_micro_batches(micro_batch):
    x, dy = (np.random.default_rng(0).integers(-4, 5, (5, 2, 3, 8)).astype(np.float32) for _ in range(2))
    volumes, settings = {"x": x, "dy": dy}, {"space": Space.BATCH, "micro_batch": micro_batch, "shard_size": 5}
    _, found = with_slopes(Op.PRELU_SLOPES, volumes, [(0, 0, 0, 0)] * 2, np.full(8, 99.0), "dslopes", **settings)
    assert_array_equal(found, (dy * np.minimum(x, 0)).sum(axis=(0, 1, 2)))


# -- Activation functions ----------------------------------------------------------------------------------------------

FUNCTIONS = {function: getattr(oracles, function.name.lower()) for function in Activation}
BY_INPUT = (Activation.HSWISH, Activation.GELU)  # functions whose slope follows from the input
functions = st.sampled_from(Activation)


def activated(x, function):
    """One volume of depth 8 through ACTIVATE."""
    x = np.asarray(x, np.float32)
    volume = np.resize(x, (1, 1, -(-x.size // 8), 8))
    numbers, rows = {"channels": 8, "function": function}, {"x_row": "x", "y_row": "y"}
    found = execute_on(Op.ACTIVATE, {"x": volume, "y": np.ones_like(volume)}, [(0, 0, 0, 0)] * 2, numbers, rows)
    return found.ravel()[: x.size]


def test_tanh_of_every_size():
    x = np.concatenate([np.linspace(-9, 9, 40_001), np.linspace(-0.7, 0.7, 40_001), np.geomspace(1e-30, 1, 20_001)])
    x = x.astype(np.float32)
    assert_allclose(activated(x, Activation.TANH), np.tanh(x.astype(float)), rtol=3e-7)


def test_sigmoid_of_every_size():
    x = np.linspace(-80, 80, 100_001).astype(np.float32)
    assert_allclose(activated(x, Activation.SIGMOID), oracles.sigmoid(x.astype(float)), rtol=3e-7)


def test_gelu_of_every_size():
    """The digits that are lost in the lower tail are those of exp(-x**2/2)."""
    x = np.concatenate([np.linspace(-9, 9, 100_001), np.geomspace(1e-30, 1, 20_001), -np.geomspace(1e-30, 1, 20_001)])
    x = x.astype(np.float32)
    expected = x * ndtr(x.astype(float))
    found = activated(x, Activation.GELU)
    assert_allclose(found, expected, rtol=3e-6)
    assert_allclose(found[x > -3], expected[x > -3], rtol=1e-6)


@pytest.mark.parametrize("function", [Activation.RELU6, Activation.HSIGMOID, Activation.HSWISH])
def test_functions_of_pieces_at_every_size(function):
    x = np.concatenate([np.linspace(-9, 9, 40_001), [-3, 0, 3, 6, -1e30, 1e30]]).astype(np.float32)
    assert_allclose(activated(x, function), FUNCTIONS[function](x.astype(float)), rtol=3e-7, atol=2e-7)


def test_the_limits_of_activation_functions():
    x = [0.0, 100.0, 1e30, np.inf, -100.0, -1e30, -np.inf]
    assert activated(x, Activation.TANH).tolist() == [0, 1, 1, 1, -1, -1, -1]
    assert activated(x, Activation.RELU6).tolist() == [0, 6, 6, 6, 0, 0, 0]
    assert activated(x, Activation.HSIGMOID).tolist() == [0.5, 1, 1, 1, 0, 0, 0]
    found = activated(x, Activation.SIGMOID)
    assert found[:4].tolist() == [0.5, 1, 1, 1]
    assert ((found[4:] >= 0) & (found[4:] < 1e-30)).all()
    for function in BY_INPUT:
        found = activated(x[:-1], function)
        assert_array_equal(found[:4], np.float32(x[:4]))
        assert (np.abs(found[4:]) < 1e-30).all()
    for function in Activation:
        assert np.isnan(activated([np.nan], function)).all()


@given(shapes, borders, borders, functions, st.integers(0, 7))
def test_activate_leaves_padding_zero(shape, x_border, y_border, function, padding):
    x, y = volumes_of(shape, 2)
    channels = shape[3] - padding
    x[..., channels:] = 0
    expected = FUNCTIONS[function](x.astype(float))
    expected[..., channels:] = 0
    numbers, rows = {"channels": channels, "function": function}, {"x_row": "x", "y_row": "y"}
    found = execute_on(Op.ACTIVATE, {"x": x, "y": y}, (x_border, y_border), numbers, rows)
    assert_allclose(found, expected, rtol=6e-7, atol=1e-7)
    assert_array_equal(found[..., channels:], 0)


@given(shapes, borders, borders, borders, functions)
def test_activate_backward(shape, dy_border, kept_border, dx_border, function):
    x, dy, dx = volumes_of(shape, 3)
    x *= 3  # beyond the kinks of all functions
    kept = x if function in BY_INPUT else FUNCTIONS[function](x.astype(float)).astype(np.float32)
    rows = {"dy_row": "dy", "kept_row": "kept", "dx_row": "dx"}
    volumes, numbers = {"dy": dy, "kept": kept, "dx": dx}, {"function": function}
    found = execute_on(Op.ACTIVATE_BACKWARD, volumes, (dy_border, kept_border, dx_border), numbers, rows)
    gradient = getattr(oracles, f"{function.name.lower()}_gradient")
    assert_allclose(found, gradient(dy.astype(float), x.astype(float)), atol=1e-6)


# -- DROPOUT -----------------------------------------------------------------------------------------------------------


def dropped_out(x, rate, layer=0, draw=(0, 1), borders=((0, 0, 0, 0), (0, 0, 0, 0)), **settings):
    """What DROPOUT makes of a batch of volumes."""
    rows, numbers = {"x_row": "x", "y_row": "y"}, {"layer": layer, "rate": float(rate)}
    volumes = {"x": x, "y": 0 * x + 5}
    return execute_on(Op.DROPOUT, volumes, borders, numbers, rows, Space.BATCH, draw=draw, **settings)


def draws(shape, layer, draw):
    """The numbers in 0 ... 2**32 that decide, by the documented hash."""
    samples, rows, columns, depth = shape
    seed, step = draw
    key = hashed(hashed(hashed(np.uint64(seed), step), layer), np.arange(samples))
    places = np.arange(rows * columns * depth).reshape(rows, columns, depth)
    return hashed(key[:, None, None, None], places) >> np.uint64(32)


@given(
    shapes,
    borders,
    borders,
    st.sampled_from([0.0, 0.1, 0.5, 0.999]),
    st.integers(0, 3),
    st.tuples(st.integers(0, 2**31), st.integers(1, 9)),
)
def test_dropout_drops_what_the_hash_says_and_divides_the_rest(shape, x_border, y_border, rate, layer, draw):
    (x,) = volumes_of(shape, 1)
    found = dropped_out(x, rate, layer, draw, (x_border, y_border))
    kept = draws(shape, layer, draw) >= rate * 2**32
    assert_allclose(found, np.where(kept, x / (1 - rate), 0), rtol=2e-7)
    assert_array_equal(found[~kept], 0)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_the_share_that_is_dropped_in_any_direction(rate):
    dropped = dropped_out(np.ones((20, 16, 16, 16), np.float32), rate) == 0
    deviation = np.sqrt(rate * (1 - rate))
    for axes in [(0, 1, 2, 3), (1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)]:
        shares = dropped.mean(axes)
        count = dropped.size / shares.size
        assert np.abs(shares - rate).max() < 5 * deviation / np.sqrt(count)
    # Neighbours are dropped independently of one another.
    for axis in range(4):
        first, second = (np.take(dropped, np.arange(*ends), axis) for ends in ((0, 15), (1, 16)))
        assert (first & second).mean() == pytest.approx(rate**2, abs=5 * rate / np.sqrt(first.size))


def test_a_rate_of_zero_changes_nothing():
    (x,) = volumes_of((2, 3, 4, 8), 1)
    assert_array_equal(dropped_out(x, 0.0), x)


def test_another_seed_step_layer_or_sample_gives_another_mask():
    x = np.ones((3, 4, 4, 16), np.float32)
    masks = [
        *dropped_out(x, 0.5, layer=0, draw=(0, 1)),
        *dropped_out(x, 0.5, layer=1, draw=(0, 1)),
        *dropped_out(x, 0.5, layer=0, draw=(0, 2)),
        *dropped_out(x, 0.5, layer=0, draw=(1, 1)),
        *dropped_out(x, 0.5, layer=0, draw=(2, 0)),
    ]
    for number, mask in enumerate(masks):
        for other in masks[:number]:
            assert 0.3 < (mask == other).mean() < 0.7


@pytest.mark.parametrize(("micro_batch", "shard_size"), [(1, 7), (2, 7), (3, 2), (16, 1)])
def test_a_mask_depends_on_the_place_in_the_batch_and_not_on_how_the_batch_is_cut(micro_batch, shard_size):
    (x,) = volumes_of((7, 2, 3, 8), 1)
    found = dropped_out(x, 0.4, micro_batch=micro_batch, shard_size=shard_size)
    assert_array_equal(found, dropped_out(x, 0.4))
