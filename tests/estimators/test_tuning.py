"""Layers that stay as they are, and what is trained behind them."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from skconvnet import Architecture, ConvNetClassifier
from skconvnet.estimators import fitting, tuning
from skconvnet.estimators.fitted import learned_arrays
from skconvnet.estimators.tuning import first_trained, frozen_layers
from tests.estimators.quick import refused, same_network
from tests.training.steps import interrupt_at

TEXT = "INPUT -> CONV(K=8) -> RELU -> POOL -> CONV(K=8) -> NORM -> RELU -> DROPOUT(0.2) -> FC(16) -> RELU -> FC"
BODY = ["CONV 1", "RELU 1", "POOL 1", "CONV 2", "NORM 1", "RELU 2", "DROPOUT 1", "FC 1", "RELU 3"]


def tuned(source, **parameters):
    """A classifier that begins with another's network, whose body is frozen."""
    settings = {"freeze": "body", "max_iter": 2, "batch_size": 16, "n_jobs": 1, "random_state": 0}
    return ConvNetClassifier(pretrained=FrozenEstimator(source), **settings | parameters)


@pytest.fixture(scope="module")
def source(digits):
    """A network for the digits 0 to 4."""
    X, y = digits
    return ConvNetClassifier(TEXT, max_iter=2, batch_size=16, n_jobs=1, random_state=1).fit(X[y < 5], y[y < 5])


def stays(source, classifier):
    """For each list of learned arrays, which of them are as they were."""
    pairs = zip(learned_arrays(source), learned_arrays(classifier), strict=True)
    return [[np.array_equal(*arrays) for arrays in zip(*lists, strict=True)] for lists in pairs]


def test_layers_are_frozen_up_to_the_one_that_is_named():
    bound = Architecture.parse(TEXT).bind((8, 8, 1), 10)
    assert frozen_layers(bound, None) == frozenset()
    assert frozen_layers(bound, "body") == {*BODY}
    assert frozen_layers(bound, "POOL 1") == {*BODY[:3]}
    branches = Architecture.parse("INPUT -> CONV(K=4) -> (CONV(K=4) -> RELU + SKIP) -> FC").bind((8, 8, 1), 10)
    assert frozen_layers(branches, "CONV 2") == {"CONV 1", "CONV 2"}
    assert frozen_layers(branches, "SUM 1") == {"CONV 1", "CONV 2", "RELU 1", "SKIP 1", "SUM 1"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [("FC 2", "."), ("CONV 9", ": did you mean CONV"), ("conv 1", ": did you mean CONV 1?"), ("", ".")],
)
def test_a_layer_that_is_not_before_the_head_is_refused(source, digits, name, hint):
    with refused(f"freeze={name!r} is no layer before the head{hint}") as caught:
        tuned(source, freeze=name).fit(*digits)
    message = "The head, FC 2, has to learn. Choose 'body', for all layers before it, or the last layer to keep: CONV 1"
    assert message in str(caught.value)


def test_freeze_needs_pretrained(digits):
    with refused("freeze='body' keeps pretrained weights, but pretrained=None"):
        ConvNetClassifier(freeze="body").fit(*digits)


@pytest.mark.parametrize(
    ("text", "freeze", "n_layers"),
    [
        (TEXT, "CONV 1", 3),
        (TEXT, "CONV 2", 4),
        (TEXT, "NORM 1", 6),
        (TEXT, "body", 9),
        ("INPUT -> NORM -> CONV(K=4) -> FC", "NORM 1", 0),
        ("INPUT -> CONV(K=4) -> (CONV(K=4) + SKIP) -> FC", "CONV 1", 1),
        ("INPUT -> CONV(K=4) -> (CONV(K=4) + SKIP) -> FC", "CONV 2", 0),
        ("INPUT -> CONV(K=4) -> (CONV(K=4) + SKIP) -> FC", "SUM 1", 2),
    ],
)
def test_the_layers_that_are_computed_once(text, freeze, n_layers):
    bound = Architecture.parse(text).bind((8, 8, 1), 10)
    assert first_trained(bound, frozen_layers(bound, freeze), changes_images=False) == n_layers
    assert first_trained(bound, frozen_layers(bound, freeze), changes_images=True) == 0


def test_frozen_layers_keep_every_bit_and_the_others_learn(source, digits):
    assert stays(source, tuned(source).fit(*digits)) == [[True] * 4 + [False]] * 2 + [[True]] * 2
    classifier = tuned(source, freeze="CONV 2").fit(*digits)
    running = [[True]] * 2  # NORM 1 learns, but keeps its running statistics
    assert stays(source, classifier) == [[True, True, False, False, False]] * 2 + running
    assert classifier.norm_means_[0].shape == (8,)


