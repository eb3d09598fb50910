"""Instructions run alone on the CUDA machine: their kernels become PTX, which is executed on the CPU.

`run` takes what `tests.engine.cpu.programs.run` takes, so that one test can be told for both machines. `Memory` and the
other helpers of that module lay out the operands.
"""

import re
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from hashlib import sha256
from inspect import getsource
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from skconvnet.engine.cuda.compiler import Kernel, ptx
from skconvnet.engine.cuda.dispatch import LOWERINGS
from skconvnet.engine.cuda.lowering import Launch, call_of
from skconvnet.engine.program.instructions import Space, encode
from tests.engine.cpu import programs
from tests.engine.cuda import executor
from tests.engine.cuda.executor import PtxDriver

__all__ = [
    "driver",
    "examples",
    "execute_on",
    "kernel_of",
    "launch",
    "lowered",
    "run",
    "shapes",
    "without_each_barrier",
]


CHOSEN = []  # the driver that tests use in place of the imitated one, as the last


def driver():
    """The driver that kernels are tested on."""
    return CHOSEN[-1] if CHOSEN else _imitated()


@cache
def _imitated():
    """An imitated device. Its loops may take few rounds, so that broken ones soon end."""
    return PtxDriver(fuel=2**24)


def run(instructions, memory, *, samples=1, **machine):
    """Run (op, operands, numbers) in order on `memory`, in place.

    Every space begins at its beginning.

    Parameters
    ----------
    instructions : list of tuple
    memory : ndarray of float32
    samples : int
        The samples of the batch.
    **machine : int or ndarray
        What the machine's calls have by name: numbers, and tables, which are arrays. The tables too hold what the
        kernels made of them afterwards.
    """
    with ExitStack() as stack:
        at = stack.enter_context(_on_device(memory))
        names = {name: stack.enter_context(_on_device(value)) for name, value in machine.items()}
        names = {"samples": samples, "place": 0, **names}
        for instruction in instructions:
            row, spaces = encode(*instruction), dict.fromkeys(Space, at)
            lower, sized = LOWERINGS[instruction[0]], call_of(row, spaces, names)
            list(lower(sized))  # it tells how much scratch the instruction needs
            scratch = driver().allocate(4 * sized.scratch_size)  # not written: the executor notices who reads it first
            stack.callback(driver().free, scratch)
            driver().record(lower(call_of(row, spaces, names, scratch))).replay()


@contextmanager
def _on_device(value):
    """The address of an array that is on the device meanwhile, and is downloaded at the end; numbers are themselves."""
    if not isinstance(value, np.ndarray):
        yield value
        return
    address = driver().allocate(value.nbytes)
    try:
        driver().upload(address, value)
        yield address
        driver().synchronize()
        driver().download(address, value)
    finally:
        driver().free(address)


def kernel_of(function, threads=1):
    """A kernel of a test; its name is unique in the cache of PTX, whose keys see the package's sources only."""
    source = sha256(getsource(function).encode()).hexdigest()
    return Kernel(function, f"{function.__name__}_{source}", threads)


def launch(kernel, grid, *arguments):
    """Launch one kernel. Arrays among its arguments are uploaded, and hold afterwards what it made of them."""
    with ExitStack() as stack:
        numbers = tuple(stack.enter_context(_on_device(one)) for one in arguments)
        driver().record([Launch(kernel, (*grid, 1, 1)[:3], numbers)]).replay()


def without_each_barrier(kernel):
    """Plant a fault: while this yields, the driver executes the kernel without one of its barriers, each in turn."""
    if CHOSEN:
        pytest.skip("a GPU does not notice faults")
    text = ptx(kernel, driver().compute_capability)
    for barrier in re.finditer(r"bar\.[^;]*;", text):
        faulty = text[: barrier.start()] + text[barrier.end() :]
        with patch.object(
            executor, "ptx", lambda asked, cc, faulty=faulty: faulty if asked is kernel else ptx(asked, cc)
        ):
            yield


def lowered(instruction, *, samples=1, **machine):
    """The launches of (op, operands, numbers), with all spaces at address 0."""
    call = call_of(encode(*instruction), dict.fromkeys(Space, 0), {"samples": samples, "place": 0, **machine})
    return list(LOWERINGS[instruction[0]](call))


execute_on = partial(programs.execute_on, run=run)  # one instruction, on volumes in borders

# Samples, rows, columns and depth: small ones, a block's 256 quads to the number, and what needs several blocks.
shapes = st.one_of(programs.shapes, st.sampled_from([(2, 8, 8, 16), (1, 4, 2, 128), (3, 9, 7, 24), (2, 1, 1, 1032)]))


def examples(count):
    """Hypothesis' settings for kernels: the examples are small, so that a failing one is shown as it is."""
    return settings(max_examples=count, phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False)
