"""average_mirrored: predictions as the mean of the scores of an image and of its mirror image."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from skconvnet import ConvNetClassifier, ConvNetFeatures, ConvNetRegressor, save_network
from skconvnet.engine import PixelSource
from skconvnet.engine.device import CpuDevice
from skconvnet.estimators import fitted as fitted_module
from tests.estimators.quick import refused, same_network

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (40, 6, 5, 3)).astype(np.uint8), np.arange(40) % 3
TEXT = "INPUT -> CONV(K=4) -> RELU -> POOL -> FC"
SETTINGS = {"image_shape": (6, 5, 3), "max_iter": 1, "random_state": 0}


class Stored(PixelSource):
    """Images as those in files, which counts the most that are read at a time."""

    def __init__(self):
        super().__init__(X.shape, X.dtype)
        self.most = 0

    def read(self, indices):
        self.most = max(self.most, len(indices))
        return X[indices]


def averaging(estimator):
    """A copy of a fitted estimator that averages."""
    return pickle.loads(pickle.dumps(estimator)).set_params(average_mirrored=True)


@pytest.fixture(scope="module")
def plain():
    return ConvNetClassifier(TEXT, **SETTINGS).fit(X, Y)


@pytest.fixture(scope="module")
def expected(plain):
    """The mean of both scores."""
    return (plain.decision_function(X) + plain.decision_function(X[:, :, ::-1])) / 2


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scores_are_the_mean_of_an_image_and_its_mirror_image(plain, expected, dtype, n_jobs):
    assert not np.array_equal(expected, plain.decision_function(X))
    both = averaging(plain).set_params(n_jobs=n_jobs)
    x = X.astype(dtype)
    for images in (x, x.reshape(40, -1), np.asfortranarray(x), list(x), x[:, :, ::-1]):
        assert_array_equal(both.decision_function(images), expected)
    for images in (x, x.reshape(40, -1)):
        one = np.concatenate([both.decision_function(images[i : i + 1]) for i in range(40)])
        assert_array_equal(one, expected)


def test_all_predictions_are_of_the_mean(plain, expected):
    both = averaging(plain)
    odds = np.exp(expected - expected.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(both.predict_proba(X), probabilities)
    np.testing.assert_allclose(both.predict_log_proba(X), np.log(probabilities))
    assert_array_equal(both.predict(X), expected.argmax(axis=1))
    assert both.score(X, Y) == (expected.argmax(axis=1) == Y).mean()


def test_grey_images_and_sparse_rows():
    grey = X[..., 0]
    plain = ConvNetClassifier(TEXT, **SETTINGS | {"image_shape": (6, 5)}).fit(grey, Y)
    expected = (plain.decision_function(grey) + plain.decision_function(grey[:, :, ::-1])) / 2
    both = averaging(plain)
    for images in (grey, grey.reshape(40, -1).astype(float), csr_array(grey.reshape(40, -1))):
        assert_array_equal(both.decision_function(images), expected)


def test_images_that_are_read_are_mirrored_batch_by_batch(plain, expected, monkeypatch):
    monkeypatch.setattr(fitted_module, "device_for_scoring", lambda *_: SmallBatches())
    images = Stored()
    assert_array_equal(averaging(plain).decision_function(images), expected)
    assert 1 <= images.most <= 7


class SmallBatches(CpuDevice):
    batch_pixels = 7 * X[0].size


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_regressor_averages_numbers(n_outputs):
    y = X[:, :, :2].mean(axis=(1, 2))[:, :n_outputs].squeeze()
    plain = ConvNetRegressor(TEXT, **SETTINGS).fit(X, y)
    expected = (plain.predict(X) + plain.predict(X[:, :, ::-1])) / 2
    found = averaging(plain).predict(X)
    assert found.shape == y.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_two_classes_and_several_labels():
    for y in (Y % 2, np.column_stack([Y == 0, Y > 0, Y == 2]).astype(int)):
        plain = ConvNetClassifier(TEXT, **SETTINGS).fit(X, y)
        expected = (plain.decision_function(X) + plain.decision_function(X[:, :, ::-1])) / 2
        found = averaging(plain).decision_function(X)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert_array_equal(averaging(plain).predict(X), (found > 0).astype(int))


def test_it_acts_in_predictions_alone(plain):
    settings = {"early_stopping": True, **SETTINGS}
    both, alone = (ConvNetClassifier(TEXT, average_mirrored=a, **settings).fit(X, Y) for a in (True, False))
    assert same_network(both, alone)
    assert both.validation_scores_ == alone.validation_scores_
    assert_array_equal(both.set_params(average_mirrored=False).predict_proba(X), alone.predict_proba(X))
    features = [ConvNetFeatures(one, layer="POOL 1").fit_transform(X) for one in (plain, averaging(plain))]
    assert_array_equal(*features)


def test_a_file_from_before_the_parameter_does_not_average(plain):
    state = {name: value for name, value in plain.__getstate__().items() if name != "average_mirrored"}
    older = ConvNetClassifier.__new__(ConvNetClassifier)
    older.__setstate__(state)
    assert older.average_mirrored is False
    assert_array_equal(older.decision_function(X), plain.decision_function(X))


@pytest.mark.parametrize("wrong", ["flip", None, 1, 0])
def test_a_wrong_value_is_refused(plain, wrong):
    with refused("The 'average_mirrored' parameter of ConvNetClassifier must be an instance of 'bool'"):
        ConvNetClassifier(TEXT, average_mirrored=wrong).fit(X, Y)
    for images in (X, X[:1]):
        with refused(f"average_mirrored={wrong!r} is neither True nor False"):
            averaging(plain).set_params(average_mirrored=wrong).predict(images)


def test_the_network_alone_is_written_where_no_average_is(plain, tmp_path):
    both, path = averaging(plain), tmp_path / "network.safetensors"
    for name, use in {
        "score_map": lambda: both.score_map(X),
        "to_onnx": lambda: both.to_onnx(tmp_path / "network.onnx"),
        "a file of save_network": lambda: save_network(both, path),
    }.items():
        with refused(f"and {name} does not. To use the network alone, call set_params(average_mirrored=False) first."):
            use()
    assert list(tmp_path.iterdir()) == []
    assert_array_equal(both.set_params(average_mirrored=False).score_map(X)[:, 0, 0], plain.decision_function(X))
