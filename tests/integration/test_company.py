"""The classifier in scikit-learn's meta-estimators and inspection tools."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import learning_curve, validation_curve
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier

N = 400  # training images; 200 more are for testing. Guessing has an accuracy of 0.1.


def quick(architecture="INPUT -> CONV(K=8) -> RELU -> POOL -> FC", **parameters):
    """A network that is much better than chance after a short fit."""
    settings = {"learning_rate_init": 0.01, "batch_size": 16, "max_iter": 3, "n_jobs": 1, "random_state": 0}
    return ConvNetClassifier(architecture, **settings | parameters)


@pytest.fixture(scope="module")
def digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[: N + 200].astype(np.uint8), y[: N + 200]


@pytest.fixture(scope="module")
def fitted(digits):
    X, y = digits
    return quick().fit(X[:N], y[:N])


def check_probabilities(estimator, X):
    """Check that they are probabilities of ten classes, and that the predictions are the most probable classes."""
    probabilities = estimator.predict_proba(X)
    assert probabilities.shape == (len(X), 10)
    assert_allclose(probabilities.sum(axis=1), 1)
    assert_array_equal(estimator.classes_[probabilities.argmax(axis=1)], estimator.predict(X))


def test_calibration(digits):
    X, y = digits
    calibrated = CalibratedClassifierCV(quick(), cv=2).fit(X[:N], y[:N])
    check_probabilities(calibrated, X[N:])
    assert len(calibrated.calibrated_classifiers_) == 2
    assert calibrated.score(X[N:], y[N:]) > 0.5


def test_calibration_of_a_fitted_network(digits):
    X, y = digits
    unsure = quick(label_smoothing=0.6).fit(X[:200], y[:200])
    weights = [coef.copy() for coef in unsure.coefs_]
    calibrated = CalibratedClassifierCV(FrozenEstimator(unsure), method="sigmoid").fit(X[200:N], y[200:N])
    check_probabilities(calibrated, X[N:])
    assert all(np.array_equal(*pair) for pair in zip(weights, unsure.coefs_, strict=True))
    # Label smoothing makes the network too unsure of its predictions. Calibration corrects this.
    before, after = (log_loss(y[N:], estimator.predict_proba(X[N:])) for estimator in (unsure, calibrated))
    assert after < 0.9 * before


def test_permutation_importance(digits, fitted):
    X, y = digits
    options = {"scoring": "neg_log_loss", "n_repeats": 3, "random_state": 0}
    found = permutation_importance(fitted, X[N:], y[N:], **options)
    assert found.importances.shape == (64, 3)
    importances = found.importances_mean.reshape(8, 8)
    # The digits differ in the middle columns. The outer columns are empty in nearly all images.
    assert importances[:, 2:6].mean() > 0.02
    assert np.abs(importances[:, [0, 7]]).max() < 0.005


def test_stacking(digits):
    X, y = digits
    stack = StackingClassifier([("network", quick()), ("bayes", GaussianNB())], quick("INPUT -> FC"), cv=2)
    stack.fit(X[:N], y[:N])
    check_probabilities(stack, X[N:])
    assert stack.transform(X[N:]).shape == (200, 20)
    assert stack.score(X[N:], y[N:]) > 0.5


@pytest.mark.parametrize("voting", ["hard", "soft"])
def test_voting(digits, voting):
    X, y = digits
    members = [(f"seed {seed}", quick(random_state=seed)) for seed in range(3)]
    vote = VotingClassifier(members, voting=voting).fit(X[:N], y[:N])
    scores = [member.score(X[N:], y[N:]) for member in vote.estimators_]
    assert len({member.coefs_[0].tobytes() for member in vote.estimators_}) == 3
    assert vote.score(X[N:], y[N:]) >= max(0.75, min(scores))
    if voting == "soft":
        check_probabilities(vote, X[N:])
        mean = np.mean([member.predict_proba(X[N:]) for member in vote.estimators_], axis=0)
        assert_allclose(vote.predict_proba(X[N:]), mean)


def test_bagging(digits):
    X, y = digits
    bag = BaggingClassifier(quick(random_state=None), n_estimators=3, oob_score=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with three bags, some images are never out of bag
        bag.fit(X[:N], y[:N])
    check_probabilities(bag, X[N:])
    assert bag.score(X[N:], y[N:]) > 0.75
    assert 0.4 < bag.oob_score_ < 1
    assert len({member.coefs_[0].tobytes() for member in bag.estimators_}) == 3


def test_bagging_on_subsets_of_the_pixels(digits):
    X, y = digits
    bag = BaggingClassifier(quick("INPUT -> FC"), n_estimators=3, max_features=32, random_state=0).fit(X[:N], y[:N])
    assert [member.image_shape_ for member in bag.estimators_] == [(1, 32, 1)] * 3
    assert bag.score(X[N:], y[N:]) > 0.5


def test_one_vs_rest(digits):
    X, y = digits
    each = OneVsRestClassifier(quick(max_iter=2)).fit(X[:N], y[:N])
    assert len(each.estimators_) == 10
    check_probabilities(each, X[N:])
    assert each.score(X[N:], y[N:]) > 0.7
    assert each.decision_function(X[N:]).shape == (200, 10)


def test_learning_curve(digits):
    X, y = digits
    sizes, train_scores, scores = learning_curve(quick(), X, y, train_sizes=[40, 300], cv=2, error_score="raise")
    assert sizes.tolist() == [40, 300]
    assert train_scores.shape == scores.shape == (2, 2)
    assert scores[1].min() > max(0.6, scores[0].max())


def test_validation_curve(digits):
    X, y = digits
    names = {"param_name": "max_iter", "param_range": [1, 4]}
    train_scores, scores = validation_curve(quick(), X, y, **names, cv=2, error_score="raise")
    assert train_scores.shape == scores.shape == (2, 2)
    assert scores[1].min() > max(0.6, scores[0].max())
