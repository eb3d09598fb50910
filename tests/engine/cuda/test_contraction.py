"""A contraction is cut by its counts and strides: what is merged, how A is read, which tile and how many parts."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.contraction import schedule
from skconvnet.engine.cuda.llvm.tile import DEPTH, TILES

STRIDES = [
    f"{operand}_{letter}" for operand, letters in (("a", "ijptrkg"), ("b", "trkg"), ("c", "ijpg")) for letter in letters
]
ONE = dict.fromkeys([*"IJMNTRK", "groups"], 1) | dict.fromkeys(STRIDES, 0)


def dense_convolution(samples, size, depth, filters, F=3):
    """A CONV forward of stride 1, whose images have no border."""
    row = (size + F - 1) * depth
    return ONE | {
        "I": samples, "J": size, "M": size, "N": filters, "T": F, "R": F, "K": depth,
        "a_i": (size + F - 1) * row, "a_j": row, "a_p": depth, "a_t": row, "a_r": depth, "a_k": 1,
        "b_t": F * depth * filters, "b_r": depth * filters, "b_k": filters,
        "c_i": size * size * filters, "c_j": size * filters, "c_p": filters,
    }  # fmt: skip


def product(rows, columns, K, **strides):
    """Rows of A times a matrix."""
    return ONE | {"I": rows, "N": columns, "K": K, "a_i": K, "a_k": 1, "b_k": columns, "c_i": columns} | strides


def elements(loops, operand, names):
    """The offsets of an operand in the order of its loops, outermost first."""
    strides = [loops[f"{operand}_{'p' if name == 'M' else name.lower()}"] for name in names]
    return sum(np.ix_(*(np.arange(loops[name]) * stride for name, stride in zip(names, strides, strict=True)))).ravel()


@pytest.mark.parametrize(
    "loops", [dense_convolution(3, 5, 16, 24), dense_convolution(1, 7, 3, 8, F=1), product(5, 8, 24), product(1, 8, 1)]
)
def test_merged_loops_visit_the_same_elements(loops):
    cut = schedule(loops, a_is_aligned=True).loops
    for operand, names in (("a", "IJM"), ("c", "IJM")):
        np.testing.assert_array_equal(elements(cut, operand, names), elements(loops, operand, names))
    pairs = [list(zip(elements(n, "a", "TRK"), elements(n, "b", "TRK"), strict=True)) for n in (loops, cut)]
    assert sorted(pairs[0]) == sorted(pairs[1])


def test_pixels_of_a_filter_row_are_one_loop():
    cut = schedule(dense_convolution(3, 5, 16, 24), a_is_aligned=True)
    assert (cut.loops["T"], cut.loops["R"], cut.loops["K"]) == (1, 3, 48)
    assert cut.reading == "k"


@pytest.mark.parametrize(
    ("loops", "aligned", "reading"),
    [
        (product(9, 8, 24), True, "k"),
        (product(9, 8, 24), False, "1"),
        (product(9, 8, 22), True, "1"),  # a quad would reach into the next row
        (product(9, 8, 24, groups=2, a_g=2), True, "1"),
        (product(12, 8, 20, a_i=1, a_k=12), True, "m"),
        (product(10, 8, 20, a_i=1, a_k=10), True, "1"),
        (product(12, 8, 20, a_i=1, a_k=14), True, "1"),
    ],
)
def test_a_is_read_in_quads_where_all_quads_are_adjacent_and_aligned(loops, aligned, reading):
    assert schedule(loops, aligned).reading == reading


def test_slabs_lie_along_the_loop_that_fills_them():
    loops = ONE | {"M": 12, "N": 8, "T": 32, "R": 7, "K": 7, "a_p": 1, "a_t": 5000, "a_r": 700, "a_k": 12}
    cut = schedule(loops | {"b_t": 4000, "b_r": 560, "b_k": 8, "c_p": 8}, a_is_aligned=True)
    assert (cut.loops["K"], cut.loops["a_k"], cut.loops["b_k"]) == (32, 5000, 4000)
    assert cut.loops["slabs"] == 4 * 7 * 7


@pytest.mark.parametrize(
    ("rows", "columns", "tile"),
    [
        (132 * 128, 512, "128x128"),
        (10_000, 64, "128x64"),
        (10_000, 32, "128x32"),
        (20_000, 16, "256x16"),
        (200, 128, "32x128"),  # 128x128 would load less, but on two multiprocessors of 132
        (10_000, 136, "128x32"),
        (20_000, 8, "256x16"),
        (32, 4096, "32x128"),
        (1, 1000, "32x128"),
    ],
)
def test_the_tile_computes_few_sums_that_are_not_there(rows, columns, tile):
    assert str(schedule(product(rows, columns, 64), a_is_aligned=True).tile) == tile


@pytest.mark.parametrize("loop", "TRK")
def test_a_sum_of_nothing_is_one_part_without_slabs(loop):
    cut = schedule(product(5, 8, 24, T=3, R=2, a_t=1000, a_r=100, b_t=1000, b_r=200) | {loop: 0}, a_is_aligned=True)
    assert (cut.parts, cut.loops["slabs"], cut.loops["line_slabs"]) == (1, 0, 1)
    assert (cut.loops["T"], cut.loops["R"], cut.loops["K"]) == (1, 1, 0)  # the kernel divides by counts of lines


def test_parts_have_work_and_together_all_slabs():
    for rows, columns, K in ((32, 4096, 25_088), (27, 64, 100_000), (1024, 1024, 512), (10, 8, 8), (128, 128, 263)):
        cut = schedule(product(rows, columns, K), a_is_aligned=True)
        assert (cut.parts - 1) * cut.loops["part_slabs"] < cut.loops["slabs"] <= cut.parts * cut.loops["part_slabs"]
        assert cut.parts == 1 or cut.loops["part_slabs"] >= 4
        assert cut.parts == 1 or cut.parts * cut.part_size < 8 * (rows + columns) * K  # sums of parts are not the work


@pytest.mark.parametrize(
    ("rows", "columns", "K", "is_split"),
    [
        (128 * 132, 128, 1152, False),  # a tile for each of 132 multiprocessors
        (128 * 137, 128, 1152, True),  # some would have a second one while the others wait
        (128 * 4, 128, 8 * 4, False),  # so short that it would be no shorter with the sum of the parts
        (128 * 4, 128, 8 * 100, True),
    ],
)
def test_a_reduction_is_split_where_multiprocessors_would_wait(rows, columns, K, is_split):
    assert (schedule(product(rows, columns, K), a_is_aligned=True).parts > 1) == is_split


def test_steps_lead_from_slab_to_slab():
    cut = schedule(dense_convolution(2, 6, 12, 16), a_is_aligned=True).loops
    for operand in "ab":
        walked, at, k, r = [], 0, 0, 0
        for _ in range(cut["slabs"]):
            walked.append(at)
            at, k = at + cut[f"{operand}_step"], k + DEPTH
            if k >= cut["K"]:
                at, k, r = at + cut[f"{operand}_step_r"], 0, r + 1
                if r >= cut["R"]:
                    at, r = at + cut[f"{operand}_step_t"], 0
        every_slab = cut | {"K": cut["line_slabs"], f"{operand}_k": DEPTH * cut[f"{operand}_k"]}
        assert walked == (4 * elements(every_slab, operand, "TRK")).tolist()


def test_more_groups_than_a_grid_has_blocks_are_refused():
    with pytest.raises(ValueError, match="70000 groups"):
        schedule(product(8, 8, 8, groups=70_000), a_is_aligned=True)


def test_tiles_are_those_of_the_tests():
    assert [str(tile) for tile in TILES] == ["128x128", "128x64", "128x32", "256x16", "32x128"]


@pytest.mark.parametrize(("columns", "width"), [(65_535 * 16, 16), (65_535 * 16 + 4, 128)])
def test_tiles_are_wide_enough_for_all_columns(columns, width):
    """A grid has 65,535 blocks along y."""
    cut = schedule(product(512, columns, 8), a_is_aligned=True, tiles=(TILES[3], TILES[0]))
    assert cut.tile.columns == width
    assert cut.grid[1] <= 65_535


def test_more_columns_than_a_grid_has_blocks_for_are_refused():
    assert schedule(product(1, 65_535 * 128, 8), a_is_aligned=True).grid[1] == 65_535
    with pytest.raises(ValueError, match=r"has 8,388,484 columns, .* takes at most 8,388,480\. Put POOL"):
        schedule(product(1, 65_535 * 128 + 4, 8), a_is_aligned=True)
