"""Parameters, predictions, pickles, and how the classifier works with the tools of scikit-learn."""

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
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skconvnet import Architecture, ArchitectureError, ConvNetClassifier, ConvNetRegressor
from skconvnet.engine import Images, compile_time
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.program.target import CPU
from skconvnet.estimators import fitted as fitted_module
from skconvnet.estimators import fitting, scoring
from tests.estimators.quick import quick, refused, same_network
from tests.training.steps import interrupt_at

# Parameters


def test_parameters_that_mlpclassifier_has_are_there_with_few_exceptions():
    of_mlp = set(inspect.signature(MLPClassifier).parameters)
    missing = {"activation", "max_fun"}
    assert of_mlp - set(inspect.signature(ConvNetClassifier).parameters) == missing


def test_all_parameters_but_the_architecture_are_keywords_and_init_only_assigns():
    kinds = [parameter.kind for parameter in inspect.signature(ConvNetClassifier).parameters.values()]
    assert kinds == [inspect.Parameter.POSITIONAL_OR_KEYWORD] + [inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 1)
    names = list(inspect.signature(ConvNetClassifier).parameters)
    given = {name: object() for name in names}
    assert vars(ConvNetClassifier(**given)) == given
    assert set(ConvNetClassifier._parameter_constraints) == set(names)


@pytest.mark.parametrize(
    ("name", "hint"),
    {
        "activation": "a layer of the architecture here, such as RELU, TANH or SIGMOID: 'INPUT -> FC -> TANH -> FC'.",
        "epochs": "That is `max_iter` here.",
        "filter": "That is `K` (how many filters) or `F` (their extent) here.",
        "filters": "That is `K` here.",
        "lr": "That is `learning_rate_init` here.",
        "loss": "That is always cross-entropy in a classifier; `loss` is a parameter of ConvNetRegressor.",
        "max_fun": "belongs to solver='lbfgs'",
        "randomstate": "Did you mean random_state?",
        "hidden_layer_size": "Did you mean hidden_layer_sizes?",
        "zzz": "It has F, K, M, N,",
    }.items(),
)
def test_parameters_of_other_libraries_are_refused_with_what_to_write(name, hint):
    message = re.escape(f"ConvNetClassifier has no parameter {name!r}. ") + ".*" + re.escape(hint)
    with pytest.raises(TypeError, match=message):
        ConvNetClassifier(**{name: 1})
    with pytest.raises(ValueError, match=message):
        quick().set_params(K=3, **{name: 1})


def test_a_subclass_may_have_other_parameters():
    class Wide(ConvNetClassifier):
        def __init__(self, architecture="auto", *, width=1, **others):
            super().__init__(architecture, **others)
            self.width = width

    class Narrow(ConvNetClassifier):
        def __init__(self, width=1):
            super().__init__()
            self.width = width

    assert Wide(width=2, max_iter=5).max_iter == 5
    assert clone(Narrow(width=2)).set_params(width=3).width == 3
    with pytest.raises(TypeError, match=r"Narrow has no parameter 'max_iter'. It has width."):
        Narrow(max_iter=5)


@pytest.mark.parametrize(
    ("parameters", "hint"),
    [
        ({"solver": "lbfgs"}, "'lbfgs' needs all images in each step: write 'adam' or 'sgd'."),
        ({"solver": "Adam"}, "Did you mean 'adam'?"),
        ({"device": "gpu"}, "A GPU is 'cuda'."),
        ({"device": 0}, "A GPU is 'cuda'; CUDA_VISIBLE_DEVICES chooses among several."),
        ({"device": "cuda:0"}, "Did you mean 'cuda'?"),
        ({"learning_rate": 0.01}, "A number is learning_rate_init."),
        ({"learning_rate": "one_cycle"}, "Did you mean 'one-cycle'?"),
        ({"solver": None}, "Got None instead."),
    ],
)
def test_words_of_other_libraries_are_refused_with_what_to_write(digits, parameters, hint):
    with pytest.raises(ValueError, match=re.escape(hint) + "$"):
        quick(**parameters).fit(*digits)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"epochs": 3}, "got an unexpected keyword argument 'epochs'. That is a parameter of the estimator: "),
        ({"epochs": 3}, "ConvNetClassifier(max_iter=...)."),
        ({"batch_size": 3}, "ConvNetClassifier(batch_size=...)."),
        ({"validation_data": 3}, "That is X_val=..., y_val=... here."),
        ({"sample_weights": 3}, "Did you mean sample_weight?"),
        ({"zzz": 3}, "It takes X, y, sample_weight, X_val, y_val, sample_weight_val."),
    ],
)
def test_arguments_of_other_libraries_are_refused_with_what_to_write(digits, named, message):
    with pytest.raises(TypeError, match=r"^ConvNetClassifier.fit\(\) .*" + re.escape(message)):
        quick().fit(*digits, **named)


def test_missing_arguments_are_told_by_the_class_of_the_estimator():
    message = r"^ConvNetRegressor.fit\(\) needs the argument 'y'. It takes X, y, sample_weight, "
    with pytest.raises(TypeError, match=message):
        ConvNetRegressor().fit([[0.0]])
    with pytest.raises(TypeError, match=r"^ConvNetClassifier.partial_fit\(\) got .* 'X_val'. It takes X, y, classes"):
        quick().partial_fit([[0.0]], [0], X_val=[[0.0]])
    assert list(inspect.signature(ConvNetClassifier.fit).parameters)[:3] == ["self", "X", "y"]


