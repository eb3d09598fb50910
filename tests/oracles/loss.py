"""The loss: softmax and cross-entropy."""

import numpy as np


def softmax(scores):
    """Probabilities, (n, classes), of class scores."""
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def smoothed(targets, n_classes, label_smoothing):
    """The wanted probabilities: each image's class, mixed with the uniform distribution."""
    return (1 - label_smoothing) * np.eye(n_classes)[targets] + label_smoothing / n_classes


def softmax_cross_entropy(scores, targets, weights=None, label_smoothing=0.0):
    """Mean over the images of -sum over the classes of wanted * log(probability), weighted by `weights` (n,)."""
    wanted = smoothed(targets, scores.shape[1], label_smoothing)
    return np.average(-(wanted * np.log(softmax(scores))).sum(axis=1), weights=weights)


def softmax_cross_entropy_gradient(scores, targets, weights=None, label_smoothing=0.0):
    """Gradient of this mean with respect to the scores, (n, classes)."""
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=float)
    wanted = smoothed(targets, scores.shape[1], label_smoothing)
    return (softmax(scores) - wanted) * weights[:, None] / weights.sum()
