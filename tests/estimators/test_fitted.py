"""The check that the attributes of a fitted classifier belong together."""

import copy
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skconvnet import Architecture, ConvNetClassifier
from skconvnet.engine import OptimizerState
from skconvnet.estimators.fitted import check_fitted
from skconvnet.training import History, Plateau

X, Y = np.random.default_rng(0).normal(size=(30, 6, 4, 3)).astype(np.float32), np.arange(30) % 3


@pytest.fixture
def classifier():
    text = "INPUT -> CONV(K=4, bias=no) -> NORM -> RELU -> FC"
    return ConvNetClassifier(text, max_iter=1, n_jobs=1, random_state=0).fit(X, Y)


def pairs(wrong):
    """Each name with each of its values."""
    return [(name, value) for name, values in wrong.items() for value in values]


def test_the_network_is_bound_again(classifier):
    bound = check_fitted(classifier)
    assert bound == classifier.architecture_
    assert bound.layers[0] is not classifier.architecture_.layers[0]


WRONG = {
    "image_shape_": [
        (6, 4),
        [6, 4, 3],
        (6, 4, 3.0),
        (6, 4, True),
        (-6, -4, 3),
        (4, 6, 3),
        (6, 4, 2),
        None,
        "(6, 4, 3)",
    ],
    "n_features_in_": [71, 72.0, None],
    "classes_": [[0, 1, 2], np.arange(2), np.arange(4), np.zeros((3, 1)), None],
    "pixel_mean_": [np.zeros(2, np.float32), np.zeros((3, 1), np.float32), np.zeros(3, complex), [0, 0, 0], None],
    "pixel_scale_": [np.zeros(0, np.float32), np.float32(1), np.full(3, np.nan, np.float32), np.full(3, 1e300)],
    "architecture_": [
        "INPUT -> FC",
        None,
        Architecture.parse("INPUT -> FC(3)"),
        Architecture.parse("INPUT -> CONV(K=4, bias=no) -> NORM -> RELU -> FC").bind((6, 4, 3), 4),
        Architecture.parse("INPUT -> CONV(K=4, bias=no) -> NORM -> RELU -> FC").bind((4, 6, 3), 3),
    ],
    "coefs_": [[], None, (), [np.zeros((3, 3, 3, 4), np.float32)] * 3],
    "norm_variances_": [[np.full(4, -1, np.float32)], [np.ones(3, np.float32)]],
}


@pytest.mark.parametrize(("name", "value"), pairs(WRONG))
def test_a_wrong_attribute_is_refused_by_name(classifier, name, value):
    setattr(classifier, name, value)
    message = f"do not belong together: .*{name}"
    for call in (classifier.predict, classifier.score_map):
        with pytest.raises(ValueError, match=message):
            call(X)
    delattr(classifier, name)
    with pytest.raises(ValueError, match=f"{name} is missing"):
        classifier.predict(X)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3, 4, 3), np.float32), np.zeros((3, 3, 3, 4), bool), np.full((3, 3, 3, 4), np.inf), "text"]
)
def test_a_wrong_array_is_refused_by_name(classifier, array):
    classifier.predict(X)
    classifier.coefs_[0] = array
    with pytest.raises(ValueError, match=re.escape("do not belong together: coefs_[0]")):
        classifier.predict(X)


@pytest.mark.parametrize(
    ("number", "name", "value"), [(0, "K", 8), (0, "input", None), (1, "eps", "much"), (3, "window", (60, 40))]
)
def test_a_changed_layer_is_refused(classifier, number, name, value):
    object.__setattr__(classifier.architecture_.layers[number], name, value)
    with pytest.raises(ValueError, match="architecture_ is no network for images of"):
        classifier.predict(X)


def test_layers_that_contain_one_another_many_times_are_refused_at_once(classifier):
    bound = Architecture.parse("INPUT -> CONV(K=3, bias=no) -> (RELU + SKIP) -> FC").bind((6, 4, 3), 3)
    total = bound.layers[1]
    for _ in range(40):
        nested = copy.copy(total)
        object.__setattr__(nested, "branches", ((total,), (total,)))
        total = nested
    object.__setattr__(bound, "layers", (bound.layers[0], total, bound.layers[2]))
    classifier.architecture_ = bound
    with pytest.raises(ValueError, match="more than 10000 layers"):
        classifier.predict(X)


def test_other_dtypes_of_the_same_numbers_are_allowed(classifier):
    expected = classifier.decision_function(X)
    classifier.coefs_ = [coef.astype(np.float64) for coef in classifier.coefs_]
    assert_array_equal(classifier.decision_function(X), expected)


def test_a_fit_that_resumes_checks_too(classifier):
    classifier.set_params(warm_start=True).fit(X, Y)
    classifier.intercepts_[1] = np.zeros(1000, np.float32)
    for call in (classifier.fit, classifier.partial_fit):
        with pytest.raises(ValueError, match=re.escape("intercepts_[1] is an array of float32 of shape (1000,)")):
            call(X, Y)


WRONG_STATES = {
    "seed": [-1, 2**32, "1", True, None],
    "n_drawn": [-1, 2.0, 2**70],
    "solver": [None, 3],
    "optimizer": [3, "adam", OptimizerState(None), OptimizerState([[0.0], [0.0]]), OptimizerState(np.zeros((2, 3)))],
    "history": [
        None,
        History(loss_curve=[1.0, "2"]),
        History(validation_scores=None),
        History(n_epochs=-3),
        History(plateau=None),
        History(plateau=Plateau(best=None)),
        History(plateau=Plateau(best=np.nan)),
        History(stops_early=2),
    ],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG_STATES.items() for value in values]
)
def test_a_wrong_training_state_is_refused(classifier, name, value):
    classifier.set_params(warm_start=True).fit(X, Y)
    classifier._training_state = replace(classifier._training_state, **{name: value})
    for call in (classifier.fit, classifier.partial_fit):
        with pytest.raises(ValueError, match=r"do not belong together: .*training state"):
            call(X, Y)
    assert len(classifier.predict(X)) == len(X)


def test_moments_of_another_network_are_refused(classifier):
    classifier.set_params(warm_start=True).fit(X, Y)
    state = classifier._training_state
    optimizer = OptimizerState(np.zeros((2, 3), np.float32))
    classifier._training_state = replace(state, optimizer=optimizer)
    with pytest.raises(ValueError, match="The optimizer's state has 3 numbers"):
        classifier.fit(X, Y)


def test_no_wrong_attribute_crashes_the_process():
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.estimators.fuzz_fitted", "12345", "150"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    for method in ("predict", "score_map", "features", "fit", "partial_fit", "stream"):
        assert re.search(rf"^{method}: \d+ x error", process.stdout, re.MULTILINE)
        assert re.search(rf"^{method}: \d+ x result", process.stdout, re.MULTILINE)


@pytest.mark.parametrize("image_shape", [(-6, -4, 3), (6.0, 4.0, 3.0), (np.int64(6), 4, 3), (72, True, 1)])
def test_an_image_shape_is_of_positive_int(classifier, image_shape):
    """Though its product is right."""
    classifier.image_shape_ = image_shape
    with pytest.raises(ValueError, match=r"image_shape_ is .*, and not a tuple of three positive int"):
        check_fitted(classifier)
