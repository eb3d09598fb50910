"""The training loop: epochs of minibatches until it is time to stop.

`train` asks the engine's trainer for one step after another. It records each epoch in a `History`, which is complete
whatever ends the training: the last epoch, an interrupt or an overflow.
"""

from math import isfinite
from time import perf_counter

import numpy as np

from skconvnet.engine import Outcome, compile_time
from skconvnet.training.history import DivergenceError, Ending


def train(
    trainer,
    batches,
    schedule,
    history,
    *,
    max_iter,
    validate=None,
    early_stopping=False,
    report=None,
    best=None,
    before_epoch=None,
    after_epoch=None,
):
    """Train a network, in place, until ``max_iter`` epochs are over, a plateau is reached or `after_epoch` says so.

    An interrupt (Ctrl-C) ends the training as well, and is kept in the history, not raised. So is the error of a loss
    that is not finite; the network then has the weights of its last epoch, which were finite, or its best ones under
    early stopping.

    A training that was cut off after an epoch goes on as if nothing had been, if trainer, history and `best` are as
    they were then; where it was over, nothing is done.

    Parameters
    ----------
    trainer : Trainer
        The engine's, of the network to train.
    batches : Batches
        The minibatches.
    schedule : Constant, Adaptive or OneCycle
        The learning rates, as they are before any plateau.
    history : History
        Where the training is written down. Changed.
    max_iter : int
        The most epochs to train.
    validate : callable, optional
        Called without an argument after every epoch; returns the validation score.
    early_stopping : bool, default=False
        Whether the plateau is one of the validation score, and the weights with the best score are restored.
    report : callable, optional
        Called with the history after every epoch.
    best : ndarray of float32, as the network's parameters, optional
        Those with the best score, where the history has scores already.
    before_epoch : callable, optional
        Called as `after_epoch`, before every epoch.
    after_epoch : callable, optional
        Called with the history and the parameters that a training which ended here would leave, the last or the best,
        when all is decided about an epoch. If it returns True, that ends the training.

    Returns
    -------
    History
        The same history, for the convenience of the caller.
    """
    network = trainer.network
    for _ in range(history.n_plateaus):
        schedule = schedule.after_plateau()
    kept = (network.parameters if best is None else best).copy()
    try:
        while history.n_epochs < max_iter and schedule is not None:
            if before_epoch is not None:
                before_epoch(history, kept)
            try:
                outcome = _one_epoch(trainer, batches, schedule, history)
            except DivergenceError as error:
                history.ending, history.error = Ending.DIVERGED, error
                break
            _write_down(history, outcome, len(batches.indices), validate)
            improved = history.plateau.update(-history.validation_scores[-1] if early_stopping else outcome.loss)
            if improved or not early_stopping:
                kept[:] = network.parameters
            if report is not None:
                report(history)
            if history.plateau.reached:
                schedule = schedule.after_plateau()
                history.n_plateaus += 1
                if schedule is not None:
                    history.plateau.count = 0
            if after_epoch is not None and after_epoch(history, kept):
                history.ending = Ending.STOPPED
                break
        if schedule is None:
            history.ending = Ending.PLATEAU
    except KeyboardInterrupt as error:
        history.ending, history.error = Ending.INTERRUPTED, error
    if early_stopping or history.ending is Ending.DIVERGED:
        network.parameters[:] = kept
    return history


def _one_epoch(trainer, batches, schedule, history):
    """Train for one epoch; return the weighted means of what its minibatches' steps found."""
    started, compiled = perf_counter(), compile_time()
    loss = accuracy = weight = 0.0
    for batch in batches.of_epoch(len(history.loss_curve)):
        rate = schedule.at(history.n_steps)
        history.n_steps += 1
        outcome = trainer.step(batch, rate)
        if not isfinite(outcome.loss):
            raise _divergence(f"The loss is {outcome.loss}", history, batches, rate)
        loss += outcome.loss * batches.weight_of(batch)
        accuracy += outcome.accuracy * batches.weight_of(batch)
        weight += batches.weight_of(batch)
    # The loss is that of before the step, so a last step that goes astray shows in the weights only.
    if not np.isfinite(trainer.network.parameters).all():
        raise _divergence("A weight is no longer finite", history, batches, rate)
    seconds = perf_counter() - started - (compile_time() - compiled)
    history.images_per_second = len(batches.indices) / max(seconds, 1e-9)
    return Outcome(loss / weight, accuracy / weight)


def _write_down(history, outcome, n_images, validate):
    """Add a finished epoch to the history."""
    scores = [validate()] if validate is not None else []
    history.loss_curve.append(outcome.loss)
    history.accuracy_curve.append(outcome.accuracy)
    history.validation_scores.extend(scores)
    history.n_epochs += 1
    history.n_images += n_images


def _divergence(what, history, batches, rate):
    """Make the error that says where the training diverged, and what to try."""
    step = (history.n_steps - 1) % len(batches) + 1
    kept = "keeps the finite weights of before" if history.n_epochs else "is as it was: not one epoch had ended"
    return DivergenceError(
        f"{what} in epoch {history.n_epochs + 1}, step {step} of {len(batches)}, at a learning rate of {rate:.3g}. Try "
        f"a smaller learning_rate_init, and look for outliers in X. The estimator {kept}."
    )
