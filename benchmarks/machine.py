"""The machine that all sides share: its threads, its processes, its description."""

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
    """A process of its own, since PyTorch and Numba each bring an OpenMP runtime.

    All sides get the same number of threads, and an OpenBLAS that is free to choose its kernels. The sides take turns:
    `run` returns when the work is done, so one is idle while the other is measured.
    """

    def __init__(self, n_threads):
        free_openblas()
        os.environ.update(threads(n_threads))  # which the process begins with, as it begins here
        self.process = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))
        self.run(os.getpid)

    def run(self, function, *arguments):
        """What function(*arguments) returns there."""
        return self.process.submit(function, *arguments).result()


def threads(count):
    """The environment that gives every library so many threads."""
    return dict.fromkeys(_THREADS, str(count))


def free_openblas():
    """Forget the kernels that the environment chose for OpenBLAS: a current numpy is slower with them."""
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)


def alternate(n_rounds, *turns):
    """The medians of what the turns return, in rounds of one turn each."""
    rounds = [[turn() for turn in turns] for _ in range(n_rounds)]
    return [median(results) for results in zip(*rounds, strict=True)]


def calls_per_second(function, seconds):
    """Of calling `function` for so long; the first call, which may compile or allocate, is not counted."""
    function()
    n_calls, started = 0, perf_counter()
    while perf_counter() - started < seconds:
        function()
        n_calls += 1
    return n_calls / (perf_counter() - started)


def sgemm_flops(seconds):
    """Floating-point operations a second of numpy's product of two square matrices: what is called the sgemm peak."""
    return 2 * _SGEMM_EXTENT**3 * calls_per_second(_sgemm(), seconds)


@cache
def _sgemm():
    a, b = np.random.default_rng(0).random((2, _SGEMM_EXTENT, _SGEMM_EXTENT), np.float32)
    product = np.empty_like(a)
    return lambda: np.matmul(a, b, out=product)


def fit_and_score(classifier, X_train, X_test, y_train, y_test):
    """(test accuracy, seconds that fit took, seconds of compiling before that)."""
    started = perf_counter()
    classifier.fit(X_train, y_train)
    elapsed = perf_counter() - started
    compiling = getattr(classifier, "compile_time_", 0.0)
    return classifier.score(X_test, y_test), elapsed - compiling, compiling


def parser(doc):
    """The command line of a benchmark, with the number of threads."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each side; the default is all")
    return parser


def parser_of_rounds(doc, rounds, seconds=None):
    """That with the number of rounds, and the seconds of one round of one side."""
    command_line = parser(doc)
    command_line.add_argument("--rounds", type=int, default=rounds, help=f"of which the medians are; {rounds}")
    if seconds is not None:
        command_line.add_argument("--seconds", type=float, default=seconds, help=f"of one side in a round; {seconds:g}")
    return command_line


def n_threads(doc):
    """The number of threads that the user asks for."""
    return parser(doc).parse_args().threads


def description(n_threads, packages=("numpy", "numba", "scikit-learn", "torch")):
    """One line: processor, threads, versions, and how busy the machine was before (0.0 is how it should be)."""
    versions = ", ".join(f"{name} {version_of(name)}" for name in packages)
    return f"{processor()}, {n_threads} threads; {versions}; load {os.getloadavg()[0]:.1f}"


def version_of(package):
    """The package's version, where it is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def processor():
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
