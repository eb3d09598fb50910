"""A fit as scikit-learn's callbacks see it."""

import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skconvnet import ConvNetClassifier, ConvNetRegressor

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")

QUICK = {"K": 8, "N": 1, "hidden_layer_sizes": (32,), "learning_rate": "constant", "learning_rate_init": 0.01}
QUICK |= {"batch_size": 16, "max_iter": 3, "n_jobs": 1, "random_state": 0}
X, Y = load_digits(return_X_y=True)
X, Y = X[:200].astype(np.uint8), Y[:200]

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")


def quick(**parameters):
    """A classifier that fits in a moment."""
    return ConvNetClassifier(**QUICK | parameters)


class Recorder:
    """Notes every call of a hook; asks to stop after the epoch of one number, and fails at the end of a task."""

    def __init__(self, stop=None):
        self.stop, self.fail, self.error, self.events = stop, None, RuntimeError, []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context):
        self.events.append(("end", context.task_name, context.task_id))
        if (context.task_name, context.task_id) == self.fail:
            raise self.error("a callback's own trouble")
        return context.task_name == "epoch" and context.task_id == self.stop


class Predictions:
    """Keeps what the estimator predicts at the beginning, or end, of each epoch."""

    def __init__(self):
        self.begun, self.ended, self.estimators, self.given = [], [], [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            self.begun.append(fitted_estimator.decision_function(X))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.given.append((X, y, metadata))
        if context.task_name == "epoch":
            self.ended.append(fitted_estimator.decision_function(X))
            self.estimators.append(fitted_estimator)


def epochs(*numbers):
    return [event for number in numbers for event in (("begin", "epoch", number), ("end", "epoch", number))]


def of_a_fit(*numbers):
    return ["setup", ("begin", "fit", 0), *epochs(*numbers), ("end", "fit", 0), "teardown"]


def state(estimator):
    """All that a fitted estimator is, as bytes, but for the clock."""
    clocks = ("fit_time_", "compile_time_", "_skl_callbacks")
    return pickle.dumps({name: value for name, value in sorted(vars(estimator).items()) if name not in clocks})


# Callbacks


def test_a_fit_is_a_task_with_a_task_for_each_epoch():
    recorder = Recorder()
    estimator = quick().set_callbacks(recorder).fit(X, Y)
    assert recorder.events == of_a_fit(0, 1, 2)
    assert set(vars(estimator)) == {*vars(quick().fit(X, Y)), "_skl_callbacks"}


def test_partial_fit_is_a_fit_of_one_epoch():
    recorder = Recorder()
    estimator = quick().set_callbacks(recorder)
    for _ in range(2):
        estimator.partial_fit(X, Y, classes=range(10))
    assert recorder.events == 2 * of_a_fit(0)


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}, {"learning_rate": "one-cycle"}], ids=str)
def test_callbacks_change_no_bit(parameters):
    plain = quick(**parameters).fit(X, Y)
    followed = quick(**parameters).set_callbacks(Recorder(), Predictions()).fit(X, Y)
    assert state(followed) == state(plain)


def test_a_callback_stops_the_training():
    recorder = Recorder(stop=1)
    stopped = quick(max_iter=20).set_callbacks(Recorder(), recorder).fit(X, Y)
    assert recorder.events == of_a_fit(0, 1)
    assert stopped.n_iter_ == 2
    assert len(stopped.loss_curve_) == 2
    shorter = quick(max_iter=2).fit(X, Y)
    assert np.array_equal(stopped.decision_function(X), shorter.decision_function(X))


@pytest.mark.parametrize("stop", [0, 2])
def test_a_training_that_a_callback_stopped_warns_of_nothing(stop):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().set_callbacks(Recorder(stop=stop)).fit(X, Y)


