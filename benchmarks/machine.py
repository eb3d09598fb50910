"""What all benchmarks share: threads, processes, timing, and a description of the machine."""

import argparse
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.arguments import whole_number

_FEATURES = "sse2 avx avx2 fma avx512f avx512_bf16 amx_tile asimd sve".split()  # that kernels of the peers look for
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SGEMM_EXTENT = 2048
_RATIO = len("  1.00 (10.00 to 10.00)")


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


@dataclass(frozen=True)
class Ratio:
    """The median of a ratio over rounds, and its spread: the least and the greatest of a round."""

    median: float
    least: float
    greatest: float

    def __str__(self):
        return f"{self.median:6.2f} ({self.least:.2f} to {self.greatest:.2f})".ljust(_RATIO)


def ratio(ours, theirs):
    """Return the ratio of speeds or seconds that were measured in the same rounds."""
    rounds = [our / their for our, their in zip(ours, theirs, strict=True)]
    return Ratio(median(rounds), min(rounds), max(rounds))


def fastest(contestants):
    """Return the speeds of the contestant that has the greatest median."""
    return max(contestants, key=median)


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


def bare_parser(doc):
    """Return the command line of a benchmark without options: it shows help, and refuses arguments."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def parser(doc):
    """Return the command line of a benchmark, with the number of threads."""
    parser, count = bare_parser(doc), os.cpu_count()
    parser.add_argument("--threads", type=whole_number(1), default=count, help="threads of each side (default: all)")
    return parser


def positive_seconds(text):
    """Read a positive number of seconds from the command line."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"a positive number of seconds is needed, not {text!r}")
    return seconds


def parser_of_rounds(doc, rounds, seconds=None):
    """Return the command line with the number of rounds, and the seconds of one side in a round."""
    command_line = parser(doc)
    command_line.add_argument("--rounds", type=whole_number(1), default=rounds, help=f"(default: {rounds})")
    if seconds is not None:
        of_a_round = f"of a round (default: {seconds:g})"
        command_line.add_argument("--seconds", type=positive_seconds, default=seconds, help=of_a_round)
    return command_line


def n_threads(doc):
    """Return the number of threads from the command line."""
    return parser(doc).parse_args().threads


def description(n_threads, packages=("numpy", "numba", "scikit-learn", "torch")):
    """Return one line: processor and features, threads, versions, and the load before the benchmark: 0.0 if idle."""
    versions = ", ".join(f"{name} {version_of(name)}" for name in packages)
    machine = f"{processor()} ({features()}), {n_threads} threads of {os.cpu_count()}"
    return f"{machine}; {versions}; load {os.getloadavg()[0]:.1f}"


def warn_if_busy(n_threads):
    """Print a warning if other programs use more than half of the machine's threads before a benchmark starts."""
    load = os.getloadavg()[0]
    if load > os.cpu_count() / 2:
        advice = "use --threads 1 or wait" if n_threads > 1 else "wait"
        print(f"other programs use the processors (load {load:.1f}): ratios mean little; {advice}\n", flush=True)


def version_of(package):
    """Return the version of a package, or "missing"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def processor():
    """Return the name of the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def features():
    """Return the vector instructions of the processor that decide which kernels a library chooses."""
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()  # of x86, of ARM
    return " ".join(name for name in _FEATURES if name in flags) or "features unknown"


def _cpuinfo(name):
    """Return what Linux says of the first processor; "" if it says nothing."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith(name)), "")
