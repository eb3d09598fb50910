"""One call of `partial_fit`, and the trainer that is kept between the calls."""

from dataclasses import dataclass, replace

import numpy as np

from skconvnet.architecture import HYPERPARAMETERS
from skconvnet.engine import OptimizerState, Trainer, thread_count
from skconvnet.estimators.fitted import load_network
from skconvnet.estimators.fitting import Fit
from skconvnet.training import TrainingState


class PartialFit(Fit):
    """One call of `partial_fit`: one epoch at a constant learning rate.

    The trainer is kept for the next call, because making one takes longer than a step. It is used again if it would be
    made of the same values. The state of the training is copied from the trainer when the epoch has ended, and the
    learned arrays are unpacked from that state when they are first read.
    """

    max_iter = 1
    learning_rate = "constant"
    is_complete_at_max_iter = True
    _kept = None

    def _trainer(self, data, batches):
        estimator, holder = self.estimator, vars(self.estimator).get("_kept_trainer")
        kept = None if self.previous is None or holder is None else holder.take()
        origin = (
            None
            if kept is None
            else _origin(estimator, estimator.pixel_mean_, estimator.pixel_scale_, batches.batch_size)
        )
        if kept is None or kept.trainer.network.architecture is not estimator.architecture_ or kept.origin != origin:
            return super()._trainer(data, batches)
        self._kept, trainer = kept, kept.trainer
        trainer.set_data(data.examples.images, data.examples.targets, data.examples.weights)
        for name, value in self._settings(trainer.network.architecture.image_shape).items():
            setattr(trainer, name, value)
        if kept.state is not self.previous:  # the learned arrays may have been changed
            trainer.network.parameters[:] = load_network(estimator).parameters
        return trainer

    def _first_state(self, trainer, data, batches):
        previous, kept = self.previous, self._kept
        if kept is None or kept.state is not previous or previous.solver != self.estimator.solver:
            return super()._first_state(trainer, data, batches)
        return replace(previous, history=previous.history.for_next_fit(stops_early=False))

    def _final_attributes(self, trainer, trained, data):
        network, kept, old = trainer.network, self._kept, trainer.state
        origin = (
            _origin(self.estimator, network.mean, network.scale, trainer.batch_size) if kept is None else kept.origin
        )
        parameters, moments = (None, None) if kept is None else kept.spare
        optimizer = OptimizerState(_copy(old.moments, moments), old.n_steps)
        parameters = _copy(trained.parameters, parameters)
        state = TrainingState(self.seed, trainer.n_drawn, trained.history, self.estimator.solver, optimizer, parameters)
        trainer.images = None  # they may be large
        spare = (None, None) if kept is None else (kept.state.parameters, kept.state.optimizer.moments)
        attributes = self._attributes_but_learned(trainer, state, data)
        return attributes | {"_kept_trainer": KeptTrainer(_Kept(trainer, state, origin, spare))}


def _copy(array, room):
    """Copy an array into another, or into a new one if that is None."""
    room = np.empty_like(array) if room is None else room
    np.copyto(room, array)
    return room


class KeptTrainer:
    """Holds the trainer of the last `partial_fit` until the next call takes it. Files and copies do not have it."""

    def __init__(self, kept):
        self._held = [kept]

    def take(self):
        """Remove and return what is held, a `_Kept` or None. Of several threads, only one gets it."""
        try:
            return self._held.pop()
        except IndexError:
            return None


@dataclass(frozen=True, eq=False)
class _Kept:
    """A trainer, the state that it is in, and what it was made from.

    Parameters
    ----------
    trainer : Trainer
        The trainer. It is only in this state as long as nothing runs it.
    state : TrainingState
        The state after the last call.
    origin : tuple
        What `_origin` returned when the trainer was made.
    spare : tuple
        Arrays for parameters and moments that no state uses any more, or None. New ones would cost page faults.
    """

    trainer: Trainer
    state: TrainingState
    origin: tuple
    spare: tuple


def _origin(estimator, mean, scale, batch_size):
    """Return values that change with anything that a trainer is made from, even with a list that changes in place."""
    names = ("architecture", "device", "label_smoothing", *HYPERPARAMETERS)
    parameters = repr([getattr(estimator, name) for name in names])
    return parameters, mean.tobytes(), scale.tobytes(), batch_size, thread_count(estimator.n_jobs)
