"""Folded networks have fewer layers, and the scores that the oracles compute for the network with NORM."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.architecture import Architecture, walk
from skconvnet.engine import Learned, Network
from skconvnet.engine.weights.fold import fold_batch_norms
from tests import oracles


def learned_for(bound, seed=0):
    """Random numbers for every layer that learns; running variances are positive."""
    rng = np.random.default_rng(seed)
    network = Network(bound, np.zeros(2), np.ones(2))
    network.initialise(rng)
    shapes = network.learned
    coefs, intercepts, means = ([rng.normal(size=array.shape) for array in arrays] for arrays in shapes[:3])
    return Learned(coefs, intercepts, means, [rng.uniform(0.1, 2, size=array.shape) for array in shapes.variances])


def scores(bound, learned, x):
    layers = oracles.layers_of(bound.layers, lambda number, shape: np.ones(shape))
    pairs = zip(learned.coefs, learned.intercepts, strict=True)
    return oracles.forward(layers, list(pairs), x, list(zip(learned.means, learned.variances, strict=True)))


@pytest.mark.parametrize(
    ("text", "n_left"),
    [
        ("INPUT -> CONV(K=3) -> NORM -> RELU -> FC", 0),
        ("INPUT -> CONV(K=4, groups=2) -> NORM -> FC(5) -> NORM -> TANH -> FC", 0),
        ("INPUT -> (CONV(K=3) -> NORM | SKIP | CONV(K=2) -> NORM(layer)) -> FC", 0),
        ("INPUT -> NORM -> CONV(K=3) -> RELU -> NORM -> FC", 2),
        ("INPUT -> CONV(K=2) -> NORM -> NORM -> FC", 0),
        ("INPUT -> (CONV(K=2) + SKIP) -> NORM -> FC", 1),
    ],
)
def test_folding_removes_norms_behind_weights_and_keeps_the_scores(text, n_left):
    bound = Architecture.parse(text).bind((4, 5, 2), 3)
    learned = learned_for(bound)
    before = [array.copy() for arrays in learned for array in arrays]
    folded, of_folded = fold_batch_norms(bound, learned)
    norms = [layer for layer in walk(folded.layers) if layer.kind == "NORM" and layer.mode == "batch"]
    assert len(norms) == len(of_folded.means) == n_left
    x = np.random.default_rng(1).normal(size=(2, 4, 5, 2))
    expected = scores(bound, learned, x)
    assert_allclose(scores(folded, of_folded, x), expected, atol=1e-5 * np.abs(expected).max())
    for array, copy in zip((array for arrays in learned for array in arrays), before, strict=True):
        assert_array_equal(array, copy)
