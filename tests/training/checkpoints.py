"""Fits with a checkpoint: the cases, what they end in, and how they are killed."""

import json
import os
import re
import stat

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier
from skconvnet.training import checkpoint as _checkpoint

# All that has a state: draws of DROPOUT and augmentation, running statistics, the best weights, a rate that falls.
RICH = {
    "architecture": "INPUT -> CONV(K=6) -> NORM -> RELU -> POOL -> DROPOUT(0.2) -> FC(16) -> RELU -> FC",
    "augment": ["crop", "cutout"],
    "early_stopping": True,
    "learning_rate": "adaptive",
    "learning_rate_init": 0.02,
    "n_iter_no_change": 3,
    "max_iter": 60,
}
CASES = {
    "adaptive, early stopping, dropout, augment": RICH,
    "one-cycle": {"max_iter": 60},
    "sgd, constant": {"solver": "sgd", "learning_rate": "constant", "max_iter": 60},
}


def digits():
    """200 digits as rows of whole numbers, and their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:200].astype(np.uint8), y[:200]


def quick(**parameters):
    """A classifier that fits in a moment."""
    quick = {"architecture": "INPUT -> CONV(K=6) -> RELU -> POOL -> FC", "batch_size": 16, "max_iter": 4}
    return ConvNetClassifier(**quick | {"n_jobs": 1, "random_state": 0} | parameters)


def result(estimator):
    """All that a fit ends in, bit for bit."""
    arrays = [*estimator.coefs_, *estimator.intercepts_, *estimator.norm_means_, *estimator.norm_variances_]
    arrays += [estimator.pixel_mean_, estimator.pixel_scale_]
    numbers = [estimator.loss_curve_, estimator.validation_scores_, estimator.best_loss_]
    numbers += [
        estimator.learning_rate_curve_,
        estimator.best_validation_score_,
        estimator.n_iter_,
        estimator.t_,
        estimator._training_state.seed,
    ]
    return repr(numbers), [array.tobytes() for array in arrays]


class Killed(BaseException):
    """A kill that a test survives."""


def killed_after(n_epochs, monkeypatch, path, X, y, parameters, **fit):
    """Fit until so many checkpoints were written, and no further."""
    written = []

    def write(*arguments):
        if len(written) == n_epochs:
            raise Killed
        written.append(_WRITE(*arguments))

    with monkeypatch.context() as patch:
        patch.setattr(_checkpoint, "write_checkpoint", write)
        with pytest.raises(Killed):
            quick(**parameters, checkpoint=path).fit(X, y, **fit)


_WRITE = _checkpoint.write_checkpoint


def refused(*messages):
    return pytest.raises(ValueError, match=".*".join(map(re.escape, messages)))


def files_in(directory):
    """The bytes of all the files in a directory, by their names."""
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def during_the_write_of_epoch(epoch, path, monkeypatch, happen):
    """Fit a quick network, and have something happen while the checkpoint of an epoch is written."""
    fsync, writes = os.fsync, []

    def sync(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            writes.append(descriptor)
            if len(writes) == epoch:
                happen()
        return fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        return quick(checkpoint=path).fit(*digits())


PARTS = {
    "X": "the images X",
    "y": "the labels y",
    "sample_weight": "the weights (sample_weight, class_weight)",
    "X_val": "the images X_val",
    "y_val": "the labels y_val",
    "sample_weight_val": "the sample_weight_val",
}


DAMAGED = (
    "is damaged, or is not a checkpoint. It was left as it is. Delete or move it to start again, or give another path."
)


def rewritten(path, arrays=(), without=None, **header):
    """Write a checkpoint anew with other entries and right checksums."""
    with np.load(path) as file:
        members = dict(file) | dict(arrays)
    numbers = json.loads(members.pop("header").tobytes()) | header
    numbers.pop(without, None)
    with path.open("wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(numbers).encode(), np.uint8), **members)