def test_a_stop_under_early_stopping_keeps_the_best_weights():
    stopped = quick(early_stopping=True, max_iter=9).set_callbacks(Recorder(stop=3)).fit(X, Y)
    assert state(stopped) != state(quick(early_stopping=True, max_iter=9).fit(X, Y))
    shorter = quick(early_stopping=True, max_iter=4).fit(X, Y)
    assert np.array_equal(stopped.decision_function(X), shorter.decision_function(X))


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True, "learning_rate_init": 0.03}], ids=str)
def test_callbacks_see_the_estimator_as_if_the_training_had_ended_there(parameters):
    seen = Predictions()
    whole = quick(**parameters, max_iter=8).set_callbacks(seen).fit(X, Y)
    if whole.early_stopping:  # an epoch was worse than the one before, and its weights were not kept
        assert np.diff(whole.validation_scores_).min() < 0
    fitted = [quick(**parameters, max_iter=n).fit(X, Y) for n in range(1, 9)]
    expected = [estimator.decision_function(X) for estimator in fitted]
    assert np.array_equal(seen.ended, expected)
    assert np.array_equal(seen.begun[1:], expected[:-1])
    for at_epoch, alone in zip(seen.estimators, fitted, strict=True):
        for name in ("n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_"):
            assert getattr(at_epoch, name) == getattr(alone, name), name
        assert at_epoch.fit_time_ > 0


def test_callbacks_are_given_what_fit_was():
    seen, weights, rows = Predictions(), np.linspace(0.5, 1.5, len(X)), X.tolist()
    quick(max_iter=1).set_callbacks(seen).fit(rows, Y, sample_weight=weights)
    assert len(seen.given) == 2
    for images, labels, metadata in seen.given:
        assert images is rows
        assert labels is Y
        assert metadata.keys() == {"sample_weight"}
        assert metadata["sample_weight"] is weights


def test_scoring_monitor_has_a_score_for_each_epoch():
    weights = np.linspace(0, 1, len(X))
    monitor = callback.ScoringMonitor(scoring="accuracy")
    quick().set_callbacks(monitor).fit(X, Y, sample_weight=weights)
    logged = {row["task_id"]: row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"}
    expected = [quick(max_iter=n).fit(X, Y, weights).score(X, Y, sample_weight=weights) for n in (1, 2, 3)]
    assert len(set(expected)) == 3
    assert logged == dict(enumerate(expected))


def test_progress_bar_runs_to_its_end(capsys):
    pytest.importorskip("rich")
    # It is given the same number of epochs, but the training ends before.
    quick(max_iter=50).set_callbacks(callback.ProgressBar(), Recorder(stop=1)).fit(X, Y)
    assert re.search(r"ConvNetClassifier - fit .* 100%", capsys.readouterr().out)


@pytest.mark.parametrize("problem", [{"learning_rate_init": 1e30}, {"F": 4}], ids=str)
def test_callbacks_are_torn_down_where_fit_fails(problem):
    recorder = Recorder()
    estimator = quick(**problem).set_callbacks(recorder)
    before = dict(vars(estimator))
    with pytest.raises((FloatingPointError, ValueError)):
        estimator.fit(X, Y)
    assert vars(estimator) == before
    assert (recorder.events[0], recorder.events[-1]) == ("setup", "teardown")


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("task", [("epoch", 1), ("fit", 0)])
@pytest.mark.parametrize("error", [RuntimeError, FloatingPointError])  # which is no divergence
def test_an_error_in_a_callback_leaves_the_estimator_as_it_was(warm_start, task, error):
    recorder = Recorder()
    estimator = quick(warm_start=warm_start).set_callbacks(recorder).fit(X, Y)
    before = state(estimator)
    recorder.fail, recorder.error = task, error
    with pytest.raises(error, match="own trouble"):
        estimator.fit(X[50:], Y[50:])
    assert state(estimator) == before
    assert recorder.events[-1] == "teardown"


def test_ctrl_c_in_a_callback_when_all_is_done_undoes_nothing():
    recorder = Recorder()
    recorder.fail, recorder.error = ("fit", 0), KeyboardInterrupt
    estimator = quick().set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y)
    assert np.array_equal(estimator.decision_function(X), quick().fit(X, Y).decision_function(X))


