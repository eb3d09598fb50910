"""The register tile: one sum of products, held in SIMD registers, that computes every layer with weights.

A *contraction* is the sum

    C[i, j, p, q] = start[i, j, p, q] + sum over t < T, r < R, k < K of
                    A[i*a_i + j*a_j + p*a_p + t*a_t + r*a_r + k*a_k] * B[t*b_t + r*b_r + k*b_k + q]

for i < I, j < J, p < M and q < N. Every stride is an integer known at run time. Numbers of A are read one by one and
broadcast. B and C are read and written as vectors along q, so they must be contiguous along q: the depth of an NHWC
activation, the filters of an HWIO weight. This one sum is

    ================  =======================  ===================  =====================  =================
    layer             i, j                     p                    t, r                   k
    ================  =======================  ===================  =====================  =================
    CONV forward      sample, output row       output column        -, filter row          filter column, c
    CONV weights      -, filter row            filter column, c     sample, output row     output column
    CONV input        sample, input row        input column         -, filter row          filter column, K
    FC forward        -, -                     sample               -, -                   input
    ================  =======================  ===================  =====================  =================

so one set of compiled tiles serves every F, S, P and K. The order of the sum is t, r, k for every tile and number of
threads, so the same plan gives the same bits. On machines that multiply pairs (see `_PairEmitter`), even and odd k are
summed separately, for every tile.

Sources: the sums are those of the CS231n notes (sections "Convolutional Layer" and "Fully-connected layer"); the scheme
of registers is that of K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
"""

# Above 400 lines: all of the file is one emitter, whose methods share its state.

from functools import partial

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from skconvnet.engine.cpu.task import Contraction

__all__ = ["FEW_ROWS", "HAS_FMA", "HAS_PAIRS", "PANEL", "PANELS", "PANEL_OF_FEW_ROWS", "PANEL_OF_PAIRS", "WIDTHS"]

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


def panels_of(features):
    """Choose how many columns, in how many vectors, and at most how many rows each kind of tile holds.

    Parameters
    ----------
    features : str
        The comma-separated LLVM features of the target machine, as ``+avx512f,+fma``.

    Returns
    -------
    tuple of (vectors, lanes, rows)
        The widest first. rows * vectors accumulators, the vectors of B and one broadcast fit into the registers: 32
        of 16 lanes with AVX-512, 16 of 8 with AVX2, 16 or 32 of 4 elsewhere. The last is 8 columns wide, the multiple
        to which every depth is padded.
    """
    present = set(features.split(","))
    if "+avx512f" in present:
        return (2, 16, 12), (1, 16, 14), (1, 8, 14)
    if "+avx" in present:
        return (2, 8, 6), (1, 8, 12)
    if "+neon" in present:
        return (4, 4, 6), (2, 4, 12)
    return ((2, 4, 6),)


def panel_of_few_rows(features):
    """Choose (vectors, lanes, rows) for sums of one or two rows: more columns give as many sums.

    The weights of a large FC, which are read from memory for one image, are then read in longer runs.
    """
    present = set(features.split(","))
    if "+avx512f" in present:
        return 8, 16, 2
    if "+avx" in present:
        return 4, 8, 2
    return 4, 4, 2


def has_fma(triple, features):
    """Return whether the target has fused multiply-add: all 64-bit Arm machines do, and x86 from AVX2 on."""
    return "+fma" in features.split(",") or not triple.startswith(("x86_64", "i686"))


_GROUP = 7  # rows of A reached from one pointer

_TRIPLE, _, _FEATURES = cpu_target.target_context.codegen().magic_tuple()
PANELS = panels_of(_FEATURES)
FEW_ROWS = panel_of_few_rows(_FEATURES)
HAS_FMA = has_fma(_TRIPLE, _FEATURES)


