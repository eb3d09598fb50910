"""Places of what is learned in the parameter vector."""

from itertools import chain

import numpy as np
from hypothesis import given

from skconvnet.engine.program.target import CPU, GPU
from skconvnet.engine.weights.layout import Learned, SlopeSlot, WeightSlot, lay_out_parameters
from tests.engine.networks import VARIED, VARIED_SHAPE, Problem, problems


def runs(layout):
    """Names and (first, end) of everything that is stored."""
    for number, layer in enumerate(layout.slots):
        if isinstance(layer, WeightSlot):
            yield f"weights {number}", layer.weights, layer.groups * layer.n_rows * layer.columns
            if layer.bias is not None:
                yield f"bias {number}", layer.bias, layer.n_biases
        elif isinstance(layer, SlopeSlot):
            yield f"slopes {number}", layer.slopes, layer.columns
        else:
            yield f"scale {number}", layer.scale, 2 * layer.columns
            if layer.running is not None:
                yield f"running {number}", layer.running, 2 * layer.columns


@given(problems())
def test_everything_has_a_place_of_its_own(problem):
    layout, end = lay_out_parameters(problem.bound, CPU), 0
    for _, first, size in sorted(runs(layout), key=lambda run: run[1]):
        assert first >= end
        assert first % 16 == 0
        end = first + size
    assert end <= layout.size


@given(problems())
def test_a_gpu_has_the_same_vector(problem):
    check_same_vector(problem.bound)


def test_a_gpu_has_the_same_vector_where_rows_are_wide():
    check_same_vector(Problem("INPUT -> CONV(K=256) -> NORM -> CONV(K=192) -> FC", (2, 2, 3)).bound)


def check_same_vector(bound):
    """The moments of a training on one device continue it on the other."""
    ours, theirs = (lay_out_parameters(bound, target) for target in (CPU, GPU))
    assert (ours.size, list(runs(ours))) == (theirs.size, list(runs(theirs)))
    assert [slot.columns for slot in ours.slots] == [slot.columns for slot in theirs.slots]


@given(problems())
def test_what_each_shard_sums_for_itself_comes_first(problem):
    layout = lay_out_parameters(problem.bound, CPU)
    for name, first, size in runs(layout):
        layer = layout.slots[int(name.split()[1])]
        whole_batch = layer.whole_batch if name.startswith("weights") else getattr(layer, "running", None) is not None
        assert first >= layout.slot if whole_batch else first + size <= layout.slot, name


@given(problems())
def test_what_is_learned_is_unpacked_as_it_was_packed_and_zeros_pad_it(problem):
    layout, learned = lay_out_parameters(problem.bound, CPU), problem.learned
    without_zeros = Learned(*([np.abs(array) + 1 for array in arrays] for arrays in learned))
    assert np.count_nonzero(layout.pack(without_zeros)) == sum(array.size for array in chain(*learned))
    for expected, arrays in zip(learned, layout.unpack(layout.pack(learned)), strict=True):
        assert [array.tobytes() for array in arrays] == [array.tobytes() for array in expected]
        assert [array.shape for array in arrays] == [array.shape for array in expected]


def test_other_dtypes_are_taken():
    problem = Problem(VARIED, VARIED_SHAPE)
    layout = lay_out_parameters(problem.bound, CPU)
    doubles = Learned(*([np.asfortranarray(array, float) for array in arrays] for arrays in problem.learned))
    np.testing.assert_array_equal(layout.pack(doubles), layout.pack(problem.learned))


def test_the_depth_of_the_images_is_not_padded():
    layout = lay_out_parameters(Problem("INPUT -> CONV(K=5, F=3) -> CONV(K=9, F=5, P=2) -> FC", (6, 7, 3)).bound, CPU)
    stored = [(*layer.rows, layer.columns) for layer in layout.slots]
    assert stored == [(3, 3, 3, 8), (5, 5, 8, 16), (6, 7, 16, 8)]
    behind_pool = lay_out_parameters(Problem("INPUT -> POOL -> CONV(K=5) -> FC", (6, 8, 3)).bound, CPU)
    assert behind_pool.slots[0].rows == (3, 3, 8)


def test_groups_are_stored_one_after_the_other():
    layout = lay_out_parameters(Problem("INPUT -> POOL -> CONV(K=10, F=1, groups=2) -> FC", (4, 4, 6)).bound, CPU)
    coefs = [np.arange(30.0).reshape(1, 1, 3, 10), np.zeros((40, 3))]
    vector = layout.pack(Learned(coefs, [np.zeros(10), np.zeros(3)], [], []))
    layer = layout.slots[0]
    stored = vector[layer.weights : layer.weights + 2 * 8 * 8].reshape(2, 8, 8)
    np.testing.assert_array_equal(stored[0, :3, :5], coefs[0][0, 0, :, :5])
    np.testing.assert_array_equal(stored[1, :3, :5], coefs[0][0, 0, :, 5:])
