"""The tile of a contraction: which rows and columns of C each thread of a block sums, and where its numbers pass.

A block computes a tile of C as one long matrix product. It takes the reduction in slabs of `DEPTH` products: its
threads copy a slab of A and one of B from global memory to shared memory, `DEPTH` lines of `rows` and of `columns`
numbers, and then each thread multiplies its rows by its columns there, 8 by 8 of each line. The 64 sums stay in
registers, and each number that is read from shared memory is used eight times.

`Reader` has the functions that copy a slab, `cuda.llvm.products` those that multiply one, and `storer` makes the one
that writes the sums to C. Kernels call them with the numbers of their thread.

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
from skconvnet.engine.cuda.llvm.runs import element_address, load_run_if, shared_pointer, store_run
from skconvnet.engine.cuda.llvm.threads import left, over

__all__ = ["DEPTH", "QUAD", "TILES", "Reader", "Tile", "storer"]

DEPTH = 8  # products of a slab
QUAD = 4  # float32 that one access of 128 bits reads or writes
_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


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
                    from_address = element_address(builder, address, builder.add(column, offset))
                    loaded += load_run_if(builder, is_inside, from_address, run)
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
            at = partial(shared_pointer, context, builder, signature.args[0], arguments[0], arguments[1])
            for line, distance in product(lines, distances):
                values, begin = [next(numbers) for _ in range(run)], line * stride + distance
                if along_line:
                    store_run(builder, values, at(begin))
                else:
                    for number, value in enumerate(values):
                        store_run(builder, [value], at(begin + number * stride))
            return context.get_dummy_value()

        return types.void(shared, types.int32, values), codegen

    return put


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
                        begin += load_run_if(builder, has_start, element_address(builder, start, offset), 1)
                    for i, further_row in enumerate(rows):
                        with builder.if_then(builder.icmp_signed("<", builder.add(row, _I32(further_row)), n_rows)):
                            first_sum = (i * len(runs) + number) * run
                            values = [
                                _at_least(builder, builder.fadd(value, x), floor)
                                for value, x in zip(sums[first_sum : first_sum + run], begin, strict=True)
                            ]
                            address = element_address(builder, c, builder.add(c_rows[i], first))
                            store_run(builder, values, pointer(builder, address, _F32))
            return context.get_dummy_value()

        i32, i64 = types.int32, types.int64
        return types.void(sums, i64, i32, i64, c_rows, i32, i32, i32, i32, i32), codegen

    return store


def _at_least(builder, value, floor):
    """Return the larger one; an ordered comparison keeps NaN, so that a diverging fit is noticed."""
    return builder.select(builder.fcmp_ordered("<", value, floor), floor, value)
