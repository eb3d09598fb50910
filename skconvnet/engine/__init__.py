"""The engine: plans as data, one machine that runs any of them, and the network and trainer built on both.

Importing it does not import Numba; the first run of a machine does.
"""

from skconvnet.engine.cpu.execution import compile_time, thread_count
from skconvnet.engine.images import Images
from skconvnet.engine.network import Network, memory_needed
from skconvnet.engine.optimizers import SGD, Adam, OptimizerState
from skconvnet.engine.scorer import Scorer
from skconvnet.engine.trainer import Outcome, Trainer
from skconvnet.engine.weights.cut import cut_behind
from skconvnet.engine.weights.layout import Learned, lay_out_parameters

__all__ = [
    "SGD",
    "Adam",
    "Images",
    "Learned",
    "Network",
    "OptimizerState",
    "Outcome",
    "Scorer",
    "Trainer",
    "compile_time",
    "cut_behind",
    "lay_out_parameters",
    "memory_needed",
    "thread_count",
]
