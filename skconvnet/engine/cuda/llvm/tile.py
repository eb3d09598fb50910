"""The tile of a contraction: which rows and columns of C each thread of a block sums, and where its numbers pass.

A block computes a tile of C as one long matrix product. It takes the reduction in slabs of `DEPTH` products: its
threads copy a slab of A and one of B from global memory to shared memory, `DEPTH` lines of `rows` and of `columns`
numbers, and then each thread multiplies its rows by its columns there, 8 by 8 of each line. The 64 sums stay in
registers, and each number that is read from shared memory is used eight times.

`Reader` has the functions that copy a slab, `FloatProducts` those that multiply one, and `storer` makes the one that
writes the sums to C. Kernels call them with the numbers of their thread.

Sources: V. Volkov and J. W. Demmel, "Benchmarking GPUs to tune dense linear algebra" (2008), for sums in registers; the
documentation of NVIDIA's CUTLASS, "Efficient GEMM in CUDA", for tiles of blocks, warps and threads.
"""

from dataclasses import dataclass
from functools import partial
from itertools import product

from llvmlite import ir

from skconvnet.engine.cuda.compiler import inlined, intrinsic, types
from skconvnet.engine.cuda.llvm.memory import pointer
from skconvnet.engine.cuda.llvm.registers import Floats, elements, spaced, vector
from skconvnet.engine.cuda.llvm.threads import left, over

__all__ = ["DEPTH", "QUAD", "TILES", "FloatProducts", "Reader", "Tile", "storer"]

DEPTH = 8  # products of a slab
QUAD = 4  # float32 that one access of 128 bits reads or writes
N_SUMS = 64  # of a thread

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_ROW_PADDING = 4  # float32 after each line of A in shared memory, so that threads write to different banks


@dataclass(frozen=True)
class Tile:
    """The rows and columns of C that a block computes.

    Parameters
    ----------
    lanes_n : int
        The 32 threads of a warp are 32 / lanes_n by lanes_n, each with 8 rows by 8 columns.
    warps_m, warps_n : int
        The warps of a block are warps_m by warps_n.
    """

    lanes_n: int
    warps_m: int
    warps_n: int

    @property
    def threads(self):
        """Threads of a block."""
        return 32 * self.warps_m * self.warps_n

    @property
    def warp_rows(self):
        """Rows of C that a warp computes."""
        return 8 * 32 // self.lanes_n

    @property
    def warp_columns(self):
        """Columns of C that a warp computes."""
        return 8 * self.lanes_n

    @property
    def rows(self):
        """Rows of C that a block computes."""
        return self.warps_m * self.warp_rows

    @property
    def columns(self):
        """Columns of C that a block computes."""
        return self.warps_n * self.warp_columns

    def __str__(self):
        return f"{self.rows}x{self.columns}"


# Wide ones first. The last is for few rows: an FC layer and a minibatch.
TILES = (
    Tile(lanes_n=8, warps_m=4, warps_n=2),
    Tile(lanes_n=8, warps_m=4, warps_n=1),
    Tile(lanes_n=4, warps_m=2, warps_n=1),
    Tile(lanes_n=2, warps_m=2, warps_n=1),
    Tile(lanes_n=8, warps_m=1, warps_n=2),
)


