"""Ctrl-C at any line of a fit leaves the estimator as it was, or completely fitted."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import skconvnet
from skconvnet import ConvNetClassifier
from skconvnet.estimators.fitted import check_fitted

PACKAGE = Path(skconvnet.__file__).parent
TRACED = tuple(str(PACKAGE / room) for room in ("estimators", "training", "data", "engine/trainer.py"))
N_INTERRUPTS = 150  # of each case, evenly spread over the lines that it executes
X, Y = load_digits(return_X_y=True)
X, Y = X[:40].astype(np.uint8), Y[:40]
OTHER_Y = np.array(list("zyxwvutsrq"))[Y]


def quick(**parameters):
    """A classifier that fits in a moment: two epochs of two minibatches."""
    parameters = {"batch_size": 20, "max_iter": 2, "n_jobs": 1, "random_state": 0} | parameters
    return ConvNetClassifier("INPUT -> CONV(K=4) -> NORM -> RELU -> POOL -> FC", **parameters)


def run_until(line, call, traced=TRACED):
    """Call, and raise KeyboardInterrupt at a line, counted in the order of execution. Return the lines executed."""
    n_lines = 0

    def trace_lines(frame, event, argument):
        nonlocal n_lines
        if event == "line":
            n_lines += 1
            if n_lines == line:
                raise KeyboardInterrupt
        return trace_lines

    def trace_calls(frame, event, argument):
        return trace_lines if frame.f_code.co_filename.startswith(traced) else None

    before = sys.gettrace()
    sys.settrace(trace_calls)
    try:
        call()
    except KeyboardInterrupt:
        assert line is not None
    finally:
        sys.settrace(before)
    return n_lines


def learned(estimator):
    arrays = [*estimator.coefs_, *estimator.intercepts_, *estimator.norm_means_, *estimator.norm_variances_]
    return b"".join(array.tobytes() for array in arrays)


def fresh():
    return quick()


def fitted():
    return quick().fit(X, Y)


def stopping_early():
    return quick(early_stopping=True, validation_fraction=0.5).fit(X, Y)


def streamed():
    return quick().partial_fit(X, Y, classes=range(10))


def streamed_and_read():
    estimator = streamed()
    estimator.coefs_[0].sum()
    return estimator


CASES = {
    "a first fit": (fresh, lambda estimator: estimator.fit(X, Y)),
    "a fit to other labels": (fitted, lambda estimator: estimator.fit(X.reshape(-1, 4, 16), OTHER_Y)),
    "a fit with early stopping": (stopping_early, lambda estimator: estimator.fit(X, OTHER_Y)),
    "a first partial_fit": (fresh, lambda estimator: estimator.partial_fit(X, Y, classes=range(10))),
    "a second partial_fit": (streamed, lambda estimator: estimator.partial_fit(X, Y)),
    "a second partial_fit after coefs_ were read": (streamed_and_read, lambda estimator: estimator.partial_fit(X, Y)),
}


@pytest.mark.filterwarnings("ignore:Training interrupted by user", "ignore:NumPy will stop allowing")
@pytest.mark.parametrize("case", CASES)
def test_ctrl_c_at_any_line_leaves_the_estimator_as_it_was_or_fitted(case):
    make, call = CASES[case]
    whole = make()
    old_arrays = learned(whole) if case != "a first fit" and hasattr(whole, "classes_") else b""
    whole = make()
    n_lines = run_until(None, lambda: call(whole))
    n_unchanged = 0
    for line in np.unique(np.linspace(1, n_lines, N_INTERRUPTS).astype(int)):
        estimator = make()
        before = dict(vars(estimator))
        run_until(line, lambda: call(estimator))  # noqa: B023 - called at once
        if vars(estimator).keys() == before.keys() and all(vars(estimator)[name] is before[name] for name in before):
            n_unchanged += 1
            if line % 3 == 0:  # what was interrupted can be done again
                assert learned(call(estimator)) == learned(whole)
            continue
        assert estimator.classes_.tolist() == whole.classes_.tolist()
        assert estimator.image_shape_ == whole.image_shape_
        assert estimator.n_iter_ >= 1
        assert len(estimator.loss_curve_) == len(whole.loss_curve_) - whole.n_iter_ + estimator.n_iter_
        check_fitted(estimator)
        assert learned(estimator) != old_arrays
        estimator.predict(X)
    assert n_unchanged > N_INTERRUPTS / 4


@pytest.mark.filterwarnings("ignore:Training interrupted by user", "ignore:Maximum iterations")
def test_ctrl_c_at_any_line_of_the_loop_keeps_the_weights_with_their_score():
    def fit():
        parameters = {"learning_rate": "constant", "learning_rate_init": 0.02}
        estimator = quick(**parameters, early_stopping=True, max_iter=4).set_params(architecture="INPUT -> FC")
        return estimator, lambda: estimator.fit(X, Y, X_val=X, y_val=Y)

    loop = str(PACKAGE / "training" / "loop.py")
    whole, call = fit()
    n_lines = run_until(None, call, loop)
    scores = whole.validation_scores_
    assert scores == sorted(set(scores))  # each epoch is better than those before
    n_epochs = set()
    for line in range(1, n_lines + 1):
        estimator, call = fit()
        run_until(line, call, loop)
        if hasattr(estimator, "classes_"):
            assert estimator.score(X, Y) == estimator.best_validation_score_
            n_epochs.add(estimator.n_iter_)
    assert n_epochs == {1, 2, 3, 4}
