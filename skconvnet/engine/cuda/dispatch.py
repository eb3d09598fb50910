"""Dispatch: from an instruction's opcode to the function that lowers it to launches of kernels."""

from skconvnet.engine.cuda.kernels.activations import lower_relu
from skconvnet.engine.program.instructions import Op

__all__ = ["LOWERINGS"]

LOWERINGS = {
    Op.RELU: lower_relu,
}
