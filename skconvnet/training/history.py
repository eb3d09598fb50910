"""The history of a training: curves, counters, the plateau that stops it, and how it ended."""

from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf, nan


@dataclass
class Plateau:
    """Counts the epochs in a row that did not improve on the lowest loss by ``tol``, as MLPClassifier counts them.

    A score that should rise is watched as its negative.

    Parameters
    ----------
    tol : float
        What counts as an improvement.
    patience : int or inf
        How many epochs in a row may go without one.
    best : float, default=inf
        The lowest loss so far.
    count : int, default=0
        The epochs without an improvement so far.
    """

    tol: float
    patience: float
    best: float = inf
    count: int = 0

    def update(self, loss):
        """Take in the loss of an epoch; return whether it is the lowest so far."""
        lowest = loss < self.best
        self.count = self.count + 1 if loss > self.best - self.tol else 0
        self.best = min(loss, self.best)
        return lowest

    @property
    def reached(self):
        """Whether more epochs than ``patience`` in a row went without an improvement."""
        return self.count > self.patience


class Ending(Enum):
    """What ended a training."""

    MAX_ITER = auto()
    PLATEAU = auto()
    INTERRUPTED = auto()
    DIVERGED = auto()
    STOPPED = auto()


class DivergenceError(FloatingPointError):
    """The loss, or a weight, is no longer finite."""


@dataclass
class History:
    """What a training has seen so far.

    Parameters
    ----------
    plateau : Plateau
        The watch on the training loss, or on the validation score under early stopping.
    loss_curve : list of float
        The weighted mean loss of every epoch, those of earlier trainings of the same network included.
    accuracy_curve : list of float
        The weighted accuracy on the minibatches of every epoch, each before its step.
    validation_scores : list of float
        The validation accuracy after every epoch, where there is validation.
    n_images : int
        The images seen, each as often as it was seen.
    n_epochs, n_steps, n_plateaus : int
        The epochs, the steps, and the plateaus reached, of this training alone.
    images_per_second : float
        The speed of the last epoch's training, without compilation and without validation.
    ending : Ending
        What ended this training.
    error : DivergenceError, KeyboardInterrupt or None
        The reason where it diverged or was interrupted.
    """

    plateau: Plateau
    loss_curve: list[float] = field(default_factory=list)
    accuracy_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    n_images: int = 0
    n_epochs: int = 0
    n_steps: int = 0
    n_plateaus: int = 0
    images_per_second: float = nan
    ending: Ending = Ending.MAX_ITER
    error: BaseException | None = None
