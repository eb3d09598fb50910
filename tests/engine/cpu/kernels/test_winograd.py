"""TRANSFORM against the matrices of Cook and Toom, made here from the points, and these against the direct sum."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine.program.instructions import (
    INSTRUCTIONS,
    TRANSFORMED_FILTERS,
    Adds,
    Op,
    SegmentKind,
    Space,
    Transform,
)
from tests.engine.cpu.programs import Memory, assert_only_written, run, shared
from tests.engine.walker import grid

# -- The matrices ------------------------------------------------------------------------------------------------------

POINTS = [Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)]  # and infinity


def values_at_the_points(degree):
    """The matrix that takes the coefficients of a polynomial to its values; at infinity, the last coefficient."""
    return np.array([[p**e for e in range(degree + 1)] for p in POINTS] + [[Fraction(0)] * degree + [Fraction(1)]])


def monic(roots):
    """The coefficients of the polynomial that has these roots, the constant first, as long as one of all points."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [0, *coefficients], [*coefficients, 0]
        coefficients = [higher - root * lower for higher, lower in zip(shifted, scaled, strict=True)]
    return coefficients + [Fraction(0)] * (len(POINTS) + 1 - len(coefficients))


OTHERS = [[q for q in POINTS if q != p] for p in POINTS]
DISTANCES = np.array([np.prod([p - q for q in others]) for p, others in zip(POINTS, OTHERS, strict=True)] + [1])
B = np.array([monic(others) for others in OTHERS] + [monic(POINTS)]).T  # inputs


def outputs(F):
    """A: it takes the outputs of a tile to the points."""
    return values_at_the_points(6 - F)


def weights(F):
    """G: it takes the weights to the points."""
    return values_at_the_points(F - 1) / DISTANCES[:, None]


MATRICES = {
    (transform, F): matrix
    for F in TRANSFORMED_FILTERS
    for transform, matrix in {
        Transform.INPUT: B.T,
        Transform.OUTPUT: outputs(F).T,
        Transform.GRADIENT: outputs(F),
        Transform.WEIGHTS: weights(F),
        Transform.WEIGHTS_GRADIENT: weights(F).T,
    }.items()
}
KINDS = pytest.mark.parametrize(("transform", "F"), MATRICES, ids=lambda kind: getattr(kind, "name", kind))
# All sums of the others are exact in float32: their matrices are fractions of powers of two.
ROUNDED = (Transform.WEIGHTS, Transform.WEIGHTS_GRADIENT)


def units(n):
    return np.eye(n, dtype=int) * Fraction(1)


@pytest.mark.parametrize("F", TRANSFORMED_FILTERS)
def test_six_products_are_the_direct_sum(F):
    """In rationals. Both sides are linear in x and in w, so it is enough that they agree on the unit vectors."""
    A, G = outputs(F), weights(F)
    for x, w in product(units(6), units(F)):
        direct = [sum(x[i + u] * w[u] for u in range(F)) for i in range(7 - F)]
        assert (A.T @ ((G @ w) * (B.T @ x))).tolist() == direct


@pytest.mark.parametrize("F", TRANSFORMED_FILTERS)
def test_six_products_are_the_direct_gradient_of_the_weights(F):
    A, G = outputs(F), weights(F)
    for x, dy in product(units(6), units(7 - F)):
        direct = [sum(x[i + u] * dy[i] for i in range(7 - F)) for u in range(F)]
        assert (G.T @ ((B.T @ x) * (A @ dy))).tolist() == direct


@pytest.mark.parametrize("F", TRANSFORMED_FILTERS)
def test_36_products_are_the_direct_sum_along_two_axes(F):
    rng, A, G = np.random.default_rng(0), outputs(F), weights(F)
    x, w = (rng.integers(-9, 10, (n, n)) * Fraction(1) for n in (6, F))
    direct = [[(x[i : i + F, j : j + F] * w).sum() for j in range(7 - F)] for i in range(7 - F)]
    assert (A.T @ ((G @ w @ G.T) * (B.T @ x @ B)) @ A).tolist() == direct


# -- The instruction ---------------------------------------------------------------------------------------------------

SIMPLE = dict.fromkeys(INSTRUCTIONS[Op.TRANSFORM].numbers, 0) | {"F": 3, "rows": 1, "columns": 1, "depth": 8}


def sides(n):
    """(numbers along an axis of a tile of y, numbers along an axis of a tile of x)."""
    return MATRICES[n["transform"], n["F"]].shape


def dense(transform, depth=8, F=3, **numbers):
    """The numbers of one tile in contiguous memory."""
    y, x = MATRICES[transform, F].shape
    strides = {"x_i": x * depth, "x_j": depth, "y_a": y * depth, "y_b": depth}
    return SIMPLE | {"transform": transform, "F": F, "depth": depth, "down": 4, "across": 4} | strides | numbers


