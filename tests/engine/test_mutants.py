"""What the comparisons of test_network.py are worth: plans with one thing wrong in them, each of which is noticed.

What kernels compute is not theirs to change; there one thing is wrong in the oracles in place of the plan.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pytest

from skconvnet.engine import AbsoluteError, Huber, SigmoidCrossEntropy, SquaredError, scorer
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.plan.steps.branches import Sum
from skconvnet.engine.program.instructions import (
    INSTRUCTIONS,
    Activation,
    Adds,
    Block,
    Op,
    Residual,
    Samples,
    Space,
    Transform,
)
from skconvnet.engine.program.target import GPU, UNLIMITED
from skconvnet.engine.weights import fold as folding
from tests import oracles
from tests.engine.networks import BRANCHED, BRANCHED_SHAPE, Problem, cpu, mismatches

# Every S but one divides what it must; micro-batches of several samples; a CONV gradient through CONV, POOL and FC.
NETWORK = (
    "INPUT -> CONV(K=8) -> RELU -> CONV(K=12, F=4, S=2, P=1) -> RELU -> POOL(F=3, S=1) -> CONV(K=16) -> RELU"
    " -> POOL(F=2, S=2) -> RELU -> FC(150) -> RELU -> FC"
)
SHAPE = (20, 20, 2)

# A pixel that multiplies all others, and factors that are equally large.
GATED = "INPUT -> CONV(K=3, F=1) -> (SKIP * POOL(average, F=all) -> TANH) -> (CONV(K=3, F=1) -> TANH * SKIP) -> FC"


def instructions(mutated, op):
    return [row for row in mutated.program if row[0] == op]


def backward(mutated, op):
    """Instructions after the loss."""
    if not mutated.slot:
        return []
    loss = mutated.program[:, 0].tolist().index(Op.SOFTMAX_CROSS_ENTROPY)
    return [row for row in mutated.program[loss:] if row[0] == op]


def contracts(mutated, samples):
    return [row for row in instructions(mutated, Op.CONTRACT) if get(row, "sample_loop") == samples]


def column(row, name):
    return INSTRUCTIONS[Op(row[0])].number(name)


def operand(row, name):
    """The columns of an operand: space, offset and stride; what is written there changes the row."""
    return row[INSTRUCTIONS[Op(row[0])].operand(name) :][:3]


def get(row, name):
    return row[column(row, name)]


def put(row, **numbers):
    for name, number in numbers.items():
        row[column(row, name)] = number


def forward(mutated):
    """CONTRACT instructions of forward passes: those that start from biases."""
    return [row for row in contracts(mutated, Samples.I) if operand(row, "start")[0] == Space.PARAMETERS]


def flip_a_stride(mutated):
    for row in forward(mutated):
        operand(row, "a")[1] += (get(row, "R") - 1) * get(row, "a_r")
        put(row, a_r=-get(row, "a_r"))


def exchange_rows_and_columns(mutated):
    for row in forward(mutated):
        put(row, a_j=get(row, "a_p"), a_p=get(row, "a_j"))


def sum_weights_gradient_without_stride(mutated):
    for row in contracts(mutated, Samples.T):
        if get(row, "a_k") == 16:  # CONV 2: S = 2, a depth of 8
            put(row, a_k=8)


def lose_the_last_row_of_the_weights_gradient(mutated):
    for row in contracts(mutated, Samples.T):
        put(row, R=max(1, get(row, "R") - 1))


def forget_biases(mutated):
    for row in forward(mutated):
        operand(row, "start")[:2] = Space.SHARED, 0
        put(row, start_q=0)


def drop_the_bias_gradient(mutated):
    for row in instructions(mutated, Op.BIAS_RELU_BACKWARD):
        put(row, bias=0)


def leave_out_a_relu(mutated):
    put(forward(mutated)[0], RELU=0)


def leave_out_a_relu_of_its_own(mutated):
    for row in instructions(mutated, Op.RELU):
        row[0] = Op.CLEAR
        put(row, size=0)


def leave_out_a_relu_mask(mutated):
    for row in instructions(mutated, Op.BIAS_RELU_BACKWARD)[-1:]:
        put(row, relu=0)


def move_pool_windows(mutated):
    for row in instructions(mutated, Op.MAX_POOL):
        put(row, P_rows=get(row, "P_rows") + 1, P_columns=get(row, "P_columns") + 1)


def pick_a_pool_winner_off_by_one(mutated):
    for row in instructions(mutated, Op.MAX_POOL_BACKWARD):
        operand(row, "dx")[1] += get(row, "depth")


def overwrite_where_pool_windows_overlap(mutated):
    for row in instructions(mutated, Op.MAX_POOL_BACKWARD):
        put(row, overlap=0)


def keep_old_gradients_below_pool(mutated):
    for row in instructions(mutated, Op.CLEAR):
        put(row, size=0)


def keep_old_borders(mutated):
    for row in instructions(mutated, Op.CLEAR_BORDER):
        put(row, top=0, left=0, bottom=0, right=0)


def drop_the_micro_batches_before(mutated):
    for row in contracts(mutated, Samples.T):
        put(row, accumulate=0)


def leave_taps_unturned(mutated):
    """The second half of the taps of each CONV changes places with the first."""
    blocks = mutated.blocks
    turned = (blocks[:, Block.TRANSPOSED] >= 0) & (blocks[:, Block.CONTRACTION] < 0)
    for stride in np.unique(blocks[turned, Block.TRANSPOSED_STRIDE]):
        one_layer = turned & (blocks[:, Block.TRANSPOSED_STRIDE] == stride)
        blocks[one_layer, Block.TRANSPOSED] = blocks[one_layer, Block.TRANSPOSED][::-1]


def turn_nothing(mutated):
    mutated.blocks[:, Block.TRANSPOSED] = -1


def update_every_block_with_the_first_rows(mutated):
    mutated.blocks[:, Block.FIRST_ROW] = 0


def forget_a_class(mutated):
    for row in instructions(mutated, Op.SOFTMAX_CROSS_ENTROPY):
        put(row, classes=get(row, "classes") - 1)


def read_every_sample_in_the_place_of_the_first(mutated):
    for row in contracts(mutated, Samples.I):
        put(row, a_i=0)


def put_every_sample_of_the_batch_in_one_place(mutated):
    for row in mutated.program:
        for name in INSTRUCTIONS[Op(row[0])].operands:
            if operand(row, name)[0] == Space.BATCH:
                operand(row, name)[2] = 0


MUTATIONS = (
    flip_a_stride,
    exchange_rows_and_columns,
    sum_weights_gradient_without_stride,
    lose_the_last_row_of_the_weights_gradient,
    forget_biases,
    drop_the_bias_gradient,
    leave_out_a_relu,
    leave_out_a_relu_of_its_own,
    leave_out_a_relu_mask,
    move_pool_windows,
    pick_a_pool_winner_off_by_one,
    overwrite_where_pool_windows_overlap,
    keep_old_gradients_below_pool,
    keep_old_borders,
    drop_the_micro_batches_before,
    leave_taps_unturned,
    turn_nothing,
    update_every_block_with_the_first_rows,
    forget_a_class,
    read_every_sample_in_the_place_of_the_first,
    put_every_sample_of_the_batch_in_one_place,
)


# -- Mutations of BRANCHED ---------------------------------------------------------------------------------------------


def real(number):
    return np.float64(number).view(np.int64)


def take_batch_statistics_over_another_count(mutated):
    for row in instructions(mutated, Op.BATCH_STATISTICS):
        put(row, pixels=get(row, "pixels") + 1)


def take_batch_statistics_of_the_first_sample_alone(mutated):
    for row in instructions(mutated, Op.BATCH_STATISTICS):
        operand(row, "moments")[2] = 0


def take_the_mean_of_gradients_over_another_count(mutated):
    for row in instructions(mutated, Op.BATCH_GRADIENTS):
        put(row, pixels=get(row, "pixels") + 1)


def forget_that_batch_statistics_depend_on_the_input(mutated):
    """CONSTANT and SLOPE vanish."""
    for row in instructions(mutated, Op.BATCH_GRADIENTS):
        put(row, pixels=10**12)


def forget_that_layer_statistics_depend_on_the_input(mutated):
    for row in instructions(mutated, Op.LAYER_GRADIENTS):
        put(row, pixels=10**12)


def take_layer_statistics_over_padding(mutated):
    for op in (Op.LAYER_STATISTICS, Op.LAYER_GRADIENTS):
        for row in instructions(mutated, op):
            put(row, channels=get(row, "depth"))


def normalise_every_sample_as_the_first(mutated):
    for row in instructions(mutated, Op.NORMALISE):
        operand(row, "coefficients")[2] = 0


def forget_eps(mutated):
    for row in instructions(mutated, Op.BATCH_STATISTICS):
        put(row, eps=real(1e-12))


def move_the_running_statistics_too_far(mutated):
    for row in instructions(mutated, Op.BATCH_STATISTICS):
        put(row, momentum=real(1 - get(row, "momentum").view(np.float64)))


def leave_the_relu_of_a_norm_out(mutated):
    for row in instructions(mutated, Op.NORMALISE)[:1]:
        put(row, relu=0)


def leave_the_relu_mask_of_a_norm_out(mutated):
    for row in instructions(mutated, Op.NORMALISE_SUMS):
        put(row, relu=0)


def exchange_the_gradients_of_scale_and_shift(mutated):
    gradients = mutated.blocks[:, Block.GRADIENT]
    halves = mutated.blocks[gradients >= 0].repeat(2, axis=0)
    halves[:, Block.COLUMNS] //= 2
    halves[::2, Block.GRADIENT] += halves[::2, Block.COLUMNS]
    halves[1::2, Block.OFFSET] += halves[1::2, Block.COLUMNS]
    object.__setattr__(mutated, "blocks", np.concatenate([mutated.blocks[gradients < 0], halves]))


def draw_dropout_anew_on_the_way_back(mutated):
    for row in backward(mutated, Op.DROPOUT):
        put(row, layer=get(row, "layer") + 1)


def draw_all_dropouts_alike(mutated):
    for row in instructions(mutated, Op.DROPOUT):
        put(row, layer=0)


def drop_too_many(mutated):
    for row in instructions(mutated, Op.DROPOUT):
        put(row, rate=real(0.5))


def leave_dropout_out_on_the_way_back(mutated):
    for row in backward(mutated, Op.DROPOUT):
        put(row, rate=real(0.0))


def move_average_windows(mutated):
    for row in instructions(mutated, Op.AVERAGE_POOL):
        put(row, P_rows=get(row, "P_rows") + 1, P_columns=get(row, "P_columns") + 1)


def hand_averages_back_to_other_windows(mutated):
    for row in instructions(mutated, Op.AVERAGE_POOL_BACKWARD):
        put(row, P_rows=get(row, "P_rows") - 1, P_columns=get(row, "P_columns") - 1)


def look_around_fewer_slices(mutated):
    for row in instructions(mutated, Op.LRN):
        put(row, size=get(row, "size") - 1)


def look_around_fewer_slices_on_the_way_back(mutated):
    for row in instructions(mutated, Op.LRN_BACKWARD):
        put(row, size=get(row, "size") - 1)


def keep_what_pads_a_sigmoid(mutated):
    for row in instructions(mutated, Op.ACTIVATE):
        put(row, channels=get(row, "depth"))


def take_a_sigmoid_for_a_tanh_on_the_way_back(mutated):
    for row in instructions(mutated, Op.ACTIVATE_BACKWARD):
        put(row, function=Activation.TANH)


def stack_slices_off_by_one(mutated):
    for row in instructions(mutated, Op.COPY_CHANNELS):
        operand(row, "x")[1] += 1


def stack_a_slice_too_few(mutated):
    for row in instructions(mutated, Op.COPY_CHANNELS):
        put(row, channels=get(row, "channels") - 1)


def forget_the_gradient_of_a_branch(mutated):
    for row in backward(mutated, Op.ADD):
        operand(row, "w")[:] = Space.SHARED, 0, 0
        put(row, w_row=0)


def leave_the_relu_of_a_sum_out(mutated):
    for row in instructions(mutated, Op.ADD):
        put(row, relu=0)


def read_the_biases_of_the_first_group(mutated):
    for first, *others in groups(mutated):
        for row in others:
            operand(row, "start")[1] = operand(first, "start")[1]


def read_the_channels_of_the_first_group(mutated):
    for first, *others in groups(mutated):
        for row in others:
            operand(row, "a")[1] = operand(first, "a")[1]


def groups(mutated):
    """The contractions of each grouped CONV's forward pass: all on the same volume, but other channels of it."""
    rows = [row for row in forward(mutated) if get(row, "K") == 2]
    return [rows] if rows else []


