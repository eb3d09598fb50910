"""find_learning_rate: the rates, where they end, and what the suggestion is worth."""

import sys
import warnings

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skconvnet import ConvNetClassifier, ConvNetRegressor, find_learning_rate
from skconvnet.model_selection import LearningRateCurve
from tests.estimators.quick import QUICK, quick, refused

X, Y = load_digits(return_X_y=True)
X_SMALL, Y_SMALL = X[:200], Y[:200]


pytestmark = pytest.mark.filterwarnings("ignore:The test says little")  # after few steps


def same_curve(one, other):
    return np.array_equal(one.losses, other.losses) and np.array_equal(one.rates, other.rates)


def test_rates_rise_geometrically_and_the_estimator_is_not_changed():
    estimator = quick(early_stopping=True, checkpoint="no/such/place.npz", max_iter="auto")
    before = dict(vars(estimator))
    curve = find_learning_rate(estimator, X_SMALL, Y_SMALL, lowest=1e-4, highest=1e-2, n_steps=5)
    assert vars(estimator) == before
    assert curve.rates == pytest.approx([1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2])
    assert np.isfinite(curve.losses).all()


def test_a_number_instead_of_images_is_refused():
    with refused("X is 5. Pass an array of images"):
        find_learning_rate(quick(), 5, Y_SMALL)


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


def test_the_suggestion_is_where_the_average_has_fallen_by_four_fifths():
    rates, losses = np.geomspace(1e-4, 1, 41), np.concatenate([np.linspace(2, 1, 31), np.linspace(1.5, 9, 10)])
    curve = LearningRateCurve(rates, losses)
    weights = 0.9 ** np.arange(41)
    average = [np.average(losses[: n + 1], weights=weights[n::-1]) for n in range(41)]
    assert curve.smoothed_losses == pytest.approx(average)
    enough = max(average[:31]) - 0.8 * (max(average[:31]) - min(average))
    assert curve.suggestion == next(rate for rate, one in zip(rates, average, strict=True) if one <= enough)


def test_a_loss_that_stays_at_its_lowest_does_not_change_the_suggestion():
    """A network that has unlearned everything keeps the loss of a constant prediction, whatever the rate."""
    rates, falling = np.geomspace(1e-5, 1, 101), np.linspace(6, 2.3, 51)
    tails = np.full(50, 2.3), np.linspace(2.3, 2.25, 50), np.linspace(2.3, 4, 50)
    found = [LearningRateCurve(rates, np.concatenate([falling, tail])).suggestion for tail in tails]
    assert max(found) < 2 * min(found)
    assert 0.001 < min(found) < 0.01


def test_an_easy_first_minibatch_is_no_suggestion():
    losses = np.concatenate([[0.5], np.linspace(3, 0.1, 20), np.full(20, 0.1)])
    assert LearningRateCurve(np.geomspace(1e-5, 1, 41), losses).suggestion > 1e-3


def test_a_regressor_and_several_labels_are_tested():
    numbers = X_SMALL[:, :32].mean(axis=1) * 1000 + 5000
    regressor, settings = ConvNetRegressor(**QUICK), {"n_steps": 40}
    curve = find_learning_rate(regressor, X_SMALL, numbers)
    assert 0.0005 < curve.suggestion < 0.2
    other_units = find_learning_rate(regressor, X_SMALL, (numbers - 5000).tolist())
    assert other_units.losses[:40] == pytest.approx(curve.losses[:40], rel=1e-2)
    one_number = np.where(np.arange(200) == 199, 1000.0, 0.0)  # most minibatches are constant
    assert find_learning_rate(regressor, X_SMALL, one_number, n_steps=4, highest=1e-4).losses.max() < 200
    several = (Y_SMALL[:, None] >> np.arange(3)) & 1
    curve = find_learning_rate(quick(), X_SMALL, several, **settings)
    assert 0.0005 < curve.suggestion < 0.2
    assert same_curve(curve, find_learning_rate(quick(), X_SMALL, csr_matrix(several), **settings))
    with refused("class_weight weighs classes, and y has several labels for an image"):
        find_learning_rate(quick(class_weight={0: 2.0}), X_SMALL, several)


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
    nested = make_pipeline(MinMaxScaler(), make_pipeline(quick()))
    assert same_curve(find_learning_rate(nested, X_SMALL, Y_SMALL, n_steps=3), expected)
    assert same_curve(find_learning_rate(quick(), coo_matrix(scaled), Y_SMALL, n_steps=3), expected)


def test_a_test_without_evidence_warns():
    with pytest.warns(UserWarning, match="the loss still falls at highest=0.005. Pass a higher one") as caught:
        find_learning_rate(quick(), X_SMALL, Y_SMALL, n_steps=50, highest=5e-3)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="the loss falls at no rate from lowest=1e\\+03"):
        find_learning_rate(quick(), X_SMALL, Y_SMALL, lowest=1e3, highest=1e4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_learning_rate(quick(), X_SMALL, Y_SMALL)


def test_warnings_of_the_first_step_name_the_caller():
    with pytest.warns(UserWarning, match="F=9.* has no effect") as caught:
        find_learning_rate(quick(architecture="INPUT -> FC", F=9), X_SMALL, Y_SMALL, n_steps=3)
    assert {one.filename for one in caught} == {__file__}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lowest": 0}, "lowest must be a finite number above 0, but 0 came"),
        ({"highest": "high"}, "highest must be a finite number above 0"),
        ({"lowest": 0.1, "highest": 0.1}, "lowest=0.1 must be less than highest=0.1"),
        ({"n_steps": 1}, "n_steps"),
        (
            {"estimator": MinMaxScaler()},
            "estimator must be a ConvNetClassifier, a ConvNetRegressor or a Pipeline that ends in one",
        ),
        ({"y": Y_SMALL[:9]}, "X has 200 images, but y has 9 values"),
        ({"X": X[:0], "y": Y[:0]}, "X has no image"),
        ({"y": None}, "the target y is None"),
        ({"y": np.linspace(0, 1, 200)}, "Use ConvNetRegressor"),
        ({"estimator": quick(batch_size=0)}, "'batch_size' parameter of ConvNetClassifier"),
        ({"estimator": quick(batch_size="x")}, "'batch_size' parameter of ConvNetClassifier"),
        ({"estimator": ConvNetRegressor(), "y": None}, "the target y is None"),
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
    with pytest.raises(
        ImportError, match=r"LearningRateCurve draws with Matplotlib\. Install it: pip install matplotlib"
    ):
        curve.plot()
