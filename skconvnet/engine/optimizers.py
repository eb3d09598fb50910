"""Optimizers as settings and state. The arithmetic is in `cpu.kernels.optimizer`."""

from dataclasses import dataclass

import numpy as np

from skconvnet.engine.program.instructions import Rule

__all__ = ["SGD", "Adam", "OptimizerState"]


@dataclass
class OptimizerState:
    """The state that an optimizer keeps between steps.

    Parameters
    ----------
    moments : ndarray of float32, (2, n)
        Running means of the gradient and of its square, or the velocity and nothing, in the plan's parameter order.
    n_steps : int
        Steps taken.
    """

    moments: np.ndarray
    n_steps: int = 0

    def check_size(self, size):
        """Raise a ValueError if these are not the moments of `size` parameters, as those of another version may be."""
        if self.moments.shape != (2, size):
            raise ValueError(
                f"The optimizer's state has {self.moments.shape[-1]:,} numbers and the network has {size:,} parameters "
                "as this version lays them out, so training cannot continue. Fit again with warm_start=False."
            )

    def make_ready(self, size):
        """Check the size, and copy moments that cannot be written, such as a memory map that joblib has opened."""
        self.check_size(size)
        self.moments = np.require(self.moments, np.float32, ["C", "A", "W"])


@dataclass(frozen=True)
class Adam:
    """Adam with decoupled weight decay (D. Kingma and J. Ba, 2015; I. Loshchilov and F. Hutter, 2019).

    Parameters
    ----------
    beta_1, beta_2 : float
        Decay rates of the two moments.
    epsilon : float
        Added to the root of the second moment.
    body_rate : float
        The learning rate of blocks that belong to the body, as a part of that of the others.

    Examples
    --------
    >>> Adam().beta_2
    0.999
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    body_rate: float = 1.0

    def rule(self, learning_rate, alpha, step, n_samples):
        """Return the numbers of step `step`, counted from 1: float64 with the columns of `Rule`.

        Weights decay by the fraction learning_rate * `alpha`. Adam does not use `n_samples`.
        """
        rule = np.zeros(len(Rule))
        rule[Rule.ADAM] = 1
        rule[Rule.RATE] = learning_rate / (1 - self.beta_1**step)
        rule[Rule.DECAY] = learning_rate * alpha
        rule[Rule.BODY_RATE], rule[Rule.BODY_DECAY] = self.body_rate * rule[[Rule.RATE, Rule.DECAY]]
        rule[Rule.BETA_1], rule[Rule.BETA_2], rule[Rule.EPSILON] = self.beta_1, self.beta_2, self.epsilon
        rule[Rule.DEBIAS] = 1 / np.sqrt(1 - self.beta_2**step)
        return rule


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum, as `sklearn.neural_network.MLPClassifier` defines it.

    Parameters
    ----------
    momentum : float
        The part of the velocity that is kept.
    nesterov : bool
        Whether the gradient is evaluated after the velocity's next step.
    body_rate : float
        As in `Adam`. The part of the weights that is added to the gradient is the same for all blocks.

    Examples
    --------
    >>> SGD(nesterov=False).momentum
    0.9
    """

    momentum: float = 0.9
    nesterov: bool = True
    body_rate: float = 1.0

    def rule(self, learning_rate, alpha, step, n_samples):
        """Return the numbers of a step: float64 with the columns of `Rule`.

        `alpha` / `n_samples` times the weights is added to the gradient. SGD does not use `step`.
        """
        rule = np.zeros(len(Rule))
        rule[Rule.RATE], rule[Rule.DECAY] = learning_rate, alpha / n_samples
        rule[Rule.BODY_RATE], rule[Rule.BODY_DECAY] = self.body_rate * learning_rate, rule[Rule.DECAY]
        rule[Rule.BETA_1], rule[Rule.NESTEROV] = self.momentum, self.nesterov
        return rule