def multiply_all_pixels_by_the_first(mutated):
    for row in instructions(mutated, Op.MULTIPLY):
        put(row, w_row=0, w_column=0)


def multiply_by_the_next_pixels(mutated):
    for row in instructions(mutated, Op.MULTIPLY):
        put(row, w_column=get(row, "depth"))


def take_the_gradient_of_a_factor_without_the_other(mutated):
    for row in backward(mutated, Op.MULTIPLY):
        operand(row, "w")[:] = operand(row, "x")
        put(row, w_row=get(row, "x_row"), w_column=get(row, "depth"))


def sum_the_gradient_of_a_pixel_over_fewer_rows(mutated):
    for row in instructions(mutated, Op.MULTIPLY_SUMS):
        put(row, rows=get(row, "rows") - 1)


MUTATIONS_OF_GATED = (
    multiply_all_pixels_by_the_first,
    multiply_by_the_next_pixels,
    take_the_gradient_of_a_factor_without_the_other,
    sum_the_gradient_of_a_pixel_over_fewer_rows,
    forget_the_gradient_of_a_branch,
)
MUTATIONS_OF_BRANCHED = (
    take_batch_statistics_over_another_count,
    take_batch_statistics_of_the_first_sample_alone,
    take_the_mean_of_gradients_over_another_count,
    forget_that_batch_statistics_depend_on_the_input,
    forget_that_layer_statistics_depend_on_the_input,
    take_layer_statistics_over_padding,
    normalise_every_sample_as_the_first,
    forget_eps,
    move_the_running_statistics_too_far,
    leave_the_relu_of_a_norm_out,
    leave_the_relu_mask_of_a_norm_out,
    exchange_the_gradients_of_scale_and_shift,
    draw_dropout_anew_on_the_way_back,
    draw_all_dropouts_alike,
    drop_too_many,
    leave_dropout_out_on_the_way_back,
    move_average_windows,
    hand_averages_back_to_other_windows,
    look_around_fewer_slices,
    look_around_fewer_slices_on_the_way_back,
    keep_what_pads_a_sigmoid,
    take_a_sigmoid_for_a_tanh_on_the_way_back,
    stack_slices_off_by_one,
    stack_a_slice_too_few,
    forget_the_gradient_of_a_branch,
    leave_the_relu_of_a_sum_out,
    read_the_biases_of_the_first_group,
    read_the_channels_of_the_first_group,
)


