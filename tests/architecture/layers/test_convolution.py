import pytest

from skconvnet.architecture import ArchitectureError, Volume
from skconvnet.architecture.layers.convolution import BoundConv, BoundFC


def test_weights_of_a_filter_as_in_the_notes():
    one_filter = BoundConv("CONV 1", Volume(32, 32, 3), K=1, F=5, S=1, P=2)
    assert (one_filter.n_weights, one_filter.n_biases) == (75, 1)
    assert BoundConv("CONV 1", Volume(16, 16, 20), K=1, F=3, S=1, P=1).n_weights == 180


def test_conv_counts():
    conv = BoundConv("CONV 1", Volume(height=7, width=9, depth=4), K=6, F=3, S=2, P=0, groups=2)
    assert conv.output == Volume(height=3, width=4, depth=6)
    assert conv.n_weights == 3 * 3 * 2 * 6
    assert conv.n_flops == 3 * 4 * 6 * 3 * 3 * 2
    assert conv.arithmetic == "3*3*2*6 + 6"
    assert str(conv) == "CONV(K=6, F=3, S=2, P=0, groups=2)"


def test_conv_without_biases():
    conv = BoundConv("CONV 1", Volume(32, 32, 3), K=6, F=5, S=1, P=2, bias=False)
    assert (conv.n_weights, conv.n_biases) == (5 * 5 * 3 * 6, 0)
    assert conv.arithmetic == "5*5*3*6"
    assert str(conv) == "CONV(K=6, F=5, S=1, P=2, bias=no)"


def test_texts_have_the_width_of_a_filter_first_and_arrays_its_height():
    conv = BoundConv("CONV 1", Volume(height=7, width=9, depth=4), K=6, F=(1, 4), S=(1, 2), P=(0, 1), dilation=(5, 2))
    assert conv.output == Volume(height=7, width=3, depth=6)
    assert (conv.n_weights, conv.n_flops, conv.arithmetic) == (4 * 4 * 6, 7 * 3 * 6 * 4 * 4, "4*1*4*6 + 6")
    assert str(conv) == "CONV(K=6, F=4x1, S=2x1, P=1x0, dilation=2x5)"
    with pytest.raises(ArchitectureError, match=r"CONV 1 over the width of \[4x7x4\]"):
        conv.on(Volume(7, 4, 4))


def test_the_conv_of_an_fc_has_its_window():
    assert str(BoundFC("FC 1", Volume(2, 3, 5), 10, window=(2, 3)).convolutional()) == "CONV(K=10, F=3x2, S=1, P=0)"


def test_a_dilated_conv_sees_farther_with_the_same_weights():
    conv = BoundConv("CONV 1", Volume(height=7, width=9, depth=4), K=6, F=3, S=1, P=0, dilation=3)
    assert conv.output == Volume(height=1, width=3, depth=6)
    assert (conv.n_weights, conv.n_flops, conv.arithmetic) == (3 * 3 * 4 * 6, 3 * 6 * 3 * 3 * 4, "3*3*4*6 + 6")
    assert str(conv) == "CONV(K=6, F=3, S=1, P=0, dilation=3)"
    with pytest.raises(ArchitectureError, match=r"CONV 1 over the height of \[9x6x4\]: the window F=3 with dilation=3"):
        conv.on(Volume(6, 9, 4))


@pytest.mark.parametrize(("K", "groups"), [(4, 3), (3, 2)])
def test_groups_divide_depth_and_filters(K, groups):
    with pytest.raises(
        ArchitectureError, match=f"CONV 1: groups={groups} must divide the depth of the input, 4, and K={K}"
    ):
        BoundConv("CONV 1", Volume(8, 8, 4), K=K, F=1, S=1, P=0, groups=groups)


def test_a_conv_that_does_not_fit_is_rejected():
    with pytest.raises(ArchitectureError, match=r"CONV 3 over the height of \[9x8x1\]"):
        BoundConv("CONV 3", Volume(8, 9, 1), K=1, F=3, S=2, P=0)


def test_fc_counts():
    fc = BoundFC("FC 1", Volume(16, 8, 12), 10, window=(16, 8))
    assert fc.output == Volume(1, 1, 10)
    assert (fc.n_weights, fc.n_biases, fc.n_flops) == (15360, 10, 15360)
    assert fc.arithmetic == "8*16*12*10 + 10"


def test_fc_on_a_larger_input_slides_its_window():
    fc = BoundFC("FC 1", Volume(16, 8, 12), 10, window=(16, 8)).on(Volume(18, 11, 12))
    assert fc.output == Volume(3, 4, 10)
    assert (fc.n_weights, fc.n_biases, fc.n_flops) == (15360, 10, 3 * 4 * 15360)
    assert fc.arithmetic == "8*16*12*10 + 10"
    with pytest.raises(ArchitectureError, match=r"FC 1 over the height of \[11x15x12\]"):
        fc.on(Volume(15, 11, 12))
