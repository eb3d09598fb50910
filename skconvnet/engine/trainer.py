"""The trainer: minibatch steps on a network's parameters."""

from functools import partial
from typing import NamedTuple

import numpy as np

from skconvnet.engine.changed import ChangedImages
from skconvnet.engine.images import Images
from skconvnet.engine.optimizers import OptimizerState
from skconvnet.engine.plan.plan import plan_training
from skconvnet.engine.program.instructions import Outcome

__all__ = ["Minibatch", "StepOutcome", "Trainer"]


class Minibatch(NamedTuple):
    """What a machine has to know to take one training step.

    Parameters
    ----------
    indices : ndarray of int64, (samples,)
        The images.
    weights : ndarray of float64, (samples,)
        Their weights in the loss, which sum to one.
    rule : ndarray of float64, (columns of Rule,)
        Numbers of the optimizer's step.
    draw : tuple of int
        The seed and the step that decide what DROPOUT draws.
    warps : ndarray of int64, (samples, columns of Warp), or None
        How to augment the images; None to leave them as they are.
    """

    indices: np.ndarray
    weights: np.ndarray
    rule: np.ndarray
    draw: tuple[int, int]
    warps: np.ndarray | None


class StepOutcome(NamedTuple):
    """What a step found on its minibatch, before the update.

    Parameters
    ----------
    loss, score : float
        Weighted means over the minibatch, as it was augmented, with what DROPOUT left of the network. The score is the
        accuracy of classes and of several labels, and R2 of standardised numbers.
    """

    loss: float
    score: float


