"""Networks cut behind each of their layers: the volume there is what the oracles say."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skconvnet.architecture import Architecture, walk
from skconvnet.engine import Learned, Network, Scorer, cut_behind, split_architecture
from tests import oracles
from tests.engine.networks import BRANCHED, BRANCHED_SHAPE, NEW_TRAPS, VARIED, VARIED_SHAPE, Problem

PROBLEMS = {"varied": (VARIED, VARIED_SHAPE), "branched": (BRANCHED, BRANCHED_SHAPE), **NEW_TRAPS}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_volume_of_every_network(name):
    problem = Problem(*PROBLEMS[name], n=3)
    layers = oracles.layers_of(problem.bound.layers, lambda number, shape: np.ones(shape))
    layers = oracles.in_inference(layers, problem.running)
    own = oracles.per_layer(layers, iter(problem.parameters))
    volumes = oracles.run_everywhere(layers, own, problem.x.astype(float))
    for layer, expected in zip(walk(problem.bound.layers), volumes, strict=True):
        bound, learned = cut_behind(problem.bound, problem.learned, layer.name)
        assert bound.layers[-1] is layer
        if not any(one.kind in ("CONV", "FC") for one in walk(bound.layers)):
            continue  # a network needs something to learn
        network = Network(bound, np.zeros(problem.shape[2]), np.ones(problem.shape[2]))
        network.learned = learned
        found = Scorer(network).scores(problem.images, 1)
        assert_allclose(found, expected.reshape(3, -1), rtol=1e-4, atol=1e-4, err_msg=layer.name)


def test_behind_the_last_layer_nothing_is_cut():
    problem = Problem(BRANCHED, BRANCHED_SHAPE)
    bound, learned = cut_behind(problem.bound, problem.learned, problem.bound.layers[-1].name)
    assert bound == problem.bound
    for kept, before in zip(learned, problem.learned, strict=True):
        assert all(one is other for one, other in zip(kept, before, strict=True))


def test_of_branches_only_the_way_to_the_layer_is_kept():
    text = "INPUT -> CONV(K=2) -> NORM -> (CONV(K=3) -> NORM -> CONV(K=4) | CONV(K=5) -> NORM -> RELU) -> FC"
    bound = Architecture.parse(text).bind((8, 8, 1), 10)
    learned = Learned(list("abcdefgh"), list("ABCDEFGH"), list("123"), list("456"))
    cut, kept = cut_behind(bound, learned, "NORM 3")
    assert [layer.name for layer in cut.layers] == ["CONV 1", "NORM 1", "CONV 4", "NORM 3"]
    assert kept == (["a", "b", "f", "g"], ["A", "B", "F", "G"], ["1", "3"], ["4", "6"])
    assert cut.n_classes == 5
    assert cut.image_shape == (8, 8, 1)


def test_a_layer_that_is_not_there():
    problem = Problem(VARIED, VARIED_SHAPE)
    with pytest.raises(KeyError, match="POOL 9"):
        cut_behind(problem.bound, problem.learned, "POOL 9")


@pytest.mark.parametrize("number", [-1, 2, 3])
def test_a_split_leaves_a_layer_for_the_second_part(number):
    bound = Architecture.parse("INPUT -> CONV(K=4) -> FC").bind((8, 8, 1), 10)
    with pytest.raises(ValueError, match=f"^number={number} of 2 layers: give 0 to 1, so that one is left$"):
        split_architecture(bound, number)
