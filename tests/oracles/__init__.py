"""Slow reference implementations of what the package computes: plain loops in float64, as the sums are defined.

The oracles never import the package, which is tested against them. The tests of this folder compare the oracles with
arrays computed by hand, finite differences and PyTorch.

There is one module for each family of layers, with the functions first and the layers that use them after. A layer has

    forward(x, *parameters)          -> out
    backward(d_out, x, *parameters)  -> d_x, *d_parameters

where `parameters` are its two arrays, none, or one list for each branch. Settings, such as the stride, are its fields.

Conventions
-----------
x, out
    Activations, (n, rows, columns, depth). Behind an FC layer (n, 1, 1, units).
d_out, d_x
    Gradients of the loss with respect to `out` and `x`, with the same shapes.
filters, biases
    Of CONV: (F, F, C / groups, K) and (K,). Biases have shape (0,) where the layer has none.
weights, biases
    Of FC: (inputs, outputs) and (outputs,). Inputs are in (row, column, channel) order.
scale, shift
    Of NORM: (C,).
slopes
    Of PRELU: (C,).
F, S, P
    Receptive field, stride and zero-padding.
extent
    (rows, columns) of the output. It says which way a layer rounds where (W - F + 2P)/S + 1 is not a whole number.
    Rounded down, the last pixels are ignored. Rounded up, CONV reads zeros behind the padded image and POOL clips.
"""

# Callers write `oracles.max_pool` and need not know the family.
# ruff: noqa: F403
from tests.oracles.activations import *
from tests.oracles.branches import *
from tests.oracles.convolution import *
from tests.oracles.differences import *
from tests.oracles.loss import *
from tests.oracles.networks import *
from tests.oracles.normalisation import *
from tests.oracles.optimizers import *
from tests.oracles.pooling import *
