"""Search: seconds of a GridSearchCV over F and K on scikit-learn's digits, against skorch.

12 candidates, cv=3, n_jobs=2, and the best fitted anew; each search in a process of its own, from the call of fit to
its end: the start of its workers is in it, the imports before it are not. Both sides train the network that
ConvNetClassifier chooses, 20 epochs in minibatches of 32. The processes take turns; what stands in the table are
medians over the rounds.

"kernels" is the most seconds that a fit in a worker took to make its kernels ready: to load them, if nothing is
compiled there. "threads" is the most that a fit in a worker had.
"""

import json
import os
import subprocess
import sys
from statistics import median
from time import perf_counter

import numpy as np
from sklearn.model_selection import GridSearchCV

from benchmarks.datasets import digits
from benchmarks.machine import description, free_openblas, parser_of_rounds, threads
from skconvnet import ConvNetClassifier
from skconvnet.engine import thread_count

F, K = [3, 5, 7], [8, 16, 32, 64]
CV, N_JOBS = 3, 2
TOLD = ("kernels", "threads")


def main():
    command_line = parser_of_rounds(__doc__, rounds=3)
    command_line.add_argument("--epochs", type=int, default=20)
    options = command_line.parse_args()
    free_openblas()
    for name in threads(1):
        os.environ.pop(name, None)  # how many threads a worker has is for joblib to say
    packages = ("numpy", "numba", "scikit-learn", "joblib", "torch", "skorch")
    print(f"{__doc__}\n{description(os.cpu_count(), packages)}\n")

    in_process("warmup")
    names = ("search_ours", "search_skorch")
    rounds = [[in_process(name, options.epochs) for name in names] for _ in range(options.rounds)]
    ours, skorch = zip(*rounds, strict=True)
    our, their = (median(result["seconds"] for result in results) for results in (ours, skorch))
    kernels, most_threads = (max(result[what] for result in ours) for what in ("kernels", "threads"))
    print(f"{'':20} {'seconds':>8} {'accuracy':>9} {'kernels, s':>11} {'threads':>8}")
    print(f"{'ConvNetClassifier':20} {our:8.1f} {ours[0]['accuracy']:9.4f} {kernels:11.2f} {most_threads:8.0f}")
    print(f"{'skorch':20} {their:8.1f} {skorch[0]['accuracy']:9.4f}")
    print(f"{'ratio':20} {their / our:8.2f}")


def in_process(name, *arguments):
    """What a function of this module returns in a process of its own."""
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
        scoring=score_and_tell,
        refit="accuracy",
        cv=CV,
        n_jobs=N_JOBS,
    )
    found = result_of(search, X, y)
    told = {what: max(search.cv_results_[f"split{i}_test_{what}"].max() for i in range(CV)) for what in TOLD}
    return found | told


def score_and_tell(classifier, X, y):
    """The accuracy, and what the worker had for its fit."""
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
    """The seconds that a search takes, and the best accuracy."""
    started = perf_counter()
    search.fit(X, y)
    return {"seconds": perf_counter() - started, "accuracy": float(search.best_score_)}


if __name__ == "__main__":
    main()
