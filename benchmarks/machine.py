"""The machine that both sides share: its threads, its processes, its description."""

import argparse
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter


class Side:
    """A process of its own, since PyTorch and Numba each bring an OpenMP runtime.

    Both sides get the same number of threads, and an OpenBLAS that is free to choose its kernels. The sides take turns:
    `run` returns when the work is done, so one is idle while the other is measured.
    """

    def __init__(self, n_threads):
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            os.environ.pop(name, None)
        os.environ.update(OMP_NUM_THREADS=str(n_threads), NUMBA_NUM_THREADS=str(n_threads))
        self.process = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))

    def run(self, function, *arguments):
        """What function(*arguments) returns there."""
        return self.process.submit(function, *arguments).result()


def fit_and_score(classifier, X_train, X_test, y_train, y_test):
    """(test accuracy, seconds that fit took, seconds of compiling before that)."""
    started = perf_counter()
    classifier.fit(X_train, y_train)
    elapsed = perf_counter() - started
    compiling = getattr(classifier, "compile_time_", 0.0)
    return classifier.score(X_test, y_test), elapsed - compiling, compiling


def n_threads(doc):
    """The number of threads that the user asks for."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each side; the default is all")
    return parser.parse_args().threads


def description(n_threads):
    """One line: processor, threads, versions."""
    packages = ("numpy", "numba", "scikit-learn", "torch")
    return f"{processor()}, {n_threads} threads; " + ", ".join(f"{name} {version(name)}" for name in packages)


def processor():
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
