"""How a fit stops, and how it is resumed."""

import re
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skconvnet.estimators import limits
from tests.estimators.quick import quick, refused, same_network
from tests.training.steps import diverge_at, interrupt_at, note_steps

# Stopping


def test_max_iter_warns_unless_it_is_the_end_of_one_cycle(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(*digits)
    for learning_rate in ("constant", "adaptive"):
        with pytest.warns(ConvergenceWarning, match=re.escape("Maximum iterations (3) reached")):
            quick(learning_rate=learning_rate).fit(*digits)


def test_auto_max_iter_is_the_number_for_the_images_that_are_trained_on(digits, tmp_path, monkeypatch):
    X, y = (values[:80] for values in digits)
    path = tmp_path / "fit.npz"
    twenty = quick(max_iter=20, checkpoint=path).fit(X, y)
    auto = quick(max_iter="auto").fit(X, y)
    assert auto.n_iter_ == 20
    assert same_network(auto, twenty)
    assert same_network(quick(max_iter="auto", checkpoint=path).fit(X, y), twenty)  # it is the same fit
    with pytest.warns(ConvergenceWarning, match=re.escape("Maximum iterations (20) reached")):
        quick(max_iter="auto", learning_rate="constant", tol=0.0, n_iter_no_change=np.inf).fit(X, y)
    assert quick(max_iter="auto", augment="crop").fit(X, y).n_iter_ == 40
    monkeypatch.setattr(limits, "_AUTO_IMAGES_SEEN", 880)
    assert quick(max_iter="auto").fit(X, y).n_iter_ == 11
    held_out = quick(max_iter="auto", early_stopping=True, validation_fraction=0.25, n_iter_no_change=np.inf)
    assert held_out.fit(X, y).n_iter_ == 15
    with refused(f"checkpoint={str(path)!r} belongs to another fit: max_iter is 20 in the file and 11 now"):
        quick(max_iter="auto", checkpoint=path).fit(X, y)
    streamed = quick(max_iter="auto").partial_fit(X, y, np.unique(y))
    assert streamed.n_iter_ == 1


def test_a_loss_that_no_longer_improves_ends_the_training(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator = quick(learning_rate="constant", max_iter=50, tol=1e3, n_iter_no_change=2).fit(*digits)
    # The first epoch always improves on nothing; after it, more than two epochs in a row.
    assert estimator.n_iter_ == 4


def test_adaptive_goes_on_with_a_lower_rate(digits):
    parameters = {"max_iter": 9, "tol": 1e3, "n_iter_no_change": 1, "solver": "sgd", "learning_rate_init": 0.1}
    with pytest.warns(ConvergenceWarning):
        estimator = quick(learning_rate="adaptive", **parameters).fit(*digits)
    assert estimator.n_iter_ == 9
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[2]


def test_early_stopping_keeps_the_best_weights(digits, more_digits):
    validation = dict(zip(("X_val", "y_val"), more_digits, strict=True))
    # A high rate, so that scores go up and down.
    parameters = {"learning_rate": "constant", "learning_rate_init": 0.03, "label_smoothing": 0.0}
    estimator = quick(early_stopping=True, max_iter=50, tol=0.01, n_iter_no_change=2, **parameters)
    estimator.fit(*digits, **validation)
    scores = estimator.validation_scores_
    assert len(scores) == len(estimator.loss_curve_) == estimator.n_iter_ < 50
    assert scores[-1] < estimator.best_validation_score_ == max(scores) == estimator.score(*more_digits)
    assert estimator.best_loss_ is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        shorter = quick(max_iter=int(np.argmax(scores)) + 1, **parameters).fit(*digits)
    assert same_network(estimator, shorter)


def test_early_stopping_sets_data_aside(digits):
    estimator = quick(early_stopping=True, validation_fraction=0.25).fit(*digits)
    assert estimator.t_ == 3 * 300
    assert len(estimator.validation_scores_) == 3
    assert all((score * 100) == pytest.approx(round(score * 100)) for score in estimator.validation_scores_)


def test_validation_data_without_early_stopping_are_watched(digits, more_digits):
    X_val, y_val = more_digits
    watched = quick().fit(*digits, X_val=X_val.reshape(-1, 8, 8), y_val=y_val)
    assert watched.validation_scores_[-1] == watched.score(X_val, y_val)
    assert watched.best_loss_ == min(watched.loss_curve_)
    assert watched.t_ == 3 * 400
    assert same_network(watched, quick().fit(*digits))


def test_validation_weights_weigh(digits, more_digits):
    X_val, y_val = more_digits
    weights = np.random.default_rng(0).random(400)
    estimator = quick().fit(*digits, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    score = estimator.score(X_val, y_val, sample_weight=weights)
    assert estimator.validation_scores_[-1] == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"X_val": np.zeros((2, 64))}, "got X_val without y_val. Pass both"),
        ({"y_val": [0, 1]}, "got y_val without X_val. Pass both"),
        ({"sample_weight_val": [1, 1]}, "got sample_weight_val without X_val and y_val. Pass both"),
        ({"y_val": [0, 1], "sample_weight_val": [1, 1]}, "got y_val and sample_weight_val without X_val"),
        ({"X_val": np.zeros((2, 63)), "y_val": [0, 1]}, "63 features"),
        ({"X_val": np.zeros((2, 9, 9)), "y_val": [0, 1]}, r"\(9, 9, 1\)"),
        ({"X_val": np.zeros((2, 64)), "y_val": [0, 77]}, "y contains 77, which .* Leave such images out, or"),
        ({"X_val": np.full((2, 64), np.nan), "y_val": [0, 1]}, "NaN"),
        ({"X_val": np.zeros((2, 64)), "y_val": [0, 1], "sample_weight_val": [0, 0]}, "zero"),
    ],
)
def test_validation_data_that_are_none_are_refused(digits, validation, message):
    with pytest.raises(ValueError, match=message) as caught:
        quick().fit(*digits, **validation)
    start = "fit got " if "without" in message else "The validation data are invalid (X means X_val, y means y_val, "
    assert str(caught.value).startswith(start)


