"""One call of `partial_fit`, and the trainer that is kept between the calls."""

from dataclasses import dataclass, replace

from skconvnet.architecture import HYPERPARAMETERS
from skconvnet.engine import Trainer, thread_count
from skconvnet.estimators.fitted import load_network
from skconvnet.estimators.fitting import Fit
from skconvnet.training import TrainingState


class PartialFit(Fit):
    """One call of `partial_fit`: one epoch at a constant learning rate.

    The trainer is kept for the next call, because making one takes longer than a step. The learned arrays are unpacked
    when they are first read.
    """

    max_iter = 1
    learning_rate = "constant"
    is_complete_at_max_iter = True

    def _trainer(self, data, batches):
        holder = vars(self.estimator).get("_kept_trainer")
        kept = None if self.previous is None or holder is None else holder.take()
        self._is_loaded = False
        if kept is None or not kept.suits(self.estimator, batches.batch_size):
            return super()._trainer(data, batches)
        trainer = kept.trainer
        trainer.set_data(data.examples.images, data.examples.targets, data.examples.weights)
        for name, value in self._settings(trainer.network.architecture.image_shape).items():
            setattr(trainer, name, value)
        self._is_loaded = kept.state is self.previous and self.previous.solver == self.estimator.solver
        if kept.state is not self.previous:
            trainer.network.parameters[:] = load_network(self.estimator).parameters
        return trainer

    def _first_state(self, trainer, data, batches):
        if self._is_loaded:
            return replace(self.previous, history=self.previous.history.for_next_fit(stops_early=False))
        return super()._first_state(trainer, data, batches)

    def _final_attributes(self, trainer, trained, data):
        optimizer = replace(trainer.state, moments=trainer.state.moments.copy())
        solver, history = self.estimator.solver, trained.history
        state = TrainingState(self.seed, trainer.n_drawn, history, solver, optimizer, trained.parameters)
        statistics = trainer.network.mean.tobytes() + trainer.network.scale.tobytes()
        kept = KeptTrainer(_Kept(trainer, state, _network_parameters(self.estimator), statistics))
        trainer.images = None  # they may be large
        return self._attributes_but_learned(trainer, state, data) | {"_kept_trainer": kept}


class KeptTrainer:
    """Holds the trainer of the last `partial_fit` until the next call takes it. Files and copies do not have it."""

    def __init__(self, kept):
        self._kept = [kept]

    def take(self):
        """Remove and return what is held, `_Kept` or None. Of several threads, one gets it."""
        try:
            return self._kept.pop()
        except IndexError:
            return None


@dataclass(frozen=True, eq=False)
class _Kept:
    """A trainer, the state that is loaded in it, and the values that it was made from."""

    trainer: Trainer
    state: TrainingState
    network_parameters: str
    pixel_statistics: bytes

    def suits(self, estimator, batch_size):
        """Return whether the next call would make the same trainer."""
        return (
            self.trainer.network.architecture is estimator.architecture_
            and self.trainer.batch_size == batch_size
            and self.trainer.n_threads == thread_count(estimator.n_jobs)
            and self.network_parameters == _network_parameters(estimator)
            and self.pixel_statistics == estimator.pixel_mean_.tobytes() + estimator.pixel_scale_.tobytes()
        )


def _network_parameters(estimator):
    """Return a text that changes if a parameter of the plan changes, even if it is a list changed in place."""
    names = ("architecture", "device", "label_smoothing", *HYPERPARAMETERS)
    return repr([getattr(estimator, name) for name in names])
