"""The trainer: minibatch steps on a network's parameters."""

from typing import NamedTuple

import numpy as np

from skconvnet.engine.cpu.execution import Execution
from skconvnet.engine.images import NO_IMAGES
from skconvnet.engine.optimizers import OptimizerState
from skconvnet.engine.plan.plan import plan_training
from skconvnet.engine.program.instructions import Segment, Work
from skconvnet.engine.program.memory import aligned_zeros

__all__ = ["Outcome", "Trainer"]

_TURN = np.array([[Work.TURN, 0, 0]], np.int64)
assert len(Segment) == _TURN.shape[1]


class Outcome(NamedTuple):
    """What a step found on its minibatch, before the update.

    Parameters
    ----------
    loss, accuracy : float
        Weighted means over the minibatch, as it was augmented, with what DROPOUT left of the network.
    """

    loss: float
    accuracy: float


class Trainer:
    """Takes training steps on a network.

    Parameters
    ----------
    network : Network
        Its parameters are updated in place by every step.
    images : Images
        All training images.
    targets : ndarray of int64, (n,)
        Their class indices.
    weights : ndarray of shape (n,)
        Their weights in the loss.
    optimizer : Adam or SGD
        The rule of a step.
    alpha : float
        Weight decay: with Adam, weights shrink by the fraction learning_rate * alpha a step; with SGD,
        alpha / (samples in the minibatch) times the weights joins the gradient. Biases are left alone.
    label_smoothing : float
        Share of a target that is spread over all classes.
    batch_size : int
        Samples in the largest minibatch.
    n_threads : int
        Threads to use; the steps' results do not depend on it.
    state : OptimizerState, optional
        To go on from; it is updated in place.
    augmentation : object, optional
        Its ``draw(seed, step, n)`` gives the warps of a step's images, (n, columns of `Warp`).
    seed : int
        Decides what DROPOUT draws, and how images are augmented.
    n_drawn : int, optional
        Steps that have drawn from this seed before: other draws than theirs are made. By default those of the state.

    Raises
    ------
    ValueError
        If a pixel is too far from the mean for float32.
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
        label_smoothing,
        batch_size,
        n_threads,
        state=None,
        augmentation=None,
        seed=0,
        n_drawn=None,
    ):
        network.check_pixels(images)
        self.network = network
        self.images = images
        self.targets = np.ascontiguousarray(targets, np.int64)
        self.weights = np.ascontiguousarray(weights, np.float64)
        self.optimizer = optimizer
        self.alpha = alpha
        self.label_smoothing = label_smoothing
        self.n_threads = n_threads
        self.augmentation = augmentation
        self.seed = seed
        self.state = state or OptimizerState(np.zeros((2, network.layout.size), np.float32))
        self.state.make_ready(network.layout.size)
        self.n_drawn = self.state.n_steps if n_drawn is None else n_drawn
        plan = plan_training(network.architecture, network.layout, batch_size)
        memory = aligned_zeros(plan.memory(n_threads))
        self._execution = Execution(plan, network, memory, n_threads, self.state.moments)
        self.refresh()

    def refresh(self):
        """Write the transposed weights anew: to be called when the network's parameters were set from outside."""
        self._execution.run(NO_IMAGES, segments=_TURN)

    def step(self, indices, learning_rate):
        """Take one step: forward, backward, update.

        Parameters
        ----------
        indices : ndarray of int64, (m,)
            The minibatch's images; m is at most the trainer's batch_size.
        learning_rate : float
            Of this step.

        Returns
        -------
        Outcome
            Of the minibatch. With no weight in it nothing is done, and both numbers are 0.
        """
        weights = self.weights[indices]
        total = weights.sum()
        if total == 0:
            return Outcome(0.0, 0.0)
        self.state.n_steps += 1
        self.n_drawn += 1
        losses, right = np.empty((2, len(indices)))
        self._execution.run(
            self.images.source(indices),
            targets=self.targets[indices],
            weights=weights / total,
            losses=losses,
            right=right,
            rule=self._rule(learning_rate, len(indices)),
            draw=(self.seed, self.n_drawn),
            **self._warps(len(indices)),
        )
        return Outcome(float(losses.sum()), float((weights * right).sum() / total))

    def _warps(self, n_images):
        if self.augmentation is None:
            return {}
        return {"warps": self.augmentation.draw(self.seed, self.n_drawn, n_images)}

    def _rule(self, learning_rate, n_samples):
        rule = self.optimizer.rule(learning_rate, self.alpha, self.state.n_steps, n_samples)
        rule[-1] = self.label_smoothing
        return rule
