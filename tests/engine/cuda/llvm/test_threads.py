"""Numbers of threads and their quotients, in kernels of a few lines."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.compiler import Address, ptx
from skconvnet.engine.cuda.llvm.memory import load_int, store_int
from skconvnet.engine.cuda.llvm.threads import block, block_y, chunk, left, over, part, thread
from tests.engine.cuda.kernels.harness import kernel_of, launch


def numbered(out: Address):
    """1000 part + 100 block_y + 10 block + thread, each at its place."""
    place = ((part() * 3 + block_y()) * 4 + block()) * 5 + thread()
    store_int(out + 4 * place, 1000 * part() + 100 * block_y() + 10 * block() + thread())


def test_threads_blocks_and_parts_are_numbered():
    out = np.full((2, 3, 4, 5), -1, np.int32)
    launch(kernel_of(numbered, threads=5), (4, 3, 2), out)
    parts, along_y, blocks, threads = np.indices(out.shape)
    assert_array_equal(out, 1000 * parts + 100 * along_y + 10 * blocks + threads)


def numbered_chunks(out: Address):
    """The number of the chunk, at its place."""
    store_int(out + 4 * (chunk() * 4 + block()), chunk())


def test_chunks_are_numbered_along_y_and_then_along_z():
    out = np.full((2 * 3, 4), -1, np.int32)
    launch(kernel_of(numbered_chunks), (4, 3, 2), out)
    assert_array_equal(out, np.indices(out.shape)[0])


def divided(x: Address, y: Address, quotients: Address, remainders: Address):
    at = 4 * block()
    store_int(quotients + at, over(load_int(x + at), load_int(y + at)))
    store_int(remainders + at, left(load_int(x + at), load_int(y + at)))


def test_quotients_and_remainders():
    x = np.array([0, 1, 6, 7, 8, 2**31 - 1, 2**31 - 1, 5], np.int32)
    y = np.array([7, 7, 7, 7, 7, 10, 1, 2**31 - 1], np.int32)
    quotients, remainders = np.full_like(x, -1), np.full_like(x, -1)
    launch(kernel_of(divided), (x.size,), x, y, quotients, remainders)
    assert_array_equal(quotients, x // y)
    assert_array_equal(remainders, x % y)
    assert set(re.findall(r"\t(?:div|rem)\S*", ptx(kernel_of(divided), (9, 0)))) <= {"\tdiv.u32", "\trem.u32"}
