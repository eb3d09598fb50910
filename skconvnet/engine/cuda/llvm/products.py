"""The products of a slab: what a thread adds to its 64 sums, and which rows and columns of the tile they are."""

from functools import partial
from itertools import product

from llvmlite import ir

from skconvnet.engine.cuda.compiler import inlined, intrinsic, types
from skconvnet.engine.cuda.llvm.registers import elements, vector
from skconvnet.engine.cuda.llvm.runs import declared, load_run, shared_pointer
from skconvnet.engine.cuda.llvm.threads import left, over
from skconvnet.engine.cuda.llvm.tile import DEPTH, QUAD

__all__ = ["N_SUMS", "FloatProducts", "TensorProducts"]

N_SUMS = 64  # of a thread

_F32, _I32 = ir.FloatType(), ir.IntType(32)
_CUT_BITS = 13  # that a float32 has and a TF32 has not


class FloatProducts:
    """Products by fused multiply-adds: a thread has 8 rows and 8 columns, in two runs of four each.

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
        ``a, b = slab_place(thread)``: the element of a slab of A, and that of a slab of B, where its numbers begin.
    multiply : function
        ``sums = multiply(sums, shared, a, b)`` adds the products of a slab of A and one of B, of which the thread's
        numbers begin at elements `a` and `b` of shared memory.
    """

    suffix = ""  # of a kernel's name
    minimum_cc = 7, 5
    run = QUAD

    def __init__(self, tile):
        # Four numbers after each line of A: threads that write along the reduction then meet different banks.
        self.row_stride, self.column_stride = tile.rows + 4, tile.columns
        half_rows, half_columns = tile.warp_rows // 2, tile.warp_columns // 2
        self.rows = (*range(4), *range(half_rows, half_rows + 4))
        self.runs = (0, half_columns)
        warps_n, warp_rows, warp_columns, lanes_n = tile.warps_n, tile.warp_rows, tile.warp_columns, tile.lanes_n

        @inlined
        def place(thread):
            warp, lane = over(thread, 32), left(thread, 32)
            row = over(warp, warps_n) * warp_rows + over(lane, lanes_n) * 4
            return row, left(warp, warps_n) * warp_columns + left(lane, lanes_n) * 4

        self.place = self.slab_place = place
        self.multiply = self._multiplier()

    def _multiplier(self):
        row_stride, column_stride, runs_of_rows, runs = self.row_stride, self.column_stride, self.rows[::4], self.runs

        @intrinsic
        def multiply(typing_context, sums, shared, a, b):
            def codegen(context, builder, signature, arguments):
                multiply_add = declared(builder, "llvm.fma.f32", _F32, [_F32] * 3)
                at = partial(shared_pointer, context, builder, shared, arguments[1])
                a_at, b_at = (partial(at, first) for first in arguments[2:])
                totals = elements(builder, arguments[0])
                for line in range(DEPTH):
                    x = [
                        value
                        for row in runs_of_rows
                        for value in load_run(builder, a_at(line * row_stride + row), QUAD)
                    ]
                    y = [value for run in runs for value in load_run(builder, b_at(line * column_stride + run), QUAD)]
                    for number, factors in enumerate(product(x, y)):
                        totals[number] = builder.call(multiply_add, [*factors, totals[number]])
                return vector(builder, totals)

            return sums(sums, shared, types.int32, types.int32), codegen

        return multiply


