"""Cold start: seconds of whole processes, from the start of Python to its end, against skorch.

Each process fits scikit-learn's digits once: ConvNetClassifier with its defaults, skorch with the same network and as
many epochs. "Empty" processes find no compiled kernels, "warm" processes find them; the system's file cache is warm for
all. The processes take turns, and the table has the medians over the rounds. The processor seconds of a first fit with
an empty cache include those of its helpers. Last come the processor seconds to compile each entry, in one process.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from statistics import median
from time import perf_counter

from benchmarks.machine import alternate, description, free_openblas, parser_of_rounds, threads
from benchmarks.peers import require

NOTHING = "pass"
IMPORT_SKLEARN = "import sklearn.base"
IMPORT = "import skconvnet"
FIT = """
from sklearn.datasets import load_digits
from skconvnet import ConvNetClassifier

X, y = load_digits(return_X_y=True)
classifier = ConvNetClassifier(random_state=0).fit(X, y)
print(classifier.compile_time_)
"""
ENTRIES = """
import logging
from time import process_time
from skconvnet.engine.cpu import compile, machine
from skconvnet.engine.program.instructions import Op

logging.disable()
machine.entries = lambda functions: list(map(timed, functions))

def timed(function):
    started = process_time()
    made = compile.entry(function)
    print(f"{function.__name__:52} {process_time() - started:7.2f} s")
    return made

machine.prepare_all()
"""
IMPORT_SKORCH = "import skorch"
SKORCH_FIT = """
import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn

X, y = load_digits(return_X_y=True)
X = (X - X.mean()) / X.std()
network = nn.Sequential(
    nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(4 * 4 * 32, 128), nn.ReLU(), nn.Linear(128, 10),
)
classifier = NeuralNetClassifier(
    network, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.AdamW, optimizer__fused=True, lr=1e-3,
    max_epochs=20, batch_size=32, iterator_train__shuffle=True, train_split=None, verbose=0,
)
classifier.fit(X.astype(np.float32).reshape(-1, 1, 8, 8), y)
"""


def main():
    command_line = parser_of_rounds(__doc__, rounds=5)
    options = command_line.parse_args()
    require(command_line, "torch", "skorch")
    free_openblas()
    packages = ("numpy", "numba", "scikit-learn", "torch", "skorch")
    print(f"{__doc__}\n{description(options.threads, packages)}\n")
    with tempfile.TemporaryDirectory() as cache:
        loading, working = [], []

        def warm_fit():
            seconds, printed = whole_process(FIT, options.threads, cache)
            loading.append(float(printed))
            return seconds

        def empty_fit():
            with tempfile.TemporaryDirectory() as empty:
                before = processor_seconds()
                seconds, _ = whole_process(FIT, options.threads, empty)
                working.append(processor_seconds() - before)
                return seconds

        def of(source):
            return partial(seconds_of, source, options.threads, cache)

        warm_fit()
        loading.clear()
        turns = {
            "nothing": of(NOTHING),
            "import sklearn.base": of(IMPORT_SKLEARN),
            "import skconvnet": of(IMPORT),
            "first fit, empty": empty_fit,
            "first fit, warm": warm_fit,
            "import skorch": of(IMPORT_SKORCH),
            "first fit, skorch": of(SKORCH_FIT),
        }
        seconds = dict(zip(turns, alternate(options.rounds, *turns.values()), strict=True))
    for what, value in seconds.items():
        print(f"{what:52} {value:7.2f} s")
    print()
    for more, less in (("import skconvnet", "import sklearn.base"), ("first fit, empty", "first fit, warm")):
        print(f"{f'{more}, minus {less}':52} {seconds[more] - seconds[less]:7.2f} s")
    print(f"{'loading compiled kernels':52} {median(loading):7.2f} s")
    print(f"{'first fit, empty, processor seconds':52} {median(working):7.2f} s\n")
    with tempfile.TemporaryDirectory() as empty:
        print(whole_process(ENTRIES, 1, empty)[1])


def whole_process(source, n_threads, cache):
    """Return the seconds of a process from start to end, and its output."""
    started = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=os.environ | threads(n_threads) | {"NUMBA_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return perf_counter() - started, done.stdout


def seconds_of(source, n_threads, cache):
    seconds, _ = whole_process(source, n_threads, cache)
    return seconds


def processor_seconds():
    """Return the processor seconds of all processes that this one has waited for, and of those that they waited for."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
