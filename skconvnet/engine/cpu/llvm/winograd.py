"""The transforms of Winograd's minimal filtering F(4x4, 3x3), written for vectors of channels.

A CONV of 3x3 filters and stride 1 computes tiles of 4 x 4 outputs from tiles of 6 x 6 inputs. Along one axis, tile and
filter are polynomials. Their product is found from its values at six points, with one multiplication for each::

    y  = A' [(G w) * (B' x)]        forward: 6 multiplications in place of 12 for 4 outputs of 3 weights
    dw = G' [(B' x) * (A dy)]       gradient of the weights

With two axes, a tile X becomes P X P' for the P of the transform, and 36 multiplications take the place of 144.

The points are 0, 3/4, -3/4, 3/2, -3/2 and infinity. All are exact in binary. They give a third to a fifth of the
rounding error of the customary 0, 1, -1, 2, -2 and infinity. Points of opposite sign share their even and their odd
part, so that none of the transforms needs more than 12 multiply-adds for six numbers.

Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from skconvnet.engine.cpu.llvm.tile import HAS_FMA, PANELS
from skconvnet.engine.cpu.task import number_columns
from skconvnet.engine.program.instructions import Op, Transform

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
        return self.builder.fmul(self.constant(number), x)

    def fma(self, number, x, y):
        """Return number * x + y."""
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


def _output(v, m):
    """Return A' m: row e has the powers p**e of the points; infinity counts in the last."""
    sum_a, sub_a, sum_b, sub_b = v.add(m[1], m[2]), v.sub(m[1], m[2]), v.add(m[3], m[4]), v.sub(m[3], m[4])
    return [
        v.add(m[0], v.add(sum_a, sum_b)),
        v.fma(_A, sub_a, v.scale(_B, sub_b)),
        v.fma(_AA, sum_a, v.scale(_BB, sum_b)),
        v.fma(_A * _AA, sub_a, v.fma(_B * _BB, sub_b, m[5])),
    ]


def _gradient(v, dy):
    """Return A dy: the values at the points of a polynomial of degree 3."""
    return [
        dy[0],
        *v.opposite(_A, v.fma(_AA, dy[2], dy[0]), v.fma(_AA, dy[3], dy[1])),
        *v.opposite(_B, v.fma(_BB, dy[2], dy[0]), v.fma(_BB, dy[3], dy[1])),
        dy[3],
    ]


def _weights(v, w):
    """Return G w: the values at the points of a polynomial of degree 2, divided as `_NA` says."""
    return [
        v.scale(1 / _PRODUCT, w[0]),
        *v.opposite(_A * _NA, v.fma(_AA * _NA, w[2], v.scale(_NA, w[0])), w[1]),
        *v.opposite(_B * _NB, v.fma(_BB * _NB, w[2], v.scale(_NB, w[0])), w[1]),
        w[2],
    ]


def _weights_gradient(v, z):
    """Return G' z."""
    sum_a, sub_a, sum_b, sub_b = v.add(z[1], z[2]), v.sub(z[1], z[2]), v.add(z[3], z[4]), v.sub(z[3], z[4])
    return [
        v.fma(1 / _PRODUCT, z[0], v.fma(_NA, sum_a, v.scale(_NB, sum_b))),
        v.fma(_A * _NA, sub_a, v.scale(_B * _NB, sub_b)),
        v.fma(_AA * _NA, sum_a, v.fma(_BB * _NB, sum_b, z[5])),
    ]


# For each transform: P x, and the numbers along one axis of its input.
_ALONG_AXIS = {
    Transform.INPUT: (_input, 6),
    Transform.OUTPUT: (_output, 6),
    Transform.GRADIENT: (_gradient, 4),
    Transform.WEIGHTS: (_weights, 3),
    Transform.WEIGHTS_GRADIENT: (_weights_gradient, 6),
}
_HAVE_START = (Transform.OUTPUT, Transform.WEIGHTS_GRADIENT)
_Number = number_columns(Op.TRANSFORM)


class _Emitter:
    """Writes the LLVM function of one transform: a tile of all channels."""

    def __init__(self, module, transform):
        self.module, self.transform = module, transform
        self.along_axis, self.n_inputs = _ALONG_AXIS[transform]

    def function(self):
        """Return the transform's LLVM function, with the arguments of `transform_tile`, written on first use."""
        kind = ir.FunctionType(ir.VoidType(), [_I64.as_pointer(), *[_I64] * 8])
        name = f"skconvnet_transform_{self.transform.name.lower()}"
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
        is_inside = b.and_(b.icmp_signed(">=", down, _I64(4)), b.icmp_signed(">=", across, _I64(4)))
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
        pointer, inputs = v.type.as_pointer(), range(self.n_inputs)

        def at(base, first, strides, i, j):
            away = b.add(b.mul(strides[0], _I64(i)), b.mul(strides[1], _I64(j)))
            return b.inttoptr(b.add(base, b.mul(b.add(first, away), _I64(4))), pointer)

        def load(address):
            return b.load(address, align=4)  # align=4: LLVM would assume that of a whole vector, and fault

        x_strides, y_strides = (n["x_i"], n["x_j"]), (n["y_a"], n["y_b"])
        columns = [self.along_axis(v, [load(at(self.x, channel, x_strides, i, j)) for i in inputs]) for j in inputs]
        for a, row in enumerate(zip(*columns, strict=True)):
            for c, value in enumerate(self.along_axis(v, row)):
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

    def _rectified(self, v, value):
        """Replace negatives by zero if the instruction says so. An ordered comparison keeps NaN."""
        b = self.b
        relu = b.icmp_signed("!=", self.n["RELU"], _I64(0))
        floor = b.select(relu, v.constant(0.0), v.constant(float("-inf")))
        return b.select(b.fcmp_ordered("<", value, floor), floor, value)


@intrinsic
def transform_tile(typingctx, code, transform, x, start, y, start_a, start_b, start_q, down, across):
    """Transform one tile of all channels; the arguments are int64.

    Parameters
    ----------
    code : address of the instruction
        A TRANSFORM.
    transform : int
        Its `Transform`.
    x, start, y : addresses
        Of the tile, of what is added, and of the result.
    start_a, start_b, start_q : int
        Strides of `start` along the rows and columns of the result, and along the channels.
    down, across : int
        Rows and columns of an OUTPUT from the tile's first on; others are not written.
    """

    def codegen(context, builder, signature, arguments):
        code, transform, *others = arguments
        code = builder.inttoptr(code, _I64.as_pointer())
        done = builder.function.append_basic_block("transformed")
        switch = builder.switch(transform, done)
        for one in Transform:
            block = builder.function.append_basic_block(one.name.lower())
            switch.add_case(_I64(one), block)
            builder.position_at_end(block)
            builder.call(_Emitter(builder.module, one).function(), [code, *others])
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 10), codegen
