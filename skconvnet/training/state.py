"""The state of a training: what a warm start, the next `partial_fit` and a checkpoint resume from."""

from dataclasses import dataclass

import numpy as np

from skconvnet.engine import OptimizerState
from skconvnet.training.history import History


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that further training depends on, besides the data and the settings. Its arrays are never changed.

    Parameters
    ----------
    seed : int
        Seed of the initial weights, the order of the images, the validation split, DROPOUT and augmentation.
    n_drawn : int
        Steps for which DROPOUT and augmentation have drawn. The next step continues these draws.
    history : History
        The epochs so far.
    solver : {"adam", "sgd"}
        The optimizer that `optimizer` belongs to.
    optimizer : OptimizerState or None
        Its moments and steps. None if they were not kept; then the next step begins with new ones.
    parameters : ndarray of float32, (n,), or None
        The network's parameters, in the order of its `layout`. None where the estimator has them as `coefs_` etc.
    best : ndarray of float32, (n,), or None
        The parameters with the best validation score, during a fit with early stopping.
    frozen : str or None
        The estimator's `freeze`, which decides for which layers the moments are.
    head_rate : float
        The learning rate of the head of a pretrained network, as a part of the estimator's `learning_rate_init`.
    """

    seed: int
    n_drawn: int
    history: History
    solver: str
    optimizer: OptimizerState | None = None
    parameters: np.ndarray | None = None
    best: np.ndarray | None = None
    frozen: str | None = None
    head_rate: float = 1.0

    def load(self, trainer):
        """Copy the parameters, moments and counters into a trainer. Without an optimizer it gets a new one.

        Raises
        ------
        ValueError
            If the moments do not belong to a network of this size.
        """
        trainer.load(self.parameters, self.optimizer, self.n_drawn)
