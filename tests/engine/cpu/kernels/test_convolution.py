"""Contractions against the sum that they are, written as loops. Small whole numbers, so that every answer is exact."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skconvnet.engine.program.instructions import INSTRUCTIONS, Block, Op, Rule, Samples, SegmentKind, Space
from tests.engine.cpu.programs import Memory, run, shared

OPERANDS = INSTRUCTIONS[Op.CONTRACT].operands
LOOPS = {"I": "i", "J": "j", "M": "p", "T": "t", "R": "r", "K": "k", "groups": "g"}


@st.composite
def contractions(draw):
    """Any counts and any strides of A and B; of C, strides that put no two elements in one place."""
    counts = {letter: draw(st.integers(1, 3)) for letter in "IJTR"}
    counts |= {"M": draw(st.integers(1, 40)), "K": draw(st.integers(1, 6)), "N": 8 * draw(st.integers(1, 17))}
    one = draw(st.sampled_from("IJMTRKN"))
    counts[one] = draw(st.sampled_from([0, 8] if one == "N" else [0, 1, 8]))
    counts["groups"] = draw(st.sampled_from([1, 1, 2, 3]))
    n = counts | {f"a_{letter}": draw(st.integers(-5, 9)) for letter in "ijptrkg"}
    n |= {f"b_{letter}": draw(st.integers(-9, 90)) for letter in "trkg"}
    n |= {f"start_{letter}": draw(st.integers(-9, 90)) for letter in "ijpg"} | {"start_q": draw(st.integers(0, 1))}
    if n["start_q"] == 0:  # a sum that starts from zeros
        n |= {"start_i": 0, "start_j": 0, "start_p": 0, "start_g": 0}
    distance = counts["N"] + draw(st.integers(0, 3))
    for letter in draw(st.permutations("ijpg")):
        n[f"c_{letter}"] = distance
        distance = distance * counts[{"i": "I", "j": "J", "p": "M", "g": "groups"}[letter]] + draw(st.integers(0, 5))
    # Loops become one where all of their operands' strides allow it: often all, often all but one.
    lets = st.sampled_from([True, True, True, False])
    for operand, outer, inner, count in [("a", "j", "p", "M"), ("start", "j", "p", "M"), ("a", "r", "k", "K")]:
        if draw(lets):
            n[f"{operand}_{outer}"] = counts[count] * n[f"{operand}_{inner}"]
    if draw(lets):
        n["b_r"] = counts["K"] * n["b_k"]
    if draw(lets):
        n["c_p"] = counts["N"]
        n["c_j"] = counts["M"] * n["c_p"]
        n["c_i"] = counts["J"] * n["c_j"]
    return n | {"RELU": draw(st.booleans()), "sample_loop": 0, "accumulate": 0}


def reach(n, operand, letters):
    """(elements before, elements after) the operand's address, its columns included."""
    steps = [n[f"{operand}_{LOOPS[letter]}"] * max(0, n[letter] - 1) for letter in letters]
    return -sum(step for step in steps if step < 0), sum(step for step in steps if step > 0) + n["N"] + 64


def naive(memory, n, a, b, start, c):
    """C[i, j, p, :] = start[i, j, p, :] + sum over t, r and k of A[...] * B[..., :] of each group, all in memory."""
    out = memory.copy()
    for g in range(n["groups"]):
        naive_group(memory, out, n, *(at + g * n[f"{x}_g"] for x, at in zip(OPERANDS, (a, b, start, c), strict=True)))
    return out


def naive_group(memory, out, n, a, b, start, c):
    """Write one group's sums to `out`."""
    columns = np.arange(n["N"])
    for i, j, p in np.ndindex(n["I"], n["J"], n["M"]):
        at = start + i * n["start_i"] + j * n["start_j"] + p * n["start_p"] + columns * n["start_q"]
        total = memory[at].astype(float)
        for t, r, k in np.ndindex(n["T"], n["R"], n["K"]):
            x = memory[a + i * n["a_i"] + j * n["a_j"] + p * n["a_p"] + t * n["a_t"] + r * n["a_r"] + k * n["a_k"]]
            total += x * memory[b + t * n["b_t"] + r * n["b_r"] + k * n["b_k"] + columns]
        out[c + i * n["c_i"] + j * n["c_j"] + p * n["c_p"] + columns] = np.maximum(total, 0) if n["RELU"] else total


