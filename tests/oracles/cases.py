"""Arrays and geometries that the tests of several oracles share."""

from math import ceil, floor

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.oracles.convolution import both, reach

COUNTING = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)  # 1 2 3 / 4 5 6 / 7 8 9


def plane(*rows):
    """An image of depth 1."""
    return np.array(rows, dtype=float)[None, :, :, None]


@st.composite
def geometries(draw, max_P):
    """(shape, F, S, P, extent) with an output, for images that need not be square, rounded down or up.

    F, S and P are of rows and columns alike, or (of the rows, of the columns).
    """
    *geometry, _ = draw(dilated(max_P, st.just(1)))
    return tuple(geometry)


@st.composite
def dilated(draw, max_P, dilations=st.integers(1, 3)):  # noqa: B008 - strategies are values
    """(shape, F, S, P, extent, dilation) as `geometries` has them."""
    n, height, width, depth = (draw(st.integers(1, most)) for most in (2, 7, 7, 3))
    F, S, dilation = (draw(per_axis(numbers)) for numbers in (st.integers(1, 4), st.integers(1, 3), dilations))
    P = draw(per_axis(st.integers(0, max_P(min(both(F))))))
    rounded = draw(st.sampled_from([floor, ceil]))
    axes = zip((height, width), reach(F, dilation), both(S), both(P), strict=True)
    extent = tuple(rounded((side - reached + 2 * P) / S) + 1 for side, reached, S, P in axes)
    assume(min(extent) >= 1)
    return (n, height, width, depth), F, S, P, extent, dilation


def per_axis(numbers):
    """A number, or one for each axis."""
    return st.one_of(numbers, st.tuples(numbers, numbers))