# -- Each of them ------------------------------------------------------------------------------------------------------


PROBLEMS = {
    "plain": Problem(NETWORK, SHAPE, n=11),
    "branched": Problem(BRANCHED, BRANCHED_SHAPE, n=11),
    "gated": Problem(GATED, (3, 4, 2), n=11),
}


@pytest.fixture(scope="module")
def expected():
    return {name: problem.expected() for name, problem in PROBLEMS.items()}


# Three shards of two micro-batches each.
SOUND = cpu(max_shards=3, max_micro_batch=3)


@dataclass(frozen=True)
class MutantDevice(CpuDevice):
    """Runs plans with one thing wrong in them; `changed` notes of each whether there is."""

    mutation: object = None
    changed: list = field(default_factory=list)

    def execution(self, plan, *arguments):
        unsound = replace(plan, program=plan.program.copy(), blocks=plan.blocks.copy())
        self.mutation(unsound)
        kept = np.array_equal(unsound.program, plan.program) and np.array_equal(unsound.blocks, plan.blocks)
        self.changed.append(not kept)
        return super().execution(unsound, *arguments)


def assert_noticed(problem, expected, mutation, sound=SOUND):
    device = MutantDevice(sound.target, mutation)
    found = problem.answers(device)
    assert any(device.changed)
    assert mismatches(found, expected)


