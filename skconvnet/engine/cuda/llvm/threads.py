"""Intrinsics that say which thread this is, and divide the numbers of threads."""

from llvmlite import ir

from skconvnet.engine.cuda.compiler import intrinsic, types

__all__ = ["block", "block_y", "chunk", "left", "over", "part", "thread"]

_I32 = ir.IntType(32)


def _read(builder, name):
    """Read a special register."""
    name_of_read = f"llvm.nvvm.read.ptx.sreg.{name}"
    found = builder.module.globals.get(name_of_read)
    return builder.call(found or ir.Function(builder.module, ir.FunctionType(_I32, []), name_of_read), [])


def _register(name):
    """Make an intrinsic that reads a special register."""

    @intrinsic
    def read(typing_context):
        return types.int32(), lambda context, builder, signature, arguments: _read(builder, name)

    return read


thread = _register("tid.x")  # the thread within its block
block = _register("ctaid.x")  # most kernels give each sample a block, or chunks of it, which are blocks along y and z
part = _register("ctaid.z")  # other kernels have parts along z, and along y what `block_y` counts
block_y = _register("ctaid.y")


@intrinsic
def chunk(typing_context):
    """Return the number of the block among those along y and z. A GPU takes only 65,535 blocks along y."""

    def codegen(context, builder, signature, arguments):
        before = builder.mul(_read(builder, "nctaid.y"), _read(builder, "ctaid.z"))
        return builder.add(before, _read(builder, "ctaid.y"))

    return types.int32(), codegen


@intrinsic
def over(typing_context, x, y):
    """Return x // y of int32 that are not negative; Numba's own division is one of 64 bits."""
    return types.int32(types.int32, types.int32), lambda context, builder, signature, xy: builder.udiv(*xy)


@intrinsic
def left(typing_context, x, y):
    """Return x % y of int32 that are not negative."""
    return types.int32(types.int32, types.int32), lambda context, builder, signature, xy: builder.urem(*xy)
