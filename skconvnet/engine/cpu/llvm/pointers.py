"""Calls through addresses, and arrays at addresses.

Numba compiles a function again in every caller. A function called by address is compiled once.
"""

from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from skconvnet.engine.cpu.compile import kernel

__all__ = ["array_at", "call", "call_with", "real"]

_I64 = ir.IntType(64)


def _caller(typer):
    def codegen(context, builder, signature, arguments):
        address, *values = arguments
        kind = ir.FunctionType(ir.VoidType(), [_I64] * len(values))
        builder.call(builder.inttoptr(address, kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(*[types.int64] * typer), codegen


@intrinsic
def call(typingctx, address, x):
    """Call the C function ``void f(int64)`` at `address`."""
    return _caller(2)


@intrinsic
def call_with(typingctx, address, x, y):
    """Call the C function ``void f(int64, int64)`` at `address`."""
    return _caller(3)


@intrinsic
def real(typingctx, bits):
    """Return the float64 with the bits of an int64."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@intrinsic
def _pointer(typingctx, address):
    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


@kernel
def array_at(address, shape, dtype):
    """View the memory at `address` as a C-contiguous array; nothing is copied or owned."""
    return carray(_pointer(address), shape, dtype)
