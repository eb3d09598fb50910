"""The training loop: epochs of minibatches until it is time to stop.

`train` takes one step of the engine's trainer after another. It makes a new `History` after each epoch, so the history
is consistent whatever ends the training: the last epoch, an interrupt or an overflow.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from math import isfinite
from time import perf_counter

import numpy as np

from skconvnet.engine import StepOutcome, compile_time
from skconvnet.training.history import DivergenceError, Ending, History


@dataclass(frozen=True)
class Stopping:
    """When training stops.

    Parameters
    ----------
    max_iter : int
        The largest number of epochs.
    tol : float
        By how much a loss has to be lower than the best to count as an improvement.
    patience : int or inf
        A plateau is reached when more than this many epochs in a row have not improved.
    """

    max_iter: int
    tol: float
    patience: float


def _nothing(history, parameters):
    """Do nothing before or after an epoch."""


@dataclass(frozen=True)
class Hooks:
    """Functions that `train` calls.

    Parameters
    ----------
    validate : callable, optional
        ``validate()`` returns the validation score of the network. It is called after each epoch.
    report : callable, optional
        ``report(history, images_per_second)`` is called after each epoch, with the speed of the training alone.
    before_epoch, after_epoch : callable
        Called with the history and the parameters that the training would leave if it ended there. If `after_epoch`
        returns True, the training ends.
    """

    validate: Callable | None = None
    report: Callable | None = None
    before_epoch: Callable = _nothing
    after_epoch: Callable = _nothing


@dataclass(frozen=True, eq=False)
class Trained:
    """What `train` returns.

    Parameters
    ----------
    history : History
        After the last epoch.
    parameters : ndarray of float32, (n,)
        Those with the best score under early stopping; else those of the network.
    ending : Ending
        What ended the training.
    error : DivergenceError or None
        The error, where the training diverged.
    """

    history: History
    parameters: np.ndarray
    ending: Ending
    error: DivergenceError | None = None


def train(trainer, batches, schedule, history, stopping, *, best=None, hooks=Hooks()):
    """Train a network in place until `max_iter` epochs, a plateau, or a hook that stops the training.

    Ctrl-C ends the training as well, and so does a loss that is not finite. In the first epoch both are raised. Later
    the training returns: after Ctrl-C with the weights of that moment, after a divergence with those of the last epoch,
    under early stopping with the best ones.

    A training can be resumed after any epoch. With the same trainer, history and `best` it continues as if it had never
    been interrupted; if it was complete, nothing is done.

    Parameters
    ----------
    trainer : Trainer
        The engine's trainer of the network.
    batches : Batches
        The minibatches.
    schedule : Constant, Adaptive or OneCycle
        The learning rates at the beginning of the fit, before any plateau.
    history : History
        The history so far. With `stops_early`, the plateau is one of the validation score, and the weights with the
        best score are kept.
    stopping : Stopping
        When to stop.
    best : ndarray of float32, (n,), optional
        The parameters with the best score, if a fit with early stopping is resumed.
    hooks : Hooks, optional
        Functions to call on the way.

    Returns
    -------
    Trained

    Raises
    ------
    KeyboardInterrupt, DivergenceError
        If it happens before one epoch has ended. The parameters of the network are then undefined.
    """
    parameters, ending = trainer.network.parameters, Ending.MAX_ITER
    for _ in range(history.n_plateaus):
        schedule = schedule.after_plateau()
    kept = best  # the parameters that the training would leave now; without early stopping the present ones
    if best is None:
        kept = parameters.copy() if history.stops_early else parameters
    try:
        while history.n_epochs < stopping.max_iter and schedule is not None:
            hooks.before_epoch(history, kept)
            finite = parameters.copy() if history.n_epochs and not history.stops_early else kept
            try:
                outcome, rate, images_per_second = _one_epoch(trainer, batches, schedule, history)
            except DivergenceError as error:
                if history.n_epochs == 0:
                    raise
                return Trained(history, finite, Ending.DIVERGED, error)
            score = None if hooks.validate is None else hooks.validate()
            after = history.after_epoch(*outcome, len(batches.indices), stopping.tol, score, rate)
            is_best = after.stops_early and after.plateau.best < history.plateau.best
            # One assignment, so that an interrupt cannot separate the weights from their history.
            history, kept = after, parameters.copy() if is_best else kept
            if hooks.report is not None:
                hooks.report(history, images_per_second)
            if history.plateau.count > stopping.patience:
                schedule = schedule.after_plateau()
                history = history.after_plateau(continues=schedule is not None)
            if hooks.after_epoch(history, kept):
                ending = Ending.STOPPED
                break
        if schedule is None:
            ending = Ending.PLATEAU
    except KeyboardInterrupt:
        if history.n_epochs == 0:
            raise
        ending = Ending.INTERRUPTED
    return Trained(history, kept, ending)


def _one_epoch(trainer, batches, schedule, history):
    """Train for one epoch; return the weighted mean `StepOutcome`, the mean learning rate, and images per second."""
    started, compiled = perf_counter(), compile_time()
    loss = score = total = 0.0
    first = history.n_epochs * len(batches)
    epoch = list(batches.of_epoch(len(history.loss_curve)))
    rates = [schedule.at(first + number) for number in range(len(epoch))]
    # Closed at once, also after an error: a GPU then copies the parameters, and needs its memory for that.
    with closing(trainer.steps(epoch, rates)) as outcomes:
        for number, (batch, rate, outcome) in enumerate(zip(epoch, rates, outcomes, strict=True), 1):
            weight = batches.weight_of(batch)
            if not isfinite(outcome.loss):
                raise _divergence(f"The loss is {outcome.loss}", history, batches, number, rate)
            loss += outcome.loss * weight
            score += outcome.score * weight
            total += weight
    # The loss is measured before the step. If the last step overflows, only the weights show it.
    if not np.isfinite(trainer.network.parameters).all():
        raise _divergence("A weight is no longer finite", history, batches, number, rate)
    seconds = perf_counter() - started - (compile_time() - compiled)
    outcome = StepOutcome(loss / total, score / total)
    return outcome, float(np.mean(rates)), len(batches.indices) / max(seconds, 1e-9)


def _divergence(what, history, batches, step, rate):
    """Make the error that says where the training diverged, and what to try."""
    kept = "keeps the finite weights of before" if history.n_epochs else "is as it was: not one epoch had ended"
    return DivergenceError(
        f"{what} in epoch {history.n_epochs + 1}, step {step} of {len(batches)}, at a learning rate of {rate:.3g}. Try "
        f"a smaller learning_rate_init or alpha, and look for outliers in X or y. The estimator {kept}."
    )
