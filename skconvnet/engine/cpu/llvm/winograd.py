"""The transforms of Winograd's minimal filtering, written for vectors of channels.

A CONV of F x F filters and stride 1 computes tiles of m x m outputs, m = 7 - F, from tiles of 6 x 6 inputs. Along one
axis, tile and filter are polynomials. Their product is found from its values at six points, with one multiplication
for each::

    y  = A' [(G w) * (B' x)]        forward: 6 multiplications in place of m F for m outputs of F weights
    dw = G' [(B' x) * (A dy)]       gradient of the weights

With two axes, a tile X becomes P X P' for the P of the transform. 36 multiplications take the place of 144 with F = 3,
and of 100 with F = 5.

The points are 0, 3/4, -3/4, 3/2, -3/2 and infinity. All are exact in binary. They give a third to a fifth of the
rounding error of the customary 0, 1, -1, 2, -2 and infinity. Points of opposite sign share their even and their odd
part, so that no transform needs more than 15 operations along an axis of a tile.

Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).
"""

from itertools import product

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from skconvnet.engine.cpu.llvm.tile import HAS_FMA, PANELS
from skconvnet.engine.cpu.task import number_columns
from skconvnet.engine.program.instructions import N_POINTS, TRANSFORMED_FILTERS, Op, Transform, outputs_of_tile

__all__ = ["transform_tile"]

_F32, _I64 = ir.FloatType(), ir.IntType(64)
_LANES = max(lanes for _, lanes, _ in PANELS)
_NARROW = 8  # depths are multiples of it

_A, _B = 0.75, 1.5
_AA, _BB = _A * _A, _B * _B
_SUM, _PRODUCT = _AA + _BB, _AA * _BB
# The filter's polynomial at a point is divided by the product of the point's distances from the other four.
_NA, _NB = 1 / (2 * _AA * (_AA - _BB)), 1 / (2 * _BB * (_BB - _AA))


