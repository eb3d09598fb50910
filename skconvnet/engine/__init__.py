"""The engine: plans as data, one machine that runs any of them, and the network and trainer built on both.

Importing it does not import Numba; the first run of a machine does.
"""

from skconvnet.engine.compile_time import compile_time
from skconvnet.engine.device import check_device, device_for_scoring, device_for_training, thread_count
from skconvnet.engine.gradient import ImageGradient
from skconvnet.engine.images import Images, OnDevice, PixelSource
from skconvnet.engine.network import Network, memory_needed
from skconvnet.engine.optimizers import SGD, Adam, OptimizerState
from skconvnet.engine.plan.steps import AbsoluteError, Huber, SigmoidCrossEntropy, SoftmaxCrossEntropy, SquaredError
from skconvnet.engine.scale import PixelScale, doubt_about_constant, doubt_about_outlier
from skconvnet.engine.scorer import Scorer
from skconvnet.engine.trainer import StepOutcome, Trainer
from skconvnet.engine.weights.cut import cut_behind, split_architecture
from skconvnet.engine.weights.layout import Learned

__all__ = [
    "SGD",
    "AbsoluteError",
    "Adam",
    "Huber",
    "ImageGradient",
    "Images",
    "Learned",
    "Network",
    "OnDevice",
    "OptimizerState",
    "PixelScale",
    "PixelSource",
    "Scorer",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "StepOutcome",
    "Trainer",
    "check_device",
    "compile_time",
    "cut_behind",
    "device_for_scoring",
    "device_for_training",
    "doubt_about_constant",
    "doubt_about_outlier",
    "memory_needed",
    "split_architecture",
    "thread_count",
]
