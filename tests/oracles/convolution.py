"""CONV, and FC: the layers that multiply by weights.

S, P and the dilation are numbers, or (of the rows, of the columns).
"""

from dataclasses import dataclass

import numpy as np


def conv2d(x, filters, biases, S, P, extent, groups=1, dilation=1):
    """Each neuron is the dot product of its filter and its receptive field, plus the filter's bias if it has one."""
    F, K = filters.shape[:2], filters.shape[3]
    padded = zero_padded(x, F, S, P, extent, dilation)
    rows, columns = receptive_fields(extent, F, S, dilation)
    out = np.zeros((len(x), *extent, K))
    for n, i, j, k in np.ndindex(out.shape):
        seen = padded[n, rows[i], columns[j], group_slices(k, x.shape[3], K, groups)]
        out[n, i, j, k] = np.sum(seen * filters[:, :, :, k]) + (biases[k] if len(biases) else 0.0)
    return out


def conv2d_weight_gradient(d_out, x, F, S, P, groups=1, dilation=1):
    """The neurons of a depth slice share one filter, so its gradient is the sum over these neurons."""
    C, K = x.shape[3], d_out.shape[3]
    padded = zero_padded(x, F, S, P, d_out.shape[1:3], dilation)
    rows, columns = receptive_fields(d_out.shape[1:3], F, S, dilation)
    d_filters = np.zeros((*both(F), C // groups, K))
    for n, i, j, k in np.ndindex(d_out.shape):
        seen = padded[n, rows[i], columns[j], group_slices(k, C, K, groups)]
        d_filters[:, :, :, k] += d_out[n, i, j, k] * seen
    return d_filters


def conv2d_bias_gradient(d_out):
    """The neurons of a depth slice share one bias."""
    d_biases = np.zeros(d_out.shape[3])
    for n, i, j, k in np.ndindex(d_out.shape):
        d_biases[k] += d_out[n, i, j, k]
    return d_biases


def conv2d_input_gradient(d_out, filters, S, P, input_shape, groups=1, dilation=1):
    """Each neuron adds its gradient to its receptive field. The gradient of the padding is dropped."""
    F, K = filters.shape[:2], d_out.shape[3]
    (_, height, width, C), (top, left) = input_shape, both(P)
    d_padded = zero_padded(np.zeros(input_shape), F, S, P, d_out.shape[1:3], dilation)
    rows, columns = receptive_fields(d_out.shape[1:3], F, S, dilation)
    for n, i, j, k in np.ndindex(d_out.shape):
        d_seen = d_padded[n, rows[i], columns[j], group_slices(k, C, K, groups)]
        d_seen += d_out[n, i, j, k] * filters[:, :, :, k]
    return d_padded[:, top : top + height, left : left + width, :]


def group_slices(k, C, K, groups):
    """The input channels that filter k sees: with two groups, the first half of the filters sees the first half."""
    group = k // (K // groups)
    return slice(group * (C // groups), (group + 1) * (C // groups))


def both(number):
    """(of the rows, of the columns) of a number, or of what already is both."""
    return (number, number) if np.isscalar(number) else tuple(number)


def reach(F, dilation):
    """Of a filter whose weights see pixels that are `dilation` apart, from the first pixel to the last."""
    return tuple((F - 1) * dilation + 1 for F, dilation in zip(both(F), both(dilation), strict=True))


def zero_padded(x, F, S, P, extent, dilation=1):
    """x in a frame of P zeros, with more zeros below and to the right where receptive fields reach over the frame."""
    (n_images, height, width, depth), (top, left), S = x.shape, both(P), both(S)
    seen = [(last - 1) * S + reached for last, S, reached in zip(extent, S, reach(F, dilation), strict=True)]
    rows, columns = max(top + height + top, seen[0]), max(left + width + left, seen[1])
    padded = np.zeros((n_images, rows, columns, depth))
    padded[:, top : top + height, left : left + width, :] = x
    return padded


def receptive_fields(extent, F, S, dilation):
    """The rows of the padded image that the neurons of each row see, and the columns that those of each column see."""
    axes = zip(extent, reach(F, dilation), both(S), both(dilation), strict=True)
    return [[slice(i * S, i * S + reached, step) for i in range(neurons)] for neurons, reached, S, step in axes]


def fully_connected(x, weights, biases):
    """Every neuron is connected to every number of the input volume."""
    return (x.reshape(len(x), -1) @ weights + biases).reshape(len(x), 1, 1, -1)


def fully_connected_gradients(d_out, x, weights):
    """Gradients of the input, the weights and the biases."""
    rows, d_rows = x.reshape(len(x), -1), d_out.reshape(len(x), -1)
    return (d_rows @ weights.T).reshape(x.shape), rows.T @ d_rows, d_rows.sum(axis=0)


def sliding_fully_connected(x, weights, biases, extent):
    """The FC layer at each place of a larger image, (n, *extent, units). With extent (1, 1), the FC layer itself."""
    height, width = x.shape[1] - extent[0] + 1, x.shape[2] - extent[1] + 1
    out = np.zeros((len(x), *extent, weights.shape[1]))
    for i, j in np.ndindex(*extent):
        out[:, i, j] = fully_connected(x[:, i : i + height, j : j + width], weights, biases)[:, 0, 0]
    return out


@dataclass(frozen=True)
class Conv:
    """CONV. Its parameters are filters and biases."""

    S: int | tuple
    P: int | tuple
    extent: tuple
    groups: int = 1
    dilation: int | tuple = 1

    def forward(self, x, filters, biases):
        return conv2d(x, filters, biases, self.S, self.P, self.extent, self.groups, self.dilation)

    def backward(self, d_out, x, filters, biases):
        rest = (self.groups, self.dilation)
        d_x = conv2d_input_gradient(d_out, filters, self.S, self.P, x.shape, *rest)
        d_filters = conv2d_weight_gradient(d_out, x, filters.shape[:2], self.S, self.P, *rest)
        return d_x, d_filters, conv2d_bias_gradient(d_out) if len(biases) else np.zeros(0)


@dataclass(frozen=True)
class FullyConnected:
    """FC. Its parameters are weights and biases. On a larger image it slides over `extent` places."""

    extent: tuple = (1, 1)

    def forward(self, x, weights, biases):
        return sliding_fully_connected(x, weights, biases, self.extent)

    def backward(self, d_out, x, weights, biases):
        return fully_connected_gradients(d_out, x, weights)
