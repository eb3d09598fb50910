"""What the tile chooses for a machine. What it computes is tested in test_contraction.py."""

import pytest

from skconvnet.engine.cpu.tile import PANEL, PANELS, WIDTHS, has_fma, panels_of
from skconvnet.engine.memory import DEPTH
from skconvnet.engine.plan import _ZEROS

# Registers of the machine, and the lanes of one.
MACHINES = {
    "AVX-512": ("+sse2,+avx,+avx2,+fma,+avx512f,+avx512vl", 32, 16),
    "AVX2": ("+sse2,+avx,+avx2,+fma,-avx512f", 16, 8),
    "AVX": ("+sse2,+avx,-avx2,-fma,-avx512f", 16, 8),
    "SSE2": ("+sse,+sse2,-avx,-avx2,-avx512f", 16, 4),
    "Neon": ("+neon,+fp-armv8", 32, 4),
    "anything": ("", 16, 4),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_panels_fit_the_registers(machine):
    features, registers, lanes_of_one = MACHINES[machine]
    panels = panels_of(features)
    for vectors, lanes, rows in panels:
        assert lanes <= lanes_of_one
        assert rows * vectors + vectors + 1 <= registers
    widths = [vectors * lanes for vectors, lanes, _ in panels]
    assert widths == sorted(set(widths), reverse=True)
    assert len(panels) <= 4
    assert max(lanes for _, lanes, _ in panels) == lanes_of_one


@pytest.mark.parametrize("machine", MACHINES)
def test_any_depth_is_covered_by_panels(machine):
    widths = [vectors * lanes for vectors, lanes, _ in panels_of(MACHINES[machine][0])]
    assert widths[-1] == DEPTH
    assert widths[0] <= _ZEROS
    for depth in range(DEPTH, 200, DEPTH):
        left = depth
        for width in widths:
            left %= width
        assert left == 0


def test_this_machine_has_four_kinds():
    assert len(PANEL) == len(WIDTHS) == 4
    assert WIDTHS[: len(PANELS)] == [vectors * lanes for vectors, lanes, _ in PANELS]
    assert set(WIDTHS[len(PANELS) :]) <= {DEPTH}


@pytest.mark.parametrize(
    ("triple", "features", "expected"),
    [
        ("x86_64-unknown-linux-gnu", "+avx2,+fma", True),
        ("x86_64-unknown-linux-gnu", "+fma4,-fma", False),
        ("x86_64-pc-windows-msvc", "+sse2", False),
        ("i686-pc-linux-gnu", "+sse2", False),
        ("aarch64-unknown-linux-gnu", "+neon", True),
        ("arm64-apple-darwin", "", True),
    ],
)
def test_has_fma(triple, features, expected):
    assert has_fma(triple, features) is expected
