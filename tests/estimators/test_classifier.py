"""The estimator: what fit learns, keeps and says, and how it does among scikit-learn's tools."""

import inspect
import pickle
import pickletools
import re
import tracemalloc
import warnings
from dataclasses import replace
from time import perf_counter

import joblib
import numpy as np
import pytest
from numba import get_num_threads
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import shuffle

from skconvnet import Architecture, ArchitectureError, ConvNetClassifier
from skconvnet.engine import Images, compile_time
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.program.target import CPU
from skconvnet.estimators import fitted as fitted_module
from skconvnet.estimators import fitting, limits, scoring
from tests.training.steps import diverge_at, interrupt_at, note_steps

QUICK = {"K": 8, "N": 1, "hidden_layer_sizes": (32,), "learning_rate_init": 0.01, "batch_size": 16}
QUICK |= {"max_iter": 3, "n_jobs": 1, "random_state": 0}


def quick(**parameters):
    """A classifier that fits in a moment."""
    return ConvNetClassifier(**QUICK | parameters)


@pytest.fixture(scope="module")
def digits():
    """400 digits as rows of whole numbers, and their labels."""
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:400].astype(np.uint8), y[:400]


@pytest.fixture(scope="module")
def more_digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[400:800].astype(np.uint8), y[400:800]


@pytest.fixture(scope="module")
def fitted(digits):
    return quick(architecture="INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC", max_iter=10).fit(
        *digits
    )


def same_network(one, other):
    """Whether two estimators have bitwise the same parameters and running statistics."""
    ours, theirs = (
        estimator.coefs_ + estimator.intercepts_ + estimator.norm_means_ + estimator.norm_variances_
        for estimator in (one, other)
    )
    return len(ours) == len(theirs) and all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


# Parameters


def test_parameters_that_mlpclassifier_has_are_there_with_few_exceptions():
    of_mlp = set(inspect.signature(MLPClassifier).parameters)
    missing = {"activation", "power_t", "beta_1", "beta_2", "epsilon", "max_fun"}
    assert of_mlp - set(inspect.signature(ConvNetClassifier).parameters) == missing


def test_all_parameters_but_the_architecture_are_keywords_and_init_only_assigns():
    kinds = [parameter.kind for parameter in inspect.signature(ConvNetClassifier).parameters.values()]
    assert kinds == [inspect.Parameter.POSITIONAL_OR_KEYWORD] + [inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 1)
    names = list(inspect.signature(ConvNetClassifier).parameters)
    given = {name: object() for name in names}
    assert vars(ConvNetClassifier(**given)) == given
    assert set(ConvNetClassifier._parameter_constraints) == set(names)


def test_clone_and_get_params():
    estimator = quick(architecture="INPUT -> FC", F=5)
    assert clone(estimator).get_params() == estimator.get_params()
    assert repr(ConvNetClassifier(F=5)) == "ConvNetClassifier(F=5)"


POSITIVE_WHOLE = ("max_iter", "batch_size", "n_iter_no_change", "F", "S", "K", "pool_F", "pool_S", "hidden_layer_sizes")


@pytest.mark.parametrize("name", POSITIVE_WHOLE)
@pytest.mark.parametrize("value", [0, -1, 2.5, np.float64(2.5), np.int64(-1), True, np.True_, "many", None, np.nan])
def test_what_is_no_positive_whole_number_is_refused(digits, name, value):
    with pytest.raises(ValueError, match=name):
        quick(**{name: value}).fit(*digits)


@pytest.mark.parametrize("name", ["F", "S", "K", "pool_F", "pool_S", "hidden_layer_sizes"])
def test_a_sequence_with_what_is_no_positive_whole_number_is_refused(digits, name):
    with pytest.raises(ValueError, match=name):
        quick(**{name: [2, 0]}).fit(*digits)


