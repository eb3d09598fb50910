"""Plans: memory is known before it is taken, no address leaves its space, and shared memory is shared in turns."""

from dataclasses import replace
from itertools import combinations, pairwise
from time import perf_counter
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skconvnet.architecture import Architecture, walk
from skconvnet.engine import Learned, SoftmaxCrossEntropy
from skconvnet.engine.cpu.task import Layout, memory_layout
from skconvnet.engine.plan import builder
from skconvnet.engine.plan.plan import plan_inference, plan_training
from skconvnet.engine.program.instructions import (
    INSTRUCTIONS,
    Block,
    Op,
    Segment,
    SegmentKind,
    Space,
    encode,
)
from skconvnet.engine.program.memory import pack
from skconvnet.engine.program.target import CPU, GPU, UNLIMITED, round_to_line
from skconvnet.engine.weights.layout import ScaleSlot, SlopeSlot, lay_out_parameters
from tests.engine.networks import (
    NEW_TRAPS,
    VARIED,
    VARIED_SHAPE,
    WINOGRAD,
    WINOGRAD_IN_BLOCKS,
    WINOGRAD_TRAPS,
    Problem,
    convs_of_tiles,
    problems,
)
from tests.engine.walker import Trespass, Walk, decode


def train(architecture, layout, batch_size, target):
    return plan_training(architecture, layout, SoftmaxCrossEntropy(0.1), batch_size, target)


def infer_split(architecture, layout, batch_size, target):
    """The plan in which workers share every layer of an image."""
    return plan_inference(architecture, layout, batch_size, replace(target, split_flops=0), split_image=True)


def planned(problem, planner=train, batch_size=None, target=CPU):
    layout = lay_out_parameters(problem.bound, target)
    return planner(problem.bound, layout, batch_size or problem.n, target), layout.size


def pack_apart(buffers, time):
    """A place for every buffer by itself."""
    offset = 0
    for buffer in buffers:
        buffer.offset, offset = offset, offset + buffer.size
    return offset


def walked_apart(problem, planner, n_samples, target):
    """Walk through the plan, and through the one in which every buffer has a place of its own."""
    packed, n_parameters = planned(problem, planner, target=target)
    with patch.object(builder, "pack", pack_apart):
        apart, _ = planned(problem, planner, target=target)
    assert packed.arena <= apart.arena
    assert packed.batch <= apart.batch
    return [Walk(made, n_parameters, n_samples) for made in (packed, apart)]


def padding(problem, target):
    """Whether each element of the parameter vector belongs to no parameter."""
    ones = Learned(*([np.ones_like(own) for own in kind] for kind in problem.learned))
    return lay_out_parameters(problem.bound, target).pack(ones) == 0


def assert_walks_agree(problem, planner, n_samples, target):
    packed, apart = walked_apart(problem, planner, n_samples, target)
    for one, other in zip(packed.seen, apart.seen, strict=True):
        np.testing.assert_array_equal(one, other)
    if planner is train:
        assert padding(problem, target)[packed.zeros].all()


DIRECT = replace(CPU, winograd_depth=UNLIMITED)  # no segment transforms weights
FEW_SHARDS = replace(CPU, max_shards=2, max_micro_batch=4, arena=UNLIMITED)
NORMS, NORMS_SHAPE = "INPUT -> CONV(K=8) -> NORM -> RELU -> CONV(K=8) -> NORM -> RELU -> FC", (6, 6, 3)


def test_an_fc_of_many_weights_is_split_across_workers():
    text = "INPUT -> FC(300) -> RELU -> FC(500) -> RELU -> FC(300) -> RELU -> FC"
    kinds = kinds_of_segments(planned(Problem(text, (1, 1, 3)))[0])
    forward = ["PER_SAMPLE", "SPLIT", "SPLIT", "PER_SAMPLE"]
    assert kinds == [*forward, "SPLIT", "PER_SAMPLE", "SPLIT", "PER_SAMPLE", "UPDATE"]


# -- The walk ----------------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    problems(),
    st.sampled_from([train, plan_inference, infer_split]),
    st.sampled_from([1, 4]),
    st.sampled_from([0, UNLIMITED]),
    st.data(),
)
def test_no_address_leaves_its_space_and_packing_changes_no_value(problem, planner, micro_batch, threshold, data):
    target = replace(FEW_SHARDS, max_micro_batch=micro_batch, split_weights=threshold, spared_flops=threshold)
    assert_walks_agree(problem, planner, data.draw(st.integers(1, problem.n)), target)


