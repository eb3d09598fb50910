"""The history of a training, and what another fit makes of it."""

from math import inf

import pytest

from skconvnet.training import History, Plateau

EPOCHS = [(0.9, 0.5, 0.6), (0.7, 0.6, 0.8), (0.8, 0.7, 0.7)]  # loss, accuracy and score


def history_of(epochs, stops_early=False):
    history = History(stops_early=stops_early)
    for loss, accuracy, score in epochs:
        history = history.after_epoch(loss, accuracy, n_images=10, tol=0.01, score=score)
    return history


def test_an_epoch_makes_a_new_history():
    before = history_of(EPOCHS[:2])
    after = before.after_epoch(*EPOCHS[2][:2], n_images=10, tol=0.01, score=0.7)
    assert (before.loss_curve, before.n_epochs, before.n_images) == ([0.9, 0.7], 2, 20)
    assert (after.loss_curve, after.accuracy_curve, after.validation_scores) == tuple(
        map(list, zip(*EPOCHS, strict=True))
    )
    assert (after.n_epochs, after.n_images, after.plateau) == (3, 30, Plateau(0.7, 1))


def test_the_plateau_is_one_of_the_score_under_early_stopping():
    assert history_of(EPOCHS, stops_early=True).plateau == Plateau(-0.8, 1)


def test_a_plateau_is_counted():
    history = history_of(EPOCHS)
    assert history.after_plateau(continues=False).plateau.count == 1
    assert history.after_plateau(continues=True).plateau == Plateau(0.7, 0)
    assert history.after_plateau(continues=True).n_plateaus == 1


@pytest.mark.parametrize("stops_early", [False, True])
def test_the_next_fit_resumes_the_plateau(stops_early):
    history = history_of(EPOCHS, stops_early).after_plateau(continues=False)
    following = history.for_next_fit(stops_early)
    assert following.plateau == history.plateau
    assert (following.loss_curve, following.n_images) == (history.loss_curve, history.n_images)
    assert (following.n_epochs, following.n_plateaus) == (0, 0)


@pytest.mark.parametrize(("before", "after", "best"), [(False, True, -0.8), (True, False, 0.7)])
def test_a_fit_that_watches_something_else_has_a_plateau_of_its_own(before, after, best):
    assert history_of(EPOCHS, before).for_next_fit(after).plateau == Plateau(best, 0)


def test_without_scores_early_stopping_has_no_best_one():
    assert History().after_epoch(1.0, 0.5, 10, 0.01).for_next_fit(stops_early=True).plateau == Plateau(inf, 0)
