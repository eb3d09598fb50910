"""Training: minibatches, learning rates, and when to stop. The engine computes the steps."""

from skconvnet.training.augment import make_augmentation
from skconvnet.training.batches import Batches
from skconvnet.training.history import DivergenceError, Ending, History, Plateau
from skconvnet.training.loop import Hooks, Stopping, Trained, train
from skconvnet.training.schedules import Adaptive, Constant, InvScaling, OneCycle, make_schedule
from skconvnet.training.state import TrainingState

__all__ = [
    "Adaptive",
    "Batches",
    "Constant",
    "DivergenceError",
    "Ending",
    "History",
    "Hooks",
    "InvScaling",
    "OneCycle",
    "Plateau",
    "Stopping",
    "Trained",
    "TrainingState",
    "make_augmentation",
    "make_schedule",
    "train",
]
