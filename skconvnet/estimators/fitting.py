"""One call of `fit` or `partial_fit`, from checked data to the attributes of a fitted estimator.

A `Fit` reads the estimator and does not write to it. All fitted attributes are assigned at once, at the end, so that
an error or Ctrl-C at any moment leaves the estimator either as it was or completely fitted.
"""

import warnings
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from time import perf_counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skconvnet.architecture import ArchitectureError, is_auto
from skconvnet.data import LabelledImages
from skconvnet.engine import (
    SGD,
    Adam,
    Network,
    PixelScale,
    Scorer,
    Trainer,
    compile_time,
    device_for_training,
    doubt_about_constant,
    doubt_about_outlier,
    split_architecture,
    thread_count,
)
from skconvnet.engine.network import image_work, plan_memory
from skconvnet.engine.plan.plan import plan_training
from skconvnet.engine.weights.layout import lay_out_parameters
from skconvnet.estimators.fitted import LEARNED, fitted_network
from skconvnet.estimators.head import rate_of_head
from skconvnet.estimators.identity import fit_identity
from skconvnet.estimators.limits import (
    auto_batch_size,
    check_batch_size,
    check_memory,
    memory_for_training,
    number_of_epochs,
)
from skconvnet.estimators.network import bind_network, bind_own, warn_of_no_effect
from skconvnet.estimators.pretrained import begin_with, body_of, keeps_head, pretrained_network
from skconvnet.estimators.scoring import ScorerCache, warn_of_other_scale
from skconvnet.estimators.targets import Classes
from skconvnet.estimators.tuning import TrainedPart, check_head, first_trained, frozen_layers, head_reads_features
from skconvnet.training import (
    Batches,
    Ending,
    History,
    Hooks,
    InvScaling,
    Stopping,
    TrainingState,
    make_augmentation,
    make_schedule,
    train,
)
from skconvnet.training.checkpoint import CheckpointFile
from skconvnet.training.progress import epoch_report, report_if_long

