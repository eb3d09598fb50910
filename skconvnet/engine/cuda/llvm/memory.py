"""Intrinsics that read and write single numbers in the device's memory. Addresses are int64 in bytes."""

from llvmlite import ir

from skconvnet.engine.cuda.compiler import intrinsic, types

__all__ = [
    "load",
    "load_byte",
    "load_double",
    "load_int",
    "load_long",
    "loader",
    "pointer",
    "store",
    "store_double",
    "store_int",
    "storer",
]

_GLOBAL = 1  # the address space


def pointer(builder, address, kind):
    """Return an LLVM pointer to a `kind` at an address in global memory."""
    return builder.inttoptr(address, ir.PointerType(kind, _GLOBAL))


def loader(kind, align, result, convert=None):
    """Make an intrinsic that loads one number."""

    @intrinsic
    def load(typing_context, address):
        def codegen(context, builder, signature, arguments):
            value = builder.load(pointer(builder, arguments[0], kind), align=align)
            return value if convert is None else convert(builder, value)

        return result(types.int64), codegen

    return load


def storer(kind, align, taken):
    """Make an intrinsic that stores one number."""

    @intrinsic
    def store(typing_context, address, value):
        def codegen(context, builder, signature, arguments):
            builder.store(arguments[1], pointer(builder, arguments[0], kind), align=align)
            return context.get_dummy_value()

        return types.void(types.int64, taken), codegen

    return store


def _from_byte(builder, value):
    return builder.uitofp(value, ir.FloatType())


load = loader(ir.FloatType(), 4, types.float32)
load_double = loader(ir.DoubleType(), 8, types.float64)
load_int = loader(ir.IntType(32), 4, types.int32)
load_long = loader(ir.IntType(64), 8, types.int64)
load_byte = loader(ir.IntType(8), 1, types.float32, _from_byte)  # a uint8
store = storer(ir.FloatType(), 4, types.float32)
store_double = storer(ir.DoubleType(), 8, types.float64)
store_int = storer(ir.IntType(32), 4, types.int32)
