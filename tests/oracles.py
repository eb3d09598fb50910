"""What the layers compute, slowly and obviously: naive loops in float64, written as the course's texts write the sums.

Independent of the package, which is checked against this module. The module itself is checked in test_oracles.py
against arrays worked out by hand, finite differences and PyTorch.

Conventions
-----------
x, out          activations, (n, rows, columns, depth); behind a FC layer (n, 1, 1, units)
d_out, d_x      gradients of the loss with respect to them, of the same shapes
filters         (F, F, C / groups, K); biases (K,), or (0,) where there are none
weights of FC   (inputs, outputs), the inputs in (row, column, channel) order; biases (outputs,)
scale, shift    of a NORM, (C,)
F, S, P         receptive field, stride, zero-padding
extent          (rows, columns) of a layer's output. Where (W - F + 2P)/S + 1 is no whole number it says which way the
                layer rounds: pixels that no receptive field reaches are ignored, and what overhangs the padded image
                reads as zero (CONV) or is clipped (POOL).
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np

# -- CONV --------------------------------------------------------------------------------------------------------------


def conv2d(x, filters, biases, S, P, extent, groups=1):
    """Each neuron: the dot product of its filter and its receptive field, plus the filter's bias where there is one."""
    F, _, _, K = filters.shape
    padded = zero_padded(x, F, S, P, extent)
    out = np.zeros((len(x), *extent, K))
    for n, i, j, k in np.ndindex(out.shape):
        seen = receptive_field(padded, n, i, j, F, S)[:, :, seen_slices(k, x.shape[3], K, groups)]
        out[n, i, j, k] = np.sum(seen * filters[:, :, :, k]) + (biases[k] if len(biases) else 0.0)
    return out