@st.composite
def transforms(draw):
    """Any counts, and any strides of x; of y, strides that put no two elements in one place."""
    n = SIMPLE | {"transform": draw(st.sampled_from(Transform)), "depth": 8 * draw(st.integers(1, 5))}
    n |= {"F": draw(st.sampled_from(TRANSFORMED_FILTERS))}
    n |= {"rows": draw(st.integers(0, 3)), "columns": draw(st.integers(1, 4))}
    n |= {f"x_{letter}": draw(st.integers(-9, 70)) for letter in ("row", "column", "i", "j")}
    m, distance = sides(n)[0], n["depth"]
    for letter in draw(st.permutations(["row", "column", "a", "b"])):
        n[f"y_{letter}"] = distance = distance + draw(st.integers(0, 3))
        distance *= {"row": max(1, n["rows"]), "column": n["columns"]}.get(letter, m)
    if n["transform"] == Transform.OUTPUT:
        n |= {"down": draw(st.integers(0, m * n["rows"])), "across": draw(st.integers(0, m * n["columns"]))}
        n |= {"RELU": draw(st.integers(0, 1)), "start_q": draw(st.integers(0, 1))}
    return n | {"each_sample": draw(st.integers(0, 1))}


def reach(n, operand, *letters):
    """(elements before, elements after) the operand's address, its channels included."""
    m, inputs = sides(n)
    side = {"x": inputs, "y": m}[operand]
    counts = {"row": n["rows"], "column": n["columns"]}
    steps = [n[f"{operand}_{letter}"] * max(0, counts.get(letter, side) - 1) for letter in letters]
    return -sum(step for step in steps if step < 0), sum(step for step in steps if step > 0) + n["depth"] + 16


def laid_out(n, samples, rng):
    """Memory of small whole numbers, and the operands in it."""
    memory = Memory(fill=77)
    operands = {}
    for name, letters in {"x": ("row", "column", "i", "j"), "y": ("row", "column", "a", "b")}.items():
        before, after = reach(n, name, *letters)
        first = memory.put(rng.integers(-4, 5, (samples, before + after))) + before
        operands[name] = Space.LOCAL, first, before + after
    start = rng.integers(-4, 5, n["depth"]) if n["start_q"] else np.zeros(16)
    operands["start"] = shared(memory.put(start))
    return memory.array(), operands


def tiles_of(n, memory, operands, sample=0):
    """For each tile: its outputs in float64, and the indices of those that are written."""
    (_, x, x_size), (_, y, y_size), (_, start, _) = (operands[name] for name in ("x", "y", "start"))
    P, (m, inputs), depth = MATRICES[n["transform"], n["F"]].astype(float), sides(n), n["depth"]
    start = memory[start + np.arange(depth) * n["start_q"]]
    for row, column in np.ndindex(n["rows"], n["columns"]):
        at = x + sample * x_size + row * n["x_row"] + column * n["x_column"]
        tile = memory[grid(at, (inputs, n["x_i"]), (inputs, n["x_j"]), (depth, 1))].reshape(inputs, inputs, depth)
        values = np.einsum("ai,ijq,bj->abq", P, tile, P) + start
        if n["transform"] == Transform.OUTPUT:
            values = values[: max(0, n["down"] - m * row), : max(0, n["across"] - m * column)]
        at = y + sample * y_size + row * n["y_row"] + column * n["y_column"]
        rows, columns = values.shape[:2]
        yield (values, grid(at, (rows, n["y_a"]), (columns, n["y_b"]), (depth, 1)))


def assert_transformed(n, samples, seed=0, **settings):
    """Run the instruction: what it writes is what the matrices say, and it writes nothing else."""
    memory, operands = laid_out(n, samples, np.random.default_rng(seed))
    before = memory.copy()
    run([(Op.TRANSFORM, operands, n)], memory, samples=samples, **settings)
    written = []
    for sample in range(samples if n["each_sample"] else 1):
        for values, place in tiles_of(n, before, operands, sample):
            values = np.maximum(values, 0) if n["RELU"] else values
            tolerance = 1e-6 * np.abs(values).max(initial=0) if n["transform"] in ROUNDED else 0
            assert_allclose(memory[place], values.ravel(), rtol=0, atol=tolerance)
            written.append(place)
    assert_only_written(memory, before, *written)


@settings(max_examples=200)
@example(n=dense(Transform.OUTPUT, 24, down=2, across=3, RELU=1, start_q=1), samples=1, seed=0)
@given(n=transforms(), samples=st.integers(1, 3), seed=st.integers(0, 99))
def test_any_counts_and_strides(n, samples, seed):
    assert_transformed(n, samples, seed)


