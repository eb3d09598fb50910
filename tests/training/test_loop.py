"""The loop with a trainer that does as it is told: the loss of each epoch is written in the test."""

import copy

import numpy as np
import pytest

from skconvnet.engine import Outcome
from skconvnet.training import Adaptive, Batches, Constant, Ending, History, Plateau, train


class Network:
    """Two parameters, the first of which counts the steps."""

    def __init__(self):
        self.parameters = np.zeros(2)


class Trainer:
    """Gives each step the loss that a list has for its epoch, and notes batches and learning rates."""

    def __init__(self, network, losses, steps_per_epoch=1):
        self.network, self.losses, self.steps_per_epoch = network, losses, steps_per_epoch
        self.batches, self.rates = [], []

    def step(self, batch, rate):
        loss = self.losses[len(self.batches) // self.steps_per_epoch]
        if isinstance(loss, BaseException):
            raise loss
        self.batches.append(batch.tolist())
        self.rates.append(rate)
        self.network.parameters[0] += 1
        return Outcome(loss, 1 / (1 + loss))


def batches_of(n, batch_size, shuffle=False, seed=0, weights=None):
    return Batches(np.arange(n), np.ones(n) if weights is None else weights, batch_size, shuffle, seed)


def run(losses, *, max_iter=None, patience=2, tol=0.0, scores=None, **options):
    """Train on a single minibatch an epoch; return trainer, network and history."""
    network = Network()
    trainer = Trainer(network, losses)
    history = History(Plateau(tol, patience))
    follow(trainer, scores, history, max_iter=max_iter or len(losses), **options)
    return trainer, network, history


def follow(trainer, scores, history, *, schedule=None, **options):
    """Train on a single minibatch an epoch, with these scores from here on."""
    scores = None if scores is None else iter(scores)
    validate = scores and (lambda: next(scores))
    train(trainer, batches_of(4, 4), schedule or Constant(0.1), history, validate=validate, **options)


def test_without_shuffle_the_order_is_that_of_the_images():
    network = Network()
    trainer = Trainer(network, [1.0, 1.0], steps_per_epoch=2)
    train(trainer, batches_of(3, 2), Constant(1), History(Plateau(0, 9)), max_iter=2)
    assert trainer.batches == [[0, 1], [2]] * 2


def test_the_loss_of_an_epoch_is_the_weighted_mean():
    network = Network()
    trainer = Trainer(network, [2.0, 5.0], steps_per_epoch=1)
    batches = batches_of(4, 2, weights=np.array([1.0, 0.5, 0.0, 0.5]))
    history = train(trainer, batches, Constant(1), History(Plateau(0, 9)), max_iter=1)
    assert history.loss_curve == [(2.0 * 1.5 + 5.0 * 0.5) / 2]
    assert history.accuracy_curve == [(1.5 / 3 + 0.5 / 6) / 2]


def test_max_iter_ends_a_training_that_improves():
    _, network, history = run([3.0, 2.0, 1.0])
    assert history.ending is Ending.MAX_ITER
    assert history.loss_curve == [3.0, 2.0, 1.0]
    assert (history.n_epochs, history.n_steps, history.n_images) == (3, 3, 12)
    assert network.parameters[0] == 3
    assert history.images_per_second > 0


def test_a_plateau_of_more_than_patience_epochs_ends_it():
    # The best is 1.0 in the second epoch; three epochs in a row do not beat it by 0.1: one more than patience.
    _, network, history = run([2.0, 1.0, 0.95, 1.5, 0.91, 0.1, 0.1], patience=2, tol=0.1)
    assert history.ending is Ending.PLATEAU
    assert history.n_epochs == 5
    assert history.plateau.best == 0.91
    assert network.parameters[0] == 5  # without early stopping the last weights stay


def test_an_improvement_starts_the_count_anew():
    _, _, history = run([2.0, 2.0, 2.0, 1.0, 1.0, 1.0], patience=2)
    # Equal to the best is no improvement on it, unless tol is 0, as in MLPClassifier.
    assert history.ending is Ending.MAX_ITER
    _, _, history = run([2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0], patience=2, tol=1e-9)
    assert (history.ending, history.n_epochs) == (Ending.PLATEAU, 7)


def test_adaptive_lowers_the_rate_at_a_plateau_and_goes_on():
    trainer, _, history = run([1.0] * 8, patience=2, tol=0.1, schedule=Adaptive(1.0))
    assert history.ending is Ending.MAX_ITER
    np.testing.assert_allclose(trainer.rates, [1.0] * 4 + [0.2] * 3 + [0.04])


def test_early_stopping_restores_the_weights_of_the_best_score():
    _, network, history = run(
        [5.0, 4.0, 3.0, 2.0, 1.0], scores=[0.5, 0.8, 0.7, 0.6, 0.6], early_stopping=True, patience=1, tol=0.01
    )
    assert history.ending is Ending.PLATEAU
    assert history.validation_scores == [0.5, 0.8, 0.7, 0.6]
    assert history.plateau.best == -0.8
    assert network.parameters[0] == 2


def test_scores_without_early_stopping_are_only_written_down():
    _, network, history = run([3.0, 2.0, 1.0], scores=[0.9, 0.5, 0.1], patience=1)
    assert history.ending is Ending.MAX_ITER
    assert history.validation_scores == [0.9, 0.5, 0.1]
    assert network.parameters[0] == 3


def test_an_interrupt_keeps_what_was_reached():
    _, network, history = run([3.0, 2.0, KeyboardInterrupt()])
    assert history.ending is Ending.INTERRUPTED
    assert history.loss_curve == [3.0, 2.0]
    assert network.parameters[0] == 2


def test_an_interrupt_under_early_stopping_restores_the_best():
    _, network, history = run(
        [3.0, 2.0, 1.0, KeyboardInterrupt()], scores=[0.9, 0.5, 0.6], early_stopping=True, patience=9
    )
    assert history.ending is Ending.INTERRUPTED
    assert network.parameters[0] == 1


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_divergence_names_the_place_and_goes_back_to_the_last_finite_weights(loss):
    _, network, history = run([3.0, 1.0, 2.0, loss])
    assert history.ending is Ending.DIVERGED
    assert network.parameters[0] == 3
    message = str(history.error)
    assert message.startswith(f"The loss is {loss} in epoch 4, step 1 of 1, at a learning rate of 0.1.")
    assert "Try a smaller learning_rate_init, and look for outliers in X." in message
    assert message.endswith("The estimator keeps the finite weights of before.")


def test_divergence_under_early_stopping_goes_back_to_the_best_weights():
    _, network, history = run([3.0, 2.0, 1.0, np.nan], scores=[0.5, 0.8, 0.7], early_stopping=True)
    assert history.ending is Ending.DIVERGED
    assert network.parameters[0] == 2


def test_divergence_in_the_first_epoch_goes_back_to_the_initial_weights():
    _, network, history = run([np.nan])
    assert history.ending is Ending.DIVERGED
    assert history.loss_curve == []
    assert network.parameters[0] == 0


def test_a_last_step_that_makes_a_weight_infinite_is_divergence():
    class Overflow(Trainer):
        def step(self, batch, rate):
            outcome = super().step(batch, rate)
            if len(self.batches) == 4:
                self.network.parameters[1] = np.inf
            return outcome

    network = Network()
    trainer = Overflow(network, [2.0, 1.0], steps_per_epoch=2)
    history = train(trainer, batches_of(4, 2), Constant(0.5), History(Plateau(0, 9)), max_iter=2)
    assert history.ending is Ending.DIVERGED
    assert "A weight is no longer finite in epoch 2, step 2 of 2, at a learning rate of 0.5" in str(history.error)
    assert np.isfinite(network.parameters).all()
    assert history.loss_curve == [2.0]


def test_another_floating_point_error_is_no_divergence():
    """As NumPy raises where its user has asked for it."""
    with pytest.raises(FloatingPointError, match="underflow"):
        run([2.0, FloatingPointError("underflow")])


def test_a_longer_history_goes_on():
    network, plateau = Network(), Plateau(0.1, 2, best=1.0, count=2)
    history = History(plateau, loss_curve=[1.0], accuracy_curve=[0.25], n_images=4)
    train(Trainer(network, [1.0, 1.0]), batches_of(4, 4), Constant(1), history, max_iter=2)
    assert history.ending is Ending.PLATEAU
    assert history.loss_curve == [1.0, 1.0]
    assert (history.n_epochs, history.n_images) == (1, 8)


def test_every_epoch_is_reported():
    reported = []
    run([3.0, 2.0], report=lambda history: reported.append(history.loss_curve[-1]))
    assert reported == [3.0, 2.0]


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
    _, network, history = run([3.0, 2.0, 1.0], after_epoch=lambda history, best: history.n_epochs == 2)
    assert history.ending is Ending.STOPPED
    assert history.loss_curve == [3.0, 2.0]
    assert network.parameters[0] == 2


def test_a_stop_under_early_stopping_restores_the_best():
    stop = {"after_epoch": lambda history, best: history.n_epochs == 3}
    _, network, history = run([3.0, 2.0, 1.0, 0.5], scores=[0.5, 0.9, 0.8, 1.0], early_stopping=True, **stop)
    assert history.ending is Ending.STOPPED
    assert network.parameters[0] == 2


@pytest.mark.parametrize("schedule", [Constant(1.0), Adaptive(1.0)], ids=repr)
@pytest.mark.parametrize("cut", range(1, 9))
def test_a_training_that_was_cut_off_goes_on_where_it_was(schedule, cut):
    """Scores whose best is the second; a plateau ends the training, or lowers its rate more than once."""
    scores = [0.5, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    options = {"max_iter": 8, "schedule": schedule, "early_stopping": True}
    whole, whole_network, expected = run([1.0] * 8, scores=scores, patience=1, **options)
    kept = []

    def cut_off(history, best):
        if history.n_epochs == cut:
            kept.append((copy.deepcopy(history), best.copy(), first.network.parameters.copy()))

    first = Trainer(Network(), [1.0] * 8)
    follow(first, scores, History(Plateau(0.0, 1)), after_epoch=cut_off, **options)
    if not kept:  # it was over before
        assert expected.n_epochs < cut
        return
    ((history, best, parameters),) = kept
    second = Trainer(Network(), [1.0] * 8)
    second.network.parameters[:] = parameters
    follow(second, scores[cut:], history, best=best, **options)
    assert second.rates == whole.rates[cut:]
    assert np.array_equal(second.network.parameters, whole_network.parameters)
    assert (history.loss_curve, history.validation_scores) == (expected.loss_curve, expected.validation_scores)
    assert (history.plateau, history.n_plateaus) == (expected.plateau, expected.n_plateaus)
    assert (history.n_epochs, history.n_steps, history.ending) == (expected.n_epochs, expected.n_steps, expected.ending)
