"""Finite differences, which check gradients."""

import numpy as np


def finite_differences(f, x, h=1e-6):
    """The gradient at x (any shape) of f, a function of an array to a number: central differences, entry by entry."""
    x = np.array(x, dtype=float)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        centre = x[index]
        x[index] = centre + h
        above = f(x)
        x[index] = centre - h
        below = f(x)
        x[index] = centre
        gradient[index] = (above - below) / (2 * h)
    return gradient
