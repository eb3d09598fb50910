"""Loads and stores of single numbers, in kernels of a few lines."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.compiler import Address
from skconvnet.engine.cuda.llvm.memory import (
    load,
    load_byte,
    load_double,
    load_int,
    load_long,
    store,
    store_double,
    store_int,
)
from skconvnet.engine.cuda.llvm.threads import block
from tests.engine.cuda.kernels.harness import kernel_of, launch


def copied(x: Address, y: Address):
    store(y + 4 * block(), load(x + 4 * block()))


def copied_doubles(x: Address, y: Address):
    store_double(y + 8 * block(), load_double(x + 8 * block()))


def copied_ints(x: Address, y: Address):
    store_int(y + 4 * block(), load_int(x + 4 * block()))


def to_doubles(x: Address, y: Address):
    store_double(y + 8 * block(), load_long(x + 8 * block()))


def from_bytes(x: Address, y: Address):
    store(y + 4 * block(), load_byte(x + block()))


@pytest.mark.parametrize(
    ("function", "values", "kind"),
    [
        (copied, [1.5, -0.0, 1e-40, np.inf], "float32"),
        (copied_doubles, [1e-300, -0.1], "float64"),
        (copied_ints, [-(2**31), -1, 2**31 - 1], "int32"),
        (to_doubles, [-(2**40), 3], "int64"),
        (from_bytes, [0, 1, 127, 128, 255], "uint8"),  # not negative from 128 on
    ],
)
def test_what_is_stored_is_what_was_loaded(function, values, kind):
    x = np.array(values, kind)
    y = np.full(x.size, 77, {"int64": "float64", "uint8": "float32"}.get(kind, kind))
    launch(kernel_of(function), (x.size,), x, y)
    assert_array_equal(y, x)
    assert_array_equal(np.signbit(y), np.signbit(x))