@pytest.mark.parametrize("depth", [8, 16, 24, 32, 40])
@KINDS
def test_every_depth(transform, F, depth):
    assert_transformed(dense(transform, depth, F), samples=1)


@pytest.mark.parametrize("F", TRANSFORMED_FILTERS)
@pytest.mark.parametrize(("down", "across"), [*product(range(-1, 6), range(-1, 6))])
def test_an_output_is_cut_at_the_end_of_its_volume(down, across, F):
    assert_transformed(dense(Transform.OUTPUT, 24, F, down=down, across=across, start_q=1), samples=1)


@KINDS
def test_another_coefficient_is_noticed(transform, F, monkeypatch):
    matrix = MATRICES[transform, F]
    for place in zip(*matrix.nonzero(), strict=True):
        changed = matrix.copy()
        changed[place] *= Fraction(1001, 1000)
        monkeypatch.setitem(MATRICES, (transform, F), changed)
        with pytest.raises(AssertionError):
            assert_transformed(dense(transform, 24, F), samples=1)


@pytest.mark.parametrize("relu", [0, 1])
def test_nan_and_infinity_are_kept(relu):
    """At the point 0 there is the constant, which counts in the first row and in the first column alone."""
    memory, n = Memory(), dense(Transform.OUTPUT, RELU=relu)
    x = memory.put(np.r_[[np.nan, np.inf, -np.inf, 3, -3, 0, 0, 0], np.zeros(35 * 8)])
    y = memory.put(np.zeros(16 * 8))
    memory = memory.array()
    run([(Op.TRANSFORM, {"x": shared(x), "start": shared(0), "y": shared(y)}, n)], memory)
    first = [np.nan, np.inf, 0 if relu else -np.inf, 3, 0 if relu else -3, 0, 0, 0]
    assert_array_equal(memory[y : y + 8], first)


@pytest.mark.usefixtures("any_number_of_workers")
@pytest.mark.parametrize("n_workers", [2, 3, 5, 40])
@pytest.mark.parametrize(("rows", "columns"), [(5, 3), (1, 7), (2, 2), (1, 1)])
@pytest.mark.parametrize("transform", [Transform.OUTPUT, Transform.WEIGHTS], ids=lambda transform: transform.name)
def test_workers_transform_a_part_each(transform, rows, columns, n_workers):
    n = dense(transform, rows=rows, columns=columns, down=4 * rows - 1, across=4 * columns - 2, each_sample=1)
    n |= {"x_column": 36 * 8, "x_row": 36 * 8 * columns, "y_column": 36 * 8, "y_row": 36 * 8 * columns}
    assert_transformed(n, samples=2, kind=SegmentKind.SPLIT, n_workers=n_workers)


@pytest.mark.parametrize(
    ("adds", "count", "kept"), [(Adds.NEVER, 1, 0), (Adds.BEHIND_FIRST, 5, 0), (Adds.ALWAYS, 5, 1)]
)
def test_a_gradient_of_weights_is_added_up_over_micro_batches(adds, count, kept):
    """In five micro-batches, each of which adds the same: the instruction is about the weights, and has no samples."""
    n = dense(Transform.WEIGHTS_GRADIENT, 24, columns=2, x_column=7, y_column=9 * 24, adds=adds)
    memory, operands = laid_out(n, 1, np.random.default_rng(0))
    before = memory.copy()
    run([(Op.TRANSFORM, operands, n)], memory, samples=5, micro_batch=1)
    tiles = list(tiles_of(n, before, operands))
    for values, place in tiles:
        assert_allclose(memory[place], count * values.ravel() + kept * before[place], rtol=0, atol=1e-4)
    assert_only_written(memory, before, *(place for _, place in tiles))


def test_each_shard_begins_its_gradient_of_weights_anew():
    n = dense(Transform.WEIGHTS_GRADIENT, adds=Adds.BEHIND_FIRST)
    memory = Memory(fill=77)
    x, slots = memory.put(np.ones(36 * 8)), memory.put(np.full(3 * 80, 99.0))
    memory = memory.array()
    operands = {"x": shared(x), "start": shared(0), "y": (Space.SHARD, slots, 0)}
    run([(Op.TRANSFORM, operands, n)], memory, samples=5, micro_batch=1, shard_size=2, slot=80)
    once = np.outer(weights(3).sum(0), weights(3).sum(0)).astype(float).ravel().repeat(8)
    for slot, count in zip(memory[slots : slots + 240].reshape(3, 80), (2, 2, 1), strict=True):
        assert_allclose(slot, np.r_[count * once, np.full(8, 99)], atol=1e-5)
