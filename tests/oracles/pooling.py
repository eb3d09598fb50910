"""POOL: the largest pixel or the mean of each window.

F, S and P are numbers, or (of the rows, of the columns).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from tests.oracles.convolution import both


def max_pool(x, F, S, P, extent):
    """The largest pixel of each window, in each depth slice on its own."""
    out = np.zeros((len(x), *extent, x.shape[3]))
    for n, i, j, c in np.ndindex(out.shape):
        out[n, i, j, c] = x[(n, *winner(x, n, i, j, c, F, S, P), c)]
    return out


def max_pool_gradient(d_out, x, F, S, P):
    """Each window adds its gradient to its largest pixel."""
    d_x = np.zeros(x.shape)
    for n, i, j, c in np.ndindex(d_out.shape):
        d_x[(n, *winner(x, n, i, j, c, F, S, P), c)] += d_out[n, i, j, c]
    return d_x


def winner(x, n, i, j, c, F, S, P):
    """(row, column) of the first maximum, row by row, of window (i, j). The padding never wins."""
    pixels = window(x.shape, i, j, F, S, P)
    return max(pixels, key=lambda pixel: x[(n, *pixel, c)])  # max() returns the first of equal values


def average_pool(x, F, S, P, extent, counted=False):
    """The mean of the pixels of each window, in each depth slice on its own; also of the padding if it is counted."""
    out = np.zeros((len(x), *extent, x.shape[3]))
    for n, i, j, c in np.ndindex(out.shape):
        pixels = window(x.shape, i, j, F, S, P)
        out[n, i, j, c] = sum(x[(n, *pixel, c)] for pixel in pixels) / divisor(x.shape, i, j, F, S, P, counted)
    return out


def average_pool_gradient(d_out, x, F, S, P, counted=False):
    """Each window divides its gradient equally among its pixels, and the padding if it is counted."""
    d_x = np.zeros(x.shape)
    for n, i, j, c in np.ndindex(d_out.shape):
        for pixel in window(x.shape, i, j, F, S, P):
            d_x[(n, *pixel, c)] += d_out[n, i, j, c] / divisor(x.shape, i, j, F, S, P, counted)
    return d_x


@cache
def divisor(shape, i, j, F, S, P, counted):
    """How many pixels window (i, j) has; if the padding is counted, those of the padded image."""
    if not counted:
        return len(window(shape, i, j, F, S, P))
    (n, height, width, depth), (top, left) = shape, both(P)
    return len(window((n, top + height + top, left + width + left, depth), i, j, F, S, 0))


@cache
def window(shape, i, j, F, S, P):
    """[(row, column)] of the pixels of window (i, j), clipped to the image."""
    firsts = [number * S - P for number, S, P in zip((i, j), both(S), both(P), strict=True)]
    rows, columns = (
        range(max(first, 0), min(first + F, side)) for first, F, side in zip(firsts, both(F), shape[1:3], strict=True)
    )
    return [(row, column) for row in rows for column in columns]


@dataclass(frozen=True)
class MaxPool:
    """POOL(max)."""

    F: int | tuple
    S: int | tuple
    P: int | tuple
    extent: tuple

    def forward(self, x):
        return max_pool(x, self.F, self.S, self.P, self.extent)

    def backward(self, d_out, x):
        return (max_pool_gradient(d_out, x, self.F, self.S, self.P),)


@dataclass(frozen=True)
class AveragePool:
    """POOL(average)."""

    F: int | tuple
    S: int | tuple
    P: int | tuple
    extent: tuple
    counted: bool = False

    def forward(self, x):
        return average_pool(x, self.F, self.S, self.P, self.extent, self.counted)

    def backward(self, d_out, x):
        return (average_pool_gradient(d_out, x, self.F, self.S, self.P, self.counted),)