@pytest.mark.parametrize("planner", [train, plan_inference, infer_split])
@pytest.mark.parametrize("trap", NEW_TRAPS)
def test_no_address_of_traps_leaves_its_space_and_packing_changes_no_value(trap, planner):
    assert_walks_agree(Problem(*NEW_TRAPS[trap], n=9), planner, 9, FEW_SHARDS)


@pytest.mark.parametrize("target", [WINOGRAD, WINOGRAD_IN_BLOCKS], ids=["", "in blocks"])
@pytest.mark.parametrize("planner", [train, plan_inference, infer_split])
@pytest.mark.parametrize("trap", WINOGRAD_TRAPS)
def test_no_address_of_minimal_filtering_leaves_its_space_and_packing_changes_no_value(trap, planner, target):
    assert_walks_agree(Problem(*WINOGRAD_TRAPS[trap], n=5), planner, 5, replace(target, arena=UNLIMITED))


@settings(max_examples=12)
@given(
    problems(convs=convs_of_tiles),
    st.sampled_from([train, plan_inference, infer_split]),
    st.sampled_from([WINOGRAD, WINOGRAD_IN_BLOCKS]),
    st.data(),
)
def test_no_address_of_drawn_minimal_filtering_leaves_its_space(problem, planner, target, data):
    n_samples = data.draw(st.integers(1, problem.n))
    assert_walks_agree(problem, planner, n_samples, replace(target, arena=UNLIMITED))


@pytest.mark.parametrize("planner", [train, plan_inference])
@pytest.mark.parametrize("trap", NEW_TRAPS)
def test_plans_of_traps_for_a_gpu(trap, planner):
    assert_walks_agree(Problem(*NEW_TRAPS[trap], n=9), planner, 9, GPU)


def test_a_gpu_computes_all_groups_with_one_instruction():
    text = "INPUT -> CONV(K=24) -> RELU -> CONV(K=24, groups=24) -> RELU -> CONV(K=20, groups=4) -> FC"
    groups = {}
    for target in (GPU, CPU):
        made, _ = planned(Problem(text, (5, 5, 3)), target=target)
        groups[target] = [decode(row)[2]["groups"] for row in made.program if row[0] == Op.CONTRACT]
    forward, backward = [1, 24, 4, 1], [1, 5, 4, 4, 24, 24, 1]  # weights, then input; FC's input gradient has 5 rows
    assert groups[GPU] == forward + backward
    assert {*groups[CPU]} == {1}


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("INPUT -> CONV(K=6) -> CONV(K=6, groups=6) -> FC", CPU, True),
        ("INPUT -> CONV(K=6) -> CONV(K=6, F=5, S=3, groups=6, round=floor) -> FC", CPU, True),
        ("INPUT -> CONV(K=6) -> CONV(K=6, groups=6) -> FC", GPU, False),
        ("INPUT -> CONV(K=6) -> CONV(K=6, groups=3) -> FC", CPU, False),
        ("INPUT -> CONV(K=6) -> CONV(K=12, groups=6) -> FC", CPU, False),  # two filters for each channel
        ("INPUT -> CONV(K=1) -> CONV(K=1) -> FC", CPU, False),
        ("INPUT -> CONV(K=3, groups=3) -> FC", CPU, False),  # of images, whose depth is not padded
    ],
)
@pytest.mark.parametrize("planner", [train, plan_inference])
def test_a_filter_for_each_channel_has_an_instruction_of_its_own(text, target, expected, planner):
    made, _ = planned(Problem(text, (7, 6, 3)), planner, target=target)
    assert (Op.DEPTHWISE in made.ops) == expected
    assert (Op.DEPTHWISE_WEIGHTS in made.ops) == (expected and planner is train)


# What kernels read number by number: images of a depth that is not padded, biases and slices of a group.
NOT_ALIGNED = {
    Op.LOAD_IMAGES: ("y",),
    Op.CONTRACT: ("a", "start"),
    Op.COPY_CHANNELS: ("x", "y"),
}


