"""The CUDA machine: it lowers a plan to launches of kernels, once for each number of samples.

All samples of a shard go through an instruction together, and mostly there is one shard, the whole batch. Where memory
is short there are several, one after the other, each with a gradient slot of its own. What differs from step to step is
in tables on the device, see `execution`; a counter says which row is the step's.
"""

from skconvnet.engine.cuda.dispatch import LOWERINGS
from skconvnet.engine.cuda.kernels.optimizer import count_step, lower_sum_slots, lower_transpose, lower_update
from skconvnet.engine.cuda.lowering import Call, call_of, chunks
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, SegmentKind, Space, Warp

__all__ = ["lower_refresh", "lower_run", "scratch_size", "spaces_of"]

# Bytes of a sample in the tables, beside those whose size depends on the network.
_SAMPLE_BYTES = {"indices": 4, "weights": 8, "warps": 4 * len(Warp)}


def spaces_of(plan, parameters, memory):
    """Return the address of each space.

    Parameters
    ----------
    plan : Plan
        Its shards are its micro-batches.
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
    for kind, first, last in plan.batch_segments.tolist():
        if kind == SegmentKind.UPDATE:
            call = Call(machine, scratch)
            launches += lower_sum_slots(call, plan.slot, chunks(machine["samples"], plan.shard_size))
            launches += lower_update(call, plan.blocks)
            continue
        shards = _shards(plan, spaces, machine) if kind == SegmentKind.PER_SAMPLE else [(spaces, _whole(machine))]
        for spaces_of_shard, shard in shards:
            launches += _lower_rows(plan.program[first:last], spaces_of_shard, shard, scratch)
    return [*launches, Call(machine, scratch).launch(count_step, (1,))]


def _whole(machine):
    """Return what kernels are told of all samples of a batch."""
    return machine | {"place": 0}


def _lower_rows(rows, spaces, machine, scratch):
    """Yield the launches of a segment's instructions."""
    for row in _needed(rows):
        yield from LOWERINGS[Op(row[0])](call_of(row, spaces, machine, scratch))


def _needed(rows):
    """Yield the instructions that a GPU needs: not the zeros for a POOL's gradient, which it writes instead of adds."""
    for number, row in enumerate(rows):
        following = rows[number + 1] if number + 1 < len(rows) else row
        if row[0] != Op.CLEAR or not _is_written(_operand(row, "y"), following):
            yield row


def _is_written(operand, row):
    """Return whether an instruction is the backward pass of a POOL, and this operand its result."""
    return row[0] in (Op.MAX_POOL_BACKWARD, Op.AVERAGE_POOL_BACKWARD) and _operand(row, "dx") == operand


def _operand(row, name):
    """Return the space, offset and stride of an instruction's operand."""
    first = INSTRUCTIONS[Op(row[0])].operand(name)
    return row[first : first + 3].tolist()


def _shards(plan, spaces, machine):
    """Yield the spaces of each shard, and what kernels are told of it: tables begin at its first sample."""
    sizes = _SAMPLE_BYTES | {"outcomes": 8 * plan.n_outcomes, "scores": 4 * machine["n_scores"]}
    for number, place in enumerate(range(0, machine["samples"], plan.shard_size)):
        samples = min(plan.shard_size, machine["samples"] - place)
        tables = {name: machine[name] + place * size for name, size in sizes.items()}
        slot = spaces[Space.SHARD] + 4 * number * plan.slot
        yield spaces | {Space.SHARD: slot}, machine | tables | {"samples": samples, "place": place}


def lower_refresh(plan, spaces, machine, scratch):
    """Return the launches that compute what depends on the parameters alone; parameters as for `lower_run`."""
    launches = list(lower_transpose(Call(machine, scratch), plan.blocks))
    for _, first, last in plan.preparing_segments.tolist():
        launches += _lower_rows(plan.program[first:last], spaces, _whole(machine), scratch)
    return launches


def scratch_size(plan, spaces, machine):
    """Return the float32 elements that the kernels of one instruction need between them, at most."""
    largest = 0
    for row in plan.program:
        call = call_of(row, spaces, _whole(machine))
        list(LOWERINGS[Op(row[0])](call))
        largest = max(largest, call.scratch_size)
    return largest
