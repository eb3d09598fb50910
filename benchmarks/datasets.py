"""The data sets that benchmarks fit."""

import gzip
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

from skconvnet.data.folder import load_image_folder

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist


def digits():
    """Return X (1797, 64), float64 rows of 8x8 grey images, and y."""
    return load_digits(return_X_y=True)


def fashion_mnist():
    """Return X_train (60000, 784) and X_test (10000, 784), uint8 rows of 28x28 grey images, y_train and y_test."""
    if FASHION_MNIST.exists():
        X_train, X_test = (idx(f"{part}-images-idx3-ubyte.gz").reshape(-1, 784) for part in ("train", "t10k"))
        y_train, y_test = (idx(f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k"))
        return X_train, X_test, y_train, y_test
    X, y = fetch_openml("Fashion-MNIST", version=1, return_X_y=True, as_frame=False)
    X, y = X.astype(np.uint8), y.astype(np.uint8)
    return X[:60_000], X[60_000:], y[:60_000], y[60_000:]


def cifar10(path, cache=None):
    """Return X_train (45000, 32, 32, 3), X_test (5000, 32, 32, 3), both uint8, y_train and y_test with class names.

    Parameters
    ----------
    path : str
        An image folder, or a zip archive of one, with the 50,000 training images of CIFAR-10; 500 per class are held
        out.
    cache : str or None, default=None
        A .npz file for the decoded images: read if it exists, else written.
    """
    if cache is not None and Path(cache).exists():
        with np.load(cache) as decoded:
            X, y = decoded["X"], decoded["y"]
    else:
        X, y = load_image_folder(path, return_X_y=True)
        if cache is not None:
            np.savez(cache, X=X, y=y)
    return train_test_split(X, y, test_size=len(X) // 10, stratify=y, random_state=0)


def idx(name):
    """Read a gzipped idx file: four bytes of type and rank, the sizes as big-endian int32, then the array."""
    content = gzip.decompress((FASHION_MNIST / name).read_bytes())
    rank = content[3]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(np.frombuffer(content, ">i4", rank, offset=4))
