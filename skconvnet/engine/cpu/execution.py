"""Executions: a plan with its memory, ready to be run."""

import numpy as np

from skconvnet.engine.compile_time import counted_as_compiling
from skconvnet.engine.cpu.task import Layout, Task, memory_layout
from skconvnet.engine.images import NO_IMAGES
from skconvnet.engine.program.instructions import Block, Segment, SegmentKind
from skconvnet.engine.program.memory import aligned_zeros
from skconvnet.engine.program.target import CPU

__all__ = ["Execution"]

_INT64, _FLOAT32, _FLOAT64, _UINT8 = map(np.dtype, (np.int64, np.float32, np.float64, np.uint8))
_NO_MOMENTS = np.zeros((2, 0), _FLOAT32)

_ALL_TURNS = 2**31
_TRANSPOSE = np.array([[SegmentKind.TRANSPOSE, 0, 0]], np.int64)
assert len(Segment) == _TRANSPOSE.shape[1]
_ONE_SAMPLE = (*NO_IMAGES[:2], np.zeros(1, _INT64))  # of segments that load no images
_LONG_RUN = 2e10  # multiply-adds, some tenths of a second: shorter runs lose more by calls than Ctrl-C gains


class Execution:
    """A plan with its memory, ready to be run many times; a run costs little more than its work.

    The machine finds arrays by their addresses, which are columns of a `Task`. The constructor writes those that stay
    the same, and computes what depends on the parameters alone; `run` writes the others. Only one Python thread at a
    time may run an execution.

    Parameters
    ----------
    plan : Plan
        The plan.
    network : Network
        Its parameters are read; an update writes them.
    n_threads : int
        Number of workers.
    moments : ndarray of float32, shape (2, parameters), optional
        The optimizer's moments; an update writes them.
    memory : ndarray of float32, optional
        ``plan.memory(n_threads)`` elements that nothing else uses; allocated by default.

    Attributes
    ----------
    in_turns : bool
        Whether a run can be interrupted by Ctrl-C before its update: True for plans with much work.
    n_taken : int
        Training steps that it has taken.
    """

    def __init__(self, plan, network, n_threads, moments=None, memory=None):
        self.plan, self.network = plan, network
        self.in_turns = plan.work > _LONG_RUN
        self.n_taken = 0
        self._machine, (entries, work) = _machine(plan.ops)
        memory = aligned_zeros(plan.memory(n_threads)) if memory is None else memory
        moments = _NO_MOMENTS if moments is None else moments
        self._layout = memory_layout(plan, plan.batch_size, n_threads)
        mean, scale = np.tile(network.mean, CPU.lanes), np.tile(network.scale, CPU.lanes)
        taken = np.zeros((len(plan.segments), n_threads + 1), _INT64)
        self._stays = [memory, moments, mean, scale, entries, taken]  # an address alone would not keep them alive
        self._task = task = np.zeros(len(Task), _INT64)
        task[Task.ENTRIES], task[Task.WORK] = _address(entries, _INT64), work
        task[Task.N_INSTRUCTIONS], task[Task.N_BLOCKS] = len(plan.program), len(plan.blocks)
        task[Task.LAYOUT] = _address(self._layout, _INT64)
        task[Task.PROGRAM] = _address(plan.program, _INT64)
        task[Task.BLOCKS] = _address(plan.blocks, _INT64)
        task[Task.MEMORY] = _address(memory, _FLOAT32, written=True)
        task[Task.MOMENT_1], task[Task.MOMENT_2] = (_address(moment, _FLOAT32, written=True) for moment in moments)
        task[Task.TAKEN] = _address(taken, _INT64, written=True)
        task[Task.MEAN], task[Task.SCALE] = _address(mean, _FLOAT32), _address(scale, _FLOAT32)
        self.refresh()

    def refresh(self):
        """Compute what depends on the parameters alone, after they were set from outside."""
        has_copies = (self.plan.blocks[:, Block.TRANSPOSED] >= 0).any()
        transposing = _TRANSPOSE if has_copies else _TRANSPOSE[:0]
        segments = np.concatenate([transposing, self.plan.preparing_segments])
        if len(segments):
            self.run(_ONE_SAMPLE, segments=segments)

    def train(self, images, targets, minibatches):
        """Take training steps, each when its outcomes are asked for.

        Parameters
        ----------
        images : Images
            All training images.
        targets : ndarray, (n, ...)
            Their targets, in the dtype of the loss.
        minibatches : iterable of Minibatch

        Yields
        ------
        ndarray of float64, (samples, outcome columns of the loss)
            For each minibatch.
        """
        for minibatch in minibatches:
            indices = minibatch.indices
            outcomes = np.empty((len(indices), self.plan.n_outcomes))
            self.run(
                images.source(indices),
                targets=targets[indices],
                weights=minibatch.weights,
                outcomes=outcomes,
                rule=minibatch.rule,
                warps=minibatch.warps,
                draw=minibatch.draw,
            )
            self.n_taken += 1
            yield outcomes

    def forget_images(self):
        """Do nothing: images are read where they are, and no reference to them is kept."""

    def score(self, images, scores):
        """Compute the class scores of images.

        Parameters
        ----------
        images : Images
            The n images.
        scores : ndarray of float32, (n, size of the scores)
            Overwritten.
        """
        plan, n_workers = self.plan, int(self._layout[Layout.WORKERS])
        for indices in images.chunks(plan.batch_size):
            shard_size = _even_shard(len(indices), n_workers, plan.shard_size)
            self.run(images.source(indices), scores=scores[indices[0] : indices[-1] + 1], shard_size=shard_size)

    def run(
        self,
        source,
        *,
        segments=None,
        shard_size=None,
        targets=None,
        weights=None,
        outcomes=None,
        scores=None,
        rule=None,
        warps=None,
        draw=(0, 0),
    ):
        """Run the plan once. Arrays that it does not use may be omitted.

        Parameters
        ----------
        source : tuple
            The images, as `Images.source` returns them.
        segments : ndarray of int64, shape (segments, columns of Segment)
            Used instead of the plan's segments for a batch.
        shard_size : int
            Used instead of the plan's shard size and micro-batch size, and not larger; in scoring only.
        targets : ndarray, (samples, ...)
            Targets of the samples, in the dtype of the loss.
        weights : ndarray of float64, (samples,)
            Weights of the samples, which sum to one.
        outcomes : ndarray of float64, (samples, outcome columns of the loss)
            Overwritten.
        scores : ndarray of float32, (samples, classes), or a map of them for each sample
            Overwritten.
        rule : ndarray of float64, (columns of Rule,)
            Numbers of the optimizer's step.
        warps : ndarray of int64, (samples, columns of Warp)
            How to augment the images; by default they are not augmented.
        draw : tuple of int
            The seed and the step that decide what DROPOUT draws.
        """
        pixels, floats, rows = source
        segments = self.plan.batch_segments if segments is None else segments
        self._layout[Layout.SAMPLES :] = len(rows), *draw
        if shard_size is not None:
            self._layout[Layout.SHARD_SIZE] = self._layout[Layout.MICRO_BATCH] = shard_size
        self._task[Task.FIRST_TURN :] = [
            0,
            _ALL_TURNS,
            _address(segments, _INT64),
            len(segments),
            _address(self.network.parameters, _FLOAT32, written=True),
            _address(pixels, _UINT8) if len(pixels) else _address(floats, _FLOAT32),
            len(pixels),
            _address(rows, _INT64),
            0 if targets is None else _address(targets, targets.dtype),
            _address(weights, _FLOAT64),
            _address(outcomes, _FLOAT64, written=True),
            _address(scores, _FLOAT32, written=True),
            _address(rule, _FLOAT64),
            _address(warps, _INT64),
            0 if warps is None else len(warps),
        ]
        self._machine.run(self._task, self._layout, segments, self.in_turns)


def _even_shard(n_images, n_workers, largest):
    """Return the size of shards, at most `largest`, that gives the workers equal work as far as possible."""
    per_worker = -(-n_images // n_workers)
    return -(-per_worker // -(-per_worker // largest))


def _address(array, dtype, written=False):
    """Return the address of an array that the machine can read, or write; 0 for None."""
    if array is None:
        return 0
    flags = array.flags
    if array.dtype != dtype or not flags.c_contiguous or (written and not flags.writeable):
        raise TypeError(f"Needed is a C-contiguous array of {dtype} that may be {'written' if written else 'read'}.")
    return array.__array_interface__["data"][0]


def _machine(ops):
    """Import the machine, and Numba with it, on the first call; return it and the entries for these opcodes."""
    with counted_as_compiling():
        from skconvnet.engine.cpu import machine

        return machine, machine.prepare(ops)