@pytest.mark.parametrize(
    "parameters",
    [
        {"architecture": 7},
        {"P": -1},
        {"P": "full"},
        {"N": -1},
        {"M": 1.5},
        {"pool": "no"},
        {"solver": "lbfgs"},
        {"alpha": -1e-9},
        {"alpha": np.inf},
        {"alpha": True},
        {"learning_rate": "invscaling"},
        {"learning_rate_init": 0},
        {"learning_rate_init": np.nan},
        {"momentum": 1.5},
        {"nesterovs_momentum": "yes"},
        {"shuffle": 2},
        {"tol": -1},
        {"early_stopping": None},
        {"validation_fraction": 1.0},
        {"warm_start": "no"},
        {"class_weight": "even"},
        {"label_smoothing": 1.0},
        {"augment": "rotate"},
        {"augment": ["flip", 1]},
        {"augment": []},
        {"augment": True},
        {"device": "tpu"},
        {"device": "cuda"},
        {"n_jobs": 0},
        {"n_jobs": 1.5},
        {"random_state": -1},
        {"verbose": -1},
        {"image_shape": (9, 9, 1)},
    ],
    ids=lambda parameters: "{}={!r}".format(*next(iter(parameters.items()))),
)
def test_other_parameters_are_refused_by_name(digits, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        quick(**parameters).fit(*digits)


def test_what_is_not_implemented_yet_says_so(digits):
    with refused("device='cuda' is not implemented yet"):
        quick(device="cuda").fit(*digits)


def test_numpy_numbers_are_numbers(digits):
    parameters = {"K": np.int64(8), "F": np.array([3, 3]), "batch_size": np.int32(50), "alpha": np.float32(0.01)}
    quick(max_iter=np.int16(1), **parameters).fit(*digits)


def test_a_sequence_of_the_wrong_length_says_both_lengths(digits):
    with pytest.raises(ArchitectureError, match=r"K has length 3.* 4 CONV layers in 2 blocks"):
        quick(architecture="INPUT -> [[CONV -> RELU]*2 -> POOL]*2 -> FC", K=[1, 2, 3]).fit(*digits)


def test_an_architecture_too_small_for_its_input_shows_the_arithmetic(digits):
    with pytest.raises(ArchitectureError, match=r"CONV 1.*8 - 11"):
        quick(architecture="INPUT -> CONV(F=11, P=0) -> FC").fit(*digits)


def test_a_text_that_does_not_parse_shows_where(digits):
    with pytest.raises(ArchitectureError, match=r"\^"):
        quick(architecture="INPUT -> CONV RELU").fit(*digits)


def test_too_much_memory_is_refused_before_any_work(digits, monkeypatch):
    monkeypatch.setattr(limits, "machine_memory", lambda: 10_000)
    estimator = quick()
    with refused("GB of memory to train, and this machine has 0.0 GB."):
        estimator.fit(*digits)
    assert not hasattr(estimator, "coefs_")


def test_nothing_is_looked_at_before_the_network_fits(digits, monkeypatch):
    monkeypatch.setattr(Images, "statistics", None)  # the first pass over the pixels after the checks
    with refused("(8 - 9 + 0)/1 + 1 = 0"):
        quick(F=9, P=0).fit(*digits)
    monkeypatch.setattr(limits, "machine_memory", lambda: 10_000)
    with refused("GB of memory to train"):
        quick().fit(*digits)


@pytest.mark.parametrize(
    ("parameters", "columns"), [({"K": 0}, 64), ({"K": 0}, 49), ({"hidden_layer_sizes": 10**9}, 49), ({}, 0)], ids=str
)
def test_a_refused_fit_leaves_the_fitted_network_as_it_was(digits, parameters, columns):
    X, y = digits
    estimator = quick().fit(X, y)
    before = estimator.predict_proba(X)
    estimator.set_params(**parameters)
    with pytest.raises(ValueError, match=r"K must be|GB of memory|minimum of 1"):
        estimator.fit(X[:, :columns], np.array(list("abcdefghij"))[y])
    estimator.set_params(**quick().get_params())
    assert (estimator.predict_proba(X) == before).all()
    assert (estimator.predict(X) == estimator.classes_[before.argmax(axis=1)]).all()


def test_an_architecture_may_be_given_as_such(digits):
    text = "INPUT -> CONV(K=4) -> RELU -> POOL -> FC"
    estimator = clone(quick(architecture=Architecture.parse(text)))
    assert same_network(estimator.fit(*digits), quick(architecture=text).fit(*digits))


def test_the_defaults_are_those_that_were_measured():
    """`benchmarks/defaults.py` has the figures, `docs/decisions/0004-defaults.md` the reasons."""
    chosen = {"architecture": "auto", "K": "auto", "F": 3, "N": 2, "M": "auto", "hidden_layer_sizes": (128,)}
    chosen |= {"solver": "adam", "alpha": 0.01, "batch_size": "auto", "learning_rate": "one-cycle"}
    chosen |= {"learning_rate_init": 0.005, "max_iter": 20, "label_smoothing": 0.1}
    assert chosen.items() <= ConvNetClassifier().get_params().items()


@pytest.mark.parametrize(("n_jobs", "n_threads"), [(1, 1), (2, 2)])
def test_fit_and_predict_use_as_many_threads_as_they_are_told(digits, monkeypatch, n_jobs, n_threads):
    used = []

    class SpyDevice(CpuDevice):
        def execution(self, plan, network, n_workers, moments=None):
            used.append(n_workers)
            return super().execution(plan, network, n_workers, moments)

    for module in (fitting, fitted_module):
        monkeypatch.setattr(module, "find_device", lambda name: SpyDevice(replace(CPU, worker_flops=1)))
    for module in (fitting, scoring):
        monkeypatch.setattr(module, "thread_count", lambda n_jobs: n_jobs)
    before = get_num_threads()
    estimator = quick(n_jobs=n_jobs, max_iter=1).fit(*digits)
    assert set(used) == {n_threads}
    used.clear()
    estimator.predict(digits[0])
    assert set(used) == {n_threads}
    assert get_num_threads() == before


def test_a_network_beyond_all_memory_is_refused(digits):
    with refused("needs the most"):
        quick(hidden_layer_sizes=10**9).fit(*digits)


# Fitting


def test_the_defaults_learn_digits(digits, more_digits):
    estimator = ConvNetClassifier(random_state=0).fit(*digits)
    assert estimator.score(*more_digits) > 0.94  # SVC() has 0.96


def test_fitted_attributes(digits, fitted):
    X, _ = digits
    assert fitted.classes_.tolist() == list(range(10))
    assert fitted.n_features_in_ == 64
    assert fitted.image_shape_ == (8, 8, 1)
    text = "INPUT -> CONV(K=8) -> RELU -> POOL -> FC(32) -> RELU -> FC"
    assert fitted.architecture_.layers == Architecture.parse(text).bind((8, 8, 1), 10).layers
    assert [coef.shape for coef in fitted.coefs_] == [(3, 3, 1, 8), (128, 32), (32, 10)]
    assert [intercept.shape for intercept in fitted.intercepts_] == [(8,), (32,), (10,)]
    assert {type(array) for array in fitted.coefs_ + fitted.intercepts_} == {np.ndarray}
    assert {array.dtype for array in fitted.coefs_ + fitted.intercepts_} == {np.dtype(np.float32)}
    np.testing.assert_allclose(fitted.pixel_mean_, X.mean(), rtol=1e-6)
    assert len(fitted.loss_curve_) == fitted.n_iter_ == 10
    assert fitted.loss_ == fitted.loss_curve_[-1]
    assert len(fitted.accuracy_curve_) == 10
    assert fitted.accuracy_curve_[0] < 0.8 < fitted.accuracy_curve_[-1] <= 1
    assert fitted.best_loss_ == min(fitted.loss_curve_)
    assert fitted.t_ == 10 * 400
    assert fitted.validation_scores_ is None
    assert fitted.best_validation_score_ is None
    assert fitted.compile_time_ >= 0
    assert fitted.loss_ < fitted.loss_curve_[0] / 2


def test_the_accuracy_of_an_epoch_is_that_of_the_images_as_they_come(digits):
    X, y = digits
    weights = np.random.default_rng(0).random(400)
    still = {"learning_rate": "constant", "learning_rate_init": 1e-12, "alpha": 0.0, "max_iter": 2}
    with pytest.warns(ConvergenceWarning):
        estimator = quick(**still).fit(X, y, sample_weight=weights)
    assert estimator.accuracy_curve_ == pytest.approx([estimator.score(X, y, weights)] * 2, rel=1e-6)
    learned = quick(max_iter=30).fit(X[:50], y[:50])
    assert learned.accuracy_curve_[-1] == 1.0 == learned.score(X[:50], y[:50])


def test_partial_fit_after_a_fit_without_state_warns(digits):
    X, y = digits
    message = "The fit before has not kept the state of Adam.* Fit with warm_start=True"
    estimator = quick().fit(X, y)
    with pytest.warns(UserWarning, match=message):
        estimator.partial_fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.partial_fit(X, y)
        quick(warm_start=True).fit(X, y).partial_fit(X, y)
        quick(solver="sgd").fit(X, y).partial_fit(X, y)
        quick().partial_fit(X, y, classes=range(10)).partial_fit(X, y)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_time_of_a_fit_is_divided_into_compiling_and_the_rest(digits, method):
    arguments = {} if method == "fit" else {"classes": range(10)}
    compiled, began = compile_time(), perf_counter()
    estimator = getattr(quick(), method)(*digits, **arguments)
    seconds = perf_counter() - began
    assert estimator.compile_time_ == compile_time() - compiled
    assert seconds / 2 < estimator.compile_time_ + estimator.fit_time_ <= seconds


def test_a_notebook_shows_the_network_once_it_is_fitted(digits):
    estimator = quick(architecture="INPUT -> FC(20) -> RELU -> FC")
    assert "<details open>" not in estimator._repr_html_()
    html = estimator.fit(*digits, X_val=digits[0], y_val=digits[1])._repr_html_()
    diagram, network = html.split("<details open><summary>")
    assert "sk-top-container" in diagram
    assert network in estimator._repr_mimebundle_()["text/html"]
    assert network.startswith("INPUT -&gt; FC(20) -&gt; RELU -&gt; FC(10): 1,510 parameters; 3 epochs in ")
    accuracies = estimator.accuracy_curve_[-1], estimator.best_validation_score_
    found = "loss {:.4f}, accuracy {:.4f} in training, {:.4f} at best in validation</summary>"
    assert f"in {estimator.fit_time_:.2f} s; {found.format(estimator.loss_, *accuracies)}" in network
    assert estimator.architecture_.summary()._repr_html_() in network
    assert "validation" not in estimator.fit(*digits)._repr_html_().split("<summary>")[-1]
    estimator.accuracy_curve_ = []  # as a callback gets it before the first epoch
    assert "in training" not in estimator._repr_html_().split("<summary>")[-1]


def test_predictions_agree_with_each_other(more_digits, fitted):
    X, y = more_digits
    scores, probabilities = fitted.decision_function(X), fitted.predict_proba(X)
    assert scores.shape == probabilities.shape == (400, 10)
    assert scores.dtype == probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-15)
    exponentials = np.exp(scores)
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), probabilities)
    assert (fitted.predict(X) == scores.argmax(axis=1)).all()
    assert fitted.score(X, y) == accuracy_score(y, fitted.predict(X))


