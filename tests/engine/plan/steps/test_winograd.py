"""Which CONV minimal filtering computes, and how its instructions are cut; see test_plan.py for their addresses."""

from dataclasses import replace

import pytest

from skconvnet.engine import SoftmaxCrossEntropy
from skconvnet.engine.plan.plan import plan_inference, plan_training
from skconvnet.engine.program.instructions import Adds, Op, Samples, Segment, SegmentKind, Transform
from skconvnet.engine.program.target import CPU, GPU, UNLIMITED, round_to_line
from skconvnet.engine.weights.layout import lay_out_parameters
from tests.engine.networks import FILTERED, FILTERED_SHAPE, WINOGRAD, WINOGRAD_TRAPS, Problem
from tests.engine.walker import decode

KEEPS_WEIGHTS = replace(CPU, winograd_tiles=0)


def trained(problem, target=CPU, batch_size=4):
    layout = lay_out_parameters(problem.bound, target)
    return plan_training(problem.bound, layout, SoftmaxCrossEntropy(), batch_size, target)


def inferred(problem, target=CPU, batch_size=4, split_image=False):
    return plan_inference(problem.bound, lay_out_parameters(problem.bound, target), batch_size, target, split_image)


def transforms(made, transform):
    """The numbers of the TRANSFORM of one kind."""
    numbers = [decode(row)[2] for row in made.program if row[0] == Op.TRANSFORM]
    return [n for n in numbers if n["transform"] == transform]


def products(made, sample_loop):
    """The numbers of the CONTRACT over 36 positions."""
    numbers = [decode(row)[2] for row in made.program if row[0] == Op.CONTRACT]
    return [n for n in numbers if n["groups"] == 36 and n["sample_loop"] == sample_loop]


# -- Which layers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ("CONV(K=16)", (7, 7, 16)),
        ("CONV(K=16)", (7, 7, 24)),
        ("CONV(K=16, F=5)", (7, 7, 16)),
        ("CONV(K=17)", (7, 8, 16)),
        ("CONV(K=16, P=0)", (9, 9, 16)),
        ("CONV(K=16, P=3, bias=no) -> RELU", (5, 3, 16)),
        ("CONV(K=16, F=1) -> CONV(K=16)", (7, 7, 3)),
        ("CONV(K=20, F=1) -> CONV(K=17)", (7, 7, 3)),
        ("(CONV(K=16) | SKIP)", (7, 7, 20)),  # images in front of branches are padded
    ],
)
def test_a_layer_that_is_large_enough_is_computed_by_minimal_filtering(layers, shape):
    problem = Problem(f"INPUT -> {layers} -> FC", shape)
    assert Op.TRANSFORM in trained(problem).ops
    assert Op.TRANSFORM in inferred(problem, batch_size=1).ops


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ("CONV(K=15)", (7, 7, 16)),
        ("CONV(K=15, F=1) -> CONV(K=16)", (7, 7, 3)),
        ("CONV(K=16, F=1) -> CONV(K=15)", (7, 7, 3)),
        ("CONV(K=16)", (6, 7, 16)),
        ("CONV(K=16)", (7, 6, 16)),
        ("CONV(K=16, P=0)", (8, 9, 16)),
        ("CONV(K=16)", (7, 7, 20)),  # images are not padded
        ("CONV(K=16, F=2, P=0)", (8, 8, 16)),
        ("CONV(K=16, F=4, P=0)", (10, 10, 16)),
        ("CONV(K=16, S=2, P=1)", (13, 13, 16)),
        ("CONV(K=16, groups=2)", (7, 7, 16)),
        ("CONV(K=16, F=3x5, P=1x2)", (7, 7, 16)),
        ("CONV(K=16, F=3, P=1x0)", (9, 7, 16)),
        ("CONV(K=16, S=1x2, round=floor)", (13, 7, 16)),
        ("CONV(K=16, dilation=2, P=2)", (7, 7, 16)),
    ],
)
def test_any_other_layer_is_computed_by_the_direct_sum(layers, shape):
    problem = Problem(f"INPUT -> {layers} -> FC", shape)
    assert Op.TRANSFORM not in trained(problem).ops | inferred(problem).ops


def test_plans_for_a_gpu_have_direct_sums_alone():
    for name, trap in (WINOGRAD_TRAPS | {"filtered": (FILTERED, FILTERED_SHAPE)}).items():
        problem = Problem(*trap)
        for plan in (trained, inferred):
            assert Op.TRANSFORM not in plan(problem, GPU).ops
            assert Op.TRANSFORM in plan(problem, WINOGRAD).ops, name


# -- Weights -----------------------------------------------------------------------------------------------------------

ONE = Problem("INPUT -> CONV(K=24) -> RELU -> FC", (10, 9, 16))
TWO = Problem("INPUT -> CONV(K=24) -> RELU -> CONV(K=16) -> RELU -> FC", (10, 9, 16))


def test_workers_transform_the_weights_first_and_scoring_does_so_once():
    training, inference = trained(TWO), inferred(TWO)
    assert [n["columns"] for n in transforms(training, Transform.WEIGHTS)] == [16, 24, 16]  # the last are transposed
    assert [n["columns"] for n in transforms(inference, Transform.WEIGHTS)] == [16, 24]
    for made, count in ((training, 3), (inference, 2)):
        assert made.segments[0].tolist() == [SegmentKind.SPLIT, 0, count]
    assert (training.n_preparing, inference.n_preparing) == (0, 1)


