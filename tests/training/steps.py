"""Training steps that do what a test wants: raise an error, diverge, or take notes."""

import numpy as np

from skconvnet.engine import Trainer

_STEP = Trainer.step


def interrupt_at(n_steps, monkeypatch, error=KeyboardInterrupt):
    """Have the step after so many steps of the optimizer raise an error."""

    def step(trainer, indices, learning_rate):
        if trainer.state.n_steps == n_steps:
            raise error
        return _STEP(trainer, indices, learning_rate)

    monkeypatch.setattr(Trainer, "step", step)


def diverge_at(n_steps, monkeypatch):
    """Have this step of the optimizer report a loss of NaN."""

    def step(trainer, indices, learning_rate):
        outcome = _STEP(trainer, indices, learning_rate)
        return outcome._replace(loss=np.nan) if trainer.state.n_steps == n_steps else outcome

    monkeypatch.setattr(Trainer, "step", step)


def note_steps(monkeypatch):
    """Return a list to which each step adds (seed, number of the draw, number of the optimizer's step)."""
    notes = []

    def step(trainer, indices, learning_rate):
        outcome = _STEP(trainer, indices, learning_rate)
        notes.append((trainer.seed, trainer.n_drawn, trainer.state.n_steps))
        return outcome

    monkeypatch.setattr(Trainer, "step", step)
    return notes