def test_two_classes_have_one_score(digits):
    X, y = digits
    estimator = quick().fit(X, np.where(y < 5, "low", "high"))
    assert estimator.classes_.tolist() == ["high", "low"]
    score, probabilities = estimator.decision_function(X), estimator.predict_proba(X)
    assert score.shape == (400,)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-score)))
    assert (estimator.predict(X) == np.where(score > 0, "low", "high")).all()
    assert estimator.score(X, np.where(y < 5, "low", "high")) > 0.8


def test_predictions_need_a_fit(digits):
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(ConvNetClassifier(), method)(digits[0])


def test_rows_and_images_are_interchangeable_in_predict(digits, fitted):
    X = digits[0]
    scores = fitted.decision_function(X)
    for images in (X.reshape(-1, 8, 8), X.reshape(-1, 8, 8, 1), X.astype(float), np.asfortranarray(X)):
        assert np.array_equal(fitted.decision_function(images), scores)


def test_images_of_another_size_are_refused_in_predict(digits, fitted):
    with refused("X has images of shape (9, 8, 1), but images of shape (8, 8, 1) are expected"):
        fitted.predict(np.zeros((2, 9, 8)))
    with refused("X has 72 features, but ConvNetClassifier is expecting 64"):
        fitted.predict(np.zeros((2, 72)))


