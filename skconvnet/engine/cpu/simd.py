"""Eight float32 as one value: explicit vectors for kernels written in Numba.

Every depth is a multiple of `LANES`, so a kernel that walks along depth needs neither a scalar remainder nor the
loop vectoriser's guesses. Addresses are int64, in bytes; machines with narrower vectors split the eight.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

__all__ = ["BYTES", "LANES", "load", "peek", "poke", "splat", "square_root", "store", "where_equal", "where_greater"]

LANES = 8
BYTES = 4 * LANES

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


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
    """Return the signature and the code generator of an intrinsic that is ``emit(builder, *values)``."""

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


def _selection(comparison):
    """Make ``where_...(x, y, yes, no)``: in each lane `yes` where x compares so with y, `no` elsewhere and for NaN."""

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


def _load(kind):
    # align=4: without it LLVM assumes the vector's own size, and faults on an address that is not so aligned.
    return lambda builder, at: builder.load(_pointer(builder, at, kind), align=4)


def _store(kind):
    return lambda builder, at, x: builder.store(x, _pointer(builder, at, kind), align=4)


load = _unary(_load(_VECTOR), vector, types.int64)
store = _binary(_store(_VECTOR), types.void, types.int64, vector)
peek = _unary(_load(ir.FloatType()), types.float32, types.int64)
poke = _binary(_store(ir.FloatType()), types.void, types.int64, types.float32)
splat = _unary(_splat, vector, types.float32)
square_root = _unary(_square_root, vector, vector)
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
