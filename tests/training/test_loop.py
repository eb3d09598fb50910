"""The loop with a trainer that does as it is told: the loss of each epoch is written in the test."""

import numpy as np
import pytest

from skconvnet.engine import StepOutcome
from skconvnet.training import (
    Adaptive,
    Batches,
    Constant,
    DivergenceError,
    Ending,
    History,
    Hooks,
    OneCycle,
    Plateau,
    Stopping,
    train,
)


class Network:
    """Two parameters, the first of which counts the steps."""

    def __init__(self):
        self.parameters = np.zeros(2)


class Trainer:
    """Gives each step the loss that a list has for its epoch, and notes batches and learning rates."""

    def __init__(self, network, losses, steps_per_epoch=1):
        self.network, self.losses, self.steps_per_epoch = network, losses, steps_per_epoch
        self.batches, self.rates = [], []

    def steps(self, batches, rates):
        yield from map(self.step, batches, rates)

    def step(self, batch, rate):
        loss = self.losses[len(self.batches) // self.steps_per_epoch]
        if isinstance(loss, BaseException):
            raise loss
        self.batches.append(batch.tolist())
        self.rates.append(rate)
        self.network.parameters[0] += 1
        return StepOutcome(loss, 1 / (1 + loss))


def batches_of(n, batch_size, shuffle=False, seed=0, weights=None):
    return Batches(np.arange(n), np.ones(n) if weights is None else weights, batch_size, shuffle, seed)


def run(losses, *, max_iter=None, patience=2, tol=0.0, **options):
    """Train on a single minibatch an epoch; return trainer, network and what `train` returns."""
    trainer = Trainer(Network(), losses)
    trained = follow(trainer, Stopping(max_iter or len(losses), tol, patience), **options)
    return trainer, trained


def follow(trainer, stopping, *, scores=None, schedule=None, early_stopping=False, history=None, best=None, **hooks):
    """Train on a single minibatch an epoch, with these scores from here on."""
    validate = None if scores is None else iter(scores).__next__
    history = history or History(stops_early=early_stopping)
    hooks = Hooks(validate, **hooks)
    return train(trainer, batches_of(4, 4), schedule or Constant(0.1), history, stopping, best=best, hooks=hooks)


def test_without_shuffle_the_order_is_that_of_the_images():
    trainer = Trainer(Network(), [1.0, 1.0], steps_per_epoch=2)
    train(trainer, batches_of(3, 2), Constant(1), History(), Stopping(2, 0, 9))
    assert trainer.batches == [[0, 1], [2]] * 2


def test_the_loss_of_an_epoch_is_the_weighted_mean():
    trainer = Trainer(Network(), [2.0, 5.0], steps_per_epoch=1)
    batches = batches_of(4, 2, weights=np.array([1.0, 0.5, 0.0, 0.5]))
    history = train(trainer, batches, Constant(1), History(), Stopping(1, 0, 9)).history
    assert history.loss_curve == [(2.0 * 1.5 + 5.0 * 0.5) / 2]
    assert history.accuracy_curve == [(1.5 / 3 + 0.5 / 6) / 2]


def test_the_learning_rate_of_an_epoch_is_the_mean_of_its_steps():
    history = train(
        Trainer(Network(), [1.0] * 3, steps_per_epoch=2),
        batches_of(4, 2),
        OneCycle(1.0, 6),
        History(),
        Stopping(3, 0, 9),
    ).history
    rates = [OneCycle(1.0, 6).at(step) for step in range(6)]
    assert history.learning_rates == pytest.approx(np.reshape(rates, (3, 2)).mean(axis=1))


def test_max_iter_ends_a_training_that_improves():
    _, trained = run([3.0, 2.0, 1.0])
    assert trained.ending is Ending.MAX_ITER
    assert trained.history.loss_curve == [3.0, 2.0, 1.0]
    assert (trained.history.n_epochs, trained.history.n_images) == (3, 12)
    assert trained.parameters[0] == 3


def test_a_plateau_of_more_than_patience_epochs_ends_it():
    # The best is 1.0 in the second epoch; three epochs in a row do not beat it by 0.1: one more than patience.
    _, trained = run([2.0, 1.0, 0.95, 1.5, 0.91, 0.1, 0.1], patience=2, tol=0.1)
    assert trained.ending is Ending.PLATEAU
    assert trained.history.n_epochs == 5
    assert trained.history.plateau.best == 0.91
    assert trained.parameters[0] == 5  # without early stopping the last weights stay


def test_an_improvement_starts_the_count_anew():
    _, trained = run([2.0, 2.0, 2.0, 1.0, 1.0, 1.0], patience=2)
    # Equal to the best is no improvement on it, unless tol is 0, as in MLPClassifier.
    assert trained.ending is Ending.MAX_ITER
    _, trained = run([2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0], patience=2, tol=1e-9)
    assert (trained.ending, trained.history.n_epochs) == (Ending.PLATEAU, 7)


def test_adaptive_lowers_the_rate_at_a_plateau_and_goes_on():
    trainer, trained = run([1.0] * 8, patience=2, tol=0.1, schedule=Adaptive(1.0))
    assert trained.ending is Ending.MAX_ITER
    np.testing.assert_allclose(trainer.rates, [1.0] * 4 + [0.2] * 3 + [0.04])


def test_early_stopping_restores_the_weights_of_the_best_score():
    _, trained = run(
        [5.0, 4.0, 3.0, 2.0, 1.0], scores=[0.5, 0.8, 0.7, 0.6, 0.6], early_stopping=True, patience=1, tol=0.01
    )
    assert trained.ending is Ending.PLATEAU
    assert trained.history.validation_scores == [0.5, 0.8, 0.7, 0.6]
    assert trained.history.plateau.best == -0.8
    assert trained.parameters[0] == 2


def test_scores_without_early_stopping_are_only_written_down():
    _, trained = run([3.0, 2.0, 1.0], scores=[0.9, 0.5, 0.1], patience=1)
    assert trained.ending is Ending.MAX_ITER
    assert trained.history.validation_scores == [0.9, 0.5, 0.1]
    assert trained.parameters[0] == 3


def test_an_interrupt_keeps_what_was_reached():
    _, trained = run([3.0, 2.0, KeyboardInterrupt()])
    assert trained.ending is Ending.INTERRUPTED
    assert trained.history.loss_curve == [3.0, 2.0]
    assert trained.parameters[0] == 2


def test_an_interrupt_under_early_stopping_restores_the_best():
    _, trained = run([3.0, 2.0, 1.0, KeyboardInterrupt()], scores=[0.9, 0.5, 0.6], early_stopping=True, patience=9)
    assert trained.ending is Ending.INTERRUPTED
    assert trained.parameters[0] == 1


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_divergence_names_the_place_and_goes_back_to_the_last_finite_weights(loss):
    _, trained = run([3.0, 1.0, 2.0, loss])
    assert trained.ending is Ending.DIVERGED
    assert trained.parameters[0] == 3
    message = str(trained.error)
    assert message.startswith(f"The loss is {loss} in epoch 4, step 1 of 1, at a learning rate of 0.1.")
    assert "Try a smaller learning_rate_init or alpha, and look for outliers in X or y." in message
    assert message.endswith("The estimator keeps the finite weights of before.")


def test_divergence_under_early_stopping_goes_back_to_the_best_weights():
    _, trained = run([3.0, 2.0, 1.0, np.nan], scores=[0.5, 0.8, 0.7], early_stopping=True)
    assert trained.ending is Ending.DIVERGED
    assert trained.parameters[0] == 2


@pytest.mark.parametrize(
    ("loss", "error"), [(np.nan, DivergenceError), (KeyboardInterrupt(), KeyboardInterrupt)], ids=repr
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_what_ends_the_first_epoch_is_raised(loss, error, early_stopping):
    with pytest.raises(error):
        run([loss], scores=[0.5], early_stopping=early_stopping)


def test_a_last_step_that_makes_a_weight_infinite_is_divergence():
    class Overflow(Trainer):
        def step(self, batch, rate):
            outcome = super().step(batch, rate)
            if len(self.batches) == 4:
                self.network.parameters[1] = np.inf
            return outcome

    trainer = Overflow(Network(), [2.0, 1.0], steps_per_epoch=2)
    trained = train(trainer, batches_of(4, 2), Constant(0.5), History(), Stopping(2, 0, 9))
    assert trained.ending is Ending.DIVERGED
    assert "A weight is no longer finite in epoch 2, step 2 of 2, at a learning rate of 0.5" in str(trained.error)
    assert np.isfinite(trained.parameters).all()
    assert trained.history.loss_curve == [2.0]


def test_another_floating_point_error_is_no_divergence():
    """As NumPy raises where its user has asked for it."""
    with pytest.raises(FloatingPointError, match="underflow"):
        run([2.0, FloatingPointError("underflow")])


def test_a_longer_history_is_resumed():
    history = History([1.0], [0.25], n_images=4, plateau=Plateau(1.0, count=2))
    _, trained = run([1.0, 1.0], tol=0.1, history=history)
    assert trained.ending is Ending.PLATEAU
    assert trained.history.loss_curve == [1.0, 1.0]
    assert (trained.history.n_epochs, trained.history.n_images) == (1, 8)
    assert history.loss_curve == [1.0]  # what was handed out stays as it was


def test_early_stopping_keeps_the_weights_that_are_resumed_until_a_score_is_better():
    history = History([1.0], [0.5], [0.7], plateau=Plateau(-0.7), stops_early=True)
    _, trained = run([1.0, 1.0], scores=[0.6, 0.65], history=history)
    assert trained.parameters[0] == 0
    _, trained = run([1.0, 1.0], scores=[0.8, 0.65], history=history)
    assert trained.parameters[0] == 1


def test_every_epoch_is_reported():
    reported = []
    run([3.0, 2.0], report=lambda *epoch: reported.append(epoch))
    assert [history.loss_curve[-1] for history, _ in reported] == [3.0, 2.0]
    assert all(images_per_second > 0 for _, images_per_second in reported)


def test_what_follows_an_epoch_is_called_when_all_is_decided_about_it():
    seen = []

    def note(history, best):
        seen.append((len(history.loss_curve), history.plateau.count, history.n_plateaus, best[0]))

    run([1.0] * 5, patience=1, tol=0.1, schedule=Adaptive(1.0), after_epoch=note)
    assert seen == [(1, 0, 0, 1), (2, 1, 0, 2), (3, 0, 1, 3), (4, 1, 1, 4), (5, 0, 2, 5)]


def test_what_precedes_an_epoch_is_called_with_what_the_one_before_left():
    seen = []
    run([3.0, 2.0], before_epoch=lambda history, best: seen.append((history.n_epochs, best[0])))
    assert seen == [(0, 0), (1, 1)]


def test_what_follows_an_epoch_may_stop_the_training():
    _, trained = run([3.0, 2.0, 1.0], after_epoch=lambda history, best: history.n_epochs == 2)
    assert trained.ending is Ending.STOPPED
    assert trained.history.loss_curve == [3.0, 2.0]
    assert trained.parameters[0] == 2


def test_a_stop_under_early_stopping_restores_the_best():
    stop = {"after_epoch": lambda history, best: history.n_epochs == 3}
    _, trained = run([3.0, 2.0, 1.0, 0.5], scores=[0.5, 0.9, 0.8, 1.0], early_stopping=True, **stop)
    assert trained.ending is Ending.STOPPED
    assert trained.parameters[0] == 2


@pytest.mark.parametrize("schedule", [Constant(1.0), Adaptive(1.0)], ids=repr)
@pytest.mark.parametrize("cut", range(1, 9))
def test_a_training_that_was_cut_off_goes_on_where_it_was(schedule, cut):
    """Scores whose best is the second; a plateau ends the training, or lowers its rate more than once."""
    scores = [0.5, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    options = {"schedule": schedule, "early_stopping": True}
    stopping = Stopping(8, 0.0, 1)
    whole = Trainer(Network(), [1.0] * 8)
    expected = follow(whole, stopping, scores=scores, **options)
    kept = []

    def cut_off(history, best):
        if history.n_epochs == cut:
            kept.append((history, best.copy(), first.network.parameters.copy()))

    first = Trainer(Network(), [1.0] * 8)
    follow(first, stopping, scores=scores, after_epoch=cut_off, **options)
    if not kept:  # it was over before
        assert expected.history.n_epochs < cut
        return
    ((history, best, parameters),) = kept
    second = Trainer(Network(), [1.0] * 8)
    second.network.parameters[:] = parameters
    resumed = follow(second, stopping, scores=scores[cut:], history=history, best=best, **options)
    assert second.rates == whole.rates[cut:]
    assert np.array_equal(resumed.parameters, expected.parameters)
    assert (resumed.history, resumed.ending) == (expected.history, expected.ending)