def test_the_image_shape_of_rows_can_be_given(digits):
    estimator = quick(image_shape=(4, 16, 1)).fit(*digits)
    assert estimator.image_shape_ == (4, 16, 1)
    assert (estimator.predict(digits[0].reshape(-1, 4, 16)) == estimator.predict(digits[0])).all()


def test_colour_images_and_strips(digits):
    X, y = digits
    colour = np.stack([X, 255 - X, X], axis=2).reshape(-1, 8, 8, 3)
    assert quick().fit(colour, y).coefs_[0].shape == (3, 3, 3, 8)
    strip = quick(architecture="INPUT -> FC").fit(X[:, :50], y)
    assert strip.image_shape_ == (1, 50, 1)
    assert strip.coefs_[0].shape == (50, 10)


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "sgd"},
        {"solver": "sgd", "nesterovs_momentum": False},
        {"learning_rate": "constant"},
        {"learning_rate": "adaptive"},
        {"label_smoothing": 0.1},
        {"shuffle": False},
        {"batch_size": 7},
        {"class_weight": "balanced"},
        {"architecture": "INPUT -> [CONV -> RELU -> POOL]*2 -> FC"},
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_way_of_training_learns(digits, parameters):
    estimator = quick(**parameters | {"max_iter": 12}).fit(*digits)
    assert estimator.score(*digits) > 0.85