@pytest.mark.parametrize("name", PROBLEMS)
def test_without_a_mutation_all_is_well(expected, name):
    assert mismatches(PROBLEMS[name].answers(SOUND), expected[name]) == {}


@pytest.mark.parametrize(
    ("name", "mutation"),
    [
        *(pytest.param("plain", mutation, id=mutation.__name__) for mutation in MUTATIONS),
        *(pytest.param("branched", mutation, id=mutation.__name__) for mutation in MUTATIONS_OF_BRANCHED),
        *(pytest.param("gated", mutation, id=f"{mutation.__name__} of a gate") for mutation in MUTATIONS_OF_GATED),
    ],
)
def test_a_mutation_is_noticed(expected, name, mutation):
    assert_noticed(PROBLEMS[name], expected[name], mutation)


LOSSES = {
    "labels": (SigmoidCrossEntropy(0.2), Op.SIGMOID_CROSS_ENTROPY, {"smoothing": 0}),
    "squares": (SquaredError(), Op.REGRESSION_LOSS, {"outputs": 2}),
    "absolute": (AbsoluteError(), Op.REGRESSION_LOSS, {"function": Residual.SQUARED}),
    "huber": (Huber(0.5), Op.REGRESSION_LOSS, {"delta": np.float64(1.0).view(np.int64)}),
}


@pytest.mark.parametrize(("loss", "op", "numbers"), LOSSES.values(), ids=LOSSES)
def test_another_number_of_a_loss_is_noticed(loss, op, numbers):
    def change(mutated):
        for row in instructions(mutated, op):
            put(row, **numbers)

    problem = Problem("INPUT -> CONV(K=4) -> RELU -> POOL -> FC", (4, 4, 1), n=11, loss=loss)
    expected = problem.expected()
    assert mismatches(problem.answers(SOUND), expected) == {}
    assert_noticed(problem, expected, change)


# -- Mutations of minimal filtering ------------------------------------------------------------------------------------

# Three tiles down and across, of which the last are cut. Depths of two and of three vectors.
TILES = Problem("INPUT -> CONV(K=16) -> RELU -> CONV(K=24) -> RELU -> CONV(K=16) -> RELU -> FC", (10, 9, 2), n=11)
STRIDES_OF_TILES = "x_row x_column x_i x_j y_row y_column y_a y_b".split()
STRIDES_OF_WEIGHTS = "x_column x_i x_j y_column y_a y_b".split()
LESS = {"rows": 1, "columns": 1, "depth": 8, "down": 1, "across": 1, "RELU": 1, "start_q": 1, "each_sample": 1}
COUNTS = ["rows", "columns", "depth", "each_sample"]
NUMBERS_OF_TRANSFORMS = {
    Transform.INPUT: STRIDES_OF_TILES + COUNTS,
    Transform.OUTPUT: STRIDES_OF_TILES + COUNTS + ["down", "across", "RELU", "start_q"],
    Transform.GRADIENT: STRIDES_OF_TILES + COUNTS,
    Transform.WEIGHTS: [*STRIDES_OF_WEIGHTS, "columns", "depth"],
    Transform.WEIGHTS_GRADIENT: [*STRIDES_OF_WEIGHTS, "columns", "depth", "adds"],
}


