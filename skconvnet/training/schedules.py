"""Schedules of the learning rate.

Each schedule has two methods. ``at(step)`` returns the learning rate of a step, counted from 0 at the beginning of the
training. ``after_plateau()`` returns the schedule to continue with when the loss no longer improves, or None to stop.
"""

from dataclasses import dataclass, replace
from math import cos, pi

import numpy as np


@dataclass(frozen=True)
class Constant:
    """The same learning rate for every step.

    Parameters
    ----------
    rate : float
        The learning rate, > 0.

    Examples
    --------
    >>> Constant(0.1).at(1000)
    0.1
    """

    rate: float

    def at(self, step):
        """Return the learning rate of this step."""
        return self.rate

    def after_plateau(self):
        """Return None: a plateau ends the training."""
        return None


@dataclass(frozen=True)
class Adaptive:
    """A learning rate that is divided by five at a plateau, as in ``MLPClassifier(learning_rate="adaptive")``.

    Parameters
    ----------
    rate : float
        The learning rate before the next plateau, > 0.

    Examples
    --------
    >>> Adaptive(0.1).after_plateau()
    Adaptive(rate=0.02)
    >>> print(Adaptive(1e-6).after_plateau())
    None
    """

    rate: float

    def at(self, step):
        """Return the learning rate of this step."""
        return self.rate

    def after_plateau(self):
        """Return the schedule with a fifth of the rate; None, which ends training, if the rate is 1e-6 or less."""
        return replace(self, rate=self.rate / 5) if self.rate > 1e-6 else None


@dataclass(frozen=True)
class InvScaling:
    """A learning rate that falls with the images seen, as in ``MLPClassifier(learning_rate="invscaling")``.

    In an epoch that begins after t images, the rate is ``rate / (t + 1) ** power``.

    Parameters
    ----------
    rate : float
        The learning rate of the first epoch, > 0.
    power : float
        The exponent, >= 0.
    n_seen : int
        Images that the network was trained on before step 0, counted each time they were seen.
    n_images, n_steps : int
        The images of an epoch, and its steps.

    Examples
    --------
    >>> schedule = InvScaling(0.1, power=0.5, n_seen=0, n_images=99, n_steps=2)
    >>> schedule.at(1), schedule.at(2)
    (0.1, 0.01)
    """

    rate: float
    power: float
    n_seen: int
    n_images: int
    n_steps: int

    def at(self, step):
        """Return the learning rate of this step."""
        n_images = self.n_seen + step // self.n_steps * self.n_images
        with np.errstate(over="ignore"):  # the rate is then 0
            return float(self.rate / np.float64(n_images + 1) ** self.power)

    def after_plateau(self):
        """Return None: a plateau ends the training."""
        return None


@dataclass(frozen=True)
class OneCycle:
    """One cycle: half a cosine up to the peak, then half a cosine down to zero.

    The rate of a step is that of its middle, so that a training of a single step has a rate above zero.

    Parameters
    ----------
    peak : float
        The highest learning rate, > 0.
    n_steps : int
        Number of steps of the training, >= 1.
    warm_up : float, default=0.3
        The part of the training in which the rate rises, between 0 and 1.
    start : float, default=0.04
        The rate at the beginning of the warm-up, as a fraction of the peak.

    References
    ----------
    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    2017, arXiv:1708.07120. The defaults and the cosines are those of PyTorch's ``OneCycleLR``.

    Examples
    --------
    >>> cycle = OneCycle(peak=1.0, n_steps=10)
    >>> [round(cycle.at(step), 3) for step in range(10)]
    [0.104, 0.52, 0.936, 0.987, 0.891, 0.717, 0.5, 0.283, 0.109, 0.013]
    """

    peak: float
    n_steps: int
    warm_up: float = 0.3
    start: float = 0.04

    def at(self, step):
        """Return the learning rate of this step; steps after the last have the rate of the last."""
        done = (min(step, self.n_steps - 1) + 0.5) / self.n_steps
        if done < self.warm_up:
            return self.peak * _half_cosine(self.start, 1, done / self.warm_up)
        return self.peak * _half_cosine(1, 0, (done - self.warm_up) / (1 - self.warm_up))

    def after_plateau(self):
        """Return None: a plateau ends the training."""
        return None


def _half_cosine(begin, end, part):
    """Return half a cosine that is `begin` at part 0 and `end` at part 1."""
    return end + (begin - end) * (1 + cos(pi * part)) / 2


def make_schedule(learning_rate, learning_rate_init, n_steps):
    """Make the schedule with this name.

    Parameters
    ----------
    learning_rate : {"constant", "adaptive", "one-cycle"}
        The name. "invscaling" needs the images of all calls: see `InvScaling`.
    learning_rate_init : float
        The initial rate; the peak of one-cycle.
    n_steps : int
        Number of steps of the training, which only one-cycle uses.

    Returns
    -------
    Constant, Adaptive or OneCycle
    """
    match learning_rate:
        case "constant":
            return Constant(learning_rate_init)
        case "adaptive":
            return Adaptive(learning_rate_init)
        case "one-cycle":
            return OneCycle(learning_rate_init, n_steps)
    raise ValueError(f"learning_rate={learning_rate!r} must be 'constant', 'adaptive' or 'one-cycle'")
