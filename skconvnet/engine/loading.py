"""Images as the first layer of a network reads them, without a network."""

import math
from types import SimpleNamespace

import numpy as np

from skconvnet.engine.cpu.execution import Execution
from skconvnet.engine.plan.plan import Plan
from skconvnet.engine.program.instructions import WIDTH, Block, Op, SegmentKind, Space, encode
from skconvnet.engine.program.memory import aligned_zeros

__all__ = ["load_augmented"]


def load_augmented(images, warps, mean, scale):
    """Standardise and augment images, by the instruction with which a training step begins.

    Parameters
    ----------
    images : Images
        The n images of a minibatch.
    warps : ndarray of int64, (n, columns of Warp)
        How to augment them; (0, columns of Warp) for no augmentation.
    mean, scale : ndarray of float32, (channels,)
        A pixel becomes (pixel - mean) * scale.

    Returns
    -------
    ndarray of float32, (n, height, width, channels)
    """
    n, (rows, columns, depth), size = len(images), images.shape, math.prod(images.shape)
    numbers = {"rows": rows, "columns": columns, "depth": depth, "y_row": columns * depth, "y_depth": depth}
    plan = Plan(
        program=encode(Op.LOAD_IMAGES, {"y": (Space.BATCH, 0, size)}, numbers)[None],
        zeros=np.zeros((0, WIDTH), np.int64),
        segments=np.array([[SegmentKind.PER_SAMPLE, 0, 1]], np.int64),
        blocks=np.zeros((0, len(Block)), np.int64),
        shared=0,
        batch=n * size,
        slot=0,
        arena=0,
        micro_batch=n,
        shard_size=n,
        batch_size=n,
    )
    memory = aligned_zeros(plan.memory(1))
    network = SimpleNamespace(parameters=np.zeros(0, np.float32), mean=mean, scale=scale)
    execution = Execution(plan, network, 1, memory=memory)
    execution.run(images.source(np.arange(n)), warps=warps)
    return memory[: n * size].reshape(n, rows, columns, depth)