@pytest.fixture(scope="module")
def expected_of_tiles():
    """From direct sums."""
    return TILES.answers(cpu(winograd_depth=UNLIMITED))


def transforms(mutated, transform):
    return [row for row in instructions(mutated, Op.TRANSFORM) if get(row, "transform") == transform]


def test_minimal_filtering_is_well_without_a_mutation(expected_of_tiles):
    assert mismatches(TILES.answers(SOUND), expected_of_tiles) == {}


@pytest.mark.parametrize(
    ("transform", "number"),
    [
        pytest.param(transform, number, id=f"{transform.name} {number}")
        for transform, numbers in NUMBERS_OF_TRANSFORMS.items()
        for number in numbers
    ],
)
def test_another_number_of_a_transform_is_noticed(expected_of_tiles, transform, number):
    """Strides are 0, and counts less by one: other memory is neither read nor written."""

    def change(mutated):
        for row in transforms(mutated, transform):
            put(row, **{number: max(0, get(row, number) - LESS[number]) if number in LESS else 0})

    assert_noticed(TILES, expected_of_tiles, change)


@pytest.mark.parametrize(
    ("transform", "other"),
    [
        (Transform.INPUT, Transform.OUTPUT),
        (Transform.OUTPUT, Transform.WEIGHTS_GRADIENT),
        (Transform.GRADIENT, Transform.WEIGHTS),
        (Transform.WEIGHTS_GRADIENT, Transform.WEIGHTS_GRADIENT + 1),
    ],
    ids=lambda transform: Transform(transform).name if transform in list(Transform) else "none",
)
def test_another_transform_is_noticed(expected_of_tiles, transform, other):
    def change(mutated):
        for row in transforms(mutated, transform):
            put(row, transform=other)

    assert_noticed(TILES, expected_of_tiles, change)


def test_bands_that_overwrite_the_gradient_of_the_weights_are_noticed(expected_of_tiles):
    def overwrite(mutated):
        for row in transforms(mutated, Transform.WEIGHTS_GRADIENT):
            if get(row, "adds") == Adds.ALWAYS:
                put(row, adds=Adds.NEVER)

    bands = cpu(winograd_band=0, largest_arena=0, max_shards=3, max_micro_batch=3)
    assert mismatches(TILES.answers(bands), expected_of_tiles) == {}
    assert_noticed(TILES, expected_of_tiles, overwrite, bands)


def products_forward(mutated):
    loss = mutated.program[:, 0].tolist().index(Op.SOFTMAX_CROSS_ENTROPY) if mutated.slot else len(mutated.program)
    return [row for row in of_tiles(mutated.program[:loss]) if get(row, "sample_loop") == Samples.I]


def products_of_the_input_gradient(mutated):
    return [row for row in of_tiles(backward(mutated, Op.CONTRACT)) if get(row, "sample_loop") == Samples.I]


def products_of_the_weights_gradient(mutated):
    return [row for row in of_tiles(mutated.program) if get(row, "sample_loop") == Samples.T]


def of_tiles(rows):
    return [row for row in rows if row[0] == Op.CONTRACT and get(row, "groups") == 36]


STRIDES_OF_PRODUCTS = {
    products_forward: "a_i a_p a_k a_g b_k b_g c_i c_p c_g",
    products_of_the_input_gradient: "a_i a_p a_k a_g b_k b_g c_i c_p c_g",
    products_of_the_weights_gradient: "a_p a_t a_k a_g b_t b_k b_g c_p c_g",
}


IN_BLOCKS = cpu(winograd_band=0, winograd_tiles=UNLIMITED, winograd_block=(8, 16), max_shards=3, max_micro_batch=3)


def test_minimal_filtering_with_weights_in_blocks_is_well_without_a_mutation(expected_of_tiles):
    assert mismatches(TILES.answers(IN_BLOCKS), expected_of_tiles) == {}


@pytest.mark.parametrize("number", "a_i a_p a_k a_g b_k b_g start_i start_p start_q start_g c_i c_p c_g".split())
def test_another_number_of_the_products_with_weights_in_blocks_is_noticed(expected_of_tiles, number):
    """Only scoring reads weights in blocks."""

    def change(mutated):
        for row in products_forward(mutated):
            put(row, **{number: 0})

    assert_noticed(TILES, expected_of_tiles, change, IN_BLOCKS)


