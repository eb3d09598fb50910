"""find_learning_rate: the rates, where they end, and what the suggestion is worth."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skconvnet import ConvNetClassifier, find_learning_rate
from skconvnet.model_selection import LearningRateCurve
from tests.estimators.quick import quick, refused

X, Y = load_digits(return_X_y=True)
X_SMALL, Y_SMALL = X[:200], Y[:200]


def same_curve(one, other):
    return np.array_equal(one.losses, other.losses) and np.array_equal(one.rates, other.rates)


def test_rates_rise_geometrically_and_the_estimator_is_not_changed():
    estimator = quick(early_stopping=True, checkpoint="no/such/place.npz", max_iter="auto")
    before = dict(vars(estimator))
    curve = find_learning_rate(estimator, X_SMALL, Y_SMALL, lowest=1e-4, highest=1e-2, n_steps=5)
    assert vars(estimator) == before
    assert curve.rates == pytest.approx([1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2])
    assert np.isfinite(curve.losses).all()


def test_the_same_seed_gives_the_same_curve():
    settings = {"n_steps": 30, "highest": 0.1}  # more steps than an epoch has
    curve = find_learning_rate(quick(), X_SMALL, Y_SMALL, **settings)
    assert same_curve(curve, find_learning_rate(quick(n_jobs=2), X_SMALL, Y_SMALL, **settings))
    assert not same_curve(curve, find_learning_rate(quick(random_state=1), X_SMALL, Y_SMALL, **settings))
    weighted = find_learning_rate(quick(class_weight={0: 9.0}), X_SMALL, Y_SMALL, **settings)
    assert not same_curve(curve, weighted)


def test_each_step_is_one_of_the_minibatches_at_its_rate(monkeypatch):
    steps = []

    def note(network, X, y, classes, sample_weight=None, own=ConvNetClassifier.partial_fit):
        steps.append((len(X), network.learning_rate_init, len(classes)))
        return own(network, X, y, classes, sample_weight)

    monkeypatch.setattr(ConvNetClassifier, "partial_fit", note)
    curve = find_learning_rate(quick(learning_rate="adaptive"), X_SMALL, Y_SMALL, n_steps=4, highest=1e-3)
    assert steps == [(16, rate, 10) for rate in curve.rates]
    find_learning_rate(quick(batch_size="auto"), X_SMALL, Y_SMALL, n_steps=2)
    find_learning_rate(quick(batch_size=500), X_SMALL, Y_SMALL, n_steps=2)
    assert [size for size, *_ in steps[4:]] == [32, 32, 200, 200]


def test_the_test_ends_where_the_loss_explodes():
    curve = find_learning_rate(quick(), X_SMALL, Y_SMALL, lowest=1e-3, highest=1e9)
    assert 5 < len(curve.rates) == len(curve.losses) < 100
    assert curve.smoothed_losses[-1] > 4 * curve.smoothed_losses.min()
    assert curve.smoothed_losses[-2] <= 4 * curve.smoothed_losses.min()
    with refused("The loss is not finite at the lowest rate, 1e+39"):
        find_learning_rate(quick(), X_SMALL, Y_SMALL, lowest=1e39, highest=1e40)


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_average():
    rates, losses = np.geomspace(1e-4, 1, 41), np.concatenate([np.linspace(2, 1, 31), np.linspace(1.5, 9, 10)])
    curve = LearningRateCurve(rates, losses)
    weights = 0.9 ** np.arange(41)
    average = [np.average(losses[: n + 1], weights=weights[n::-1]) for n in range(41)]
    assert curve.smoothed_losses == pytest.approx(average)
    assert curve.suggestion == rates[np.argmin(average)] / 10


def test_the_suggested_rate_is_as_good_as_the_default_on_digits():
    curve = find_learning_rate(quick(), X, Y)
    assert 0.001 < curve.suggestion < 0.1
    train, test = np.arange(len(X)) % 3 > 0, np.arange(len(X)) % 3 == 0
    ours, default = (
        quick(learning_rate_init=rate).fit(X[train], Y[train]).score(X[test], Y[test])
        for rate in (curve.suggestion, 0.005)
    )
    assert ours > default - 0.01


def test_a_pipeline_is_tested_at_its_end():
    scaled = MinMaxScaler().fit_transform(X_SMALL)
    expected = find_learning_rate(quick(), scaled, Y_SMALL, n_steps=3)
    pipeline = make_pipeline(MinMaxScaler(), quick())
    assert same_curve(find_learning_rate(pipeline, X_SMALL, Y_SMALL, n_steps=3), expected)
    assert same_curve(find_learning_rate(make_pipeline(quick()), scaled, Y_SMALL, n_steps=3), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lowest": 0}, "lowest must be a finite number above 0, but 0 came"),
        ({"highest": "high"}, "highest must be a finite number above 0"),
        ({"lowest": 0.1, "highest": 0.1}, "lowest=0.1 must be less than highest=0.1"),
        ({"n_steps": 1}, "n_steps"),
        ({"estimator": MinMaxScaler()}, "estimator must be a ConvNetClassifier or a Pipeline that ends in one"),
        ({"y": Y_SMALL[:9]}, "X has 200 images, but y has 9 values"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(settings, message):
    with refused(message):
        find_learning_rate(**{"estimator": quick(), "X": X_SMALL, "y": Y_SMALL} | settings)


def test_plot(monkeypatch):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    curve = LearningRateCurve(np.geomspace(1e-4, 1, 5), np.array([2.0, 1.5, 1.0, 1.2, 8.0]))
    ax = figure.subplots()
    assert curve.plot(ax=ax) is ax
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "learning rate", "training loss")
    assert [line.get_xdata()[0] for line in ax.get_lines()] == [1e-4, 1e-4, curve.suggestion]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        curve.plot()