def laid_out(n, rng):
    """Memory of small whole numbers, and the offsets of A, B, START and C in it."""
    memory = Memory(fill=77)
    offsets = []
    for operand, letters in (("a", "IJMTRK"), ("b", "TRK"), ("start", "IJM"), ("c", "IJM")):
        before, after = reach(n, operand, [*letters, "groups"])
        values = rng.integers(-4, 5, before + after)
        if operand == "start" and n["start_q"] == 0:
            values[:] = 0
        offsets.append(memory.put(values) + before)
    return memory.array(), offsets


SIMPLE = (
    dict.fromkeys(INSTRUCTIONS[Op.CONTRACT].numbers, 0)
    | dict.fromkeys([*"IJMTRK", "groups"], 1)
    | {"N": 8, "start_q": 1}
)
ROWS_OF_ONE_PIXEL = SIMPLE | {"I": 5, "J": 1, "M": 1, "a_i": 3, "c_i": 8, "K": 3, "a_k": 1, "b_k": 8}
ROWS_OF_AN_IMAGE = SIMPLE | {"I": 2, "J": 3, "M": 4, "a_p": 2, "a_j": 8, "a_i": 30, "c_p": 8, "c_j": 32, "c_i": 96}
LONG_SUM = SIMPLE | {"M": 3, "a_p": 40, "c_p": 8, "T": 2, "R": 3, "K": 4, "a_k": 1, "a_r": 4, "a_t": 12, "b_k": 8}
OF_GROUPS = {"groups": 3, "a_g": 2, "b_g": 16, "start_g": 8, "c_g": 8}
GROUPS = SIMPLE | OF_GROUPS | {"M": 3, "K": 2, "a_p": 6, "a_k": 1, "b_k": 8, "c_p": 24}


@settings(max_examples=200)
@example(n=ROWS_OF_ONE_PIXEL, seed=0)
@example(n=ROWS_OF_AN_IMAGE, seed=0)
@example(n=GROUPS, seed=0)
@example(n=LONG_SUM | {"b_r": 32, "b_t": 96}, seed=0)
@given(n=contractions(), seed=st.integers(0, 99))
def test_any_counts_and_strides(n, seed):
    memory, (a, b, start, c) = laid_out(n, np.random.default_rng(seed))
    expected = naive(memory, n, a, b, start, c)
    operands = {"a": shared(a), "b": shared(b), "start": shared(start), "c": shared(c)}
    run([(Op.CONTRACT, operands, n)], memory)
    assert_array_equal(memory, expected)  # of all memory: nothing else was written


@pytest.mark.parametrize("columns", [8, 16, 24, 40, 64, 72, 104, 120, 248])
@pytest.mark.parametrize("rows", [*range(1, 31), 59])
def test_every_tile(rows, columns):
    n = SIMPLE | {"M": rows, "N": columns, "K": 5, "a_p": 5, "a_k": 1, "b_k": columns, "c_p": columns, "RELU": 1}
    n["start_p"] = columns
    memory, (a, b, start, c) = laid_out(n, np.random.default_rng(rows))
    expected = naive(memory, n, a, b, start, c)
    run([(Op.CONTRACT, {"a": shared(a), "b": shared(b), "start": shared(start), "c": shared(c)}, n)], memory)
    assert_array_equal(memory, expected)


@pytest.mark.parametrize(
    "changed", [{}, {"RELU": 1}, {"start_q": 0}, OF_GROUPS | {"start_g": 40, "c_g": 1000}], ids=str
)
@pytest.mark.parametrize("products", [383, 384, 385, 1000])
def test_a_sum_of_many_products(products, changed):
    """It is computed in blocks, which begin with `start`, go on in C, and end with the RELU."""
    n = SIMPLE | {"M": 7, "N": 40, "K": products, "a_p": products, "a_k": 1, "b_k": 40, "c_p": 40, "start_p": 40}
    n |= changed
    n["start_p"] *= n["start_q"]
    n["start_g"] *= n["start_q"]
    memory, (a, b, start, c) = laid_out(n, np.random.default_rng(products))
    expected = naive(memory, n, a, b, start, c)
    run([(Op.CONTRACT, {"a": shared(a), "b": shared(b), "start": shared(start), "c": shared(c)}, n)], memory)
    assert_array_equal(memory, expected)


