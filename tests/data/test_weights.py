"""Weights: an image of weight 2 counts as two images, and one of weight 0 as none. What early stopping keeps."""

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, shuffle
from sklearn.utils.class_weight import compute_sample_weight

from skconvnet import ConvNetClassifier
from skconvnet.data import LabelledImages, check_class_weight, weigh_classes
from skconvnet.data.weights import check_sample_weight
from skconvnet.engine import Images

PLAIN = "INPUT -> CONV(K=6) -> RELU -> POOL -> NORM(layer) -> FC(16) -> TANH -> FC"
WHOLE = {"shuffle": False, "label_smoothing": 0.1, "learning_rate_init": 0.01, "max_iter": 8, "random_state": 0}
SGD = {"solver": "sgd", "learning_rate_init": 0.05, "alpha": 0.5}


@pytest.fixture(scope="module")
def digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:120].astype(np.uint8), y[:120]


@pytest.fixture(scope="module")
def counts():
    """How often each image is repeated: 0 to 3 times."""
    return np.random.default_rng(0).integers(0, 4, 120)


def whole(X, y, architecture=PLAIN, sample_weight=None, **parameters):
    """A classifier fitted with all images in one minibatch."""
    network = ConvNetClassifier(architecture, n_jobs=1, **{"batch_size": len(X)} | WHOLE | parameters)
    return network.fit(X, y, sample_weight=sample_weight)


def learned(network):
    """All learned numbers."""
    arrays = [*network.coefs_, *network.intercepts_, network.pixel_mean_, network.pixel_scale_]
    return np.concatenate([array.ravel() for array in arrays])


def same_bits(one, other):
    return np.array_equal(learned(one), learned(other))


def assert_same(one, other, X):
    assert_allclose(learned(one), learned(other), atol=1e-5)
    assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-5)
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-5)


# Repetition


@pytest.mark.parametrize("class_weight", [None, "balanced", {3: 0.25, 4: 4.0}], ids=str)
def test_weights_equal_repetition_with_adam(digits, counts, class_weight):
    X, y = digits
    weighted = whole(X, y, sample_weight=counts, class_weight=class_weight)
    repeated = whole(np.repeat(X, counts, axis=0), np.repeat(y, counts), class_weight=class_weight)
    assert_same(weighted, repeated, X)
    assert np.abs(learned(weighted) - learned(whole(X, y, class_weight=class_weight))).max() > 0.01


def test_weights_equal_repetition_with_sgd_and_a_scaled_alpha(digits, counts):
    X, y = digits
    weighted = whole(X, y, sample_weight=counts, **SGD)
    repeated = [np.repeat(X, counts, axis=0), np.repeat(y, counts)]
    assert_same(weighted, whole(*repeated, **SGD | {"alpha": 0.5 * counts.sum() / 120}), X)
    assert np.abs(learned(weighted) - learned(whole(*repeated, **SGD))).max() > 1e-4


def test_an_image_of_weight_zero_is_ignored(digits, counts):
    X, y = digits
    garbage, there = X.astype(np.float32), counts > 0
    garbage[~there] = 1000 * garbage[~there, ::-1]
    weighted = whole(garbage, y, sample_weight=there)
    assert_same(weighted, whole(X[there], y[there]), X)


def test_the_scale_of_weights_has_no_effect(digits, counts):
    one, other = (whole(*digits, sample_weight=factor * counts) for factor in (1, 1024))
    assert same_bits(one, other)


def test_norm_batch_ignores_weights(digits, counts):
    """A known limit, documented in the notes of fit."""
    X, y = digits
    norm, there = "INPUT -> CONV(K=6) -> NORM -> RELU -> FC", counts > 0
    weighted = whole(X, y, norm, there)
    assert np.abs(learned(weighted) - learned(whole(X[there], y[there], norm))).max() > 1e-3


# Classes


def test_balanced_classes_equal_sample_weights(digits):
    X, y = digits
    chosen = (y < 3) | (np.arange(120) % 4 == 0)
    X, y = X[chosen], y[chosen]
    balanced = whole(X, y, class_weight="balanced", batch_size=16)
    assert same_bits(balanced, whole(X, y, sample_weight=compute_sample_weight("balanced", y), batch_size=16))
    assert not same_bits(balanced, whole(X, y, batch_size=16))


