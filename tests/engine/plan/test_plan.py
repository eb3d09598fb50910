"""Plans: memory is known before it is taken, no address leaves its space, and shared memory is shared in turns."""

from dataclasses import replace
from itertools import combinations, pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skconvnet.architecture import Architecture, walk
from skconvnet.engine import Learned
from skconvnet.engine.plan import plan
from skconvnet.engine.plan.plan import plan_inference, plan_training
from skconvnet.engine.plan.steps import convolution
from skconvnet.engine.program.instructions import FIRST_NUMBER, OPERANDS, Block, Layout, Op, Segment, Space, Work
from skconvnet.engine.program.memory import lined, pack
from skconvnet.engine.weights.layout import Scales, lay_out_parameters
from tests.engine.networks import NEW_TRAPS, VARIED, VARIED_SHAPE, Problem, problems
from tests.engine.walker import Trespass, Walk


def planned(problem, planner=plan_training, batch_size=None):
    parameters = lay_out_parameters(problem.bound)
    return planner(problem.bound, parameters, batch_size or problem.n), parameters.size


def plan_shared_image(architecture, parameters, batch_size):
    """The plan in which workers share every layer of an image, or of as many as there are."""
    with patch.object(plan, "_WORTH_SHARING", 0):
        return plan_inference(architecture, parameters, batch_size, shares=True)


def pack_without_sharing(buffers, samples, time):
    """A place for every buffer by itself."""
    offset = 0
    for buffer in buffers:
        buffer.offset, offset = offset, offset + buffer.size * samples
    return offset


def walked_apart(problem, planner, n_samples, micro_batch=4):
    """Walk through the plan, and through the one in which every buffer has a place of its own."""
    with (
        patch.object(plan, "_MOST_SHARDS", 2),
        patch.object(plan, "_MOST_SAMPLES", micro_batch),
        patch.object(plan, "_ARENA", 1 << 40),
    ):
        shared, n_parameters = planned(problem, planner)
        with patch.object(plan, "pack", pack_without_sharing):
            apart, _ = planned(problem, planner)
    assert shared.arena <= apart.arena
    assert shared.batch <= apart.batch
    return [Walk(made, n_parameters, n_samples) for made in (shared, apart)]


def padding(problem):
    """Whether each element of the parameter vector belongs to no parameter."""
    ones = Learned(*([np.ones_like(own) for own in kind] for kind in problem.learned))
    return lay_out_parameters(problem.bound).pack(ones) == 0


def assert_walks_agree(problem, planner, *settings):
    shared, apart = walked_apart(problem, planner, *settings)
    for one, other in zip(shared.seen, apart.seen, strict=True):
        np.testing.assert_array_equal(one, other)
    if planner is plan_training:
        assert padding(problem)[shared.zeros].all()


NORMS, NORMS_SHAPE = "INPUT -> CONV(K=8) -> NORM -> RELU -> CONV(K=8) -> NORM -> RELU -> FC", (6, 6, 3)


def test_an_fc_of_many_weights_is_shared_out():
    text = "INPUT -> FC(300) -> RELU -> FC(500) -> RELU -> FC(300) -> RELU -> FC"
    made, _ = planned(Problem(text, (1, 1, 3)))
    kinds = [Work(kind) for kind, _, _ in made.segments]
    forward = [Work.SAMPLES, Work.PARTS, Work.PARTS, Work.SAMPLES]
    assert kinds == [*forward, Work.PARTS, Work.SAMPLES, Work.PARTS, Work.SAMPLES, Work.UPDATE]


# -- The walk ----------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(
    problems(),
    st.sampled_from([plan_training, plan_inference, plan_shared_image]),
    st.sampled_from([1, 4]),
    st.sampled_from([0, 1 << 40]),
    st.data(),
)
def test_no_address_leaves_its_space_and_sharing_changes_no_value(problem, planner, micro_batch, heavy, data):
    with patch.object(plan, "_HEAVY", heavy), patch.object(convolution, "_WORTH_SPARING", heavy):
        assert_walks_agree(problem, planner, data.draw(st.integers(1, problem.n)), micro_batch)


