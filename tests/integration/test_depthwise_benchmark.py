"""The benchmark of CONV with a filter for each channel."""

import pytest

from benchmarks import depthwise
from benchmarks.depthwise import LAYERS, Layer
from benchmarks.winograd import SUMS
from skconvnet.architecture import Architecture


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_layer_is_as_its_text_says(layer):
    bound, _ = Architecture.parse(f"INPUT -> {layer.text} -> FC").bind(layer.input_shape, 2).layers
    extent = layer.output_extent
    assert (bound.output.height, bound.output.width, bound.output.depth) == (extent, extent, layer.channels)


def test_a_minibatch_has_an_image_for_each_thread():
    assert depthwise.n_images(Layer(112, 96, 2), n_threads=64) == 64
    assert depthwise.n_images(Layer(7, 960, 1), n_threads=2) == 32


def test_each_sum_of_a_layer_is_timed():
    sums = depthwise.our_sums(Layer(6, 16, 1), n_threads=1)
    assert list(sums) == [*SUMS, "read"]
    for name in sums:
        assert depthwise.seconds(depthwise.our_sums, name, Layer(6, 16, 1), n_threads=1, least=1e-4) > 0
