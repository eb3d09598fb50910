"""What all benchmarks share: threads, processes, timing, and a description of the machine."""

import argparse
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SGEMM_EXTENT = 2048


class Side:
    """A process for one contestant: PyTorch and Numba each load an OpenMP runtime and cannot share a process.

    All sides get the same number of threads, and an OpenBLAS that chooses its own kernels. `run` returns when the work
    is done, so the other sides are idle while one is measured.
    """

    def __init__(self, n_threads):
        free_openblas()
        os.environ.update(threads(n_threads))  # inherited by the process, which `self.run` starts
        self.process = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))
        self.run(os.getpid)

    def run(self, function, *arguments):
        """Return the result of function(*arguments) in that process."""
        return self.process.submit(function, *arguments).result()


def threads(count):
    """Return the environment variables that give every library this number of threads."""
    return dict.fromkeys(_THREADS, str(count))


def free_openblas():
    """Remove the environment's choice of OpenBLAS kernels, which makes a current numpy slower."""
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)


def alternate(n_rounds, *turns):
    """Call the functions in turn for some rounds; return the median result of each."""
    return [median(results) for results in take_turns(n_rounds, *turns)]


def take_turns(n_rounds, *turns):
    """Call the functions in turn for some rounds; return the results of each, a list of tuples."""
    rounds = [[turn() for turn in turns] for _ in range(n_rounds)]
    return list(zip(*rounds, strict=True))


def calls_per_second(function, seconds):
    """Call `function` repeatedly for some seconds; the first call may compile or allocate and is not counted."""
    function()
    n_calls, started = 0, perf_counter()
    while perf_counter() - started < seconds:
        function()
        n_calls += 1
    return n_calls / (perf_counter() - started)


def sgemm_flops(seconds):
    """Return the sgemm peak: floating-point operations per second of numpy's product of two square matrices."""
    return 2 * _SGEMM_EXTENT**3 * calls_per_second(_sgemm(), seconds)


@cache
def _sgemm():
    a, b = np.random.default_rng(0).random((2, _SGEMM_EXTENT, _SGEMM_EXTENT), np.float32)
    product = np.empty_like(a)
    return lambda: np.matmul(a, b, out=product)


def fit_and_score(classifier, X_train, X_test, y_train, y_test):
    """Return (test accuracy, seconds of fit without compiling, seconds of compiling)."""
    started = perf_counter()
    classifier.fit(X_train, y_train)
    elapsed = perf_counter() - started
    compiling = getattr(classifier, "compile_time_", 0.0)
    return classifier.score(X_test, y_test), elapsed - compiling, compiling


def parser(doc):
    """Return the command line of a benchmark, with the number of threads."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of each side (default: all)")
    return parser


def parser_of_rounds(doc, rounds, seconds=None):
    """Return the command line with the number of rounds, and the seconds of one side in a round."""
    command_line = parser(doc)
    command_line.add_argument("--rounds", type=int, default=rounds, help=f"(default: {rounds})")
    if seconds is not None:
        command_line.add_argument("--seconds", type=float, default=seconds, help=f"of a round (default: {seconds:g})")
    return command_line


def n_threads(doc):
    """Return the number of threads from the command line."""
    return parser(doc).parse_args().threads


def description(n_threads, packages=("numpy", "numba", "scikit-learn", "torch")):
    """Return one line: processor, threads, versions, and the load before the benchmark, which should be 0.0."""
    versions = ", ".join(f"{name} {version_of(name)}" for name in packages)
    return f"{processor()}, {n_threads} threads; {versions}; load {os.getloadavg()[0]:.1f}"


def version_of(package):
    """Return the version of a package, or "missing"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def processor():
    """Return the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
