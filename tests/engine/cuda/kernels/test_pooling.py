"""Max and average pooling and their gradients against the oracles: each instruction alone, as PTX."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.architecture import Volume
from skconvnet.architecture.layers.pooling import BoundPool
from skconvnet.engine.cuda.kernels.pooling import max_pool_backward, max_pool_backward_of_windows
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op
from tests import oracles
from tests.engine.cpu.kernels.test_pooling import laid_out, pools
from tests.engine.cpu.programs import assert_only_written, borders, elements, inside
from tests.engine.cuda.kernels.harness import examples, lowered, run

some = examples(40)
NO_BORDER, BORDER = (0, 0, 0, 0), (1, 2, 0, 1)
# More than one block of 256 threads, with windows that overlap, touch, and leave gaps; and all of the image.
large = [
    BoundPool("POOL 1", Volume(9, 8, 16), "max", F, S, P, "ceil")
    for F, S, P in [((3, 3), 2, 1), ((2, 2), 2, 0), ((1, 2), 3, 0), ((2, 4), (1, 3), (0, 2))]
]
sides = [BoundPool("POOL 1", Volume(*side, 16), "max", (2, 2), 1, 0, "ceil") for side in ((40, 3), (3, 40))]
whole = BoundPool("POOL 1", Volume(5, 7, 16), "max", (5, 7), 1, 0)


def with_large(*rest, mode="max"):
    """Try the large windows too; those of averages with padding that counts."""
    padding = "counted" if mode == "average" else "ignored"

    def decorate(test):
        for pool in (*large, *sides, whole):
            test = example(replace(pool, mode=mode, padding=padding), *rest, BORDER, NO_BORDER)(test)
        return test

    return decorate


@some
@given(pools(), st.sampled_from([1, 50]), borders, borders)
@with_large(1)
def test_max_pool_and_its_gradient(pool, values, x_border, y_border):
    """With values of -1, 0 and 1 most windows have several maxima: the first wins."""
    x, dy, memory, operands, numbers, row = laid_out(pool, values, x_border, y_border)
    before = memory.copy()
    run([(Op.MAX_POOL, {"x": operands["x"], "y": operands["y"]}, numbers)], memory, samples=2)
    expected = oracles.max_pool(x, pool.F, pool.S, pool.P, dy.shape[1:3])
    assert_array_equal(inside(memory, operands["y"], dy.shape, row["y"]), expected)
    gradient = numbers | {"dx_row": row["dx"], "dy_row": row["dy"], "overlap": 1}
    memory[elements(operands["dx"], x.shape, row["dx"])] = np.nan  # all of it is overwritten
    run([(Op.MAX_POOL_BACKWARD, operands, gradient)], memory, samples=2)
    d_x = oracles.max_pool_gradient(dy, x, pool.F, pool.S, pool.P)
    assert_array_equal(inside(memory, operands["dx"], x.shape, row["dx"]), d_x)
    written = [elements(operands[name], volume.shape, row[name]) for name, volume in (("y", dy), ("dx", x))]
    assert_only_written(memory, before, *written)


@pytest.mark.parametrize(
    ("pool", "kernel"),
    [
        (BoundPool("POOL 1", Volume(4, 4, 8), "max", (2, 2), 2, 0), max_pool_backward_of_windows),
        (BoundPool("POOL 1", Volume(5, 5, 8), "max", (2, 3), 3, 1, "floor"), max_pool_backward_of_windows),
        (BoundPool("POOL 1", Volume(5, 5, 8), "max", (2, 3), 2, 1, "floor"), max_pool_backward),
        (BoundPool("POOL 1", Volume(4, 6, 8), "max", (1, 3), (1, 3), 0), max_pool_backward_of_windows),
        (BoundPool("POOL 1", Volume(4, 6, 8), "max", (2, 3), (1, 3), 0), max_pool_backward),
    ],
)
def test_windows_that_do_not_overlap_are_threads_of_their_own(pool, kernel):
    _, _, _, operands, numbers, row = laid_out(pool, 1, NO_BORDER, NO_BORDER)
    gradient = numbers | {"dx_row": row["dx"], "dy_row": row["dy"], "overlap": 1}
    (launch,) = lowered((Op.MAX_POOL_BACKWARD, operands, gradient), samples=2)
    assert launch.kernel is kernel


@some
@given(pools("average"), borders, borders)
@with_large(mode="average")
def test_average_pool(pool, x_border, y_border):
    """Windows that hang over an edge divide by fewer pixels."""
    x, dy, memory, operands, numbers, row = laid_out(pool, 50, x_border, y_border)
    before = memory.copy()
    run([(Op.AVERAGE_POOL, {"x": operands["x"], "y": operands["y"]}, numbers)], memory, samples=2)
    expected = oracles.average_pool(x, pool.F, pool.S, pool.P, dy.shape[1:3], pool.padding == "counted")
    y_at = elements(operands["y"], dy.shape, row["y"])
    assert_allclose(memory[y_at], expected, rtol=1e-6, atol=1e-5)
    assert_only_written(memory, before, y_at)


@some
@given(pools("average"), borders, borders)
@with_large(mode="average")
def test_the_gradient_of_average_pool(pool, x_border, y_border):
    x, dy, memory, operands, numbers, row = laid_out(pool, 50, x_border, y_border)
    dx_at = elements(operands["dx"], x.shape, row["dx"])
    memory[dx_at] = np.nan  # all of it is overwritten
    before = memory.copy()
    gradient = {name: numbers[name] for name in INSTRUCTIONS[Op.AVERAGE_POOL_BACKWARD].numbers if name in numbers}
    gradient |= {"dx_row": row["dx"], "dy_row": row["dy"]}
    run([(Op.AVERAGE_POOL_BACKWARD, {"dy": operands["dy"], "dx": operands["dx"]}, gradient)], memory, samples=2)
    expected = oracles.average_pool_gradient(dy, x, pool.F, pool.S, pool.P, pool.padding == "counted")
    assert_allclose(memory[dx_at], expected, rtol=1e-6, atol=1e-5)
    assert_only_written(memory, before, dx_at)
