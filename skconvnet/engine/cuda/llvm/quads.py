"""Quads: four float32 in registers, which one access of 16 bytes reads or writes.

``+``, ``-``, ``*`` and ``/`` of two quads work number by number. The address of a quad in memory is a multiple of 16.
"""

import operator
from math import factorial

from llvmlite import ir

from skconvnet.engine.cuda.compiler import define_operator, float32, inlined, intrinsic, models, register_model, types
from skconvnet.engine.cuda.llvm.memory import loader, storer

__all__ = [
    "exponential",
    "first_of",
    "load_quad",
    "logarithm",
    "number",
    "quad",
    "splat",
    "square_root",
    "store_quad",
    "where_equal",
    "where_greater",
]

_F32, _I32 = ir.FloatType(), ir.IntType(32)
_VECTOR, _BITS = ir.VectorType(_F32, 4), ir.VectorType(_I32, 4)


class _QuadType(types.Type):
    def __init__(self):
        super().__init__("Quad")


QUAD = _QuadType()


@register_model(_QuadType)
class _QuadModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


for _operator, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    define_operator(getattr(operator, _operator), QUAD, _instruction)

load_quad = loader(_VECTOR, 16, QUAD)
store_quad = storer(_VECTOR, 16, QUAD)


def _insert_all(builder, numbers):
    value = ir.Constant(_VECTOR, ir.Undefined)
    for place, one in enumerate(numbers):
        value = builder.insert_element(value, one, _I32(place))
    return value


@intrinsic
def quad(typing_context, a, b, c, d):
    """Return the quad of four float32."""
    numbers = (types.float32,) * 4
    return QUAD(*numbers), lambda context, builder, signature, values: _insert_all(builder, values)


@intrinsic
def splat(typing_context, x):
    """Return a quad of one float32, four times."""
    return QUAD(types.float32), lambda context, builder, signature, values: _insert_all(builder, values * 4)


@intrinsic
def number(typing_context, values, place):
    """Return one float32 of a quad; `place` is a literal or an int32 that becomes one when loops are unrolled."""

    def codegen(context, builder, signature, arguments):
        place_of = builder.trunc(arguments[1], _I32) if signature.args[1].bitwidth > 32 else arguments[1]
        return builder.extract_element(arguments[0], place_of)

    return types.float32(QUAD, types.int32), codegen


def _select(compare):
    @intrinsic
    def select(typing_context, a, b, x, y):
        def codegen(context, builder, signature, arguments):
            return builder.select(builder.fcmp_ordered(compare, *arguments[:2]), *arguments[2:])

        return QUAD(QUAD, QUAD, QUAD, QUAD), codegen

    return select


where_greater = _select(">")  # where_greater(a, b, x, y) is x where a > b, and y elsewhere
where_equal = _select("==")


@inlined
def first_of(values, count):
    """Return the first `count` numbers of a quad, and zeros after them."""
    zero = float32(0)
    return quad(
        number(values, 0) if count > 0 else zero,
        number(values, 1) if count > 1 else zero,
        number(values, 2) if count > 2 else zero,
        number(values, 3) if count > 3 else zero,
    )


# -- Exponentials and logarithms: the formulas of `cpu.llvm.simd`, which use no instruction that is approximate --------


def _unary(emit):
    """Make an intrinsic that computes ``emit(builder, x)`` of a quad."""

    @intrinsic
    def operation(typing_context, x):
        return QUAD(QUAD), lambda context, builder, signature, values: emit(builder, *values)

    return operation


def _square_root(builder, x):
    name = "llvm.sqrt.v4f32"
    found = builder.module.globals.get(name)
    return builder.call(found or ir.Function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), name), [x])


def _constant(number):
    return ir.Constant(_VECTOR, [number] * 4)


def _whole(number):
    return ir.Constant(_BITS, [number] * 4)


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


exponential = _unary(_exponential)
logarithm = _unary(_logarithm)
square_root = _unary(_square_root)