@pytest.mark.parametrize("columns", [8, 16, 56])
def test_a_row_has_the_same_bits_alone(columns):
    """The order of its sum does not depend on blocks: a single row is not cut into blocks."""
    rng, rows, products = np.random.default_rng(0), 9, 1000
    x, w = rng.normal(size=(rows, products)), rng.normal(size=(products, columns))
    n = SIMPLE | {"N": columns, "K": products, "a_k": 1, "b_k": columns, "start_q": 0}
    memory = Memory()
    a, b, zeros = memory.put(x), memory.put(w), memory.put(np.zeros(columns))
    together, alone = (memory.put(np.zeros((rows, columns))) for _ in range(2))
    memory = memory.array()

    def contract(first, count, c):
        operands = {"a": shared(a + first * products), "b": shared(b), "start": shared(zeros), "c": shared(c)}
        run([(Op.CONTRACT, operands, n | {"M": count, "a_p": products, "c_p": columns})], memory)

    contract(0, rows, together)
    for row in range(rows):
        contract(row, 1, alone + row * columns)
    size = rows * columns
    assert_array_equal(memory[together : together + size], memory[alone : alone + size])


@pytest.mark.usefixtures("any_number_of_workers")
@pytest.mark.parametrize("n_workers", [2, 3, 5, 40])
@pytest.mark.parametrize("groups", [1, 2, 3, 36])
def test_workers_compute_a_part_each(groups, n_workers):
    """Some of the groups, or of each group some rows where there are fewer groups than workers."""
    n = GROUPS | {"groups": groups, "M": 4, "c_p": 8, "start_g": 40, "c_g": 40}
    memory, (a, b, start, c) = laid_out(n, np.random.default_rng(0))
    expected = naive(memory, n, a, b, start, c)
    operands = {"a": shared(a), "b": shared(b), "start": shared(start), "c": shared(c)}
    run([(Op.CONTRACT, operands, n)], memory, kind=SegmentKind.SPLIT, n_workers=n_workers)
    assert_array_equal(memory, expected)


@pytest.mark.parametrize("letter", "IJMTRKN")
def test_a_count_of_zero(letter):
    n = SIMPLE | {"I": 2, "J": 2, "M": 2, "T": 2, "R": 2, "K": 2, "c_p": 8, "c_j": 16, "c_i": 32, "a_k": 1, letter: 0}
    memory, (a, b, start, c) = laid_out(n, np.random.default_rng(0))
    expected = naive(memory, n, a, b, start, c)
    run([(Op.CONTRACT, {"a": shared(a), "b": shared(b), "start": shared(start), "c": shared(c)}, n)], memory)
    assert_array_equal(memory, expected)
    assert (memory == np.float32(77)).any()