class _Vectors:
    """Arithmetic on vectors of `lanes` numbers."""

    def __init__(self, builder, lanes):
        self.builder, self.lanes = builder, lanes
        self.type = ir.VectorType(_F32, lanes)

    def constant(self, number):
        return ir.Constant(self.type, [float(number)] * self.lanes)

    def add(self, x, y):
        return self.builder.fadd(x, y)

    def sub(self, x, y):
        return self.builder.fsub(x, y)

    def scale(self, number, x):
        """Return number * x."""
        return x if number == 1 else self.builder.fmul(self.constant(number), x)

    def fma(self, number, x, y):
        """Return number * x + y."""
        if number == 1:
            return self.add(x, y)
        if not HAS_FMA:
            return self.add(self.scale(number, x), y)
        kind = ir.FunctionType(self.type, [self.type] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fma.v{self.lanes}f32")
        return self.builder.call(function, [self.constant(number), x, y])

    def opposite(self, point, even, odd):
        """Return even + point * odd and even - point * odd."""
        return self.fma(point, odd, even), self.fma(-point, odd, even)


def _input(v, x):
    """Return B' x: the coefficients of the product over the other points q of (t - q)."""
    return [
        v.fma(_PRODUCT, x[0], v.fma(-_SUM, x[2], x[4])),
        *v.opposite(_A, v.fma(-_BB, x[2], x[4]), v.fma(-_BB, x[1], x[3])),
        *v.opposite(_B, v.fma(-_AA, x[2], x[4]), v.fma(-_AA, x[1], x[3])),
        v.fma(_PRODUCT, x[1], v.fma(-_SUM, x[3], x[5])),
    ]


def _values(v, coefficients, scales):
    """Return the values of a polynomial at the points, times the scales of 0, the near and the far points.

    Its value at infinity is the last coefficient.
    """
    at_zero, *others = scales
    found = [v.scale(at_zero, coefficients[0])]
    for point, scale in zip((_A, _B), others, strict=True):
        even, odd = v.scale(scale, coefficients[0]), coefficients[1]
        for power in range(2, len(coefficients), 2):
            even = v.fma(scale * point**power, coefficients[power], even)
        for power in range(3, len(coefficients), 2):
            odd = v.fma(point ** (power - 1), coefficients[power], odd)
        found += v.opposite(scale * point, even, odd)
    return [*found, coefficients[-1]]


def _moments(v, values, n, scales):
    """Return the transpose of `_values` times `values`: for each e < n, the sum of point**e * scale * value."""
    at_zero, near, far = scales
    sums = v.add(values[1], values[2]), v.sub(values[1], values[2])
    far_sums = v.add(values[3], values[4]), v.sub(values[3], values[4])
    found = []
    for e in range(n):
        if e == 0:
            moment = v.fma(far, far_sums[0], v.scale(at_zero, values[0]))
        elif e == n - 1:
            moment = v.fma(far * _B**e, far_sums[e % 2], values[5])
        else:
            moment = v.scale(far * _B**e, far_sums[e % 2])
        found.append(v.fma(near * _A**e, sums[e % 2], moment))
    return found


_OUTPUTS = (1, 1, 1)
_WEIGHTS = (1 / _PRODUCT, _NA, _NB)


def _along_axis(v, transform, F, x):
    """Return P x for the matrix P of a transform."""
    match transform:
        case Transform.INPUT:
            return _input(v, x)
        case Transform.OUTPUT:
            return _moments(v, x, outputs_of_tile(F), _OUTPUTS)
        case Transform.GRADIENT:
            return _values(v, x, _OUTPUTS)
        case Transform.WEIGHTS:
            return _values(v, x, _WEIGHTS)
        case Transform.WEIGHTS_GRADIENT:
            return _moments(v, x, F, _WEIGHTS)


def _inputs_of(transform, F):
    """Return the numbers of a tile along an axis, before the transform."""
    return {Transform.GRADIENT: outputs_of_tile(F), Transform.WEIGHTS: F}.get(transform, N_POINTS)


_HAVE_START = (Transform.OUTPUT, Transform.WEIGHTS_GRADIENT)
_Number = number_columns(Op.TRANSFORM)


class _Emitter:
    """Writes the LLVM function of one transform: a tile of all channels."""

    def __init__(self, module, transform, F):
        self.module, self.transform, self.F = module, transform, F

    def function(self):
        """Return the transform's LLVM function, with the arguments of `transform_tile`, written on first use."""
        kind = ir.FunctionType(ir.VoidType(), [_I64.as_pointer(), *[_I64] * 8])
        name = f"skconvnet_transform_{self.transform.name.lower()}_{self.F}"
        function = cgutils.get_or_insert_function(self.module, kind, name)
        if not function.blocks:
            function.linkage = "internal"
            function.attributes.add("noinline")
            self.b = ir.IRBuilder(function.append_basic_block("entry"))
            self._tile(*function.args)
            self.b.ret_void()
        return function

    def _tile(self, code, x, start, y, start_a, start_b, start_q, down, across):
        b = self.b
        self.n = {column.name: b.load(b.gep(code, [_I64(column)])) for column in _Number}
        self.x, self.start, self.y = x, start, y
        self.start_strides, self.start_q = (start_a, start_b), start_q
        if self.transform != Transform.OUTPUT:
            self._depth(None)
            return
        m = _I64(outputs_of_tile(self.F))
        is_inside = b.and_(b.icmp_signed(">=", down, m), b.icmp_signed(">=", across, m))
        with b.if_else(is_inside) as (inside, at_the_end):
            with inside:
                self._depth(None)
            with at_the_end:
                self._depth((down, across))

    def _depth(self, limits):
        """Transform the tile, in vectors of `_LANES` channels and at last, if there are such, of fewer."""
        b, depth = self.b, self.n["depth"]
        wide = b.and_(depth, _I64(-_LANES))
        with cgutils.for_range_slice(b, _I64(0), wide, _I64(_LANES)) as (channel, _):
            self._vector(channel, _LANES, limits)
        if _LANES > _NARROW:
            with b.if_then(b.icmp_signed("<", wide, depth)):
                self._vector(wide, _NARROW, limits)

    def _vector(self, channel, lanes, limits):
        """Transform `lanes` channels; with `limits`, write only as many rows and columns of them."""
        b, n = self.b, self.n
        v = _Vectors(b, lanes)
        pointer, inputs = v.type.as_pointer(), range(_inputs_of(self.transform, self.F))

        def at(base, first, strides, i, j):
            away = b.add(b.mul(strides[0], _I64(i)), b.mul(strides[1], _I64(j)))
            return b.inttoptr(b.add(base, b.mul(b.add(first, away), _I64(4))), pointer)

        def load(address):
            return b.load(address, align=4)  # align=4: LLVM would assume that of a whole vector, and fault

        x_strides, y_strides = (n["x_i"], n["x_j"]), (n["y_a"], n["y_b"])
        columns = [self._along_axis(v, [load(at(self.x, channel, x_strides, i, j)) for i in inputs]) for j in inputs]
        for a, row in enumerate(zip(*columns, strict=True)):
            for c, value in enumerate(self._along_axis(v, row)):
                if self.transform in _HAVE_START:
                    first = b.mul(channel, self.start_q)
                    value = v.add(value, load(at(self.start, first, self.start_strides, a, c)))
                if self.transform == Transform.OUTPUT:
                    value = self._rectified(v, value)
                place = at(self.y, channel, y_strides, a, c)
                if limits is None:
                    b.store(value, place, align=4)
                else:
                    within = (b.icmp_signed(">", limit, _I64(k)) for limit, k in zip(limits, (a, c), strict=True))
                    with b.if_then(b.and_(*within)):
                        b.store(value, place, align=4)

    def _along_axis(self, v, x):
        return _along_axis(v, self.transform, self.F, x)

    def _rectified(self, v, value):
        """Replace negatives by zero if the instruction says so. An ordered comparison keeps NaN."""
        b = self.b
        relu = b.icmp_signed("!=", self.n["RELU"], _I64(0))
        floor = b.select(relu, v.constant(0.0), v.constant(float("-inf")))
        return b.select(b.fcmp_ordered("<", value, floor), floor, value)


@intrinsic
def transform_tile(typingctx, code, transform, F, x, start, y, start_a, start_b, start_q, down, across):
    """Transform one tile of all channels; the arguments are int64.

    Parameters
    ----------
    code : address of the instruction
        A TRANSFORM.
    transform, F : int
        Its `Transform`, and the filter that it belongs to.
    x, start, y : addresses
        Of the tile, of what is added, and of the result.
    start_a, start_b, start_q : int
        Strides of `start` along the rows and columns of the result, and along the channels.
    down, across : int
        Rows and columns of an OUTPUT from the tile's first on; others are not written.
    """

    def codegen(context, builder, signature, arguments):
        code, transform, F, *others = arguments
        code = builder.inttoptr(code, _I64.as_pointer())
        done = builder.function.append_basic_block("transformed")
        number = builder.add(transform, builder.mul(F, _I64(len(Transform))))
        switch = builder.switch(number, done)
        for one, filter_ in product(Transform, TRANSFORMED_FILTERS):
            block = builder.function.append_basic_block(f"{one.name.lower()}_{filter_}")
            switch.add_case(_I64(one + filter_ * len(Transform)), block)
            builder.position_at_end(block)
            builder.call(_Emitter(builder.module, one, filter_).function(), [code, *others])
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 11), codegen
