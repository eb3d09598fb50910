"""Dispatch: from an instruction's opcode to the function that lowers it to launches of kernels."""

from skconvnet.engine.cuda.kernels.activations import (
    lower_bias_relu_backward,
    lower_dropout,
    lower_relu,
    lower_squash,
    lower_squash_backward,
)
from skconvnet.engine.cuda.kernels.branches import lower_add, lower_copy_channels
from skconvnet.engine.cuda.kernels.images import lower_load_images
from skconvnet.engine.cuda.kernels.memory import lower_clear, lower_clear_border
from skconvnet.engine.cuda.kernels.pooling import (
    lower_average_pool,
    lower_average_pool_backward,
    lower_max_pool,
    lower_max_pool_backward,
)
from skconvnet.engine.program.instructions import Op

__all__ = ["LOWERINGS"]

LOWERINGS = {
    Op.LOAD_IMAGES: lower_load_images,
    Op.CLEAR: lower_clear,
    Op.CLEAR_BORDER: lower_clear_border,
    Op.RELU: lower_relu,
    Op.BIAS_RELU_BACKWARD: lower_bias_relu_backward,
    Op.SQUASH: lower_squash,
    Op.SQUASH_BACKWARD: lower_squash_backward,
    Op.DROPOUT: lower_dropout,
    Op.MAX_POOL: lower_max_pool,
    Op.MAX_POOL_BACKWARD: lower_max_pool_backward,
    Op.AVERAGE_POOL: lower_average_pool,
    Op.AVERAGE_POOL_BACKWARD: lower_average_pool_backward,
    Op.ADD: lower_add,
    Op.COPY_CHANNELS: lower_copy_channels,
}
