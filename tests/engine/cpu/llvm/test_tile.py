"""What the tile chooses for a machine, and its assembly there. What it computes is tested in test_contraction.py."""

import re
from collections import Counter
from unittest.mock import patch

import pytest
from numba import njit, types

from skconvnet.engine.cpu.kernels.convolution import contract
from skconvnet.engine.cpu.llvm import tile
from skconvnet.engine.cpu.llvm.tile import FEW_ROWS, PANEL, PANELS, WIDTHS, has_fma, panel_of_few_rows, panels_of
from skconvnet.engine.program.memory import N_ZEROS
from skconvnet.engine.program.target import CPU
from tests.engine.cpu.llvm.assembly import MACHINES, PROCESSORS, REGISTERS, assembly_on, on_x86


@pytest.mark.parametrize("machine", MACHINES)
def test_panels_fit_the_registers(machine):
    features, registers, lanes_of_one = MACHINES[machine]
    panels = panels_of(features)
    for vectors, lanes, rows in (*panels, panel_of_few_rows(features)):
        assert lanes <= lanes_of_one
        assert rows * vectors + vectors + 1 <= registers
    widths = [vectors * lanes for vectors, lanes, _ in panels]
    assert widths == sorted(set(widths), reverse=True)
    assert len(panels) <= 3
    assert max(lanes for _, lanes, _ in panels) == lanes_of_one


@pytest.mark.parametrize("machine", MACHINES)
def test_any_depth_is_covered_by_panels(machine):
    widths = [vectors * lanes for vectors, lanes, _ in panels_of(MACHINES[machine][0])]
    assert widths[-1] == CPU.lanes
    assert widths[0] <= N_ZEROS
    for depth in range(CPU.lanes, 200, CPU.lanes):
        left = depth
        for width in widths:
            left %= width
        assert left == 0


def test_this_machine_has_three_kinds():
    assert len(PANEL) == len(WIDTHS) == 3
    assert WIDTHS[: len(PANELS)] == [vectors * lanes for vectors, lanes, _ in PANELS]
    assert set(WIDTHS[len(PANELS) :]) <= {CPU.lanes}


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


# -- The assembly ------------------------------------------------------------------------------------------------------

# A label, the lines up to the next one, and among them a jump back to it.
LOOP = re.compile(r"^([.\w]+):.*\n((?:\t.*\n)*?)\tj\w+\t\1$", re.MULTILINE)
# The last operand is the register that is written.
ARITHMETIC = re.compile(r"\tv?(fmadd|mul|add)\d*(ps|ss)\t.*%([xyz]mm)")


def loops_over_k(assembly):
    """The innermost loops that multiply and add, each as its lines."""
    return [body for _, body in LOOP.findall(assembly) if ARITHMETIC.search(body)]


def arithmetic(loops):
    """The loops by what one pass of them computes: {((("fmadd", "ps", "zmm"), 24),): 1, ...}."""
    return Counter(tuple(sorted(Counter(ARITHMETIC.findall(loop)).items())) for loop in loops)


def arithmetic_of(panels, fma):
    """The same as it should be: a loop for each tile, of whole vectors, each multiplied and added once."""
    steps = ["fmadd"] if fma else ["add", "mul"]
    return Counter(
        tuple(((step, "ps", REGISTERS[lanes]), rows * vectors) for step in steps)
        for vectors, lanes, most in panels
        for rows in rows_of_tiles(most)
    )


def pairs(panels):
    """The panel of pairs as it computes: the columns of the narrowest, if that is half a register, in whole ones."""
    (vectors, lanes, rows), widest = panels[-1], max(lanes for _, lanes, _ in panels)
    return [(vectors, 2 * lanes, rows)] if lanes < widest else []


