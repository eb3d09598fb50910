"""ConvNetRegressor: what it computes, and what it shares with ConvNetClassifier."""

import inspect
import pickle
import re
from functools import partial

import numpy as np
import pytest
from scipy.special import huber
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold

from skconvnet import ConvNetClassifier, ConvNetFeatures, ConvNetRegressor, valid_param_grid
from tests.estimators.quick import QUICK, refused, same_network


def quick(**parameters):
    """A regressor that fits in a moment."""
    return ConvNetRegressor(**QUICK | parameters)


def fc(**parameters):
    """A regressor of a single layer."""
    return ConvNetRegressor("INPUT -> FC", **{"max_iter": 3, "n_jobs": 1, "random_state": 0} | parameters)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 17, (200, 8, 8)).astype(np.float32)
    return X, np.stack([X[:, :4].mean(axis=(1, 2)) * 1000 + 5000, X[:, :, 4:].mean(axis=(1, 2))], axis=1)


def test_parameters_are_those_of_the_classifier():
    ours, theirs = (inspect.signature(one).parameters for one in (ConvNetRegressor, ConvNetClassifier))
    assert set(theirs) - set(ours) == {"class_weight", "label_smoothing", "widen_classes"}
    assert set(ours) - set(theirs) == {"loss"}
    assert all(ours[name].default == theirs[name].default for name in set(ours) & set(theirs))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_two_outputs_of_other_units_are_learned(data, loss):
    X, y = data
    regressor = quick(loss=loss, max_iter=15).fit(X, y)
    assert regressor.predict(X).shape == (200, 2)
    assert min(r2_score(y, regressor.predict(X), multioutput="raw_values")) > 0.5
    assert regressor.score(X, y) == pytest.approx(r2_score(y, regressor.predict(X)))
    assert len(regressor.r2_curve_) == len(regressor.loss_curve_) == 15
    assert regressor.target_mean_ == pytest.approx(y.mean(axis=0))


def test_first_weights_are_small(data):
    X, y = data
    shallow = quick(max_iter=1, learning_rate_init=1e-6).fit(X, y)
    assert np.concatenate([(w * np.prod(w.shape[:-1]) ** 0.5).ravel() for w in shallow.coefs_]).var() < 0.5


def test_a_deep_network_learns(digits):
    X = digits[0].reshape(-1, 8, 8)[:300]
    deep = quick(architecture="INPUT -> [CONV(F=3, P=1) -> RELU]*19 -> FC", max_iter=8, learning_rate_init=0.005)
    assert deep.fit(X, X[:, :4].mean(axis=(1, 2))).loss_curve_[-1] < 0.4


def test_one_output_may_be_constant(data):
    X, _ = data
    regressor = quick().fit(X, np.full(200, 7.0))
    assert regressor.target_scale_.tolist() == [1.0]
    assert regressor.predict(X).shape == (200,)
    assert np.abs(regressor.predict(X) - 7).mean() < 1


def test_weights_count(data):
    X, y = data
    weights = np.repeat([1.0, 0.0], 100)
    regressor = quick(max_iter=1).fit(X, y, sample_weight=weights)
    assert regressor.target_mean_ == pytest.approx(y[:100].mean(axis=0))
    assert regressor.target_scale_ == pytest.approx(y[:100].std(axis=0))


LOSSES = {"squared_error": lambda error: error**2 / 2, "absolute_error": np.abs, "huber": partial(huber, 1.0)}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_first_epoch_has_the_loss_and_r2_of_numpy(data, loss):
    X, y = data
    weights = np.random.default_rng(0).random(200)
    settled = {"batch_size": 200, "max_iter": 1, "learning_rate_init": 1e-12, "alpha": 0.0}
    regressor = fc(loss=loss, **settled).fit(X, y, sample_weight=weights)
    mean = np.average(y, axis=0, weights=weights)
    scale = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    error = (y - regressor.predict(X)) / scale
    assert regressor.target_scale_ == pytest.approx(scale)
    assert regressor.loss_ == pytest.approx(np.average(LOSSES[loss](error).mean(axis=1), weights=weights), rel=1e-4)
    assert regressor.r2_curve_ == pytest.approx([1 - np.average((error**2).mean(axis=1), weights=weights)], rel=1e-4)


def test_validation_is_the_weighted_r2_where_that_is_defined(data):
    X, y = data
    weights = np.random.default_rng(0).random(50)
    regressor = fc(early_stopping=True).fit(X, y, X_val=X[:50], y_val=y[:50], sample_weight_val=weights)
    best = regressor.score(X[:50], y[:50], sample_weight=weights)
    assert regressor.best_validation_score_ == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("n", [1, 5])
def test_validation_data_with_a_constant_output_have_a_score(data, n):
    X, y = data
    regressor = fc(early_stopping=True, warm_start=True).fit(X, y, X_val=X[:n], y_val=np.tile(y[:1], (n, 1)))
    error = (regressor.predict(X[:n]) - y[:1]) / regressor.target_scale_
    assert regressor.best_validation_score_ == pytest.approx(1 - (error**2).mean(), abs=1e-4)
    assert len(set(regressor.validation_scores_)) == 3
    regressor.fit(X, y)


def test_images_without_weight_may_have_any_target(data):
    X, y = data
    weights, other = np.repeat([1.0, 0.0], 100), y.astype(np.float64)
    other[100:] = 1e300
    pixels = np.concatenate([X[:100], X[:99:-1]])
    one = fc(augment="mixup").fit(X, y, sample_weight=weights)
    assert same_network(one, fc(augment="mixup").fit(pixels, other, sample_weight=weights))


