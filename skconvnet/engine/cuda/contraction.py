"""How a contraction is cut for a GPU: which loops are one, how A is read, which tile sums, and into how many parts.

All of it follows from counts and strides alone, not from the device or its load, so that the order of every sum, and
with it every bit, is the same wherever the plan runs. See `cpu.llvm.tile` for the sum and the names of its loops.
"""

from typing import NamedTuple

from skconvnet.engine.cuda.llvm.tile import DEPTH, QUAD, TILES, Tile
from skconvnet.engine.cuda.lowering import chunks

__all__ = ["Schedule", "schedule"]

_WANTED_BLOCKS = 264  # two for each of 132 multiprocessors
_LEAST_SLABS = 32  # of a part: fewer are not worth the sum of the parts
_MOST_BLOCKS = 65_535  # along z
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
        If there are more groups than a grid has blocks.
    """
    is_empty = 0 in (loops["T"], loops["R"], loops["K"])  # C = start, as for inputs that no filter tap meets
    loops = _merge(loops | {"T": 1, "R": 1, "K": 0} if is_empty else loops)
    reading = _reading(loops, a_is_aligned)
    if reading != "k" and not is_empty:
        loops = _fill_slabs(loops)
    rows = loops["I"] * loops["J"] * loops["M"]
    tile = min(tiles, key=lambda tile: _cost(tile, rows, loops["N"]))
    line_slabs = max(1, chunks(loops["K"], DEPTH))
    slabs = 0 if is_empty else loops["T"] * loops["R"] * line_slabs
    blocks = chunks(rows, tile.rows) * chunks(loops["N"], tile.columns) * loops["groups"]
    part_slabs = max(1, chunks(slabs, _wanted_parts(blocks, slabs, loops["groups"])))
    loops |= {"rows": rows, "slabs": slabs, "line_slabs": line_slabs, "part_slabs": part_slabs}
    return Schedule(reading, tile, max(1, chunks(slabs, part_slabs)), loops | _steps(loops, "a") | _steps(loops, "b"))


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


def _cost(tile, rows, columns):
    """Return what sums of this many rows and columns cost, in multiply-adds for each product."""
    blocks = chunks(rows, tile.rows) * chunks(columns, tile.columns)
    return blocks * (tile.rows * tile.columns + _LOAD * (tile.rows + tile.columns))


def _wanted_parts(blocks, slabs, groups):
    """Return into how many parts to split a reduction, so that there are blocks for a whole GPU."""
    if groups > _MOST_BLOCKS:
        raise ValueError(f"CONV has {groups} groups, and a GPU takes at most {_MOST_BLOCKS}. Use fewer groups.")
    return max(1, min(_WANTED_BLOCKS // blocks, slabs // _LEAST_SLABS, _MOST_BLOCKS // groups))


def _steps(loops, operand):
    """Return the distances of slabs in bytes: to the next, and what to add at the end of a line and of all lines."""
    along, line, lines = (4 * loops[stride] for stride in _strides(operand, "KRT"))
    slab = DEPTH * along
    return {
        f"{operand}_step": slab,
        f"{operand}_step_r": line - loops["line_slabs"] * slab,
        f"{operand}_step_t": lines - loops["R"] * line,
    }
