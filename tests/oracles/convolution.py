"""CONV, and FC: the layers that multiply by weights."""

from dataclasses import dataclass

import numpy as np


def conv2d(x, filters, biases, S, P, extent, groups=1):
    """Each neuron is the dot product of its filter and its receptive field, plus the filter's bias if it has one."""
    F, _, _, K = filters.shape
    padded = zero_padded(x, F, S, P, extent)
    out = np.zeros((len(x), *extent, K))
    for n, i, j, k in np.ndindex(out.shape):
        seen = receptive_field(padded, n, i, j, F, S)[:, :, group_slices(k, x.shape[3], K, groups)]
        out[n, i, j, k] = np.sum(seen * filters[:, :, :, k]) + (biases[k] if len(biases) else 0.0)
    return out


def conv2d_weight_gradient(d_out, x, F, S, P, groups=1):
    """The neurons of a depth slice share one filter, so its gradient is the sum over these neurons."""
    C, K = x.shape[3], d_out.shape[3]
    padded = zero_padded(x, F, S, P, d_out.shape[1:3])
    d_filters = np.zeros((F, F, C // groups, K))
    for n, i, j, k in np.ndindex(d_out.shape):
        seen = receptive_field(padded, n, i, j, F, S)[:, :, group_slices(k, C, K, groups)]
        d_filters[:, :, :, k] += d_out[n, i, j, k] * seen
    return d_filters


def conv2d_bias_gradient(d_out):
    """The neurons of a depth slice share one bias."""
    d_biases = np.zeros(d_out.shape[3])
    for n, i, j, k in np.ndindex(d_out.shape):
        d_biases[k] += d_out[n, i, j, k]
    return d_biases


def conv2d_input_gradient(d_out, filters, S, P, input_shape, groups=1):
    """Each neuron adds its gradient to its receptive field. The gradient of the padding is dropped."""
    F, K = len(filters), d_out.shape[3]
    _, height, width, C = input_shape
    d_padded = zero_padded(np.zeros(input_shape), F, S, P, d_out.shape[1:3])
    for n, i, j, k in np.ndindex(d_out.shape):
        d_seen = receptive_field(d_padded, n, i, j, F, S)[:, :, group_slices(k, C, K, groups)]
        d_seen += d_out[n, i, j, k] * filters[:, :, :, k]
    return d_padded[:, P : P + height, P : P + width, :]


def group_slices(k, C, K, groups):
    """The input channels that filter k sees: with two groups, the first half of the filters sees the first half."""
    group = k // (K // groups)
    return slice(group * (C // groups), (group + 1) * (C // groups))


def zero_padded(x, F, S, P, extent):
    """x in a frame of P zeros, with more zeros below and to the right where receptive fields reach over the frame."""
    n_images, height, width, depth = x.shape
    rows = max(P + height + P, (extent[0] - 1) * S + F)
    columns = max(P + width + P, (extent[1] - 1) * S + F)
    padded = np.zeros((n_images, rows, columns, depth))
    padded[:, P : P + height, P : P + width, :] = x
    return padded


def receptive_field(padded, n, i, j, F, S):
    """The F x F pixels of image n, over the full depth, that the neurons at (i, j) see. A view."""
    return padded[n, i * S : i * S + F, j * S : j * S + F, :]


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

    S: int
    P: int
    extent: tuple
    groups: int = 1

    def forward(self, x, filters, biases):
        return conv2d(x, filters, biases, self.S, self.P, self.extent, self.groups)

    def backward(self, d_out, x, filters, biases):
        d_x = conv2d_input_gradient(d_out, filters, self.S, self.P, x.shape, self.groups)
        d_filters = conv2d_weight_gradient(d_out, x, len(filters), self.S, self.P, self.groups)
        return d_x, d_filters, conv2d_bias_gradient(d_out) if len(biases) else np.zeros(0)


@dataclass(frozen=True)
class FullyConnected:
    """FC. Its parameters are weights and biases. On a larger image it slides over `extent` places."""

    extent: tuple = (1, 1)

    def forward(self, x, weights, biases):
        return sliding_fully_connected(x, weights, biases, self.extent)

    def backward(self, d_out, x, weights, biases):
        return fully_connected_gradients(d_out, x, weights)
