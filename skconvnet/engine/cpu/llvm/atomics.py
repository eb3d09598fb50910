"""Counters that several threads change, and waiting for them. Addresses are int64 in bytes, of an int64."""

import platform
import sys

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from skconvnet.engine.cpu.compile import kernel

__all__ = ["add_to", "wait_for"]

_I64 = ir.IntType(64)
_PAUSE = "llvm.x86.sse2.pause" if platform.machine().lower() in ("x86_64", "amd64") else None
_TURNS = 4000  # about 0.1 ms, by the length of a pause
_sleep = types.ExternalFunction("Sleep" if sys.platform == "win32" else "usleep", types.int32(types.uint32))
_NAP = 1 if sys.platform == "win32" else 50  # ms, or us, and as much again by which the kernel may be late


@intrinsic
def add_to(typingctx, address, number):
    """Add a number to the counter, and return what the counter was before."""

    def codegen(context, builder, signature, arguments):
        counter = builder.inttoptr(arguments[0], _I64.as_pointer())
        return builder.atomic_rmw("add", counter, arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _read(typingctx, address):
    """Return the counter; what its writers wrote before can be read after."""

    def codegen(context, builder, signature, arguments):
        counter = builder.inttoptr(arguments[0], _I64.as_pointer())
        return builder.load_atomic(counter, "acquire", align=8)

    return types.int64(types.int64), codegen


@intrinsic
def _pause(typingctx):
    """Tell the processor that this thread waits, so that the other thread of its core gets more done."""

    def codegen(context, builder, signature, arguments):
        if _PAUSE is not None:
            builder.call(builder.module.declare_intrinsic(_PAUSE, fnty=ir.FunctionType(ir.VoidType(), [])), [])
        return context.get_dummy_value()

    return types.void(), codegen


@kernel
def wait_for(address, count):
    """Wait until the counter is `count` or more: awake for about 0.1 ms, then asleep with a look at it every 0.1 ms."""
    turns = 0
    while _read(address) < count:
        turns += 1
        if turns < _TURNS:
            _pause()
        else:
            _sleep(_NAP)
