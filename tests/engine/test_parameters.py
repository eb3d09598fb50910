"""Places of weights and biases in the parameter vector."""

import numpy as np
from hypothesis import given

from skconvnet.engine.parameters import lay_out_parameters
from tests.engine.networks import VARIED, VARIED_SHAPE, Problem, problems


def runs(layout):
    """(first, end) of every layer's weights and biases, as stored."""
    weights = [(layer.weights, layer.weights + layer.n_rows * layer.columns) for layer in layout.layers]
    return weights, [(layer.bias, layer.bias + layer.columns) for layer in layout.layers]


@given(problems())
def test_every_layer_has_a_place_of_its_own(problem):
    layout = lay_out_parameters(problem.bound)
    weights, biases = runs(layout)
    end = 0
    for first, last in sorted(weights + biases):
        assert first >= end
        assert first % 16 == 0
        end = last
    assert end <= layout.size
    # What each shard sums for itself comes first: CONV weights, then all biases.
    for layer, (_, last) in zip(layout.layers, weights, strict=True):
        assert last <= layout.slot or layer.whole_batch
        assert layer.weights >= layout.slot or not layer.whole_batch
    assert all(last <= layout.slot for _, last in biases)


@given(problems())
def test_parameters_are_unpacked_as_they_were_packed_and_zeros_pad_them(problem):
    layout, network = lay_out_parameters(problem.bound), problem.network()
    coefs, intercepts = (list(arrays) for arrays in zip(*problem.parameters, strict=True))
    vector = layout.pack([np.abs(coef) + 1 for coef in coefs], [np.abs(intercept) + 1 for intercept in intercepts])
    assert np.count_nonzero(vector) == sum(coef.size for coef in coefs + intercepts)
    found = layout.unpack(layout.pack(coefs, intercepts), network.coef_shapes)
    for expected, arrays in zip((coefs, intercepts), found, strict=True):
        assert [array.tobytes() for array in arrays] == [array.tobytes() for array in expected]
        assert [array.shape for array in arrays] == [array.shape for array in expected]


def test_parameters_of_other_dtypes_are_taken():
    problem = Problem(VARIED, VARIED_SHAPE)
    layout = lay_out_parameters(problem.bound)
    coefs, intercepts = zip(*problem.parameters, strict=True)
    doubles = layout.pack([np.asfortranarray(coef, float) for coef in coefs], [b.astype(float) for b in intercepts])
    np.testing.assert_array_equal(doubles, layout.pack(coefs, intercepts))


def test_the_depth_of_the_images_is_not_padded():
    layout = lay_out_parameters(Problem("INPUT -> CONV(K=5, F=3) -> CONV(K=9, F=5, P=2) -> FC", (6, 7, 3)).bound)
    assert [layer.shape for layer in layout.layers] == [(3, 3, 3, 8), (5, 5, 8, 16), (6, 7, 16, 8)]
    behind_pool = lay_out_parameters(Problem("INPUT -> POOL -> CONV(K=5) -> FC", (6, 8, 3)).bound)
    assert behind_pool.layers[0].shape == (3, 3, 8, 8)
