"""The CPU machine: it runs any plan with entries that are compiled once."""

from functools import cache

import numpy as np

from skconvnet.engine.cpu.compile import entry
from skconvnet.engine.cpu.dispatch import FAMILIES
from skconvnet.engine.cpu.threads import are_lost, one_at_a_time, threads
from skconvnet.engine.cpu.workers import run_segments, work
from skconvnet.engine.program.instructions import Layout, Op

__all__ = ["prepare", "prepare_all", "run"]


@cache
def prepare(ops):
    """Compile or load the entries that a program with the opcodes `ops`, a frozenset, needs.

    Returns
    -------
    entries : ndarray of int64, shape (opcodes,)
        The address of each opcode's entry; 0 if the program does not need it.
    work : int
        The address of the entry `workers.work`.
    """
    entries = np.zeros(len(Op), np.int64)
    for op in ops:
        entries[op] = entry(FAMILIES[op]).address
    _run_entry()
    return entries, entry(work).address


def prepare_all():
    """Compile or load all entries; return whether any was compiled, and the cache's directory or None."""
    prepare(frozenset(Op))
    return not _run_entry().cache_hits, _run_entry().cache_path


def _run_entry():
    return entry(run_segments, parallel=True)


@cache
def _run_segments():
    return _run_entry().ctypes


def run(task, layout):
    """Run a plan, on as many threads as there are: with fewer threads than workers, the result is the same.

    Parameters
    ----------
    task : ndarray of int64, shape (columns of Task,)
        Addresses and counts. The current segment is written.
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
