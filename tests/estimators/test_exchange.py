import pickle
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skconvnet import ConvNetFeatures, ConvNetRegressor, load_network, save_network
from skconvnet.estimators.exchange import estimator_of
from skconvnet.estimators.fitted import stored_network
from skconvnet.interchange.safetensors import write_safetensors
from tests.estimators.quick import quick, refused, same_network
from tests.interchange.networks import random_network


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    text = "INPUT -> CONV(K=8) -> NORM -> RELU -> POOL -> FC"
    return quick(architecture=text, max_iter=1).fit(rng.random((32, 8, 8, 1)), np.arange(32) % 3 > 1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).random((5, 8, 8, 1))


def test_a_stored_network_is_a_fitted_classifier(fitted, images):
    loaded = estimator_of(stored_network(fitted))
    assert np.array_equal(loaded.predict_proba(images), fitted.predict_proba(images))
    assert loaded.predict(images).dtype == bool
    again = pickle.loads(pickle.dumps(loaded))
    assert np.array_equal(again.score_map(images), fitted.score_map(images))
    features = [ConvNetFeatures(classifier).fit(images).transform(images) for classifier in (loaded, fitted)]
    assert np.array_equal(*features)
    assert "parameters; loaded, not trained here</summary>" in loaded._repr_html_()


def test_a_loaded_classifier_is_trained_further(fitted, images):
    loaded = estimator_of(stored_network(fitted)).set_params(warm_start=True, n_jobs=1, max_iter=1)
    y = np.array([True, False, True, False, True])
    assert loaded.fit(images, y).n_iter_ == 1
    assert not same_network(loaded, fitted)
    assert loaded.partial_fit(images, y).t_ == 10


def test_a_clone_of_a_loaded_classifier_fits_other_classes(fitted, images):
    loaded = clone(estimator_of(stored_network(fitted))).set_params(n_jobs=1, max_iter=1)
    assert loaded.fit(images, list("abcda")).coefs_[-1].shape[1] == 4


def test_a_saved_network_is_loaded_to_the_bit(fitted, images, tmp_path):
    save_network(fitted, tmp_path / "network.safetensors")
    loaded = load_network(tmp_path / "network.safetensors")
    assert same_network(loaded, fitted)
    assert np.array_equal(loaded.predict_proba(images), fitted.predict_proba(images))
    assert loaded.predict(images).dtype == bool


def test_only_a_fitted_classifier_is_saved(fitted, tmp_path):
    with refused("save_network needs a fitted ConvNetClassifier or ConvNetRegressor, got a Pipeline"):
        save_network(make_pipeline(fitted), tmp_path / "network.safetensors")
    with pytest.raises(NotFittedError):
        save_network(quick(), tmp_path / "network.safetensors")
    with refused("'network.pkl' does not end in .safetensors"):
        save_network(fitted, tmp_path / "network.pkl")
    with refused("path=None is not the path of a file"):
        save_network(fitted, None)
    with refused("cannot be written: No such file or directory"):
        save_network(fitted, tmp_path / "folder" / "network.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_file_without_classifier_is_for_features(images, tmp_path):
    text = "INPUT -> CONV(K=4) -> RELU -> POOL -> FC(8) -> RELU -> FC"
    arrays = {"features.0.weight": np.ones((4, 1, 3, 3)), "features.0.bias": np.zeros(4)}
    arrays |= {"classifier.0.weight": np.ones((8, 64)), "classifier.0.bias": np.zeros(8)}
    path = tmp_path / "body.safetensors"
    path.write_bytes(write_safetensors(arrays, {}))
    with pytest.warns(UserWarning, match="has no classifier: the scores of this network are zero") as caught:
        network = load_network(path, architecture=text, image_shape=(8, 8), pixel_mean=0, pixel_std=1)
    assert caught[0].filename == __file__
    assert not network.predict_proba(images).std()
    assert ConvNetFeatures(network).fit_transform(images).shape == (5, 8)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_regressor_is_saved_and_loaded_to_the_bit(n_outputs, images, tmp_path):
    path, regressor = tmp_path / "network.safetensors", estimator_of(random_numbers(n_outputs))
    save_network(regressor, path)
    loaded = load_network(path)
    assert type(loaded) is ConvNetRegressor
    assert same_network(loaded, regressor)
    assert np.array_equal(loaded.predict(images), regressor.predict(images))
    assert "parameters; loaded, not trained here</summary>" in loaded._repr_html_()
    loaded.set_params(n_jobs=1, warm_start=True, max_iter=1).fit(images, loaded.predict(images))
    assert loaded.target_mean_.tolist() == regressor.target_mean_.tolist()
    with refused("its network has several labels or numbers as outputs, and no classes. Leave classes=None"):
        load_network(path, classes=[0, 1][:n_outputs])


def test_several_labels_are_saved_and_loaded_to_the_bit(images, tmp_path):
    path, classifier = tmp_path / "network.safetensors", estimator_of(replace(random_numbers(2), target_mean=None))
    save_network(classifier, path)
    loaded = load_network(path)
    assert loaded.multilabel_
    assert loaded.predict(images).shape == (5, 2)
    assert np.array_equal(loaded.predict_proba(images), classifier.predict_proba(images))


def random_numbers(n_outputs):
    stored = random_network("INPUT -> CONV(K=4) -> NORM -> RELU -> FC", (8, 8, 1), range(n_outputs))
    targets = {"target_mean": np.full(n_outputs, 0.1), "target_scale": np.full(n_outputs, 3.0)}
    pixels = {"pixel_mean": np.array([0.5], np.float32), "pixel_scale": np.array([3.0], np.float32)}
    return replace(stored, classes=None, **targets, **pixels)


@pytest.mark.parametrize("rounding", ["floor", "ceil", "exact"])
def test_larger_images_are_rounded_as_in_the_fit_whatever_is_set_later(rounding, images, tmp_path):
    text = "INPUT -> CONV(K=4, F=3, P=same) -> RELU -> POOL -> POOL -> CONV(K=classes, F=1) -> POOL(average, F=all)"
    fitted = quick(architecture=text, max_iter=1, batch_size=5, rounding=rounding).fit(255 * images, list("abcab"))
    large = 255 * np.random.default_rng(2).random((2, 12 if rounding == "exact" else 15, 8, 1))
    expected = fitted.score_map(large)
    assert expected.shape[1] == {"floor": 2, "ceil": 3, "exact": 2}[rounding]
    save_network(fitted, tmp_path / "network.safetensors")
    loaded = load_network(tmp_path / "network.safetensors")
    others = [pickle.loads(pickle.dumps(one.set_params(rounding="ceil"))) for one in (fitted, loaded)]
    if find_spec("onnx"):
        fitted.to_onnx(tmp_path / "network.onnx")
        others.append(load_network(tmp_path / "network.onnx"))
    for other in others:
        assert np.allclose(other.score_map(large), expected, rtol=1e-5)
        if rounding == "exact":
            with refused("rounding='exact' refuses it"):
                other.score_map(np.ones((1, 15, 8, 1)))


def test_a_wrong_rounding_in_a_file_is_refused(fitted, tmp_path):
    path = tmp_path / "network.safetensors"
    save_network(fitted, path)
    path.write_bytes(path.read_bytes().replace(b'"rounding":"floor"', b'"rounding":"flour"'))
    with refused("'flour'"):
        load_network(path)
