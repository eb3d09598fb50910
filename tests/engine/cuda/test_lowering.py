"""An instruction becomes launches whose arguments are found by name."""

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.dispatch import LOWERINGS
from skconvnet.engine.cuda.kernels.activations import relu
from skconvnet.engine.cuda.lowering import call_of
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, Space, encode

SPACES = {space: 1_000_000 * (1 + space) for space in Space}


def row(rows=5, columns=7, depth=16):
    numbers = {"rows": rows, "columns": columns, "depth": depth, "x_row": 144, "y_row": 112}
    operands = {"x": (Space.BATCH, 32, 900), "y": (Space.LOCAL, 64, 560)}
    return encode(Op.RELU, operands, numbers)


def test_operands_are_addresses_and_numbers_have_their_names():
    call = call_of(row(), SPACES, {"samples": 3, "place": 0})
    assert (call["x"], call["x_sample"]) == (SPACES[Space.BATCH] + 128, 900)
    assert (call["y"], call["y_sample"]) == (SPACES[Space.LOCAL] + 256, 560)
    assert (call["rows"], call["y_row"], call["samples"]) == (5, 112, 3)


def test_a_shard_begins_at_its_place_in_the_batch():
    call = call_of(row(), SPACES, {"samples": 3, "place": 7})
    assert call["x"] == SPACES[Space.BATCH] + 128 + 4 * 7 * 900
    assert call["y"] == SPACES[Space.LOCAL] + 256


def test_a_launch_has_its_arguments_in_the_order_of_the_parameters():
    (launch,) = LOWERINGS[Op.RELU](call_of(row(), SPACES, {"samples": 3, "place": 0}))
    assert launch.kernel is relu
    assert launch.grid == (3, 1, 1)
    assert dict(zip(relu.parameters, launch.arguments, strict=True))["x_row"] == 144
    (launch,) = LOWERINGS[Op.RELU](call_of(row(rows=64, columns=5), SPACES, {"samples": 2, "place": 0}))
    assert launch.grid == (2, 5, 1)  # 64 * 5 * 16 / 4 quads, 256 a block


def test_numbers_that_are_not_whole_become_floats():
    numbers = {"rows": 1, "columns": 1, "depth": 8, "x_row": 8, "y_row": 8, "layer": 2, "rate": 0.25}
    call = call_of(encode(Op.DROPOUT, dict.fromkeys(("x", "y"), (0, 0, 8)), numbers), SPACES, {})
    assert (call["rate"], call["layer"]) == (0.25, 2)


def test_scratch_of_one_instruction_does_not_overlap():
    call = call_of(row(), SPACES, {"samples": 3, "place": 0}, scratch=4096)
    assert [call.scratch(5), call.scratch(17), call.scratch(1)] == [4096, 4096 + 64, 4096 + 64 + 128]
    assert call.scratch_size == 16 + 32 + 16


# Operations on volumes, and the numbers that each thread has.
QUADS = "RELU PRELU ACTIVATE ACTIVATE_BACKWARD DROPOUT ADD MULTIPLY COPY_CHANNELS NORMALISE NORMALISE_BACKWARD".split()
QUADS += "LRN LRN_BACKWARD MAX_POOL MAX_POOL_BACKWARD AVERAGE_POOL AVERAGE_POOL_BACKWARD".split()
PER_THREAD = dict.fromkeys(QUADS, 4) | {"CLEAR": 1, "CLEAR_BORDER": 1, "LOAD_IMAGES": 1, "STORE_SCORES": 1}


@pytest.mark.parametrize("op", PER_THREAD)
@pytest.mark.parametrize(("rows", "blocks"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_a_grid_has_a_thread_for_every_number_and_no_idle_block(op, rows, blocks):
    """Rows of 32 threads, 8 of which are a block."""
    instruction = INSTRUCTIONS[Op[op]]
    depth = 8 * PER_THREAD[op]
    sizes = {"rows": rows, "rows_out": rows, "columns": 4, "columns_out": 4, "depth": depth, "channels": depth}
    sizes |= {"classes": depth, "size": rows * 32, "F_rows": 2, "rate": 0.5, "alpha": 1.0, "beta": 1.0, "k": 1.0}
    sizes |= dict.fromkeys(("top", "left", "bottom", "right", "clear"), 0)
    numbers = {name: sizes.get(name, 4) for name in instruction.numbers}
    machine = dict.fromkeys("pixels indices warps mean scale step draws scores batch is_bytes is_warped".split(), 1)
    operands = dict.fromkeys(instruction.operands, (Space.BATCH, 0, 4096))
    call = call_of(encode(Op[op], operands, numbers), dict.fromkeys(Space, 0), {"samples": 3, "place": 0} | machine)
    (launch,) = LOWERINGS[Op[op]](call)
    assert launch.grid == (3, blocks, 1)


@pytest.mark.parametrize(
    ("blocks", "y", "z"), [(65_535, 65_535, 1), (65_536, 32_768, 2), (131_070, 65_535, 2), (131_071, 43_691, 3)]
)
def test_blocks_that_a_grid_has_no_room_for_along_y_go_on_along_z(blocks, y, z):
    call = call_of(row(rows=blocks, columns=4, depth=256), SPACES, {"samples": 3, "place": 0})  # 256 quads a row
    (launch,) = LOWERINGS[Op.RELU](call)
    assert launch.grid == (3, y, z)


@pytest.mark.parametrize("op", [Op.CHANNEL_MOMENTS, Op.NORMALISE_SUMS])
def test_a_grid_that_no_gpu_takes_is_refused(op):
    """Parts of 1,024 pixels are along z."""
    instruction = INSTRUCTIONS[op]
    for columns, is_refused in [(1024, False), (1025, True)]:
        numbers = dict.fromkeys(instruction.numbers, 8) | {"rows": 65_535, "columns": columns}
        operands = dict.fromkeys(instruction.operands, (Space.BATCH, 0, 4096))
        call = call_of(encode(op, operands, numbers), SPACES, {"samples": 3, "place": 0})
        if is_refused:
            with pytest.raises(ValueError, match=r"has 3 x 1 x 65,599 blocks .* takes at most 2,147,.* Use smaller"):
                list(LOWERINGS[op](call))
        else:
            assert next(iter(LOWERINGS[op](call))).grid == (3, 1, 65_535)
