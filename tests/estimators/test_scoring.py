"""The cached scorer of a fitted classifier."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier, ConvNetFeatures
from skconvnet.engine.device import CpuDevice
from skconvnet.estimators.scoring import ScorerCache

X, Y = np.random.default_rng(0).normal(size=(30, 6, 4, 3)).astype(np.float32), np.arange(30) % 3


@pytest.fixture
def classifier():
    text = "INPUT -> CONV(K=4, bias=no) -> NORM -> RELU -> FC"
    return ConvNetClassifier(text, max_iter=1, n_jobs=1, random_state=0).fit(X, Y)


def test_the_scorer_is_made_once_until_an_attribute_is_replaced(classifier):
    made = []
    cache = ScorerCache()

    def scorer():
        return cache.scorer(classifier, lambda network: made.append(network) or SimpleNamespace(device=CpuDevice()))

    first = scorer()
    assert scorer() is first
    for name in ("pixel_mean_", "pixel_scale_", "classes_"):
        setattr(classifier, name, getattr(classifier, name).copy())
        assert scorer() is scorer() is not first
        assert len(made) == 2
        made.pop()
        first = scorer()
    classifier.coefs_[0] = classifier.coefs_[0].copy()
    assert scorer() is not first
    first = scorer()
    classifier.set_params(device="cpu")
    assert scorer() is not first


def test_the_scorer_is_kept_from_the_first_prediction_on():
    """Also after `partial_fit`, whose learned arrays are unpacked by that prediction."""
    classifier = ConvNetClassifier("INPUT -> CONV(K=4) -> FC", n_jobs=1).partial_fit(X, Y, classes=range(3))
    first = ScorerCache.of(classifier).scorer(classifier)
    assert ScorerCache.of(classifier).scorer(classifier) is first


@pytest.mark.parametrize("name", ["coefs_", "norm_means_", "classes_", "architecture_"])
@pytest.mark.parametrize("value", [None, 5, (), "text", object()])
def test_an_attribute_that_is_replaced_is_noticed(classifier, name, value):
    classifier.predict(X[:1])
    setattr(classifier, name, value)
    with pytest.raises(ValueError, match=f"do not belong together: {name} is"):
        classifier.predict(X[:1])


def test_scored_arrays_are_read_only(classifier):
    classifier.coefs_[0][...] = 0
    classifier.predict(X)
    for array in (classifier.coefs_[0], classifier.norm_variances_[0], classifier.pixel_mean_):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_copies_of_a_cache_are_empty(classifier):
    cache = ScorerCache()
    cache.scorer(classifier)
    cache.__setstate__({"_kept": ([], "forged")})
    assert vars(cache)["_kept"][1] is not None
    for other in (pickle.loads(pickle.dumps(cache)), copy.copy(cache), copy.deepcopy(cache)):
        assert vars(other) == {}


@pytest.mark.parametrize("wrong", [None, "a text", [], object()])
def test_a_wrong_cache_is_replaced(classifier, wrong):
    expected = classifier.predict(X)
    classifier._scorer_cache = wrong
    assert_array_equal(classifier.predict(X), expected)
    del classifier._scorer_cache
    assert_array_equal(classifier.predict(X), expected)


def test_one_image_is_scored_as_among_others(classifier):
    scores, labels, probabilities = (
        ask(X) for ask in (classifier.decision_function, classifier.predict, classifier.predict_proba)
    )
    for number, image in enumerate(X):
        one = slice(number, number + 1)
        for shaped in (image[None], image.reshape(1, -1), image[None].astype(np.float64)):
            assert_array_equal(classifier.decision_function(shaped), scores[one])
            assert_array_equal(classifier.predict(shaped), labels[one])
            assert_array_equal(classifier.predict_proba(shaped), probabilities[one])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((1, 72), np.nan), r"NaN at X\[0, 0\]"),
        (np.full((1, 72), np.inf, np.float32), r"infinity at X\[0, 0\]"),
        (np.full((1, 72), 1e300), "infinity in float32"),
        (np.full((1, 72), 1e30), "deviations from the mean"),
        (np.zeros((1, 71)), "71 features"),
        (np.zeros((1, 4, 6, 3)), "images of shape"),
        (np.zeros((6, 4, 3)), "single image"),
        (np.zeros((1, 72), complex), "omplex"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_one_image_has_the_errors_of_many(classifier, image, message):
    classifier.predict(X[:1])
    with pytest.raises(ValueError, match=message):
        classifier.predict(image)


def test_threads_score_one_image_each_at_the_same_time(classifier):
    expected = classifier.decision_function(X)

    def scores(number):
        return [classifier.decision_function(X[number : number + 1])[0] for _ in range(200)]

    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(scores, range(8))):
            assert_array_equal(found, expected[[number] * 200])


def test_an_equal_object_of_another_type_is_noticed():
    """An array of one number is equal to its number, and is refused as after unpickling."""
    gray, text = X[..., 0], "INPUT -> CONV(K=1) -> RELU -> FC"
    classifier = ConvNetClassifier(text, max_iter=1, n_jobs=1, random_state=0).fit(gray, Y)
    before = classifier.decision_function(gray[:1])
    mean = classifier.pixel_mean_
    classifier.pixel_mean_ = mean.copy()
    assert_array_equal(classifier.decision_function(gray[:1]), before)
    for other in (float(mean[0]), mean.reshape(1, 1)):
        classifier.pixel_mean_ = other
        with pytest.raises(ValueError, match="pixel_mean_"):
            classifier.decision_function(gray[:1])


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("n_jobs", [0, "two"])
def test_a_wrong_n_jobs_is_refused_where_one_thread_is_enough(n_jobs, n):
    classifier = ConvNetClassifier("INPUT -> CONV(K=1) -> RELU -> FC", max_iter=1, random_state=0).fit(X, Y)
    classifier.predict(X[:n])
    classifier.set_params(n_jobs=n_jobs)
    with pytest.raises((ValueError, TypeError)):
        classifier.predict(X[:n])


@pytest.mark.parametrize("n_images", [1, 3])
def test_floats_up_to_1_are_noticed_if_the_network_takes_bytes(classifier, n_images):
    images = np.random.default_rng(0).random((n_images, 6, 4, 3)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.predict(images)  # the pixels of training were about 0
    classifier.pixel_mean_, classifier.pixel_scale_ = np.full(3, 100, np.float32), np.full(3, 1 / 60, np.float32)
    with pytest.warns(UserWarning, match=r"X has floats up to 1, and .* from 0 to 255. Multiply them by 255") as caught:
        classifier.predict(images)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="floats up to 1") as caught:
        classifier.score(images, Y[:n_images])  # by way of scikit-learn
    assert caught[0].filename == __file__
    features = ConvNetFeatures(classifier).fit(images)
    with pytest.warns(UserWarning, match="floats up to 1"):
        features.transform(images)
    for others in (images * 255, images * 0, np.ones(images.shape, np.uint8)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            classifier.predict(others)


@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_digits_from_0_to_16_and_from_0_to_254_are_told_apart(n, dtype):
    X, y = load_digits(return_X_y=True)
    X, y, louder = X[:40], y[:40], np.uint8(X[:40] * 15.9)
    for trained_on, others in ((X, louder), (louder, X), (X, X / 16)):
        classifier = ConvNetClassifier("INPUT -> FC", max_iter=1, random_state=0).fit(trained_on, y)
        others = others if others.max() == 1 else others.astype(dtype)
        with pytest.warns(UserWarning, match=r"X has pixels of a \w+ scale"):
            classifier.predict(others[:n])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            classifier.predict(trained_on[:n].astype(dtype))


def test_validation_images_of_another_scale_are_named():
    X, y = np.arange(8 * 16).reshape(8, 16) % 251, [0, 1] * 4
    with pytest.warns(UserWarning, match="^X_val has floats up to 1, and the network was trained on pixels from 0 to"):
        ConvNetClassifier("INPUT -> FC", max_iter=1).fit(X, y, X_val=X / 255, y_val=y)