def test_a_divergence_in_a_callback_is_none_of_the_fit():
    class Diverging(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "epoch" and context.task_id == 1:
                quick(learning_rate_init=1e30).fit(X, Y)

    estimator = quick().set_callbacks(Diverging())
    with pytest.raises(FloatingPointError):
        estimator.fit(X, Y)
    assert not estimator.__sklearn_is_fitted__()


def test_tasks_are_numbered_on_where_a_checkpoint_goes_on(tmp_path):
    path = tmp_path / "fit.npz"
    quick(checkpoint=path).set_callbacks(Recorder(stop=0)).fit(X, Y)
    recorder = Recorder()
    went_on = quick(checkpoint=path).set_callbacks(recorder).fit(X, Y)
    assert recorder.events == of_a_fit(1, 2)
    assert np.array_equal(went_on.decision_function(X), quick().fit(X, Y).decision_function(X))


def test_clones_and_pickles_have_the_callbacks():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    estimator = quick(max_iter=1).set_callbacks(monitor)
    clone(estimator).fit(X, Y)
    assert len(monitor.get_logs("all")) == 1
    fitted = pickle.loads(pickle.dumps(estimator.fit(X, Y)))
    assert np.array_equal(fitted.predict(X), estimator.predict(X))
    fitted.fit(X, Y)
    assert len(fitted._skl_callbacks) == 1


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_in_a_search_and_a_pipeline(n_jobs):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(MinMaxScaler(), quick(max_iter=2).set_callbacks(monitor))
    search = GridSearchCV(pipeline, {"convnetclassifier__F": [3, 5]}, cv=2, n_jobs=n_jobs)
    search.fit(X, Y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == (2 * 2 + 1) * 2  # two candidates on two folds, and the best on all; two epochs each
    assert len({row["parent_task_id_path"] for row in rows}) == 5


def test_a_searchs_progress_bar_reaches_the_epochs(capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(quick(max_iter=2), {"F": [3]}, cv=2).set_callbacks(callback.ProgressBar())
    search.fit(X, Y)
    shown = capsys.readouterr().out
    assert len(re.findall(r"ConvNetClassifier - fit", shown)) >= 3
    assert not hasattr(search.best_estimator_, "_skl_callbacks")


def test_without_callbacks_in_scikit_learn_the_estimator_is_the_same_without_them():
    """As with scikit-learn before 1.9. What the rest of scikit-learn 1.9 imports of them is imported before."""
    code = f"""
import sys
import sklearn.callback._callback_support, sklearn.linear_model, sklearn.model_selection, sklearn.pipeline
from sklearn.datasets import load_digits
sys.modules["sklearn.callback"] = None  # to import it is an ImportError from here on
from skconvnet import ConvNetClassifier, ConvNetRegressor
assert not hasattr(ConvNetClassifier, "set_callbacks")
X, y = load_digits(return_X_y=True)
X, y = X[:200].astype("uint8"), y[:200]
estimator = ConvNetClassifier(**{QUICK}).fit(X, y).partial_fit(X, y)
print(estimator.decision_function(X).tobytes().hex())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == quick().fit(X, Y).partial_fit(X, Y).decision_function(X).tobytes().hex()


@pytest.mark.parametrize("y", [X[:, :32].mean(axis=1), np.stack([Y > 4, Y % 2], axis=1).astype(int)], ids=["R", "L"])
def test_regressors_and_several_labels_have_callbacks(y):
    estimator = (ConvNetRegressor if y.ndim == 1 else ConvNetClassifier)(**QUICK)
    plain, recorder = clone(estimator).fit(X, y), Recorder(stop=1)
    estimator.set_callbacks(recorder, Scores()).fit(X, y)
    assert recorder.events.count("setup") == 1
    assert ("end", "epoch", 1) in recorder.events
    assert ("begin", "epoch", 2) not in recorder.events
    curve = "r2_curve_" if y.ndim == 1 else "accuracy_curve_"
    assert getattr(estimator, curve) == getattr(plain, curve)[:2] == Scores.seen[-2:]


class Scores:
    """Keeps the last score of the curve at the end of each epoch."""

    seen = []  # noqa: RUF012 - callbacks are cloned with the estimator

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            self.seen.append(getattr(fitted_estimator, fitted_estimator._kind.curve)[-1])