@pytest.mark.parametrize(
    ("tiles", "band", "are_kept"),
    [(36, 0, True), (37, 0, False), (37, 36 * 16 * 24, True), (37, 36 * 16 * 24 - 1, False)],
)
def test_weights_are_kept_if_they_are_small_or_if_many_tiles_need_them(tiles, band, are_kept):
    """Four images have 36 tiles."""
    target = replace(CPU, winograd_tiles=tiles, winograd_band=band, winograd_block=(8, 16))
    made = inferred(ONE, target)
    assert (made.segments[0, Segment.KIND] == SegmentKind.SPLIT) == made.n_preparing == are_kept
    if not are_kept:
        blocks = [(n["columns"], n["depth"]) for n in transforms(made, Transform.WEIGHTS)]
        bands = len(transforms(made, Transform.OUTPUT))
        assert blocks == [(8, 16), (8, 16), (8, 8), (8, 8)] * bands
    assert trained(ONE, target).segments[0, Segment.KIND] == SegmentKind.SPLIT  # all micro-batches read the same


def test_no_input_gradient_is_computed_of_the_images():
    assert len(transforms(trained(ONE), Transform.WEIGHTS)) == len(transforms(trained(ONE), Transform.OUTPUT)) == 1


# -- Bands and blocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "rows"), [(1, [1] * 10), (3, [3, 3, 3, 1]), (4, [4, 4, 2]), (9, [5, 5]), (10, [10])])
def test_bands_of_rows_of_tiles_are_equal_and_their_transforms_fit(most, rows):
    problem, columns = Problem("INPUT -> CONV(K=24) -> FC", (38, 9, 16)), 3
    target = replace(CPU, winograd_band=36 * most * columns * (16 + 24), largest_arena=0)
    for made in (trained(problem, target), inferred(problem, target)):
        for transform in (Transform.INPUT, Transform.OUTPUT) if made.n_preparing else (Transform.GRADIENT,):
            assert [n["rows"] for n in transforms(made, transform)] == rows
    assert [n["down"] for n in transforms(made, Transform.OUTPUT)] == [38 - 4 * sum(rows[:n]) for n in range(len(rows))]


def test_the_first_band_of_a_shard_begins_the_gradient_of_the_weights():
    made = trained(ONE, replace(WINOGRAD, winograd_sums=UNLIMITED))
    adds = [n["adds"] for n in transforms(made, Transform.WEIGHTS_GRADIENT)]
    assert adds == [Adds.BEHIND_FIRST, Adds.ALWAYS, Adds.ALWAYS]


@pytest.mark.parametrize(("most", "channels"), [(0, [8, 8]), (8, [8, 8]), (15, [8, 8]), (16, [16]), (99, [16])])
def test_the_gradient_of_the_weights_is_computed_in_blocks_of_channels_that_fit(most, channels):
    made = trained(ONE, replace(CPU, winograd_sums=36 * most * 24))
    assert [n["M"] for n in products(made, Samples.T)] == channels
    assert [n["columns"] for n in transforms(made, Transform.WEIGHTS_GRADIENT)] == channels
    sums = round_to_line(36 * channels[0] * 24)
    volumes = [row for row in map(decode, made.program) if row[0] != Op.TRANSFORM or row[2]["each_sample"]]
    places = [place for _, operands, _ in volumes for place in operands.values() if place[0].name == "LOCAL"]
    assert min(place for _, place, stride in places if stride) >= sums  # no volume of a sample is among them


def test_workers_share_the_layers_of_one_image():
    target = replace(CPU, split_flops=0)
    kinds = [SegmentKind(kind).name for kind in inferred(ONE, target, 1, True).segments[:, Segment.KIND]]
    conv = ["SPLIT", "SPLIT", "SPLIT"]  # the transform of the inputs, the products, the transform of the outputs
    assert kinds == ["SPLIT", "PER_SAMPLE", *conv, "SPLIT", "PER_SAMPLE"]
    assert len(inferred(ONE, replace(target, split_flops=10**6), 1, True).segments) == 2


# -- The cache ---------------------------------------------------------------------------------------------------------

HEAVY = Problem("INPUT -> CONV(K=64, F=1) -> CONV(K=64) -> CONV(K=32) -> FC", (7, 7, 1))
READ = 36 * 64 * 64  # the larger of its two matrices of transformed weights


@pytest.mark.parametrize("largest", [0, 60_000, UNLIMITED])
def test_volumes_may_fill_as_much_as_the_transformed_weights_that_are_read_for_them(largest):
    target = replace(KEEPS_WEIGHTS, arena=40_000, largest_arena=largest, max_micro_batch=UNLIMITED)
    made, one = inferred(HEAVY, target, batch_size=1000), inferred(HEAVY, target, batch_size=1).arena
    size = max(40_000, min(READ, largest))
    assert made.micro_batch == size // one
    assert made.arena == made.micro_batch * one


@pytest.mark.parametrize(
    ("batch_size", "arena", "shard_size"), [(32, READ, 2), (32, READ - 1, 4), (2, READ - 1, 2), (100, READ - 1, 7)]
)
def test_shards_have_some_samples_if_they_read_heavy_weights(batch_size, arena, shard_size):
    assert trained(HEAVY, replace(KEEPS_WEIGHTS, arena=arena), batch_size).shard_size == shard_size


# -- Work --------------------------------------------------------------------------------------------------------------


def test_transforms_are_work():
    made = inferred(ONE, batch_size=7)
    rows = made.program[:, 0] == Op.TRANSFORM
    without = replace(made, program=made.program[~rows])
    assert made.work - without.work == 7 * 16 * 36 * 9 * (16 + 24)  # 16 for each element of nine tiles
