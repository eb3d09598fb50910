"""The history of a training: curves, counters, the plateau that may stop it, and how it ended."""

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from math import inf


@dataclass(frozen=True)
class Plateau:
    """How many epochs in a row have not improved on the lowest loss, counted as MLPClassifier counts them.

    A score, which should rise, is given as its negative.

    Parameters
    ----------
    best : float, default=inf
        The lowest loss so far.
    count : int, default=0
        Epochs in a row without an improvement.

    Examples
    --------
    >>> Plateau().after(0.5, tol=0.1).after(0.45, tol=0.1)
    Plateau(best=0.45, count=1)
    """

    best: float = inf
    count: int = 0

    def after(self, loss, tol):
        """Return the plateau after an epoch with this loss. It has improved if it is lower than `best` by `tol`."""
        return Plateau(min(loss, self.best), self.count + 1 if loss > self.best - tol else 0)


class Ending(Enum):
    """What ended a training."""

    MAX_ITER = auto()
    PLATEAU = auto()
    INTERRUPTED = auto()
    DIVERGED = auto()
    STOPPED = auto()


class DivergenceError(FloatingPointError):
    """The loss, or a weight, is not finite."""


@dataclass(frozen=True)
class History:
    """The epochs of a network so far. Each epoch makes a new history, so none is ever half written.

    Parameters
    ----------
    loss_curve : list of float
        The weighted mean loss of each epoch, including those of earlier fits that this one resumes.
    accuracy_curve : list of float
        The weighted accuracy, or R2 of numbers, on the minibatches of each epoch, each measured before its step.
    validation_scores : list of float
        The validation accuracy after each epoch, where there was validation data.
    n_images : int
        Images seen, counted each time they were seen.
    n_epochs, n_plateaus : int
        Epochs of this fit alone, and plateaus that it has reached.
    plateau : Plateau
        Of the training loss, or of the validation score if `stops_early`.
    stops_early : bool
        Whether the fit uses early stopping.
    learning_rates : tuple of float
        The mean learning rate of the steps of each epoch. Files of older versions have none for the first epochs.

    Examples
    --------
    >>> History().after_epoch(loss=0.5, accuracy=0.9, n_images=100, tol=1e-4).plateau
    Plateau(best=0.5, count=0)
    """

    loss_curve: list[float] = field(default_factory=list)
    accuracy_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    n_images: int = 0
    n_epochs: int = 0
    n_plateaus: int = 0
    plateau: Plateau = Plateau()
    stops_early: bool = False
    learning_rates: tuple[float, ...] = ()

    def after_epoch(self, loss, accuracy, n_images, tol, score=None, learning_rate=None):
        """Return the history after one more epoch; `score` is None without validation data."""
        return replace(
            self,
            loss_curve=[*self.loss_curve, loss],
            accuracy_curve=[*self.accuracy_curve, accuracy],
            validation_scores=self.validation_scores if score is None else [*self.validation_scores, score],
            n_images=self.n_images + n_images,
            n_epochs=self.n_epochs + 1,
            plateau=self.plateau.after(-score if self.stops_early else loss, tol),
            learning_rates=self.learning_rates if learning_rate is None else (*self.learning_rates, learning_rate),
        )

    def after_plateau(self, continues):
        """Return the history after a plateau; if training `continues`, the count of epochs starts again."""
        plateau = replace(self.plateau, count=0) if continues else self.plateau
        return replace(self, n_plateaus=self.n_plateaus + 1, plateau=plateau)

    def for_next_fit(self, stops_early):
        """Return the history with which another fit resumes this one."""
        plateau = self.plateau
        if stops_early != self.stops_early:
            losses = [-score for score in self.validation_scores] if stops_early else self.loss_curve
            plateau = Plateau(min(losses, default=inf))
        return replace(self, n_epochs=0, n_plateaus=0, plateau=plateau, stops_early=stops_early)
