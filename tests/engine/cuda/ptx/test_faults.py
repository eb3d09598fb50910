"""Faults in a kernel as the package writes them, compiled to PTX: each is noticed by the check that it should be."""

from hashlib import sha256
from inspect import getsource

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.compiler import Address, Kernel, cuda, float32, int32, ptx
from skconvnet.engine.cuda.llvm.memory import load, store
from skconvnet.engine.cuda.llvm.threads import block, thread
from tests.engine.cuda.ptx.execute import Memory, PtxError
from tests.engine.cuda.ptx.execute import load as load_program

WIDTH = 64  # threads of a block, and numbers that it computes


def window_sum(fault):
    """A kernel with a fault: y[k] = x[k] + x[k + 1] + x[k + 2], through a tile in shared memory, several times over."""
    halo = 1 if fault == "short halo" else 2
    size = WIDTH + (1 if fault == "small tile" else 2)
    has_barrier, has_guard = fault != "no barrier", fault != "no guard"
    has_last_barrier, stores_all = fault != "no last barrier", fault != "no store"
    step = 0 if fault == "endless" else 1
    shift = 1 if fault == "wrong place" else 0
    diverges = fault == "divergent"

    def window_sum(x: Address, y: Address, n, rounds):
        tile = cuda.shared.array(size, float32)
        t = thread()
        at = int32(block() * WIDTH + t)
        done = int32(0)
        while done < rounds:
            done = int32(done + step)
            if diverges and t == 3:
                return
            if at < n + 2:
                tile[t] = load(x + 4 * at)
            if t < halo and at + WIDTH < n + 2:
                tile[t + WIDTH] = load(x + 4 * (at + WIDTH))
            if has_barrier:
                cuda.syncthreads()
            if (at < n or not has_guard) and (stores_all or t != 5):
                total = tile[t] + tile[t + 1] + tile[t + 2]
                store(y + 4 * (at + shift * (t & 1)), total)
            if has_last_barrier:
                cuda.syncthreads()

    return window_sum


def run(fault, n=2 * WIDTH, rounds=2):
    digest = sha256((getsource(window_sum) + fault).encode()).hexdigest()
    kernel = Kernel(window_sum(fault), f"window_sum_{digest}", WIDTH)
    memory = Memory(2**20)
    x, y = memory.allocate(4 * (n + 2)), memory.allocate(4 * n)
    values = np.random.default_rng(0).standard_normal(n + 2).astype(np.float32)
    memory.upload(x, values)
    blocks = -(-n // WIDTH)
    load_program(ptx(kernel, (9, 0))).launch(blocks, WIDTH, [x, y, n, rounds], memory, fuel=10**6)
    copy = load_program(ptx(Kernel(doubled, f"doubled_{digest}", 1), (9, 0)))
    copy.launch(n, 1, [y], memory)
    got = np.empty(n, np.float32)
    memory.download(y, got)
    np.testing.assert_allclose(got, 2 * (values[:-2] + values[1:-1] + values[2:]), rtol=1e-6)


def doubled(y: Address):
    """Read all that the kernel should have written."""
    at = y + 4 * block()
    store(at, load(at) * float32(2))


@pytest.mark.parametrize("n", [2 * WIDTH, 2 * WIDTH - 5, 3])
def test_the_kernel_without_faults_passes(n):
    run("", n)


FAULTS = {
    "no barrier": "not initialised: reads 4 bytes of shared memory",
    "no last barrier": "race: .* 4 bytes of shared memory",
    "no guard": "out of bounds: writes 4 bytes of global memory|not initialised: reads 4 bytes of shared memory",
    "short halo": "not initialised: reads 4 bytes of shared memory at byte 260 of",
    "small tile": "out of bounds: writes 4 bytes of shared memory at byte 260 of 260",
    "no store": "not initialised: reads 4 bytes of global memory at .*, byte 20 of",
    "wrong place": "race: writes 4 bytes of global memory .*written by",
    "endless": "out of fuel",
    "divergent": "divergent barrier",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(fault):
    with pytest.raises(PtxError, match=FAULTS[fault]):
        run(fault, n=2 * WIDTH - 5 if fault == "no guard" else 2 * WIDTH)
