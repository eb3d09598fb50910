"""Metadata routing: weights and validation data through scikit-learn's pipelines and searches."""

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier

SCALERS = [MinMaxScaler(), StandardScaler()]


@pytest.fixture(autouse=True)
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(scope="module")
def digits():
    """Images, labels and weights. The pixels are far from their values after a scaler."""
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return 10.0 * X[:120] + 100, y[:120], np.random.default_rng(0).random(120)


@pytest.fixture(scope="module")
def validation():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return {"X_val": 10.0 * X[120:200] + 100, "y_val": y[120:200]}


def network(**parameters):
    """A network with early stopping. Its learning rate is so high that its validation scores go up and down."""
    parameters = {"early_stopping": True, "learning_rate": "one-cycle", "learning_rate_init": 0.03, **parameters}
    estimator = ConvNetClassifier("INPUT -> CONV(K=6) -> RELU -> POOL -> FC", batch_size=16, max_iter=6, **parameters)
    return estimator.set_params(n_jobs=1, random_state=0)


def requesting(**parameters):
    """The same network, which requests all metadata of fit and score."""
    asked = {"sample_weight": True, "X_val": True, "y_val": True, "sample_weight_val": True}
    return network(**parameters).set_fit_request(**asked).set_score_request(sample_weight=True)


def in_pipeline(scaler, estimator, **options):
    scaler = sklearn.clone(scaler)
    if isinstance(scaler, StandardScaler):  # it has sample_weight too, so the request must be explicit
        scaler.set_fit_request(sample_weight=False)
    return Pipeline([("scale", scaler), ("network", estimator)], **options)


def assert_same(one, other):
    assert one.validation_scores_ == other.validation_scores_
    for ours, theirs in zip(one.coefs_, other.coefs_, strict=True):
        assert_array_equal(ours, theirs)


# Pipelines


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_a_pipeline_scales_validation_images(digits, validation, scaler):
    X, y, weights = digits
    pipeline = in_pipeline(scaler, requesting(), transform_input=["X_val"])
    fitted = pipeline.fit(X, y, sample_weight=weights, **validation)["network"]
    scale = sklearn.clone(scaler).fit(X).transform
    scaled = {"X_val": scale(validation["X_val"]), "y_val": validation["y_val"]}
    assert_same(fitted, network().fit(scale(X), y, weights, **scaled))
    assert max(fitted.validation_scores_) == pipeline.score(validation["X_val"], validation["y_val"])
    unscaled = in_pipeline(scaler, requesting()).fit(X, y, sample_weight=weights, **validation)["network"]
    assert max(unscaled.validation_scores_) < max(fitted.validation_scores_) - 0.3


def test_a_pipeline_passes_both_kinds_of_weights(digits, validation):
    X, y, weights = digits
    hard = np.where(validation["y_val"] == 8, 1.0, 0.01)
    pipeline = in_pipeline(MinMaxScaler(), requesting(), transform_input=["X_val"])
    fits = [
        pipeline.fit(X, y, **validation, **more)["network"].validation_scores_
        for more in ({}, {"sample_weight": weights}, {"sample_weight_val": hard})
    ]
    assert fits[0] != fits[1]
    assert fits[0] != fits[2]
    assert max(fits[2]) == pytest.approx(pipeline.score(validation["X_val"], validation["y_val"], sample_weight=hard))


def test_metadata_that_are_not_requested_are_rejected(digits, validation):
    X, y, _ = digits
    with pytest.raises(UnsetMetadataPassedError, match="X_val"):
        in_pipeline(MinMaxScaler(), network()).fit(X, y, **validation)


# Searches


def test_a_search_splits_weights_with_the_images_and_passes_validation_data_whole(digits, validation):
    X, y, weights = digits
    folds = StratifiedKFold(3)
    search = GridSearchCV(requesting(), {"alpha": [0.01, 1.0]}, cv=folds, error_score="raise")
    search.fit(X, y, sample_weight=weights, **validation)
    for number, alpha in enumerate([0.01, 1.0]):
        for fold, (train, test) in enumerate(folds.split(X, y)):
            alone = network(alpha=alpha).fit(X[train], y[train], weights[train], **validation)
            expected = alone.score(X[test], y[test], weights[test])
            assert search.cv_results_[f"split{fold}_test_score"][number] == expected
    assert_same(search.best_estimator_, network(**search.best_params_).fit(X, y, weights, **validation))


def test_a_search_over_a_pipeline_scales_validation_images_in_every_fold(digits, validation):
    X, y, weights = digits
    pipeline = in_pipeline(MinMaxScaler(), requesting(), transform_input=["X_val"])
    search = GridSearchCV(pipeline, {"network__alpha": [0.01, 1.0]}, cv=2, error_score="raise")
    search.fit(X, y, sample_weight=weights, **validation)
    scale = MinMaxScaler().fit(X).transform
    scaled = {"X_val": scale(validation["X_val"]), "y_val": validation["y_val"]}
    alone = network(alpha=search.best_params_["network__alpha"]).fit(scale(X), y, weights, **scaled)
    assert_same(search.best_estimator_["network"], alone)
    assert search.best_score_ > 0.5


def test_a_search_splits_validation_data_that_are_as_long_as_x(digits):
    """The notes of fit say so: pass validation data of another length to a search."""
    X, y, _ = digits
    lengths = []

    class Recording(ConvNetClassifier):
        def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None):
            lengths.append((len(X), len(X_val)))
            return super().fit(X, y, X_val=X_val, y_val=y_val)

    estimator = Recording("INPUT -> FC", max_iter=1).set_fit_request(X_val=True, y_val=True)
    for n_val in (120, 119):
        GridSearchCV(estimator, {}, cv=2, refit=False).fit(X, y, X_val=X[:n_val], y_val=y[:n_val])
    assert lengths == [(60, 60)] * 2 + [(60, 119)] * 2
