"""Quads: four float32 in registers, which one access of 16 bytes reads or writes.

``+``, ``-``, ``*`` and ``/`` of two quads work number by number. The address of a quad in memory is a multiple of 16.
"""

import operator

from llvmlite import ir

from skconvnet.engine.cuda.compiler import define_operator, intrinsic, models, register_model, types
from skconvnet.engine.cuda.llvm.memory import loader, storer

__all__ = ["load_quad", "number", "quad", "splat", "store_quad", "where_equal", "where_greater"]

_F32, _I32 = ir.FloatType(), ir.IntType(32)
_VECTOR = ir.VectorType(_F32, 4)


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