@settings(max_examples=100)
@given(problems(), st.sampled_from([train, plan_inference]))
def test_a_gpu_reads_and_writes_aligned_quads(problem, planner):
    made, _ = planned(problem, planner, target=GPU)
    for row in made.program:
        op, operands, numbers = decode(row)
        aligned = operands.keys() - NOT_ALIGNED.get(op, ())
        strides = [numbers[name] for name in numbers if "_" in name and name.split("_")[0] in aligned]
        assert all(number % 4 == 0 for number in strides + [x for name in aligned for x in operands[name][1:]]), op
        if op == Op.CONTRACT:
            assert numbers["N"] % 8 == 0


@settings(max_examples=100)
@given(problems(), st.sampled_from([train, plan_inference]))
def test_a_machine_that_takes_the_whole_batch_runs_every_instruction_once(problem, planner):
    assert_walks_agree(problem, planner, problem.n, GPU)
    made, n_parameters = planned(problem, planner, target=GPU)
    assert not {SegmentKind.SPLIT} & set(made.segments[:, Segment.KIND].tolist())
    assert (made.blocks[:, Block.CONTRACTION] == -1).all()
    runs = Walk(made, n_parameters, problem.n).runs
    assert sorted(runs) == list(range(len(made.program)))


def trespass(change, problem=None, target=CPU):
    """What the walk says of a changed plan."""
    problem = problem or Problem(VARIED, VARIED_SHAPE, n=3)
    sound, n_parameters = planned(problem, target=target)
    Walk(sound, n_parameters, problem.n)
    unsound = replace(sound, program=sound.program.copy(), segments=sound.segments.copy(), blocks=sound.blocks.copy())
    with pytest.raises(Trespass) as caught:
        Walk(change(unsound) or unsound, n_parameters, problem.n)
    return str(caught.value)