def test_each_setting_of_the_training_matters(digits):
    networks = [
        quick(**parameters).fit(*digits)
        for parameters in (
            {},
            {"random_state": 1},
            {"alpha": 0.1},
            {"label_smoothing": 0.2},
            {"learning_rate_init": 0.011},
            {"shuffle": False},
            {"batch_size": 33},
            {"solver": "sgd"},
            {"solver": "sgd", "momentum": 0.5},
            {"solver": "sgd", "nesterovs_momentum": False},
            {"class_weight": {1: 2.0}},
            {"max_iter": 4},
            {"augment": "flip"},
            {"augment": "crop"},
            {"augment": "cutout"},
            {"augment": ["flip", "crop"]},
        )
    ]
    for i, one in enumerate(networks):
        assert not any(same_network(one, other) for other in networks[:i])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_fit_does_not_copy_the_data(dtype):
    X = np.zeros((2**28 // np.dtype(dtype).itemsize // 3072, 32, 32, 3), dtype)  # 256 MB that are never written
    y = np.arange(len(X)) % 2
    estimator = quick(architecture="INPUT -> FC", max_iter=1, batch_size=500).fit(X[:1000], y[:1000])
    tracemalloc.start()
    estimator.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 4


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_predict_does_not_copy_the_data(dtype):
    X = np.zeros((2**28 // np.dtype(dtype).itemsize // 3072, 32, 32, 3), dtype)
    estimator = quick(architecture="INPUT -> FC", max_iter=1, batch_size=500).fit(X[:1000], np.arange(1000) % 2)
    tracemalloc.start()
    estimator.predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 4


def test_one_class_is_refused(digits):
    X, _ = digits
    with refused("classes has 1 class (0)"):
        quick().partial_fit(X, np.zeros(400, int), classes=[0])
    with refused("y has 1 class"):
        quick().fit(X, np.zeros(400))
    with refused("y has 1 class among the examples with a weight above zero"):
        quick().fit(X, np.arange(400) % 2, sample_weight=np.arange(400) % 2)


def test_a_minibatch_larger_than_the_data_is_cut_with_a_warning(digits):
    X, y = digits
    with pytest.warns(UserWarning, match="batch_size=1000 is larger than the number of images. It is set to 400"):
        cut = quick(batch_size=1000).fit(X, y)
    assert same_network(cut, quick(batch_size=400).fit(X, y))


# Augmentation

ALL_KINDS = {"augment": ["flip", "crop", "cutout"]}


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


@pytest.mark.parametrize("augment", ["rotate", ["flip", "rotate"], [], ["flip", "flip"], 1, {"flip"}], ids=repr)
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
        np.sum(quick(architecture="INPUT -> FC", class_weight=weight).fit(blurred, y).predict(blurred) == 8)
        for weight in (None, {8: 1000})
    ]
    assert counts[1] > 2 * counts[0]


# Stopping


def test_max_iter_warns_unless_it_is_the_end_of_one_cycle(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(*digits)
    for learning_rate in ("constant", "adaptive"):
        with pytest.warns(ConvergenceWarning, match=re.escape("Maximum iterations (3) reached")):
            quick(learning_rate=learning_rate).fit(*digits)


def test_a_loss_that_no_longer_improves_ends_the_training(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator = quick(learning_rate="constant", max_iter=50, tol=1e3, n_iter_no_change=2).fit(*digits)
    # The first epoch always improves on nothing; after it, more than two epochs in a row.
    assert estimator.n_iter_ == 4


def test_adaptive_goes_on_with_a_lower_rate(digits):
    parameters = {"max_iter": 9, "tol": 1e3, "n_iter_no_change": 1, "solver": "sgd", "learning_rate_init": 0.1}
    with pytest.warns(ConvergenceWarning):
        estimator = quick(learning_rate="adaptive", **parameters).fit(*digits)
    assert estimator.n_iter_ == 9
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[2]


def test_early_stopping_keeps_the_best_weights(digits, more_digits):
    validation = dict(zip(("X_val", "y_val"), more_digits, strict=True))
    # A high rate, so that scores go up and down.
    parameters = {"learning_rate": "constant", "learning_rate_init": 0.03, "label_smoothing": 0.0}
    estimator = quick(early_stopping=True, max_iter=50, tol=0.01, n_iter_no_change=2, **parameters)
    estimator.fit(*digits, **validation)
    scores = estimator.validation_scores_
    assert len(scores) == len(estimator.loss_curve_) == estimator.n_iter_ < 50
    assert scores[-1] < estimator.best_validation_score_ == max(scores) == estimator.score(*more_digits)
    assert estimator.best_loss_ is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        shorter = quick(max_iter=int(np.argmax(scores)) + 1, **parameters).fit(*digits)
    assert same_network(estimator, shorter)


def test_early_stopping_sets_data_aside(digits):
    estimator = quick(early_stopping=True, validation_fraction=0.25).fit(*digits)
    assert estimator.t_ == 3 * 300
    assert len(estimator.validation_scores_) == 3
    assert all((score * 100) == pytest.approx(round(score * 100)) for score in estimator.validation_scores_)


def test_validation_data_without_early_stopping_are_watched(digits, more_digits):
    X_val, y_val = more_digits
    watched = quick().fit(*digits, X_val=X_val.reshape(-1, 8, 8), y_val=y_val)
    assert watched.validation_scores_[-1] == watched.score(X_val, y_val)
    assert watched.best_loss_ == min(watched.loss_curve_)
    assert watched.t_ == 3 * 400
    assert same_network(watched, quick().fit(*digits))


def test_validation_weights_weigh(digits, more_digits):
    X_val, y_val = more_digits
    weights = np.random.default_rng(0).random(400)
    estimator = quick().fit(*digits, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    score = estimator.score(X_val, y_val, sample_weight=weights)
    assert estimator.validation_scores_[-1] == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"X_val": np.zeros((2, 64))}, "belong together"),
        ({"y_val": [0, 1]}, "belong together"),
        ({"sample_weight_val": [1, 1]}, "belong together"),
        ({"X_val": np.zeros((2, 63)), "y_val": [0, 1]}, "63 features"),
        ({"X_val": np.zeros((2, 9, 9)), "y_val": [0, 1]}, r"\(9, 9, 1\)"),
        ({"X_val": np.zeros((2, 64)), "y_val": [0, 77]}, "77"),
        ({"X_val": np.full((2, 64), np.nan), "y_val": [0, 1]}, "NaN"),
        ({"X_val": np.zeros((2, 64)), "y_val": [0, 1], "sample_weight_val": [0, 0]}, "zero"),
    ],
)
def test_validation_data_that_are_none_are_refused(digits, validation, message):
    with pytest.raises(ValueError, match=message) as caught:
        quick().fit(*digits, **validation)
    assert str(caught.value).startswith("X_val")


def test_one_class_is_refused_before_validation_data_are_looked_at(digits):
    with refused("y has 1 class (0)"):
        quick().fit(digits[0], 0 * digits[1], X_val=digits[0], y_val=digits[1])


def test_an_interrupt_keeps_what_was_learnt(digits, monkeypatch):
    interrupt_at(60, monkeypatch)
    with pytest.warns(UserWarning, match="Training interrupted by user, after 2 epochs") as warned:
        estimator = quick(max_iter=10).fit(*digits)
    assert warned[0].filename == __file__
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2
    assert estimator.score(*digits) > 0.5


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("warm_start", [False, True])
def test_an_interrupt_in_the_first_epoch_leaves_all_as_it_was(digits, monkeypatch, warm_start, early_stopping):
    fitted = quick(warm_start=warm_start, early_stopping=early_stopping).fit(*digits)
    before, unfitted = dict(vars(fitted)), quick(early_stopping=early_stopping)
    interrupt_at(5 + (3 * (25 - 2 * early_stopping) if warm_start else 0), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(*digits)
    assert vars(fitted) == before
    interrupt_at(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        unfitted.fit(*digits)
    assert vars(unfitted) == vars(quick(early_stopping=early_stopping))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_divergence_names_the_place_and_keeps_the_last_finite_weights(digits, monkeypatch):
    parameters = {"learning_rate": "constant", "learning_rate_init": 0.02}
    diverge_at(60, monkeypatch)
    estimator = quick(**parameters, max_iter=10)
    message = "The loss is nan in epoch 3, step 10 of 25, at a learning rate of 0.02. Try a smaller learning_rate_init,"
    with pytest.raises(FloatingPointError, match=re.escape(message)):
        estimator.fit(*digits)
    monkeypatch.undo()
    shorter = quick(**parameters, max_iter=2).fit(*digits)
    assert same_network(estimator, shorter)
    assert estimator.loss_curve_ == shorter.loss_curve_
    assert estimator.score(*digits) > 0.5


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_divergence_under_early_stopping_keeps_the_best_weights(digits, more_digits, monkeypatch):
    validation = dict(zip(("X_val", "y_val"), more_digits, strict=True))
    diverge_at(110, monkeypatch)
    estimator = quick(early_stopping=True, learning_rate="constant", learning_rate_init=0.04, max_iter=10)
    with pytest.raises(FloatingPointError, match="in epoch 5, step 10 of 25"):
        estimator.fit(*digits, **validation)
    assert len(estimator.validation_scores_) == 4
    assert estimator.score(*more_digits) == max(estimator.validation_scores_)


def test_weights_that_grow_until_they_overflow_stay_finite(digits):
    """Decay takes away 2.5 times of every weight in each step."""
    parameters = {"solver": "sgd", "momentum": 0, "learning_rate": "constant", "learning_rate_init": 0.01}
    estimator = quick(architecture="INPUT -> FC", **parameters, alpha=2.5 * 16 / 0.01, max_iter=20)
    with pytest.raises(FloatingPointError, match=r"in epoch \d+, step \d+ of 25, at a learning rate of 0\.01\. Try"):
        estimator.fit(*digits)
    assert len(estimator.loss_curve_) > 1
    assert all(np.isfinite(array).all() for array in estimator.coefs_ + estimator.intercepts_)
    assert np.isfinite(estimator.predict_proba(digits[0])).all()


def test_a_learning_rate_beyond_reason_leaves_nothing_fitted(digits):
    estimator = quick(solver="sgd", learning_rate_init=1e30)
    with pytest.raises(FloatingPointError, match=r"Try a smaller learning_rate_init.* is as it was"):
        estimator.fit(*digits)
    with pytest.raises(NotFittedError):
        estimator.predict(digits[0])


def test_a_refit_that_diverges_at_once_leaves_the_network_of_the_fit_before(digits):
    estimator = quick().fit(*digits)
    before = dict(vars(estimator))
    estimator.set_params(solver="sgd", learning_rate_init=1e30)
    with pytest.raises(FloatingPointError, match="is as it was: not one epoch had ended"):
        estimator.fit(*digits)
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[name] is value for name, value in before.items() if name.endswith("_"))


# Going on


def test_warm_start_goes_on_as_one_longer_fit(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        longer = quick(learning_rate="constant", max_iter=5).fit(*digits)
        estimator = quick(learning_rate="constant", max_iter=2, warm_start=True).fit(*digits)
        estimator.set_params(max_iter=3).fit(*digits)
    assert same_network(estimator, longer)
    assert estimator.loss_curve_ == longer.loss_curve_
    assert estimator.best_loss_ == longer.best_loss_
    assert (estimator.n_iter_, longer.n_iter_) == (3, 5)
    assert estimator.t_ == longer.t_


ALL_DRAWS = {"architecture": "INPUT -> CONV -> NORM -> RELU -> POOL -> DROPOUT(0.3) -> FC(16) -> DROPOUT -> FC"}
ALL_DRAWS |= {"augment": ["flip", "crop", "cutout"], "learning_rate": "constant"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_warm_start_goes_on_with_all_that_is_drawn(digits, more_digits, solver):
    parameters = ALL_DRAWS | {"solver": solver}
    validation = dict(zip(("X_val", "y_val"), more_digits, strict=True))
    longer = quick(**parameters, max_iter=5).fit(*digits, **validation)
    estimator = quick(**parameters, max_iter=1, warm_start=True)
    for _ in range(5):
        estimator.fit(*digits, **validation)
    assert same_network(estimator, longer)
    assert estimator.loss_curve_ == longer.loss_curve_
    assert estimator.validation_scores_ == longer.validation_scores_
    assert estimator.t_ == longer.t_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"warm_start": True}),
        ({"warm_start": True}, {"solver": "sgd"}),
        ({"warm_start": True, "solver": "sgd"}, {"solver": "adam"}),
    ],
    ids=["warm_start switched on", "from adam to sgd", "from sgd to adam"],
)
def test_a_fit_that_goes_on_with_a_new_optimizer_has_draws_of_its_own(digits, monkeypatch, first, then):
    drawn = note_steps(monkeypatch)
    estimator = quick(**ALL_DRAWS | first).fit(*digits).set_params(**then).fit(*digits)
    estimator.fit(*digits)
    seeds, numbers, steps = zip(*drawn, strict=True)
    assert len(set(seeds)) == 1
    assert numbers == tuple(range(1, 3 * 75 + 1))  # 3 fits of 3 epochs of 25 steps
    assert steps == (*range(1, 76), *range(1, 151))  # Adam's own count begins with its moments


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_goes_on_counting_epochs_without_improvement(digits):
    estimator = quick(learning_rate="constant", max_iter=2, tol=1e3, n_iter_no_change=2, warm_start=True).fit(*digits)
    curve = estimator.loss_curve_
    assert estimator.set_params(max_iter=10).fit(*digits).n_iter_ == 2  # 4 epochs in all, as in one fit
    assert len(curve) == 2  # what was handed out stays as it was


def test_without_warm_start_fit_begins_anew(digits):
    estimator = quick().fit(*digits)
    again = clone(estimator).fit(*digits)
    assert same_network(estimator.fit(*digits), again)
    assert estimator.loss_curve_ == again.loss_curve_


def test_warm_start_refuses_another_network_or_other_classes(digits):
    X, y = digits
    estimator = quick(warm_start=True).fit(X, y)
    with refused("but the network to resume is INPUT -> CONV(K=8"):
        estimator.set_params(K=9).fit(X, y)
    estimator.set_params(K=8)
    with refused("Use warm_start=False, or the same classes"):
        estimator.fit(X[y > 0], y[y > 0])
    with refused("X has 63 features"):
        estimator.fit(X[:, 1:], y)


def test_warm_start_may_change_the_solver(digits):
    estimator = quick(warm_start=True).fit(*digits)
    before = estimator.loss_
    estimator.set_params(solver="sgd", learning_rate_init=0.01).fit(*digits)
    assert estimator.loss_ < before


def test_partial_fit_is_a_fit_in_pieces(digits):
    X, y = digits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = quick(learning_rate="constant", max_iter=3).fit(X, y)
    pieces = quick()
    for _ in range(3):
        pieces.partial_fit(X, y, classes=range(10))
    assert same_network(pieces, whole)
    assert pieces.loss_curve_ == whole.loss_curve_
    assert (pieces.n_iter_, pieces.t_) == (1, 1200)


def test_partial_fit_takes_batches_with_some_of_the_classes(digits):
    X, y = digits
    order = np.argsort(y[:100], kind="stable")
    estimator = quick()
    for part in np.array_split(order, 10):
        estimator.partial_fit(X[part], y[part], classes=np.arange(10), sample_weight=np.ones(len(part)))
    assert estimator.t_ == 100
    assert estimator.predict_proba(X).shape == (400, 10)
    with pytest.raises(ValueError, match="11"):
        estimator.partial_fit(X[:2], [0, 11])


def test_the_first_images_decide_how_pixels_are_standardised(digits):
    X, y = digits
    estimator = quick().partial_fit(X, y, classes=range(10))
    mean, scale = estimator.pixel_mean_.copy(), estimator.pixel_scale_.copy()
    estimator.partial_fit(2.0 * X + 100, y)
    assert np.array_equal(estimator.pixel_mean_, mean)
    assert np.array_equal(estimator.pixel_scale_, scale)


@pytest.mark.parametrize("classes", [10, {0, 1}, np.eye(2), "ab"])
def test_partial_fit_wants_a_list_of_classes(digits, classes):
    with refused("has to be a list of all labels, such as range(10)"):
        quick().partial_fit(*digits, classes=classes)


def test_weights_that_are_no_numbers_are_refused_by_their_name(digits):
    with refused("Pass an array of real numbers, one for each image"):
        quick().fit(*digits, sample_weight=["much"] * 400)


def test_partial_fit_goes_on_after_fit(digits):
    estimator = quick(max_iter=10).fit(*digits)
    with pytest.warns(UserWarning, match="A lower learning_rate_init also helps"):
        estimator.set_params(learning_rate_init=1e-4).partial_fit(*digits)
    assert estimator.loss_ < 2 * estimator.loss_curve_[9] < estimator.loss_curve_[0]
    assert len(estimator.loss_curve_) == 11


def test_partial_fit_refuses_what_it_cannot_do(digits):
    with refused("classes must be passed on the first call to partial_fit"):
        quick().partial_fit(*digits)
    for parameters in ({"early_stopping": True}, {"class_weight": "balanced"}):
        with refused("partial_fit does not support"):
            quick(**parameters).partial_fit(*digits, classes=range(10))


# What is printed


def test_verbose_prints_a_line_an_epoch(digits, more_digits, capsys):
    quick(verbose=1).fit(*digits, X_val=more_digits[0], y_val=more_digits[1])
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"kernels ready in \d+\.\d s", lines[0])
    pattern = r"epoch {}/3   loss \d+\.\d{{4}}   accuracy [01]\.\d{{4}}   validation [01]\.\d{{4}}   [\d,]+ images/s"
    assert len(lines) == 4
    assert all(re.fullmatch(pattern.format(epoch), line) for epoch, line in enumerate(lines[1:], 1))
    quick().fit(*digits)
    assert capsys.readouterr().out == ""


