"""Training: minibatches, learning rates, and the decision when to stop. It moves no weight itself; the engine does."""

from skconvnet.training.augment import make_augmentation
from skconvnet.training.batches import Batches
from skconvnet.training.history import DivergenceError, Ending, History, Plateau
from skconvnet.training.loop import train
from skconvnet.training.schedules import Adaptive, Constant, OneCycle, make_schedule

__all__ = [
    "Adaptive",
    "Batches",
    "Constant",
    "DivergenceError",
    "Ending",
    "History",
    "OneCycle",
    "Plateau",
    "make_augmentation",
    "make_schedule",
    "train",
]
