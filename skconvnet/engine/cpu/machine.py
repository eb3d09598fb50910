"""The CPU machine: it runs any plan with entries that are compiled once."""

from functools import cache

import numpy as np

from skconvnet.engine.cpu.compile import entry
from skconvnet.engine.cpu.instructions import contraction, further, normal, plain
from skconvnet.engine.cpu.threads import are_lost, one_at_a_time, threads
from skconvnet.engine.cpu.workers import run_segments, work
from skconvnet.engine.program.instructions import Layout, Op, Task

__all__ = ["prepare", "prepare_all", "run"]


@cache
def _addresses(has_further, has_normal):
    """Compile or load the entries for these families of instructions; return the addresses that a task begins with."""
    needed = {
        Task.CONTRACT: contraction,
        Task.PLAIN: plain,
        Task.FURTHER: further if has_further else None,
        Task.NORMAL: normal if has_normal else None,
        Task.WORK: work,
    }
    addresses = np.zeros(len(needed), np.int64)
    for at, function in needed.items():
        addresses[at] = 0 if function is None else entry(function).address
    _run_entry()
    return addresses


def _run_entry():
    return entry(run_segments, parallel=True)


@cache
def prepare(ops):
    """Compile or load the entries that programs with these opcodes, a frozenset, need; return their addresses."""
    has_further = any(Op.AVERAGE_POOL <= op < Op.CHANNEL_MOMENTS for op in ops)
    return _addresses(has_further=has_further, has_normal=any(op >= Op.CHANNEL_MOMENTS for op in ops))


def prepare_all():
    """Compile or load all entries; return whether any was compiled, and the cache's directory or None."""
    _addresses(has_further=True, has_normal=True)
    return not _run_entry().cache_hits, _run_entry().cache_path


@cache
def _run_segments():
    return _run_entry().ctypes


def run(task, layout):
    """Run a plan, on as many threads as there are: with fewer threads than workers, the result is the same.

    Parameters
    ----------
    task : ndarray of int64, shape (columns of Task,)
        Addresses and counts; it begins with what `prepare` returned. The current segment is written.
    layout : ndarray of int64, shape (columns of Layout,)
        The array whose address is in the task. In a forked child, which has no threads, the number of workers is set
        to 1.
    """
    if are_lost():
        layout[Layout.WORKERS] = 1
    workers = int(layout[Layout.WORKERS])
    if workers == 1:
        _run_segments()(task.ctypes.data)
    else:
        with threads(workers), one_at_a_time():
            _run_segments()(task.ctypes.data)