def test_the_walk_notices_an_arena_that_is_too_small():
    assert "of LOCAL" in trespass(lambda p: replace(p, arena=p.arena // 8))


def test_the_walk_notices_a_slot_and_a_batch_that_are_too_small():
    assert "of SHARD" in trespass(lambda p: replace(p, slot=p.slot - 16))
    assert "of BATCH" in trespass(lambda p: replace(p, batch=p.batch - 16))
    assert "of SHARED" in trespass(lambda p: replace(p, shared=p.shared - 16))


def test_the_walk_notices_what_nothing_has_written():
    def keep_borders(p):
        borders = p.program[:, 0] == Op.CLEAR_BORDER
        p.program[borders, INSTRUCTIONS[Op.CLEAR_BORDER].number("rows") :] = 0

    def transpose_less(p):
        p.blocks[-4:, Block.TRANSPOSED] = -1
        p.blocks[: len(p.blocks) // 2, Block.TRANSPOSED] = -1

    assert "nothing has written" in trespass(keep_borders)
    assert "nothing has written" in trespass(transpose_less)


def test_the_walk_notices_borders_that_are_not_cleared_at_the_allocation():
    def clear_fewer(p):
        return replace(p, zeros=p.zeros[1:])

    assert "nothing has written" in trespass(clear_fewer, target=GPU)


def test_the_walk_notices_zeros_that_do_not_outlive_a_step():
    """In the second step, the border has what another buffer left in its place."""

    def pack_borders_with_all_else(buffers, time):
        for buffer in buffers:
            buffer.zeros = None
        return pack(buffers, time)

    assert_overlaps_are_noticed(pack_borders_with_all_else, Problem(NORMS, NORMS_SHAPE, n=3), GPU)


@pytest.mark.parametrize("operand", "abc")
def test_the_walk_notices_groups_at_another_distance(operand):
    problem = Problem("INPUT -> CONV(K=24) -> CONV(K=24, groups=3) -> FC", (5, 4, 3), n=3)

    def move_groups(p):
        for row in p.program:
            if row[0] == Op.CONTRACT:
                row[INSTRUCTIONS[Op.CONTRACT].number(f"{operand}_g")] *= 1000

    assert trespass(move_groups, problem, GPU)


@pytest.mark.parametrize("stride", ["x_row", "x_column", "x_i", "x_j", "y_row", "y_column", "y_a", "y_b"])
def test_the_walk_notices_tiles_at_another_distance(stride):
    problem = Problem("INPUT -> CONV(K=8) -> RELU -> CONV(K=8) -> RELU -> FC", (9, 10, 2), n=3)

    def move_tiles(p):
        for row in p.program:
            if row[0] == Op.TRANSFORM:
                row[INSTRUCTIONS[Op.TRANSFORM].number(stride)] *= 1000

    assert trespass(move_tiles, problem, replace(WINOGRAD, winograd_band=UNLIMITED))


def test_the_walk_notices_a_block_whose_gradient_is_elsewhere():
    def move_gradients(p):
        p.blocks[p.blocks[:, Block.GRADIENT] >= 0, Block.GRADIENT] = p.shared - 8

    assert "of SHARED" in trespass(move_gradients, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_instructions_in_segments_of_another_kind():
    def once_for_each_sample(p):
        p.segments[p.segments[:, 0] == SegmentKind.REDUCE, 0] = SegmentKind.PER_SAMPLE

    def samples_once(p):
        p.segments[0, 0] = SegmentKind.REDUCE

    for change in (once_for_each_sample, samples_once):
        assert "segment of another kind" in trespass(change, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_segments_that_prepare_and_need_samples():
    assert "reaches LOCAL, and is to prepare" in trespass(lambda p: replace(p, n_preparing=1))
    assert "is to prepare" in trespass(lambda p: replace(p, n_preparing=1), Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_sums_that_do_not_outlive_their_micro_batch():
    def leave_sums_in_the_arena(p):
        for row in p.program:
            if row[0] in (Op.BATCH_STATISTICS, Op.CHANNEL_MOMENTS):
                row[INSTRUCTIONS[Op(row[0])].operand("moments") :][:2] = Space.LOCAL, 0

    assert "reaches LOCAL" in trespass(leave_sums_in_the_arena, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_coefficients_that_samples_write_for_all():
    def normalise_in_place(p):
        for row in p.program:
            if row[0] == Op.NORMALISE:
                row[INSTRUCTIONS[Op.NORMALISE].operand("y") :][:3] = Space.SHARED, 64, 0

    assert "SHARED while other workers read it" in trespass(normalise_in_place, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_what_only_another_segment_has_computed():
    """A NORM's output is computed anew in the segment that wants it again; left out, its place is anybody's."""

    def compute_nothing_anew(p):
        last = max(number for number, row in enumerate(p.program) if row[0] == Op.NORMALISE)
        p.program[last] = encode(Op.CLEAR, {"y": (Space.LOCAL, 0, 0)}, {"size": 0})

    assert "nothing has written" in trespass(compute_nothing_anew, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_buffers_that_overlap():
    def pack_all_in_one_place(buffers, time):
        return max((buffer.size for buffer in buffers), default=0)

    assert_overlaps_are_noticed(pack_all_in_one_place, Problem(VARIED, VARIED_SHAPE, n=3))


def test_the_walk_notices_volumes_of_the_batch_that_share_a_place_within_a_segment():
    """Each sample would find its own volumes; but while one writes the second, another still reads the first."""

    def pack_instruction_by_instruction(buffers, time):
        return pack(buffers, lambda use: use[1])

    assert_overlaps_are_noticed(pack_instruction_by_instruction, Problem(NORMS, NORMS_SHAPE, n=9))


def assert_overlaps_are_noticed(packer, problem, target=CPU):
    expected = Walk(*planned(problem, target=target), problem.n).seen
    with patch.object(builder, "pack", packer):
        overlapping = planned(problem, target=target)
    try:
        seen = Walk(*overlapping, problem.n).seen
    except Trespass:
        return
    assert any((one != other).any() for one, other in zip(seen, expected, strict=True))


@given(problems(), st.integers(1, 5))
def test_the_update_reaches_every_parameter_once(problem, batch_size):
    training, n_parameters = planned(problem, batch_size=batch_size)
    reached = np.zeros(n_parameters, int)
    decaying = np.zeros(n_parameters, bool)
    for block in training.blocks:
        run = slice(block[Block.OFFSET], block[Block.OFFSET] + block[Block.ROWS] * block[Block.COLUMNS])
        reached[run] += 1
        decaying[run] = block[Block.DECAY]
    expected, weights = np.zeros(n_parameters, int), np.zeros(n_parameters, bool)
    for layer in lay_out_parameters(problem.bound, CPU).slots:
        if isinstance(layer, ScaleSlot):  # its running statistics have no gradient
            expected[layer.scale : layer.scale + 2 * layer.columns] = 1
            continue
        if isinstance(layer, SlopeSlot):
            expected[layer.slopes : layer.slopes + layer.columns] = 1
            continue
        if layer.bias is not None:
            expected[layer.bias : layer.bias + layer.n_biases] = 1
        expected[layer.weights : layer.weights + layer.groups * layer.n_rows * layer.columns] = 1
        weights[layer.weights : layer.weights + layer.groups * layer.n_rows * layer.columns] = True
    np.testing.assert_array_equal(reached, expected)
    np.testing.assert_array_equal(decaying, weights)


# -- Segments ----------------------------------------------------------------------------------------------------------


def kinds_of_segments(made):
    return [SegmentKind(segment[Segment.KIND]).name for segment in made.segments]


@pytest.mark.parametrize("trap", {**NEW_TRAPS, "varied": (VARIED, VARIED_SHAPE)})
def test_segments_follow_one_another_and_leave_no_instruction_out(trap):
    problem = Problem(*({**NEW_TRAPS, "varied": (VARIED, VARIED_SHAPE)})[trap])
    for planner in (train, plan_inference):
        made, _ = planned(problem, planner)
        assert made.segments[:, Segment.FIRST].tolist() == [0, *made.segments[:-1, Segment.LAST]]
        assert made.segments[-1, Segment.LAST] == len(made.program)
        assert (made.segments[-1, Segment.KIND] == SegmentKind.UPDATE) == (planner is train)


@given(problems())
def test_samples_are_interrupted_for_each_batch_norm_forward_and_backward_and_for_nothing_else(problem):
    n_norms = sum(layer.kind == "NORM" and layer.mode == "batch" for layer in walk(problem.bound.layers))
    training, inference = (planned(problem, planner, target=DIRECT)[0] for planner in (train, plan_inference))
    once, per_sample = ["REDUCE"] * (2 * n_norms), ["PER_SAMPLE"] * (2 * n_norms + 1)
    kinds = kinds_of_segments(training)
    assert kinds.pop() == "UPDATE"
    assert kinds.count("REDUCE") == len(once)
    # Behind the last NORM's barrier there may be nothing left to do for samples, and before the first nothing yet.
    assert kinds.count("PER_SAMPLE") <= len(per_sample)
    assert all("PER_SAMPLE" in pair for pair in pairwise(kinds))
    assert kinds_of_segments(inference) == ["REDUCE"] * (n_norms > 0) + ["PER_SAMPLE"]
    assert (training.n_preparing, inference.n_preparing) == (0, n_norms > 0)


def test_networks_without_batch_norm_have_one_segment_for_all_samples_and_keep_little_of_the_batch():
    training, _ = planned(Problem(VARIED, VARIED_SHAPE, n=100, n_classes=10))
    assert kinds_of_segments(training) == ["PER_SAMPLE", "UPDATE"]
    # Measured when there were no other segments: what the two FC need, and nothing else, is of the whole batch.
    assert (training.shared, training.batch, training.slot, training.arena) == (34432, 76800, 8208, 26096)
    inference, _ = planned(Problem(VARIED, VARIED_SHAPE), plan_inference, 100)
    assert (inference.shared, inference.batch, inference.slot, inference.arena) == (64, 0, 0, 30976)


def buffers_of(problem):
    """The buffers of a training plan, in their places."""
    placed = []

    def pack_and_note(buffers, time):
        placed.extend(buffers)
        return pack(buffers, time)

    with patch.object(builder, "pack", pack_and_note):
        planned(problem)
    return placed


def of_the_batch(buffers):
    return [buffer for buffer in buffers if buffer.space == Space.BATCH]


@given(problems())
def test_volumes_of_the_batch_share_a_place_only_in_different_segments(problem):
    buffers = of_the_batch(buffers_of(problem))
    for one, other in combinations(buffers, 2):
        apart = one.uses[-1][0] < other.uses[0][0] or other.uses[-1][0] < one.uses[0][0]
        ends = [buffer.offset + buffer.size for buffer in (one, other)]
        assert apart or ends[0] <= other.offset or ends[1] <= one.offset


@given(problems())
def test_what_one_segment_leaves_to_another_is_of_the_batch_and_all_else_is_local(problem):
    for buffer in buffers_of(problem):
        segments = {segment for segment, _ in buffer.uses}
        assert buffer.space == (Space.LOCAL if len(segments) == 1 else Space.BATCH)


def test_volumes_of_the_batch_do_share_places():
    problem = Problem(NORMS, NORMS_SHAPE, n=9)
    buffers = of_the_batch(buffers_of(problem))
    assert planned(problem)[0].batch < sum(buffer.size for buffer in buffers) * problem.n


def test_what_a_norm_gives_is_computed_anew_and_not_kept():
    training, _ = planned(Problem(NORMS, NORMS_SHAPE, n=9))
    operands = [decode(row)[1] for row in training.program if row[0] == Op.NORMALISE]
    normalised = [(own["coefficients"][1], own["y"][0].name) for own in operands]
    first, second = sorted({coefficients for coefficients, _ in normalised})
    assert normalised == [
        (first, "LOCAL"),  # forward, for CONV 2
        (second, "BATCH"),  # for the FC, whose weight gradient is taken from the whole batch
        (first, "LOCAL"),  # anew, for the weight gradient of CONV 2
    ]


def test_the_plan_of_a_deep_chain_is_made_in_seconds():
    """Placing each buffer by comparing it with a list of all others took a minute."""
    bound = Architecture.parse("INPUT -> [FC(1)]*6000 -> FC").bind((4, 4, 1), 3)
    began = perf_counter()
    train(bound, lay_out_parameters(bound, CPU), 32, CPU)
    assert perf_counter() - began < 30


# -- Memory and layout -------------------------------------------------------------------------------------------------


@given(problems(), st.integers(1, 40), st.integers(1, 9))
def test_memory_is_what_the_layout_uses(problem, batch_size, n_workers):
    for planner in (train, plan_inference):
        made, _ = planned(problem, planner, batch_size)
        layout = memory_layout(made, batch_size, n_workers)
        shards = -(-batch_size // made.shard_size)
        regions = [
            (layout[Layout.SHARED], made.shared),
            (layout[Layout.BATCH], made.batch),
            *((layout[Layout.SLOTS] + n * layout[Layout.SLOT_SIZE], made.slot) for n in range(shards)),
            *((layout[Layout.ARENAS] + n * layout[Layout.ARENA_SIZE], made.arena) for n in range(n_workers)),
        ]
        end = 0
        for begin, size in regions:
            assert begin == end
            assert begin % 16 == 0  # a cache line of its own for each worker
            end = begin + size
        assert end == made.memory(n_workers)
        assert layout[Layout.WORKERS] == n_workers


def test_a_smaller_batch_has_the_places_of_the_largest():
    made, _ = planned(Problem(VARIED, VARIED_SHAPE, n=100))
    full, ragged = memory_layout(made, 100, 2), memory_layout(made, 7, 2)
    assert (full != ragged).nonzero()[0].tolist() == [Layout.SAMPLES]


def test_the_layout_says_what_dropout_draws_from():
    made, _ = planned(Problem(VARIED, VARIED_SHAPE, n=100))
    layout = memory_layout(made, 100, 2, seed=7, step=9)
    assert (layout[Layout.SEED], layout[Layout.STEP]) == (7, 9)
    assert (layout != memory_layout(made, 100, 2)).nonzero()[0].tolist() == [Layout.SEED, Layout.STEP]


def test_shards_and_micro_batches():
    bound = Architecture.parse("INPUT -> CONV(K=32) -> RELU -> CONV(K=32) -> RELU -> FC").bind((96, 96, 3), 10)
    for batch_size, shard_size in [(1, 1), (16, 1), (17, 2), (32, 2), (200, 13)]:
        made = train(bound, lay_out_parameters(bound, CPU), batch_size, CPU)
        assert made.shard_size == shard_size
        assert made.micro_batch == 1  # its volumes fill the cache
        assert -(-batch_size // made.shard_size) <= 16
    small = Problem("INPUT -> CONV(K=8) -> RELU -> FC", (8, 8, 1), n=200)
    assert planned(small)[0].micro_batch == 13
    assert planned(small, plan_inference)[0].micro_batch == 16


def test_memory_in_inference_does_not_grow_with_the_batch():
    problem = Problem(VARIED, VARIED_SHAPE)
    assert planned(problem, plan_inference, 16)[0].memory(2) == planned(problem, plan_inference, 4096)[0].memory(2)


def test_operands_lie_in_the_spaces_that_their_layers_need():
    training, _ = planned(Problem("INPUT -> CONV(K=8) -> RELU -> FC(5) -> RELU -> FC", (4, 4, 1), n=4))
    by_op = {op: training.program[training.program[:, 0] == op] for op in Op}
    contracts = by_op[Op.CONTRACT]
    spaces = [tuple(space.name for space, _, _ in decode(row)[1].values()) for row in contracts]
    assert spaces == [
        ("LOCAL", "PARAMETERS", "PARAMETERS", "BATCH"),  # CONV 1 forward: FC 1 wants its input of the whole batch
        ("BATCH", "PARAMETERS", "PARAMETERS", "BATCH"),  # FC 1
        ("BATCH", "PARAMETERS", "PARAMETERS", "LOCAL"),  # FC 2
        ("BATCH", "SHARED", "SHARED", "BATCH"),  # FC 2's input, by the transposed weights
        *[("BATCH", "SHARED", "SHARED", "LOCAL")] * 4,  # FC 1's input, row by row
        ("LOCAL", "LOCAL", "SHARED", "SHARD"),  # CONV 1's weights
        ("BATCH", "BATCH", "SHARED", "LOCAL"),  # after the barrier: FC 2's weights
        ("BATCH", "BATCH", "SHARED", "LOCAL"),  # FC 1's
    ]
    assert training.segments.tolist() == [
        [SegmentKind.PER_SAMPLE, 0, len(training.program) - 2],
        [SegmentKind.UPDATE, len(training.program) - 2, len(training.program)],
    ]
    assert round_to_line(training.slot) == training.slot


def test_volumes_that_a_device_cannot_address_are_refused():
    problem = Problem("INPUT -> CONV(K=5) -> POOL(F=all) -> FC", (6, 6, 1))
    target = replace(GPU, largest_offset=32 * 6 * 6 * 8)
    message = r"volumes \[6x6x5\] of 33 images are 9,504 numbers.* 9,216 at most\. Use batch_size=32 or less"
    for planner in (train, plan_inference):
        planned(problem, planner, batch_size=32, target=target)
        with pytest.raises(ValueError, match=message):
            planned(problem, planner, batch_size=33, target=target)
    with pytest.raises(ValueError, match="Use smaller images or fewer filters"):
        planned(problem, target=replace(target, largest_offset=256))


def test_weights_that_a_device_cannot_address_are_refused():
    problem, target = Problem("INPUT -> FC(500) -> FC", (1, 1, 3)), replace(GPU, largest_offset=3 * 504)
    planned(problem, batch_size=1, target=replace(target, largest_offset=504 * 8))
    for planner in (train, plan_inference):
        with pytest.raises(
            ValueError, match=r"FC\(3\) has 4,032 weights, padding included.* at most\. Use fewer filters"
        ):
            planned(problem, planner, batch_size=1, target=target)


def test_a_gpu_keeps_all_volumes_of_the_batch_and_clears_borders_once():
    problem = Problem(NORMS, NORMS_SHAPE, n=9)
    for planner in (train, plan_inference):
        made, _ = planned(problem, planner, target=GPU)
        assert made.arena == 0
        assert made.micro_batch == made.shard_size == 9
        assert Op.CLEAR_BORDER not in made.ops
        assert {*made.zeros[:, 0]} == {Op.CLEAR_BORDER}
        assert len(planned(problem, planner, target=CPU)[0].zeros) == 0


def test_volumes_of_a_gpu_share_memory_instruction_by_instruction():
    problem = Problem("INPUT -> [CONV(K=8) -> RELU]*9 -> FC", (9, 9, 3), n=2)
    packed = [planned(problem, plan_inference, target=target)[0] for target in (GPU, replace(GPU, runs_in_step=False))]
    largest = (9 + 2) * (9 + 2) * 8
    assert packed[0].memory(1) < 2 * 4 * largest < packed[1].memory(1)


def test_a_gpu_computes_no_volume_again():
    """A CPU computes the first NORM's output again for the weight gradient of the CONV behind it."""
    problem = Problem("INPUT -> CONV(K=8) -> NORM -> RELU -> CONV(K=8) -> NORM -> RELU -> FC", (6, 6, 1), n=4)
    for target, count in ((GPU, 2), (replace(GPU, runs_in_step=False), 3), (CPU, 3)):
        made, _ = planned(problem, target=target)
        assert np.count_nonzero(made.program[:, 0] == Op.NORMALISE) == count


def test_a_stride_far_beyond_the_image_is_planned_at_once():
    """Of its S x S phases only those of the image's pixels are written: the others would be 10**18."""
    text = "INPUT -> CONV(K=4) -> RELU -> CONV(K=4, S=1000000000, round=floor) -> FC"
    bound = Architecture.parse(text).bind((8, 8, 1), 3)
    assert len(train(bound, lay_out_parameters(bound, CPU), 32, CPU).program) < 100
