"""The CPU machine: it runs any plan with entries that are compiled once."""

from functools import cache, partial

import numpy as np

from skconvnet.engine.cpu.compile import entries, entry
from skconvnet.engine.cpu.dispatch import FAMILIES
from skconvnet.engine.cpu.task import Layout, Task
from skconvnet.engine.cpu.threads import are_lost, one_at_a_time, threads
from skconvnet.engine.cpu.workers import run_segments, work
from skconvnet.engine.program.instructions import Op, Segment, SegmentKind

__all__ = ["prepare", "prepare_all", "run", "run_alone"]

# The entries that take longest to compile, in the order of the seconds that benchmarks.cold prints.
_LONGEST_FIRST = [
    *(FAMILIES[op] for op in (Op.NORMALISE, Op.CONTRACT, Op.DEPTHWISE)),
    work,
    *(FAMILIES[op] for op in (Op.MAX_POOL, Op.LOAD_IMAGES)),
]


@cache
def prepare(ops):
    """Compile or load the entries that a program with the opcodes `ops`, a frozenset, needs.

    Returns
    -------
    addresses : ndarray of int64, shape (opcodes,)
        The address of each opcode's entry; 0 if the program does not need it.
    work : int
        The address of the entry `workers.work`.
    """
    _entries_for(ops)
    addresses = np.zeros(len(Op), np.int64)
    for op in ops:
        addresses[op] = entry(FAMILIES[op]).address
    return addresses, entry(work).address


def prepare_all():
    """Compile or load all entries; return whether any was compiled, and the cache's directory or None."""
    made = _entries_for(Op)
    return not all(each.cache_hits for each in made), made[-1].cache_path


def _entries_for(ops):
    """Return all entries that opcodes need. What takes long comes first, so that processes finish together."""
    functions = dict.fromkeys([*_LONGEST_FIRST, *map(FAMILIES.get, sorted(ops)), run_segments])
    needed = {work, run_segments, *map(FAMILIES.get, ops)}
    return entries([function for function in functions if function in needed])


@cache
def run_alone():
    """Return the function that runs the task at an address, which has one worker, in the calling thread."""
    return entry(run_segments).ctypes


def run(task, task_at, layout, segments, in_turns=False):
    """Run a plan, on as many threads as there are: with fewer threads than workers, the result is the same.

    Parameters
    ----------
    task : ndarray of int64, shape (columns of Task,)
        Addresses and counts, with one call for all segments and turns.
    task_at : int
        Its address, which NumPy takes long to tell.
    layout : ndarray of int64, shape (columns of Layout,)
        The array whose address is in the task. In a forked child, which has no threads, the number of workers is set
        to 1.
    segments : ndarray of int64, shape (segments, columns of Segment)
        The array whose address is in the task.
    in_turns : bool, default=False
        Whether to return to Python between the turns of the workers, so that Ctrl-C can end a long run. An update is
        not interrupted.
    """
    workers = int(layout[Layout.WORKERS])
    if workers > 1 and are_lost():
        workers = layout[Layout.WORKERS] = 1
    run_in = partial(_run_in_turns, task, layout, segments) if in_turns else run_alone()
    if workers == 1:
        run_in(task_at)
    else:
        with threads(workers), one_at_a_time():
            run_in(task_at)


def _run_in_turns(task, layout, segments, task_at):
    """Run every turn of the segments before an update with a call of its own, and the rest with one call."""
    updates = np.flatnonzero(segments[:, Segment.KIND] == SegmentKind.UPDATE)
    n_before = int(updates[0]) if len(updates) else len(segments)
    shards = -(-layout[Layout.SAMPLES] // layout[Layout.SHARD_SIZE])
    turns = int(-(-shards // layout[Layout.WORKERS]))
    whole = task[Task.FIRST_TURN : Task.N_SEGMENTS + 1].copy()
    first, task[Task.N_SEGMENTS] = int(task[Task.SEGMENTS]), 1
    try:
        for number, kind in enumerate(segments[:n_before, Segment.KIND]):
            task[Task.SEGMENTS] = first + number * segments.strides[0]
            for turn in range(turns if kind == SegmentKind.PER_SAMPLE else 1):
                task[Task.FIRST_TURN], task[Task.LAST_TURN] = turn, turn + 1
                run_alone()(task_at)
        task[Task.FIRST_TURN : Task.N_SEGMENTS + 1] = whole
        task[Task.SEGMENTS], task[Task.N_SEGMENTS] = first + n_before * segments.strides[0], len(segments) - n_before
        run_alone()(task_at)
    finally:
        task[Task.FIRST_TURN : Task.N_SEGMENTS + 1] = whole
