"""Losses: softmax and sigmoid cross-entropy, squared error, absolute error and Huber's."""

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
    return (softmax(scores) - smoothed(targets, scores.shape[1], label_smoothing)) * shares(scores, weights)


def sigmoid_cross_entropy(scores, targets, weights=None, label_smoothing=0.0):
    """Mean over the images, weighted by `weights` (n,), of the sum of the cross-entropies of the labels.

    `targets` are 0 or 1, (n, labels). The logarithms of the sigmoid and of 1 - sigmoid are -log(1 + exp(-score)) and
    -log(1 + exp(score)).
    """
    wanted = (1 - label_smoothing) * targets + label_smoothing / 2
    losses = wanted * np.logaddexp(0, -scores) + (1 - wanted) * np.logaddexp(0, scores)
    return np.average(losses.sum(axis=1), weights=weights)


def sigmoid_cross_entropy_gradient(scores, targets, weights=None, label_smoothing=0.0):
    """Gradient of this mean with respect to the scores, (n, labels)."""
    wanted = (1 - label_smoothing) * targets + label_smoothing / 2
    return (np.exp(-np.logaddexp(0, -scores)) - wanted) * shares(scores, weights)


def regression_loss(scores, targets, weights=None, function="squared", delta=1.0):
    """Mean over the images, weighted by `weights` (n,), of the mean over the outputs of a function of the residual."""
    away = scores - targets
    losses = {
        "squared": away**2 / 2,
        "absolute": np.abs(away),
        "huber": np.where(np.abs(away) <= delta, away**2 / 2, delta * np.abs(away) - delta**2 / 2),
    }[function]
    return np.average(losses.mean(axis=1), weights=weights)


def regression_loss_gradient(scores, targets, weights=None, function="squared", delta=1.0):
    """Gradient of this mean with respect to the scores, (n, outputs)."""
    away = scores - targets
    slopes = {"squared": away, "absolute": np.sign(away), "huber": np.clip(away, -delta, delta)}[function]
    return slopes * shares(scores, weights) / scores.shape[1]


def shares(scores, weights):
    """The part that each image has in the mean, (n, 1)."""
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=float)
    return weights[:, None] / weights.sum()