@pytest.mark.parametrize(("freeze", "n_frozen"), [("body", 4), ("CONV 2", 2)])
def test_with_augmentation_frozen_layers_keep_every_bit_too(source, digits, freeze, n_frozen):
    one, other = (tuned(source, freeze=freeze, augment="crop", n_jobs=n).fit(*digits) for n in (1, 2))
    assert same_network(one, other)
    stays_frozen = [True] * n_frozen + [False] * (5 - n_frozen)
    assert stays(source, one) == [stays_frozen] * 2 + [[True]] * 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_without_freeze_the_body_learns_at_its_own_rate(source, digits):
    settings = {"freeze": None, "max_iter": 1, "learning_rate": "constant", "alpha": 0.0, "head_first": False}
    moved = []
    for rate in (1e-6, 0.1):
        classifier = tuned(source, body_rate=rate, **settings).fit(*digits)
        moved.append(
            [np.abs(new - old).max() for old, new in zip(source.coefs_[:4], classifier.coefs_[:4], strict=True)]
        )
        assert np.abs(classifier.coefs_[-1]).max() > 0.1
    assert max(moved[0]) < 1e-6 < 1e-4 < min(moved[1])


def test_the_head_begins_as_a_regression_on_the_same_features_whatever_is_frozen(source, digits):
    """At a learning rate of nearly zero, so that the head stays as it began."""
    settings = {"max_iter": 1, "learning_rate_init": 1e-12}
    frozen, partly, free, augmented, by_chance = (
        tuned(source, **settings | changed).fit(*digits)
        for changed in (
            {},
            {"freeze": "CONV 2"},
            {"freeze": None},
            {"augment": "flip"},
            {"head_first": False},
        )
    )
    for other in (partly, free, augmented):
        np.testing.assert_allclose(other.coefs_[-1], frozen.coefs_[-1], rtol=1e-3, atol=1e-4)
    assert frozen.score(*digits) > 0.6 > by_chance.score(*digits)


def test_a_head_that_reads_large_numbers_learns_slowly_and_keeps_what_it_began_with(source, digits, monkeypatch):
    large = copy.copy(source)
    large.coefs_ = [*source.coefs_[:3], 200 * source.coefs_[3], source.coefs_[4]]
    large.intercepts_ = [*source.intercepts_[:3], 200 * source.intercepts_[3], source.intercepts_[4]]
    began = tuned(large, max_iter=1, learning_rate_init=1e-12).fit(*digits).score(*digits)
    classifier = tuned(large, warm_start=True).fit(*digits)
    assert classifier._training_state.head_rate < 0.1
    assert classifier.score(*digits) > began - 0.02
    again = pickle.loads(pickle.dumps(classifier)).set_params(freeze=None).fit(*digits)
    assert again._training_state.head_rate == classifier._training_state.head_rate
    monkeypatch.setattr(fitting, "rate_of_head", lambda features: 1.0)
    assert tuned(large).fit(*digits).loss_curve_[0] > 1.1 * classifier.loss_curve_[0]


def test_a_new_head_with_groups_needs_head_first_false(source, digits, monkeypatch):
    text = TEXT.replace("FC(16) -> RELU -> FC", "CONV(K=10, groups=2) -> POOL(average, F=all)")
    grouped = ConvNetClassifier(text, max_iter=1, n_jobs=1, random_state=0).fit(*digits)
    X, y = digits[0], digits[1] + 1
    with monkeypatch.context() as patched:
        patched.setattr(tuning.TrainedPart, "images", None)  # what the frozen layers compute is not needed
        with refused("head_first=True needs a head that is an FC, or a CONV without groups"):
            tuned(grouped).fit(X, y)
    assert tuned(grouped, head_first=False).fit(X, y).n_iter_ == 2


@pytest.mark.parametrize("kind", ["RELU6", "TANH", "SIGMOID", "HSIGMOID"])
def test_a_new_head_with_bounded_scores_needs_head_first_false(kind):
    bound = Architecture.parse(f"INPUT -> CONV(K=4) -> CONV(K=classes) -> {kind} -> POOL(average, F=all)")
    with refused(f"head_first=True needs scores without a limit, and those of this network end in {kind}"):
        tuning.check_head(bound.bind((8, 8, 1), 3))


def test_results_do_not_depend_on_memory_threads_or_the_form_of_images(source, digits, monkeypatch):
    X, y = digits
    expected = tuned(source, freeze="NORM 1", early_stopping=True).fit(X, y)
    assert same_network(
        tuned(source, freeze="NORM 1", early_stopping=True, n_jobs=2).fit(X.reshape(-1, 8, 8), y), expected
    )
    monkeypatch.setattr(tuning, "machine_memory", lambda: 0)
    again = tuned(source, freeze="NORM 1", early_stopping=True).fit(X.astype(float), y)
    assert same_network(again, expected)
    assert again.validation_scores_ == expected.validation_scores_


