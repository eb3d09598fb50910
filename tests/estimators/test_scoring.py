"""The cached scorer of a fitted classifier."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skconvnet import ConvNetClassifier
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