@pytest.mark.parametrize(
    ("find", "number"),
    [
        pytest.param(find, number, id=f"{find.__name__} {number}")
        for find, strides in STRIDES_OF_PRODUCTS.items()
        for number in [*strides.split(), "M", "N", "K", "groups", "sample_loop"]
    ],
)
def test_another_number_of_the_products_of_tiles_is_noticed(expected_of_tiles, find, number):
    less = {"M": 1, "N": 8, "K": 1, "groups": 1}

    def change(mutated):
        for row in find(mutated):
            put(row, **{number: get(row, number) - less[number] if number in less else 0})

    assert_noticed(TILES, expected_of_tiles, change)


# -- Mutations of sums with a filter for each channel ------------------------------------------------------------------

# At a stride that two phases share, with a gradient for the input.
DEPTHWISE = Problem("INPUT -> CONV(K=10) -> RELU -> CONV(K=10, S=2, groups=10) -> RELU -> FC", (7, 5, 2), n=5)
_COUNTS, _OTHERS = {"rows", "columns", "channels", "T", "R"}, {"depth"}  # another depth would reach beyond the volumes


@pytest.fixture(scope="module")
def expected_of_depthwise():
    return DEPTHWISE.expected()


@pytest.mark.parametrize(
    ("op", "number"),
    [
        (op, number)
        for op in (Op.DEPTHWISE, Op.DEPTHWISE_WEIGHTS)
        for number in INSTRUCTIONS[op].numbers
        if number not in _OTHERS
    ],
)
def test_another_number_of_a_sum_with_a_filter_for_each_channel_is_noticed(expected_of_depthwise, op, number):
    """Counts are one too few; strides and flags are 0."""

    def mutation(mutated):
        for row in instructions(mutated, op):
            put(row, **{number: max(0, get(row, number) - 1) if number in _COUNTS else 0})

    device = MutantDevice(SOUND.target, mutation)
    found = DEPTHWISE.answers(device)
    assert any(device.changed)
    assert mismatches(found, expected_of_depthwise)


def test_a_filter_for_each_channel_is_well_without_a_mutation(expected_of_depthwise):
    assert mismatches(DEPTHWISE.answers(SOUND), expected_of_depthwise) == {}


# -- Mutations of dilated sums -----------------------------------------------------------------------------------------

# The other layer with weights has a single one for each channel, so that its strides from tap to tap are of no use.
DILATED = Problem(
    "INPUT -> CONV(K=4, F=1, P=0) -> CONV(K=3, S=2, P=3, dilation=3, round=floor) -> POOL(average, F=all)",
    (7, 6, 2),
    n=3,
)


@pytest.fixture(scope="module")
def expected_of_dilated():
    return DILATED.expected()


def weights_gradient(mutated):
    return contracts(mutated, Samples.T)


def input_gradient(mutated):
    return [row for row in backward(mutated, Op.CONTRACT) if get(row, "sample_loop") == Samples.I]


