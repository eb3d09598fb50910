"""Targets: rounding of depths, sizes and row strides."""

from dataclasses import replace

from skconvnet.engine.program.target import CPU, round_to_line


def test_sizes_are_whole_cache_lines():
    assert [round_to_line(size) for size in (0, 1, 16, 17)] == [0, 16, 16, 32]


def test_depths_are_padded_to_whole_vectors():
    assert [CPU.pad(depth) for depth in (1, 7, 8, 9, 16)] == [8, 8, 8, 16, 16]
    assert [replace(CPU, lanes=4).pad(depth) for depth in (1, 4, 5)] == [4, 4, 8]


def test_wide_rows_are_an_odd_number_of_lines_apart():
    target = replace(CPU, wide_row=64)
    assert [target.row_stride(columns) for columns in (32, 48, 64, 80, 96)] == [32, 48, 80, 80, 112]