def test_class_weights_and_sample_weights_are_multiplied(digits, counts):
    X, y = digits
    of_class = {3: 0.25, 4: 4.0}
    both = whole(X, y, sample_weight=counts, class_weight=of_class)
    product = counts * np.select([y == 3, y == 4], [0.25, 4.0], 1.0)
    assert_same(both, whole(X, y, sample_weight=product), X)


# Invalid weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(120), "The weights are all zero"),
        (-np.ones(120), "sample_weight[0] is -1.0"),
        (np.full(120, np.nan), "sample_weight[0] is nan"),
        (np.ones(119), "sample_weight has shape (119,). X has 120 images"),
        (np.ones((120, 2)), "sample_weight has shape (120, 2)"),
        ({}, "sample_weight is {}."),
    ],
    ids=["zero", "negative", "nan", "too few", "a table", "a dict"],
)
def test_invalid_weights_are_refused_in_fit(digits, weights, message):
    network = ConvNetClassifier()
    with pytest.raises(ValueError, match=re.escape(message)):
        network.fit(*digits, sample_weight=weights)
    with pytest.raises(ValueError, match=re.escape(message)):
        network.partial_fit(*digits, classes=range(10), sample_weight=weights)
    assert not hasattr(network, "coefs_")


def test_class_weights_that_are_all_zero_are_refused(digits):
    with pytest.raises(ValueError, match="The weights are all zero"):
        ConvNetClassifier(class_weight=dict.fromkeys(range(10), 0)).fit(*digits)


# Early stopping


def up_and_down(**parameters):
    """A classifier whose learning rate is so high that validation scores go up and down."""
    parameters = {"learning_rate": "constant", "learning_rate_init": 0.08, "max_iter": 11, **parameters}
    return ConvNetClassifier(PLAIN, batch_size=16, early_stopping=True, n_jobs=1, random_state=0, **parameters)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_early_stopping_keeps_the_best_epoch_on_a_stratified_split(digits):
    X, y = digits
    network = up_and_down(validation_fraction=0.25).fit(X, y)
    seed = check_random_state(0).randint(2**31 - 1)
    _, X_aside, _, y_aside = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
    scores, best = network.validation_scores_, int(np.argmax(network.validation_scores_))
    assert scores[-1] < network.score(X_aside, y_aside) == max(scores) == network.best_validation_score_
    until_then = up_and_down(validation_fraction=0.25, max_iter=best + 1).fit(X, y)
    assert same_bits(network, until_then)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_validation_weights_affect_which_epoch_is_best(digits):
    X, y = digits
    X_val, y_val = X[60:], y[60:]
    bests = []
    for hard in (np.ones(60), np.where(np.isin(y_val, [1, 8, 9]), 1.0, 1e-3)):
        network = up_and_down().fit(X[:60], y[:60], X_val=X_val, y_val=y_val, sample_weight_val=hard)
        score = network.score(X_val, y_val, sample_weight=hard)
        assert score == pytest.approx(max(network.validation_scores_), rel=1e-6)
        bests.append(int(np.argmax(network.validation_scores_)))
    assert bests[0] != bests[1]


# Weights without a fit


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


def labelled(targets, weights=None):
    targets = np.asarray(targets)
    weights = np.ones(len(targets), np.float32) if weights is None else np.asarray(weights, np.float32)
    return LabelledImages(Images(np.zeros((len(targets), 4)), (2, 2, 1)), targets, weights)


def test_sample_weights_are_scaled_and_cannot_overflow():
    for scale in (1e-300, 1.0, 1e300):
        assert check_sample_weight(np.array([0.0, 1.0, 4.0]) * scale, 3).tolist() == [0, 0.25, 1]
    assert check_sample_weight([0, 1, 4], 3).dtype == np.float32


@pytest.mark.parametrize("sample_weight", [None, 3, 0.5, np.float32(7), np.array(2), [2, 2, 2], [True] * 3])
def test_equal_sample_weights_are_ones(sample_weight):
    weights = check_sample_weight(sample_weight, 3)
    assert weights.tolist() == [1, 1, 1]
    assert weights.dtype == np.float32


def test_objects_that_are_numbers_are_sample_weights():
    for weights in (np.array([1, 2.0, True], object), [Fraction(1), Fraction(2), Fraction(1)], [Decimal(1), 2, 1]):
        assert check_sample_weight(weights, 3).tolist() == [0.5, 1, 0.5]


