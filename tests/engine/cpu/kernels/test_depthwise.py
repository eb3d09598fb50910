"""CONV with a filter for each channel: each instruction alone on the machine, against the oracles."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skconvnet.engine.program.instructions import Op, Space
from tests import oracles
from tests.engine.cpu.programs import (
    Memory,
    assert_only_written,
    elements,
    framed,
    inside,
    margin,
    operand,
    run,
    shared,
)

SAMPLES = 3
GAP = 5  # elements between two weights of a tap, where no channel has any


@st.composite
def convolutions(draw):
    """Outputs, channels, F and S, and the border of the outputs."""
    numbers = st.integers(1, 4)
    return (
        (draw(st.integers(1, 3)), draw(st.integers(1, 9))),
        draw(st.sampled_from([1, 7, 8, 13, 24])),
        draw(numbers),
        draw(numbers),
        (draw(margin), draw(margin), draw(margin), draw(margin)),
    )


def volume(rng, extent, channels):
    """Random numbers in a depth that is padded with zeros."""
    values = np.zeros((SAMPLES, *extent, -(-channels // 8) * 8), np.float32)
    values[..., :channels] = rng.standard_normal((SAMPLES, *extent, channels))
    return values


def input_extent(extent, F, S):
    """What the filters see of rows and columns."""
    return tuple((n - 1) * S + F for n in extent)


def taps(F, S, x, x_row):
    """The numbers of an instruction that say where the input of each tap is."""
    depth = x.shape[3]
    return {"T": F, "R": F, "x_row": S * x_row, "x_column": S * depth, "x_t": x_row, "x_r": depth}


def weights_of(rng, F, channels):
    """Filters (F, F, 1, channels), and how they lie in memory: channel after channel, with gaps between taps."""
    filters = rng.standard_normal((F, F, 1, channels)).astype(np.float32)
    laid = np.full((channels, F, F, GAP), 99, np.float32)
    laid[..., 0] = np.moveaxis(filters[:, :, 0], 2, 0)
    return filters, laid


@settings(max_examples=40)
@given(convolutions(), st.booleans(), st.booleans())
@example(((2, 9), 13, 3, 1, (0, 1, 2, 0)), True, True)  # four pixels that share loads of inputs, twice, and one more
def test_depthwise(convolution, relu, has_bias):
    extent, channels, F, S, border = convolution
    rng = np.random.default_rng(0)
    x, y = volume(rng, input_extent(extent, F, S), channels), volume(rng, extent, channels)
    filters, laid = weights_of(rng, F, channels)
    biases = rng.standard_normal(x.shape[3]).astype(np.float32)
    memory = Memory(fill=77)
    from_x, x_row = operand(memory, framed(x, border, 99), border)
    to_y, y_row = operand(memory, framed(y, border, 99), border)
    operands = {"x": from_x, "w": shared(memory.put(laid)), "bias": shared(memory.put(biases)), "y": to_y}
    numbers = {"rows": extent[0], "columns": extent[1], "depth": x.shape[3], "channels": channels}
    numbers |= taps(F, S, x, x_row) | {"w_t": F * GAP, "w_r": GAP, "w_c": F * F * GAP}
    numbers |= {"y_row": y_row, "y_column": y.shape[3], "RELU": relu, "has_bias": has_bias}
    memory = memory.array()
    before = memory.copy()
    run([(Op.DEPTHWISE, operands, numbers)], memory, samples=SAMPLES)
    assert_only_written(memory, before, elements(to_y, y.shape, y_row))
    bias = biases[:channels] if has_bias else np.zeros(0)
    expected = oracles.conv2d(x[..., :channels], filters, bias, S, 0, extent, groups=channels)
    found = inside(memory, to_y, y.shape, y_row)[..., :channels]
    assert_allclose(found, np.maximum(expected, 0) if relu else expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=40)
@given(convolutions(), st.sampled_from([1, 2, 3]))
@example(((2, 9), 13, 3, 1, (0, 1, 2, 0)), 2)
def test_depthwise_weights(convolution, micro_batch):
    """The micro-batches of a shard are added up; only the weights of channels are written."""
    extent, channels, F, S, border = convolution
    rng = np.random.default_rng(0)
    x, dy = volume(rng, input_extent(extent, F, S), channels), volume(rng, extent, channels)
    _, laid = weights_of(rng, F, channels)
    memory = Memory(fill=77)
    from_x, x_row = operand(memory, framed(x, border, 99), border)
    from_dy, dy_row = operand(memory, framed(dy, border, 99), border)
    to_dw = memory.put(laid)
    of_batch = {name: (Space.BATCH, *place[1:]) for name, place in (("x", from_x), ("dy", from_dy))}
    operands = of_batch | {"dw": shared(to_dw)}
    numbers = {"rows": extent[0], "columns": extent[1], "depth": x.shape[3], "channels": channels}
    numbers |= taps(F, S, x, x_row) | {"dy_row": dy_row, "dw_t": F * GAP, "dw_r": GAP, "dw_c": F * F * GAP}
    memory = memory.array()
    before = memory.copy()
    run([(Op.DEPTHWISE_WEIGHTS, operands, numbers)], memory, samples=SAMPLES, micro_batch=micro_batch)
    written = to_dw + GAP * np.arange(laid[..., 0].size)
    assert_only_written(memory, before, written)
    expected = oracles.conv2d_weight_gradient(dy[..., :channels], x[..., :channels], F, S, 0, groups=channels)
    found = np.moveaxis(memory[written].reshape(channels, F, F), 0, 2)
    assert_allclose(found, expected[:, :, 0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("columns", [1, 4, 6])
def test_nan_is_kept_by_relu_so_that_a_diverging_fit_is_seen(columns):
    x = np.full((1, 1, columns, 8), np.nan, np.float32)
    memory = Memory()
    from_x, _ = operand(memory, x, (0, 0, 0, 0))
    to_y, _ = operand(memory, 0 * x, (0, 0, 0, 0))
    operands = {"x": from_x, "w": shared(memory.put(np.ones(8))), "bias": shared(0), "y": to_y}
    numbers = {"rows": 1, "columns": columns, "depth": 8, "channels": 8, "T": 1, "R": 1, "w_t": 0, "w_r": 0, "w_c": 1}
    numbers |= dict.fromkeys(["x_row", "x_t", "y_row"], 0) | dict.fromkeys(["x_column", "x_r", "y_column"], 8)
    memory = memory.array()
    run([(Op.DEPTHWISE, operands, numbers | {"RELU": 1, "has_bias": 0})], memory)
    assert np.isnan(inside(memory, to_y, x.shape, 8 * columns)).all()