def conv2d_weight_gradient(d_out, x, F, S, P, groups=1):
    """Every neuron of a depth slice shares one filter, so the filter's gradient is the sum over its neurons."""
    C, K = x.shape[3], d_out.shape[3]
    padded = zero_padded(x, F, S, P, d_out.shape[1:3])
    d_filters = np.zeros((F, F, C // groups, K))
    for n, i, j, k in np.ndindex(d_out.shape):
        seen = receptive_field(padded, n, i, j, F, S)[:, :, seen_slices(k, C, K, groups)]
        d_filters[:, :, :, k] += d_out[n, i, j, k] * seen
    return d_filters


def conv2d_bias_gradient(d_out):
    """Every neuron of a depth slice shares one bias."""
    d_biases = np.zeros(d_out.shape[3])
    for n, i, j, k in np.ndindex(d_out.shape):
        d_biases[k] += d_out[n, i, j, k]
    return d_biases


def conv2d_input_gradient(d_out, filters, S, P, input_shape, groups=1):
    """Every neuron hands its gradient back to its receptive field; what falls on the padding is dropped."""
    F, K = len(filters), d_out.shape[3]
    _, height, width, C = input_shape
    d_padded = zero_padded(np.zeros(input_shape), F, S, P, d_out.shape[1:3])
    for n, i, j, k in np.ndindex(d_out.shape):
        d_seen = receptive_field(d_padded, n, i, j, F, S)[:, :, seen_slices(k, C, K, groups)]
        d_seen += d_out[n, i, j, k] * filters[:, :, :, k]
    return d_padded[:, P : P + height, P : P + width, :]


def seen_slices(k, C, K, groups):
    """The depth slices of the input that filter k sees: of two groups, the first half of the filters the first half."""
    group = k // (K // groups)
    return slice(group * (C // groups), (group + 1) * (C // groups))


def zero_padded(x, F, S, P, extent):
    """x in a frame of P zeros, and further zeros below and to the right where receptive fields overhang the frame."""
    n_images, height, width, depth = x.shape
    rows = max(P + height + P, (extent[0] - 1) * S + F)
    columns = max(P + width + P, (extent[1] - 1) * S + F)
    padded = np.zeros((n_images, rows, columns, depth))
    padded[:, P : P + height, P : P + width, :] = x
    return padded


def receptive_field(padded, n, i, j, F, S):
    """What the neurons of depth column (i, j) see of image n: a view of F x F pixels through the full depth."""
    return padded[n, i * S : i * S + F, j * S : j * S + F, :]


# -- POOL --------------------------------------------------------------------------------------------------------------


def max_pool(x, F, S, P, extent):
    """Each depth slice on its own: the largest pixel of each window."""
    out = np.zeros((len(x), *extent, x.shape[3]))
    for n, i, j, c in np.ndindex(out.shape):
        out[n, i, j, c] = x[(n, *winner(x, n, i, j, c, F, S, P), c)]
    return out


def max_pool_gradient(d_out, x, F, S, P):
    """Each window hands its gradient to its winner."""
    d_x = np.zeros(x.shape)
    for n, i, j, c in np.ndindex(d_out.shape):
        d_x[(n, *winner(x, n, i, j, c, F, S, P), c)] += d_out[n, i, j, c]
    return d_x


def winner(x, n, i, j, c, F, S, P):
    """(row, column) of the first maximum, row by row, of window (i, j) clipped to the image: padding never wins."""
    pixels = window(x.shape, i, j, F, S, P)
    return max(pixels, key=lambda pixel: x[(n, *pixel, c)])  # of equals, max() keeps the first


def average_pool(x, F, S, P, extent):
    """Each depth slice on its own: the mean of the pixels of each window, clipped to the image."""
    out = np.zeros((len(x), *extent, x.shape[3]))
    for n, i, j, c in np.ndindex(out.shape):
        pixels = window(x.shape, i, j, F, S, P)
        out[n, i, j, c] = sum(x[(n, *pixel, c)] for pixel in pixels) / len(pixels)
    return out


def average_pool_gradient(d_out, x, F, S, P):
    """Each window hands every pixel that it averages the same share of its gradient."""
    d_x = np.zeros(x.shape)
    for n, i, j, c in np.ndindex(d_out.shape):
        pixels = window(x.shape, i, j, F, S, P)
        for pixel in pixels:
            d_x[(n, *pixel, c)] += d_out[n, i, j, c] / len(pixels)
    return d_x


def window(shape, i, j, F, S, P):
    """[(row, column)] of the pixels inside the image that window (i, j) sees; F is an int, or (rows, columns)."""
    _, height, width, _ = shape
    F_rows, F_columns = (F, F) if np.isscalar(F) else F
    top, left = i * S - P, j * S - P
    return [
        (row, column)
        for row in range(max(top, 0), min(top + F_rows, height))
        for column in range(max(left, 0), min(left + F_columns, width))
    ]


# -- Element by element ------------------------------------------------------------------------------------------------


def relu(x):
    """max(0, x), element by element."""
    return np.maximum(x, 0.0)


def relu_gradient(d_out, x):
    """The gradient passes where the input was positive."""
    return np.where(x > 0, d_out, 0.0)


def tanh(x):
    """The hyperbolic tangent, element by element."""
    return np.tanh(x)


def tanh_gradient(d_out, x):
    """tanh' = 1 - tanh^2."""
    return d_out * (1 - np.tanh(x) ** 2)


def sigmoid(x):
    """1 / (1 + exp(-x)), element by element."""
    return 1 / (1 + np.exp(-x))


def sigmoid_gradient(d_out, x):
    """sigma' = sigma (1 - sigma)."""
    return d_out * sigmoid(x) * (1 - sigmoid(x))


def dropout(x, mask, rate):
    """What `mask` keeps, divided by the share that is kept; what it does not is zero. Its own gradient, too.

    Source: N. Srivastava et al., "Dropout" (2014), with the division in training instead of a product in inference.
    """
    return np.where(mask, x / (1 - rate), 0.0)


# -- NORM --------------------------------------------------------------------------------------------------------------


def batch_norm(x, scale, shift, eps):
    """Each depth slice on its own: mean 0 and variance 1 over all pixels of the batch, then scaled and shifted.

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
    """Of all the values, each counted alike (the variance divides by their number)."""
    mean = values.sum() / values.size
    return mean, ((values - mean) ** 2).sum() / values.size


def batch_norm_inference(x, scale, shift, mean, variance, eps):
    """The same with the running statistics in the place of the batch's: algorithm 2 of the paper."""
    return (x - mean) / np.sqrt(variance + eps) * scale + shift


def running_statistics(x, mean, variance, momentum):
    """Running mean and variance after a batch, as PyTorch: the batch weighs `momentum`, with its unbiased variance.

    One value alone has no unbiased variance, and leaves both as they are.
    """
    m = x[..., 0].size
    of_batch = [mean_and_variance(x[..., c]) for c in range(x.shape[3])]
    batch_mean = np.array([own[0] for own in of_batch])
    if m == 1:
        return mean, variance
    unbiased = np.array([own[1] for own in of_batch]) * m / (m - 1)
    return (1 - momentum) * mean + momentum * batch_mean, (1 - momentum) * variance + momentum * unbiased


def layer_norm(x, scale, shift, eps):
    """Each image on its own: mean 0 and variance 1 over its volume, then scaled and shifted by depth slices.

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
    """Through values that are normalised together, one scale and one shift: gradients of x, scale and shift."""
    m = x.size
    mean, variance = mean_and_variance(x)
    normalised = (x - mean) / np.sqrt(variance + eps)
    d_normalised = d_out * scale
    d_variance = (d_normalised * (x - mean)).sum() * -0.5 * (variance + eps) ** -1.5
    d_mean = -d_normalised.sum() / np.sqrt(variance + eps) + d_variance * (-2 * (x - mean)).sum() / m
    d_x = d_normalised / np.sqrt(variance + eps) + d_variance * 2 * (x - mean) / m + d_mean / m
    return d_x, (d_out * normalised).sum(), d_out.sum()


def local_response_norm(x, size, alpha, beta, k):
    """Each activation, divided by (k + alpha * the sum of the squares in the slices around its own)^beta.

    Source: A. Krizhevsky et al., "ImageNet Classification with Deep CNNs" (2012), section 3.3.
    """
    out = np.zeros(x.shape)
    for c in range(x.shape[3]):
        out[..., c] = x[..., c] / lrn_base(x, c, size, alpha, k) ** beta
    return out


def local_response_norm_gradient(d_out, x, size, alpha, beta, k):
    """Of b_i = a_i / base_i^beta: a_c is the numerator of b_c, and in the base of each i that has c around it."""
    d_x = np.zeros(x.shape)
    for c in range(x.shape[3]):
        d_x[..., c] += d_out[..., c] / lrn_base(x, c, size, alpha, k) ** beta
        for i in range(x.shape[3]):
            if c in slices_around(i, x.shape[3], size):
                d_base = d_out[..., i] * x[..., i] * -beta * lrn_base(x, i, size, alpha, k) ** (-beta - 1)
                d_x[..., c] += d_base * alpha * 2 * x[..., c]
    return d_x


def lrn_base(x, c, size, alpha, k):
    """k + alpha * the sum of the squares in the slices around c."""
    return k + alpha * sum(x[..., j] ** 2 for j in slices_around(c, x.shape[3], size))


def slices_around(c, depth, size):
    """`size` slices, those outside the volume left out; of an even number one more lies before c than behind it."""
    first = c - size // 2
    return range(max(first, 0), min(first + size, depth))


# -- FC ----------------------------------------------------------------------------------------------------------------


def fully_connected(x, weights, biases):
    """Every neuron is connected to every number of the volume below."""
    return (x.reshape(len(x), -1) @ weights + biases).reshape(len(x), 1, 1, -1)


def fully_connected_gradients(d_out, x, weights):
    """Gradients of the input, the weights and the biases."""
    rows, d_rows = x.reshape(len(x), -1), d_out.reshape(len(x), -1)
    return (d_rows @ weights.T).reshape(x.shape), rows.T @ d_rows, d_rows.sum(axis=0)


def sliding_fully_connected(x, weights, biases, extent):
    """The FC on each crop of a larger image: what it gives there, (n, *extent, units). With extent (1, 1) the FC."""
    height, width = x.shape[1] - extent[0] + 1, x.shape[2] - extent[1] + 1
    out = np.zeros((len(x), *extent, weights.shape[1]))
    for i, j in np.ndindex(*extent):
        out[:, i, j] = fully_connected(x[:, i : i + height, j : j + width], weights, biases)[:, 0, 0]
    return out


# -- The loss ----------------------------------------------------------------------------------------------------------


def softmax(scores):
    """Probabilities, (n, classes), of class scores."""
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def smoothed(targets, n_classes, label_smoothing):
    """The distribution that each image should have: its class, mixed with the uniform distribution."""
    return (1 - label_smoothing) * np.eye(n_classes)[targets] + label_smoothing / n_classes


def softmax_cross_entropy(scores, targets, weights=None, label_smoothing=0.0):
    """Mean over the images of -sum over the classes of target log(probability), weighted by `weights` (n,)."""
    wanted = smoothed(targets, scores.shape[1], label_smoothing)
    return np.average(-(wanted * np.log(softmax(scores))).sum(axis=1), weights=weights)


def softmax_cross_entropy_gradient(scores, targets, weights=None, label_smoothing=0.0):
    """(n, classes): of that mean, with respect to the scores."""
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=float)
    wanted = smoothed(targets, scores.shape[1], label_smoothing)
    return (softmax(scores) - wanted) * weights[:, None] / weights.sum()


# -- Whole networks ----------------------------------------------------------------------------------------------------

# A layer gives `forward(x, *own)` and `backward(d_out, x, *own)`, the gradients of x and of its own: of its two arrays
# of parameters, or of what its branches own. What it has beside them, as the mask of a DROPOUT, is in it.


@dataclass(frozen=True)
class Conv:
    """CONV: parameters are filters and biases."""

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
class MaxPool:
    """POOL(max): F is an int, or (rows, columns)."""

    F: int | tuple
    S: int
    P: int
    extent: tuple

    def forward(self, x):
        return max_pool(x, self.F, self.S, self.P, self.extent)

    def backward(self, d_out, x):
        return (max_pool_gradient(d_out, x, self.F, self.S, self.P),)


@dataclass(frozen=True)
class AveragePool:
    """POOL(average): F is an int, or (rows, columns)."""

    F: int | tuple
    S: int
    P: int
    extent: tuple

    def forward(self, x):
        return average_pool(x, self.F, self.S, self.P, self.extent)

    def backward(self, d_out, x):
        return (average_pool_gradient(d_out, x, self.F, self.S, self.P),)


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
class Skip:
    """SKIP, and whatever else hands its input on."""

    def forward(self, x):
        return x

    def backward(self, d_out, x):
        return (d_out,)


@dataclass(frozen=True)
class Dropout:
    """DROPOUT in training: mask(number, shape) says what is kept, for the number-th DROPOUT of the network, from 0.

    Asked twice it must answer the same.
    """

    rate: float
    number: int
    mask: object

    def forward(self, x):
        return dropout(x, self.mask(self.number, x.shape), self.rate)

    def backward(self, d_out, x):
        return (dropout(d_out, self.mask(self.number, x.shape), self.rate),)


@dataclass(frozen=True)
class BatchNorm:
    """NORM(batch) in training: parameters are scale and shift."""

    momentum: float = 0.1
    eps: float = 1e-5

    def forward(self, x, scale, shift):
        return batch_norm(x, scale, shift, self.eps)

    def backward(self, d_out, x, scale, shift):
        return batch_norm_gradients(d_out, x, scale, self.eps)


@dataclass(frozen=True)
class FixedNorm:
    """NORM(batch) in inference: parameters are scale and shift, the running statistics are given."""

    mean: np.ndarray
    variance: np.ndarray
    eps: float = 1e-5

    def forward(self, x, scale, shift):
        return batch_norm_inference(x, scale, shift, self.mean, self.variance, self.eps)


@dataclass(frozen=True)
class LayerNorm:
    """NORM(layer): parameters are scale and shift."""

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


@dataclass(frozen=True)
class FullyConnected:
    """FC: parameters are weights and biases. On images larger than it was made for it slides, to `extent` places."""

    extent: tuple = (1, 1)

    def forward(self, x, weights, biases):
        return sliding_fully_connected(x, weights, biases, self.extent)

    def backward(self, d_out, x, weights, biases):
        return fully_connected_gradients(d_out, x, weights)


@dataclass(frozen=True)
class Sum:
    """(A + B): the branches' outputs, added up. It owns what its branches own, one list for each."""

    branches: tuple

    def forward(self, x, *own):
        return sum(run(branch, of_branch, x)[-1] for branch, of_branch in zip(self.branches, own, strict=True))

    def backward(self, d_out, x, *own):
        """Each branch is given the whole gradient; the input gets the sum of what they hand back."""
        found = [run_back(branch, its, x, d_out) for branch, its in zip(self.branches, own, strict=True)]
        return sum(d_x for d_x, _ in found), *(d_own for _, d_own in found)


@dataclass(frozen=True)
class Stack:
    """(A | B): the branches' outputs, one behind the other along the depth. It owns what its branches own."""

    branches: tuple

    def forward(self, x, *own):
        outputs = [run(branch, of_branch, x)[-1] for branch, of_branch in zip(self.branches, own, strict=True)]
        return np.concatenate(outputs, axis=3)

    def backward(self, d_out, x, *own):
        """Each branch is given the gradient of its own slices; the input gets the sum of what they hand back."""
        d_x, d_own, first = np.zeros(x.shape), [], 0
        for branch, of_branch in zip(self.branches, own, strict=True):
            depth = run(branch, of_branch, x)[-1].shape[3]
            d_branch, d_of_branch = run_back(branch, of_branch, x, d_out[..., first : first + depth])
            d_x, d_own, first = d_x + d_branch, [*d_own, d_of_branch], first + depth
        return d_x, *d_own


BRANCHES = (Sum, Stack)
LEARNING = (Conv, FullyConnected, BatchNorm, FixedNorm, LayerNorm)


def layers_of(bound_layers, mask=None):
    """The same layers in training, as oracles, told apart by the names of their classes.

    mask(number, shape) is needed where there is DROPOUT: an array of that shape, (n, rows, columns, depth), with 1 for
    what the number-th DROPOUT of the network, from 0 in the order of the text, keeps, and 0 for the rest.
    """
    return oracles_of(bound_layers, mask, itertools.count())


def oracles_of(bound_layers, mask, numbers):
    layers = []
    for bound in bound_layers:
        kind = type(bound).__name__
        if kind in ("BoundSum", "BoundStack"):
            branches = tuple(oracles_of(branch, mask, numbers) for branch in bound.branches)
            layers.append(Sum(branches) if kind == "BoundSum" else Stack(branches))
        elif kind == "BoundDropout":
            layers.append(Dropout(bound.rate, next(numbers), mask))
        else:
            layers.append(LAYER_OF[kind](bound))
    return layers


def extent_of(bound):
    return (bound.output.height, bound.output.width)


def pool_of(bound):
    kind = {"max": MaxPool, "average": AveragePool}[bound.mode]
    return kind(bound.F, bound.S, bound.P, extent_of(bound))


def norm_of(bound):
    if bound.mode == "batch":
        return BatchNorm(bound.momentum, bound.eps)
    if bound.mode == "layer":
        return LayerNorm(bound.eps)
    return LocalResponseNorm(bound.size, bound.alpha, bound.beta, bound.k)


LAYER_OF = {
    "BoundConv": lambda bound: Conv(bound.S, bound.P, extent_of(bound), bound.groups),
    "BoundPool": pool_of,
    "BoundNorm": norm_of,
    "BoundRelu": lambda bound: Relu(),
    "BoundTanh": lambda bound: Tanh(),
    "BoundSigmoid": lambda bound: Sigmoid(),
    "BoundSkip": lambda bound: Skip(),
    "BoundFC": lambda bound: FullyConnected(extent_of(bound)),
}


def in_inference(layers, running=()):
    """The layers of a fitted network: NORM(batch) with its (mean, variance) of `running`, in walk order; no DROPOUT."""
    return fixed(layers, iter(running))


def fixed(layers, running):
    found = []
    for layer in layers:
        if isinstance(layer, BRANCHES):
            layer = replace(layer, branches=tuple(fixed(branch, running) for branch in layer.branches))
        elif isinstance(layer, BatchNorm):
            mean, variance = (np.asarray(own, dtype=float) for own in next(running))
            layer = FixedNorm(mean, variance, layer.eps)
        elif isinstance(layer, Dropout):
            layer = Skip()
        found.append(layer)
    return found


def activations(layers, parameters, x):
    """What stands before and behind each layer: len(layers) + 1 volumes.

    `parameters` has one (weights, biases) for each CONV and FC and one (scale, shift) for each NORM that learns, in
    walk order: that of the text, branch after branch.
    """
    return run(layers, per_layer(layers, iter(parameters)), np.asarray(x, dtype=float))


def forward(layers, parameters, x, running=()):
    """Class scores, (n, classes), of the images x in inference; `running` as `in_inference` wants it."""
    return activations(in_inference(layers, running), parameters, x)[-1].reshape(len(x), -1)


def loss(layers, parameters, x, targets, weights=None, label_smoothing=0.0):
    """The weighted mean loss of the images x in training."""
    scores = activations(layers, parameters, x)[-1].reshape(len(x), -1)
    return softmax_cross_entropy(scores, targets, weights, label_smoothing)


def gradients(layers, parameters, x, targets, weights=None, label_smoothing=0.0):
    """That loss's gradients: one (d_weights, d_biases) for each (weights, biases) of `parameters`."""
    own, x = per_layer(layers, iter(parameters)), np.asarray(x, dtype=float)
    out = run(layers, own, x)[-1]
    scores = out.reshape(len(x), -1)
    d_out = softmax_cross_entropy_gradient(scores, targets, weights, label_smoothing).reshape(out.shape)
    return list(in_walk_order(layers, run_back(layers, own, x, d_out)[1]))


def running_after(layers, parameters, x, running):
    """Running (mean, variance) of each NORM(batch), in walk order, after one batch x in training."""
    own = per_layer(layers, iter(parameters))
    batches = inputs_of(BatchNorm, layers, own, np.asarray(x, dtype=float))
    return [
        running_statistics(batch, np.asarray(mean, dtype=float), np.asarray(variance, dtype=float), layer.momentum)
        for (layer, batch), (mean, variance) in zip(batches, running, strict=True)
    ]


def run(layers, own, x):
    """What stands before and behind each layer of a chain; `own` is what `per_layer` gives."""
    volumes = [x]
    for layer, of_layer in zip(layers, own, strict=True):
        volumes.append(layer.forward(volumes[-1], *of_layer))
    return volumes


def run_everywhere(layers, own, x):
    """What stands behind each layer, those in branches too, in walk order: branches before what holds them."""
    found = []
    for layer, of_layer in zip(layers, own, strict=True):
        if isinstance(layer, BRANCHES):
            for branch, of_branch in zip(layer.branches, of_layer, strict=True):
                found += run_everywhere(branch, of_branch, x)
        x = layer.forward(x, *of_layer)
        found.append(x)
    return found


def run_back(layers, own, x, d_out):
    """Gradients of a chain's input, and of what its layers own, in the form of `own`."""
    *inputs, _ = run(layers, own, x)
    d_own = []
    for layer, of_layer, below in reversed(list(zip(layers, own, inputs, strict=True))):
        d_out, *d_of_layer = layer.backward(d_out, below, *of_layer)
        d_own.append(tuple(d_of_layer))
    return d_out, d_own[::-1]


def per_layer(layers, pairs):
    """What each layer owns: its float64 (weights, biases), a tuple of such lists for its branches, or ()."""
    own = []
    for layer in layers:
        if isinstance(layer, BRANCHES):
            own.append(tuple(per_layer(branch, pairs) for branch in layer.branches))
        elif isinstance(layer, LEARNING):
            own.append(tuple(np.asarray(array, dtype=float) for array in next(pairs)))
        else:
            own.append(())
    return own


def in_walk_order(layers, own):
    """The pairs in what layers own, one after another."""
    for layer, of_layer in zip(layers, own, strict=True):
        if isinstance(layer, BRANCHES):
            for branch, of_branch in zip(layer.branches, of_layer, strict=True):
                yield from in_walk_order(branch, of_branch)
        elif of_layer:
            yield of_layer


def inputs_of(kind, layers, own, x):
    """(layer, its input) of each layer of one class, in walk order."""
    for layer, of_layer, below in zip(layers, own, run(layers, own, x), strict=False):
        if isinstance(layer, BRANCHES):
            for branch, of_branch in zip(layer.branches, of_layer, strict=True):
                yield from inputs_of(kind, branch, of_branch, below)
        elif isinstance(layer, kind):
            yield layer, below


# -- Optimizers --------------------------------------------------------------------------------------------------------


def adam(p, gradient, m, v, step, learning_rate, alpha=0.0, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Step number `step` (from 1) of Adam with decoupled weight decay, as PyTorch's AdamW: returns p, m and v.

    m and v, the running means of the gradient and of its square, start at zero. For biases alpha is 0.
    """
    p = p - learning_rate * alpha * p
    m = beta_1 * m + (1 - beta_1) * gradient
    v = beta_2 * v + (1 - beta_2) * gradient**2
    m_unbiased = m / (1 - beta_1**step)
    v_unbiased = v / (1 - beta_2**step)
    return p - learning_rate * m_unbiased / (np.sqrt(v_unbiased) + epsilon), m, v


def sgd(p, gradient, velocity, learning_rate, momentum=0.9, nesterov=True, alpha=0.0, batch_size=1):
    """One step of SGD with momentum and an L2 term, as MLPClassifier's: returns p and velocity.

    The velocity starts at zero. For biases alpha is 0.
    """
    gradient = gradient + alpha * p / batch_size
    velocity = momentum * velocity - learning_rate * gradient
    update = momentum * velocity - learning_rate * gradient if nesterov else velocity
    return p + update, velocity


# -- Finite differences ------------------------------------------------------------------------------------------------


def finite_differences(f, x, h=1e-6):
    """The gradient at x (any shape) of f, a function of an array to a number: central differences, entry by entry."""
    x = np.array(x, dtype=float)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        at = x[index]
        x[index] = at + h
        above = f(x)
        x[index] = at - h
        below = f(x)
        x[index] = at
        gradient[index] = (above - below) / (2 * h)
    return gradient