# Among scikit-learn's tools


def test_in_a_pipeline_and_in_cross_validation(digits):
    X, y = digits
    pipeline = make_pipeline(MinMaxScaler(), quick(max_iter=10))
    assert pipeline.fit(X, y).score(X, y) > 0.9
    scores = cross_val_score(pipeline, X, y, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.7


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("F", [1, 3, [5]]),
        ("S", [1, 2]),
        ("P", ["same", "valid", 0, 2]),
        ("K", [4, [6], "auto"]),
        ("N", [0, 1, 2]),
        ("M", ["auto", 1, 2]),
        ("architecture", ["auto", "INPUT -> FC", "INPUT -> [CONV -> RELU -> POOL]*2 -> FC"]),
    ],
)
def test_grid_search(digits, name, values):
    X, y = digits
    estimator = quick(max_iter=1, architecture="INPUT -> [[CONV(round=floor) -> RELU]*N -> POOL?]*M -> FC", pool=False)
    search = GridSearchCV(estimator, {name: values}, cv=2, error_score="raise").fit(X[:100], y[:100])
    assert len(search.cv_results_["params"]) == len(values)
    assert search.predict(X).shape == (400,)
    assert getattr(search.best_estimator_, name) in values


def test_a_pickle_is_small_and_predicts_the_same(digits, fitted, tmp_path):
    X = digits[0]
    n_bytes = sum(array.nbytes for array in fitted.coefs_ + fitted.intercepts_)
    large = quick(hidden_layer_sizes=256, max_iter=1).fit(*digits)
    n_bytes = sum(array.nbytes for array in large.coefs_ + large.intercepts_)
    assert len(pickle.dumps(large)) < 1.1 * n_bytes
    copy = pickle.loads(pickle.dumps(fitted))
    joblib.dump(fitted, tmp_path / "network.joblib")
    for other in (copy, joblib.load(tmp_path / "network.joblib"), joblib.load(tmp_path / "network.joblib", "r")):
        assert np.array_equal(other.decision_function(X), fitted.decision_function(X))
    assert str(copy.architecture_) == str(fitted.architecture_)


