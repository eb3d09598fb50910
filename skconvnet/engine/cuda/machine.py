"""The CUDA machine: it lowers a plan to launches of kernels, once for each number of samples.

All samples of a batch go through an instruction together, so a segment is no more than the order of its instructions.
What differs from step to step is in tables on the device, see `execution`; a counter says which row is the step's.
"""

from skconvnet.engine.cuda.dispatch import LOWERINGS
from skconvnet.engine.cuda.kernels.optimizer import count_step, lower_transpose, lower_update
from skconvnet.engine.cuda.lowering import Call, call_of
from skconvnet.engine.program.instructions import Op, Segment, SegmentKind, Space

__all__ = ["lower_refresh", "lower_run", "scratch_size", "spaces_of"]

_OF_BLOCKS = {SegmentKind.UPDATE: lower_update, SegmentKind.TRANSPOSE: lower_transpose}


def spaces_of(plan, parameters, memory):
    """Return the address of each space.

    Parameters
    ----------
    plan : Plan
        With one shard, which is one micro-batch.
    parameters, memory : int
        Addresses of the network's parameters and of ``plan.memory(1)`` float32.

    Returns
    -------
    dict of Space to int
    """
    return {
        Space.PARAMETERS: parameters,
        Space.SHARED: memory,
        Space.BATCH: memory + 4 * plan.shared,
        Space.SHARD: memory + 4 * (plan.shared + plan.batch),
        Space.LOCAL: memory + 4 * plan.memory(0),
    }


def lower_run(plan, spaces, machine, scratch):
    """Return the launches of one run of a plan, the last of which counts the step.

    Parameters
    ----------
    plan : Plan
    spaces : dict of Space to int
        As `spaces_of` returns them.
    machine : dict
        What kernels are told besides their instruction, by name: ``samples`` and the addresses of tables.
    scratch : int
        Address of `scratch_size` float32.

    Returns
    -------
    list of Launch
    """
    launches = []
    for segment in plan.segments:
        kind = SegmentKind(segment[Segment.KIND])
        if kind in _OF_BLOCKS:
            launches += _OF_BLOCKS[kind](Call(machine, scratch), plan.blocks)
        else:
            for row in plan.program[segment[Segment.FIRST] : segment[Segment.LAST]]:
                launches += LOWERINGS[Op(row[0])](call_of(row, spaces, machine, scratch))
    call = Call(machine, scratch)
    return [*launches, call.launch(count_step, (1,))]


def lower_refresh(plan, machine):
    """Return the launches that write the transposed weights."""
    return list(lower_transpose(Call(machine, 0), plan.blocks))


def scratch_size(plan, spaces, machine):
    """Return the float32 elements that the kernels of one instruction need between them, at most."""
    largest = 0
    for segment in plan.segments:
        for row in plan.program[segment[Segment.FIRST] : segment[Segment.LAST]]:
            call = call_of(row, spaces, machine)
            list(LOWERINGS[Op(row[0])](call))
            largest = max(largest, call.scratch_size)
    return largest
