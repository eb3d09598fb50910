"""Sums, products and copies of branches: each instruction alone on the machine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine.program.instructions import Op
from tests.engine.cpu.programs import (
    Memory,
    assert_only_written,
    borders,
    elements,
    execute_on,
    framed,
    inside,
    margin,
    operand,
    run,
    shapes,
    volumes_of,
)


@given(shapes, borders, borders, borders, st.booleans())
def test_add(shape, x_border, w_border, y_border, relu):
    x, w, y = volumes_of(shape, 3)
    rows = {"x_row": "x", "w_row": "w", "y_row": "y"}
    found = execute_on(Op.ADD, {"x": x, "w": w, "y": y}, (x_border, w_border, y_border), {"relu": relu}, rows)
    assert_array_equal(found, np.maximum(x + w, 0) if relu else x + w)


@pytest.mark.parametrize("own", ["x", "w"])
@pytest.mark.parametrize("relu", [False, True])
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


def test_a_sum_keeps_nan_so_that_a_diverging_fit_is_seen():
    x, w, y = volumes_of((1, 1, 1, 8), 3)
    x[...] = np.nan
    rows = {"x_row": "x", "w_row": "w", "y_row": "y"}
    found = execute_on(Op.ADD, {"x": x, "w": w, "y": y}, [(0, 0, 0, 0)] * 3, {"relu": 1}, rows)
    assert np.isnan(found).all()


@given(shapes, borders, borders, borders, st.booleans())
def test_multiply(shape, x_border, w_border, y_border, one_pixel):
    x, w, y = volumes_of(shape, 3)
    rows = {"x_row": "x", "y_row": "y"} | ({} if one_pixel else {"w_row": "w"})
    w = w[:, :1, :1] if one_pixel else w
    strides = {"w_row": 0, "w_column": 0 if one_pixel else shape[3]}
    found = execute_on(Op.MULTIPLY, {"x": x, "w": w, "y": y}, (x_border, w_border, y_border), strides, rows)
    assert_array_equal(found, x * w)


@given(shapes, borders, borders, borders)
def test_multiply_sums(shape, x_border, w_border, sums_border):
    x, w, sums = volumes_of(shape, 3)
    volumes = {"x": x, "w": w, "sums": sums[:, :1, :1]}
    rows = {"x_row": "x", "w_row": "w"}
    found = execute_on(Op.MULTIPLY_SUMS, volumes, (x_border, w_border, sums_border), {}, rows)
    assert_allclose(found, (x.astype(float) * w).sum(axis=(1, 2), keepdims=True), rtol=1e-5, atol=1e-5)


@given(shapes, borders, borders, st.integers(1, 20), st.data())
def test_copy_channels(shape, x_border, y_border, channels, data):
    """From any channel on, to any channel on: vectors need not be aligned."""
    samples, rows, columns, _ = shape
    first = {name: data.draw(st.integers(0, 9), label=f"first of {name}") for name in "xy"}
    cleared = data.draw(st.integers(0, 9), label="cleared")
    depth = {"x": first["x"] + channels + data.draw(margin), "y": first["y"] + channels + cleared + data.draw(margin)}
    memory = Memory(fill=77)
    laid, volumes = {}, {}
    for name, border in (("x", x_border), ("y", y_border)):
        volumes[name] = (
            np.random.default_rng(ord(name)).random((samples, rows, columns, depth[name])).astype(np.float32)
        )
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
