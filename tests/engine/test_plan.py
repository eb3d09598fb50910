"""Plans: memory is known before it is taken, no address leaves its space, and shared memory is shared in turns."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skconvnet.architecture import Architecture
from skconvnet.engine import plan
from skconvnet.engine.memory import lined
from skconvnet.engine.parameters import lay_out_parameters
from skconvnet.engine.plan import plan_inference, plan_training
from skconvnet.engine.program import FIRST_NUMBER, OPERANDS, Block, Layout, Op, Space
from tests.engine.networks import VARIED, VARIED_SHAPE, Problem, problems
from tests.engine.walker import Trespass, Walk


def planned(problem, planner=plan_training, batch_size=None):
    parameters = lay_out_parameters(problem.bound)
    return planner(problem.bound, parameters, batch_size or problem.n), parameters.size


def pack_without_sharing(buffers, micro_batch):
    """A place for every buffer by itself."""
    offset = 0
    for buffer in buffers:
        buffer.offset, offset = offset, offset + buffer.size * micro_batch
    return offset


# -- The walk ----------------------------------------------------------------------------------------------------------


@settings(max_examples=120)
@given(problems(), st.sampled_from([plan_training, plan_inference]), st.booleans(), st.data())
def test_no_address_leaves_its_space_and_sharing_changes_no_value(problem, planner, one_by_one, data):
    n_samples = data.draw(st.integers(1, problem.n))
    with patch.object(plan, "_MOST_SHARDS", 2), patch.object(plan, "_MOST_SAMPLES", 1 if one_by_one else 4):
        shared, n_parameters = planned(problem, planner)
        with patch.object(plan, "pack", pack_without_sharing):
            apart, _ = planned(problem, planner)
    walks = [Walk(p, n_parameters, n_samples) for p in (shared, replace(apart, micro_batch=shared.micro_batch))]
    assert shared.arena <= apart.arena
    for one, other in zip(*(walk.seen for walk in walks), strict=True):
        np.testing.assert_array_equal(one, other)


def trespass(change):
    """What the walk says of a changed plan."""
    sound, n_parameters = planned(Problem(VARIED, VARIED_SHAPE, n=3))
    Walk(sound, n_parameters, 3)
    unsound = replace(sound, program=sound.program.copy(), blocks=sound.blocks.copy())
    with pytest.raises(Trespass) as caught:
        Walk(change(unsound) or unsound, n_parameters, 3)
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


def test_the_walk_notices_buffers_that_overlap():
    def pack_all_in_one_place(buffers, micro_batch):
        return max(buffer.size for buffer in buffers) * micro_batch

    problem = Problem(VARIED, VARIED_SHAPE, n=3)
    expected = Walk(*planned(problem), 3).seen
    with patch.object(plan, "pack", pack_all_in_one_place):
        overlapping = planned(problem)
    try:
        seen = Walk(*overlapping, 3).seen
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
    layers = lay_out_parameters(problem.bound).layers
    expected, weights = np.zeros(n_parameters, int), np.zeros(n_parameters, bool)
    for layer in layers:
        expected[layer.bias : layer.bias + layer.columns] = 1
        expected[layer.weights : layer.weights + layer.n_rows * layer.columns] = 1
        weights[layer.weights : layer.weights + layer.n_rows * layer.columns] = True
    np.testing.assert_array_equal(reached, expected)
    np.testing.assert_array_equal(decaying, weights)


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


def test_shards_and_micro_batches():
    bound = Architecture.parse("INPUT -> CONV(K=32) -> RELU -> CONV(K=32) -> RELU -> FC").bind((64, 64, 3), 10)
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
    assert training.segments[0].tolist() == [0, 0, len(training.program) - 2]
    assert lined(training.slot) == training.slot


def test_a_stride_far_beyond_the_image_is_planned_at_once():
    """Of its S x S phases only those of the image's pixels are written: the others would be 10**18."""
    text = "INPUT -> CONV(K=4) -> RELU -> CONV(K=4, S=1000000000, round=floor) -> FC"
    bound = Architecture.parse(text).bind((8, 8, 1), 3)
    assert len(plan_training(bound, lay_out_parameters(bound), 32).program) < 100
