"""The curves of a training, as a picture."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skconvnet import ConvNetRegressor
from skconvnet.inspection import TrainingCurvesDisplay
from tests.estimators.quick import quick
from tests.inspection.overlaps import overlaps

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:60], y[:60] % 3


def curves(panel):
    """The curves of a panel by their labels: (epochs, values)."""
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in panel.get_lines()}


@pytest.mark.usefixtures("plt")
def test_the_curves_of_a_fit_with_early_stopping(digits):
    fitted = quick(early_stopping=True).fit(*digits)
    display = TrainingCurvesDisplay.from_estimator(fitted)
    loss, accuracy, rate = display.axes_
    assert [panel.get_ylabel() for panel in display.axes_] == ["loss", "accuracy", "learning rate"]
    assert rate.get_xlabel() == "epoch"
    best = int(np.argmax(fitted.validation_scores_)) + 1
    kept = f"epoch {best}, kept"
    for panel, label, values in (
        (loss, "training", fitted.loss_curve_),
        (accuracy, "training", fitted.accuracy_curve_),
        (accuracy, "validation", fitted.validation_scores_),
        (rate, "learning rate", fitted.learning_rate_curve_),
    ):
        assert_array_equal(curves(panel)[label], ([1, 2, 3], values))
        assert_array_equal(curves(panel)[kept][0], [best, best])
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["training", "validation", kept]
    assert fitted.learning_rate_curve_[0] > fitted.learning_rate_curve_[-1] > 0


@pytest.mark.usefixtures("plt")
def test_a_regressor_has_r2_and_a_stream_an_epoch_for_each_call(digits):
    X, y = digits
    fitted = ConvNetRegressor(K=8, N=1, hidden_layer_sizes=(8,), random_state=0)
    for n_calls in (1, 2):
        fitted.learning_rate_init = 0.01 / n_calls
        fitted.partial_fit(X, y)
        loss, r2, rate = TrainingCurvesDisplay.from_estimator(fitted).axes_
    assert r2.get_ylabel() == "R2"
    assert r2.get_legend() is None
    assert_allclose(curves(rate)["learning rate"], ([1, 2], [0.01, 0.005]))
    assert curves(loss).keys() == {"training"}
    assert rate.get_xlim() == (0.5, 2.5)
    assert all(tick == int(tick) for tick in rate.get_xticks())


@pytest.mark.usefixtures("plt")
def test_curves_of_fewer_epochs_are_those_of_the_last():
    display = TrainingCurvesDisplay([3, 2, 1], [0.1, 0.2, 0.3], [0.5], [0.01, 0.02]).plot()
    assert_array_equal(curves(display.axes_[1])["validation"], ([3], [0.5]))
    assert_array_equal(curves(display.axes_[2])["learning rate"], ([2, 3], [0.01, 0.02]))
    assert len(TrainingCurvesDisplay([3, 2], [0.1, 0.2]).plot().axes_) == 2


def test_axes_of_the_caller_are_divided(plt):
    figure, (left, right) = plt.subplots(1, 2)
    display = TrainingCurvesDisplay([3, 2], [0.1, 0.2], (), [0.1, 0.1]).plot(ax=right)
    assert display.figure_ is figure
    assert len(figure.axes) == 2 + 3
    assert all(panel.get_position().x0 >= left.get_position().x1 for panel in display.axes_)


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_small_axes_have_small_texts_and_no_legend(layout, plt):
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 4.8), layout=layout)
    for ax in (axes[0, 0], axes[1, 1]):
        display = TrainingCurvesDisplay([3, 2, 1], [0.1, 0.2, 0.3], [0.1, 0.2], [0.0035, 0.002, 0.001], best_epoch=2)
        display.plot(ax=ax)
    assert not overlaps(figure)
    assert not any(panel.get_legend() for panel in figure.axes)
    assert [panel.get_ylabel() for panel in display.axes_] == ["loss", "accuracy", "rate"]
    assert not overlaps(display.plot().figure_)
    assert display.axes_[1].get_legend()


@pytest.mark.usefixtures("plt")
def test_the_tick_of_one_epoch_is_1_and_rates_begin_at_0():
    display = TrainingCurvesDisplay([3], [0.1], (), [0.1]).plot()
    assert [tick for tick in display.axes_[-1].get_xticks() if 0.5 <= tick <= 1.5] == [1]
    assert display.axes_[-1].get_ylim()[0] == 0


def test_what_has_no_curves_is_refused(digits):
    with pytest.raises(NotFittedError):
        TrainingCurvesDisplay.from_estimator(quick())
    with pytest.raises(TypeError, match=r"Pipeline.*pipeline\[-1\]"):
        TrainingCurvesDisplay.from_estimator(make_pipeline(quick()))
    loaded = quick(max_iter=1).fit(*digits)
    loaded.loss_curve_ = []
    with pytest.raises(ValueError, match="loaded and not trained"):
        TrainingCurvesDisplay.from_estimator(loaded)
