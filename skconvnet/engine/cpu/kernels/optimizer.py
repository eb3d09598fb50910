"""Optimizer steps on a run of parameters, and the transposed copies that the backward pass reads.

Addresses are int64 in bytes, of runs of `count` float32; `count` is a multiple of `LANES`.
"""

import numpy as np

from skconvnet.engine.cpu.compile import kernel
from skconvnet.engine.cpu.llvm.simd import LANES, load, peek, poke, splat, square_root, store

__all__ = ["adam", "sgd", "sum_slots", "transpose"]


@kernel
def sum_slots(gradient, slot_size, slots, count):
    """Add the gradients of all shards in the first shard's slot, in the order of the shards.

    Parameters
    ----------
    gradient : int64
        Address of the run in the first slot, overwritten.
    slot_size : int64
        Float32 elements from one slot to the next.
    slots, count : int64
        Number of slots; length of the run.
    """
    for at in range(0, 4 * count, 4 * LANES):
        total = load(gradient + at)
        for slot in range(1, slots):
            total = total + load(gradient + at + 4 * slot * slot_size)
        store(gradient + at, total)


@kernel
def adam(p, g, m, v, count, rate, decay, beta_1, beta_2, epsilon, debias):
    """One step of Adam with decoupled weight decay.

    m = beta_1 m + (1 - beta_1) g;  v = beta_2 v + (1 - beta_2) g g;
    p = (1 - decay) p - rate m / (debias sqrt(v) + epsilon)

    Sources: D. Kingma and J. Ba, "Adam" (2015), algorithm 1; I. Loshchilov and F. Hutter, "Decoupled Weight Decay
    Regularization" (2019), algorithm 2.

    Parameters
    ----------
    p, g, m, v : int64
        Addresses of the parameters, their gradient, and its two moments; `p`, `m` and `v` are overwritten.
    count : int64
        Length of the run.
    rate : float32
        The learning rate over (1 - beta_1**t).
    decay : float32
        The learning rate times alpha, 0 for biases.
    beta_1, beta_2, epsilon : float32
        Decay rates of the moments, and what is added to the denominator.
    debias : float32
        1 / sqrt(1 - beta_2**t).
    """
    keep, step, root, small = splat(np.float32(1) - decay), splat(rate), splat(debias), splat(epsilon)
    b1, b2 = splat(beta_1), splat(beta_2)
    c1, c2 = splat(np.float32(1) - beta_1), splat(np.float32(1) - beta_2)
    for at in range(0, 4 * count, 4 * LANES):
        gradient = load(g + at)
        first = b1 * load(m + at) + c1 * gradient
        second = b2 * load(v + at) + c2 * gradient * gradient
        store(m + at, first)
        store(v + at, second)
        store(p + at, keep * load(p + at) - step * first / (root * square_root(second) + small))


@kernel
def sgd(p, g, u, count, rate, decay, momentum, nesterov):
    """One step of gradient descent with momentum.

    g = g + decay p;  u = momentum u - rate g;  p = p + u, or, with Nesterov's, p = p + momentum u - rate g

    Source: I. Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013), as
    rewritten by Y. Bengio et al. so that the gradient is taken at `p`.

    Parameters
    ----------
    p, g, u : int64
        Addresses of the parameters, their gradient and the velocity; `p` and `u` are overwritten.
    count : int64
        Length of the run.
    rate, decay, momentum : float32
        Learning rate; L2 penalty over the number of samples; momentum.
    nesterov : bool
        Whether to use Nesterov's momentum.
    """
    penalty, step, inertia = splat(decay), splat(rate), splat(momentum)
    for at in range(0, 4 * count, 4 * LANES):
        here = load(p + at)
        downhill = step * (load(g + at) + penalty * here)
        velocity = inertia * load(u + at) - downhill
        store(u + at, velocity)
        store(p + at, here + (inertia * velocity - downhill if nesterov else velocity))


@kernel
def transpose(p, transposed, rows, columns, stride):
    """Write the transposed copy of weights: element (row, k) goes to transposed + k*stride + row.

    Parameters
    ----------
    p : int64
        The weights, (rows, columns).
    transposed : int64
        The copy, written.
    rows, columns : int64
        Numbers of rows and columns.
    stride : int64
        Distance between two columns in the copy.
    """
    for k in range(columns):
        for row in range(rows):
            poke(transposed + 4 * (k * stride + row), peek(p + 4 * (row * columns + k)))
