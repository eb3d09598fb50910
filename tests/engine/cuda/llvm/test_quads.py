"""Quads of float32 against NumPy, in kernels of a few lines."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.compiler import Address, float32, ptx
from skconvnet.engine.cuda.llvm.quads import (
    exponential,
    first_of,
    load_quad,
    logarithm,
    number,
    quad,
    splat,
    square_root,
    store_quad,
    where_equal,
    where_greater,
)
from skconvnet.engine.cuda.llvm.threads import block
from tests.engine.cuda.kernels.harness import kernel_of, launch


def computed(function, x, y=None):
    """What a kernel of one thread makes of each quad of `x` and `y`."""
    x = np.resize(np.asarray(x, np.float32), 4 * -(-np.size(x) // 4))
    out = np.full_like(x, 77)
    launch(kernel_of(function), (x.size // 4,), x, x if y is None else np.asarray(y, np.float32), out)
    return out


def arithmetic(x: Address, y: Address, out: Address):
    a, b, at = load_quad(x + 16 * block()), load_quad(y + 16 * block()), out + 16 * block()
    store_quad(at, (a + b) / (a - b) * b)


def test_arithmetic_works_number_by_number():
    x, y = np.random.default_rng(0).standard_normal((2, 12)).astype(np.float32)
    assert_allclose(computed(arithmetic, x, y), (x + y) / (x - y) * y, rtol=3e-7)


def selected(x: Address, y: Address, out: Address):
    a, b = load_quad(x + 16 * block()), load_quad(y + 16 * block())
    lower = where_greater(a, b, b, a)
    store_quad(out + 16 * block(), where_equal(lower, b, splat(float32(5)), lower))


def test_selections_of_a_comparison_with_nan_take_the_other():
    x, y = [1, 2, 3, np.nan], [2, 2, 1, 0]
    assert_array_equal(computed(selected, x, y), [1, 5, 5, np.nan])


def reversed_numbers(x: Address, y: Address, out: Address):
    a = load_quad(x + 16 * block())
    store_quad(out + 16 * block(), quad(number(a, 3), number(a, 2), number(a, 1), number(a, 0)))


def test_a_quad_is_made_of_numbers():
    assert_array_equal(computed(reversed_numbers, np.arange(8)), [3, 2, 1, 0, 7, 6, 5, 4])


def started(x: Address, y: Address, out: Address):
    store_quad(out + 16 * block(), first_of(load_quad(x + 16 * block()), block() - 1))


def test_the_first_of_a_quad():
    expected = [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert_array_equal(computed(started, np.ones(28)), np.ravel(expected))


def exponentials(x: Address, y: Address, out: Address):
    store_quad(out + 16 * block(), exponential(load_quad(x + 16 * block())))


def logarithms(x: Address, y: Address, out: Address):
    store_quad(out + 16 * block(), logarithm(load_quad(x + 16 * block())))


def test_exponential():
    x = np.linspace(-87, 88, 40_000).astype(np.float32)
    assert_allclose(computed(exponentials, x), np.exp(x.astype(float)), rtol=2e-7)
    limits = computed(exponentials, [0, np.inf, -np.inf, np.nan])
    assert limits[0] == 1
    assert_allclose(limits[1:3], np.exp([88.0, -87.0]), rtol=2e-7)
    assert np.isnan(limits[3])


def test_logarithm():
    x = np.concatenate([np.geomspace(1.2e-38, 3e38, 40_000), np.linspace(0.5, 2, 10_000)]).astype(np.float32)
    assert_allclose(computed(logarithms, x), np.log(x.astype(float)), rtol=2e-7, atol=1e-10)


@pytest.mark.parametrize("function", [arithmetic, exponentials, logarithms])
def test_accesses_are_of_128_bits_and_nothing_is_float64(function):
    text = ptx(kernel_of(function), (9, 0))
    assert re.search(r"ld\.global\.v4\.[fub]32", text)
    assert re.search(r"st\.global\.v4\.[fub]32", text)
    assert ".f64" not in text


def roots(x: Address, y: Address, out: Address):
    store_quad(out + 16 * block(), square_root(load_quad(x + 16 * block())))


def test_square_roots_are_rounded_correctly():
    x = np.r_[np.random.default_rng(0).exponential(size=96), 0, 1e-45, 3e38, np.inf].astype(np.float32)
    assert_array_equal(computed(roots, x), np.sqrt(x))
