"""Several numbers as one value: what a thread holds in registers, where an array would lie in slow memory.

A value of the type ``Floats(n)`` or ``Ints(n)`` is a vector of LLVM. As long as every element is named by a constant,
LLVM keeps each in a register of its own. An array of a kernel, or a tuple that a loop carries, gets a stack.
"""

from llvmlite import ir

from skconvnet.engine.cuda.compiler import intrinsic, models, register_model, types

__all__ = ["Floats", "Ints", "below", "digits", "dot", "elements", "shift", "spaced", "vector", "zeros"]

_F32, _I32 = ir.FloatType(), ir.IntType(32)


class _Several(types.Type):
    """`n` numbers of one kind."""

    def __init__(self, n):
        self.n = n
        super().__init__(f"{type(self).__name__}({n})")


class Floats(_Several):
    """`n` float32 in registers."""


class Ints(_Several):
    """`n` int32 in registers."""


def _register(kind, element):
    @register_model(kind)
    class Model(models.PrimitiveModel):
        def __init__(self, manager, several):
            super().__init__(manager, several, ir.VectorType(element, several.n))


_register(Floats, _F32)
_register(Ints, _I32)


# What code generators use


def elements(builder, value):
    """Return the elements of a vector of LLVM as a list."""
    return [builder.extract_element(value, _I32(number)) for number in range(value.type.count)]


def vector(builder, values):
    """Return the vector of LLVM that has these elements."""
    made = ir.Constant(ir.VectorType(values[0].type, len(values)), ir.Undefined)
    for number, value in enumerate(values):
        made = builder.insert_element(made, value, _I32(number))
    return made


def _splat(builder, value, n):
    return vector(builder, [value] * n)


# What kernels use


def zeros(n):
    """Make an intrinsic without arguments that returns `n` float32 zeros."""

    @intrinsic
    def zeros(typing_context):
        return Floats(n)(), lambda *_: ir.Constant(ir.VectorType(_F32, n), [0.0] * n)

    return zeros


def spaced(distances):
    """Make an intrinsic that adds each of some constants, a tuple of int, to an int32."""

    @intrinsic
    def spaced(typing_context, first):
        def codegen(context, builder, signature, arguments):
            return vector(builder, [builder.add(arguments[0], _I32(distance)) for distance in distances])

        return Ints(len(distances))(types.int32), codegen

    return spaced


@intrinsic
def shift(typing_context, x, distance):
    """Return the sum of each number of `x` and an int32."""

    def codegen(context, builder, signature, arguments):
        return builder.add(arguments[0], _splat(builder, arguments[1], x.n))

    return x(x, types.int32), codegen


@intrinsic
def below(typing_context, x, end):
    """Return each number of `x` that is less than `end`, and 0 in place of the others."""

    def codegen(context, builder, signature, arguments):
        numbers, zero = arguments[0], ir.Constant(ir.VectorType(_I32, x.n), [0] * x.n)
        return builder.select(builder.icmp_signed("<", numbers, _splat(builder, arguments[1], x.n)), numbers, zero)

    return x(x, types.int32), codegen


@intrinsic
def digits(typing_context, x, low, middle):
    """Return ``x % low``, ``x // low % middle`` and ``x // low // middle`` of each number of `x`, none negative."""

    def codegen(context, builder, signature, arguments):
        columns = []
        for number in elements(builder, arguments[0]):
            above = builder.udiv(number, arguments[1])
            top = builder.udiv(above, arguments[2])
            lowest = builder.sub(number, builder.mul(above, arguments[1]))
            columns.append((lowest, builder.sub(above, builder.mul(top, arguments[2])), top))
        found = [vector(builder, digit) for digit in zip(*columns, strict=True)]
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(Ints(x.n), 3)(x, types.int32, types.int32), codegen


@intrinsic
def dot(typing_context, i, j, p, x_i, x_j, x_p):
    """Return ``i * x_i + j * x_j + p * x_p`` for each number of `i`, `j` and `p`: the offset of an element."""

    def codegen(context, builder, signature, arguments):
        strides = (_splat(builder, stride, i.n) for stride in arguments[3:])
        terms = [builder.mul(*pair) for pair in zip(arguments[:3], strides, strict=True)]
        return builder.add(builder.add(terms[0], terms[1]), terms[2])

    return i(i, i, i, types.int32, types.int32, types.int32), codegen
