"""One call of `partial_fit`, and the trainer that is kept between the calls."""

import operator
from dataclasses import dataclass, replace
from types import SimpleNamespace

from skconvnet.architecture import HYPERPARAMETERS
from skconvnet.engine import Trainer, thread_count
from skconvnet.estimators.fitted import fitted_network, network_attributes, state_to_resume
from skconvnet.estimators.fitting import Fit
from skconvnet.estimators.tuning import TrainedPart
from skconvnet.estimators.widening import widened
from skconvnet.training import TrainingState


class PartialFit(Fit):
    """One call of `partial_fit`: one epoch at a constant learning rate, or with "invscaling".

    The trainer is kept for the next call, because making one takes longer than a step. It is used again if it would be
    made of the same values. The state of the training is copied from the trainer when the epoch has ended, and the
    learned arrays are unpacked from that state when they are first read.
    """

    is_complete_at_max_iter = True
    _kept = None

    def widen(self, classes):
        """Resume a network for these classes, the known ones among them, in place of that of the estimator."""
        self.resumed = widened(self.estimator, classes)
        self.previous = self.resumed._training_state

    def _number_of_epochs(self, data):
        return 1

    @property
    def learning_rate(self):
        """The name of the schedule: of those of the estimator, the one that needs no end."""
        return "invscaling" if self.estimator.learning_rate == "invscaling" else "constant"

    def _trainer(self, data, batches):
        estimator, holder = self.estimator, vars(self.estimator).get("_kept_trainer")
        kept = None if self.previous is None or holder is None else holder.take()
        origin = (
            None
            if kept is None
            else _origin(estimator, data.kind, estimator.pixel_mean_, estimator.pixel_scale_, batches.batch_size)
        )
        if kept is None or kept.part.whole.architecture is not self.resumed.architecture_ or kept.origin != origin:
            return super()._trainer(data, batches)
        are_same = kept.state is self.previous  # else the learned arrays may have been changed
        if not are_same and kept.part.body is not None:
            return super()._trainer(data, batches)
        self._kept, self.part, trainer = kept, kept.part, kept.trainer
        trainer.set_data(self.part.images(data.examples.images), data.examples.targets, data.examples.weights)
        for name, value in self._settings(estimator.image_shape_).items():
            setattr(trainer, name, value)
        if not are_same:
            trainer.network.parameters[:] = fitted_network(estimator, trainer.network.device).parameters
        return trainer

    def _first_state(self, trainer, data, batches):
        previous, kept = self.previous, self._kept
        if kept is None or kept.state is not previous or previous.solver != self.estimator.solver:
            return super()._first_state(trainer, data, batches)
        return replace(previous, history=previous.history.for_next_fit(stops_early=False))

    def _final_attributes(self, trainer, trained, data):
        network, kept = self.part.whole, self._kept
        origin = (
            _origin(self.estimator, data.kind, network.mean, network.scale, trainer.batch_size)
            if kept is None
            else kept.origin
        )
        parameters = self.part.parameters(trained.parameters)
        state = TrainingState(
            self.seed,
            trainer.n_drawn,
            trained.history,
            self.estimator.solver,
            self.part.optimizer_of_whole(trainer.state),
            parameters,
            frozen=self.estimator.freeze,
            head_rate=self.head_rate,
        )
        trainer.forget_images()  # they may be large
        attributes = self._attributes_but_learned(trainer, state, data)
        fitted = SimpleNamespace(_target_attributes=self.estimator._target_attributes, **attributes)
        return attributes | {"_kept_trainer": KeptTrainer(_Kept(trainer, self.part, state, origin), fitted)}


def state_of_stream(estimator):
    """Return the state that `partial_fit` resumes. It is checked unless it is as the call before left it.

    Raises
    ------
    ValueError
        As `state_to_resume` does.
    """
    holder = vars(estimator).get("_kept_trainer")
    if type(holder) is KeptTrainer and holder.is_of(estimator):
        return estimator._training_state
    return state_to_resume(estimator)


class KeptTrainer:
    """Holds the trainer of the last `partial_fit` until the next call takes it. Files and copies do not have it.

    Parameters
    ----------
    kept : _Kept
        The trainer.
    fitted : object
        The fitted attributes after that call.
    """

    def __init__(self, kept, fitted):
        self._held = [kept]
        self._attributes = _attributes_to_check(fitted)

    def is_of(self, estimator):
        """Return whether the fitted attributes are still the same objects. Only then they need no check."""
        return all(map(operator.is_, self._attributes, _attributes_to_check(estimator)))

    def take(self):
        """Remove and return what is held, a `_Kept` or None. Of several threads, only one gets it."""
        try:
            return self._held.pop()
        except IndexError:
            return None


def _attributes_to_check(estimator):
    return [*network_attributes(estimator), estimator._training_state]


@dataclass(frozen=True, eq=False)
class _Kept:
    """A trainer, the state that it is in, and what it was made from.

    Parameters
    ----------
    trainer : Trainer
        The trainer. It is only in this state as long as nothing runs it.
    part : TrainedPart
        What it trains.
    state : TrainingState
        The state after the last call.
    origin : tuple
        What `_origin` returned when the trainer was made.
    """

    trainer: Trainer
    part: TrainedPart
    state: TrainingState
    origin: tuple


def _origin(estimator, kind, mean, scale, batch_size):
    """Return values that change with anything that a trainer is made from, even with a list that changes in place."""
    names = ("architecture", "device", "float32_precision", "freeze", *HYPERPARAMETERS)
    parameters = repr([getattr(estimator, name) for name in names])
    is_pretrained = estimator.pretrained is not None  # the body has a rate of its own
    computes_once = estimator.freeze is not None and estimator.augment is None
    return (
        parameters,
        kind.loss(estimator),
        is_pretrained,
        computes_once,
        mean.tobytes(),
        scale.tobytes(),
        batch_size,
        thread_count(estimator.n_jobs),
    )
