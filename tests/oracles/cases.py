"""Arrays and geometries that the tests of several oracles share."""

from math import ceil, floor

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

COUNTING = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)  # 1 2 3 / 4 5 6 / 7 8 9


def plane(*rows):
    """An image of depth 1."""
    return np.array(rows, dtype=float)[None, :, :, None]


@st.composite
def geometries(draw, max_P):
    """(shape, F, S, P, extent) with an output, for images that need not be square, rounded down or up."""
    n, height, width, depth = (draw(st.integers(1, most)) for most in (2, 7, 7, 3))
    F, S = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    P = draw(st.integers(0, max_P(F)))
    rounded = draw(st.sampled_from([floor, ceil]))
    extent = tuple(rounded((side - F + 2 * P) / S) + 1 for side in (height, width))
    assume(min(extent) >= 1)
    return (n, height, width, depth), F, S, P, extent
