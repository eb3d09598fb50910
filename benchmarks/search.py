"""Seconds of a GridSearchCV over F and K on scikit-learn's digits, against skorch.

12 candidates, cv=3, n_jobs=2, and a refit of the best. Each search runs in its own process, and the time is that of
GridSearchCV.fit: it includes the start of the workers, but not the imports. Both sides train the network that
ConvNetClassifier chooses, for 20 epochs in minibatches of 32. The processes take turns, and the table has the medians
over the rounds; "ratio" is the median of the ratios round by round, with the least and the greatest.

"kernels" is the longest time in which a fit in a worker compiled or loaded kernels. "threads" is the largest number of
threads of a fit in a worker.
"""

import json
import os
import subprocess
import sys
from statistics import median
from time import perf_counter

import numpy as np
from sklearn.model_selection import GridSearchCV

from benchmarks.arguments import whole_number
from benchmarks.datasets import digits
from benchmarks.machine import description, free_openblas, parser_of_rounds, ratio, threads, warn_if_busy
from benchmarks.peers import require
from skconvnet import ConvNetClassifier
from skconvnet.engine import thread_count

F, K = [3, 5, 7], [8, 16, 32, 64]
CV, N_JOBS = 3, 2
EXTRA_SCORES = ("kernels", "threads")


def main():
    command_line = parser_of_rounds(__doc__, rounds=3)
    command_line.add_argument("--epochs", type=whole_number(1), default=20)
    options = command_line.parse_args()
    require(command_line, "torch", "skorch")
    free_openblas()
    for name in threads(1):
        os.environ.pop(name, None)  # joblib sets the number of threads in its workers
    packages = ("numpy", "numba", "scikit-learn", "joblib", "torch", "skorch")
    print(f"{__doc__}\n{description(os.cpu_count(), packages)}\n")
    warn_if_busy(1)  # --threads does not change what this benchmark runs

    in_process("warmup")
    names = ("search_ours", "search_skorch")
    rounds = [[in_process(name, options.epochs) for name in names] for _ in range(options.rounds)]
    ours, skorch = zip(*rounds, strict=True)
    our, their = ([result["seconds"] for result in results] for results in (ours, skorch))
    kernels, most_threads = (max(result[what] for result in ours) for what in ("kernels", "threads"))
    print(f"{'':20} {'seconds':>8} {'accuracy':>9} {'kernels, s':>11} {'threads':>8}")
    print(f"{'ConvNetClassifier':20} {median(our):8.1f} {ours[0]['accuracy']:9.4f} {kernels:11.2f} {most_threads:8.0f}")
    print(f"{'skorch':20} {median(their):8.1f} {skorch[0]['accuracy']:9.4f}")
    print(f"{'ratio':20}   {ratio(their, our)}")


def in_process(name, *arguments):
    """Return the result of a function of this module in a new process."""
    call = f"import json; from benchmarks import search; print(json.dumps(search.{name}(*{arguments})))"
    done = subprocess.run([sys.executable, "-c", call], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def warmup():
    """Fill the cache of kernels."""
    from skconvnet.engine.warmup import warmup

    return warmup().seconds


def search_ours(n_epochs):
    X, y = digits()
    search = GridSearchCV(
        ConvNetClassifier(max_iter=n_epochs, batch_size=32, random_state=0),
        {"F": F, "K": K},
        scoring=scores_of,
        refit="accuracy",
        cv=CV,
        n_jobs=N_JOBS,
    )
    found = result_of(search, X, y)
    extra = {name: max(search.cv_results_[f"split{i}_test_{name}"].max() for i in range(CV)) for name in EXTRA_SCORES}
    return found | extra


def scores_of(classifier, X, y):
    """Return the accuracy, and the seconds for kernels and the number of threads in this worker."""
    return {
        "accuracy": classifier.score(X, y),
        "kernels": classifier.compile_time_,
        "threads": float(thread_count(classifier.n_jobs)),
    }


def search_skorch(n_epochs):
    from benchmarks.peers import skorch_classifier

    X, y = digits()
    classifier = skorch_classifier("auto", (8, 8, 1), 10, max_iter=n_epochs, batch_size=32, F=F[0], K=K[0])
    search = GridSearchCV(classifier, {"module__F": F, "module__K": K}, cv=CV, n_jobs=N_JOBS)
    return result_of(search, ((X - X.mean()) / X.std()).astype(np.float32), y)


def result_of(search, X, y):
    """Return the seconds of a search, and the best accuracy."""
    started = perf_counter()
    search.fit(X, y)
    return {"seconds": perf_counter() - started, "accuracy": float(search.best_score_)}


if __name__ == "__main__":
    main()
