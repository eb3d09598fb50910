"""Layers as the plan sees them: each emits its forward instructions and, beside them, its backward ones."""

from itertools import count

from skconvnet.architecture import walk
from skconvnet.engine.plan.steps.activations import ACTIVATIONS, Dropout, Prelu
from skconvnet.engine.plan.steps.branches import Gate, Stack, Sum
from skconvnet.engine.plan.steps.convolution import Convolution
from skconvnet.engine.plan.steps.depthwise import DepthwiseConvolution, is_depthwise
from skconvnet.engine.plan.steps.loss import (
    AbsoluteError,
    Huber,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
)
from skconvnet.engine.plan.steps.normalisation import BatchNorm, LayerNorm, LocalResponseNorm, RunningNorm
from skconvnet.engine.plan.steps.pooling import AveragePool, MaxPool
from skconvnet.engine.plan.steps.step import backward_chain, forward_chain, mark_gradients, walk_steps
from skconvnet.engine.plan.steps.winograd import WinogradConvolution, has_fewer_products
from skconvnet.engine.weights.layout import learning_layers

__all__ = [
    "AbsoluteError",
    "Huber",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "backward_chain",
    "forward_chain",
    "mark_gradients",
    "steps_of",
    "walk_steps",
]

_POOLS = {"max": MaxPool, "average": AveragePool}
_BRANCHES = {"SUM": Sum, "STACK": Stack, "GATE": Gate}


def steps_of(architecture, layout, target, *, training, frozen=frozenset(), body=frozenset()):
    """Return the steps of a network, with each RELU fused into the step before it where that step can have one.

    Parameters
    ----------
    architecture : BoundArchitecture
        The layers.
    layout : ParameterLayout
        Where their parameters are in the parameter vector.
    target : Target
        The machine.
    training : bool
        Whether DROPOUT drops, and NORM(batch) takes its statistics from the batch.
    frozen : frozenset of str
        The names of layers that do not learn, and score as they do without training.
    body : frozenset of str
        The names of layers whose NORM(batch) keeps its running statistics, and learns scales and shifts.

    Returns
    -------
    list of Step
        In network order.
    """
    slots = {id(layer): slot for layer, slot in zip(learning_layers(architecture), layout.slots, strict=True)}
    if not training:
        frozen = frozenset(layer.name for layer in walk(architecture.layers))
    return _chain(architecture.layers, slots, target, frozen, frozen | body, count())


def _chain(layers, slots, target, frozen, running, dropouts):
    steps = []
    for layer in layers:
        if layer.kind == "RELU" and steps and getattr(steps[-1], "relu", None) is False:
            steps[-1].relu = True
        elif layer.kind == "SKIP" or (layer.kind == "DROPOUT" and layer.name in frozen):
            continue
        else:
            steps.append(_step(layer, slots, target, frozen, running, dropouts))
            if layer.name in frozen:
                steps[-1].learns = False
    return steps


def _step(layer, slots, target, frozen, running, dropouts):
    match layer.kind:
        case "CONV" if has_fewer_products(layer, slots[id(layer)], target):
            return WinogradConvolution(layer, slots[id(layer)])
        case "CONV" if is_depthwise(layer, slots[id(layer)], target):
            return DepthwiseConvolution(layer, slots[id(layer)])
        case "CONV" | "FC":
            return Convolution(layer, slots[id(layer)])
        case "NORM" if layer.mode == "lrn":
            return LocalResponseNorm(layer)
        case "NORM" if layer.mode == "layer":
            return LayerNorm(layer, slots[id(layer)])
        case "NORM":
            return (RunningNorm if layer.name in running else BatchNorm)(layer, slots[id(layer)])
        case "POOL":
            return _POOLS[layer.mode](layer)
        case "PRELU":
            return Prelu(layer, slots[id(layer)])
        case "DROPOUT":
            return Dropout(layer, next(dropouts))
        case "SUM" | "STACK" | "GATE":
            branches = [_chain(branch, slots, target, frozen, running, dropouts) for branch in layer.branches]
            return _BRANCHES[layer.kind](layer, branches)
    return ACTIVATIONS[layer.kind](layer)
