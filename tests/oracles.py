"""What the layers compute, slowly and obviously: naive loops in float64, written as the course's texts write the sums.

Independent of the package, which is checked against this module. The module itself is checked in test_oracles.py
against arrays worked out by hand, finite differences and PyTorch.

Conventions
-----------
x, out          activations, (n, rows, columns, depth); behind a FC layer (n, 1, 1, units)
d_out, d_x      gradients of the loss with respect to them, of the same shapes
filters         (F, F, C, K); biases (K,)
weights of FC   (inputs, outputs), the inputs in (row, column, channel) order; biases (outputs,)
F, S, P         receptive field, stride, zero-padding
extent          (rows, columns) of a layer's output. Where (W - F + 2P)/S + 1 is no whole number it says which way the
                layer rounds: pixels that no receptive field reaches are ignored, and what overhangs the padded image
                reads as zero (CONV) or is clipped (POOL).
"""

from dataclasses import dataclass

import numpy as np

# -- CONV --------------------------------------------------------------------------------------------------------------


def conv2d(x, filters, biases, S, P, extent):
    """Each neuron: the dot product of its filter and its receptive field, plus the filter's bias."""
    F, _, _, K = filters.shape
    padded = zero_padded(x, F, S, P, extent)
    out = np.zeros((len(x), *extent, K))
    for n, i, j, k in np.ndindex(out.shape):
        out[n, i, j, k] = np.sum(receptive_field(padded, n, i, j, F, S) * filters[:, :, :, k]) + biases[k]
    return out


def conv2d_weight_gradient(d_out, x, F, S, P):
    """Every neuron of a depth slice shares one filter, so the filter's gradient is the sum over its neurons."""
    padded = zero_padded(x, F, S, P, d_out.shape[1:3])
    d_filters = np.zeros((F, F, x.shape[3], d_out.shape[3]))
    for n, i, j, k in np.ndindex(d_out.shape):
        d_filters[:, :, :, k] += d_out[n, i, j, k] * receptive_field(padded, n, i, j, F, S)
    return d_filters


def conv2d_bias_gradient(d_out):
    """Every neuron of a depth slice shares one bias."""
    d_biases = np.zeros(d_out.shape[3])
    for n, i, j, k in np.ndindex(d_out.shape):
        d_biases[k] += d_out[n, i, j, k]
    return d_biases


def conv2d_input_gradient(d_out, filters, S, P, input_shape):
    """Every neuron hands its gradient back to its receptive field; what falls on the padding is dropped."""
    F = len(filters)
    _, height, width, _ = input_shape
    d_padded = zero_padded(np.zeros(input_shape), F, S, P, d_out.shape[1:3])
    for n, i, j, k in np.ndindex(d_out.shape):
        receptive_field(d_padded, n, i, j, F, S)[...] += d_out[n, i, j, k] * filters[:, :, :, k]
    return d_padded[:, P : P + height, P : P + width, :]


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
    _, height, width, _ = x.shape
    F_rows, F_columns = (F, F) if np.isscalar(F) else F
    top, left = i * S - P, j * S - P
    inside = [
        (row, column)
        for row in range(max(top, 0), min(top + F_rows, height))
        for column in range(max(left, 0), min(left + F_columns, width))
    ]
    return max(inside, key=lambda pixel: x[(n, *pixel, c)])  # of equals, max() keeps the first


# -- RELU, FC ----------------------------------------------------------------------------------------------------------


def relu(x):
    """max(0, x), element by element."""
    return np.maximum(x, 0.0)


def relu_gradient(d_out, x):
    """The gradient passes where the input was positive."""
    return np.where(x > 0, d_out, 0.0)


def fully_connected(x, weights, biases):
    """Every neuron is connected to every number of the volume below."""
    return (x.reshape(len(x), -1) @ weights + biases).reshape(len(x), 1, 1, -1)


def fully_connected_gradients(d_out, x, weights):
    """Gradients of the input, the weights and the biases."""
    rows, d_rows = x.reshape(len(x), -1), d_out.reshape(len(x), -1)
    return (d_rows @ weights.T).reshape(x.shape), rows.T @ d_rows, d_rows.sum(axis=0)


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


@dataclass(frozen=True)
class Conv:
    """CONV: parameters are filters and biases."""

    S: int
    P: int
    extent: tuple

    def forward(self, x, filters, biases):
        return conv2d(x, filters, biases, self.S, self.P, self.extent)

    def backward(self, d_out, x, filters, biases):
        d_x = conv2d_input_gradient(d_out, filters, self.S, self.P, x.shape)
        d_filters = conv2d_weight_gradient(d_out, x, len(filters), self.S, self.P)
        return d_x, d_filters, conv2d_bias_gradient(d_out)


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
class Relu:
    """RELU."""

    def forward(self, x):
        return relu(x)

    def backward(self, d_out, x):
        return (relu_gradient(d_out, x),)


@dataclass(frozen=True)
class FullyConnected:
    """FC: parameters are weights and biases."""

    def forward(self, x, weights, biases):
        return fully_connected(x, weights, biases)

    def backward(self, d_out, x, weights, biases):
        return fully_connected_gradients(d_out, x, weights)


def layers_of(bound_layers):
    """The same layers as oracles, told apart by the names of their classes."""
    return [LAYER_OF[type(bound).__name__](bound) for bound in bound_layers]


LAYER_OF = {
    "BoundConv": lambda bound: Conv(bound.S, bound.P, (bound.output.height, bound.output.width)),
    "BoundPool": lambda bound: MaxPool(bound.F, bound.S, bound.P, (bound.output.height, bound.output.width)),
    "BoundRelu": lambda bound: Relu(),
    "BoundFC": lambda bound: FullyConnected(),
}


def activations(layers, parameters, x):
    """What stands before and behind each layer: len(layers) + 1 volumes.

    `parameters` has one (weights, biases) for each CONV and FC, in network order.
    """
    volumes = [np.asarray(x, dtype=float)]
    for layer, own in zip(layers, per_layer(layers, parameters), strict=True):
        volumes.append(layer.forward(volumes[-1], *own))
    return volumes


def forward(layers, parameters, x):
    """Class scores, (n, classes), of the images x."""
    return activations(layers, parameters, x)[-1].reshape(len(x), -1)


def loss(layers, parameters, x, targets, weights=None, label_smoothing=0.0):
    """The weighted mean loss of the images x."""
    return softmax_cross_entropy(forward(layers, parameters, x), targets, weights, label_smoothing)


def gradients(layers, parameters, x, targets, weights=None, label_smoothing=0.0):
    """The loss's gradients: one (d_weights, d_biases) for each (weights, biases) of `parameters`."""
    *inputs, out = activations(layers, parameters, x)
    scores = out.reshape(len(x), -1)
    d_out = softmax_cross_entropy_gradient(scores, targets, weights, label_smoothing).reshape(out.shape)
    found = []
    for layer, own, below in reversed(list(zip(layers, per_layer(layers, parameters), inputs, strict=True))):
        d_out, *d_own = layer.backward(d_out, below, *own)
        if own:
            found.append(tuple(d_own))
    return found[::-1]


def per_layer(layers, parameters):
    """For each layer its float64 (weights, biases), or () where it has none."""
    pairs = iter(parameters)
    return [
        tuple(np.asarray(own, dtype=float) for own in next(pairs)) if isinstance(layer, Conv | FullyConnected) else ()
        for layer in layers
    ]


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
