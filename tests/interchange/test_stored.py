import numpy as np
import pytest

from skconvnet.architecture import Architecture
from skconvnet.engine import Images, Learned, Network, Scorer
from skconvnet.interchange import StoredNetwork
from skconvnet.interchange.stored import reverse_channels, sort_classes
from tests.estimators.quick import refused
from tests.interchange.networks import random_network


def stored(text="INPUT -> FC", image_shape=(2, 2, 1), value=0.0, mean=0.0, classes=("a", "b")):
    bound = Architecture.parse(text).bind(image_shape, 2)
    learned = Learned([np.full((4, 2), value, np.float32)], [np.zeros(2, np.float32)], [], [])
    return StoredNetwork(bound, learned, np.array(classes), np.full(1, mean, np.float32), np.ones(1, np.float32))


@pytest.mark.parametrize(
    "other",
    [{"text": "INPUT -> RELU -> FC"}, {"image_shape": (1, 4, 1)}, {"value": 1e-30}, {"mean": 1.0}],
    ids=lambda other: next(iter(other)),
)
def test_the_digest_is_of_all_that_the_scores_depend_on(other):
    assert stored(**other).digest != stored().digest


def test_the_digest_is_the_same_for_other_labels():
    assert stored(classes=("c", "d")).digest == stored().digest


@pytest.mark.parametrize("end", ["FC", "CONV(K=3, F=1) -> NORM -> RELU -> POOL(average, F=all)"])
def test_sorted_classes_have_their_scores(end):
    network = random_network(f"INPUT -> CONV(K=4) -> NORM -> {end}", classes=("b", "c", "a"))
    images = Images(np.random.default_rng(1).integers(0, 256, (5, 6, 4, 3), np.uint8), (6, 4, 3))
    in_order = sort_classes(network)
    assert in_order.classes.tolist() == ["a", "b", "c"]
    assert np.array_equal(scores(in_order, images), scores(network, images)[:, [2, 0, 1]])


def test_sorted_classes_stay():
    network = random_network()
    assert sort_classes(network) is network


def test_classes_that_cannot_be_sorted_are_refused():
    network = random_network("INPUT -> FC -> NORM(lrn)", classes=("b", "a"))
    with refused("NORM 1 does not let them be sorted"):
        sort_classes(network)


def scores(stored, images):
    network = Network(stored.architecture, stored.pixel_mean, stored.pixel_scale)
    network.learned = stored.learned
    return Scorer(network).scores(images, 1)


@pytest.mark.parametrize("begin", ["CONV(K=4) -> ", ""])
def test_reversed_channels(begin):
    network = random_network(f"INPUT -> {begin}FC")
    pixels = np.random.default_rng(1).integers(0, 256, (5, 6, 4, 3), np.uint8)
    reverse = np.ascontiguousarray(pixels[..., ::-1])
    one, other = (
        scores(reverse_channels(network), Images(reverse, (6, 4, 3))),
        scores(network, Images(pixels, (6, 4, 3))),
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_channels_that_another_layer_reads_are_not_reversed():
    with refused("begins with POOL"):
        reverse_channels(random_network("INPUT -> POOL -> FC"))