@pytest.mark.parametrize(
    ("find", "stride"),
    [(find, stride) for find in (forward, input_gradient) for stride in ("a_t", "a_r")]
    + [(weights_gradient, stride) for stride in ("a_i", "a_j")],
)
def test_taps_without_their_dilation_are_noticed(expected_of_dilated, find, stride):
    def let_taps_be_neighbours(mutated):
        for row in find(mutated):
            put(row, **{stride: get(row, stride) // 3})

    assert_noticed(DILATED, expected_of_dilated, let_taps_be_neighbours)


def test_dilated_sums_are_well_without_a_mutation(expected_of_dilated):
    assert mismatches(DILATED.answers(SOUND), expected_of_dilated) == {}


# -- Mutations of activation functions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [Op.ACTIVATE, Op.ACTIVATE_BACKWARD])
@pytest.mark.parametrize("function", Activation)
def test_another_activation_function_is_noticed(function, op):
    problem = Problem(f"INPUT -> CONV(K=6, F=1, P=0) -> {function.name} -> FC", (3, 4, 2), n=5)
    expected = problem.expected()
    assert mismatches(problem.answers(SOUND), expected) == {}

    def mutation(mutated):
        for row in instructions(mutated, op):
            put(row, function=(function + 1) % len(Activation))

    assert_noticed(problem, expected, mutation)


@pytest.fixture(scope="module")
def prelu():
    """A PRELU and what is expected of it."""
    problem = Problem("INPUT -> CONV(K=6, F=1, P=0) -> PRELU -> FC", (3, 4, 2), n=5)
    return problem, problem.expected()


def read_the_slopes_one_channel_on(mutated):
    for row in instructions(mutated, Op.PRELU):
        operand(row, "slopes")[1] += 1


def let_the_gradient_of_a_prelu_choose_by_itself(mutated):
    for row in backward(mutated, Op.PRELU):
        operand(row, "x")[:] = operand(row, "v")


def sum_the_slopes_of_fewer_rows(mutated):
    for row in instructions(mutated, Op.PRELU_SLOPES):
        put(row, rows=get(row, "rows") - 1)


def update_the_slopes_with_the_gradient_of_others(mutated):
    for row in instructions(mutated, Op.PRELU_SLOPES):
        operand(row, "dslopes")[1] += 1


MUTATIONS_OF_PRELU = (
    read_the_slopes_one_channel_on,
    let_the_gradient_of_a_prelu_choose_by_itself,
    sum_the_slopes_of_fewer_rows,
    update_the_slopes_with_the_gradient_of_others,
)


@pytest.mark.parametrize("mutation", MUTATIONS_OF_PRELU, ids=lambda mutation: mutation.__name__)
def test_a_mutation_of_a_prelu_is_noticed(prelu, mutation):
    assert_noticed(*prelu, mutation)


# -- Mutations of windows that are not square --------------------------------------------------------------------------

# The other CONV and POOL are square.
RECTANGULAR = Problem(
    "INPUT -> CONV(K=4, F=1, P=0) -> CONV(K=3, F=2x3, P=0x1) -> POOL(F=3x2, S=1x2, P=1x0, round=ceil)"
    " -> POOL(average, F=2x3, S=1x2, P=0x1) -> POOL(average, F=all)",
    (9, 5, 2),
    n=3,
)
POOLS = (Op.MAX_POOL, Op.MAX_POOL_BACKWARD, Op.AVERAGE_POOL, Op.AVERAGE_POOL_BACKWARD)


@pytest.fixture(scope="module")
def expected_of_rectangular():
    return RECTANGULAR.expected()


@pytest.mark.parametrize(
    ("find", "pair"),
    [
        *((partial(instructions, op=op), (f"{letter}_rows", f"{letter}_columns")) for op in POOLS for letter in "FSP"),
        *((find, "TR") for find in (forward, input_gradient)),
        (weights_gradient, "IJ"),
    ],
)
def test_a_number_of_one_axis_for_that_of_the_other_is_noticed(expected_of_rectangular, find, pair):
    def let_both_be_the_smaller(mutated):
        for row in find(mutated):
            put(row, **dict.fromkeys(pair, min(get(row, name) for name in pair)))

    assert_noticed(RECTANGULAR, expected_of_rectangular, let_both_be_the_smaller)


def test_windows_that_are_not_square_are_well_without_a_mutation(expected_of_rectangular):
    assert mismatches(RECTANGULAR.answers(SOUND), expected_of_rectangular) == {}


# -- Mutations of averages that count their padding --------------------------------------------------------------------

COUNTED = Problem("INPUT -> CONV(K=3) -> POOL(average, F=3x2, P=1, padding=counted) -> FC", (4, 5, 2), n=3)


@pytest.mark.parametrize("op", [Op.AVERAGE_POOL, Op.AVERAGE_POOL_BACKWARD])
@pytest.mark.parametrize("number", ["counted_rows", "counted_columns"])
def test_padding_that_is_not_counted_is_noticed(op, number):
    def leave_padding_out(mutated):
        for row in instructions(mutated, op):
            put(row, **{number: 0})

    assert_noticed(COUNTED, COUNTED.expected(), leave_padding_out)


def test_averages_that_count_their_padding_are_well_without_a_mutation():
    assert mismatches(COUNTED.answers(SOUND), COUNTED.expected()) == {}


# -- Mutations of plans for a GPU, with a loop over groups -------------------------------------------------------------


def forward_of_groups(mutated):
    return [row for row in forward(mutated) if get(row, "groups") > 1]


def weights_gradient_of_groups(mutated):
    return [row for row in contracts(mutated, Samples.T) if get(row, "groups") > 1]


def input_gradient_of_groups(mutated):
    return [row for row in backward(mutated, Op.CONTRACT) if get(row, "sample_loop") == Samples.I and get(row, "a_g")]


SUMS_OF_GROUPS = (forward_of_groups, weights_gradient_of_groups, input_gradient_of_groups)


@pytest.mark.parametrize("find", SUMS_OF_GROUPS, ids=lambda find: find.__name__)
@pytest.mark.parametrize("stride", ["a_g", "b_g", "c_g", "start_g"])
def test_another_distance_between_groups_is_noticed(expected, find, stride):
    if stride == "start_g" and find is not forward_of_groups:
        pytest.skip("gradients start from zeros")

    def give_all_groups_what_the_first_has(mutated):
        for row in find(mutated):
            put(row, **{stride: 0})

    assert_noticed(PROBLEMS["branched"], expected["branched"], give_all_groups_what_the_first_has, CpuDevice(GPU))


@pytest.mark.parametrize("name", PROBLEMS)
def test_plans_for_a_gpu_are_well_without_a_mutation(expected, name):
    assert mismatches(PROBLEMS[name].answers(CpuDevice(GPU)), expected[name]) == {}


# -- Mutations of the steps, and of the oracles ------------------------------------------------------------------------


def let_the_first_branch_have_the_gradient_of_all(monkeypatch):
    monkeypatch.setattr(Sum, "_scratch", lambda step, builder, branch, dy: dy)


def fold_without_eps(monkeypatch):
    fold = folding._Folding.fold
    monkeypatch.setattr(folding._Folding, "fold", lambda own, layer, norm: fold(own, layer, replace(norm, eps=0.0)))


def fold_without_the_mean(monkeypatch):
    def folded(architecture, learned):
        return fold(architecture, learned._replace(means=[0 * mean for mean in learned.means]))

    fold = scorer.fold_batch_norms
    monkeypatch.setattr(scorer, "fold_batch_norms", folded)


def take_the_unbiased_variance(monkeypatch):
    monkeypatch.setattr(oracles.normalisation, "mean_and_variance", lambda x: (x.mean(), x.var(ddof=1)))


def run_with_the_biased_variance(monkeypatch):
    def biased(x, mean, variance, momentum):
        own = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return tuple((1 - momentum) * old + momentum * new for old, new in zip((mean, variance), own, strict=True))

    monkeypatch.setattr(oracles.normalisation, "running_statistics", biased)


def take_statistics_for_constants(monkeypatch):
    def gradients(d_out, x, scale, eps):
        _, d_scale, d_shift = sound(d_out, x, scale, eps)
        return d_out * scale / np.sqrt(x.var() + eps), d_scale, d_shift

    sound = oracles.normalised_gradients
    monkeypatch.setattr(oracles.normalisation, "normalised_gradients", gradients)


def divide_by_whole_windows(monkeypatch):
    def average_pool(x, F, S, P, extent, counted):
        out = np.zeros((len(x), *extent, x.shape[3]))
        for n, i, j, c in np.ndindex(out.shape):
            out[n, i, j, c] = sum(x[(n, *pixel, c)] for pixel in oracles.window(x.shape, i, j, F, S, P)) / 9
        return out

    monkeypatch.setattr(oracles.pooling, "average_pool", average_pool)


def move_the_slices_around_by_one(monkeypatch):
    around = oracles.slices_around
    monkeypatch.setattr(
        oracles.normalisation,
        "slices_around",
        lambda c, depth, size: [j for j in around(c + 1, depth + 1, size) if j < depth],
    )


def look_around_in_place_of_being_looked_at(monkeypatch):
    """In LRN's gradient: the slices around c are not those that have c around them."""

    def gradient(d_out, x, size, alpha, beta, k):
        d_x = np.zeros(x.shape)
        for c in range(x.shape[3]):
            d_x[..., c] += d_out[..., c] / oracles.lrn_base(x, c, size, alpha, k) ** beta
            for i in oracles.slices_around(c, x.shape[3], size):
                pull = d_out[..., i] * x[..., i] * oracles.lrn_base(x, i, size, alpha, k) ** (-beta - 1)
                d_x[..., c] -= 2 * alpha * beta * x[..., c] * pull
        return d_x

    monkeypatch.setattr(oracles.normalisation, "local_response_norm_gradient", gradient)


def divide_alpha_by_size(monkeypatch):
    base = oracles.lrn_base
    monkeypatch.setattr(
        oracles.normalisation, "lrn_base", lambda x, c, size, alpha, k: base(x, c, size, alpha / size, k)
    )


def keep_what_is_not_dropped_as_it_is(monkeypatch):
    monkeypatch.setattr(oracles.activations, "dropout", lambda x, mask, rate: np.where(mask, x, 0.0))


def drop_by_channels(monkeypatch):
    dropout = oracles.dropout
    monkeypatch.setattr(oracles.activations, "dropout", lambda x, mask, rate: dropout(x, mask[:, :1, :1], rate))


def let_the_gradient_of_a_tanh_pass(monkeypatch):
    monkeypatch.setattr(oracles.activations, "tanh_gradient", lambda d_out, x: d_out * (1 - np.tanh(x)))


OTHER_MUTATIONS = (
    let_the_first_branch_have_the_gradient_of_all,
    fold_without_eps,
    fold_without_the_mean,
    take_the_unbiased_variance,
    run_with_the_biased_variance,
    take_statistics_for_constants,
    divide_by_whole_windows,
    move_the_slices_around_by_one,
    look_around_in_place_of_being_looked_at,
    divide_alpha_by_size,
    keep_what_is_not_dropped_as_it_is,
    drop_by_channels,
    let_the_gradient_of_a_tanh_pass,
)


@pytest.mark.parametrize("mutation", OTHER_MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mutation_of_steps_or_oracles_is_noticed(mutation, monkeypatch):
    mutation(monkeypatch)
    assert mismatches(PROBLEMS["branched"].answers(SOUND), PROBLEMS["branched"].expected())
