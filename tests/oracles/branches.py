"""Sums, stacks and gates of branches, SKIP, and how a chain of layers runs forward and backward."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Skip:
    """SKIP. It returns its input."""

    def forward(self, x):
        return x

    def backward(self, d_out, x):
        return (d_out,)


@dataclass(frozen=True)
class Sum:
    """(A + B): the sum of the branches' outputs. Its parameters are one list for each branch."""

    branches: tuple

    def forward(self, x, *parameters):
        return sum(output_of(branch, own, x) for branch, own in zip(self.branches, parameters, strict=True))

    def backward(self, d_out, x, *parameters):
        """Each branch gets the whole gradient. The input's gradient is the sum over the branches."""
        found = [run_back(branch, own, x, d_out) for branch, own in zip(self.branches, parameters, strict=True)]
        return sum(d_x for d_x, _ in found), *(d_own for _, d_own in found)


@dataclass(frozen=True)
class Stack:
    """(A | B): the branches' outputs, concatenated along the depth. Its parameters are one list for each branch."""

    branches: tuple

    def forward(self, x, *parameters):
        outputs = [output_of(branch, own, x) for branch, own in zip(self.branches, parameters, strict=True)]
        return np.concatenate(outputs, axis=3)

    def backward(self, d_out, x, *parameters):
        """Each branch gets the gradient of its own slices. The input's gradient is the sum over the branches."""
        d_x, d_parameters, first = np.zeros(x.shape), [], 0
        for branch, own in zip(self.branches, parameters, strict=True):
            depth = output_of(branch, own, x).shape[3]
            d_branch, d_own = run_back(branch, own, x, d_out[..., first : first + depth])
            d_x, d_parameters, first = d_x + d_branch, [*d_parameters, d_own], first + depth
        return d_x, *d_parameters


@dataclass(frozen=True)
class Gate:
    """(A * B): the product of the branches' outputs, of which one may have one pixel that multiplies all of the other.

    Its parameters are one list for each branch.
    """

    branches: tuple

    def forward(self, x, *parameters):
        first, second = (output_of(branch, own, x) for branch, own in zip(self.branches, parameters, strict=True))
        return first * second

    def backward(self, d_out, x, *parameters):
        """Each branch gets the gradient times the output of the other. The input's gradient is the sum."""
        outputs = [output_of(branch, own, x) for branch, own in zip(self.branches, parameters, strict=True)]
        d_x, d_parameters = np.zeros(x.shape), []
        for branch, own, output, other in zip(self.branches, parameters, outputs, outputs[::-1], strict=True):
            d_output = d_out * other
            if d_output.shape != output.shape:  # one pixel has a part in every pixel of the product
                d_output = d_output.sum(axis=(1, 2), keepdims=True)
            d_branch, d_own = run_back(branch, own, x, d_output)
            d_x, d_parameters = d_x + d_branch, [*d_parameters, d_own]
        return d_x, *d_parameters


BRANCHES = (Sum, Stack, Gate)


def run(layers, parameters, x):
    """[x, the output of each layer of a chain]. `parameters` has one tuple for each layer, as `per_layer` returns."""
    outputs = [x]
    for layer, own in zip(layers, parameters, strict=True):
        outputs.append(layer.forward(outputs[-1], *own))
    return outputs


def output_of(layers, parameters, x):
    """The output of a chain."""
    return run(layers, parameters, x)[-1]


def run_back(layers, parameters, x, d_out):
    """Gradients of a chain's input and of its parameters, the latter in the form of `parameters`."""
    *inputs, _ = run(layers, parameters, x)
    d_parameters = []
    for layer, own, below in reversed(list(zip(layers, parameters, inputs, strict=True))):
        d_out, *d_own = layer.backward(d_out, below, *own)
        d_parameters.append(tuple(d_own))
    return d_out, d_parameters[::-1]


def run_everywhere(layers, parameters, x):
    """The outputs of all layers in the order of the text, those of branches before what joins them."""
    outputs = []
    for layer, own in zip(layers, parameters, strict=True):
        if isinstance(layer, BRANCHES):
            for branch, of_branch in zip(layer.branches, own, strict=True):
                outputs += run_everywhere(branch, of_branch, x)
        x = layer.forward(x, *own)
        outputs.append(x)
    return outputs
