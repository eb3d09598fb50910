"""Sums, products and copies of branches: each instruction alone, as PTX."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.kernels.branches import copy_channels, copy_quads, multiply_sums
from skconvnet.engine.program.instructions import Op, Space
from tests.engine.cpu.programs import (
    Memory,
    assert_only_written,
    borders,
    elements,
    framed,
    inside,
    operand,
    volumes_of,
)
from tests.engine.cuda.kernels.harness import examples, execute_on, lowered, run, shapes, without_each_barrier
from tests.engine.cuda.ptx.errors import PtxError

few = examples(25)


@few
@given(shapes, borders, borders, borders, st.integers(0, 1))
def test_add(shape, x_border, w_border, y_border, relu):
    x, w, y = volumes_of(shape, 3)
    x.flat[0] = np.nan  # kept, so that a diverging fit is seen
    rows = {"x_row": "x", "w_row": "w", "y_row": "y"}
    found = execute_on(Op.ADD, {"x": x, "w": w, "y": y}, (x_border, w_border, y_border), {"relu": relu}, rows)
    assert_array_equal(found, np.maximum(x + w, 0) if relu else x + w)


@pytest.mark.parametrize("own", ["x", "w"])
@pytest.mark.parametrize("relu", [0, 1])
def test_a_sum_may_take_the_place_of_either(own, relu):
    shape = (2, 3, 4, 16)
    x, w = volumes_of(shape, 2)
    memory = Memory(fill=77)
    places = {name: operand(memory, volume, (0, 0, 0, 0)) for name, volume in (("x", x), ("w", w))}
    memory = memory.array()
    operands = {"x": places["x"][0], "w": places["w"][0], "y": places[own][0]}
    numbers = {"rows": 3, "columns": 4, "depth": 16, "x_row": 64, "w_row": 64, "y_row": 64, "relu": relu}
    run([(Op.ADD, operands, numbers)], memory, samples=2)
    assert_array_equal(inside(memory, places[own][0], shape, 64), np.maximum(x + w, 0) if relu else x + w)


@few
@given(shapes, borders, borders, borders, st.booleans())
def test_multiply(shape, x_border, w_border, y_border, one_pixel):
    x, w, y = volumes_of(shape, 3)
    rows = {"x_row": "x", "y_row": "y"} | ({} if one_pixel else {"w_row": "w"})
    w = w[:, :1, :1] if one_pixel else w
    strides = {"w_row": 0, "w_column": 0 if one_pixel else shape[3]}
    found = execute_on(Op.MULTIPLY, {"x": x, "w": w, "y": y}, (x_border, w_border, y_border), strides, rows)
    assert_array_equal(found, x * w)


@few
@given(shapes, borders, borders, borders)
def test_multiply_sums(shape, x_border, w_border, sums_border):
    x, w, sums = volumes_of(shape, 3)
    volumes = {"x": x, "w": w, "sums": sums[:, :1, :1]}
    rows = {"x_row": "x", "w_row": "w"}
    found = execute_on(Op.MULTIPLY_SUMS, volumes, (x_border, w_border, sums_border), {}, rows)
    assert_allclose(found, (x.astype(float) * w).sum(axis=(1, 2), keepdims=True), rtol=1e-5, atol=1e-5)


def test_a_missing_barrier_is_noticed():
    x, w, sums = volumes_of((1, 3, 4, 16), 3)
    volumes, rows = {"x": x, "w": w, "sums": sums[:, :1, :1]}, {"x_row": "x", "w_row": "w"}
    for _ in islice(without_each_barrier(multiply_sums), 1):  # to compile a kernel takes long
        with pytest.raises(PtxError):
            execute_on(Op.MULTIPLY_SUMS, volumes, [(0, 0, 0, 0)] * 3, {}, rows)


def copy(shape, borders, first, channels, cleared, depth):
    """Copy channels of a volume `depth[x]` deep into one `depth[y]` deep, and compare all of the memory."""
    samples, rows, columns, _ = shape
    memory, laid, volumes = Memory(fill=77), {}, {}
    for name, border in zip("xy", borders, strict=True):
        volume = np.random.default_rng(ord(name)).random((samples, rows, columns, depth[name]))
        volumes[name] = volume.astype(np.float32)
        laid[name] = operand(memory, framed(volumes[name], border, 99), border)
    memory = memory.array()
    before = memory.copy()
    operands = {name: (place[0], place[1] + first[name], place[2]) for name, (place, _) in laid.items()}
    numbers = {"rows": rows, "columns": columns, "channels": channels, "clear": cleared}
    numbers |= {"x_row": laid["x"][1], "x_depth": depth["x"], "y_row": laid["y"][1], "y_depth": depth["y"]}
    run([(Op.COPY_CHANNELS, operands, numbers)], memory, samples=samples)
    expected, last = volumes["y"].copy(), first["y"] + channels
    expected[..., first["y"] : last] = volumes["x"][..., first["x"] : first["x"] + channels]
    expected[..., last : last + cleared] = 0
    written = elements(laid["y"][0], expected.shape, laid["y"][1])
    assert_array_equal(memory[written], expected)
    assert_only_written(memory, before, written)


margin = st.integers(0, 3)


@few
@given(shapes, borders, borders, margin, margin, st.integers(1, 20), margin, margin, margin)
def test_copy_channels_from_any_channel_to_any_channel(shape, x_border, y_border, x, y, channels, cleared, a, b):
    depth = {"x": x + channels + a, "y": y + channels + cleared + b}
    copy(shape, (x_border, y_border), {"x": x, "y": y}, channels, cleared, depth)


@few
@given(shapes, borders, borders, margin, margin, st.integers(1, 5), margin, margin, margin)
def test_copy_quads_of_channels(shape, x_border, y_border, x, y, channels, cleared, a, b):
    depth = {"x": 4 * (x + channels + a), "y": 4 * (y + channels + cleared + b)}
    copy(shape, (x_border, y_border), {"x": 4 * x, "y": 4 * y}, 4 * channels, 4 * cleared, depth)


@pytest.mark.parametrize(
    "uneven", ["", "x", "y", "channels", "clear", "x_row", "x_depth", "y_row", "y_depth", "x_sample", "y_sample"]
)
def test_quads_are_copied_where_all_of_them_are_aligned(uneven):
    sizes = dict.fromkeys("x y channels clear x_row x_depth y_row y_depth x_sample y_sample".split(), 4)
    sizes |= {uneven: 6} if uneven else {}
    operands = {name: (Space.LOCAL, sizes[name], sizes[f"{name}_sample"]) for name in "xy"}
    names = "channels clear x_row x_depth y_row y_depth".split()
    numbers = {"rows": 1, "columns": 1} | {name: sizes[name] for name in names}
    (launch,) = lowered((Op.COPY_CHANNELS, operands, numbers))
    assert launch.kernel is (copy_channels if uneven else copy_quads)
