"""What code generators use to read and write runs: adjacent float32, in global or shared memory, that move at once."""

from llvmlite import ir

from skconvnet.engine.cuda.llvm.memory import pointer
from skconvnet.engine.cuda.llvm.registers import elements, vector

__all__ = ["declared", "element_address", "load_run", "load_run_if", "shared_pointer", "store_run"]

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


def element_address(builder, address, offset):
    """Return the address of float32 number `offset`, an int32, from an address on."""
    return builder.add(address, builder.mul(builder.sext(offset, _I64), _I64(4)))


def shared_pointer(context, builder, kind, array, first, distance):
    """Return a pointer to the element of a shared array that is `distance` after element `first`."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [builder.add(first, _I32(distance))])


def _wide(builder, at, run):
    """Return the pointer and the alignment for an access of `run` numbers at once."""
    if run > 1:
        at = builder.bitcast(at, ir.PointerType(ir.VectorType(_F32, run), at.type.addrspace))
    return at, 4 * run


def load_run(builder, at, run):
    """Load `run` adjacent numbers at once; return them as a list."""
    at, align = _wide(builder, at, run)
    value = builder.load(at, align=align)
    return [value] if run == 1 else elements(builder, value)


def store_run(builder, values, at):
    """Store adjacent numbers at once."""
    at, align = _wide(builder, at, len(values))
    builder.store(values[0] if len(values) == 1 else vector(builder, values), at, align=align)


def load_run_if(builder, condition, address, run):
    """Load `run` adjacent numbers of global memory if a condition holds, and else take zeros."""
    before = builder.block
    with builder.if_then(condition):
        loaded, inside = load_run(builder, pointer(builder, address, _F32), run), builder.block
    found = []
    for value in loaded:
        phi = builder.phi(_F32)
        phi.add_incoming(value, inside)
        phi.add_incoming(ir.Constant(_F32, 0.0), before)
        found.append(phi)
    return found


def declared(builder, name, result, arguments):
    """Return the declaration of a function of LLVM."""
    return builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(result, arguments), name)
