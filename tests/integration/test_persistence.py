"""Files of fitted networks: their size, what loading needs, and the types in them."""

import io
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skconvnet
from skconvnet import Architecture, ConvNetClassifier, ConvNetFeatures, ConvNetRegressor
from skconvnet.estimators.base import can_read
from skconvnet.estimators.fitted import learned_arrays
from skconvnet.estimators.trusted import TRUSTED_TYPES

PACKAGE = Path(skconvnet.__file__).parent
NOWHERE = "/dev/null/below"  # a directory that even root cannot make
# Every kind of layer, since each has its own class in the file.
EVERYTHING = (
    "INPUT -> CONV(K=16) -> NORM -> RELU -> (CONV(K=16) -> TANH + SKIP) -> SIGMOID -> (NORM(lrn) | NORM(layer)) -> POOL"
    " -> PRELU -> RELU6 -> HSIGMOID -> HSWISH -> GELU -> DROPOUT -> FC(200) -> RELU -> FC"
)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:200].astype(np.uint8), y[:200]


@pytest.fixture(scope="module")
def classifier(digits):
    """A fitted network that has predicted."""
    network = ConvNetClassifier(Architecture.parse(EVERYTHING), max_iter=1, early_stopping=True, random_state=0)
    network.fit(*digits).predict(digits[0])
    return network


def size_of_weights(classifier):
    learned = learned_arrays(classifier)
    assert sum(coef.size for coef in learned.coefs) > 100_000
    return sum(array.nbytes for arrays in learned for array in arrays)


# Pickles


@pytest.mark.parametrize("protocol", [pickle.DEFAULT_PROTOCOL, pickle.HIGHEST_PROTOCOL])
def test_a_pickle_is_little_larger_than_the_weights(digits, classifier, protocol):
    size = size_of_weights(classifier)
    assert size < len(pickle.dumps(classifier, protocol)) < 1.3 * size
    features = ConvNetFeatures(classifier, "FC 1").fit(digits[0])
    features.transform(digits[0])
    assert len(pickle.dumps(features, protocol)) < 1.3 * size  # the weights are not saved twice


