from skconvnet.architecture import Volume
from skconvnet.architecture.layers.normalisation import BoundNorm


def test_norm_learns_a_scale_and_a_shift_for_each_depth_slice():
    assert [BoundNorm("NORM 1", Volume(32, 32, 3), mode).n_weights for mode in ("batch", "layer", "lrn")] == [3, 3, 0]
    assert [BoundNorm("NORM 1", Volume(32, 32, 3), mode).n_biases for mode in ("batch", "layer", "lrn")] == [3, 3, 0]
