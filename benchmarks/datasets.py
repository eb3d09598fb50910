"""Real images."""

import gzip
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts it


def digits():
    """X (1797, 64) float64 rows of 8x8 grey images, and y."""
    return load_digits(return_X_y=True)


def fashion_mnist():
    """X_train (60000, 784), X_test (10000, 784), both uint8 rows of 28x28 grey images, y_train and y_test."""
    if FASHION_MNIST.exists():
        X_train, X_test = (idx(f"{part}-images-idx3-ubyte.gz").reshape(-1, 784) for part in ("train", "t10k"))
        y_train, y_test = (idx(f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k"))
        return X_train, X_test, y_train, y_test
    X, y = fetch_openml("Fashion-MNIST", version=1, return_X_y=True, as_frame=False)
    X, y = X.astype(np.uint8), y.astype(np.uint8)
    return X[:60_000], X[60_000:], y[:60_000], y[60_000:]


def idx(name):
    """The bytes of a gzipped idx file: four bytes of type and rank, the sizes as big-endian int32, and the array."""
    content = gzip.decompress((FASHION_MNIST / name).read_bytes())
    rank = content[3]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(np.frombuffer(content, ">i4", rank, offset=4))
