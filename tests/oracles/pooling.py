"""POOL: the largest pixel or the mean of each window."""

from dataclasses import dataclass

import numpy as np


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


def average_pool(x, F, S, P, extent):
    """The mean of the pixels of each window, in each depth slice on its own. Padding is not counted."""
    out = np.zeros((len(x), *extent, x.shape[3]))
    for n, i, j, c in np.ndindex(out.shape):
        pixels = window(x.shape, i, j, F, S, P)
        out[n, i, j, c] = sum(x[(n, *pixel, c)] for pixel in pixels) / len(pixels)
    return out


def average_pool_gradient(d_out, x, F, S, P):
    """Each window divides its gradient equally among its pixels."""
    d_x = np.zeros(x.shape)
    for n, i, j, c in np.ndindex(d_out.shape):
        pixels = window(x.shape, i, j, F, S, P)
        for pixel in pixels:
            d_x[(n, *pixel, c)] += d_out[n, i, j, c] / len(pixels)
    return d_x


def window(shape, i, j, F, S, P):
    """[(row, column)] of the pixels of window (i, j), clipped to the image. F is an int or (rows, columns)."""
    _, height, width, _ = shape
    F_rows, F_columns = (F, F) if np.isscalar(F) else F
    top, left = i * S - P, j * S - P
    return [
        (row, column)
        for row in range(max(top, 0), min(top + F_rows, height))
        for column in range(max(left, 0), min(left + F_columns, width))
    ]


@dataclass(frozen=True)
class MaxPool:
    """POOL(max). F is an int or (rows, columns)."""

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
    """POOL(average). F is an int or (rows, columns)."""

    F: int | tuple
    S: int
    P: int
    extent: tuple

    def forward(self, x):
        return average_pool(x, self.F, self.S, self.P, self.extent)

    def backward(self, d_out, x):
        return (average_pool_gradient(d_out, x, self.F, self.S, self.P),)
