"""Max and average pooling and their gradients against the oracles."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.architecture import ArchitectureError, Volume
from skconvnet.architecture.layers.pooling import BoundPool
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op
from tests import oracles
from tests.engine.cpu.programs import Memory, assert_only_written, borders, elements, framed, inside, operand, run
from tests.oracles.cases import per_axis


@st.composite
def pools(draw, mode="max"):
    padding = draw(st.sampled_from(["ignored", "counted"])) if mode == "average" else "ignored"
    F = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    volume = Volume(draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.sampled_from([8, 16])))
    S = draw(per_axis(st.integers(1, 4)))
    P = draw(st.one_of(st.integers(0, min(F) - 1), st.tuples(*(st.integers(0, axis - 1) for axis in F))))
    try:
        return BoundPool("POOL 1", volume, mode, F, S, P, draw(st.sampled_from(["floor", "ceil"])), padding)
    except ArchitectureError:
        assume(False)


def laid_out(pool, values, x_border, y_border):
    """Two samples and their gradient: memory, operands and numbers."""
    rng = np.random.default_rng(0)
    x = rng.integers(-values, values + 1, (2, pool.input.height, pool.input.width, pool.input.depth)).astype(np.float32)
    dy = rng.integers(-9, 9, (2, pool.output.height, pool.output.width, pool.output.depth)).astype(np.float32)
    memory = Memory(fill=77)
    volumes = {"x": (x, x_border), "y": (0 * dy, y_border), "dx": (0 * x, y_border), "dy": (dy, x_border)}
    places = {name: operand(memory, framed(v, border, 99), border) for name, (v, border) in volumes.items()}
    operands, row = ({name: place[at] for name, place in places.items()} for at in (0, 1))
    numbers = {"rows": x.shape[1], "columns": x.shape[2], "depth": x.shape[3], "x_row": row["x"]}
    for axis, window in zip(("rows", "columns"), pool.axes, strict=True):
        numbers |= {f"F_{axis}": window.F, f"S_{axis}": window.S, f"P_{axis}": window.P}
    numbers |= {"rows_out": dy.shape[1], "columns_out": dy.shape[2], "y_row": row["y"]}
    if pool.mode == "average":
        numbers |= dict(zip(("counted_rows", "counted_columns"), pool.counted, strict=True))
    return x, dy, memory.array(), operands, numbers, row


@settings(max_examples=60)
@given(pools(), st.sampled_from([1, 50]), borders, borders)
def test_pool_and_its_gradient(pool, values, x_border, y_border):
    """With values of -1, 0 and 1 most windows have several maxima: the first wins."""
    x, dy, memory, operands, numbers, row = laid_out(pool, values, x_border, y_border)
    frames = memory == 99
    run([(Op.MAX_POOL, {"x": operands["x"], "y": operands["y"]}, numbers)], memory, samples=2)
    expected = oracles.max_pool(x, pool.F, pool.S, pool.P, dy.shape[1:3])
    assert_array_equal(inside(memory, operands["y"], dy.shape, row["y"]), expected)
    gradient = numbers | {"dx_row": row["dx"], "dy_row": row["dy"], "overlap": 1}
    run([(Op.MAX_POOL_BACKWARD, operands, gradient)], memory, samples=2)
    d_x = oracles.max_pool_gradient(dy, x, pool.F, pool.S, pool.P)
    assert_array_equal(inside(memory, operands["dx"], x.shape, row["dx"]), d_x)
    assert_array_equal(memory[frames], 99)


def test_windows_that_do_not_overlap_overwrite():
    pool = BoundPool("POOL 1", Volume(6, 4, 8), "max", (2, 2), 2, 0)
    x, dy, memory, operands, numbers, row = laid_out(pool, 5, (1, 1, 1, 1), (0, 0, 0, 0))
    instructions = [(Op.MAX_POOL, {"x": operands["x"], "y": operands["y"]}, numbers)]
    gradient = numbers | {"dx_row": row["dx"], "dy_row": row["dy"], "overlap": 0}
    run([*instructions, (Op.MAX_POOL_BACKWARD, operands, gradient)], memory, samples=2)
    expected = oracles.max_pool_gradient(dy, x, (2, 2), 2, 0)
    assert_array_equal(inside(memory, operands["dx"], x.shape, row["dx"]), expected)
    run([(Op.MAX_POOL_BACKWARD, operands, gradient)], memory, samples=2)
    assert_array_equal(inside(memory, operands["dx"], x.shape, row["dx"]), expected)
    run([(Op.MAX_POOL_BACKWARD, operands, gradient | {"overlap": 1})], memory, samples=2)
    assert_array_equal(inside(memory, operands["dx"], x.shape, row["dx"]), 2 * expected)


@settings(max_examples=60)
@given(pools("average"), borders, borders)
def test_average_pool_and_its_gradient(pool, x_border, y_border):
    """Windows that hang over an edge divide by fewer pixels."""
    x, dy, memory, operands, numbers, row = laid_out(pool, 50, x_border, y_border)
    before = memory.copy()
    run([(Op.AVERAGE_POOL, {"x": operands["x"], "y": operands["y"]}, numbers)], memory, samples=2)
    expected = oracles.average_pool(x, pool.F, pool.S, pool.P, dy.shape[1:3], pool.padding == "counted")
    y_at = elements(operands["y"], dy.shape, row["y"])
    assert_allclose(memory[y_at], expected, atol=1e-5)
    assert_only_written(memory, before, y_at)


@settings(max_examples=60)
@given(pools("average"), borders, borders)
def test_the_gradient_of_average_pool_is_added(pool, x_border, y_border):
    x, dy, memory, operands, numbers, row = laid_out(pool, 50, x_border, y_border)
    before = memory.copy()
    gradient = {name: numbers[name] for name in INSTRUCTIONS[Op.AVERAGE_POOL_BACKWARD].numbers if name in numbers}
    gradient |= {"dx_row": row["dx"], "dy_row": row["dy"]}
    instructions = [(Op.AVERAGE_POOL_BACKWARD, {"dy": operands["dy"], "dx": operands["dx"]}, gradient)]
    dx_at = elements(operands["dx"], x.shape, row["dx"])
    for times in (1, 2):
        run(instructions, memory, samples=2)
        expected = times * oracles.average_pool_gradient(dy, x, pool.F, pool.S, pool.P, pool.padding == "counted")
        assert_allclose(memory[dx_at], expected, atol=1e-4)
    assert_only_written(memory, before, dx_at)


def test_an_average_of_everything_is_the_mean_of_each_slice():
    pool = BoundPool("POOL 1", Volume(5, 7, 16), "average", (5, 7), 1, 0)
    x, dy, memory, operands, numbers, row = laid_out(pool, 50, (1, 2, 0, 1), (0, 0, 0, 0))
    run([(Op.AVERAGE_POOL, {"x": operands["x"], "y": operands["y"]}, numbers)], memory, samples=2)
    found = inside(memory, operands["y"], dy.shape, row["y"])
    assert_allclose(found, x.mean((1, 2), keepdims=True), rtol=1e-5, atol=1e-5)
