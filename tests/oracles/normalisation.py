"""NORM: batch, layer and local response normalisation."""

from dataclasses import dataclass

import numpy as np


def batch_norm(x, scale, shift, eps):
    """Each depth slice gets mean 0 and variance 1 over all pixels of the batch, then its scale and shift.

    Source: S. Ioffe and C. Szegedy, "Batch Normalization" (2015), algorithm 1, and section 3.2 for CONV.
    """
    out = np.zeros(x.shape)
    for c in range(x.shape[3]):
        mean, variance = mean_and_variance(x[..., c])
        out[..., c] = (x[..., c] - mean) / np.sqrt(variance + eps) * scale[c] + shift[c]
    return out


def batch_norm_gradients(d_out, x, scale, eps):
    """Gradients of the input, the scales and the shifts: section 3 of the paper, equation by equation."""
    d_x, d_scale, d_shift = np.zeros(x.shape), np.zeros(x.shape[3]), np.zeros(x.shape[3])
    for c in range(x.shape[3]):
        d_x[..., c], d_scale[c], d_shift[c] = normalised_gradients(d_out[..., c], x[..., c], scale[c], eps)
    return d_x, d_scale, d_shift


def mean_and_variance(values):
    """Mean and biased variance (divided by the number of values) of all values."""
    mean = values.sum() / values.size
    return mean, ((values - mean) ** 2).sum() / values.size


def batch_norm_inference(x, scale, shift, mean, variance, eps):
    """`batch_norm` with running statistics instead of those of the batch: algorithm 2 of the paper."""
    return (x - mean) / np.sqrt(variance + eps) * scale + shift


def running_statistics(x, mean, variance, momentum):
    """Running mean and variance after a batch, as in PyTorch: the batch has weight `momentum` and unbiased variance.

    A single value has no unbiased variance, and changes neither.
    """
    m = x[..., 0].size
    if m == 1:
        return mean, variance
    batch_mean, batch_variance = np.transpose([mean_and_variance(x[..., c]) for c in range(x.shape[3])])
    unbiased = batch_variance * m / (m - 1)
    return (1 - momentum) * mean + momentum * batch_mean, (1 - momentum) * variance + momentum * unbiased


def layer_norm(x, scale, shift, eps):
    """Each image gets mean 0 and variance 1 over its volume, then each depth slice its scale and shift.

    Source: J. L. Ba et al., "Layer Normalization" (2016), equation 3.
    """
    out = np.zeros(x.shape)
    for n in range(len(x)):
        mean, variance = mean_and_variance(x[n])
        out[n] = (x[n] - mean) / np.sqrt(variance + eps) * scale + shift
    return out


def layer_norm_gradients(d_out, x, scale, eps):
    """Gradients of the input, the scales and the shifts."""
    d_x, d_scale, d_shift = np.zeros(x.shape), np.zeros(x.shape[3]), np.zeros(x.shape[3])
    for n in range(len(x)):
        mean, variance = mean_and_variance(x[n])
        d_x[n] = normalised_gradients(d_out[n] * scale, x[n], 1.0, eps)[0]
        d_scale += (d_out[n] * (x[n] - mean) / np.sqrt(variance + eps)).sum(axis=(0, 1))
        d_shift += d_out[n].sum(axis=(0, 1))
    return d_x, d_scale, d_shift


def normalised_gradients(d_out, x, scale, eps):
    """Gradients of x, scale and shift where all of x is normalised together, with one scale and one shift."""
    m = x.size
    mean, variance = mean_and_variance(x)
    normalised = (x - mean) / np.sqrt(variance + eps)
    d_normalised = d_out * scale
    d_variance = (d_normalised * (x - mean)).sum() * -0.5 * (variance + eps) ** -1.5
    d_mean = -d_normalised.sum() / np.sqrt(variance + eps) + d_variance * (-2 * (x - mean)).sum() / m
    d_x = d_normalised / np.sqrt(variance + eps) + d_variance * 2 * (x - mean) / m + d_mean / m
    return d_x, (d_out * normalised).sum(), d_out.sum()


def local_response_norm(x, size, alpha, beta, k):
    """Each activation, divided by (k + alpha * sum of squares of `size` neighbouring depth slices)^beta.

    Source: A. Krizhevsky et al., "ImageNet Classification with Deep CNNs" (2012), section 3.3.
    """
    out = np.zeros(x.shape)
    for c in range(x.shape[3]):
        out[..., c] = x[..., c] / lrn_base(x, c, size, alpha, k) ** beta
    return out


def local_response_norm_gradient(d_out, x, size, alpha, beta, k):
    """In b_i = a_i / base_i^beta, a_c is the numerator of b_c and is in the base of each i that has c as neighbour."""
    d_x = np.zeros(x.shape)
    for c in range(x.shape[3]):
        d_x[..., c] += d_out[..., c] / lrn_base(x, c, size, alpha, k) ** beta
        for i in range(x.shape[3]):
            if c in slices_around(i, x.shape[3], size):
                d_base = d_out[..., i] * x[..., i] * -beta * lrn_base(x, i, size, alpha, k) ** (-beta - 1)
                d_x[..., c] += d_base * alpha * 2 * x[..., c]
    return d_x


def lrn_base(x, c, size, alpha, k):
    """k + alpha * sum of squares of the slices around c."""
    return k + alpha * sum(x[..., j] ** 2 for j in slices_around(c, x.shape[3], size))


def slices_around(c, depth, size):
    """The `size` slices around c, clipped to the volume. An even number has one more before c than after it."""
    first = c - size // 2
    return range(max(first, 0), min(first + size, depth))


@dataclass(frozen=True)
class BatchNorm:
    """NORM(batch) in training. Its parameters are scale and shift."""

    momentum: float = 0.1
    eps: float = 1e-5

    def forward(self, x, scale, shift):
        return batch_norm(x, scale, shift, self.eps)

    def backward(self, d_out, x, scale, shift):
        return batch_norm_gradients(d_out, x, scale, self.eps)

    def running_after(self, x, mean, variance):
        """The running mean and variance after the batch x."""
        return running_statistics(x, np.asarray(mean, dtype=float), np.asarray(variance, dtype=float), self.momentum)


@dataclass(frozen=True)
class FixedNorm:
    """NORM(batch) in inference, with given running statistics. Its parameters are scale and shift."""

    mean: np.ndarray
    variance: np.ndarray
    eps: float = 1e-5

    def forward(self, x, scale, shift):
        return batch_norm_inference(x, scale, shift, self.mean, self.variance, self.eps)

    def backward(self, d_out, x, scale, shift):
        deviation, axes = np.sqrt(self.variance + self.eps), (0, 1, 2)
        normalised = (x - self.mean) / deviation
        return d_out * scale / deviation, (d_out * normalised).sum(axes), d_out.sum(axes)


@dataclass(frozen=True)
class LayerNorm:
    """NORM(layer). Its parameters are scale and shift."""

    eps: float = 1e-5

    def forward(self, x, scale, shift):
        return layer_norm(x, scale, shift, self.eps)

    def backward(self, d_out, x, scale, shift):
        return layer_norm_gradients(d_out, x, scale, self.eps)


@dataclass(frozen=True)
class LocalResponseNorm:
    """NORM(lrn)."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def forward(self, x):
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def backward(self, d_out, x):
        return (local_response_norm_gradient(d_out, x, self.size, self.alpha, self.beta, self.k),)
