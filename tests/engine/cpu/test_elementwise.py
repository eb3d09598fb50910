"""Loading, clearing, ReLU and the bias's gradient, each alone on the machine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine import Images
from skconvnet.engine.program import Op, Space
from tests.engine.cpu.programs import Memory, assert_only_written, elements, framed, inside, operand, run

small = st.integers(1, 5)
margin = st.integers(0, 3)
depths = st.sampled_from([8, 16, 24])


borders = st.tuples(margin, margin, margin, margin)
shapes = st.tuples(st.integers(1, 3), small, small, depths)


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
    run([(Op.RELU, {"X": x_at, "Y": y_at}, numbers)], memory, samples=shape[0])
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
    operands = {"X": dy_at, "Y": y_at, "W": dx_at, "START": (Space.SHARD, bias_at, 0)}
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3], "x_row": dy_row, "y_row": y_row}
    numbers |= {"w_row": dx_row, "relu": relu, "bias": bias}
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
    numbers = {"rows": 2, "columns": 3, "depth": 8, "x_row": 24, "y_row": 24, "w_row": 24, "relu": 0, "bias": 1}
    place = (Space.BATCH, dy_at, 48)
    operands = {"X": place, "Y": place, "W": place, "START": (Space.SHARD, bias_at, 0)}
    instructions = [(Op.BIAS_RELU_BACKWARD, operands, numbers)]
    run(instructions, memory, samples=samples, micro_batch=micro_batch, shard_size=3, slot=8)
    for shard, first in enumerate(range(0, samples, 3)):
        expected = dy[first : first + 3].sum(axis=(0, 1, 2))
        assert_array_equal(memory[bias_at + 8 * shard :][:8], expected)


@given(shapes, borders)
def test_clear_border(shape, border):
    volumes = np.random.default_rng(0).integers(1, 5, shape).astype(np.float32)
    memory = Memory(fill=77)
    place, _ = operand(memory, framed(volumes, border, 9), border)
    memory = memory.array()
    before = memory.copy()
    sides = dict(zip(("top", "left", "bottom", "right"), border, strict=True))
    numbers = {"rows": shape[1], "columns": shape[2], "depth": shape[3], **sides}
    run([(Op.CLEAR_BORDER, {"Y": place}, numbers)], memory, samples=shape[0])
    assert_array_equal(memory, np.where(before == 9, 0, before))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 31, 64])
def test_clear(size):
    memory = Memory(fill=77)
    at = memory.put(np.ones(3 * 80))
    memory = memory.array()
    before = memory.copy()
    run([(Op.CLEAR, {"Y": (Space.LOCAL, at, 80)}, {"size": size})], memory, samples=3)
    for sample in range(3):
        before[at + 80 * sample :][:size] = 0
    assert_array_equal(memory, before)


@given(small, small, st.integers(1, 4), st.sampled_from(["uint8", "float32"]), st.integers(0, 9), st.integers(0, 5))
def test_images_are_standardised_where_they_belong(rows, columns, depth, dtype, space_behind, space_between):
    rng = np.random.default_rng(rows)
    x = rng.integers(0, 256, (6, rows, columns, depth)).astype(dtype)
    mean, scale = rng.random(depth).astype(np.float32), rng.random(depth).astype(np.float32)
    indices = np.array([5, 0, 0, 3])
    y_depth = depth + space_between
    y_row, size = columns * y_depth + space_behind, rows * (columns * y_depth + space_behind) + 3
    memory = Memory(fill=77)
    at = memory.put(np.full(4 * size, 77))
    memory = memory.array()
    expected = memory.copy()
    for sample, image in enumerate((x[indices] - mean) * scale):
        for i, j, c in np.ndindex(rows, columns, depth):
            expected[at + sample * size + i * y_row + j * y_depth + c] = image[i, j, c]
    numbers = {"rows": rows, "columns": columns, "depth": depth, "y_row": y_row, "y_depth": y_depth}
    run(
        [(Op.LOAD_IMAGES, {"Y": (Space.BATCH, at, size)}, numbers)],
        memory,
        samples=4,
        micro_batch=3,
        mean=mean,
        scale=scale,
        source=Images(x, (rows, columns, depth)).source(indices),
    )
    assert_allclose(memory, expected, rtol=1e-6)
