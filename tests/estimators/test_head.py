"""A new head that begins as a logistic regression on what it reads."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skconvnet.architecture import Architecture, Volume
from skconvnet.engine import Images, Network, Scorer
from skconvnet.estimators import head
from skconvnet.estimators.head import pooled, regress, regress_numbers, with_head

CURVED = "PRELU", "HSWISH", "GELU"


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    targets = np.arange(90) % 3
    return rng.standard_normal((90, 8)) * 3 + 2 + np.eye(3, 8)[targets] * 4, targets


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_probabilities_are_those_of_scikit_learn(features, n_classes):
    X, y = features
    X, y = X[y < n_classes], y[y < n_classes]
    weights = np.linspace(0.5, 1, len(X))
    coef, intercept = regress(X, y, weights, n_classes)
    scaler = StandardScaler().fit(X, sample_weight=weights)
    model = LogisticRegression(C=0.01, max_iter=1000)
    model.fit(scaler.transform(X), y, sample_weight=weights / weights.mean())
    assert_allclose(softmax(X @ coef + intercept, axis=1), model.predict_proba(scaler.transform(X)), atol=1e-6)


def test_weights_count_up_to_a_factor_and_images_without_weight_do_not(features):
    X, y = features
    weights = np.where(np.arange(90) < 60, 0.5, 0.0)
    found, expected = regress(X, y, weights, 3), regress(X[:60], y[:60], np.ones(60), 3)
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_a_class_without_images_is_never_the_most_likely(features):
    X, y = features
    coef, intercept = regress(X, np.where(y == 1, 3, y), np.ones(90), 5)
    assert set((X @ coef + intercept).argmax(axis=1)) == {0, 2, 3}
    assert_array_equal(coef[:, [1, 4]], 0)


def test_the_bits_do_not_depend_on_the_threads_of_blas(features):
    X, y = features
    found = []
    for n in (1, 2):
        with threadpool_limits(n, user_api="blas"):
            found.append(b"".join(array.tobytes() for array in regress(X, y, np.ones(90), 3)))
    assert found[0] == found[1]


def test_means_are_those_of_each_slice_in_any_chunks(monkeypatch):
    x = np.random.default_rng(0).random((7, 2, 3, 4)).astype(np.float32)
    images = Images(x, (2, 3, 4))
    assert_allclose(pooled(images, Volume(2, 3, 4)), x.mean(axis=(1, 2)), rtol=1e-6)
    monkeypatch.setattr(head, "_CHUNK", 50)
    assert_allclose(pooled(images, Volume(2, 3, 4)), x.mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "shape", "has_biases"),
    [
        ("INPUT -> FC", (1, 1, 8), True),
        ("INPUT -> FC", (2, 2, 8), True),
        ("INPUT -> CONV(K=3, F=1) -> POOL(average, F=all)", (3, 3, 8), True),
        ("INPUT -> CONV(K=3, F=1) -> RELU -> POOL(average, F=all)", (3, 3, 8), True),
        *((f"INPUT -> CONV(K=3, F=1) -> {kind} -> POOL(average, F=all)", (3, 3, 8), True) for kind in CURVED),
        ("INPUT -> CONV(K=3, F=3, P=0) -> POOL(average, F=all)", (3, 3, 8), True),
        ("INPUT -> CONV(K=3, F=1, bias=no) -> POOL(average, F=all)", (2, 2, 8), False),
    ],
)
def test_a_network_scores_as_the_regression_does(features, text, shape, has_biases):
    X, y = features
    volumes = X[:, None, None] + np.random.default_rng(1).standard_normal((90, *shape)) / 4
    X = volumes.mean(axis=(1, 2))
    regression = regress(X, y, np.ones(90), 3)
    bound = Architecture.parse(text).bind(shape, 3)
    network = Network(bound, np.zeros(8), np.ones(8))
    network.initialise(np.random.default_rng(0))
    network.learned = with_head(bound, 0, network.learned, X, *regression)
    scores = Scorer(network).scores(Images(volumes.astype(np.float32), shape), 1)
    expected = X @ regression[0] + (regression[1] if has_biases else 0)
    assert_allclose(softmax(scores, axis=1), softmax(expected, axis=1), atol=1e-4)


def test_weights_of_numbers_count():
    rng = np.random.default_rng(0)
    features, targets, times = rng.normal(size=(60, 3)), rng.normal(size=(60, 2)), np.arange(60) % 3
    coef, _ = regress_numbers(features, targets, times)
    expected, _ = regress_numbers(features, np.where(times[:, None] > 0, targets, 1e6), times)
    assert_allclose(coef, expected)
    assert np.abs(coef - regress_numbers(features, targets, np.minimum(times, 1))[0]).max() > 1e-3
