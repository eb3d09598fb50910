"""Training steps that do what a test wants: raise an error, diverge, or take notes."""

import numpy as np

from skconvnet.engine import Trainer

_STEPS = Trainer.steps


def _taking(monkeypatch, before=lambda trainer: None, after=lambda trainer, outcome: outcome):
    """Call a function before each step, and have another one change its outcome."""

    def steps(trainer, batches, learning_rates):
        for step in zip(batches, learning_rates, strict=True):
            before(trainer)
            (outcome,) = _STEPS(trainer, *([one] for one in step))
            yield after(trainer, outcome)

    monkeypatch.setattr(Trainer, "steps", steps)


def interrupt_at(n_steps, monkeypatch, error=KeyboardInterrupt):
    """Have the step after so many steps of the optimizer raise an error."""

    def before(trainer):
        if trainer.state.n_steps == n_steps:
            raise error

    _taking(monkeypatch, before)


def diverge_at(n_steps, monkeypatch):
    """Have this step of the optimizer report a loss of NaN."""

    def after(trainer, outcome):
        return outcome._replace(loss=np.nan) if trainer.state.n_steps == n_steps else outcome

    _taking(monkeypatch, after=after)


def note_steps(monkeypatch):
    """Return a list to which each step adds (seed, number of the draw, number of the optimizer's step)."""
    notes = []

    def after(trainer, outcome):
        notes.append((trainer.seed, trainer.n_drawn, trainer.state.n_steps))
        return outcome

    _taking(monkeypatch, after=after)
    return notes
