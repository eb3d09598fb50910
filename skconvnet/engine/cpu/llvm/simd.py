"""Vectors of eight float32, for kernels written in Numba.

Every depth is a multiple of `LANES`, so a kernel that goes along the depth needs no scalar remainder and does not
depend on LLVM's loop vectoriser. Addresses are int64 in bytes. LLVM splits the vectors on processors with shorter ones.
"""

import operator
from math import factorial

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from skconvnet.engine.cpu.llvm.tile import HAS_FMA

__all__ = [
    "BYTES",
    "LANES",
    "exponential",
    "load",
    "load_bytes",
    "logarithm",
    "multiply_add",
    "peek",
    "peek_byte",
    "poke",
    "splat",
    "square_root",
    "store",
    "where_equal",
    "where_greater",
]

LANES = 8
BYTES = 4 * LANES

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_BITS = ir.VectorType(ir.IntType(32), LANES)


class Float32x8(types.Type):
    """The Numba type of eight float32."""

    def __init__(self):
        super().__init__(name="Float32x8")


vector = Float32x8()


@register_model(Float32x8)
class _Float32x8Model(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


def _emitting(emit, returns, *takes):
    """Return the signature and the code generator of the intrinsic ``emit(builder, *values)``."""

    def codegen(context, builder, signature, values):
        result = emit(builder, *values)
        return context.get_dummy_value() if returns is types.void else result

    return returns(*takes), codegen


def _unary(emit, returns, take):
    @intrinsic
    def operation(typingctx, x):
        return _emitting(emit, returns, take)

    return operation


def _binary(emit, returns, *takes):
    @intrinsic
    def operation(typingctx, x, y):
        return _emitting(emit, returns, *takes)

    return operation


def _multiply_add(builder, x, y, z):
    """Return x * y + z, in one instruction where the processor has it: LLVM would call a function where it has not."""
    if not HAS_FMA:
        return builder.fadd(builder.fmul(x, y), z)
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32"), [x, y, z])


@intrinsic
def multiply_add(typingctx, x, y, z):
    """Return x * y + z, rounded once where the processor has an instruction for it."""
    return _emitting(_multiply_add, vector, vector, vector, vector)


def _selection(comparison):
    """Make ``where_...(x, y, yes, no)``: a lane is `yes` if the comparison holds, and `no` if not or with NaN."""

    def emit(builder, x, y, yes, no):
        return builder.select(builder.fcmp_ordered(comparison, x, y), yes, no)

    @intrinsic
    def operation(typingctx, x, y, yes, no):
        return _emitting(emit, vector, vector, vector, vector, vector)

    return operation


def _pointer(builder, address, kind):
    return builder.inttoptr(address, kind.as_pointer())


def _splat(builder, number):
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, lanes)


def _square_root(builder, x):
    kind = ir.FunctionType(_VECTOR, [_VECTOR])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32")
    return builder.call(function, [x])


def _constant(number):
    return ir.Constant(_VECTOR, [number] * LANES)


def _whole(number):
    return ir.Constant(_BITS, [number] * LANES)


def _polynomial(builder, x, coefficients):
    """Return a polynomial in x by Horner's rule; coefficients begin with the highest power."""
    first, *rest = coefficients
    value = _constant(first)
    for coefficient in rest:
        value = builder.fadd(builder.fmul(value, x), _constant(coefficient))
    return value


# Adding it rounds a float of magnitude below 2**22 to a whole number: the fraction does not fit into the 24 bits.
_ROUNDER, _ROUNDER_BITS = 1.5 * 2.0**23, 0x4B400000
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # the high part has few bits, so that n times it is exact


def _exponential(builder, x):
    """exp(x) = 2**n exp(r) with r = x - n log(2), the latter by its series up to r**7; x is clipped to -87 ... 88."""
    b = builder
    for beyond, limit in ((">", 88.0), ("<", -87.0)):
        x = b.select(b.fcmp_ordered(beyond, x, _constant(limit)), _constant(limit), x)
    shifted = b.fadd(b.fmul(x, _constant(1.4426950408889634)), _constant(_ROUNDER))
    n = b.fsub(shifted, _constant(_ROUNDER))
    r = b.fsub(b.fsub(x, b.fmul(n, _constant(_LN2_HIGH))), b.fmul(n, _constant(_LN2_LOW)))
    series = _polynomial(b, r, [1 / factorial(k) for k in range(7, -1, -1)])
    whole = b.sub(b.bitcast(shifted, _BITS), _whole(_ROUNDER_BITS))
    exponent = b.add(whole, _whole(127))
    return b.fmul(series, b.bitcast(b.shl(exponent, _whole(23)), _VECTOR))


def _logarithm(builder, x):
    """log(x) of normal x > 0: log(2**e m) = e log(2) + 2 artanh(s), s = (m - 1)/(m + 1), by its series up to s**9."""
    b = builder
    bits = b.bitcast(x, _BITS)
    # Counted from the bits of 2/3, m is in [2/3, 4/3), around 1.
    distance = b.sub(bits, _whole(0x3F2AAAAB))
    e = b.ashr(distance, _whole(23))
    m = b.bitcast(b.sub(bits, b.shl(e, _whole(23))), _VECTOR)
    one = _constant(1.0)
    s = b.fdiv(b.fsub(m, one), b.fadd(m, one))
    series = _polynomial(b, b.fmul(s, s), [2 / k for k in (9, 7, 5, 3, 1)])
    power = b.sitofp(e, _VECTOR)
    small = b.fadd(b.fmul(s, series), b.fmul(power, _constant(_LN2_LOW)))
    return b.fadd(small, b.fmul(power, _constant(_LN2_HIGH)))


def _load(kind):
    # align=4: by default LLVM assumes the alignment of the whole vector, and faults at other addresses.
    return lambda builder, at: builder.load(_pointer(builder, at, kind), align=4)


def _store(kind):
    return lambda builder, at, x: builder.store(x, _pointer(builder, at, kind), align=4)


def _load_bytes(kind, numbers):
    """Load bytes as float32 numbers."""
    return lambda builder, at: builder.uitofp(builder.load(_pointer(builder, at, kind), align=1), numbers)


load = _unary(_load(_VECTOR), vector, types.int64)
load_bytes = _unary(_load_bytes(ir.VectorType(ir.IntType(8), LANES), _VECTOR), vector, types.int64)
store = _binary(_store(_VECTOR), types.void, types.int64, vector)
peek = _unary(_load(ir.FloatType()), types.float32, types.int64)
peek_byte = _unary(_load_bytes(ir.IntType(8), ir.FloatType()), types.float32, types.int64)
poke = _binary(_store(ir.FloatType()), types.void, types.int64, types.float32)
splat = _unary(_splat, vector, types.float32)
square_root = _unary(_square_root, vector, vector)
exponential = _unary(_exponential, vector, vector)
logarithm = _unary(_logarithm, vector, vector)
where_greater = _selection(">")
where_equal = _selection("==")


def _overload_operator(symbol, emit):
    operation = _binary(emit, vector, vector, vector)

    @overload(symbol)
    def of_vectors(x, y):
        if x is vector and y is vector:
            return lambda x, y: operation(x, y)
        return None


_overload_operator(operator.add, lambda b, x, y: b.fadd(x, y))
_overload_operator(operator.sub, lambda b, x, y: b.fsub(x, y))
_overload_operator(operator.mul, lambda b, x, y: b.fmul(x, y))
_overload_operator(operator.truediv, lambda b, x, y: b.fdiv(x, y))
