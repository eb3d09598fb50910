"""Search on several GPUs
======================

Search with GridSearchCV on several GPUs: every process takes one of them::

    python -m examples.search_gpus --gpus 0 1

A process uses the first GPU that the environment variable CUDA_VISIBLE_DEVICES shows. So `take_gpu` sets it when a
process of joblib begins, before the process asks for a GPU. With ``--device cpu`` the same search runs without any.
The output below is of ``--device cpu --epochs 3 --images 600``.
"""

# sphinx_gallery_thumbnail_path = '_static/step.svg'

import argparse
import os
import platform
import re
import sys
from itertools import count
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skconvnet import ConvNetClassifier

try:
    import fcntl
except ImportError:
    raise SystemExit("This example locks files with fcntl, which Windows does not have.") from None

PARAM_GRID = {"F": [3, 5], "K": [16, 32], "alpha": [0.01, 0.1]}

_held = []  # open files, whose locks end with the process


def main(arguments=None):
    """Search, print the best parameters, and return the search."""
    options = parse(arguments)
    X, y = (values[: options.images] for values in load_digits(return_X_y=True))
    estimator = ConvNetClassifier(device=options.device, max_iter=options.epochs, random_state=0)
    n_jobs = options.jobs or len(options.gpus)
    if n_jobs == 1:  # joblib starts no process
        take_gpu(options.gpus)
    search = GridSearchCV(estimator, PARAM_GRID, cv=3, refit=False, error_score="raise")
    with joblib.parallel_config(backend="loky", n_jobs=n_jobs, initializer=take_gpu, initargs=(options.gpus,)):
        search.fit(X, y)
    print(f"the best: {search.best_score_:.4f} with {search.best_params_}")
    return search


def parse(arguments):
    """Read the command line."""
    command_line = argparse.ArgumentParser(description="Search with GridSearchCV on several GPUs.")
    help_of_gpus = "numbers or UUIDs of nvidia-smi (default: 0)"
    command_line.add_argument("--gpus", nargs="+", type=gpu, default=["0"], metavar="GPU", help=help_of_gpus)
    command_line.add_argument("--jobs", type=number_of_jobs, help="processes (default: one for each GPU)")
    command_line.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    command_line.add_argument("--epochs", type=int, default=5)
    command_line.add_argument("--images", type=int, metavar="N", help="number of images (default: all)")
    return command_line.parse_args(arguments)


def gpu(text):
    """Check the number or UUID of a GPU, which becomes the name of a file."""
    if not re.fullmatch(r"\d+|(GPU|MIG)-[0-9a-fA-F-]+", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number or UUID of nvidia-smi; separate several by spaces: --gpus 0 1"
        )
    return text


def number_of_jobs(text):
    """Read a whole number of 1 or more."""
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def take_gpu(gpus, folder=None):
    """Have this process use one of the GPUs: the first that fewest processes have taken.

    Call it before the process uses a GPU. A lock on a file marks what is taken, and ends with the process, however that
    ends. So processes that start later, or in another search of the same user, take what is free.

    Parameters
    ----------
    gpus : list of str
        Numbers or UUIDs, as nvidia-smi lists them.
    folder : path, optional
        Where the files are; by default below the user's home directory, for each machine.

    Returns
    -------
    str
        The one that was taken, to which CUDA_VISIBLE_DEVICES is set.
    """
    folder = Path(folder or Path.home() / ".cache" / "skconvnet" / "gpus" / platform.node())
    folder.mkdir(parents=True, exist_ok=True)
    for turn in count():
        for gpu in gpus:
            file = open(folder / f"{gpu}.{turn}", "a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            _held.append(file)
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            return gpu


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
