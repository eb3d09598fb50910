"""Search over F, S, P and K
=========================

Search over F, S, P and K, and compare accuracy with the number of parameters and the time of a fit.

    python -m examples.search_images --plot digits.png
    python -m examples.search_images --data fashion-mnist --images 6000 --plot fashion.png

Every network that fits is cross-validated and gets a line in a table. A star after the number of parameters, or after
the time, marks the Pareto front: no other network is better in accuracy or in this cost without being worse in the
other. The plot shows both fronts. Times are reliable only if nothing else runs, so without `--jobs`.
"""

import argparse
import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.utils import shuffle

from skconvnet import Architecture, ConvNetClassifier, valid_param_grid, warmup
from skconvnet.architecture import Hyperparameters

ARCHITECTURE = "INPUT -> [CONV(round=floor) -> RELU]*2 -> FC"
PARAM_GRID = {"F": [3, 5], "S": [1, (1, 2), (2, 1), 2], "P": ["same", 0], "K": [8, (16, 32), 32]}


def main(arguments=None):
    """Search, print the table, and draw the plot if the command line asks for it."""
    options = parse(arguments)
    X, y, image_shape = load(options.data, options.images)
    estimator = ConvNetClassifier(ARCHITECTURE, max_iter=options.epochs, random_state=0)
    grid = valid_param_grid(estimator, PARAM_GRID, image_shape, n_classes=10, max_params=options.max_params)
    print(f"{len(grid)} networks to search, and {len(grid.dropped)} left out:")
    for params, reason in grid.dropped:
        print(f"    {format_params(params)}: {reason.splitlines()[0]}")
    warmup()  # so that the time of the first candidate includes no compiling
    search = GridSearchCV(estimator, grid, cv=options.cv, n_jobs=options.jobs, error_score="raise").fit(X, y)
    results = results_of(search, image_shape)
    print_table(results)
    print(f"the best: {format_params(search.best_params_)}")
    if options.plot:
        draw(results, options.plot)


def parse(arguments):
    """Read the command line."""
    command_line = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command_line.add_argument("--data", choices=["digits", "fashion-mnist"], default="digits")
    command_line.add_argument("--images", type=int, metavar="N", help="number of images (default: all)")
    command_line.add_argument("--epochs", type=int, default=5)
    command_line.add_argument("--cv", type=int, default=3, help="folds")
    command_line.add_argument("--jobs", type=int, help="processes: n_jobs of GridSearchCV")
    command_line.add_argument("--max-params", type=float, help="leave out larger networks")
    command_line.add_argument("--plot", metavar="FILE", help="write a plot to this file; needs matplotlib")
    return command_line.parse_args(arguments)


def load(data, n_images):
    """Return rows of pixels in random order, their labels, and the image shape."""
    if data == "digits":
        X, y = load_digits(return_X_y=True)
        image_shape = (8, 8, 1)
    else:
        X, y = fashion_mnist()
        image_shape = (28, 28, 1)
    if n_images is not None and not 0 < n_images <= len(X):
        raise ValueError(f"--images {n_images}: there are {len(X):,} images to take from.")
    X, y = shuffle(X, y, random_state=0, n_samples=n_images)
    return X, y, image_shape


def fashion_mnist():
    """Return the 60,000 training images of Fashion-MNIST as rows, and their labels."""
    try:
        from benchmarks import datasets
    except ImportError:
        message = "Fashion-MNIST needs benchmarks/: run python -m examples.search_images in the root of the checkout"
        raise SystemExit(message) from None
    X, _, y, _ = datasets.fashion_mnist()
    return X, y


def results_of(search, image_shape):
    """Return a dict with parameters, accuracy and costs for each candidate, the most accurate first."""
    found = search.cv_results_
    accuracies, seconds = found["mean_test_score"], found["mean_fit_time"]
    n_params = np.array([count_params(params, image_shape) for params in found["params"]])
    fronts = pareto_front(n_params, accuracies), pareto_front(seconds, accuracies)
    names = ("params", "accuracy", "n_params", "seconds", "on_front_of_params", "on_front_of_time")
    columns = (found["params"], accuracies, n_params, seconds, *fronts)
    results = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return sorted(results, key=lambda row: -row["accuracy"])


def count_params(params, image_shape):
    """Count the weights and biases of a candidate."""
    return Architecture.parse(ARCHITECTURE).summary(image_shape, 10, Hyperparameters(**params)).n_params


def pareto_front(costs, accuracies):
    """Find the candidates that no other candidate beats in one respect without being worse in the other.

    Parameters
    ----------
    costs, accuracies : ndarray of shape (n,)

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    as_good = (costs <= costs[:, None]) & (accuracies >= accuracies[:, None])  # row i, column j: j is as good as i
    better = (costs < costs[:, None]) | (accuracies > accuracies[:, None])
    return ~(as_good & better).any(axis=1)


def print_table(results):
    """Print a numbered line for each candidate."""
    print(f"\n{'':4} {'accuracy':>8} {'parameters':>12} {'fit, s':>9}   network")
    for number, row in enumerate(results, start=1):
        by_params, by_time = ("*" if row[name] else " " for name in ("on_front_of_params", "on_front_of_time"))
        print(
            f"{number:4} {row['accuracy']:8.4f} {row['n_params']:11,}{by_params} {row['seconds']:8.3f}{by_time}   "
            f"{format_params(row['params'])}"
        )


def format_params(params):
    """Return parameters as text."""
    return ", ".join(f"{name}={value}" for name, value in params.items())


def draw(results, file):
    """Draw accuracy against parameters and against time, with the fronts as steps."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install 'skconvnet[search]'") from None
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    draw_panel(panels[0], results, "n_params", "on_front_of_params", "parameters")
    draw_panel(panels[1], results, "seconds", "on_front_of_time", "seconds of a fit")
    panels[0].set_ylabel("accuracy, cross-validated")
    figure.savefig(file, dpi=120)


def draw_panel(axes, results, cost, on_front, label):
    """Draw the candidates, and number those on the front as in the table."""
    axes.scatter([row[cost] for row in results], [row["accuracy"] for row in results], color="0.7", s=16)
    front = sorted((row[cost], row["accuracy"], number) for number, row in enumerate(results, 1) if row[on_front])
    costs, accuracies, numbers = zip(*front, strict=True)
    axes.step(costs, accuracies, where="post", marker="o", color="C1", label="Pareto front")
    for place, number in zip(zip(costs, accuracies, strict=True), numbers, strict=True):
        axes.annotate(number, place, xytext=(-3, 4), textcoords="offset points", fontsize=8, ha="right")
    axes.set(xscale="log", xlabel=label)
    axes.legend(loc="lower right")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # a value on the command line
        sys.exit(f"error: {error}")
