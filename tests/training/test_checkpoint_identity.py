"""A checkpoint of another fit is refused with the names of what differs."""

import json

import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

from skconvnet import ConvNetClassifier
from skconvnet.architecture import HYPERPARAMETERS
from skconvnet.engine import Trainer
from tests.training.checkpoints import PARTS, digits, quick, refused, result, rewritten

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

OTHER_PARAMETERS = {
    "architecture": "INPUT -> CONV(K=7) -> RELU -> POOL -> FC",
    "solver": "sgd",
    "alpha": 0.1,
    "batch_size": 17,
    "learning_rate": "constant",
    "learning_rate_init": 0.001,
    "beta_1": 0.8,
    "beta_2": 0.99,
    "epsilon": 1e-6,
    "max_iter": 5,
    "shuffle": False,
    "tol": 0.1,
    "n_iter_no_change": np.inf,
    "early_stopping": True,
    "label_smoothing": 0.0,
    "augment": "flip",
    "random_state": 1,
}


@pytest.mark.parametrize("name", OTHER_PARAMETERS)
def test_other_parameters_are_refused_by_name_and_the_file_stays(path, name, monkeypatch):
    quick(max_iter=4, checkpoint=path).fit(*digits())
    before = path.read_bytes()
    monkeypatch.setattr(Trainer, "__init__", None)  # no work begins
    with refused(f"checkpoint={str(path)!r} belongs to another fit", name, "delete or move the file"):
        quick(**{name: OTHER_PARAMETERS[name]}, checkpoint=path).fit(*digits())
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_settings_of_sgd_and_of_what_is_set_aside_count_where_they_matter(path):
    parameters = {"early_stopping": True, "solver": "sgd", "learning_rate": "invscaling"}
    quick(**parameters, checkpoint=path).fit(*digits())
    for name, value in {
        "power_t": 0.25,
        "momentum": 0.5,
        "nesterovs_momentum": False,
        "validation_fraction": 0.2,
    }.items():
        with refused(f"{name} is ", f"in the file and {value!r} now"):
            quick(**parameters | {name: value}, checkpoint=path).fit(*digits())
    adam = path.with_name("adam")
    expected = result(quick(checkpoint=adam).fit(*digits()))
    assert result(quick(momentum=0.5, power_t=0.25, checkpoint=adam).fit(*digits())) == expected


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_file_without_parameters_that_came_later_is_resumed(path, solver):
    expected = result(quick(solver=solver, checkpoint=path).fit(*digits()))
    with np.load(path) as file:
        identity = json.loads(file["header"].tobytes())["fit"]
    rewritten(path, fit={name: identity[name] for name in identity if name not in ("beta_1", "beta_2", "epsilon")})
    assert result(quick(solver=solver, checkpoint=path).fit(*digits())) == expected
    if solver == "adam":
        with refused("beta_1 is 0.9 in the file and 0.8 now"):
            quick(beta_1=0.8, checkpoint=path).fit(*digits())


def test_a_file_without_learning_rates_is_resumed_and_knows_those_that_follow(path):
    quick(max_iter=4, learning_rate="constant", checkpoint=path).fit(*digits())
    with np.load(path) as file:
        fit = json.loads(file["header"].tobytes())["fit"]
    assert fit["max_iter"] == 4
    rewritten(path, without="learning_rates", fit=fit | {"max_iter": 6})
    resumed = quick(max_iter=6, learning_rate="constant", checkpoint=path).fit(*digits())
    assert len(resumed.loss_curve_) == 6
    assert resumed.learning_rate_curve_ == pytest.approx([resumed.learning_rate_init] * 2)


def keep(images, rng):
    return images


def double(images, rng):
    return images * 2


def test_functions_in_augment_count_by_their_names(path):
    expected = result(quick(augment=[keep, "flip"], checkpoint=path).fit(*digits()))
    assert result(quick(augment=["flip", keep], checkpoint=path).fit(*digits())) == expected
    for augment in ([double, "flip"], "flip", [keep, double, "flip"]):
        with refused("augment is ", f"{__name__}.keep"):
            quick(augment=augment, checkpoint=path).fit(*digits())


def test_what_may_change_and_what_may_not_is_every_parameter():
    may_change = {"n_jobs", "verbose", "device", "float32_precision", "checkpoint", "widen_classes", "average_mirrored"}
    elsewhere = {"power_t", "momentum", "nesterovs_momentum", "validation_fraction"}  # the test above
    of_architecture = {*HYPERPARAMETERS, "image_shape"}
    of_weights = {"class_weight"}
    refused_together = {"warm_start"}
    of_pretrained = {"pretrained", "freeze", "body_rate", "head_first"}  # in tests/estimators/test_tuning.py
    known = may_change | elsewhere | of_architecture | of_weights | refused_together | of_pretrained
    known |= set(OTHER_PARAMETERS)
    assert known == set(ConvNetClassifier().get_params())


def test_a_generator_that_has_moved_on_is_refused_with_what_to_do(path):
    estimator = quick(random_state=np.random.RandomState(5), checkpoint=path).fit(*digits())
    advice = "a RandomState instance gives another seed to every fit: use an int, or a new instance"
    with refused("belongs to another fit: the seeds of random_state differ", advice):
        estimator.fit(*digits())
    expected = result(estimator)
    assert result(estimator.set_params(random_state=np.random.RandomState(5)).fit(*digits())) == expected


def test_a_cross_validation_is_refused_with_what_to_do(path):
    with refused("the images X differ", "A cross-validation or a search fits many networks, and needs checkpoint=None"):
        cross_val_score(quick(checkpoint=path), *digits(), cv=2, error_score="raise")
    with pytest.warns(FitFailedWarning, match="A cross-validation or a search .* needs checkpoint=None"):
        GridSearchCV(quick(checkpoint=path), {"alpha": [0.01, 0.1]}, cv=2, refit=False).fit(*digits())


def changed(array):
    array = array.copy()
    array[-1] = array[0]
    return array


def test_other_data_are_refused_by_name(path):
    X, y = digits()
    weights = np.linspace(0.5, 1, 150)
    data = {"X": X[:150], "y": y[:150], "sample_weight": weights, "X_val": X[150:], "y_val": y[150:]}
    data["sample_weight_val"] = weights[:50]
    quick(checkpoint=path).fit(**data)
    before = path.read_bytes()
    others = {name: changed(array) for name, array in data.items()}
    others["X"] = changed(data["X"].reshape(-1, 8, 8)).reshape(-1, 64)
    for name, what in PARTS.items():
        with refused(f"belongs to another fit: {what} differ. It was left as it is. Use the parameters and the data"):
            quick(checkpoint=path).fit(**data | {name: others[name]})
    with refused("belongs to another fit: the weights (sample_weight, class_weight) differ. It was left"):
        quick(checkpoint=path, class_weight={3: 2}).fit(**data)
    with refused("belongs to another fit: the classes differ. It was left"):
        quick(checkpoint=path).fit(**data | {"y": data["y"] + 1, "y_val": data["y_val"] + 1})
    with refused("the images X_val differ; the labels y_val differ"):
        quick(checkpoint=path).fit(X[:150], y[:150], weights)
    assert path.read_bytes() == before
