"""Dispatch: from an instruction's opcode to the function that lowers it to launches of kernels."""

from skconvnet.engine.cuda.kernels.activations import (
    lower_activate,
    lower_activate_backward,
    lower_bias_relu_backward,
    lower_dropout,
    lower_prelu,
    lower_prelu_slopes,
    lower_relu,
)
from skconvnet.engine.cuda.kernels.branches import lower_add, lower_copy_channels, lower_multiply, lower_multiply_sums
from skconvnet.engine.cuda.kernels.convolution import lower_contract
from skconvnet.engine.cuda.kernels.images import lower_load_images
from skconvnet.engine.cuda.kernels.loss import (
    lower_regression_loss,
    lower_sigmoid_cross_entropy,
    lower_softmax_cross_entropy,
    lower_store_scores,
)
from skconvnet.engine.cuda.kernels.memory import lower_clear, lower_clear_border
from skconvnet.engine.cuda.kernels.normalisation import (
    lower_batch_gradients,
    lower_batch_statistics,
    lower_channel_moments,
    lower_layer_gradients,
    lower_layer_statistics,
    lower_lrn,
    lower_lrn_backward,
    lower_normalise,
    lower_normalise_backward,
    lower_normalise_sums,
    lower_running_statistics,
)
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
    Op.CONTRACT: lower_contract,
    Op.CLEAR: lower_clear,
    Op.CLEAR_BORDER: lower_clear_border,
    Op.RELU: lower_relu,
    Op.BIAS_RELU_BACKWARD: lower_bias_relu_backward,
    Op.PRELU: lower_prelu,
    Op.PRELU_SLOPES: lower_prelu_slopes,
    Op.ACTIVATE: lower_activate,
    Op.ACTIVATE_BACKWARD: lower_activate_backward,
    Op.DROPOUT: lower_dropout,
    Op.MAX_POOL: lower_max_pool,
    Op.MAX_POOL_BACKWARD: lower_max_pool_backward,
    Op.SOFTMAX_CROSS_ENTROPY: lower_softmax_cross_entropy,
    Op.SIGMOID_CROSS_ENTROPY: lower_sigmoid_cross_entropy,
    Op.REGRESSION_LOSS: lower_regression_loss,
    Op.STORE_SCORES: lower_store_scores,
    Op.AVERAGE_POOL: lower_average_pool,
    Op.AVERAGE_POOL_BACKWARD: lower_average_pool_backward,
    Op.ADD: lower_add,
    Op.COPY_CHANNELS: lower_copy_channels,
    Op.MULTIPLY: lower_multiply,
    Op.MULTIPLY_SUMS: lower_multiply_sums,
    Op.LRN: lower_lrn,
    Op.LRN_BACKWARD: lower_lrn_backward,
    Op.CHANNEL_MOMENTS: lower_channel_moments,
    Op.BATCH_STATISTICS: lower_batch_statistics,
    Op.RUNNING_STATISTICS: lower_running_statistics,
    Op.LAYER_STATISTICS: lower_layer_statistics,
    Op.NORMALISE: lower_normalise,
    Op.NORMALISE_SUMS: lower_normalise_sums,
    Op.BATCH_GRADIENTS: lower_batch_gradients,
    Op.LAYER_GRADIENTS: lower_layer_gradients,
    Op.NORMALISE_BACKWARD: lower_normalise_backward,
}