@pytest.mark.parametrize("planner", [plan_training, plan_inference, plan_shared_image])
@pytest.mark.parametrize("trap", NEW_TRAPS)
def test_no_address_of_traps_leaves_its_space_and_sharing_changes_no_value(trap, planner):
    assert_walks_agree(Problem(*NEW_TRAPS[trap], n=9), planner, 9)


def trespass(change, problem=None):
    """What the walk says of a changed plan."""
    problem = problem or Problem(VARIED, VARIED_SHAPE, n=3)
    sound, n_parameters = planned(problem)
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
        p.program[borders, FIRST_NUMBER:] = 0

    def turn_less(p):
        p.blocks[-4:, Block.TURNED] = -1
        p.blocks[: len(p.blocks) // 2, Block.TURNED] = -1

    assert "nothing has written" in trespass(keep_borders)
    assert "nothing has written" in trespass(turn_less)


def test_the_walk_notices_a_block_whose_gradient_is_elsewhere():
    def move_gradients(p):
        p.blocks[p.blocks[:, Block.GRADIENT] >= 0, Block.GRADIENT] = p.shared - 8

    assert "of SHARED" in trespass(move_gradients, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_instructions_in_segments_of_another_kind():
    def once_for_each_sample(p):
        p.segments[p.segments[:, 0] == Work.ONCE, 0] = Work.SAMPLES

    def samples_once(p):
        p.segments[0, 0] = Work.ONCE

    for change in (once_for_each_sample, samples_once):
        assert "segment of another kind" in trespass(change, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_sums_that_do_not_outlive_their_micro_batch():
    def leave_sums_in_the_arena(p):
        for row in p.program:
            if row[0] in (Op.BATCH_STATISTICS, Op.CHANNEL_MOMENTS):
                row[OPERANDS["X" if row[0] == Op.BATCH_STATISTICS else "Y"] :][:2] = Space.LOCAL, 0

    assert "reaches LOCAL" in trespass(leave_sums_in_the_arena, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_coefficients_that_samples_write_for_all():
    def normalise_in_place(p):
        for row in p.program:
            if row[0] == Op.NORMALISE:
                row[OPERANDS["Y"] :][:3] = Space.SHARED, 64, 0

    assert "SHARED while other workers read it" in trespass(normalise_in_place, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_what_only_another_segment_has_computed():
    """A NORM's output is computed anew in the segment that wants it again; left out, its place is anybody's."""

    def compute_nothing_anew(p):
        last = max(number for number, row in enumerate(p.program) if row[0] == Op.NORMALISE)
        p.program[last, 0], p.program[last, FIRST_NUMBER] = Op.CLEAR, 0

    assert "nothing has written" in trespass(compute_nothing_anew, Problem(NORMS, NORMS_SHAPE, n=9))


def test_the_walk_notices_buffers_that_overlap():
    def pack_all_in_one_place(buffers, samples, time):
        return max(buffer.size for buffer in buffers) * samples

    assert_overlaps_are_noticed(pack_all_in_one_place, Problem(VARIED, VARIED_SHAPE, n=3))


def test_the_walk_notices_volumes_of_the_batch_that_share_a_place_within_a_segment():
    """Each sample would find its own volumes; but while one writes the second, another still reads the first."""

    def pack_instruction_by_instruction(buffers, samples, time):
        return pack(buffers, samples, lambda use: use[1])

    assert_overlaps_are_noticed(pack_instruction_by_instruction, Problem(NORMS, NORMS_SHAPE, n=9))


def assert_overlaps_are_noticed(packer, problem):
    expected = Walk(*planned(problem), problem.n).seen
    with patch.object(plan, "pack", packer):
        overlapping = planned(problem)
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
    for layer in lay_out_parameters(problem.bound).layers:
        if isinstance(layer, Scales):  # its running statistics have no gradient
            expected[layer.scale : layer.scale + 2 * layer.columns] = 1
            continue
        if layer.bias is not None:
            expected[layer.bias : layer.bias + layer.n_biases] = 1
        expected[layer.weights : layer.weights + layer.groups * layer.n_rows * layer.columns] = 1
        weights[layer.weights : layer.weights + layer.groups * layer.n_rows * layer.columns] = True
    np.testing.assert_array_equal(reached, expected)
    np.testing.assert_array_equal(decaying, weights)


# -- Segments ----------------------------------------------------------------------------------------------------------


def kinds_of_segments(made):
    return [Work(segment[Segment.KIND]).name for segment in made.segments]


@pytest.mark.parametrize("trap", {**NEW_TRAPS, "varied": (VARIED, VARIED_SHAPE)})
def test_segments_follow_one_another_and_leave_no_instruction_out(trap):
    problem = Problem(*({**NEW_TRAPS, "varied": (VARIED, VARIED_SHAPE)})[trap])
    for planner in (plan_training, plan_inference):
        made, _ = planned(problem, planner)
        assert made.segments[:, Segment.FIRST].tolist() == [0, *made.segments[:-1, Segment.LAST]]
        assert made.segments[-1, Segment.LAST] == len(made.program)
        assert (made.segments[-1, Segment.KIND] == Work.UPDATE) == (planner is plan_training)


@given(problems())
def test_samples_are_interrupted_for_each_batch_norm_forward_and_backward_and_for_nothing_else(problem):
    n_norms = sum(layer.kind == "NORM" and layer.mode == "batch" for layer in walk(problem.bound.layers))
    training, inference = planned(problem)[0], planned(problem, plan_inference)[0]
    once, per_sample = ["ONCE"] * (2 * n_norms), ["SAMPLES"] * (2 * n_norms + 1)
    kinds = kinds_of_segments(training)
    assert kinds.pop() == "UPDATE"
    assert kinds.count("ONCE") == len(once)
    # Behind the last NORM's barrier there may be nothing left to do for samples, and before the first nothing yet.
    assert kinds.count("SAMPLES") <= len(per_sample)
    assert all("SAMPLES" in pair for pair in pairwise(kinds))
    assert kinds_of_segments(inference) == ["ONCE"] * (n_norms > 0) + ["SAMPLES"]


def test_networks_without_batch_norm_have_one_segment_for_all_samples_and_keep_little_of_the_batch():
    training, _ = planned(Problem(VARIED, VARIED_SHAPE, n=100, n_classes=10))
    assert kinds_of_segments(training) == ["SAMPLES", "UPDATE"]
    # Measured when there were no other segments: what the two FC need, and nothing else, is of the whole batch.
    assert (training.shared, training.batch, training.slot, training.arena) == (34432, 76800, 8208, 26096)
    inference, _ = planned(Problem(VARIED, VARIED_SHAPE), plan_inference, 100)
    assert (inference.shared, inference.batch, inference.slot, inference.arena) == (64, 0, 0, 30976)


def buffers_of(problem):
    """The buffers of a training plan, in their places."""
    work = plan._Training(problem.bound, lay_out_parameters(problem.bound), problem.n)
    work.place_local(work.micro_batch(1))
    work.place_batch()
    return work.buffers


def of_the_batch(buffers):
    return [buffer for buffer in buffers if buffer.space == Space.BATCH]


@given(problems())
def test_volumes_of_the_batch_share_a_place_only_in_different_segments(problem):
    buffers = of_the_batch(buffers_of(problem))
    for one, other in combinations(buffers, 2):
        apart = one.uses[-1][0] < other.uses[0][0] or other.uses[-1][0] < one.uses[0][0]
        ends = [buffer.offset + buffer.size * problem.n for buffer in (one, other)]
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
    rows = training.program[training.program[:, 0] == Op.NORMALISE]
    normalised = [(row[OPERANDS["W"] + 1], Space(row[OPERANDS["Y"]]).name) for row in rows]
    first, second = sorted({coefficients for coefficients, _ in normalised})
    assert normalised == [
        (first, "LOCAL"),  # forward, for CONV 2
        (second, "BATCH"),  # for the FC, whose weight gradient is taken from the whole batch
        (first, "LOCAL"),  # anew, for the weight gradient of CONV 2
    ]


# -- Memory and layout -------------------------------------------------------------------------------------------------


@given(problems(), st.integers(1, 40), st.integers(1, 9))
def test_memory_is_what_the_layout_uses(problem, batch_size, n_workers):
    for planner in (plan_training, plan_inference):
        made, _ = planned(problem, planner, batch_size)
        layout = made.layout(batch_size, n_workers)
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
        assert made.layout(batch_size, n_workers)[Layout.WORKERS] == n_workers


def test_a_smaller_batch_has_the_places_of_the_largest():
    made, _ = planned(Problem(VARIED, VARIED_SHAPE, n=100))
    full, ragged = made.layout(100, 2), made.layout(7, 2)
    assert (full != ragged).nonzero()[0].tolist() == [Layout.SAMPLES]


def test_the_layout_says_what_dropout_draws_from():
    made, _ = planned(Problem(VARIED, VARIED_SHAPE, n=100))
    layout = made.layout(100, 2, seed=7, step=9)
    assert (layout[Layout.SEED], layout[Layout.STEP]) == (7, 9)
    assert (layout != made.layout(100, 2)).nonzero()[0].tolist() == [Layout.SEED, Layout.STEP]


def test_shards_and_micro_batches():
    bound = Architecture.parse("INPUT -> CONV(K=32) -> RELU -> CONV(K=32) -> RELU -> FC").bind((96, 96, 3), 10)
    parameters = lay_out_parameters(bound)
    for batch_size, shard_size in [(1, 1), (16, 1), (17, 2), (32, 2), (200, 13)]:
        made = plan_training(bound, parameters, batch_size)
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
    spaces = [tuple(Space(row[place]).name for place in OPERANDS.values()) for row in contracts]
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
        [Work.SAMPLES, 0, len(training.program) - 2],
        [Work.UPDATE, len(training.program) - 2, len(training.program)],
    ]
    assert lined(training.slot) == training.slot


def test_a_stride_far_beyond_the_image_is_planned_at_once():
    """Of its S x S phases only those of the image's pixels are written: the others would be 10**18."""
    text = "INPUT -> CONV(K=4) -> RELU -> CONV(K=4, S=1000000000, round=floor) -> FC"
    bound = Architecture.parse(text).bind((8, 8, 1), 3)
    assert len(plan_training(bound, lay_out_parameters(bound), 32).program) < 100


# -- Bands of a CONV's rows --------------------------------------------------------------------------------------------


@given(
    st.integers(1, 9), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(0, 6), st.integers(1, 12)
)
def test_bands_hold_every_tap_that_meets_the_volume(positions, taps, step, tap_step, before, extent):
    bands = convolution._bands(positions, taps, step, tap_step, before, extent, 1 << 20)
    assert [position for band in bands for position in range(band.first, band.first + band.count)] == [
        *range(positions)
    ]
    for band in bands:
        assert 0 <= band.tap < band.tap + band.taps <= taps
        for position in range(band.first, band.first + band.count):
            inside = [t for t in range(taps) if 0 <= position * step + t * tap_step - before < extent]
            if len(bands) > 1 and inside:
                assert [*range(band.tap, band.tap + band.taps)] == inside
            assert {*inside} <= {*range(band.tap, band.tap + band.taps)}
    assert len(convolution._bands(positions, taps, step, tap_step, before, extent, of_tap=0)) == 1
