"""Devices: the machines that can run a plan, and how many threads they may use.

This is the one place that knows them all. A network is given a device, which says what plans must know of it (its
target) and makes executions of them.
"""

import os
import sys
from dataclasses import dataclass
from functools import cache

import joblib

from skconvnet.engine.cpu.execution import Execution
from skconvnet.engine.program.target import CPU, Target

__all__ = ["CpuDevice", "find_device", "thread_count"]


@dataclass(frozen=True)
class CpuDevice:
    """The processor, with kernels that Numba compiles.

    Parameters
    ----------
    target : Target, default=CPU
        What a plan must know of it.
    """

    target: Target = CPU

    def execution(self, plan, network, n_workers, moments=None):
        """Allocate memory for a plan and return what runs it.

        Parameters
        ----------
        plan : Plan
        network : Network
            Its parameters are read, and in training written.
        n_workers : int
            Threads to use.
        moments : ndarray of float32, shape (2, n_parameters), optional
            The optimizer's; written by an update.

        Returns
        -------
        Execution
        """
        return Execution(plan, network, n_workers, moments)


def find_device(name):
    """Return the device that the estimator's ``device`` names.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda"}

    Returns
    -------
    CpuDevice

    Raises
    ------
    ValueError
        If the device is not available.
    """
    if name == "cuda":
        raise ValueError("device='cuda' is not implemented yet. Use device='cpu'.")
    return CpuDevice()


def thread_count(n_jobs=None):
    """Return the number of threads that `n_jobs` stands for here.

    Parameters
    ----------
    n_jobs : int or None
        As scikit-learn understands it. None stands for every processor that this process may use (a container may have
        fewer than its machine), but for 1 inside a joblib worker or a Dask task. A negative number counts back from all
        processors.

    Returns
    -------
    int
        At least 1, at most the threads that Numba was started with; 1 in a forked child, which has no other threads.
    """
    threads = _threads()
    if threads.are_lost():
        return 1
    limit = threads.most_threads()
    if n_jobs is not None:
        # Joblib's Dask backend answers with the processors of the cluster, whatever is asked.
        most = min(limit, n_jobs) if n_jobs > 0 else limit
        return max(1, min(most, joblib.effective_n_jobs(n_jobs)))
    inside_joblib_worker = joblib.parallel.get_active_backend()[0].nesting_level not in (0, None)
    return 1 if inside_joblib_worker or _inside_dask_task() else min(limit, _processors())


def _processors():
    """Return how many processors this process may use.

    Joblib looks this up in files, which takes twice as long as a small network's scores of one image. So its answer is
    kept as long as everything that can change it in a running process stays the same.
    """
    allowed = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return _counted(allowed, os.environ.get("LOKY_MAX_CPU_COUNT"))


@cache
def _counted(allowed, limit):
    """Ask joblib once for each combination of what its answer depends on."""
    return joblib.cpu_count()


def _inside_dask_task():
    """Return whether this Python thread runs a Dask task beside others; joblib does not say."""
    worker = sys.modules.get("distributed.worker")
    return worker is not None and hasattr(worker.thread_state, "execution_state")


def _threads():
    """Import Numba and start its threads when they are first needed; this compiles nothing."""
    from skconvnet.engine.cpu import threads

    return threads