_PASSES = 3  # of a step: forward, and backward to the inputs and to the weights
_REPLACED = (*LEARNED, "feature_names_in_", "_kept_trainer")  # a fit may leave the estimator without these


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The checked data of a fit.

    Parameters
    ----------
    examples : LabelledImages
        All images, with their targets and weights.
    kind : Classes, Labels or Values
        What the targets mean.
    features : dict
        `n_features_in_` and, if the columns of X have names, `feature_names_in_`.
    indices : ndarray of int64
        The examples to train on.
    validation : LabelledImages or None
        The validation data.
    validation_is_given : bool
        Whether the user passed the validation data, instead of having them split off.
    """

    examples: LabelledImages
    kind: Classes
    features: dict
    indices: np.ndarray
    validation: LabelledImages | None = None
    validation_is_given: bool = False


class Fit:
    """One call of `fit`.

    Parameters
    ----------
    estimator : BaseConvNet
        Its parameters are read and, if `previous` is given, its fitted attributes.
    previous : TrainingState or None
        The state to resume. None to train a new network.
    callbacks : FitCallbacks or None
        The callbacks to call.
    """

    def __init__(self, estimator, previous, callbacks):
        self._started, self._compiled = perf_counter(), compile_time()
        self.estimator = estimator
        self.resumed = estimator  # whose network is resumed; `PartialFit` may widen it
        self.previous = previous
        self.callbacks = callbacks
        self.head_rate = 1.0 if previous is None else previous.head_rate
        self.file = None if estimator.checkpoint is None else CheckpointFile(estimator.checkpoint)

    @cached_property
    def stored(self):
        """The pretrained network; None if there is none, or if the network of the estimator is resumed."""
        return pretrained_network(self.estimator.pretrained) if self.previous is None else None

    @property
    def learning_rate(self):
        """The name of the schedule."""
        return self.estimator.learning_rate

    @property
    def is_complete_at_max_iter(self):
        """Whether `max_iter` is the regular end, of which nothing warns."""
        return self.learning_rate == "one-cycle"

    @cached_property
    def seed(self):
        """The seed of the state to resume, or a new one from `random_state`."""
        if self.previous is not None:
            return self.previous.seed
        random_state = self.estimator.random_state
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        if random_state is None and self.file is not None and self.file.saved is not None:
            return self.file.saved.seed
        return seed

    def _number_of_epochs(self, data):
        """Return the largest number of epochs."""
        return number_of_epochs(self.estimator.max_iter, len(data.indices), self.estimator.augment is not None)

    def run(self, data):
        """Train, and assign the fitted attributes.

        Parameters
        ----------
        data : TrainingData
            The data.

        Raises
        ------
        ValueError
            If the parameters do not fit the data, before training begins.
        KeyboardInterrupt, DivergenceError
            If it happens in the first epoch; the estimator is as it was. A later divergence is raised as well, but
            the estimator is then fitted with finite weights.
        """
        estimator, before = self.estimator, vars(self.estimator)
        self.max_iter = self._number_of_epochs(data)
        batches = self._batches(data)
        trainer = self._trainer(data, batches)
        if self.previous is None:
            warn_of_no_effect(estimator, self.part.whole.architecture, stacklevel=6)
        self._check_pixels(data)
        self._check_scale_of_targets(data)
        state = self._first_state(trainer, data, batches)
        self._compile_time = compile_time() - self._compiled
        if estimator.verbose:
            print(f"kernels ready in {self._compile_time:.1f} s")
        trained = self._train(trainer, batches, state, data)
        if estimator.verbose and trained.ending is Ending.PLATEAU:
            what = "validation score" if estimator.early_stopping else "training loss"
            print(
                f"training stopped after epoch {trained.history.n_epochs}: the {what} has not improved by "
                f"tol={estimator.tol} in the last {estimator.n_iter_no_change + 1} epochs"
            )
        attributes = self._final_attributes(trainer, trained, data)
        # The only assignment to the estimator.
        estimator.__dict__ = {name: value for name, value in before.items() if name not in _REPLACED} | attributes
        self._warn_or_raise(trained)
        if self.callbacks is not None:
            try:
                self.callbacks.end()
            except Exception:  # Ctrl-C undoes nothing, because everything is done
                estimator.__dict__ = before
                raise

    def _check_pixels(self, data):
        """Warn of images of another scale than the network's, and of a pixel that alone decides about a new scale."""
        network, images = self.part.whole, data.examples.images
        pixels, is_new = PixelScale(network.mean, network.scale), self.previous is None and self.stored is None
        if is_new:
            doubt = doubt_about_constant(images, network.scale)
            doubt = doubt or doubt_about_outlier(images, data.examples.weights, network.mean, network.scale)
            if doubt is not None:
                warnings.warn(doubt, stacklevel=6)
        else:
            warn_of_other_scale(pixels, images)
        if data.validation_is_given:
            network.check_pixels(data.validation.images, "X_val")
            warn_of_other_scale(pixels, data.validation.images, "X_val")

    def _check_scale_of_targets(self, data):
        """Warn of numbers of another scale than those that the network was trained on."""
        given = [data.validation] if data.validation_is_given else []
        for name, examples in zip(("y", "y_val"), (data.examples, *given), strict=False):
            doubt = data.kind.doubt_about_scale(examples) if self.previous is not None or name == "y_val" else None
            if doubt is not None:
                warnings.warn(doubt.replace("y", name, 1), stacklevel=6)

    def _batches(self, data):
        """Return the minibatches."""
        estimator, n_images = self.estimator, len(data.indices)
        size = auto_batch_size(n_images) if estimator.batch_size == "auto" else int(estimator.batch_size)
        if size > n_images:
            warnings.warn(
                f"batch_size={size} is larger than the number of images. It is set to {n_images}.", stacklevel=6
            )
        return Batches(data.indices, data.examples.weights, min(size, n_images), estimator.shuffle, self.seed)

    def _trainer(self, data, batches):
        """Return a trainer, of a new network or of the network to resume."""
        estimator, images = self.estimator, data.examples.images
        bound = self._bind(images.shape, data.kind.n_outputs)
        has_new_head = self.stored is not None and not keeps_head(self.stored, bound, data.kind.classes)
        if has_new_head and estimator.head_first:
            check_head(bound, data.kind.needs_straight_head)
        loss = data.kind.loss(estimator)
        frozen = frozen_layers(bound, estimator.freeze)
        n_frozen = first_trained(bound, frozen, changes_images=estimator.augment is not None)
        body, trained = split_architecture(bound, n_frozen)
        check_batch_size(trained, batches.batch_size)
        if self.file is not None:
            self.file.claim(fit_identity(estimator, bound, data, batches, self.max_iter, self.stored))
        n_threads = thread_count(estimator.n_jobs)
        passes = _PASSES * len(data.indices) * self.max_iter
        work = passes * image_work(trained) + (len(images) * image_work(body) if n_frozen else 0)
        device = device_for_training(estimator.device, work, estimator.float32_precision)
        rates = {"frozen": frozen, "body": body_of(bound) if estimator.pretrained is not None else frozenset()}
        plan = _plan_within_memory(trained, loss, batches.batch_size, n_threads, device, rates)
        network = self._network(bound, data, device)
        self.part = TrainedPart.behind(network, n_frozen, estimator.n_jobs)
        activations = self.part.images(images)
        if self.stored is not None and head_reads_features(bound) and (estimator.head_first or not has_new_head):
            features = self.part.features(images, activations)[data.indices]
            self.head_rate = rate_of_head(features)
            if has_new_head:
                self.part.begin_head(features, data.examples, data.indices, data.kind)
        with memory_for_training(trained, device):
            return Trainer(
                self.part.network,
                activations,
                data.examples.targets,
                data.examples.weights,
                batch_size=batches.batch_size,
                n_threads=n_threads,
                seed=self.seed,
                plan=plan,
                loss=loss,
                **self._settings(bound.image_shape),
            )

    def _network(self, bound, data, device):
        """Return the network to begin with."""
        if self.previous is not None:
            return fitted_network(self.resumed, device)
        rng = np.random.default_rng(self.seed)
        if self.stored is not None:
            return begin_with(self.stored, bound, data.kind, device, rng)[0]
        network = Network(bound, *data.examples.images.statistics(data.examples.weights), device)
        network.initialise(rng, data.kind.gain)
        return network

    def _bind(self, image_shape, n_outputs):
        """Bind the architecture; raise a ValueError if it is not that of the network to resume."""
        estimator = self.estimator
        if self.previous is None:
            try:
                return bind_network(estimator, image_shape, n_outputs, self.stored)
            except ArchitectureError as error:
                if "What fits" in str(error):
                    error.add_note("In a search, valid_param_grid(estimator, param_grid, image_shape) keeps what fits.")
                raise
        if estimator.pretrained is not None and is_auto(estimator.architecture):
            return self.resumed.architecture_
        bound = bind_own(estimator, image_shape, n_outputs)
        if bound != self.resumed.architecture_:
            raise ValueError(
                f"The parameters make the network {bound}, but the network to resume is "
                f"{self.resumed.architecture_}. Use parameters that make the same network, or fit a new one with "
                "warm_start=False."
            )
        return bound

    def _settings(self, image_shape):
        """Return those settings of a trainer that may change between two steps."""
        estimator = self.estimator
        body_rate = estimator.body_rate / self.head_rate
        adam = Adam(estimator.beta_1, estimator.beta_2, estimator.epsilon, body_rate)
        sgd = SGD(estimator.momentum, estimator.nesterovs_momentum, body_rate)
        return {
            "optimizer": adam if estimator.solver == "adam" else sgd,
            "alpha": estimator.alpha,
            "augmentation": make_augmentation(estimator.augment, image_shape),
        }

    def _first_state(self, trainer, data, batches):
        """Load the state to resume into the trainer, if there is one; return the state in which training begins."""
        estimator = self.estimator
        if self.previous is not None:
            state = self._resumed(trainer.network.parameters)
        elif self.file is not None and self.file.saved is not None:
            state = self.file.state(trainer.network.parameter_layout, batches, self._schedule(batches))
        else:
            return TrainingState(self.seed, 0, History(stops_early=estimator.early_stopping), estimator.solver)
        state.load(trainer)
        return state

    def _resumed(self, parameters):
        """Return the state in which this fit resumes the one before, which may have had another solver or `freeze`."""
        previous, estimator, optimizer = self.previous, self.estimator, self.previous.optimizer
        if (previous.solver, previous.frozen) != (estimator.solver, estimator.freeze):
            optimizer = None
        elif optimizer is not None:
            optimizer = self.part.optimizer_of_part(optimizer)
        history = previous.history.for_next_fit(estimator.early_stopping)
        return replace(
            previous,
            history=history,
            solver=estimator.solver,
            frozen=estimator.freeze,
            optimizer=optimizer,
            parameters=parameters,
        )

    def _schedule(self, batches):
        """Return the learning rates at the beginning of the fit."""
        highest = self.head_rate * self.estimator.learning_rate_init
        if self.learning_rate == "invscaling":
            n_seen = 0 if self.previous is None else self.previous.history.n_images
            return InvScaling(highest, self.estimator.power_t, n_seen, len(batches.indices), len(batches))
        return make_schedule(self.learning_rate, highest, self.max_iter * len(batches))

    def _train(self, trainer, batches, state, data):
        """Train from a state on; return what `train` returns."""
        estimator, callbacks, n_epochs = self.estimator, self.callbacks, state.history.n_epochs
        if n_epochs and estimator.verbose:
            print(f"resuming after epoch {n_epochs} from {self.file.path}")

        def before_epoch(history, parameters):
            if callbacks is not None:
                callbacks.begin_epoch(partial(self._attributes, trainer, history, data, parameters))

        def after_epoch(history, parameters):
            if self.file is not None:
                self.file.write(trainer, history, parameters)
            if callbacks is not None:
                return callbacks.end_epoch(partial(self._attributes, trainer, history, data, parameters))

        validate = None
        if data.validation is not None:
            validation = replace(data.validation, images=self.part.images(data.validation.images))
            network = trainer.network
            validate = partial(_validation_score, network, validation, data.kind, trainer.n_threads)
        if callbacks is not None:
            callbacks.begin(n_epochs, self.max_iter)
        memory = memory_for_training(trainer.network.architecture, trainer.network.device)
        silent = nullcontext(report_if_long(self.max_iter, len(data.indices), n_epochs))
        told = epoch_report(self.max_iter, n_epochs, data.kind.metric) if estimator.verbose else silent
        with memory, told as report:
            return train(
                trainer,
                batches,
                self._schedule(batches),
                state.history,
                Stopping(self.max_iter, estimator.tol, estimator.n_iter_no_change),
                best=state.best,
                hooks=Hooks(validate, report, before_epoch, after_epoch),
            )

    def _final_attributes(self, trainer, trained, data):
        """Return the attributes of the fitted estimator. With `warm_start` they include the optimizer's state."""
        keeps = self.estimator.warm_start and trained.ending is not Ending.DIVERGED
        optimizer = self.part.optimizer_of_whole(trainer.state) if keeps else None
        return self._attributes(trainer, trained.history, data, trained.parameters, optimizer)

    def _attributes(self, trainer, history, data, parameters, optimizer=None):
        """Return all fitted attributes after training with this result."""
        learned, estimator = self.part.learned(parameters), self.estimator
        more = {"frozen": estimator.freeze, "head_rate": self.head_rate}
        state = TrainingState(self.seed, trainer.n_drawn, history, estimator.solver, optimizer, **more)
        return self._attributes_but_learned(trainer, state, data) | dict(zip(LEARNED, learned, strict=True))

    def _attributes_but_learned(self, trainer, state, data):
        """Return the fitted attributes except the lists of learned arrays."""
        network, history = self.part.whole, state.history
        losses, scores = history.loss_curve, history.validation_scores
        return {
            **data.kind.attributes(),
            **data.features,
            "architecture_": network.architecture,
            "image_shape_": network.architecture.image_shape,
            "pixel_mean_": network.mean,
            "pixel_scale_": network.scale,
            "loss_curve_": losses,
            data.kind.curve: history.accuracy_curve,
            "learning_rate_curve_": list(history.learning_rates),
            "loss_": losses[-1] if losses else np.inf,
            "best_loss_": None if history.stops_early else history.plateau.best,
            "validation_scores_": scores or None,
            "best_validation_score_": max(scores, default=None),
            "n_iter_": history.n_epochs,
            "t_": history.n_images,
            "compile_time_": self._compile_time,
            "fit_time_": perf_counter() - self._started - self._compile_time,
            "_training_state": state,
            "_scorer_cache": ScorerCache(),
        }

    def _warn_or_raise(self, trained):
        """Raise the error of a divergence; warn of an interrupt, and of `max_iter` where it comes too early."""
        if trained.ending is Ending.DIVERGED:
            raise trained.error
        if trained.ending is Ending.INTERRUPTED:
            warnings.warn(f"Training interrupted by user, after {trained.history.n_epochs} epochs.", stacklevel=6)
        elif trained.ending is Ending.MAX_ITER and not self.is_complete_at_max_iter:
            warnings.warn(
                f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )


def _plan_within_memory(bound, loss, batch_size, n_threads, device, rates):
    """Plan a training; raise a ValueError if it needs more memory than there is."""
    layout = lay_out_parameters(bound, device.target)
    plans = []

    def least_memory():  # not called if the parameters alone need too much
        for target in device.targets(batch_size):
            try:
                plans.append(plan_training(bound, layout, loss, batch_size, target, **rates))
            except ValueError as error:  # a volume is too large for the kernels of a GPU; that of a shard may not be
                refused = error
            else:
                needed = plan_memory(plans[-1], layout, n_threads)
                if device.has_room(needed):
                    break
        if not plans:
            raise refused
        return needed

    check_memory(bound, least_memory, device)
    return plans[-1]


def _validation_score(network, validation, kind, n_threads):
    """Return the weighted score of a network on validation data."""
    return kind.validation_score(Scorer(network).scores(validation.images, n_threads), validation)