class _Emitter:
    """Writes the LLVM function of one panel: `vectors` x `lanes` columns of C, all of its rows."""

    name = "panel"

    def __init__(self, module, vectors, lanes, rows):
        self.vectors, self.lanes, self.rows = vectors, lanes, rows
        self.vector = ir.VectorType(_F32, lanes)
        self.module = module

    def function(self):
        """Return the panel's LLVM function, ``void (i64* contraction, i64 column)``, written on first use."""
        kind = ir.FunctionType(ir.VoidType(), [_I64.as_pointer(), _I64])
        function = cgutils.get_or_insert_function(
            self.module, kind, f"skconvnet_{self.name}_{self.vectors}x{self.lanes}"
        )
        if not function.blocks:
            function.linkage = "internal"
            function.attributes.add("noinline")
            self.b = ir.IRBuilder(function.append_basic_block("entry"))
            self._panel(*function.args)
            self.b.ret_void()
        return function

    def _panel(self, contraction, column):
        b = self.b
        d = {field.name: b.load(b.gep(contraction, [_I64(field)])) for field in Contraction}

        def pointer(name, offset):
            return b.gep(b.inttoptr(d[name], _F32.as_pointer()), [offset])

        zero = ir.Constant(_I64, 0)
        relu = b.icmp_signed("!=", d["RELU"], zero)
        floor = b.select(relu, ir.Constant(_F32, 0.0), ir.Constant(_F32, float("-inf")))
        self.d, self.floor = d, self._splat(floor, self.lanes)
        self.multiples = {m: b.mul(d["a_p"], _I64(m)) for m in (1, 2, 3, 5)}
        a, weights = pointer("A", zero), pointer("B", column)
        start, c = pointer("START", b.mul(column, d["start_q"])), pointer("C", column)
        self.weights = weights

        def image(_, pointers):
            triples, pairs, single = self._deal_lines()
            here = self._loop(triples, pointers, partial(self._lines_together, 3))
            here = self._loop(pairs, here, partial(self._lines_together, 2))
            self._loop(single, here, line)
            return self._advance(pointers, "i")

        def line(_, pointers):
            self._deal_rows(pointers)
            return self._advance(pointers, "j")

        self._loop(d["I"], [a, start, c], image)

    def _deal_lines(self):
        """Divide J lines among tiles of three, two and one lines; return the number of tiles of each.

        With few sums, each multiply-add waits for the one before it in its sum. So lines share a tile where M is small,
        as evenly as possible: 4 lines are 2 and 2, not 3 and 1.
        """
        b, M, J = self.b, self.d["M"], self.d["J"]
        fit = {lines: b.icmp_signed("<=", M, _I64(self._most_rows(lines))) for lines in (2, 3)}
        several = b.and_(fit[3], b.icmp_signed(">", J, _I64(1)))
        tiles = b.udiv(b.add(J, _I64(2)), _I64(3))
        triples = b.select(several, b.sub(J, b.mul(tiles, _I64(2))), _I64(0))
        left = b.sub(J, b.mul(triples, _I64(3)))
        pairs = b.select(fit[2], b.udiv(left, _I64(2)), _I64(0))
        return triples, pairs, b.sub(left, b.mul(pairs, _I64(2)))

    def _most_rows(self, lines):
        return min(self.rows // lines, _GROUP)

    def _lines_together(self, lines, _, pointers):
        """Sum `lines` lines in one tile; return the pointers to the next line."""
        b, function = self.b, self.b.function
        done = function.append_basic_block("next")
        switch = b.switch(self.d["M"], done)
        for rows in range(1, self._most_rows(lines) + 1):
            block = function.append_basic_block(f"tile{lines}x{rows}")
            switch.add_case(_I64(rows), block)
            b.position_at_end(block)
            self._tile(rows, *pointers, lines)
            b.branch(done)
        b.position_at_end(done)
        return self._advance(pointers, "j", _I64(lines))

    def _deal_rows(self, pointers):
        """Split M rows into as few tiles as possible, of nearly equal size: 16 rows become 8 + 8, not 14 + 2."""
        b, one, most = self.b, _I64(1), _I64(self.rows)
        before, function = b.block, b.function
        head, done, after = (function.append_basic_block(n) for n in ("rows", "next", "end"))
        tiles = b.sdiv(b.add(self.d["M"], _I64(self.rows - 1)), most)
        b.branch(head)

        b.position_at_end(head)
        left, rows_left = b.phi(_I64), b.phi(_I64)
        here = [b.phi(p.type) for p in pointers]
        for phi, value in zip([left, rows_left, *here], [tiles, self.d["M"], *pointers], strict=True):
            phi.add_incoming(value, before)
        deal = function.append_basic_block("deal")
        b.cbranch(b.icmp_signed(">", left, _I64(0)), deal, after)
        b.position_at_end(deal)
        # 32-bit division is several times faster than 64-bit on the machines that AVX2 came with.
        short = b.udiv(b.trunc(b.sub(b.add(rows_left, left), one), _I32), b.trunc(left, _I32))
        rows = b.zext(short, _I64)
        switch = b.switch(rows, done)
        for count in range(1, self.rows + 1):
            block = function.append_basic_block(f"tile{count}")
            switch.add_case(_I64(count), block)
            b.position_at_end(block)
            self._tile(count, *here)
            b.branch(done)

        b.position_at_end(done)
        moved = self._advance(here, "p", rows)
        for phi, value in zip(
            [left, rows_left, *here], [b.sub(left, one), b.sub(rows_left, rows), *moved], strict=True
        ):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(after)

    def _tile(self, rows, a, start, c, lines=1):
        """Sum `vectors` accumulators for each row of each line over t, r and k, from `start`; store them in `c`."""
        b, d = self.b, self.d
        row_of = [(line, p) for line in range(lines) for p in range(rows)]
        heads = row_of[::rows] if lines > 1 else row_of[::_GROUP]  # the rows of A that have a pointer
        groups = len(heads)
        places = [(*row, q) for row in row_of for q in range(self.vectors)]

        def at(pointer, operand, line, p, q):
            row = self._row(pointer, operand, line, p)
            step = b.mul(d["start_q"], _I64(q * self.lanes)) if operand == "start" else _I64(q * self.lanes)
            return b.bitcast(b.gep(row, [step]), ir.PointerType(self.vector))

        def step(load_a, load_b, several, _, state):
            xs, w, acc = [self._opaque(x) for x in state[:groups]], state[groups], state[groups + 1 :]
            weights = [load_b(b.gep(w, [_I64(q * self.lanes)])) for q in range(self.vectors)]
            for number, (line, p) in enumerate(row_of):
                x = xs[line] if lines > 1 else xs[p // _GROUP]
                value = load_a(self._row_of_group(x, p % _GROUP))
                for q in range(self.vectors):
                    at_q = number * self.vectors + q
                    acc[at_q] = self._multiply_add(value, weights[q], acc[at_q])
            along_a, along_b = b.mul(d["a_k"], _I64(several)), b.mul(d["b_k"], _I64(several))
            return [*(b.gep(x, [along_a]) for x in xs), b.gep(w, [along_b]), *acc]

        def nested(inner, count, letter):
            def body(_, state):
                x, w, *acc = state
                acc = inner(x, w, acc)
                return [b.gep(x, [d[f"a_{letter}"]]), b.gep(w, [d[f"b_{letter}"]]), *acc]

            return lambda x, w, acc: self._loop(d[count], [x, w, *acc], body)[2:]

        def products(x, w, acc):
            state = [*(self._row(x, "a", line, p) for line, p in heads), w, *acc]
            for repeat, several, load_a, load_b in self._steps():
                state = repeat(state, partial(step, load_a, load_b, several))
            return state[groups + 1 :]

        acc = [self._begin(b.load(at(start, "start", *place), align=4)) for place in places]
        acc = nested(nested(products, "R", "r"), "T", "t")(a, self.weights, acc)
        for place, value in zip(places, map(self._end, acc), strict=True):
            # An ordered comparison keeps NaN, so that a diverging fit is noticed.
            value = b.select(b.fcmp_ordered("<", value, self.floor), self.floor, value)
            b.store(value, at(c, "c", *place), align=4)  # align=4: LLVM would assume 64, and fault

    def _steps(self):
        """Return the loops over k: each with the products per turn and the loads of A and of B."""
        return [(partial(self._loop, self.d["K"]), 1, self._broadcast_of, self._vector_at)]

    def _begin(self, start):
        """Return the accumulator that begins as a vector of `start`."""
        return start

    def _end(self, accumulator):
        """Return the vector of C for an accumulator."""
        return accumulator

    def _broadcast_of(self, pointer):
        return self._splat(self.b.load(pointer, align=4), self.lanes)

    def _vector_at(self, pointer):
        return self.b.load(self.b.bitcast(pointer, ir.PointerType(self.vector)), align=4)

    def _row(self, pointer, operand, line, p):
        """Move a pointer to a row of a line of A, of `start` or of C."""
        b, d = self.b, self.d
        along = b.mul(d[f"{operand}_p"], _I64(p))
        return b.gep(pointer, [b.add(b.mul(d[f"{operand}_j"], _I64(line)), along) if line else along])

    def _row_of_group(self, x, away):
        """Address the rows of A from their group's pointer: 0, a, 2a, 3a, 4a, 5a and 6a away, 2, 4 and 6 by scaling."""
        b = self.b
        if away == 0:
            return x
        if away % 2:
            return b.gep(x, [self.multiples[away]])
        pairs = b.gep(b.bitcast(x, _I64.as_pointer()), [self.multiples[away // 2]])
        return b.bitcast(pairs, _F32.as_pointer())

    def _opaque(self, pointer):
        """Hide from LLVM how `pointer` was computed.

        With equal strides, LLVM would reach the rows of A by a chain of dependent additions, which halves the speed of
        a tile one vector wide.
        """
        same = ir.InlineAsm(ir.FunctionType(pointer.type, [pointer.type]), "", "=r,0")
        return self.b.call(same, [pointer])

    def _advance(self, pointers, letter, count=None):
        moved = []
        for pointer, name in zip(pointers, ("a", "start", "c"), strict=True):
            stride = self.d[f"{name}_{letter}"]
            moved.append(self.b.gep(pointer, [stride if count is None else self.b.mul(stride, count)]))
        return moved

    def _loop(self, count, carried, body):
        """Repeat `body` `count` times with carried values in registers; return the carried values after it."""
        b, before = self.b, self.b.block
        head, inside, after = (b.function.append_basic_block(n) for n in ("head", "body", "after"))
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(_I64)
        phis = [b.phi(value.type) for value in carried]
        for phi, value in zip([index, *phis], [_I64(0), *carried], strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", index, count), inside, after)
        b.position_at_end(inside)
        results = body(index, phis)
        for phi, value in zip([index, *phis], [b.add(index, _I64(1)), *results], strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(after)
        return phis

    def _when(self, condition, carried, body):
        """Execute `body` once if the condition holds; return the carried values after it."""
        b, before = self.b, self.b.block
        inside, after = (b.function.append_basic_block(n) for n in ("then", "after"))
        b.cbranch(condition, inside, after)
        b.position_at_end(inside)
        results, end = body(None, carried), b.block
        b.branch(after)
        b.position_at_end(after)
        phis = [b.phi(value.type) for value in carried]
        for phi, value, result in zip(phis, carried, results, strict=True):
            phi.add_incoming(value, before)
            phi.add_incoming(result, end)
        return phis

    def _splat(self, number, lanes):
        undefined = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
        first = self.b.insert_element(undefined, number, _I32(0))
        return self._shuffle(first, undefined, [0] * lanes)

    def _shuffle(self, x, y, lanes):
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))

    def _multiply_add(self, x, y, z):
        if not HAS_FMA:
            return self.b.fadd(self.b.fmul(x, y), z)
        kind = ir.FunctionType(x.type, [x.type] * 3)
        fma = cgutils.get_or_insert_function(self.module, kind, f"llvm.fma.v{x.type.count}f32")
        return self.b.call(fma, [x, y, z])


class _PairEmitter(_Emitter):
    """Writes the panel of one vector half as wide as a register: each sum takes two products at once.

    The lanes of a register are columns 0, 0, 1, 1, ..., for even and odd k, which are added at the end. So the two
    numbers of A must be neighbours (a_k = 1), and the two rows of B too (b_k = 8).
    """

    name = "pairs"

    def _steps(self):
        b, K = self.b, self.d["K"]
        pairs, is_odd = b.lshr(K, _I64(1)), b.trunc(K, ir.IntType(1))
        return [
            (partial(self._loop, pairs), 2, self._broadcast_of_pair, self._pair_at),
            (partial(self._when, is_odd), 1, self._spread(self._broadcast_of), self._spread(self._vector_at)),
        ]

    def _spread(self, load):
        return lambda pointer: self._begin(load(pointer))

    def _begin(self, start):
        """Spread a vector over the even lanes, beside zeros."""
        return self._interleaved(start, ir.Constant(self.vector, [0.0] * self.lanes))

    def _end(self, accumulator):
        even, odd = (self._shuffle(accumulator, accumulator, [*range(first, 2 * self.lanes, 2)]) for first in (0, 1))
        return self.b.fadd(even, odd)

    def _broadcast_of_pair(self, pointer):
        pair = self.b.load(self.b.bitcast(pointer, _I64.as_pointer()), align=4)
        return self.b.bitcast(self._splat(pair, self.lanes), ir.VectorType(_F32, 2 * self.lanes))

    def _pair_at(self, pointer):
        """Load two rows of B, which are one run, with the columns of one beside those of the other."""
        run = ir.PointerType(ir.VectorType(_F32, 2 * self.lanes))
        rows = self.b.load(self.b.bitcast(pointer, run), align=4)
        return self._shuffle(rows, rows, [lane for q in range(self.lanes) for lane in (q, q + self.lanes)])

    def _interleaved(self, x, y):
        return self._shuffle(x, y, [lane for q in range(self.lanes) for lane in (q, q + self.lanes)])


def _panel_intrinsic(vectors, lanes, rows, emitter=_Emitter):
    @intrinsic
    def panel(typingctx, contraction, column):
        def codegen(context, builder, signature, args):
            function = emitter(builder.module, vectors, lanes, rows).function()
            builder.call(function, [builder.inttoptr(args[0], _I64.as_pointer()), args[1]])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return panel


# Three of each on every machine: with fewer kinds the narrowest is repeated, and not reached.
PANEL = [_panel_intrinsic(*panel) for panel in PANELS]
PANEL += [PANEL[-1]] * (3 - len(PANEL))
WIDTHS = [vectors * lanes for vectors, lanes, _ in PANELS]
WIDTHS += [WIDTHS[-1]] * (3 - len(WIDTHS))
PANEL_OF_FEW_ROWS = _panel_intrinsic(*FEW_ROWS)
# A panel of pairs needs a C of exactly eight columns; it is used where the strides allow it.
HAS_PAIRS = PANELS[-1][1] < max(lanes for _, lanes, _ in PANELS)  # the narrowest panel is half of a register
PANEL_OF_PAIRS = _panel_intrinsic(*PANELS[-1], emitter=_PairEmitter) if HAS_PAIRS else PANEL[-1]