ELSEWHERE = """
import pickle, sys, warnings
import numpy as np

with open(sys.argv[1], "rb") as file:
    classifier, X = pickle.load(file)
assert "numba" not in sys.modules
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    scores = classifier.decision_function(X)
    classifier.predict(X[:1])
np.save(sys.argv[2], scores)
assert not any("cuda" in name and name.startswith("skconvnet") for name in sys.modules)
print(len(caught), *(warning.message for warning in caught), sep="\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev/null here")
def test_a_pickle_is_loaded_without_a_gpu_and_without_a_cache(digits, classifier, tmp_path):
    X = digits[0]
    with open(tmp_path / "network.pickle", "wb") as file:
        pickle.dump((classifier, X), file)
    copy = tmp_path / "elsewhere" / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    nowhere = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), NOWHERE)
    process = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, tmp_path / "network.pickle", tmp_path / "scores.npy"],
        env=os.environ | nowhere | {"PYTHONPATH": str(copy.parent), "CUDA_VISIBLE_DEVICES": ""},
        cwd=copy.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    n_warnings, warning = process.stdout.splitlines()
    assert n_warnings == "1"
    assert "Set NUMBA_CACHE_DIR to a directory with free space that is writable by you alone" in warning
    assert_array_equal(np.load(tmp_path / "scores.npy"), classifier.decision_function(X))


def test_weights_may_stay_on_disk(digits, classifier, tmp_path):
    joblib.dump(classifier, tmp_path / "network.joblib")
    loaded = joblib.load(tmp_path / "network.joblib", mmap_mode="r")
    assert all(isinstance(coef, np.memmap) for coef in loaded.coefs_ if coef.size)
    assert_array_equal(loaded.decision_function(digits[0]), classifier.decision_function(digits[0]))


# Versions


class WrittenBy:
    """A classifier that pickles as another version would have written it, without the parameter `checkpoint`."""

    def __init__(self, classifier, version):
        state = classifier.__getstate__() | {"_skconvnet_version": version}
        del state["checkpoint"]
        self.state = state

    def __reduce__(self):
        return object.__new__, (ConvNetClassifier,), self.state


@pytest.mark.parametrize("wrapped", [lambda network: network, make_pipeline], ids=["alone", "in a pipeline"])
def test_a_pickle_of_this_version_without_a_parameter_is_read(digits, classifier, wrapped):
    data = pickle.dumps(WrittenBy(classifier, skconvnet.__version__))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy = wrapped(pickle.loads(data))
    assert_array_equal(copy.predict_proba(digits[0]), classifier.predict_proba(digits[0]))
    network = copy[-1] if wrapped is make_pipeline else copy
    assert network.get_params() == classifier.get_params()
    assert vars(network).keys() == vars(classifier).keys()
    assert "_skconvnet_version" not in vars(network)


def test_a_pickle_of_another_version_is_read_with_a_warning(digits, classifier):
    data = pickle.dumps(WrittenBy(classifier, "99.0.1"))
    with pytest.warns(UserWarning, match=rf"written by skconvnet 99\.0\.1, and is read by {skconvnet.__version__}"):
        copy = pickle.loads(data)
    assert_array_equal(copy.predict(digits[0]), classifier.predict(digits[0]))
    assert copy.__getstate__()["_skconvnet_version"] == skconvnet.__version__


@pytest.mark.parametrize(
    ("version", "is_read"),
    [
        *((version, True) for version in ("1.4.0", "1.4.9", "1.3.2", "1.3.0rc1")),
        *((version, False) for version in ("1.2.9", "1.5.0", "0.4.1", "2.4.1", "2.3.1")),
    ],
)
def test_this_minor_version_and_the_one_before_are_read(version, is_read):
    assert can_read(version, own="1.4.1") == is_read


# skops


@pytest.fixture(scope="module")
def skops_io():
    return pytest.importorskip("skops.io", reason="skops is not installed (`make peers` installs it)")


def loaded(skops_io, estimator):
    """The estimator after a round trip through a file of trusted types."""
    data = skops_io.dumps(estimator)
    unknown = skops_io.get_untrusted_types(data=data)
    assert unknown
    assert set(unknown) <= TRUSTED_TYPES
    return skops_io.loads(data, trusted=unknown)


def test_skops_needs_trusted_types_only(digits, classifier, skops_io):
    X, y = digits
    copy = loaded(skops_io, classifier)
    assert_array_equal(copy.decision_function(X), classifier.decision_function(X))
    assert copy.architecture_ == classifier.architecture_
    assert repr(copy) == repr(classifier)
    named = np.array([f"digit {label}" for label in y])
    pipeline = make_pipeline(MinMaxScaler(), ConvNetClassifier(max_iter=1, random_state=0)).fit(X, named)
    assert_array_equal(loaded(skops_io, pipeline).predict(X), pipeline.predict(X))


def test_regressors_and_several_labels_in_skops(digits, skops_io):
    X, y = digits
    for estimator, targets in (
        (ConvNetRegressor("INPUT -> FC", max_iter=1, warm_start=True, random_state=0), X[:, ::2].astype(float)),
        (ConvNetClassifier("INPUT -> FC", max_iter=1, warm_start=True, random_state=0), (y[:, None] >> [0, 1]) & 1),
    ):
        estimator.fit(X, targets)
        copy = loaded(skops_io, estimator)
        assert_array_equal(copy.predict(X), estimator.predict(X))
        assert_array_equal(copy.fit(X, targets).predict(X), estimator.fit(X, targets).predict(X))


def test_a_path_is_saved_as_text(digits, skops_io, tmp_path):
    X, y = digits
    path = tmp_path / "fit.npz"
    network = ConvNetClassifier("INPUT -> FC", max_iter=1, random_state=0, checkpoint=path).fit(X, y)
    for copy in (loaded(skops_io, network), pickle.loads(pickle.dumps(network))):
        assert copy.checkpoint == str(path)
        assert_array_equal(copy.fit(X, y).decision_function(X), network.decision_function(X))
    assert network.checkpoint is path


def test_features_in_skops(digits, classifier, skops_io):
    features = ConvNetFeatures(classifier, "STACK 1").fit(digits[0])
    assert_array_equal(loaded(skops_io, features).transform(digits[0]), features.transform(digits[0]))


def test_a_function_of_the_package_is_not_trusted(classifier, skops_io):
    with zipfile.ZipFile(io.BytesIO(skops_io.dumps(classifier))) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    assert b'"ScorerCache"' in contents["schema.json"]
    contents["schema.json"] = contents["schema.json"].replace(b'"ScorerCache"', b'"score_images"')
    forged = io.BytesIO()
    with zipfile.ZipFile(forged, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    unknown = skops_io.get_untrusted_types(data=forged.getvalue())
    assert set(unknown) - TRUSTED_TYPES == {"skconvnet.estimators.scoring.score_images"}


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_training_continues_after_skops(digits, skops_io, solver):
    parameters = {"solver": solver, "batch_size": 50, "learning_rate_init": 0.01, "random_state": 0, "n_jobs": 1}
    network = ConvNetClassifier("INPUT -> CONV(K=4) -> NORM -> RELU -> FC", **parameters)
    network.partial_fit(*digits, classes=range(10))
    copy = loaded(skops_io, network)
    scores = [one.partial_fit(*digits).decision_function(digits[0]) for one in (network, copy)]
    assert_array_equal(*scores)


# The document


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The code blocks of the document. They are run in an empty directory."""
    monkeypatch.chdir(tmp_path)
    text = (PACKAGE.parent / "docs" / "persistence.md").read_text(encoding="utf-8")
    return re.findall("```python\n(.*?)```", text, re.DOTALL)


def test_the_code_in_the_document_refuses_a_foreign_type(classifier, skops_io, code):
    hidden = pickle.loads(pickle.dumps(classifier)).set_params(architecture=re.compile("x").sub)
    with pytest.raises(ValueError, match="which a network of skconvnet does not have"):
        exec(code[-1], {"classifier": hidden})
