"""Activation functions, dropout and the gradient of the bias: each instruction alone, as PTX."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.program.instructions import Activation, Op, Space
from tests import oracles
from tests.engine.cpu.programs import Memory, borders, framed, inside, operand, volumes_of
from tests.engine.cuda.kernels.harness import examples, execute_on, lowered, run, shapes
from tests.engine.networks import hashed

NO_BORDER = (0, 0, 0, 0)
few = examples(20)


@few
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


# -- The backward pass of a bias and a ReLU ----------------------------------------------------------------------------


def bias_relu_backward(dy, y, dy_border, dx_border, relu, bias, in_place=False):
    """Return dx and dbias, after a look at everything else."""
    shape, memory = dy.shape, Memory(fill=77)
    dy_at, dy_row = operand(memory, framed(dy, dy_border, 9), dy_border)
    y_at, y_row = operand(memory, framed(y, dx_border, 9), dx_border)
    dx_at, dx_row = (dy_at, dy_row) if in_place else operand(memory, framed(0 * dy + 6, dx_border, 9), dx_border)
    bias_at = memory.put(np.full(shape[3], 99.0))
    memory = memory.array()
    before = memory.copy()
    operands = {"dy": dy_at, "y": y_at, "dx": dx_at, "dbias": (Space.SHARD, bias_at, 0)}
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3], "dy_row": dy_row, "y_row": y_row}
    numbers |= {"dx_row": dx_row, "relu": int(relu), "bias": int(bias)}
    run([(Op.BIAS_RELU_BACKWARD, operands, numbers)], memory, samples=shape[0])
    assert_array_equal(inside(memory, y_at, shape, y_row), y)
    for frame in (9, 77):
        assert_array_equal(memory[before == frame], frame)
    return inside(memory, dx_at, shape, dx_row), memory[bias_at : bias_at + shape[3]]


@few
@given(shapes, borders, borders, st.booleans(), st.booleans(), st.booleans())
@example((3, 20, 20, 8), NO_BORDER, (1, 1, 1, 1), True, True, False)  # two blocks of 128 lanes
@example((2, 13, 17, 24), (1, 0, 2, 1), NO_BORDER, True, True, True)  # two blocks of 42 lanes
@example((19, 1, 1, 1032), NO_BORDER, NO_BORDER, True, True, False)  # three blocks of one lane, in two chunks
@example((130, 1, 1, 256), NO_BORDER, NO_BORDER, False, True, False)
@example((1024, 1, 1, 8), NO_BORDER, NO_BORDER, True, True, False)  # one block to the number
def test_bias_relu_backward(shape, dy_border, dx_border, relu, bias, in_place):
    rng = np.random.default_rng(0)
    # Never 6, 9, 77 or 99, which say where nothing was written.
    dy, y = (rng.integers(-4, 5, shape).astype(np.float32) for _ in range(2))
    y = np.maximum(y, 0)
    dx, dbias = bias_relu_backward(dy, y, dy_border, dx_border, relu, bias, in_place)
    expected = np.where(y > 0, dy, 0) if relu else dy
    assert_array_equal(dx, expected if relu or in_place else 6)
    assert_array_equal(dbias, expected.sum(axis=(0, 1, 2)) if bias else 99)


@pytest.mark.parametrize(("depth", "blocks"), [(8, 1), (1024, 1), (1032, 2), (2048, 2), (2056, 3)])
@pytest.mark.parametrize("bias", [0, 1])
def test_every_block_has_channels_and_few_pixels_need_one_launch(depth, blocks, bias):
    operands = dict.fromkeys(("dy", "y", "dx", "dbias"), (Space.BATCH, 0, depth))
    numbers = {"rows": 1, "columns": 1, "depth": depth, "relu": 1, "bias": bias}
    numbers |= dict.fromkeys(("dy_row", "y_row", "dx_row"), depth)
    (launch,) = lowered((Op.BIAS_RELU_BACKWARD, operands, numbers))
    assert launch.grid == (1, blocks, 1)


@pytest.mark.parametrize("shape", [(5, 30, 30, 8), (40, 3, 3, 200)])
def test_the_gradient_of_the_bias_is_accurate_and_the_same_every_time(shape):
    dy, y = volumes_of(shape, 2)
    first = bias_relu_backward(dy, y, NO_BORDER, NO_BORDER, True, True)[1]
    terms = np.where(y > 0, dy.astype(float), 0)
    assert (np.abs(first - terms.sum((0, 1, 2))) <= 5e-7 * np.abs(terms).sum((0, 1, 2))).all()
    assert_array_equal(bias_relu_backward(dy, y, NO_BORDER, NO_BORDER, True, True)[1], first)


# -- PRELU -------------------------------------------------------------------------------------------------------------


def with_slopes(op, volumes, borders, slopes, name):
    """Run PRELU or PRELU_SLOPES, and return the last volume and the slopes named `name` after the run."""
    memory, shape = Memory(fill=77), volumes["x"].shape
    laid = {
        of: operand(memory, framed(volume, border, 5), border)
        for (of, volume), border in zip(volumes.items(), borders, strict=True)
    }
    slopes_at = memory.put(slopes)
    memory = memory.array()
    before = memory.copy()
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3]}
    numbers |= {f"{of}_row": row for of, (_, row) in laid.items()}
    operands = {of: at for of, (at, _) in laid.items()}
    operands[name] = (Space.SHARD if name == "dslopes" else Space.LOCAL, slopes_at, 0)
    run([(op, operands, numbers)], memory, samples=shape[0])
    for frame in (5, 77):
        assert_array_equal(memory[before == frame], frame)
    last, row = laid[[*volumes][-1]]
    return inside(memory, last, shape, row), memory[slopes_at : slopes_at + shape[3]]


@few
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


@few
@given(shapes, borders, borders)
@example((3, 20, 20, 8), NO_BORDER, (1, 1, 1, 1))  # two blocks of 128 slices
@example((2, 13, 17, 24), (1, 0, 2, 1), NO_BORDER)  # more quads of a block than channels
@example((19, 1, 1, 1032), NO_BORDER, NO_BORDER)  # two chunks of channels
@example((1024, 1, 1, 8), NO_BORDER, NO_BORDER)  # one block to the number
def test_the_gradient_of_slopes(shape, x_border, dy_border):
    rng = np.random.default_rng(0)
    # Never 5 or 77, which say where nothing was written.
    x, dy = (rng.integers(-4, 5, shape).astype(np.float32) for _ in range(2))
    volumes, places = {"x": x, "dy": dy}, (x_border, dy_border)
    _, found = with_slopes(Op.PRELU_SLOPES, volumes, places, np.full(shape[3], 99.0), "dslopes")
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
    found = execute_on(Op.ACTIVATE, {"x": volume, "y": np.ones_like(volume)}, [NO_BORDER] * 2, numbers, rows)
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


@few
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


@few
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


def dropped_out(x, rate, layer=0, draws=((0, 1),), step=0, borders=(NO_BORDER, NO_BORDER)):
    """What DROPOUT makes of a batch of volumes in a step."""
    rows, numbers = {"x_row": "x", "y_row": "y"}, {"layer": layer, "rate": float(rate)}
    tables = {"draws": np.array(draws, np.int64), "step": np.array([step], np.int32)}
    return execute_on(Op.DROPOUT, {"x": x, "y": 0 * x + 5}, borders, numbers, rows, **tables)


def numbers_drawn(shape, layer, draw):
    """The numbers in 0 ... 2**32 that decide, by the documented hash."""
    samples, rows, columns, depth = shape
    seed, step = draw
    key = hashed(hashed(hashed(np.uint64(seed), step), layer), np.arange(samples))
    places = np.arange(rows * columns * depth).reshape(rows, columns, depth)
    return hashed(key[:, None, None, None], places) >> np.uint64(32)


@few
@given(
    shapes,
    borders,
    borders,
    st.sampled_from([0.0, 0.1, 0.5, 0.999]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 2**31),
)
def test_dropout_drops_what_the_hash_says_and_divides_the_rest(shape, x_border, y_border, rate, layer, step, seed):
    (x,) = volumes_of(shape, 1)
    draws = [(seed, 4), (seed, 5), (seed + 1, 2**33)]
    found = dropped_out(x, rate, layer, draws, step, (x_border, y_border))
    kept = numbers_drawn(shape, layer, draws[step]) >= rate * 2**32
    assert_array_equal(found, np.where(kept, x * np.float32(1 / (1 - rate)), 0))


def test_a_rate_of_zero_changes_nothing():
    (x,) = volumes_of((2, 3, 4, 8), 1)
    assert_array_equal(dropped_out(x, 0.0), x)