def test_one_class_is_refused_before_validation_data_are_looked_at(digits):
    with refused("y has 1 class (0)"):
        quick().fit(digits[0], 0 * digits[1], X_val=digits[0], y_val=digits[1])


def test_an_interrupt_keeps_what_was_learnt(digits, monkeypatch):
    interrupt_at(60, monkeypatch)
    with pytest.warns(UserWarning, match="Training interrupted by user, after 2 epochs") as warned:
        estimator = quick(max_iter=10).fit(*digits)
    assert warned[0].filename == __file__
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2
    assert estimator.score(*digits) > 0.5


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("warm_start", [False, True])
def test_an_interrupt_in_the_first_epoch_leaves_all_as_it_was(digits, monkeypatch, warm_start, early_stopping):
    fitted = quick(warm_start=warm_start, early_stopping=early_stopping).fit(*digits)
    before, unfitted = dict(vars(fitted)), quick(early_stopping=early_stopping)
    interrupt_at(5 + (3 * (25 - 2 * early_stopping) if warm_start else 0), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(*digits)
    assert vars(fitted) == before
    interrupt_at(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        unfitted.fit(*digits)
    assert vars(unfitted) == vars(quick(early_stopping=early_stopping))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_divergence_names_the_place_and_keeps_the_last_finite_weights(digits, monkeypatch):
    parameters = {"learning_rate": "constant", "learning_rate_init": 0.02}
    diverge_at(60, monkeypatch)
    estimator = quick(**parameters, max_iter=10)
    message = "The loss is nan in epoch 3, step 10 of 25, at a learning rate of 0.02. Try a smaller learning_rate_init "
    with pytest.raises(FloatingPointError, match=re.escape(message)):
        estimator.fit(*digits)
    monkeypatch.undo()
    shorter = quick(**parameters, max_iter=2).fit(*digits)
    assert same_network(estimator, shorter)
    assert estimator.loss_curve_ == shorter.loss_curve_
    assert estimator.score(*digits) > 0.5


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_divergence_under_early_stopping_keeps_the_best_weights(digits, more_digits, monkeypatch):
    validation = dict(zip(("X_val", "y_val"), more_digits, strict=True))
    diverge_at(110, monkeypatch)
    estimator = quick(early_stopping=True, learning_rate="constant", learning_rate_init=0.04, max_iter=10)
    with pytest.raises(FloatingPointError, match="in epoch 5, step 10 of 25"):
        estimator.fit(*digits, **validation)
    assert len(estimator.validation_scores_) == 4
    assert estimator.score(*more_digits) == max(estimator.validation_scores_)


def test_weights_that_grow_until_they_overflow_stay_finite(digits):
    """Decay takes away 2.5 times of every weight in each step."""
    parameters = {"solver": "sgd", "momentum": 0, "learning_rate": "constant", "learning_rate_init": 0.01}
    estimator = quick(architecture="INPUT -> FC", **parameters, alpha=2.5 * 16 / 0.01, max_iter=20)
    with pytest.raises(FloatingPointError, match=r"in epoch \d+, step \d+ of 25, at a learning rate of 0\.01\. Try"):
        estimator.fit(*digits)
    assert len(estimator.loss_curve_) > 1
    assert all(np.isfinite(array).all() for array in estimator.coefs_ + estimator.intercepts_)
    assert np.isfinite(estimator.predict_proba(digits[0])).all()


def test_a_learning_rate_beyond_reason_leaves_nothing_fitted(digits):
    estimator = quick(solver="sgd", learning_rate_init=1e30)
    with pytest.raises(FloatingPointError, match=r"Try a smaller learning_rate_init.* is as it was"):
        estimator.fit(*digits)
    with pytest.raises(NotFittedError):
        estimator.predict(digits[0])


def test_a_refit_that_diverges_at_once_leaves_the_network_of_the_fit_before(digits):
    estimator = quick().fit(*digits)
    before = dict(vars(estimator))
    estimator.set_params(solver="sgd", learning_rate_init=1e30)
    with pytest.raises(FloatingPointError, match="is as it was: not one epoch had ended"):
        estimator.fit(*digits)
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[name] is value for name, value in before.items() if name.endswith("_"))


# Resuming


def test_warm_start_goes_on_as_one_longer_fit(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        longer = quick(learning_rate="constant", max_iter=5).fit(*digits)
        estimator = quick(learning_rate="constant", max_iter=2, warm_start=True).fit(*digits)
        estimator.set_params(max_iter=3).fit(*digits)
    assert same_network(estimator, longer)
    assert estimator.loss_curve_ == longer.loss_curve_
    assert estimator.best_loss_ == longer.best_loss_
    assert (estimator.n_iter_, longer.n_iter_) == (3, 5)
    assert estimator.t_ == longer.t_


ALL_DRAWS = {"architecture": "INPUT -> CONV -> NORM -> RELU -> POOL -> DROPOUT(0.3) -> FC(16) -> DROPOUT -> FC"}
ALL_DRAWS |= {"augment": ["flip", "crop", "cutout"], "learning_rate": "constant"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_warm_start_goes_on_with_all_that_is_drawn(digits, more_digits, solver):
    parameters = ALL_DRAWS | {"solver": solver}
    validation = dict(zip(("X_val", "y_val"), more_digits, strict=True))
    longer = quick(**parameters, max_iter=5).fit(*digits, **validation)
    estimator = quick(**parameters, max_iter=1, warm_start=True)
    for _ in range(5):
        estimator.fit(*digits, **validation)
    assert same_network(estimator, longer)
    assert estimator.loss_curve_ == longer.loss_curve_
    assert estimator.validation_scores_ == longer.validation_scores_
    assert estimator.t_ == longer.t_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"warm_start": True}),
        ({"warm_start": True}, {"solver": "sgd"}),
        ({"warm_start": True, "solver": "sgd"}, {"solver": "adam"}),
    ],
    ids=["warm_start switched on", "from adam to sgd", "from sgd to adam"],
)
def test_a_fit_that_goes_on_with_a_new_optimizer_has_draws_of_its_own(digits, monkeypatch, first, then):
    drawn = note_steps(monkeypatch)
    estimator = quick(**ALL_DRAWS | first).fit(*digits).set_params(**then).fit(*digits)
    estimator.fit(*digits)
    seeds, numbers, steps = zip(*drawn, strict=True)
    assert len(set(seeds)) == 1
    assert numbers == tuple(range(1, 3 * 75 + 1))  # 3 fits of 3 epochs of 25 steps
    assert steps == (*range(1, 76), *range(1, 151))  # Adam's own count begins with its moments


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_goes_on_counting_epochs_without_improvement(digits):
    estimator = quick(learning_rate="constant", max_iter=2, tol=1e3, n_iter_no_change=2, warm_start=True).fit(*digits)
    curve = estimator.loss_curve_
    assert estimator.set_params(max_iter=10).fit(*digits).n_iter_ == 2  # 4 epochs in all, as in one fit
    assert len(curve) == 2  # what was handed out stays as it was