class Trainer:
    """Takes training steps on a network.

    Parameters
    ----------
    network : Network
        Its parameters are updated in place by every step.
    images : Images
        All training images.
    targets : ndarray of int64, (n,), or of float32, (n, n_outputs)
        What the loss takes: their class indices, or the wanted number of each output.
    weights : ndarray of shape (n,)
        Their weights in the loss.
    optimizer : Adam or SGD
        The update rule.
    alpha : float
        Weight decay: with Adam, weights shrink by the fraction learning_rate * alpha in each step; with SGD,
        alpha / (samples in the minibatch) times the weights is added to the gradient. Biases do not decay.
    loss : SoftmaxCrossEntropy, SigmoidCrossEntropy, SquaredError, AbsoluteError or Huber
        The loss, which says what targets are.
    batch_size : int
        Samples in the largest minibatch.
    n_threads : int
        Threads to use; the results do not depend on it.
    state : OptimizerState, optional
        State of the optimizer to continue from; it is updated in place.
    augmentation : object, optional
        Its ``draw(seed, step, n)`` returns the warps of the images of a step, (n, columns of `Warp`); no rows leave
        them as they are. If it has `functions`, ``change(seed, step, pixels)`` returns the images as they change them.
    seed : int
        Seed of DROPOUT and of the augmentation.
    n_drawn : int, optional
        Steps whose numbers have been drawn from this seed before. By default the steps in `state`.
    plan : Plan, optional
        The plan of the training, if it was made before; else it is made here.

    Raises
    ------
    ValueError
        As `set_data` does.
    """

    def __init__(
        self,
        network,
        images,
        targets,
        weights,
        *,
        optimizer,
        alpha,
        loss,
        batch_size,
        n_threads,
        state=None,
        augmentation=None,
        seed=0,
        n_drawn=None,
        plan=None,
    ):
        self.network = network
        self.loss = loss
        self.set_data(images, targets, weights)
        self.optimizer = optimizer
        self.alpha = alpha
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.augmentation = augmentation
        self.seed = seed
        self.state = state or OptimizerState(np.zeros((2, network.parameter_layout.size), np.float32))
        self.state.make_ready(network.parameter_layout.size)
        self.n_drawn = self.state.n_steps if n_drawn is None else n_drawn
        device = network.device
        if plan is None:
            plan = plan_training(network.architecture, network.parameter_layout, loss, batch_size, device.target)
        self._execution = device.execution(plan, network, n_threads, self.state.moments)

    def set_data(self, images, targets, weights):
        """Replace the images, targets and weights that the indices of `step` refer to.

        Raises
        ------
        ValueError
            If the images are not of the network's shape, the targets are none that the loss takes, there are not as
            many targets and weights as images, or a pixel is too far from the mean for float32. The kernels would read
            and write memory of others.
        """
        architecture, targets = self.network.architecture, np.ascontiguousarray(targets, self.loss.target_dtype)
        if images.shape != architecture.image_shape:
            raise ValueError(f"The images have the shape {images.shape}, and the network {architecture.image_shape}.")
        if not len(images) == len(targets) == len(weights):
            raise ValueError(f"There are {len(images)} images, {len(targets)} targets and {len(weights)} weights.")
        self.loss.check_targets(targets, architecture.n_classes)
        self.network.check_pixels(images)
        self.images = images
        self.targets = targets
        self.weights = np.ascontiguousarray(weights, np.float64)

    def forget_images(self):
        """Keep no reference to the images. Call `set_data` before the next step."""
        self.images = None
        self._execution.forget_images()

    def load(self, parameters, state, n_drawn):
        """Continue from other parameters and another state of the optimizer, which are copied.

        Parameters
        ----------
        parameters : ndarray of float32, (n,)
            In the order of the network's `parameter_layout`.
        state : OptimizerState or None
            None for a new one.
        n_drawn : int
            Steps whose numbers have been drawn from the seed before.

        Raises
        ------
        ValueError
            If the state belongs to a network with another number of parameters.
        """
        if state is not None:
            state.check_size(self.network.parameter_layout.size)
        self.network.parameters[:] = parameters
        self.state.moments[:] = 0 if state is None else state.moments
        self.state.n_steps = 0 if state is None else state.n_steps
        self.n_drawn = n_drawn
        self.refresh()

    def refresh(self):
        """Compute what depends on the parameters alone. Call it after they were set from outside."""
        self._execution.refresh()

    def step(self, indices, learning_rate):
        """Take one step: forward, backward, update.

        Parameters
        ----------
        indices : ndarray of int64, (m,)
            The images of the minibatch; m is at most the batch_size of the trainer.
        learning_rate : float
            Learning rate of this step.

        Returns
        -------
        StepOutcome
            Loss and score of the minibatch. If its weights are all 0, nothing is done, and both are 0.
        """
        (outcome,) = self.steps([indices], [learning_rate])
        return outcome

    def steps(self, batches, learning_rates):
        """Take one step after the other: forward, backward, update.

        A processor takes a step when its outcome is asked for. A GPU takes many at once, so that its outcomes come
        later than its steps.

        Parameters
        ----------
        batches : sequence of ndarray of int64, (m,)
            The images of each minibatch; m is at most the batch_size of the trainer.
        learning_rates : sequence of float
            The learning rate of each step.

        Yields
        ------
        StepOutcome
            Of each minibatch, as `step` returns it.
        """
        n_steps, n_drawn, before = self.state.n_steps, self.n_drawn, self._execution.n_taken
        images, targets, places = self._changed(batches)
        outcomes = self._execution.train(images, targets, self._minibatches(batches, places, learning_rates))
        try:
            for indices in batches:
                weights = self.weights[indices]
                yield _outcome(next(outcomes), weights) if weights.sum() > 0 else StepOutcome(0.0, 0.0)
        finally:
            outcomes.close()
            n_taken = self._execution.n_taken - before
            self.state.n_steps, self.n_drawn = n_steps + n_taken, n_drawn + n_taken

    def _changed(self, batches):
        """Return the images as functions change them, their targets, and the place of each minibatch among them."""
        augmentation = self.augmentation
        if augmentation is None or not augmentation.functions:
            return self.images, self.targets, batches
        drawn = self.n_drawn + np.cumsum([self.weights[indices].sum() > 0 for indices in batches])
        source = ChangedImages(self.images, batches, drawn, partial(augmentation.change, self.seed))
        places = np.split(np.arange(len(source)), np.cumsum([len(indices) for indices in batches])[:-1])
        return Images(source, self.images.shape), self.targets[np.concatenate(batches)], places

    def _minibatches(self, batches, places, learning_rates):
        """Yield the minibatches that have a weight."""
        step, drawn = self.state.n_steps, self.n_drawn
        for indices, place, rate in zip(batches, places, learning_rates, strict=True):
            weights = self.weights[indices]
            total = weights.sum()
            if total > 0:
                step, drawn = step + 1, drawn + 1
                rule = self.optimizer.rule(rate, self.alpha, step, len(indices))
                augmentation = self.augmentation
                warps = None if augmentation is None else augmentation.draw(self.seed, drawn, len(indices), weights)
                yield Minibatch(place, weights / total, rule, (self.seed, drawn), warps)


def _outcome(outcomes, weights):
    """Return the `StepOutcome` of a minibatch."""
    losses, scores = outcomes[:, Outcome.LOSS], outcomes[:, Outcome.SCORE]
    return StepOutcome(float(losses.sum()), float((weights * scores).sum() / weights.sum()))
