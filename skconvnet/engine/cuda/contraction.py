"""How a contraction is cut for a GPU: which loops are one, how A is read, which tile sums, and into how many parts.

All of it follows from counts and strides alone, not from the device or its load, so that the order of every sum, and
with it every bit, is the same wherever the plan runs. See `cpu.llvm.tile` for the sum and the names of its loops.
"""

from typing import NamedTuple

import numpy as np

from skconvnet.engine.cuda.llvm.tile import DEPTH, QUAD, TILES, Tile
from skconvnet.engine.cuda.lowering import chunks

__all__ = ["Schedule", "schedule"]

_MOST_BLOCKS = 65_535  # along y, and along z
_MOST_PARTS = 512
_LEAST_SLABS = 4  # of a part

# The GPU for which the cost of a cut is estimated, in clocks: that of an H100. The bits are the same on all GPUs.
_MULTIPROCESSORS, _LANES, _THREADS = 132, 128, 384  # threads of a multiprocessor, with the registers of a tile
_LATENCY = 700  # from the load of a slab to its use
_LAUNCH = 2500  # from one kernel to the next
_BYTES = 1900  # of memory that are read or written in a clock
_LOAD = 8  # multiply-adds that take as long as bringing one number to shared memory
_A_STRIDES = {"I": "a_i", "J": "a_j", "M": "a_p", "T": "a_t", "R": "a_r", "K": "a_k", "groups": "a_g"}


class Schedule(NamedTuple):
    """A contraction as the kernels of `cuda.kernels.convolution` take it.

    Parameters
    ----------
    reading : {"k", "m", "1"}
        How A is read, see `cuda.llvm.tile.Reader`.
    tile : Tile
    parts : int
        Pieces of the reduction that are summed separately.
    loops : dict of str to int
        Counts and strides by name, merged and in the order in which they are walked, and with them: ``rows`` of A in
        all, ``slabs`` of the reduction, those of a line (``line_slabs``) and of a part (``part_slabs``), and the
        distances in bytes from a slab to the next one (``a_step``), and what is added to them from line to line
        (``a_step_r``) and from one `t` to the next (``a_step_t``), so for B.
    """

    reading: str
    tile: Tile
    parts: int
    loops: dict[str, int]

    @property
    def grid(self):
        """Blocks along the rows of C, along its columns, and over groups and parts."""
        rows, columns = chunks(self.loops["rows"], self.tile.rows), chunks(self.loops["N"], self.tile.columns)
        return rows, columns, self.loops["groups"] * self.parts

    @property
    def part_size(self):
        """Elements of C, all groups together."""
        return self.loops["groups"] * self.loops["rows"] * self.loops["N"]


def schedule(loops, a_is_aligned, tiles=TILES):
    """Cut a contraction.

    Parameters
    ----------
    loops : dict of str to int
        The counts and strides of the instruction.
    a_is_aligned : bool
        Whether the address of A is a multiple of 16.
    tiles : sequence of Tile
        Which to choose from.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        If there are more groups, or more columns, than a grid has blocks for.
    """
    is_empty = 0 in (loops["T"], loops["R"], loops["K"])  # C = start, as for inputs that no filter tap meets
    loops = _merge(loops | {"T": 1, "R": 1, "K": 0} if is_empty else loops)
    reading = _reading(loops, a_is_aligned)
    if reading != "k" and not is_empty:
        loops = _fill_slabs(loops)
    rows = loops["I"] * loops["J"] * loops["M"]
    line_slabs = max(1, chunks(loops["K"], DEPTH))
    slabs = 0 if is_empty else loops["T"] * loops["R"] * line_slabs
    tiles = _wide_enough(tiles, loops["N"])
    cuts = [_best_parts(tile, rows, loops["N"], loops["groups"], slabs) for tile in tiles]
    _, part_slabs, tile = min(zip(*zip(*cuts, strict=True), tiles, strict=True), key=lambda cut: cut[0])
    loops |= {"rows": rows, "slabs": slabs, "line_slabs": line_slabs, "part_slabs": part_slabs}
    return Schedule(reading, tile, max(1, chunks(slabs, part_slabs)), loops | _steps(loops, "a") | _steps(loops, "b"))


def _wide_enough(tiles, columns):
    """Return the tiles of which a grid has enough for all columns."""
    found = [tile for tile in tiles if chunks(columns, tile.columns) <= _MOST_BLOCKS]
    if not found:
        most = _MOST_BLOCKS * max(tile.columns for tile in tiles)
        raise ValueError(
            f"A product of matrices has {columns:,} columns, which are filters, or inputs of FC, and a GPU takes at "
            f'most {most:,}. Put POOL or CONV with stride before FC, use fewer filters, or device="cpu".'
        )
    return found