def test_without_warm_start_fit_begins_anew(digits):
    estimator = quick().fit(*digits)
    again = clone(estimator).fit(*digits)
    assert same_network(estimator.fit(*digits), again)
    assert estimator.loss_curve_ == again.loss_curve_


def test_warm_start_refuses_another_network_or_other_classes(digits):
    X, y = digits
    estimator = quick(warm_start=True).fit(X, y)
    with refused("but the network to resume is INPUT -> CONV(K=8"):
        estimator.set_params(K=9).fit(X, y)
    estimator.set_params(K=8)
    with refused("Use warm_start=False, or the same classes"):
        estimator.fit(X[y > 0], y[y > 0])
    with refused("X has 63 features"):
        estimator.fit(X[:, 1:], y)


def test_warm_start_may_change_the_solver(digits):
    estimator = quick(warm_start=True).fit(*digits)
    before = estimator.loss_
    estimator.set_params(solver="sgd", learning_rate_init=0.01).fit(*digits)
    assert estimator.loss_ < before


def test_partial_fit_is_a_fit_in_pieces(digits):
    X, y = digits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = quick(learning_rate="constant", max_iter=3).fit(X, y)
    pieces = quick()
    for _ in range(3):
        pieces.partial_fit(X, y, classes=range(10))
    assert same_network(pieces, whole)
    assert pieces.loss_curve_ == whole.loss_curve_
    assert (pieces.n_iter_, pieces.t_) == (1, 1200)