def test_the_scores_of_the_validation_are_those_of_the_whole_network(source, digits, more_digits):
    classifier = tuned(source, max_iter=1).fit(*digits, X_val=more_digits[0], y_val=more_digits[1])
    assert classifier.validation_scores_ == [classifier.score(*more_digits)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_that_are_continued_or_unfrozen(source, digits):
    parameters = {"learning_rate": "constant", "warm_start": True}
    whole = tuned(source, max_iter=3, **parameters | {"warm_start": False}).fit(*digits)
    parts = tuned(source, max_iter=1, **parameters).fit(*digits)
    parts.set_params(max_iter=2).fit(*digits)
    assert same_network(parts, whole)
    parts.set_params(freeze="CONV 1").fit(*digits)
    assert stays(whole, parts)[0] == [True, False, False, False, False]
    assert parts._training_state.optimizer.n_steps == 2 * 25


@pytest.mark.parametrize("freeze", ["SUM 1", "STACK 1", "GATE 1", "CONV 5"])
def test_activations_that_are_computed_once_are_those_of_a_plan_with_frozen_layers(digits, freeze, monkeypatch):
    text = (
        "INPUT -> CONV(K=8) -> (CONV(K=8) -> NORM + SKIP) -> RELU -> (CONV(K=8, F=1) | POOL(F=3, S=1, P=1)) -> POOL"
        " -> (SKIP * POOL(average, F=all) -> CONV(K=16, F=1) -> SIGMOID) -> CONV(K=8) -> NORM -> RELU -> FC"
    )
    source = ConvNetClassifier(text, max_iter=1, n_jobs=1, random_state=0).fit(digits[0], digits[1] % 5)
    settings = {"freeze": freeze, "max_iter": 1, "shuffle": False}
    once = tuned(source, **settings).fit(*digits)
    monkeypatch.setattr(fitting, "first_trained", lambda *arguments, **named: 0)
    always = tuned(source, **settings).fit(*digits)
    np.testing.assert_allclose(once.loss_curve_, always.loss_curve_, rtol=1e-3)
    n_frozen = sum(stays(source, once)[0])
    assert stays(source, always) == stays(source, once)
    assert n_frozen == {"SUM 1": 3, "STACK 1": 4, "GATE 1": 5, "CONV 5": 6}[freeze]


def test_a_head_that_is_kept_has_the_rate_of_one_that_begins_as_a_regression(digits):
    text = "INPUT -> CONV(K=8) -> RELU -> POOL -> CONV(K=256) -> RELU -> FC"
    wide = ConvNetClassifier(text, max_iter=1, batch_size=16, n_jobs=1, random_state=0).fit(*digits)
    kept, new = (
        tuned(wide, max_iter=1, learning_rate_init=1e-12).fit(digits[0], labels)
        for labels in (digits[1], digits[1] + 1)
    )
    assert kept._training_state.head_rate == new._training_state.head_rate < 1
    np.testing.assert_allclose(kept.coefs_[-1], wide.coefs_[-1], atol=1e-9)


def test_a_stream_may_begin_with_images_of_one_class(source, digits):
    X, y = digits
    classifier = tuned(source).partial_fit(X[y == 3], y[y == 3], classes=range(10))
    assert classifier.partial_fit(X, y).loss_curve_[1] < 3


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_network_that_overflows_is_refused(source, digits):
    large = copy.copy(source)
    large.coefs_ = [1e30 * coef for coef in source.coefs_]
    with refused("The pretrained network computes numbers from X that are not finite in float32"):
        tuned(large).fit(*digits)


def test_a_stream_of_images(source, digits):
    X, y = digits
    one, other = (tuned(source) for _ in range(2))
    for first in range(0, 90, 30):
        vars(other).pop("_kept_trainer", None)
        for classifier in (one, other):
            classifier.partial_fit(X[first : first + 30], y[first : first + 30], classes=range(10))
    assert same_network(one, other)
    assert stays(source, one)[0] == [True] * 4 + [False]
    one.set_params(freeze="CONV 1").partial_fit(X[:30], y[:30])
    assert stays(other, one)[0] == [True] + [False] * 4


def test_a_stream_that_is_pretrained_no_more_has_one_rate(source, digits):
    X, y = digits
    one, other = (
        tuned(source, architecture=TEXT, freeze=None, body_rate=1e-6).partial_fit(X[:30], y[:30], classes=range(10))
        for _ in range(2)
    )
    vars(other).pop("_kept_trainer")
    for classifier in (one, other):
        classifier.set_params(pretrained=None).partial_fit(X[30:60], y[30:60])
    assert same_network(one, other)


def test_a_checkpoint_is_resumed_to_the_bit_and_knows_the_network(source, digits, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    expected = tuned(source).fit(*digits)
    with monkeypatch.context() as patched:
        interrupt_at(30, patched)
        with pytest.warns(UserWarning, match="interrupted"):
            tuned(source, checkpoint=path).fit(*digits)
    assert same_network(tuned(source, checkpoint=path).fit(*digits), expected)
    source_2 = ConvNetClassifier(TEXT, max_iter=1, n_jobs=1, random_state=2).fit(*digits)
    with refused("the pretrained network differ"):
        tuned(source_2, checkpoint=path).fit(*digits)
    with refused("freeze is 'body' in the file and 'CONV 1' now"):
        tuned(source, checkpoint=path, freeze="CONV 1").fit(*digits)
