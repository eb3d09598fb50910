"""RELU, TANH, SIGMOID and DROPOUT: the layers that work element by element."""

from dataclasses import dataclass

import numpy as np


def relu(x):
    """max(0, x)."""
    return np.maximum(x, 0.0)


def relu_gradient(d_out, x):
    """The gradient passes where the input was positive."""
    return np.where(x > 0, d_out, 0.0)


def tanh(x):
    """The hyperbolic tangent."""
    return np.tanh(x)


def tanh_gradient(d_out, x):
    """tanh' = 1 - tanh^2."""
    return d_out * (1 - np.tanh(x) ** 2)


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def sigmoid_gradient(d_out, x):
    """sigma' = sigma (1 - sigma)."""
    return d_out * sigmoid(x) * (1 - sigmoid(x))


def dropout(x, mask, rate):
    """x / (1 - rate) where `mask` is true, else zero. Applied to d_out, it is the gradient.

    Source: N. Srivastava et al., "Dropout" (2014), but divided in training instead of multiplied in inference.
    """
    return np.where(mask, x / (1 - rate), 0.0)


@dataclass(frozen=True)
class Relu:
    """RELU."""

    def forward(self, x):
        return relu(x)

    def backward(self, d_out, x):
        return (relu_gradient(d_out, x),)


@dataclass(frozen=True)
class Tanh:
    """TANH."""

    def forward(self, x):
        return tanh(x)

    def backward(self, d_out, x):
        return (tanh_gradient(d_out, x),)


@dataclass(frozen=True)
class Sigmoid:
    """SIGMOID."""

    def forward(self, x):
        return sigmoid(x)

    def backward(self, d_out, x):
        return (sigmoid_gradient(d_out, x),)


@dataclass(frozen=True)
class Dropout:
    """DROPOUT in training. `mask(number, shape)` is the mask of DROPOUT number `number` of the network, from 0.

    Called twice with the same arguments, it must return the same mask.
    """

    rate: float
    number: int
    mask: object

    def forward(self, x):
        return dropout(x, self.mask(self.number, x.shape), self.rate)

    def backward(self, d_out, x):
        return (dropout(d_out, self.mask(self.number, x.shape), self.rate),)
