"""The way from a plan to the machine: kernels made ready, addresses written down, threads counted."""

import os
import sys
import time
from functools import cache
from threading import Lock

import joblib
import numpy as np

from skconvnet.engine.program.instructions import Layout, Task
from skconvnet.engine.program.memory import DEPTH

__all__ = ["Execution", "compile_time", "thread_count"]

_INT64, _FLOAT32, _FLOAT64, _UINT8 = map(np.dtype, (np.int64, np.float32, np.float64, np.uint8))
_NO_MOMENTS = np.zeros((2, 0), _FLOAT32)

_seconds_compiling = 0.0
_adding_seconds = Lock()


class Execution:
    """A plan made ready: run as often as one likes, it costs little more than its work.

    The machine knows arrays by their addresses, all written into one array of int64 (`Task`): here those that stay,
    those of a run by `run`. One Python thread at a time may run it.

    Parameters
    ----------
    plan : Plan
        What to do.
    network : Network
        Its parameters are read, and written by an update.
    memory : ndarray of float32
        ``plan.memory(n_threads)`` elements, for this execution alone.
    n_threads : int
        Threads to use.
    moments : ndarray of float32, (2, parameters)
        The optimizer's; written by an update.
    """

    def __init__(self, plan, network, memory, n_threads, moments=_NO_MOMENTS):
        self.plan, self.network = plan, network
        self._machine, kernels = _machine(plan.ops)
        self._layout = plan.layout(plan.batch_size, n_threads)
        mean, scale = np.tile(network.mean, DEPTH), np.tile(network.scale, DEPTH)
        self._stays = [memory, moments, mean, scale]  # an address alone would not keep them alive
        self._task = task = np.zeros(len(Task), _INT64)
        task[: len(kernels)] = kernels
        task[Task.INSTRUCTIONS], task[Task.N_BLOCKS] = len(plan.program), len(plan.blocks)
        task[Task.LAYOUT] = _address(self._layout, _INT64)
        task[Task.PROGRAM] = _address(plan.program, _INT64)
        task[Task.BLOCKS] = _address(plan.blocks, _INT64)
        task[Task.MEMORY] = _address(memory, _FLOAT32, written=True)
        task[Task.MOMENT_1], task[Task.MOMENT_2] = (_address(moment, _FLOAT32, written=True) for moment in moments)
        task[Task.MEAN], task[Task.SCALE] = _address(mean, _FLOAT32), _address(scale, _FLOAT32)

    def run(
        self,
        source,
        *,
        segments=None,
        shard_size=None,
        targets=None,
        weights=None,
        losses=None,
        right=None,
        scores=None,
        rule=None,
        warps=None,
        draw=(0, 0),
    ):
        """Run the plan once. What it does not use may be left out.

        Parameters
        ----------
        source : tuple
            The images, as `Images.source` returns them.
        segments : ndarray of int64, (segments, columns of Segment)
            In place of the plan's.
        shard_size : int
            In place of the plan's and of the size of its micro-batches, and no larger; in scoring only.
        targets : ndarray of int64, (samples,)
            The samples' classes.
        weights, losses, right : ndarray of float64, (samples,)
            Their weights, which sum to one; overwritten: their losses, and 1 where the target has the highest score.
        scores : ndarray of float32, (samples, classes), or a map of them for each sample
            Overwritten.
        rule : ndarray of float64, (columns of Rule,)
            The numbers of the optimizer's step.
        warps : ndarray of int64, (samples, columns of Warp)
            How the images are augmented; without it they are loaded as they are.
        draw : tuple of int
            The seed and the step that decide what DROPOUT draws.
        """
        pixels, floats, rows = source
        segments = self.plan.segments if segments is None else segments
        self._layout[Layout.SAMPLES :] = len(rows), *draw
        if shard_size is not None:
            self._layout[Layout.SHARD_SIZE] = self._layout[Layout.MICRO_BATCH] = shard_size
        self._task[Task.SEGMENT :] = [
            0,
            _address(segments, _INT64),
            len(segments),
            _address(self.network.parameters, _FLOAT32, written=True),
            _address(pixels, _UINT8) if len(pixels) else _address(floats, _FLOAT32),
            len(pixels),
            _address(rows, _INT64),
            _address(targets, _INT64),
            _address(weights, _FLOAT64),
            _address(losses, _FLOAT64, written=True),
            _address(right, _FLOAT64, written=True),
            _address(scores, _FLOAT32, written=True),
            _address(rule, _FLOAT64),
            _address(warps, _INT64),
            0 if warps is None else len(warps),
        ]
        self._machine.run(self._task, self._layout)


def _address(array, dtype, written=False):
    """Return where an array begins, which has to be as the machine reads it, or writes it; None is nowhere."""
    if array is None:
        return 0
    flags = array.flags
    if array.dtype != dtype or not flags.c_contiguous or (written and not flags.writeable):
        raise TypeError(f"Needed is a C-contiguous array of {dtype} that may be {'written' if written else 'read'}.")
    return array.__array_interface__["data"][0]


def compile_time():
    """Return the seconds that this process has spent so far compiling the kernels, or loading them from the cache."""
    return _seconds_compiling


def thread_count(n_jobs=None):
    """Return how many threads `n_jobs` stands for here.

    Parameters
    ----------
    n_jobs : int or None
        As scikit-learn understands it: None is every processor this process may use (a container may have fewer
        than its machine), but one inside a joblib worker or a task of Dask; a negative number counts back from all
        processors.

    Returns
    -------
    int
        At least 1, at most the threads that Numba was started with; 1 in a forked child, which has no others.
    """
    threads = _threads()
    if threads.are_lost():
        return 1
    limit = threads.most_threads()
    if n_jobs is not None:
        # Joblib's backend for Dask answers with the processors of the cluster, whatever is asked.
        most = min(limit, n_jobs) if n_jobs > 0 else limit
        return max(1, min(most, joblib.effective_n_jobs(n_jobs)))
    inside_joblib_worker = joblib.parallel.get_active_backend()[0].nesting_level not in (0, None)
    return 1 if inside_joblib_worker or _inside_dask_task() else min(limit, _processors())


def _processors():
    """Return how many processors this process may use.

    Joblib looks it up in files, in twice the time that a small network takes for the scores of an image. Its answer is
    kept as long as what can change it while a process runs is the same.
    """
    allowed = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return _counted(allowed, os.environ.get("LOKY_MAX_CPU_COUNT"))


@cache
def _counted(allowed, limit):
    """Ask joblib once for each combination of what its answer depends on."""
    return joblib.cpu_count()


def _inside_dask_task():
    """Return whether this Python thread runs a task of Dask, beside others as they have it; joblib does not tell."""
    worker = sys.modules.get("distributed.worker")
    return worker is not None and hasattr(worker.thread_state, "execution_state")


def _threads():
    """Import Numba and start its threads when they are first wanted; nothing is compiled for them."""
    from skconvnet.engine.cpu import threads

    return threads


def _machine(ops):
    """Import the machine when it is first wanted, with Numba, and have the kernels that opcodes need made ready."""
    global _seconds_compiling
    start = time.perf_counter()
    from skconvnet.engine.cpu import machine

    kernels = machine.prepare(ops)
    with _adding_seconds:
        _seconds_compiling += time.perf_counter() - start
    return machine, kernels
