"""Accuracy on scikit-learn's digits with the defaults, and with one default changed at a time.

Each row is the mean of three 5-fold cross-validations, shuffled and stratified, each with its own seed for folds and
network; `+-` is the standard deviation over the three. Smaller differences are noise.
"""

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_validate

from benchmarks.datasets import digits
from benchmarks.machine import Side, description, n_threads
from skconvnet import ConvNetClassifier

SEEDS = range(3)
CHANGES = [
    {},
    {"learning_rate_init": 0.002},
    {"learning_rate_init": 0.01},
    {"learning_rate": "constant", "learning_rate_init": 0.001},
    {"solver": "sgd"},
    {"label_smoothing": 0.0},
    {"label_smoothing": 0.2},
    {"alpha": 0.0},
    {"alpha": 0.1},
    {"batch_size": 16},
    {"batch_size": 64},
    {"max_iter": 10},
    {"max_iter": 40},
    {"N": 1},
    {"N": 3},
    {"M": 2},
    {"K": 16},
    {"K": 64},
    {"F": 5},
    {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": (256,)},
]


def main():
    threads = n_threads(__doc__)
    side = Side(threads)
    print(f"{__doc__}\n{description(threads)}\n")
    print(f"{'default changed':56} {'accuracy':>9} {'+-':>7} {'fit, s':>7}")
    for change in CHANGES:
        accuracies, seconds = side.run(cross_validations, change)
        name = ", ".join(f"{name}={value!r}" for name, value in change.items()) or "none"
        print(f"{name:56} {np.mean(accuracies):9.4f} {np.std(accuracies):7.4f} {seconds:7.2f}", flush=True)


def cross_validations(change):
    """Return the accuracy for each seed, and the median seconds of a fit."""
    X, y = digits()
    results = [
        cross_validate(
            ConvNetClassifier(random_state=seed).set_params(**change),
            X,
            y,
            cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        )
        for seed in SEEDS
    ]
    return [result["test_score"].mean() for result in results], np.median([result["fit_time"] for result in results])


if __name__ == "__main__":
    main()