def test_units_in_the_place_of_the_architecture_are_refused_with_what_to_write(digits):
    with refused("(units of hidden FC layers are hidden_layer_sizes=) or an instance of 'skconvnet"):
        ConvNetClassifier((100,)).fit(*digits)


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
        {"learning_rate": "falling"},
        {"power_t": -0.1},
        {"beta_1": 1},
        {"beta_2": -0.1},
        {"epsilon": 0},
        {"epsilon": 1e-45},
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
        {"augment": "twist"},
        {"augment": ["flip", 1]},
        {"augment": []},
        {"augment": True},
        {"device": "tpu"},
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
    monkeypatch.setattr("skconvnet.engine.device.machine_memory", lambda: 10_000)
    estimator = quick()
    with refused("kB of memory to train, and this machine has 10.0 kB."):
        estimator.fit(*digits)
    assert not hasattr(estimator, "coefs_")


def test_nothing_is_looked_at_before_the_network_fits(digits, monkeypatch):
    monkeypatch.setattr(Images, "statistics", None)  # the first pass over the pixels after the checks
    with refused("(8 - 9 + 0)/1 + 1 = 0"):
        quick(F=9, P=0).fit(*digits)
    monkeypatch.setattr("skconvnet.engine.device.machine_memory", lambda: 10_000)
    with refused("kB of memory to train"):
        quick().fit(*digits)


@pytest.mark.parametrize(
    ("parameters", "columns"), [({"K": 0}, 64), ({"K": 0}, 49), ({"hidden_layer_sizes": 10**9}, 49), ({}, 0)], ids=str
)
def test_a_refused_fit_leaves_the_fitted_network_as_it_was(digits, parameters, columns):
    X, y = digits
    estimator = quick().fit(X, y)
    before = estimator.predict_proba(X)
    estimator.set_params(**parameters)
    with pytest.raises(ValueError, match=r"K must be|TB of memory|minimum of 1"):
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
    chosen |= {"learning_rate_init": 0.005, "max_iter": "auto", "label_smoothing": 0.1}
    assert chosen.items() <= ConvNetClassifier().get_params().items()


@pytest.mark.parametrize(("n_jobs", "n_threads"), [(1, 1), (2, 2)])
def test_fit_and_predict_use_as_many_threads_as_they_are_told(digits, monkeypatch, n_jobs, n_threads):
    used = []

    class SpyDevice(CpuDevice):
        def execution(self, plan, network, n_workers, moments=None):
            used.append(n_workers)
            return super().execution(plan, network, n_workers, moments)

    for module, choose in ((fitting, "device_for_training"), (fitted_module, "device_for_scoring")):
        monkeypatch.setattr(module, choose, lambda *_: SpyDevice(replace(CPU, worker_flops=1)))
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
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with refused("y contains 10, which is not among the classes"):
            estimator.partial_fit(X, y + 1)
    with pytest.warns(UserWarning, match=message) as told:
        estimator.partial_fit(X, y)
    assert told[0].filename == __file__
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


def test_fitted_attributes_before_a_fit_are_a_not_fitted_error():
    estimator = ConvNetClassifier()
    for name in ("architecture_", "coefs_", "classes_"):
        with pytest.raises(NotFittedError, match=f"has no attribute '{name}': it is not fitted yet. Call fit first"):
            getattr(estimator, name)
        assert not hasattr(estimator, name)
    with pytest.raises(AttributeError) as caught:
        _ = estimator.no_such_name
    assert not isinstance(caught.value, NotFittedError)


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
    with pytest.warns(UserWarning, match="one pixel high"):
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
        {"learning_rate": "invscaling", "power_t": 0.1},
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6},
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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_setting_of_the_training_matters(digits):
    networks = [
        quick(**parameters).fit(*digits)
        for parameters in (
            {},
            {"random_state": 1},
            {"alpha": 0.1},
            {"label_smoothing": 0.2},
            {"learning_rate_init": 0.011},
            {"learning_rate": "invscaling", "max_iter": 2},
            {"learning_rate": "invscaling", "power_t": 0.4, "max_iter": 2},
            {"beta_1": 0.8},
            {"beta_2": 0.99},
            {"epsilon": 1e-3},
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


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "classes has no class; a classifier needs 2 classes or more"),
        ([None, 1], "classes=[None, 1] is invalid (y means classes): y contains None"),
        ([0, 1, np.nan], "classes=[0, 1, nan] is invalid (y means classes): y contains nan"),
        (np.array([0, 1, np.nan]), "is invalid (y means classes): Input y contains NaN"),
        (np.array([0.5, 1]), "is invalid (y means classes): "),
        (["a", 1], "classes=['a', 1] is invalid (y means classes): y has labels of type int and str"),
    ],
)
def test_classes_that_are_no_labels_are_refused(digits, classes, message):
    with refused(message):
        quick().partial_fit(*digits, classes=classes)
    with pytest.raises(ValueError, match="classes"):
        quick().partial_fit(*digits, classes=range(10)).partial_fit(*digits, classes=classes)


def test_a_minibatch_larger_than_the_data_is_cut_with_a_warning(digits):
    X, y = digits
    with pytest.warns(UserWarning, match="batch_size=1000 is larger than the number of images. It is set to 400"):
        cut = quick(batch_size=1000).fit(X, y)
    assert same_network(cut, quick(batch_size=400).fit(X, y))


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
    with refused("X has shape (). Reshape your data"):
        getattr(fitted, method)(np.array(3.0))
    with refused("X is None. Pass images of shape"):
        getattr(fitted, method)(None)


def test_an_interrupt_before_the_first_epoch_leaves_a_fitted_estimator_as_it_was(digits, monkeypatch):
    X, y = digits
    estimator = quick().fit(X, y)
    before, classes = estimator.predict(X), estimator.classes_

    interrupt_at(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, -y)
    assert estimator.classes_ is classes
    assert (estimator.predict(X) == before).all()