def test_partial_fit_takes_batches_with_some_of_the_classes(digits):
    X, y = digits
    order = np.argsort(y[:100], kind="stable")
    estimator = quick()
    for part in np.array_split(order, 10):
        estimator.partial_fit(X[part], y[part], classes=np.arange(10), sample_weight=np.ones(len(part)))
    assert estimator.t_ == 100
    assert estimator.predict_proba(X).shape == (400, 10)
    with pytest.raises(ValueError, match="11"):
        estimator.partial_fit(X[:2], [0, 11])


def test_the_first_images_decide_how_pixels_are_standardised(digits):
    X, y = digits
    estimator = quick().partial_fit(X, y, classes=range(10))
    mean, scale = estimator.pixel_mean_.copy(), estimator.pixel_scale_.copy()
    estimator.partial_fit(2.0 * X + 100, y)
    assert np.array_equal(estimator.pixel_mean_, mean)
    assert np.array_equal(estimator.pixel_scale_, scale)


@pytest.mark.parametrize("classes", [10, {0, 1}, np.eye(2), "ab"])
def test_partial_fit_wants_a_list_of_classes(digits, classes):
    with refused("has to be a list of all labels, such as range(10)"):
        quick().partial_fit(*digits, classes=classes)


def test_weights_that_are_no_numbers_are_refused_by_their_name(digits):
    with refused("Pass an array of real numbers, one for each image"):
        quick().fit(*digits, sample_weight=["much"] * 400)


def test_partial_fit_goes_on_after_fit(digits):
    estimator = quick(max_iter=10).fit(*digits)
    with pytest.warns(UserWarning, match="A lower learning_rate_init also helps"):
        estimator.set_params(learning_rate_init=1e-4).partial_fit(*digits)
    assert estimator.loss_ < 2 * estimator.loss_curve_[9] < estimator.loss_curve_[0]
    assert len(estimator.loss_curve_) == 11


def test_partial_fit_refuses_what_it_cannot_do(digits):
    with refused("classes must be passed on the first call to partial_fit"):
        quick().partial_fit(*digits)
    for parameters in ({"early_stopping": True}, {"class_weight": "balanced"}):
        with refused("partial_fit does not support"):
            quick(**parameters).partial_fit(*digits, classes=range(10))
