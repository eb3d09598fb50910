"""Intrinsics that say which thread this is, and divide the numbers of threads."""

from llvmlite import ir

from skconvnet.engine.cuda.compiler import intrinsic, types

__all__ = ["block", "chunk", "left", "over", "part", "thread"]

_I32 = ir.IntType(32)


def _register(name):
    """Make an intrinsic that reads a special register."""

    @intrinsic
    def read(typing_context):
        def codegen(context, builder, signature, arguments):
            name_of_read = f"llvm.nvvm.read.ptx.sreg.{name}"
            found = builder.module.globals.get(name_of_read)
            return builder.call(found or ir.Function(builder.module, ir.FunctionType(_I32, []), name_of_read), [])

        return types.int32(), codegen

    return read


thread = _register("tid.x")  # the thread within its block
block = _register("ctaid.x")  # most kernels give each sample a block, or a row of them:
chunk = _register("ctaid.y")  # the block's place in that row
part = _register("ctaid.z")


@intrinsic
def over(typing_context, x, y):
    """Return x // y of int32 that are not negative; Numba's own division is one of 64 bits."""
    return types.int32(types.int32, types.int32), lambda context, builder, signature, xy: builder.udiv(*xy)


@intrinsic
def left(typing_context, x, y):
    """Return x % y of int32 that are not negative."""
    return types.int32(types.int32, types.int32), lambda context, builder, signature, xy: builder.urem(*xy)
