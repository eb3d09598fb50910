"""Whole networks: their oracle layers, scores, loss, gradients and running statistics.

"Walk order" is the order of the text, branch after branch.
"""

import itertools
from dataclasses import replace

import numpy as np

from tests.oracles.activations import Dropout, Gelu, Hsigmoid, Hswish, Prelu, Relu, Relu6, Sigmoid, Tanh
from tests.oracles.branches import BRANCHES, Gate, Skip, Stack, Sum, output_of, run, run_back
from tests.oracles.convolution import Conv, FullyConnected
from tests.oracles.loss import softmax_cross_entropy, softmax_cross_entropy_gradient
from tests.oracles.normalisation import BatchNorm, FixedNorm, LayerNorm, LocalResponseNorm
from tests.oracles.pooling import AveragePool, MaxPool

LEARNING = (Conv, FullyConnected, BatchNorm, FixedNorm, LayerNorm, Prelu)


def layers_of(bound_layers, mask=None):
    """The oracles, in training, of the layers of a bound architecture, found by the names of their classes.

    `mask(number, shape)` is needed if there is DROPOUT. It returns an array of shape (n, rows, columns, depth) with 1
    where the layer keeps its input and 0 elsewhere. `number` counts the network's DROPOUT layers from 0, in walk order.
    """
    return oracles_of(bound_layers, mask, itertools.count())


def oracles_of(bound_layers, mask, numbers):
    layers = []
    for bound in bound_layers:
        kind = type(bound).__name__
        if kind in BRANCHES_OF:
            layers.append(BRANCHES_OF[kind](tuple(oracles_of(branch, mask, numbers) for branch in bound.branches)))
        elif kind == "BoundDropout":
            layers.append(Dropout(bound.rate, next(numbers), mask))
        else:
            layers.append(LAYER_OF[kind](bound))
    return layers


BRANCHES_OF = {"BoundSum": Sum, "BoundStack": Stack, "BoundGate": Gate}


def extent_of(bound):
    return (bound.output.height, bound.output.width)


def pool_of(bound):
    place = bound.F, bound.S, bound.P, extent_of(bound)
    return MaxPool(*place) if bound.mode == "max" else AveragePool(*place, bound.padding == "counted")


def norm_of(bound):
    if bound.mode == "batch":
        return BatchNorm(bound.momentum, bound.eps)
    if bound.mode == "layer":
        return LayerNorm(bound.eps)
    return LocalResponseNorm(bound.size, bound.alpha, bound.beta, bound.k)


LAYER_OF = {
    "BoundConv": lambda bound: Conv(bound.S, bound.P, extent_of(bound), bound.groups, bound.dilation),
    "BoundPool": pool_of,
    "BoundNorm": norm_of,
    "BoundRelu": lambda bound: Relu(),
    "BoundRelu6": lambda bound: Relu6(),
    "BoundPrelu": lambda bound: Prelu(),
    "BoundTanh": lambda bound: Tanh(),
    "BoundSigmoid": lambda bound: Sigmoid(),
    "BoundHsigmoid": lambda bound: Hsigmoid(),
    "BoundHswish": lambda bound: Hswish(),
    "BoundGelu": lambda bound: Gelu(),
    "BoundSkip": lambda bound: Skip(),
    "BoundFC": lambda bound: FullyConnected(extent_of(bound)),
}


def in_inference(layers, running=()):
    """The layers in inference: each NORM(batch) with its (mean, variance) of `running`, in walk order; no DROPOUT."""
    return fixed(layers, iter(running))


def fixed(layers, running):
    found = []
    for layer in layers:
        if isinstance(layer, BRANCHES):
            layer = replace(layer, branches=tuple(fixed(branch, running) for branch in layer.branches))
        elif isinstance(layer, BatchNorm):
            mean, variance = (np.asarray(statistic, dtype=float) for statistic in next(running))
            layer = FixedNorm(mean, variance, layer.eps)
        elif isinstance(layer, Dropout):
            layer = Skip()
        found.append(layer)
    return found


def volumes(layers, parameters, x):
    """The input and the output of each layer: len(layers) + 1 arrays.

    `parameters` has one (weights, biases) for each CONV and FC and one (scale, shift) for each NORM that learns, and
    one (slopes, empty) for each PRELU, in walk order.
    """
    return run(layers, per_layer(layers, iter(parameters)), np.asarray(x, dtype=float))


def forward(layers, parameters, x, running=()):
    """Class scores, (n, classes), of the images x in inference. `running` is that of `in_inference`."""
    return volumes(in_inference(layers, running), parameters, x)[-1].reshape(len(x), -1)


def mean_loss(layers, parameters, x, targets, weights=None, label_smoothing=0.0):
    """The weighted mean softmax cross-entropy of the images x in training."""
    return softmax_cross_entropy(training_scores(layers, parameters, x), targets, weights, label_smoothing)


def training_scores(layers, parameters, x):
    """Scores, (n, outputs), of the images x in training."""
    return volumes(layers, parameters, x)[-1].reshape(len(x), -1)


def gradients(layers, parameters, x, targets, weights=None, label_smoothing=0.0):
    """Gradients of `mean_loss`: one (d_weights, d_biases) for each (weights, biases) of `parameters`."""
    options = {"targets": targets, "weights": weights, "label_smoothing": label_smoothing}
    return gradients_of(layers, parameters, x, lambda scores: softmax_cross_entropy_gradient(scores, **options))


def gradients_of(layers, parameters, x, loss_gradient):
    """Gradients, as those of `mean_loss`, of a loss whose gradient by the scores is `loss_gradient(scores)`."""
    nested, x = per_layer(layers, iter(parameters)), np.asarray(x, dtype=float)
    out = output_of(layers, nested, x)
    d_out = loss_gradient(out.reshape(len(x), -1)).reshape(out.shape)
    return list(in_walk_order(layers, run_back(layers, nested, x, d_out)[1]))


def running_after(layers, parameters, x, running):
    """Running (mean, variance) of each NORM(batch), in walk order, after one batch x in training."""
    nested = per_layer(layers, iter(parameters))
    batches = inputs_of(BatchNorm, layers, nested, np.asarray(x, dtype=float))
    return [layer.running_after(batch, *pair) for (layer, batch), pair in zip(batches, running, strict=True)]


def per_layer(layers, pairs):
    """The float64 parameters of each layer: (weights, biases), one such list for each branch, or ()."""
    nested = []
    for layer in layers:
        if isinstance(layer, BRANCHES):
            nested.append(tuple(per_layer(branch, pairs) for branch in layer.branches))
        elif isinstance(layer, LEARNING):
            nested.append(tuple(np.asarray(array, dtype=float) for array in next(pairs)))
        else:
            nested.append(())
    return nested


def in_walk_order(layers, nested):
    """The pairs of `per_layer`, one after another."""
    for layer, own in zip(layers, nested, strict=True):
        if isinstance(layer, BRANCHES):
            for branch, of_branch in zip(layer.branches, own, strict=True):
                yield from in_walk_order(branch, of_branch)
        elif own:
            yield own


def inputs_of(kind, layers, nested, x):
    """(layer, its input) of each layer of a class, in walk order. `nested` is what `per_layer` returns."""
    for layer, own, below in zip(layers, nested, run(layers, nested, x), strict=False):
        if isinstance(layer, BRANCHES):
            for branch, of_branch in zip(layer.branches, own, strict=True):
                yield from inputs_of(kind, branch, of_branch, below)
        elif isinstance(layer, kind):
            yield layer, below
