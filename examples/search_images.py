"""Search over F, S, P and K
=========================

Search over F, S, P and K, and compare accuracy with the number of parameters and the time of a fit::

    python -m examples.search_images --plot digits.png
    python -m examples.search_images --data fashion-mnist --images 6000 --plot fashion.png

Every network that fits is cross-validated and gets a line in a table. A star after the number of parameters, or after
the time, marks the Pareto front: no other network is better in accuracy or in this cost without being worse in the
other. The plot shows both fronts. Times are reliable only if nothing else runs, so without ``--jobs``. The output below
is of ``--images 800 --epochs 8 --cv 2 --max-params 12000 --plot digits.png``.
"""

import argparse
import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier, valid_param_grid, warmup
from skconvnet.inspection import SearchDisplay, search_candidates

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
        print(f"    {format_params(params)}: {reason.partition('. ')[0]}")
    warmup()  # so that the time of the first candidate includes no compiling
    search = GridSearchCV(estimator, grid, cv=options.cv, n_jobs=options.jobs, error_score="raise").fit(X, y)
    candidates = search_candidates(search)
    print_table(candidates)
    print(f"the best: {format_params(search.best_params_)}")
    if options.plot:
        draw(candidates, options.plot)


def parse(arguments):
    """Read the command line."""
    command_line = argparse.ArgumentParser(description="Search over F, S, P and K.")
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


def print_table(candidates):
    """Print a numbered line for each candidate."""
    print(f"\n{'':4} {'accuracy':>8} {'parameters':>12} {'fit, s':>9}   network")
    for number, one in enumerate(candidates, start=1):
        by_params, by_time = ("*" if on_front else " " for on_front in (one.on_front_of_params, one.on_front_of_time))
        print(
            f"{number:4} {one.score:8.4f} {one.n_params:11,}{by_params} {one.seconds:8.3f}{by_time}   "
            f"{format_params(one.params)}"
        )


def format_params(params):
    """Return parameters as text."""
    return ", ".join(f"{name}={value}" for name, value in params.items())


def draw(candidates, file):
    """Draw accuracy against parameters and against time, with the Pareto fronts as steps."""
    try:
        SearchDisplay(candidates, metric="accuracy").plot().figure_.savefig(file, dpi=120)
    except ImportError as error:
        raise SystemExit(f"--plot: {error}") from None


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # a value on the command line
        sys.exit(f"error: {error}")