@pytest.mark.parametrize("relu", [0, 1])
def test_nan_and_infinity_are_kept(relu):
    memory = Memory()
    x = memory.put([1, np.nan, np.inf, -np.inf])
    w = memory.put(np.r_[2.0, np.full(7, -3.0)])
    y = memory.put(np.zeros(32))
    memory = memory.array()
    n = SIMPLE | {"M": 4, "a_p": 1, "c_p": 8, "start_q": 0, "RELU": relu}
    run([(Op.CONTRACT, {"a": shared(x), "b": shared(w), "start": shared(0), "c": shared(y)}, n)], memory)
    negative = 0 if relu else -3
    infinite = 0 if relu else -np.inf
    expected = [[2] + [negative] * 7, [np.nan] * 8, [np.inf] + [infinite] * 7, [infinite] + [np.inf] * 7]
    assert_array_equal(memory[y : y + 32].reshape(4, 8), expected)


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 7])
@pytest.mark.parametrize("shard_size", [7, 4])
def test_samples_are_summed_over_micro_batches_and_slots_over_shards(micro_batch, shard_size):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (7, 6)).astype(np.float32), rng.integers(-4, 5, (7, 16)).astype(np.float32)
    memory = Memory(fill=77)
    x_at, w_at = memory.put(x), memory.put(w)
    slots = memory.put(np.full(2 * 96, 99.0))  # what a slot held before does not count
    memory = memory.array()
    n = SIMPLE | {"M": 6, "N": 16, "a_p": 1, "c_p": 16, "a_t": 6, "b_t": 16, "start_q": 0, "sample_loop": Samples.T}
    operands = {
        "a": (Space.BATCH, x_at, 6),
        "b": (Space.BATCH, w_at, 16),
        "start": shared(0),
        "c": (Space.SHARD, slots, 0),
    }
    instructions = [(Op.CONTRACT, operands, n | {"accumulate": 1})]
    run(instructions, memory, samples=7, micro_batch=micro_batch, shard_size=shard_size, slot=96)
    for shard, first in enumerate(range(0, 7, shard_size)):
        expected = x[first : first + shard_size].T @ w[first : first + shard_size]
        assert_array_equal(memory[slots + 96 * shard :][:96].reshape(6, 16), expected)


def test_the_loop_over_samples_has_as_many_as_there_are():
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (11, 3)).astype(np.float32), rng.integers(-4, 5, (3, 8)).astype(np.float32)
    memory = Memory(fill=77)
    x_at, w_at, y_at = memory.put(x), memory.put(w), memory.put(np.full(96, 99.0))
    memory = memory.array()
    n = SIMPLE | {"I": 99, "K": 3, "a_i": 3, "a_k": 1, "b_k": 8, "c_i": 8, "start_q": 0, "sample_loop": Samples.I}
    operands = {"a": (Space.BATCH, x_at, 3), "b": shared(w_at), "start": shared(0), "c": (Space.BATCH, y_at, 8)}
    run([(Op.CONTRACT, operands, n)], memory, samples=11, micro_batch=4)
    assert_array_equal(memory[y_at : y_at + 88].reshape(11, 8), x @ w)
    assert_array_equal(memory[y_at + 88 : y_at + 96], 99)


@pytest.mark.parametrize(("first", "rows"), [(0, 10), (3, 4), (9, 1)])
def test_an_update_computes_the_rows_of_its_block_alone(first, rows):
    rng = np.random.default_rng(0)
    x, dy = rng.integers(-4, 5, (7, 10)).astype(np.float32), rng.integers(-4, 5, (7, 8)).astype(np.float32)
    memory = Memory(fill=77)
    p = memory.put(np.zeros(80))
    x_at, dy_at, scratch = memory.put(x), memory.put(dy), memory.put(np.full(88, 99.0))
    memory = memory.array()
    n = SIMPLE | {"M": 10, "a_p": 1, "c_p": 8, "a_t": 10, "b_t": 8, "start_q": 0, "sample_loop": Samples.T}
    operands = {"a": shared(x_at), "b": shared(dy_at), "start": shared(0), "c": (Space.LOCAL, scratch, 0)}
    block = dict.fromkeys(Block, 0) | {Block.OFFSET: p + 8 * first, Block.ROWS: rows, Block.COLUMNS: 8}
    block |= {Block.FIRST_ROW: first, Block.TRANSPOSED: -1, Block.GRADIENT: -1}
    rule = np.zeros(len(Rule))
    rule[Rule.RATE] = 1
    run(
        [(Op.CONTRACT, operands, n | {"accumulate": 1})],
        memory,
        samples=7,
        kind=SegmentKind.UPDATE,
        blocks=[list(block.values())],
        moments=np.zeros((2, memory.size), np.float32),
        rule=rule,
    )
    expected = np.zeros((10, 8))
    expected[first : first + rows] = -(x.T @ dy)[first : first + rows]
    assert_array_equal(memory[p : p + 80].reshape(10, 8), expected)
    assert_array_equal(memory[scratch + 8 * rows : scratch + 88], 99)