def test_early_stopping_keeps_the_best_r2(data):
    X, y = data
    regressor = quick(early_stopping=True, max_iter=4).fit(X, y[:, 0], X_val=X[:50], y_val=y[:50, 0])
    assert regressor.score(X[:50], y[:50, 0]) == pytest.approx(regressor.best_validation_score_, abs=1e-4)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_are_resumed(data, tmp_path):
    X, y = data
    whole = quick(learning_rate="constant", max_iter=2).fit(X, y)
    resumed = quick(learning_rate="constant", max_iter=1, warm_start=True).fit(X, y).fit(X, y)
    stream = quick()
    for _ in range(2):
        stream.partial_fit(X, y)
    assert same_network(whole, resumed)
    assert same_network(whole, stream)
    again = pickle.loads(pickle.dumps(stream))
    assert np.array_equal(again.predict(X), stream.predict(X))
    with refused("y has 1 outputs, but warm_start=True resumes a network with 2"):
        resumed.fit(X, y[:, 0])
    with refused("y has 1 outputs, and the network has 2"):
        stream.partial_fit(X, y[:, 0])
    checkpoint = quick(checkpoint=tmp_path / "fit.npz").fit(X, y)
    assert same_network(checkpoint, quick(checkpoint=tmp_path / "fit.npz").fit(X, y))
    with refused("loss is 'squared_error' in the file and 'huber' now"):
        quick(checkpoint=tmp_path / "fit.npz", loss="huber").fit(X, y)


def test_a_map_has_the_units_of_y(data):
    X, y = data
    regressor = quick(architecture="INPUT -> CONV(K=4, P=0) -> RELU -> FC", max_iter=1).fit(X, y)
    larger = np.concatenate([X[:1], X[1:2]], axis=2)
    values = regressor.score_map(larger)
    assert values.shape == (1, 1, 9, 2)
    assert values[0, 0, [0, 8]] == pytest.approx(regressor.predict(X[:2]), rel=1e-4)


@pytest.mark.filterwarnings("ignore:.*have no effect on the network")
def test_a_pretrained_head_begins_as_a_ridge_regression(data):
    X, y = data
    source = quick().fit(X, y[:, 0])
    again = {"pretrained": FrozenEstimator(source), "architecture": "auto", "freeze": "body", "max_iter": 1}
    first = quick(**again, learning_rate_init=1e-9).fit(X, y)
    assert first.score(X, y) > 0.2
    assert quick(**again, head_first=False, learning_rate_init=1e-9).fit(X, y).score(X, y) < first.score(X, y)
    assert quick(**again, learning_rate_init=1e-9).fit(X, y[:, 0]).score(X, y[:, 0]) > 0.2
    assert ConvNetFeatures(FrozenEstimator(source)).fit(X).transform(X).shape == (200, 32)


def test_searches_take_regressors():
    grid = valid_param_grid(
        quick(architecture="INPUT -> CONV -> FC", rounding="exact"), {"S": [1, 5], "P": [0]}, (9, 9), n_classes=1
    )
    assert grid == [{"P": [0], "S": [1]}]


def test_a_search_chooses_by_r2(data):
    X, y = data
    search = GridSearchCV(quick(), {"max_iter": [1, 10], "loss": ["squared_error"]}, cv=2).fit(X, y)
    assert search.best_params_["max_iter"] == 10
    scores = [search.cv_results_[f"split{fold}_test_score"] for fold in (0, 1)]
    for (train, test), (low, high) in zip(KFold(2).split(X), scores, strict=True):
        assert low < high == pytest.approx(quick(max_iter=10).fit(X[train], y[train]).score(X[test], y[test]))


def test_numbers_for_a_classifier_name_the_regressor(data):
    X, y = data
    with refused("use ConvNetRegressor"):
        ConvNetClassifier().fit(X, y[:, 0])


def test_an_outlier_in_y_is_named(data):
    X, y = data
    y = y.astype(np.float64)
    y[7, 1] = 1e12
    with pytest.warns(UserWarning, match=r"y has the outlier 1e\+12 at image 7. .*Correct it, leave it out"):
        fc(max_iter=1).fit(X, y)
    fc(max_iter=1).fit(X, y, sample_weight=np.arange(200) != 7)


@pytest.mark.parametrize("factor", [100, 0.01])
def test_another_scale_of_y_is_named(data, factor):
    X, y = data
    regressor = fc(max_iter=1, warm_start=True).fit(X, y)
    with pytest.warns(UserWarning, match=r"^y has mean .* Use the units of the first fit"):
        regressor.partial_fit(X, y * factor)
    with pytest.warns(UserWarning, match="^y_val has mean"):
        fc(max_iter=1, early_stopping=True).fit(X, y, X_val=X[:50], y_val=y[:50] * factor)
    regressor.partial_fit(X[:2], y[:2])


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        (ConvNetRegressor, "criterion", "That is `loss` here."),
        (ConvNetRegressor, "class_weight", "Weigh images by the sample_weight of fit."),
        (ConvNetRegressor, "label_smoothing", "That is for classes, with ConvNetClassifier."),
        (ConvNetClassifier, "loss", "`loss` is a parameter of ConvNetRegressor"),
    ],
)
def test_a_parameter_of_the_other_estimator_is_named(kind, name, hint):
    with pytest.raises(TypeError, match=re.escape(hint)):
        kind(**{name: 1})


def test_names_of_losses_in_other_libraries_are_refused_with_what_to_write(data):
    with refused("Got 'mse' instead. 'mse' is 'squared_error'."):
        quick(loss="mse").fit(*data)