class TensorProducts:
    """Products by tensor cores, of TF32: 11 significant bits in place of 24. Three products give nearly all of them.

    Each number is split into the TF32 nearest to it and the rest, x = large + small, and

        x y = small large' + large small' + large large'

    without the product of the small ones. That is 2**-22 of x y at most, and what is cut from a rest 2**-21, so a
    product is off by 1.2e-6 of itself at most. The sums are float32.

    A warp multiplies pieces of 16 rows and 8 columns; a thread has 2 columns of every eighth row in each, which are its
    runs. Attributes are those of `FloatProducts`.

    Sources: the fragments of ``mma.m16n8k8`` in the manual of NVIDIA's PTX; H. Ootomo and R. Yokota, "Recovering single
    precision accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance" (2022).
    """

    suffix = "_tf32x3"
    minimum_cc = 8, 0
    run = 2

    def __init__(self, tile):
        # The lanes of a warp read 8 numbers of each of 4 lines: eight after each line put them into 32 banks.
        self.row_stride, self.column_stride = tile.rows + 8, tile.columns + 8
        self.rows, self.runs = tuple(range(0, tile.warp_rows, 8)), tuple(range(0, tile.warp_columns, 8))
        warps_n, warp_rows, warp_columns = tile.warps_n, tile.warp_rows, tile.warp_columns
        row_stride, column_stride = self.row_stride, self.column_stride

        @inlined
        def place(thread):
            warp, lane = over(thread, 32), left(thread, 32)
            row = over(warp, warps_n) * warp_rows + over(lane, 4)
            return row, left(warp, warps_n) * warp_columns + left(lane, 4) * 2

        @inlined
        def slab_place(thread):
            warp, lane = over(thread, 32), left(thread, 32)
            row, column = over(warp, warps_n) * warp_rows, left(warp, warps_n) * warp_columns
            line, further = left(lane, 4), over(lane, 4)
            return line * row_stride + row + further, line * column_stride + column + further

        self.place, self.slab_place = place, slab_place
        self.multiply = self._multiplier()

    def _multiplier(self):
        rows, runs, row_stride, column_stride = self.rows, self.runs, self.row_stride, self.column_stride

        @intrinsic
        def multiply(typing_context, sums, shared, a, b):
            def codegen(context, builder, signature, arguments):
                at = partial(shared_pointer, context, builder, shared, arguments[1])
                totals = elements(builder, arguments[0])

                def fragment(first, stride, distances):
                    """Split what the thread has of a matrix: lines 0 and 4 at each distance."""
                    places = [line * stride + distance for line in (0, 4) for distance in distances]
                    pairs = [_split(builder, *load_run(builder, at(first, place), 1)) for place in places]
                    return zip(*pairs, strict=True)

                columns = [list(fragment(arguments[3], column_stride, (run,))) for run in runs]
                for i in range(0, len(rows), 2):
                    large, small = fragment(arguments[2], row_stride, rows[i : i + 2])
                    for j, (large_column, small_column) in enumerate(columns):
                        # A piece has two rows of the thread: the sums of a run, and those of the run a row further on.
                        places = [(row * len(runs) + j) * 2 + q for row in (i, i + 1) for q in range(2)]
                        for pair in ((small, large_column), (large, small_column), (large, large_column)):
                            piece = _multiply_matrices(builder, *pair, [totals[place] for place in places])
                            for place, total in zip(places, piece, strict=True):
                                totals[place] = total
                return vector(builder, totals)

            return sums(sums, shared, types.int32, types.int32), codegen

        return multiply


def _split(builder, value):
    """Return the TF32 nearest to a number, ties away from zero, and the rest cut to a TF32; both are in 32 bits.

    In integers: the conversion of PTX takes twice as many instructions. The rest of NaN is NaN.
    """
    cut, half = _I32(-(1 << _CUT_BITS)), _I32(1 << _CUT_BITS - 1)
    large = builder.and_(builder.add(builder.bitcast(value, _I32), half), cut)
    rest = builder.fsub(value, builder.bitcast(large, _F32))
    return large, builder.and_(builder.bitcast(rest, _I32), cut)


def _multiply_matrices(builder, a, b, sums):
    """Return the sums of a thread after the product of 16 rows of 8 by 8 rows of 8, of which it holds `a` and `b`."""
    results = ir.LiteralStructType([_F32] * 4)
    multiply = ir.InlineAsm(
        ir.FunctionType(results, [_I32] * 6 + [_F32] * 4),
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};",
        "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f",
        side_effect=True,  # no: but so LLVM does not move it to where only some lanes are
    )
    product = builder.call(multiply, [*a, *b, *sums])
    return [builder.extract_value(product, number) for number in range(4)]
