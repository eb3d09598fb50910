"""Calls of `partial_fit` that use a trainer again: the bits of calls that each make their own."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier, ConvNetFeatures
from skconvnet.engine import Trainer
from skconvnet.estimators.fitted import learned_arrays
from tests.training.steps import diverge_at, interrupt_at

X, Y = load_digits(return_X_y=True)
BATCHES = [(X[first : first + 20], Y[first : first + 20]) for first in range(0, 120, 20)]
TEXT = "INPUT -> CONV(K=4) -> NORM -> RELU -> POOL -> DROPOUT(0.2) -> FC"


def quick(**parameters):
    return ConvNetClassifier(TEXT, **{"n_jobs": 1, "random_state": 0, "augment": "crop"} | parameters)


def bits(estimator):
    """Everything that later calls depend on."""
    state = pickle.loads(pickle.dumps(estimator))._training_state
    arrays = [array for arrays in learned_arrays(estimator) for array in arrays]
    arrays += [estimator.pixel_mean_, estimator.pixel_scale_, state.optimizer.moments]
    numbers = estimator.loss_curve_, estimator.t_, state.n_drawn, state.optimizer.n_steps
    return numbers, [array.tobytes() for array in arrays]


def after(between, estimator=None, forget=False):
    """An estimator after all batches, with `between(estimator, number)` before each; `forget` makes new trainers."""
    estimator = quick() if estimator is None else estimator
    for number, (images, labels) in enumerate(BATCHES):
        if forget:
            vars(estimator).pop("_kept_trainer", None)
        if number:
            between(estimator, number)
        estimator.partial_fit(images, labels, classes=range(10))
    return estimator


@pytest.fixture
def n_trainers(monkeypatch):
    """A list with an entry for each trainer that was made."""
    made, init = [], Trainer.__init__

    def note(trainer, *arguments, **settings):
        made.append(trainer)
        init(trainer, *arguments, **settings)

    monkeypatch.setattr(Trainer, "__init__", note)
    return made


def nothing(estimator, number):
    pass


def replace_an_array(estimator, number):
    estimator.coefs_[0] = estimator.coefs_[0] * np.float32(0.9)


def change_an_array_in_place(estimator, number):
    estimator.coefs_[0] *= np.float32(0.9)


def replace_a_list(estimator, number):
    estimator.intercepts_ = [array + np.float32(0.1) for array in estimator.intercepts_]


def change_pixel_mean_in_place(estimator, number):
    estimator.pixel_mean_ += np.float32(0.5)


def change_settings(estimator, number):
    estimator.set_params(alpha=0.1 * number, learning_rate_init=0.001 * number)
    estimator.set_params(augment=[None, "flip", ["crop", "cutout"]][number % 3])


def change_the_loss(estimator, number):
    estimator.set_params(label_smoothing=0.05 * number)


def change_the_solver(estimator, number):
    estimator.set_params(solver=["adam", "sgd"][number % 2])


def change_momentum(estimator, number):
    estimator.set_params(solver="sgd", momentum=0.1 * number)


def change_adam(estimator, number):
    estimator.set_params(beta_1=0.1 * number, beta_2=0.9 + 0.01 * number, epsilon=1e-6 * number)


def change_the_batch_size(estimator, number):
    estimator.set_params(batch_size=5 + number)


def change_threads(estimator, number):
    estimator.set_params(n_jobs=1 + number % 2)


def read(estimator, number):
    estimator.coefs_[0].sum()


def predict(estimator, number):
    estimator.predict(X[:5])


def fit_on(estimator, number):
    estimator.set_params(warm_start=True, max_iter=1).fit(X[:100], Y[:100])


CHANGES = [
    *(nothing, replace_an_array, change_an_array_in_place, replace_a_list, change_pixel_mean_in_place, change_settings),
    *(
        change_the_loss,
        change_the_solver,
        change_momentum,
        change_adam,
        change_the_batch_size,
        change_threads,
        read,
        predict,
        fit_on,
    ),
]


@pytest.mark.filterwarnings("ignore:The fit before", "ignore:batch_size=")
@pytest.mark.parametrize("between", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_between_the_calls_counts(between):
    assert bits(after(between)) == bits(after(between, forget=True))


@pytest.mark.parametrize(
    ("between", "expected"),
    [(nothing, 1), (change_settings, 1), (read, 1), (predict, 1), (change_the_batch_size, 6)],
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.filterwarnings("ignore:batch_size=")
def test_a_trainer_is_made_as_seldom_as_possible(between, expected, n_trainers):
    after(between)
    assert len(n_trainers) == expected


def test_a_network_parameter_that_changes_in_place_is_noticed():
    widths = [8]
    estimator = ConvNetClassifier("INPUT -> [FC -> RELU]*K -> FC", hidden_layer_sizes=widths)
    estimator.partial_fit(*BATCHES[0], classes=range(10))
    widths[0] = 9
    with pytest.raises(ValueError, match=r"FC\(9\).*but the network to resume is .*FC\(8\)"):
        estimator.partial_fit(*BATCHES[1])


@pytest.mark.parametrize("fail", [interrupt_at, diverge_at])
def test_a_call_that_fails_changes_nothing(fail, monkeypatch):
    estimator = quick(batch_size=5)

    def failing(estimator, number):
        with monkeypatch.context() as patch:
            fail(4 * number + 3, patch)  # in the middle of the epoch of four steps
            with pytest.raises((KeyboardInterrupt, FloatingPointError)):
                estimator.partial_fit(*BATCHES[-number])

    assert bits(after(failing, estimator)) == bits(after(nothing, quick(batch_size=5)))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda estimator: pickle.loads(pickle.dumps(estimator))])
def test_copies_go_on_by_themselves(copied):
    first, second = quick(), None
    first.partial_fit(*BATCHES[0], classes=range(10)).partial_fit(*BATCHES[1])
    second = copied(first)
    for one, other in zip(BATCHES[2:], BATCHES[:1:-1], strict=True):
        first.partial_fit(*one)
        second.partial_fit(*other)
    expected = [quick(), quick()]
    for estimator, batches in zip(expected, (BATCHES, BATCHES[:2] + BATCHES[:1:-1]), strict=True):
        for images, labels in batches:
            estimator.partial_fit(images, labels, classes=range(10))
    assert [bits(first), bits(second)] == [bits(estimator) for estimator in expected]


def test_a_copy_that_goes_on_later_has_the_state_of_its_moment():
    estimator = quick().partial_fit(*BATCHES[0], classes=range(10)).partial_fit(*BATCHES[1])
    shallow, deep, state = copy.copy(estimator), copy.deepcopy(estimator), estimator.__getstate__()
    moments = state["_training_state"].optimizer.moments.copy()
    for batch in BATCHES[2:]:
        estimator.partial_fit(*batch)
    assert np.array_equal(state["_training_state"].optimizer.moments, moments)
    assert bits(shallow.partial_fit(*BATCHES[2])) == bits(deep.partial_fit(*BATCHES[2]))


def test_features_keep_the_network_that_a_stream_leaves_behind():
    estimator = quick().partial_fit(*BATCHES[0], classes=range(10))
    features = ConvNetFeatures(estimator, layer="POOL 1").fit(X)
    before = features.transform(X[:50])
    estimator.partial_fit(*BATCHES[1]).partial_fit(*BATCHES[2])
    assert np.array_equal(features.transform(X[:50]), before)


def test_learned_arrays_are_unpacked_when_they_are_first_read():
    estimator = quick().partial_fit(*BATCHES[0], classes=range(10))
    assert "coefs_" not in vars(estimator)
    coefs = estimator.coefs_
    assert [array.shape for array in coefs] == [(3, 3, 1, 4), (4,), (64, 10)]
    assert estimator.coefs_ is coefs is vars(estimator)["coefs_"]
    assert {"intercepts_", "norm_means_", "norm_variances_"} <= vars(estimator).keys()
    before = [array.copy() for array in coefs]
    estimator.partial_fit(*BATCHES[1])
    assert all(map(np.array_equal, coefs, before))  # what was handed out does not change


@pytest.mark.parametrize("change", [lambda p: p[:-1], lambda p: np.append(p, p[:9]), np.float64, np.ndarray.tolist])
def test_parameters_that_are_not_of_the_network_are_refused(change):
    estimator = quick().partial_fit(*BATCHES[0], classes=range(10))
    state = estimator._training_state
    estimator._training_state = replace(state, parameters=change(state.parameters))
    for call in (lambda: estimator.coefs_, lambda: estimator.partial_fit(*BATCHES[1])):
        with pytest.raises(ValueError, match="do not belong together: the training state has "):
            call()


def test_parameters_in_a_file_are_not_used():
    estimator = quick().partial_fit(*BATCHES[0], classes=range(10))
    parameters, file = estimator._training_state.parameters, estimator.__getstate__()
    del file["coefs_"]
    file["_training_state"] = replace(file["_training_state"], parameters=parameters)
    loaded = quick()
    loaded.__setstate__(file)
    with pytest.raises(ValueError, match="do not belong together: coefs_ is missing"):
        loaded.predict(X)


def test_a_name_that_is_no_attribute_is_an_attribute_error():
    for estimator in (quick(), quick().partial_fit(*BATCHES[0], classes=range(10))):
        with pytest.raises(AttributeError, match="'ConvNetClassifier' object has no attribute 'coef_'"):
            _ = estimator.coef_


def test_the_images_are_not_kept():
    images = X[:20].copy()
    estimator = quick().partial_fit(images, Y[:20], classes=range(10))
    (kept,) = estimator._kept_trainer._held
    assert kept.trainer.images is None
    assert len(pickle.dumps(estimator)) < len(pickle.dumps(estimator._training_state)) + 20_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes_", np.arange(30_000_000)),
        ("image_shape_", (4, 4, 1)),
        ("n_features_in_", 16),
        ("pixel_mean_", np.zeros(2, np.float32)),
        ("architecture_", None),
        ("_training_state", None),
    ],
)
def test_an_attribute_that_was_replaced_after_a_call_is_refused(name, value):
    estimator = quick().partial_fit(*BATCHES[0], classes=range(10))
    setattr(estimator, name, value)
    for images in (X[:20], X[:20, :16]):
        with pytest.raises(ValueError, match=f"do not belong together: .*({name}|coefs_ is missing)"):
            estimator.partial_fit(images, np.full(20, estimator.classes_[-1]))


def test_two_threads_may_unpack_the_learned_arrays_at_once():
    estimator = after(nothing)
    arrays = estimator.coefs_
    assert estimator.__getattr__("coefs_") is arrays  # where a thread gets to whose lookup came before the unpacking
