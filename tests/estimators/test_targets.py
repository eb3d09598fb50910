"""What the outputs of a network mean."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict

from skconvnet.data import check_labels
from skconvnet.engine import SigmoidCrossEntropy
from skconvnet.estimators.targets import Classes, Labels, Values
from tests.estimators.quick import quick, refused


def test_two_classes_have_one_decision():
    kind = Classes.of(np.array(["b", "a", "b"]))
    scores = np.array([[1.0, 3.0], [2.0, 0.0]])
    assert kind.decide(scores).tolist() == [2.0, -2.0]
    assert kind.predict(scores).tolist() == ["b", "a"]
    assert np.exp(kind.log_probabilities(scores)) == pytest.approx(kind.probabilities(scores))


def test_other_classes_are_refused():
    kind = Classes(np.array([0, 1]))
    with refused("y has the classes [0 2], but warm_start=True resumes a network for the classes [0 1]"):
        kind.resumed_with(Classes(np.array([0, 2])))
    with refused("y has shape (2, 2), several labels"):
        kind.encode(np.eye(2), np.ones(2))
    assert Classes(np.array([0])).problem() == ("classes_", "a 1d array of two or more labels")


@pytest.fixture(scope="module")
def several():
    """Images, and whether their left and their upper half is bright."""
    X = np.random.default_rng(0).integers(0, 17, (200, 8, 8)).astype(np.float32)
    return X, np.stack([X[:, :, :4].mean(axis=(1, 2)) > 8, X[:, :4].mean(axis=(1, 2)) > 8], axis=1).astype(int)


def test_several_labels_are_learned(several):
    X, Y = several
    classifier = quick(max_iter=15).fit(X, Y)
    probabilities = classifier.predict_proba(X)
    assert classifier.score(X, Y) > 0.6
    assert np.array_equal(classifier.predict(X), probabilities > 0.5)
    assert np.exp(classifier.predict_log_proba(X)) == pytest.approx(probabilities)
    assert classifier.decision_function(X).shape == (200, 2)
    assert classifier.classes_.tolist() == [0, 1]
    assert classifier.multilabel_


def test_several_labels_are_cross_validated(several):
    X, Y = several
    folds = KFold(2)
    probabilities = cross_val_predict(quick(), X, Y, cv=folds, method="predict_proba")
    assert np.array_equal(cross_val_predict(quick(), X, Y, cv=folds), probabilities > 0.5)
    train, test = next(folds.split(X))
    assert np.array_equal(quick().fit(X[train], Y[train]).predict_proba(X[test]), probabilities[test])


def test_several_labels_are_resumed(several):
    X, Y = several
    whole = quick(learning_rate="constant", max_iter=2).fit(X, Y)
    stream = quick().partial_fit(X, Y).partial_fit(X, Y, classes=[0, 1])
    assert np.array_equal(whole.predict_proba(X), stream.predict_proba(X))
    with refused("classes has 3 labels and y has 2 columns"):
        stream.partial_fit(X, Y, classes=[0, 1, 2])
    with refused("y has shape (200,), and the network is for 2 labels"):
        stream.partial_fit(X, Y[:, 0])
    with refused("y has one label for each image, but warm_start=True resumes a network for 2 labels"):
        stream.set_params(warm_start=True).fit(X, Y[:, 0])


def test_scores_of_validation_are_weighted():
    scores, weights = np.array([[1.0, -1.0], [2.0, 3.0]], np.float32), np.array([3.0, 1.0])
    examples = SimpleNamespace(targets=np.array([[1, 0], [1, 0]], np.float32), weights=weights)
    assert Labels(np.arange(2)).validation_score(scores, examples) == 0.75
    values = Values(np.array([7.0, 8.0]), np.array([2.0, 30.0]))
    examples = SimpleNamespace(targets=np.array([[1, 0], [2, 5]], np.float32), weights=weights)
    assert values.validation_score(scores, examples) == pytest.approx(
        r2_score(examples.targets, scores, sample_weight=weights)
    )


def test_what_decides_about_a_fit_of_several_labels_is_compared():
    kind, smooth = Labels(np.arange(2)), quick(label_smoothing=0.2)
    assert kind.identity(smooth) != kind.identity(quick())
    assert kind.identity(smooth) != Labels(np.arange(3)).identity(smooth)
    assert kind.loss(smooth) == SigmoidCrossEntropy(0.2)
    with refused("y has 3 labels, but warm_start=True resumes a network for 2 labels"):
        kind.resumed_with(Labels(np.arange(3)))


def test_weights_of_classes_are_refused_for_several_labels(several):
    with refused("class_weight weighs classes of which each image has one"):
        quick(class_weight="balanced").fit(*several)


def test_one_hot_labels_are_several_labels_with_a_warning(several):
    X, Y = several
    with pytest.warns(UserWarning, match="pass np.argmax") as caught:
        quick(max_iter=1).fit(X, np.eye(2, dtype=int)[Y[:, 0]])
    assert caught[0].filename == __file__


def test_a_head_of_several_labels_begins_as_a_regression_for_each():
    features = np.random.default_rng(0).normal(size=(400, 3))
    targets = np.stack([features[:, 0] > 0, features[:, 1] < 0, np.ones(400)], axis=1).astype(np.float32)
    coef, intercept = Labels(np.arange(3)).regress(features, targets, np.ones(400, np.float32))
    scores = features @ coef + intercept
    assert ((scores > 0) == (targets > 0))[:, :2].mean() > 0.9
    assert not coef[:, 2].any()


@pytest.mark.parametrize(
    ("mean", "scale", "name"),
    [
        (np.zeros(1), np.zeros(1), "target_scale_"),
        (np.zeros(2), np.ones(1), "target_scale_"),
        (np.array([np.nan]), np.ones(1), "target_mean_"),
        ([0.0], np.ones(1), "target_mean_"),
    ],
)
def test_a_damaged_mean_or_scale_is_named(mean, scale, name):
    assert Values(mean, scale).problem()[0] == name


def test_an_outlier_that_is_infinite_in_float32_is_refused():
    with refused("infinite in float32"):
        Values(np.zeros(1), np.ones(1)).encode(np.array([[1e39]]), np.ones(1))


@pytest.mark.parametrize("unit", [1e-300, 1e-170, 1.0, 1e200, 1e307])
def test_numbers_of_any_size_have_a_mean_and_a_scale(unit):
    y, weights = np.array([[1.0], [2.0], [6.0], [0.0]]) * unit, np.array([1.0, 1.0, 2.0, 0.0])
    y[3] = 1e300
    kind = Values.of(y, weights)
    assert kind.mean / unit == pytest.approx([3.75])
    assert kind.scale / unit == pytest.approx([np.sqrt(5.1875)])
    assert kind.problem() is None


def test_a_score_that_is_not_finite_is_the_lowest():
    examples = SimpleNamespace(targets=np.array([[1.0], [2.0]], np.float32), weights=np.ones(2))
    for score in (np.nan, np.inf):
        assert Values(np.zeros(1), np.ones(1)).validation_score(np.full((2, 1), score), examples) < -1e300


def test_several_labels_have_the_loss_and_the_scores_of_numpy(several):
    X, Y = several
    weights = np.random.default_rng(0).random(200)
    settled = {"batch_size": 200, "max_iter": 1, "learning_rate_init": 1e-12, "alpha": 0.0}
    validation = {"X_val": X[:50], "y_val": Y[:50], "sample_weight_val": weights[:50]}
    network = quick(architecture="INPUT -> FC", label_smoothing=0.2, early_stopping=True, **settled)
    network.fit(X, Y, sample_weight=weights, **validation)
    parts, smooth = network.predict_proba(X), 0.8 * Y + 0.1
    losses = -(smooth * np.log(parts) + (1 - smooth) * np.log(1 - parts)).sum(axis=1)
    is_right = (network.predict(X) == Y).all(axis=1)
    assert network.loss_ == pytest.approx(np.average(losses, weights=weights), rel=1e-4)
    assert network.accuracy_curve_ == pytest.approx([np.average(is_right, weights=weights)])
    assert network.validation_scores_ == pytest.approx([np.average(is_right[:50], weights=weights[:50])])


def test_several_labels_may_be_objects(several):
    _, Y = several
    assert check_labels(Y.astype(object)).dtype == np.int64
    missing = Y.astype(object)
    missing[3, 1] = None
    with refused("y contains None"):
        check_labels(missing)