class Reader:
    """How the threads of a block copy slabs of A or of B to shared memory.

    Parameters
    ----------
    reading : {"k", "m", "1"}
        What a thread reads at once: four numbers that are adjacent along the reduction, four that are adjacent along
        the rows of A or the columns of B, or one.
    width : int
        Rows of A, or columns of B, of the tile.
    stride : int
        Distance of two lines of a slab in shared memory.
    threads : int
        Threads of a block.

    Attributes
    ----------
    size : int
        float32 of a slab in shared memory.
    threads : int
        The threads that have something to copy, the first ones of the block.
    place : function
        ``line, column = place(thread)``: the first number that a thread copies of a slab.
    columns : function
        ``columns(column)``: Ints, all columns that the thread copies from.
    load, put : function
        See `_loader` and `_putter`.
    """

    def __init__(self, reading, width, stride, threads):
        self.size = DEPTH * stride
        run = 1 if reading == "1" else QUAD
        side_by_side = {"k": DEPTH // QUAD, "m": min(width // QUAD, threads), "1": min(width, 32)}[reading]
        at_once = min(threads // side_by_side, width if reading == "k" else DEPTH)
        self.threads = side_by_side * at_once

        if reading == "k":

            @inlined
            def place(thread):
                return left(thread, side_by_side) * QUAD, over(thread, side_by_side)

            apart, n_columns, lines = at_once, width // at_once, (0,)
        else:

            @inlined
            def place(thread):
                return over(thread, side_by_side), left(thread, side_by_side) * run

            apart, n_columns = run * side_by_side, width // (run * side_by_side)
            lines = tuple(range(0, DEPTH, at_once))
        distances = tuple(apart * number for number in range(n_columns))
        self.place, self.columns = place, spaced(distances)
        self.load = _loader(lines, run)
        self.put = _putter(lines, distances, run, stride, along_line=reading == "m")


def _loader(lines, run):
    """Make an intrinsic that loads what a thread copies of one slab.

    Parameters
    ----------
    lines : tuple of int
        The lines that the thread reads, counted from its first.
    run : int
        Numbers that it reads at once.
    """

    @intrinsic
    def load(typing_context, address, columns, stride, line, end):
        """Load the numbers at offsets `columns` from an address, of each line; lines are `stride` apart.

        A line is read if it is before the `end`, counted as `line` is, and else replaced by zeros.
        """

        def codegen(context, builder, signature, arguments):
            address, columns, stride, line, end = arguments
            loaded = []
            for further in lines:
                is_inside = builder.icmp_signed("<", builder.add(line, _I32(further)), end)
                offset = builder.mul(stride, _I32(further))
                for column in elements(builder, columns):
                    from_address = _element(builder, address, builder.add(column, offset))
                    loaded += _load_if(builder, is_inside, from_address, run)
            return vector(builder, loaded)

        return Floats(len(lines) * columns.n * run)(types.int64, columns, *[types.int32] * 3), codegen

    return load


def _putter(lines, distances, run, stride, along_line):
    """Make an intrinsic that writes what a thread has loaded of a slab to shared memory.

    Parameters
    ----------
    lines, distances : tuple of int
        The lines and the columns that it has loaded, counted from its first.
    run : int
        Numbers that it has loaded at once.
    stride : int
        Distance of two lines in shared memory.
    along_line : bool
        Whether a run lies along a line, to be written at once, or across lines.
    """

    @intrinsic
    def put(typing_context, shared, first, values):
        """Write `values` to an array in shared memory, from element `first` on."""

        def codegen(context, builder, signature, arguments):
            numbers = iter(elements(builder, arguments[2]))
            at = partial(_shared_element, context, builder, signature.args[0], arguments[0], arguments[1])
            for line, distance in product(lines, distances):
                values, begin = [next(numbers) for _ in range(run)], line * stride + distance
                if along_line:
                    _store(builder, values, at(begin))
                else:
                    for number, value in enumerate(values):
                        _store(builder, [value], at(begin + number * stride))
            return context.get_dummy_value()

        return types.void(shared, types.int32, values), codegen

    return put


class FloatProducts:
    """The products of a slab by fused multiply-adds: a thread has 8 rows and 8 columns, in two runs of four each.

    Parameters
    ----------
    tile : Tile

    Attributes
    ----------
    row_stride, column_stride : int
        Distance of two lines of A, and of B, in shared memory.
    rows, runs : tuple of int
        A thread's rows, and the first columns of its runs of columns, counted from its first.
    run : int
        Adjacent columns of a run. The sums of a thread are in the order of row, run and column.
    place : function
        ``row, column = place(thread)``: the first of a thread in the tile.
    slab_place : function
        ``row, column = slab_place(thread)``: where its first numbers are in a slab of A and in a slab of B.
    multiply : function
        ``sums = multiply(sums, shared, a, b)`` adds the products of a slab of A and one of B, of which the thread's
        numbers begin at elements `a` and `b` of shared memory.
    """

    run = QUAD

    def __init__(self, tile):
        self.row_stride, self.column_stride = tile.rows + _ROW_PADDING, tile.columns
        half_rows, half_columns = tile.warp_rows // 2, tile.warp_columns // 2
        self.rows = (*range(4), *range(half_rows, half_rows + 4))
        self.runs = (0, half_columns)
        self.place = self.slab_place = _place(tile, tile.lanes_n, 4, 4)
        self.multiply = self._multiplier()

    def _multiplier(self):
        row_stride, column_stride, runs_of_rows, runs = self.row_stride, self.column_stride, self.rows[::4], self.runs

        @intrinsic
        def multiply(typing_context, sums, shared, a, b):
            def codegen(context, builder, signature, arguments):
                multiply_add = _function(builder, "llvm.fma.f32", _F32, [_F32] * 3)
                at = partial(_shared_element, context, builder, shared, arguments[1])
                a_at, b_at = (partial(at, first) for first in arguments[2:])
                totals = elements(builder, arguments[0])
                for line in range(DEPTH):
                    x = [value for row in runs_of_rows for value in _load(builder, a_at(line * row_stride + row), QUAD)]
                    y = [value for run in runs for value in _load(builder, b_at(line * column_stride + run), QUAD)]
                    for number, factors in enumerate(product(x, y)):
                        totals[number] = builder.call(multiply_add, [*factors, totals[number]])
                return vector(builder, totals)

            return sums(sums, shared, types.int32, types.int32), codegen

        return multiply


def _place(tile, lanes_n, row_step, column_step):
    """Make a function: thread -> its first row and column, if the lanes of a warp are `lanes_n` side by side."""
    warps_n, warp_rows, warp_columns = tile.warps_n, tile.warp_rows, tile.warp_columns

    @inlined
    def place(thread):
        warp, lane = over(thread, 32), left(thread, 32)
        row = over(warp, warps_n) * warp_rows + over(lane, lanes_n) * row_step
        column = left(warp, warps_n) * warp_columns + left(lane, lanes_n) * column_step
        return row, column

    return place


def storer(products):
    """Make an intrinsic that writes a thread's sums to C.

    Parameters
    ----------
    products : FloatProducts or TensorProducts
        Where its rows and columns are.
    """
    rows, runs, run = products.rows, products.runs, products.run

    @intrinsic
    def store(typing_context, sums, start, start_q, c, c_rows, row, column, n_rows, n_columns, relu):
        """Add the start to each sum and write them; with `relu`, write 0 in place of what is negative.

        The address `start` is that of column 0, or 0 to begin from zero; `c` is that of C, and `c_rows` the offsets of
        the thread's rows there. `row` and `column` are the thread's first; those from `n_rows` and `n_columns` on are
        not written.
        """

        def codegen(context, builder, signature, arguments):
            sums, start, start_q, c, c_rows, row, column, n_rows, n_columns, relu = arguments
            sums, c_rows = elements(builder, sums), elements(builder, c_rows)
            has_start = builder.icmp_signed("!=", start, _I64(0))
            is_cut = builder.icmp_signed("!=", relu, _I32(0))
            floor = builder.select(is_cut, ir.Constant(_F32, 0.0), ir.Constant(_F32, float("-inf")))
            for number, further in enumerate(runs):
                first = builder.add(column, _I32(further))
                with builder.if_then(builder.icmp_signed("<", first, n_columns)):
                    begin = []
                    for q in range(run):
                        offset = builder.mul(builder.add(first, _I32(q)), start_q)
                        begin += _load_if(builder, has_start, _element(builder, start, offset), 1)
                    for i, further_row in enumerate(rows):
                        with builder.if_then(builder.icmp_signed("<", builder.add(row, _I32(further_row)), n_rows)):
                            first_sum = (i * len(runs) + number) * run
                            values = [
                                _at_least(builder, builder.fadd(value, x), floor)
                                for value, x in zip(sums[first_sum : first_sum + run], begin, strict=True)
                            ]
                            address = _element(builder, c, builder.add(c_rows[i], first))
                            _store(builder, values, pointer(builder, address, _F32))
            return context.get_dummy_value()

        i32, i64 = types.int32, types.int64
        return types.void(sums, i64, i32, i64, c_rows, i32, i32, i32, i32, i32), codegen

    return store


def _at_least(builder, value, floor):
    """Return the larger one; an ordered comparison keeps NaN, so that a diverging fit is noticed."""
    return builder.select(builder.fcmp_ordered("<", value, floor), floor, value)


# Addresses, loads and stores


def _element(builder, address, offset):
    """Return the address of float32 number `offset`, an int32, from an address on."""
    return builder.add(address, builder.mul(builder.sext(offset, _I64), _I64(4)))


def _shared_element(context, builder, kind, array, first, distance):
    """Return a pointer to the element of a shared array that is `distance` after element `first`."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [builder.add(first, _I32(distance))])


def _wide(builder, at, run):
    """Return the pointer and the alignment for an access of `run` numbers at once."""
    if run > 1:
        at = builder.bitcast(at, ir.PointerType(ir.VectorType(_F32, run), at.type.addrspace))
    return at, 4 * run


def _load(builder, at, run):
    """Load `run` adjacent numbers at once."""
    at, align = _wide(builder, at, run)
    value = builder.load(at, align=align)
    return [value] if run == 1 else elements(builder, value)


def _store(builder, values, at):
    """Store adjacent numbers at once."""
    at, align = _wide(builder, at, len(values))
    builder.store(values[0] if len(values) == 1 else vector(builder, values), at, align=align)


def _load_if(builder, condition, address, run):
    """Load `run` adjacent numbers of global memory if a condition holds; else return zeros."""
    before = builder.block
    with builder.if_then(condition):
        loaded, inside = _load(builder, pointer(builder, address, _F32), run), builder.block
    found = []
    for value in loaded:
        phi = builder.phi(_F32)
        phi.add_incoming(value, inside)
        phi.add_incoming(ir.Constant(_F32, 0.0), before)
        found.append(phi)
    return found


def _function(builder, name, result, arguments):
    """Return the declaration of a function of LLVM."""
    return builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(result, arguments), name)
