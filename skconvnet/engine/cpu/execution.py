"""Executions: a plan with its memory, ready to be run."""

import math
from ctypes import c_int64
from functools import partial

import numpy as np

from skconvnet.engine.compile_time import counted_as_compiling
from skconvnet.engine.cpu.task import Layout, Task, memory_layout
from skconvnet.engine.images import NO_PIXELS
from skconvnet.engine.program.instructions import Block, Rule, Segment, SegmentKind
from skconvnet.engine.program.memory import aligned_zeros
from skconvnet.engine.program.target import CPU

__all__ = ["Execution"]

_INT64, _FLOAT32, _FLOAT64, _UINT8 = map(np.dtype, (np.int64, np.float32, np.float64, np.uint8))
_NO_MOMENTS = np.zeros((2, 0), _FLOAT32)

_ALL_TURNS = 2**31
_TRANSPOSE = np.array([[SegmentKind.TRANSPOSE, 0, 0]], np.int64)
assert len(Segment) == _TRANSPOSE.shape[1]
_NO_IMAGE = NO_PIXELS, np.zeros(1, _INT64)  # the source of one sample in segments that load no images
_LONG_RUN = 2e10  # multiply-adds, some tenths of a second: shorter runs lose more by calls than Ctrl-C gains


class Execution:
    """A plan with its memory, ready to be run many times; a run costs little more than its work.

    The machine finds arrays by their addresses, which are columns of a `Task`. NumPy takes long to tell an address, so
    a run writes only those that have changed, and copies small arrays to ones that stay. The constructor computes what
    depends on the parameters alone. Only one Python thread at a time may run an execution.

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
        self._batch_segments = plan.batch_segments
        self._rows, self._weights = np.zeros(plan.batch_size, _INT64), np.zeros(plan.batch_size)
        self._rule = np.zeros(len(Rule))
        self._arrays = [None] * len(Task)  # those whose addresses are in the task: an address keeps nothing alive
        self._task = task = np.zeros(len(Task), _INT64)
        self._task_at = _address(task, _INT64, written=True)
        task[Task.WORK], task[Task.LAST_TURN] = work, _ALL_TURNS
        task[Task.N_INSTRUCTIONS], task[Task.N_BLOCKS] = len(plan.program), len(plan.blocks)
        self._place(Task.ENTRIES, entries, _INT64)
        self._place(Task.LAYOUT, self._layout, _INT64)
        self._place(Task.PROGRAM, plan.program, _INT64)
        self._place(Task.BLOCKS, plan.blocks, _INT64)
        self._place(Task.MEMORY, memory, _FLOAT32, written=True)
        self._place(Task.MOMENT_1, moments[0], _FLOAT32, written=True)
        self._place(Task.MOMENT_2, moments[1], _FLOAT32, written=True)
        self._place(Task.TAKEN, np.zeros((len(plan.segments), n_threads + 1), _INT64), _INT64, written=True)
        self._place(Task.MEAN, mean, _FLOAT32)
        self._place(Task.SCALE, scale, _FLOAT32)
        self._place(Task.ROWS, self._rows, _INT64)
        self._place(Task.WEIGHTS, self._weights, _FLOAT64)
        self._place(Task.RULE, self._rule, _FLOAT64)
        self.refresh()

    def _place(self, column, array, dtype, written=False):
        """Write the address of an array, or 0 for None, unless the task has it."""
        if array is not self._arrays[column]:
            self._task[column] = 0 if array is None else _address(array, dtype, written)
            self._arrays[column] = array

    def refresh(self):
        """Compute what depends on the parameters alone, after they were set from outside."""
        has_copies = (self.plan.blocks[:, Block.TRANSPOSED] >= 0).any()
        transposing = _TRANSPOSE if has_copies else _TRANSPOSE[:0]
        segments = np.concatenate([transposing, self.plan.preparing_segments])
        if len(segments):
            self.run(_NO_IMAGE, segments=segments)

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
        batch_size = self.plan.batch_size
        batch_targets = np.empty((batch_size, *targets.shape[1:]), targets.dtype)
        outcomes = np.empty((batch_size, self.plan.n_outcomes))
        for minibatch in minibatches:
            indices = minibatch.indices
            batch_targets[: len(indices)] = targets[indices]
            self.run(
                images.source(indices),
                targets=batch_targets,
                weights=minibatch.weights,
                outcomes=outcomes,
                rule=minibatch.rule,
                warps=minibatch.warps,
                draw=minibatch.draw,
            )
            self.n_taken += 1
            yield outcomes[: len(indices)].copy()

    def forget_images(self):
        """Keep no reference to images."""
        self._place(Task.PIXELS, None, None)

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
        try:
            for indices in images.chunks(plan.batch_size):
                shard_size = _even_shard(len(indices), n_workers, plan.shard_size)
                self.run(images.source(indices), scores=scores[indices[0] : indices[-1] + 1], shard_size=shard_size)
        finally:  # the arrays are the caller's
            self.forget_images()
            self._place(Task.SCORES, None, None)

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
        pixels, rows = source
        are_bytes = pixels.dtype == _UINT8
        self._layout[Layout.SAMPLES :] = len(rows), *draw
        if shard_size is not None:
            self._layout[Layout.SHARD_SIZE] = self._layout[Layout.MICRO_BATCH] = shard_size
        segments = self._batch_segments if segments is None else segments
        self._task[Task.N_SEGMENTS], self._task[Task.BYTES] = len(segments), are_bytes
        self._task[Task.N_WARPS] = 0 if warps is None else len(warps)
        for kept, values in ((self._rows, rows), (self._weights, weights), (self._rule, rule)):
            if values is not None:
                kept[: len(values)] = values
        self._place(Task.SEGMENTS, segments, _INT64)
        self._place(Task.PARAMETERS, self.network.parameters, _FLOAT32, written=True)
        self._place(Task.PIXELS, pixels, _UINT8 if are_bytes else _FLOAT32)
        self._place(Task.TARGETS, targets, None if targets is None else targets.dtype)
        self._place(Task.OUTCOMES, outcomes, _FLOAT64, written=True)
        self._place(Task.SCORES, scores, _FLOAT32, written=True)
        self._place(Task.WARPS, warps, _INT64)
        self.repeat()

    def repeat(self):
        """Run once more with the arrays of the last run, which may contain other numbers."""
        self._machine.run(self._task, self._task_at, self._layout, self._arrays[Task.SEGMENTS], self.in_turns)

    def repeater(self):
        """Return `repeat` as a function, which takes less time where one worker does the work."""
        is_alone = self._layout[Layout.WORKERS] == 1 and not self.in_turns
        return partial(self._machine.run_alone(), c_int64(self._task_at)) if is_alone else self.repeat


class OneImage:
    """Scores one image after another, at little more than the cost of the network's work.

    Its arrays stay at their addresses: a call copies the pixels and enters the compiled code. Only one Python thread at
    a time may use it.

    Parameters
    ----------
    plan : Plan
        The plan of the scores of one image.
    network : Network
        Its parameters are read.
    n_threads : int
        Number of workers.
    """

    def __init__(self, plan, network, n_threads):
        architecture = network.architecture
        self._pixels = np.zeros((1, math.prod(architecture.image_shape)), _FLOAT32)
        self._scores = np.zeros((1, architecture.layers[-1].output.size), _FLOAT32)
        self._execution = Execution(plan, network, n_threads)
        self._execution.run((self._pixels, np.zeros(1, _INT64)), scores=self._scores, shard_size=1)
        self._image, self._repeat = self._pixels[0], self._execution.repeater()

    def scores(self, pixels):
        """Return the class scores of one image.

        Parameters
        ----------
        pixels : ndarray, (height * width * channels,)

        Returns
        -------
        ndarray of float64, (1, size of the scores)
        """
        self._image[...] = pixels
        self._repeat()
        return self._scores.astype(_FLOAT64)


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
