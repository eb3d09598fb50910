"""What the comparisons of test_network.py are worth: plans with one thing wrong in them, each of which is noticed."""

from dataclasses import replace

import numpy as np
import pytest

from skconvnet.engine import network, plan, trainer
from skconvnet.engine.program import FIRST_NUMBER, NUMBERS, OPERANDS, Block, Op, Samples, Space
from tests.engine.networks import Problem, mismatches

# Every S but one divides what it must; micro-batches of several samples; a CONV gradient through CONV, POOL and FC.
NETWORK = (
    "INPUT -> CONV(K=8) -> RELU -> CONV(K=12, F=4, S=2, P=1) -> RELU -> POOL(F=3, S=1) -> CONV(K=16) -> RELU"
    " -> POOL(F=2, S=2) -> RELU -> FC(150) -> RELU -> FC"
)
SHAPE = (20, 20, 2)


def instructions(mutated, op):
    return [row for row in mutated.program if row[0] == op]


def contracts(mutated, samples):
    return [row for row in instructions(mutated, Op.CONTRACT) if get(row, "samples") == samples]


def column(row, name):
    return FIRST_NUMBER + NUMBERS[Op(row[0])].index(name)


def get(row, name):
    return row[column(row, name)]


def put(row, **numbers):
    for name, number in numbers.items():
        row[column(row, name)] = number


def forward(mutated):
    """CONTRACT instructions of forward passes: those that start from biases."""
    return [row for row in contracts(mutated, Samples.I) if row[OPERANDS["START"]] == Space.PARAMETERS]


def flip_a_stride(mutated):
    for row in forward(mutated):
        row[OPERANDS["X"] + 1] += (get(row, "R") - 1) * get(row, "a_r")
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
        row[OPERANDS["START"] :][:2] = Space.SHARED, 0
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
        put(row, P=get(row, "P") + 1)


def pick_a_pool_winner_off_by_one(mutated):
    for row in instructions(mutated, Op.MAX_POOL_BACKWARD):
        row[OPERANDS["W"] + 1] += get(row, "depth")


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
    turned = (blocks[:, Block.TURNED] >= 0) & (blocks[:, Block.CONTRACTION] < 0)
    for stride in np.unique(blocks[turned, Block.TURNED_STRIDE]):
        one_layer = turned & (blocks[:, Block.TURNED_STRIDE] == stride)
        blocks[one_layer, Block.TURNED] = blocks[one_layer, Block.TURNED][::-1]


def turn_nothing(mutated):
    mutated.blocks[:, Block.TURNED] = -1


def update_every_block_with_the_first_rows(mutated):
    mutated.blocks[:, Block.FIRST_ROW] = 0


def forget_a_class(mutated):
    for row in instructions(mutated, Op.CROSS_ENTROPY):
        put(row, classes=get(row, "classes") - 1)


def read_every_sample_in_the_place_of_the_first(mutated):
    for row in contracts(mutated, Samples.I):
        put(row, a_i=0)


def put_every_sample_of_the_batch_in_one_place(mutated):
    for row in mutated.program:
        for place in OPERANDS.values():
            if row[place] == Space.BATCH:
                row[place + 2] = 0


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


@pytest.fixture(scope="module")
def problem():
    return Problem(NETWORK, SHAPE, n=11)


@pytest.fixture(scope="module")
def expected(problem):
    return problem.expected()


@pytest.fixture(autouse=True)
def _few_shards(monkeypatch):
    """Three shards of two micro-batches each."""
    monkeypatch.setattr(plan, "_MOST_SHARDS", 3)
    monkeypatch.setattr(plan, "_MOST_SAMPLES", 3)


def test_without_a_mutation_all_is_well(problem, expected):
    assert mismatches(problem.answers(), expected) == {}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mutation_is_noticed(problem, expected, mutation, monkeypatch):
    changed = []

    def mutant(planned):
        def plan_mutant(*arguments):
            sound = planned(*arguments)
            unsound = replace(sound, program=sound.program.copy(), blocks=sound.blocks.copy())
            mutation(unsound)
            changed.append((unsound.program != sound.program).any() or (unsound.blocks != sound.blocks).any())
            return unsound

        return plan_mutant

    monkeypatch.setattr(trainer, "plan_training", mutant(trainer.plan_training))
    monkeypatch.setattr(network, "plan_inference", mutant(network.plan_inference))
    found = problem.answers()
    assert any(changed)
    assert mismatches(found, expected)
