"""Augmentation, normalisation and weights, as fit uses them."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from tests.estimators.quick import quick, refused, same_network

# Augmentation

ALL_KINDS = {"augment": ["flip", "crop", "cutout", "rotate", "scale", "noise", "contrast", "mixup"]}


@pytest.mark.parametrize("kind", ["flip", "crop", "cutout"])
def test_one_augmentation_may_stand_alone_or_in_a_list(digits, kind):
    alone = quick(augment=kind).fit(*digits)
    assert same_network(alone, quick(augment=[kind]).fit(*digits))
    assert same_network(alone, quick(augment=(kind,)).fit(*digits))


def test_augmented_training_has_the_same_bits_for_any_threads_and_forms_of_the_data(digits):
    X, y = digits
    expected = quick(**ALL_KINDS).fit(X, y)
    assert same_network(quick(**ALL_KINDS, n_jobs=2).fit(X, y), expected)
    for images in (X.reshape(-1, 8, 8), X.astype(np.float32), X.astype(np.float64), X.reshape(-1, 8, 8, 1) * 1.0):
        assert same_network(quick(**ALL_KINDS).fit(images, y), expected)


@pytest.mark.parametrize("augment", ["twist", ["flip", "twist"], [], ["flip", "flip"], 1, {"flip"}], ids=repr)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_wrong_augmentation_is_refused_with_those_that_there_are(digits, augment, method):
    arguments = {} if method == "fit" else {"classes": range(10)}
    estimator = quick(augment=augment)
    with refused(f"augment={augment!r} ") as caught:
        getattr(estimator, method)(*digits, **arguments)
    assert "'flip', 'crop', 'cutout'" in str(caught.value)
    assert not hasattr(estimator, "coefs_")


def test_images_are_augmented_in_training_alone(digits, more_digits):
    X_val, y_val = more_digits
    estimator = quick(**ALL_KINDS).fit(*digits, X_val=X_val, y_val=y_val)
    scores = estimator.decision_function(X_val)
    assert estimator.validation_scores_[-1] == estimator.score(X_val, y_val)
    assert np.array_equal(estimator.decision_function(X_val), scores)
    assert np.array_equal(estimator.decision_function(X_val[::-1])[::-1], scores)
    assert np.array_equal(estimator.set_params(augment=None).decision_function(X_val), scores)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_augmented_training_goes_on_as_one_longer_fit(digits):
    parameters = ALL_KINDS | {"learning_rate": "constant"}
    longer = quick(**parameters, max_iter=4).fit(*digits)
    estimator = quick(**parameters, max_iter=2, warm_start=True).fit(*digits)
    assert not same_network(estimator, longer)
    assert same_network(estimator.fit(*digits), longer)
    pieces = quick(**ALL_KINDS)
    for _ in range(4):
        pieces.partial_fit(*digits, classes=range(10))
    assert same_network(pieces, longer)


def jitter(images, rng):
    """Add noise to every image, and overwrite what it got."""
    assert images.shape[1:] == (8, 8, 1)
    noisy = images + rng.normal(0, 2, images.shape)
    images[...] = 0
    return noisy


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_function_gives_the_same_bits_for_any_threads_and_pieces(digits):
    X, y = digits
    before, parameters = X.copy(), {"augment": [jitter, "flip"], "learning_rate": "constant"}
    expected = quick(**parameters).fit(X, y)
    assert not same_network(quick(**parameters | {"augment": "flip"}).fit(X, y), expected)
    assert same_network(clone(quick(**parameters, n_jobs=2)).fit(X, y), expected)
    assert same_network(pickle.loads(pickle.dumps(quick(**parameters))).fit(X.astype(np.float64), y), expected)
    pieces = quick(**parameters)
    for _ in range(3):
        pieces.partial_fit(X, y, classes=range(10))
    assert same_network(pieces, expected)
    assert np.array_equal(X, before)


def test_what_a_function_returns_is_checked_and_nothing_is_fitted(digits):
    estimator = quick(augment=lambda images, rng: images[:, :7])
    with refused("returned an array of shape (16, 7, 8, 1)"):
        estimator.fit(*digits)
    assert not hasattr(estimator, "coefs_")


def test_training_learns_what_augmentation_tells(digits, more_digits):
    """A network that was shown mirrored digits knows them."""
    (X, y), (X_new, y_new) = digits, more_digits
    mirrored = X_new.reshape(-1, 8, 8)[:, :, ::-1]
    plain, flipped = (quick(augment=augment, max_iter=15).fit(X, y) for augment in (None, "flip"))
    assert flipped.score(mirrored, y_new) > plain.score(mirrored, y_new) + 0.2


# NORM

NORMS = "INPUT -> CONV(K=6, bias=no) -> NORM -> RELU -> POOL -> CONV(K=8) -> NORM(layer) -> NORM(lrn) -> RELU"
NORMS += " -> (CONV(K=8) -> NORM + SKIP) -> POOL -> FC"


def test_norm_statistics_are_there_for_every_norm_of_the_minibatch(digits):
    estimator = quick(architecture=NORMS).fit(*digits)
    shapes = [(3, 3, 1, 6), (6,), (3, 3, 6, 8), (8,), (3, 3, 8, 8), (8,), (32, 10)]
    assert [coef.shape for coef in estimator.coefs_] == shapes
    assert [intercept.shape for intercept in estimator.intercepts_] == [(0,), (6,), (8,), (8,), (8,), (8,), (10,)]
    for statistics in (estimator.norm_means_, estimator.norm_variances_):
        assert [array.shape for array in statistics] == [(6,), (8,)]
        assert {(type(array), array.dtype) for array in statistics} == {(np.ndarray, np.dtype(np.float32))}
    assert all((mean != 0).all() for mean in estimator.norm_means_)
    assert all((variance > 0).all() and (variance != 1).all() for variance in estimator.norm_variances_)


def test_a_network_without_norm_has_no_norm_statistics(fitted):
    assert fitted.norm_means_ == fitted.norm_variances_ == []


def test_norm_statistics_survive_a_pickle_and_fit_again_the_same(digits):
    X, y = digits
    estimator = quick(architecture=NORMS).fit(X, y)
    copy = pickle.loads(pickle.dumps(estimator))
    assert same_network(copy, estimator)
    assert np.array_equal(copy.decision_function(X), estimator.decision_function(X))
    assert same_network(clone(estimator).fit(X, y), estimator)


def test_norm_statistics_decide_about_predictions(digits):
    estimator = quick(architecture=NORMS).fit(*digits)
    before = estimator.decision_function(digits[0])
    estimator.norm_means_[0] = estimator.norm_means_[0] + 1
    assert not np.allclose(estimator.decision_function(digits[0]), before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_early_stopping_keeps_the_norm_statistics_of_the_best_weights(digits, more_digits):
    validation = dict(zip(("X_val", "y_val"), more_digits, strict=True))
    # A high rate, so that scores go up and down.
    parameters = {"architecture": NORMS, "learning_rate": "constant", "learning_rate_init": 0.03}
    estimator = quick(early_stopping=True, max_iter=30, tol=0.01, n_iter_no_change=2, **parameters)
    scores = estimator.fit(*digits, **validation).validation_scores_
    assert scores[-1] < max(scores) == estimator.score(*more_digits)
    shorter, last = (quick(max_iter=n, **parameters).fit(*digits) for n in (int(np.argmax(scores)) + 1, len(scores)))
    assert same_network(estimator, shorter)
    for ours, best, others in zip(estimator.norm_means_, shorter.norm_means_, last.norm_means_, strict=True):
        assert np.array_equal(ours, best)
        assert not np.array_equal(ours, others)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_norm_statistics_go_on_where_they_were(digits):
    parameters = {"architecture": NORMS, "learning_rate": "constant"}
    estimator = quick(**parameters, max_iter=1, warm_start=True).fit(*digits)
    assert same_network(estimator.fit(*digits), quick(**parameters, max_iter=2).fit(*digits))


# Weights


def test_equal_weights_are_no_weights(digits):
    unweighted = quick().fit(*digits)
    assert same_network(unweighted, quick().fit(*digits, sample_weight=np.full(400, 0.3)))
    assert same_network(unweighted, quick(class_weight=dict.fromkeys(range(10), 5)).fit(*digits))


def test_the_labels_of_images_without_weight_do_not_matter(digits):
    X, y = digits
    weights = np.ones(400)
    weights[::3] = 0
    wrong = np.where(weights == 0, (y + 1) % 10, y)
    one, other = quick().fit(X, y, sample_weight=weights), quick().fit(X, wrong, sample_weight=weights)
    assert same_network(one, other)
    assert one.loss_curve_ == other.loss_curve_
    assert not same_network(one, quick().fit(X, y))


def test_class_weights_are_sample_weights(digits):
    X, y = digits
    by_class = quick(class_weight={3: 0.25, 4: 4.0}).fit(X, y)
    by_sample = quick().fit(X, y, sample_weight=np.select([y == 3, y == 4], [0.25, 4.0], 1.0))
    assert same_network(by_class, by_sample)


def test_class_weights_have_to_leave_two_classes(digits):
    X, y = digits
    with pytest.raises(ValueError, match=r"y has 1 class among the examples with a weight above zero \(9\)"):
        quick(class_weight=dict.fromkeys(range(9), 0)).fit(X, y)
    # Together with the weights of the images, of those that are left to train on as well.
    estimator, halves = quick(early_stopping=True, class_weight={0: 1, 1: 0}), (y > 4).astype(int)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    training, aside = train_test_split(np.arange(400), test_size=0.1, random_state=seed, stratify=halves)
    weights = np.zeros(400)
    weights[aside] = weights[training[halves[training] == 1]] = 1
    with pytest.raises(ValueError, match="y has 0 classes among the examples that are left to train on"):
        estimator.fit(X, halves, weights)


def test_a_class_of_large_weight_is_preferred(digits):
    X, y = digits
    blurred = X[:, ::2]  # half of the columns, so that it cannot have them all right
    counts = [
        np.sum(
            quick(architecture="INPUT -> FC", image_shape=(8, 4), class_weight=weight).fit(blurred, y).predict(blurred)
            == 8
        )
        for weight in (None, {8: 1000})
    ]
    assert counts[1] > 2 * counts[0]