def rows_of_tiles(most):
    """The rows of every tile: of one line, of two lines and of three, each of at most 7 rows where lines share it."""
    yield from range(1, most + 1)
    for lines in (2, 3):
        yield from (lines * rows for rows in range(1, min(most // lines, 7) + 1))


def spills(loops):
    """Lines that move vectors to the stack or back. A loop over K writes nothing, so each that writes is one."""
    lines = [line for loop in loops for line in loop.splitlines() if re.search("%[xyz]mm", line)]
    return [line for line in lines if "(%rsp" in line or line.endswith(")")]


def assembly_for(machine, panels, fma=None):
    """What Numba makes of `panels` for a machine, with or without `fma` whatever the machine has."""
    has = has_fma(tile._TRIPLE, MACHINES[machine][0]) if fma is None else fma
    with patch.object(tile, "HAS_FMA", has):
        return assembly_on(machine, lambda module: [tile._Emitter(module, *panel).function() for panel in panels])


@on_x86
def test_this_machine_holds_its_tiles_in_registers():
    arguments = types.int64[::1], types.int64[::1]
    entry = njit(arguments, error_model="numpy")(contract.py_func)  # a kernel has no machine code of its own
    loops = loops_over_k(entry.inspect_asm(entry.signatures[0]))
    one_by_one, in_pairs = arithmetic_of((*PANELS, FEW_ROWS), tile.HAS_FMA), arithmetic_of(pairs(PANELS), tile.HAS_FMA)
    assert arithmetic(loops) >= one_by_one + in_pairs
    assert (arithmetic(loops) - one_by_one).keys() == in_pairs.keys()  # an odd k may have loops of its own
    assert spills(loops) == []


@on_x86
@pytest.mark.parametrize("machine", PROCESSORS)
def test_a_machine_holds_its_tiles_in_registers(machine):
    features, _, _ = MACHINES[machine]
    panels = *panels_of(features), panel_of_few_rows(features)
    loops = loops_over_k(assembly_for(machine, panels))
    assert arithmetic(loops) == arithmetic_of(panels, has_fma(tile._TRIPLE, features))
    assert spills(loops) == []


@on_x86
@pytest.mark.parametrize("machine", PROCESSORS)
def test_a_tile_of_more_rows_than_registers_is_seen_to_spill(machine):
    features, registers, _ = MACHINES[machine]
    vectors, lanes, _ = panels_of(features)[0]
    panels = [(vectors, lanes, registers // vectors)]
    loops = loops_over_k(assembly_for(machine, panels))
    assert spills(loops)
    assert arithmetic(loops) == arithmetic_of(panels, has_fma(tile._TRIPLE, features))


# Eight or sixteen columns, but not as one vector, or not by the machine's own multiply-add.
LESSER = {
    "halves of 16 lanes": ("AVX2", (1, 16, 1), True, {(("fmadd", "ps", "ymm"), 2)}),
    "halves of 8 lanes": ("SSE2", (1, 8, 1), False, {(("mul", "ps", "xmm"), 2), (("add", "ps", "xmm"), 2)}),
    "vectors of 4 lanes": ("AVX2", (2, 4, 1), True, {(("fmadd", "ps", "xmm"), 2)}),
    "scalars": ("AVX2", (8, 1, 1), True, {(("fmadd", "ss", "xmm"), 8)}),
    "no FMA": ("AVX2", (1, 8, 1), False, {(("mul", "ps", "ymm"), 1), (("add", "ps", "ymm"), 1)}),
}


@on_x86
@pytest.mark.parametrize("lesser", LESSER)
def test_a_tile_of_lesser_instructions_is_seen(lesser):
    machine, panel, fma, found = LESSER[lesser]
    vectors, lanes, rows = panel
    loops = loops_over_k(assembly_for(machine, [panel], fma))
    assert [set(kinds) for kinds in arithmetic(loops)] == [found]
    whole = (1, vectors * lanes, rows)
    assert arithmetic(loops) != arithmetic_of([whole], has_fma(tile._TRIPLE, MACHINES[machine][0]))