@pytest.mark.parametrize(
    ("sample_weight", "message"),
    [
        ([0, 0, 0], "The weights are all zero"),
        (0, "The weights are all zero"),
        ([1, -1, 1], "sample_weight[1] is -1.0. Weights must be finite and not negative"),
        ([1, 1, np.nan], "sample_weight[2] is nan"),
        ([1, np.inf, 1], "sample_weight[1] is inf"),
        ([1, 1], "sample_weight has shape (2,). X has 3 images: pass one weight for each"),
        ([[1], [1], [1]], "sample_weight has shape (3, 1)"),
        ({}, "sample_weight is {}. Pass an array of real numbers, one for each image"),
        ({0: 1, 1: 2}, "sample_weight is {0: 1, 1: 2}"),
        ({1, 2, 3}, "sample_weight is {1, 2, 3}"),
        ("balanced", "sample_weight is 'balanced'"),
        (b"123", "sample_weight is b'123'"),
        (["1", "2", "3"], "sample_weight is ['1', '2', '3']"),
        ([1, "2", 3], "sample_weight is [1, '2', 3]"),
        ([1, None, 3], "sample_weight is [1, None, 3]"),
        ([1, [2], 3], "sample_weight is [1, [2], 3]"),
        ([1, {}, 3], "sample_weight is [1, {}, 3]"),
        ([1, 2j, 3], "sample_weight is [1, 2j, 3]"),
        ([], "sample_weight is []"),
        (object, "sample_weight is <class 'object'>"),
        (iter(range(3)), "sample_weight is <range_iterator"),
        (["long"] * 100, "'long', 'long', 'long'"),
        (sparse.csr_array([[1, 1, 1]]), "sample_weight is <"),
        (np.array(["2000", "2001", "2002"], "M8[Y]"), "sample_weight is array(["),
        (np.ma.array([1, 2, 3], mask=[0, 1, 0]), "sample_weight has masked values"),
        ([10**400, 1, 1], "sample_weight is [1000"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_other_sample_weights_are_refused(sample_weight, message):
    with refused(message):
        check_sample_weight(sample_weight, 3)


def test_a_missing_weight_of_pandas_is_refused():
    pd = pytest.importorskip("pandas")
    assert check_sample_weight(pd.Series([1, 2, 1], dtype="Float64"), 3).tolist() == [0.5, 1, 0.5]
    with refused("sample_weight[1] is nan"):
        check_sample_weight(pd.Series([1, None, 1], dtype="Float64"), 3)


def test_class_weights_multiply_sample_weights():
    examples = labelled([0, 1, 1, 1], [1, 1, 1, 0.5])
    assert weigh_classes(examples, None, np.array([0, 1])) is examples
    assert weigh_classes(examples, {0: 0.5, 1: 2}, np.array([0, 1])).weights.tolist() == [0.25, 1, 1, 0.5]
    assert weigh_classes(labelled([0, 1, 1, 1]), "balanced", np.array(["a", "b"])).weights.tolist() == pytest.approx(
        [1, 1 / 3, 1 / 3, 1 / 3]
    )


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf, "1", None, True])
def test_class_weights_that_are_not_finite_numbers_are_refused(weight):
    with refused(f"class_weight has {weight!r} for 'a'. Weights must be finite numbers, and not negative"):
        check_class_weight({"a": weight, "b": 1})


def test_other_class_weights_are_accepted():
    for class_weight in (None, "balanced", {"a": 0.5, "b": Fraction(1, 2), "c": 0}):
        check_class_weight(class_weight)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({0: 1, 1: 5}, "class_weight has 0, 1, which are not among the classes. Name a class by its label in y"),
        ({"cat": 1, "fish": 2}, "class_weight has 'fish', which is not among the classes."),
    ],
)
def test_class_weights_that_name_no_class_are_refused_with_the_labels(class_weight, message):
    with refused(message) as found:
        ConvNetClassifier(class_weight=class_weight).fit(np.zeros((4, 8, 8)), ["cat", "dog"] * 2)
    assert str(found.value).endswith("{'cat': ..., 'dog': ...}.")


def test_class_weights_may_name_further_classes():
    examples = LabelledImages(Images(np.zeros((2, 4)), (2, 2, 1)), np.array([0, 1]), np.ones(2, np.float32))
    weights = weigh_classes(examples, {"a": 1, "b": 2, "c": 3}, np.array(["a", "b"])).weights
    assert weights.tolist() == [0.5, 1]