def _merge(loops):
    """Merge loops over rows, and loops over products, where the strides of all operands allow it."""
    loops = dict(loops)
    for _ in range(2):
        _merge_two(loops, "MJI", ("a", "c"))
        _merge_two(loops, "KRT", ("a", "b"))
    return loops


def _merge_two(loops, names, operands):
    """Merge the first two of three loops, innermost first, and move the third to the place of the second."""
    inner, middle, outer = names
    count, strides = loops[inner], [_strides(operand, names) for operand in operands]
    if count > 1 and any(loops[second] != count * loops[first] for first, second, _ in strides):
        return
    loops[inner], loops[middle], loops[outer] = count * loops[middle], loops[outer], 1
    for first, second, third in strides:
        if count == 1:
            loops[first] = loops[second]
        loops[second] = loops[third]


def _strides(operand, names):
    """Return the names of an operand's strides along loops; that along M is called p."""
    return [f"{operand}_{'p' if name == 'M' else name.lower()}" for name in names]


def _reading(loops, a_is_aligned):
    """Choose how A is read: four numbers at once where they are always adjacent and aligned."""
    for reading, count, adjacent in (("k", "K", "a_k"), ("m", "M", "a_p")):
        others = [stride for name, stride in _A_STRIDES.items() if name != count and loops[name] > 1]
        if loops[adjacent] == 1 and not any(size % QUAD for size in (loops[count], *(loops[name] for name in others))):
            return reading if a_is_aligned else "1"
    return "1"


def _fill_slabs(loops):
    """Let slabs lie along that loop of the reduction which leaves the least of the last one empty."""
    best = min("KRT", key=lambda name: (chunks(loops[name], DEPTH) * DEPTH / loops[name], -loops[name]))
    order = best + "KRT".replace(best, "")
    moved = {new: loops[old] for new, old in zip("KRT", order, strict=True)}
    for operand in "ab":
        for new, old in zip(_strides(operand, "KRT"), _strides(operand, order), strict=True):
            moved[new] = loops[old]
    return loops | moved


def _best_parts(tile, rows, columns, groups, slabs):
    """Return the least cost of a contraction with a tile, and the slabs of a part with which it has it.

    Of parts that have as many slabs, the last ones may be empty; so counts of slabs are compared.
    """
    if groups > _MOST_BLOCKS:
        raise ValueError(f"CONV has {groups} groups, and a GPU takes at most {_MOST_BLOCKS}. Use fewer groups.")
    most = max(1, min(_MOST_PARTS, slabs // _LEAST_SLABS, _MOST_BLOCKS // groups))
    part_slabs = np.maximum(1, chunks(slabs, np.arange(1, most + 1)))
    costs = _costs(tile, rows, columns, groups, np.maximum(1, chunks(slabs, part_slabs)), part_slabs)
    best = int(np.argmin(costs))
    return float(costs[best]), int(part_slabs[best])


def _costs(tile, rows, columns, groups, parts, part_slabs):
    """Return the clocks of a contraction in each of some numbers of parts: an estimate, of which the order matters.

    The multiprocessor with most blocks computes the products of all its blocks, one after the other, or waits for each
    slab of those that it has at once; most of the shorter time is hidden in the longer. Sums of parts are written, read
    and added.
    """
    blocks = chunks(rows, tile.rows) * chunks(columns, tile.columns) * groups * parts
    most = chunks(blocks, _MULTIPROCESSORS)
    slab = DEPTH * (tile.rows * tile.columns + _LOAD * (tile.rows + tile.columns)) / _LANES
    turns = chunks(most, _THREADS // tile.threads)
    products, waits = most * part_slabs * slab, turns * (part_slabs + 2) * _LATENCY
    costs = np.maximum(products, waits) + np.minimum(products, waits) / 4
    costs += blocks * part_slabs * slab / _MULTIPROCESSORS / 64  # of equal times, that with the least work
    finish = _LAUNCH + 2 * 4 * parts * groups * rows * columns / _BYTES
    return costs + np.where(parts > 1, finish, 0)


def _steps(loops, operand):
    """Return the distances of slabs in bytes: to the next, and what to add at the end of a line and of all lines."""
    along, line, lines = (4 * loops[stride] for stride in _strides(operand, "KRT"))
    slab = DEPTH * along
    return {
        f"{operand}_step": slab,
        f"{operand}_step_r": line - loops["line_slabs"] * slab,
        f"{operand}_step_t": lines - loops["R"] * line,
    }