def test_training_goes_on_in_a_pickle(digits):
    estimator = quick().partial_fit(*digits, classes=range(10))
    copy = pickle.loads(pickle.dumps(estimator))
    assert same_network(copy.partial_fit(*digits), estimator.partial_fit(*digits))


def test_a_pickle_holds_arrays_and_our_plain_classes_only(fitted):
    operations = pickletools.genops(pickle.dumps(fitted, protocol=2))
    modules = {argument.split(".")[0].split()[0] for operation, argument, _ in operations if operation.name == "GLOBAL"}
    assert "skconvnet" in modules
    assert modules <= {"numpy", "skconvnet", "copy_reg", "_codecs", "__builtin__"}


# What is kept between calls


def test_a_weight_that_is_replaced_counts(digits):
    estimator = quick().fit(*digits)
    before = estimator.decision_function(digits[0])
    estimator.intercepts_[-1] = estimator.intercepts_[-1] + 1
    np.testing.assert_allclose(estimator.decision_function(digits[0]), before + 1, atol=1e-4)


def test_a_weight_changed_in_place_behind_a_prediction_is_an_error(digits):
    estimator = quick().fit(*digits)
    estimator.coefs_[0][:] = 0  # before the first prediction it counts
    expected = estimator.predict_proba(digits[0][:1])
    np.testing.assert_allclose(estimator.predict_proba(digits[0][1:2]), expected, rtol=1e-4)
    with pytest.raises(ValueError, match="read-only"):
        estimator.coefs_[0][:] = 1


def test_a_refit_is_seen(digits):
    estimator = quick().fit(*digits)
    estimator.predict(digits[0])
    estimator.set_params(random_state=1).fit(*digits)
    np.testing.assert_array_equal(
        estimator.decision_function(digits[0]), quick(random_state=1).fit(*digits).decision_function(digits[0])
    )


def test_what_is_kept_is_no_part_of_a_pickle(digits):
    estimator = quick().fit(*digits)
    before = len(pickle.dumps(estimator))
    expected = estimator.decision_function(digits[0])
    assert len(pickle.dumps(estimator)) <= before  # NumPy 2.5 spends less on the arrays, which are read-only now
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(estimator)).decision_function(digits[0]), expected)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_a_number_is_no_image(fitted, method):
    with pytest.raises(ValueError, match="Expected 2D array, got scalar array"):
        getattr(fitted, method)(np.array(3.0))


def test_an_interrupt_before_the_first_epoch_leaves_a_fitted_estimator_as_it_was(digits, monkeypatch):
    X, y = digits
    estimator = quick().fit(X, y)
    before, classes = estimator.predict(X), estimator.classes_

    interrupt_at(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, -y)
    assert estimator.classes_ is classes
    assert (estimator.predict(X) == before).all()
