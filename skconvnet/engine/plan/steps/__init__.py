"""Layers as the plan sees them: each writes its forward instructions and, beside them, its backward ones."""

from itertools import count

from skconvnet.engine.plan.steps.activations import Dropout, Relu, Sigmoid, Tanh
from skconvnet.engine.plan.steps.branches import Stack, Sum
from skconvnet.engine.plan.steps.convolution import Convolution
from skconvnet.engine.plan.steps.normalisation import BatchNorm, LayerNorm, LocalResponseNorm
from skconvnet.engine.plan.steps.pooling import AveragePool, MaxPool
from skconvnet.engine.plan.steps.step import backward_chain, forward_chain, mark_gradients, run
from skconvnet.engine.weights.layout import learners

__all__ = ["Convolution", "backward_chain", "forward_chain", "mark_gradients", "run", "steps_of"]

_NORMS = {"batch": BatchNorm, "layer": LayerNorm}
_POOLS = {"max": MaxPool, "average": AveragePool}


def steps_of(architecture, parameters, *, training):
    """Pair layers with their parameters, and let a RELU be part of the step before it where that step can have one.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers.
    parameters : Parameters
        Their places in the parameter vector.
    training : bool
        Whether DROPOUT drops, and NORM(batch) takes its statistics from the batch.

    Returns
    -------
    list of Step
        In network order.
    """
    places = {id(layer): place for layer, place in zip(learners(architecture), parameters.layers, strict=True)}
    return _chain(architecture.layers, places, training, count())


def _chain(layers, places, training, dropouts):
    steps = []
    for layer in layers:
        if layer.kind == "RELU" and steps and getattr(steps[-1], "relu", None) is False:
            steps[-1].relu = True
        elif layer.kind == "SKIP" or (layer.kind == "DROPOUT" and not training):
            continue
        else:
            steps.append(_step(layer, places, training, dropouts))
    return steps


def _step(layer, places, training, dropouts):
    match layer.kind:
        case "CONV" | "FC":
            return Convolution(layer, places[id(layer)])
        case "NORM" if layer.mode == "lrn":
            return LocalResponseNorm(layer)
        case "NORM":
            return _NORMS[layer.mode](layer, places[id(layer)], training)
        case "POOL":
            return _POOLS[layer.mode](layer)
        case "DROPOUT":
            return Dropout(layer, next(dropouts))
        case "SUM" | "STACK":
            branches = [_chain(branch, places, training, dropouts) for branch in layer.branches]
            return (Sum if layer.kind == "SUM" else Stack)(layer, branches)
    return {"RELU": Relu, "TANH": Tanh, "SIGMOID": Sigmoid}[layer.kind](layer)
