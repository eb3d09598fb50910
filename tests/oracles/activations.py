"""Activation functions and DROPOUT: the layers that work element by element."""

from dataclasses import dataclass

import numpy as np
from scipy.special import erf


def relu(x):
    """max(0, x)."""
    return np.maximum(x, 0.0)


def relu_gradient(d_out, x):
    """The gradient passes where the input was positive."""
    return np.where(x > 0, d_out, 0.0)


def relu6(x):
    """min(max(0, x), 6)."""
    return np.minimum(relu(x), 6.0)


def relu6_gradient(d_out, x):
    """The gradient passes where the input was between 0 and 6."""
    return np.where((x > 0) & (x < 6), d_out, 0.0)


def prelu(x, slopes):
    """X where x is positive, elsewhere x times the slope of its depth slice.

    Source: K. He et al., "Delving Deep into Rectifiers" (2015), equation 1.
    """
    return np.where(x > 0, x, slopes * x)


def prelu_gradients(d_out, x, slopes):
    """Gradients of the input and of the slopes: equation 3 of the paper."""
    return np.where(x > 0, d_out, slopes * d_out), (d_out * np.minimum(x, 0)).sum(axis=(0, 1, 2))


def hsigmoid(x):
    """The hard sigmoid: relu6(x + 3) / 6."""
    return relu6(x + 3) / 6


def hsigmoid_gradient(d_out, x):
    """1/6 between -3 and 3."""
    return relu6_gradient(d_out, x + 3) / 6


def hswish(x):
    """x hsigmoid(x).

    Source: A. Howard et al., "Searching for MobileNetV3" (2019), section 5.2.
    """
    return x * hsigmoid(x)


def hswish_gradient(d_out, x):
    """The product rule."""
    return d_out * hsigmoid(x) + x * hsigmoid_gradient(d_out, x)


def gelu(x):
    """x Phi(x), where Phi is the distribution function of the standard normal.

    Source: D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units" (2016), section 2.
    """
    return x * (1 + erf(x / np.sqrt(2))) / 2


def gelu_gradient(d_out, x):
    """(x Phi)' = Phi + x phi, with phi(x) = exp(-x^2/2) / sqrt(2 pi)."""
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return d_out * ((1 + erf(x / np.sqrt(2))) / 2 + x * density)


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
class Relu6:
    """RELU6."""

    def forward(self, x):
        return relu6(x)

    def backward(self, d_out, x):
        return (relu6_gradient(d_out, x),)


@dataclass(frozen=True)
class Prelu:
    """PRELU. Its second array of parameters is empty."""

    def forward(self, x, slopes, _):
        return prelu(x, slopes)

    def backward(self, d_out, x, slopes, _):
        return *prelu_gradients(d_out, x, slopes), np.zeros(0)


@dataclass(frozen=True)
class Hsigmoid:
    """HSIGMOID."""

    def forward(self, x):
        return hsigmoid(x)

    def backward(self, d_out, x):
        return (hsigmoid_gradient(d_out, x),)


@dataclass(frozen=True)
class Hswish:
    """HSWISH."""

    def forward(self, x):
        return hswish(x)

    def backward(self, d_out, x):
        return (hswish_gradient(d_out, x),)


@dataclass(frozen=True)
class Gelu:
    """GELU."""

    def forward(self, x):
        return gelu(x)

    def backward(self, d_out, x):
        return (gelu_gradient(d_out, x),)


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
