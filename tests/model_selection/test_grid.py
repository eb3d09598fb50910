"""Valid parameter grids, and scikit-learn's searches over architectures."""

import copy
import math
import re
import warnings
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next import possible
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, ParameterGrid, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC
from sklearn.utils import shuffle

from skconvnet import ArchitectureError, ConvNetClassifier, ConvNetFeatures, valid_param_grid
from skconvnet.engine import device, memory_needed

CONV_FC = "INPUT -> CONV -> RELU -> FC"
BLOCKS = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC"
MIXED = {
    "F": [3, 8, 11],
    "P": [0],
    "S": [1, 2],
    "rounding": ["exact"],
}  # of which F=8 fits with both strides, F=3 with S=1, F=11 with none


def quick(architecture=CONV_FC, **parameters):
    """A classifier that fits in a moment."""
    settings = {"K": 4, "batch_size": 16, "max_iter": 1, "n_jobs": 1, "random_state": 0}
    settings |= {"hidden_layer_sizes": (8,)} if architecture == BLOCKS else {}
    return ConvNetClassifier(architecture, **settings | parameters)


def scaled(**parameters):
    return make_pipeline(MinMaxScaler(), quick(**parameters))


def candidates(grid):
    """Each candidate as its values."""
    return list(ParameterGrid(grid))


@pytest.fixture(scope="module")
def digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:120], y[:120]


# Valid combinations, and the reasons against the others


def test_what_does_not_fit_is_dropped_with_the_arithmetic():
    grid = valid_param_grid(quick(), MIXED, (8, 8), n_classes=10)
    assert grid == [
        {"F": [3], "P": [0], "S": [1], "rounding": ["exact"]},
        {"F": [8], "P": [0], "S": [1], "rounding": ["exact"]},
        {"F": [8], "P": [0], "S": [2], "rounding": ["exact"]},
    ]
    reasons = {(params["F"], params["S"]): reason for params, reason in grid.dropped}
    assert set(reasons) == {(3, 2), (11, 1), (11, 2)}
    assert "(8 - 3 + 0)/2 + 1 = 3.5" in reasons[3, 2]
    assert "F=11 is larger than the padded input, W + 2P = 8 + 0 = 8" in reasons[11, 1]


def test_the_reason_is_the_error_of_fit(digits):
    ((params, reason),) = valid_param_grid(quick(), {"F": [3, 11], "P": [0]}, (8, 8), 10).dropped
    with pytest.raises(ArchitectureError) as error:
        quick().set_params(**params).fit(*digits)
    assert reason == str(error.value)


def test_other_parameters_pass_through_in_the_order_of_scikit_learn():
    param_grid = [{"alpha": [0.1, 0.01], "F": [3, 5]}, {"K": [(4,), [8]], "augment": [None, "flip"]}]
    grid = valid_param_grid(quick(), param_grid, (8, 8), 10)
    assert grid.dropped == []
    assert candidates(grid) == candidates(param_grid)


@pytest.mark.parametrize(
    ("name", "values", "left"),
    [
        ("K", [4, [4, 5], [4, 4, 4]], [4, [4, 5]]),
        ("N", [1, 9999, -1], [1]),
        ("M", [2, 4, "auto"], [2, "auto"]),
        ("pool_F", [2, 3, 9], [2, 3]),
        ("pool", [[True, False], [True]], [[True, False]]),
        ("hidden_layer_sizes", [(), (5, 6), (0,)], [(), (5, 6)]),
        ("architecture", ["INPUT -> FC", "INPUT -> FC(9)", "INPUT -> ?", "mpl", 5, "auto"], ["INPUT -> FC", "auto"]),
        ("alpha", [0.5, -1], [0.5]),
        ("augment", ["flip", "flop"], ["flip"]),
        ("F", np.array([1, 2, 3]), [1, 3]),
    ],
)
def test_every_parameter(name, values, left):
    estimator = quick(BLOCKS, M=2, N=1)
    grid = valid_param_grid(estimator, {name: values}, (8, 8, 1), 10)
    assert [candidate[name] for candidate in candidates(grid)] == left
    assert len(grid) + len(grid.dropped) == len(values)


def test_a_minibatch_of_one_number_is_dropped():
    estimator = quick("INPUT -> FC(3) -> NORM -> FC")
    grid = valid_param_grid(estimator, {"batch_size": [1, 2, "auto"]}, (8, 8), 10)
    assert [params["batch_size"] for params, _ in grid.dropped] == [1]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"early_stopping": True, "validation_fraction": 0.0}, "needs validation data, but validation_fraction=0"),
        ({"warm_start": True, "checkpoint": "fit.npz"}, "Use only one of them: warm_start=False or checkpoint=None"),
        ({"class_weight": {0: -1.0}}, "class_weight has -1.0 for 0"),
        ({"class_weight": {0: math.nan}}, "class_weight has nan for 0"),
        ({"class_weight": {0: "much"}}, "class_weight has 'much' for 0"),
    ],
)
def test_parameters_that_fit_refuses_together_are_dropped(digits, tmp_path, monkeypatch, params, reason):
    monkeypatch.chdir(tmp_path)
    param_grid = [{"F": [3]}, {name: [value] for name, value in params.items()}]
    ((dropped, why),) = valid_param_grid(quick(), param_grid, (8, 8), 10).dropped
    assert dropped.keys() == params.keys()
    assert reason in why
    with pytest.raises(ValueError, match=re.escape(why)):
        quick(**params).fit(*digits)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_refused_since_a_search_fits_more_than_once():
    with pytest.raises(
        ValueError, match=r"checkpoint=.fit\.npz. is the file of one fit\. A cross-validation or a search fits"
    ):
        valid_param_grid(quick(checkpoint="fit.npz"), {"F": [3, 5]}, (8, 8), 10)


def test_a_gpu_that_is_not_there_is_dropped(monkeypatch):
    monkeypatch.setattr(device, "_find_gpu", Mock(side_effect=ValueError("no NVIDIA GPU")))
    ((dropped, why),) = valid_param_grid(quick(), {"device": ["cpu", "cuda"]}, (8, 8), 10).dropped
    assert (dropped, why) == ({"device": "cuda"}, "no NVIDIA GPU")


def test_a_missing_layer_of_features_is_dropped():
    features = ConvNetFeatures(quick("INPUT -> [CONV -> RELU]*N -> FC"))
    layers = {"convnetfeatures__layer": ["RELU 2", -2, "FC 1", 0], "convnetfeatures__estimator__N": [1, 2]}
    grid = valid_param_grid(make_pipeline(features, SVC()), layers, (8, 8), 10)
    dropped = [tuple(params.values()) for params, _ in grid.dropped]
    assert dropped == [(1, "RELU 2"), (1, 0), (2, 0)]
    assert "layer='RELU 2', but this network has no such layer. Choose one of" in grid.dropped[0][1]


def test_the_parameters_of_a_frozen_network_are_not_checked(digits):
    frozen = FrozenEstimator(quick("INPUT -> FC(5) -> FC").fit(*digits).set_params(architecture="?", device="cuda"))
    layers = {"convnetfeatures__layer": ["FC 1", "FC 3"]}
    grid = valid_param_grid(make_pipeline(ConvNetFeatures(frozen), SVC()), layers, (8, 8), 10)
    assert grid == [{"convnetfeatures__layer": ["FC 1"]}]
    with pytest.raises(ValueError, match=r"image_shape=\(8, 8, 1\) has 64 pixel values"):
        valid_param_grid(ConvNetFeatures(frozen), {"layer": ["FC 1"]}, (9, 9), 10)


def small_grids():
    values = {
        "F": st.integers(1, 9),
        "S": st.integers(1, 4),
        "P": st.sampled_from(["same", "valid", 0, 1, 2]),
        "K": st.sampled_from([1, 3, (2, 4), (1, 2, 3)]),
        "N": st.integers(0, 2),
        "M": st.sampled_from(["auto", 0, 1, 2, 3]),
        "pool_F": st.integers(1, 4),
        "pool_S": st.integers(1, 3),
        "pool": st.sampled_from([True, False, (True, False)]),
        "architecture": st.sampled_from(["auto", CONV_FC, BLOCKS, "INPUT -> [CONV(round=floor) -> RELU]*M -> FC(2)"]),
        "alpha": st.sampled_from([0.1, 0.01, -1]),
        "augment": st.sampled_from([None, "crop", "flop", ["flip", "cutout"]]),
        "batch_size": st.sampled_from(["auto", 1, 4, 0]),
        "class_weight": st.sampled_from([None, "balanced", {0: 2}, {0: -2}, {1: math.inf}]),
        "device": st.sampled_from(["auto", "cpu", "cuda"]),
        "early_stopping": st.booleans(),
        "validation_fraction": st.sampled_from([0.0, 0.5, 1.0]),
        "image_shape": st.sampled_from([None, (4, 16), (8, 8, 1), (7, 9), "large"]),
        "label_smoothing": st.sampled_from([0.0, 1.0]),
        "n_jobs": st.sampled_from([None, 0, -2]),
        "solver": st.sampled_from(["adam", "sgd", "lbfgs"]),
        "warm_start": st.booleans(),
    }
    lists = {name: st.lists(of_one, min_size=1, max_size=2, unique_by=repr) for name, of_one in values.items()}
    names = st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=3, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: lists[name] for name in chosen}))


@settings(max_examples=100)
@given(small_grids())
def test_the_candidates_are_those_that_fit_accepts(param_grid):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 17, (40, 64)).astype(np.uint8), np.array([0, 1] * 20)
    estimator = quick()
    fitted, refused = [], []
    for params in candidates(param_grid):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "batch_size=|.*no effect on the network|CONV 1 has filters")
            try:
                clone(estimator).set_params(**params).fit(X, y)
                fitted.append(params)
            except ValueError as error:
                refused.append((params, str(error)))
    if fitted:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* make the network of another one")
            grid = valid_param_grid(estimator, param_grid, (8, 8), n_classes=2)
        equal = [params for params, why in grid.dropped if why.startswith("the same network as")]
        assert candidates(grid) == [params for params in fitted if params not in equal]
        assert all(params in fitted for params in equal)
        dropped = [(params, why) for params, why in grid.dropped if params not in equal]
        assert [params for params, _ in dropped] == [params for params, _ in refused]
        assert [why for _, why in dropped if "CONV" in why] == [why for _, why in refused if "CONV" in why]
    else:
        with pytest.raises(ValueError, match=f"None of the {len(refused)} combinations"):
            valid_param_grid(estimator, param_grid, (8, 8), n_classes=2)


def test_one_of_equal_networks_is_kept():
    text = "INPUT -> CONV(K=4, F=3, S=1, P=1) -> RELU -> FC"
    with pytest.warns(UserWarning, match=r"2 of the 6 combinations .*: F=5, alpha=0\.1 is the same network as F=3, al"):
        grid = valid_param_grid(quick(text), [{"F": [3, 5], "alpha": [0.1, 0.2]}, {"alpha": [0.3, 0.4]}], (8, 8), 10)
    assert candidates(grid) == [
        {"F": 3, "alpha": 0.1}, {"F": 3, "alpha": 0.2}, {"alpha": 0.3}, {"alpha": 0.4},
    ]  # fmt: skip
    assert grid.dropped[0] == ({"F": 5, "alpha": 0.1}, "the same network as F=3, alpha=0.1")
    different = {"convnetclassifier__K": [4, (4,), 5], "minmaxscaler__clip": [True, False]}
    with pytest.warns(UserWarning, match="2 of the 6"):
        assert len(valid_param_grid(scaled(), different, (8, 8), 10)) == 4


def test_the_shape_of_X_is_no_image_shape():
    for shape in [(1797, 8, 8, 1), (1797, 8, 8)]:
        with pytest.raises(ValueError, match=r"looks like X\.shape\. Pass the shape of one image, image_shape=\(8, 8"):
            valid_param_grid(quick(), {"F": [3]}, shape)
    with pytest.warns(UserWarning, match="was taken as images 1,797 high and 64 wide"):
        valid_param_grid(quick(), {"F": [3]}, (1797, 64))


# Cost


def test_parameters_are_limited():
    largest = 3 * 3 * 8 + 8 + 8 * 8 * 8 * 10 + 10
    grid = valid_param_grid(quick(), {"K": [4, 8]}, (8, 8), 10, max_params=largest)
    assert [candidate["K"] for candidate in grid] == [[4], [8]]
    grid = valid_param_grid(quick(), {"K": [4, 8]}, (8, 8), 10, max_params=largest - 1)
    assert grid.dropped == [({"K": 8}, f"{largest:,} parameters > max_params={largest - 1:,}")]


def test_multiply_adds_are_limited():
    largest = 8 * 8 * 8 * 3 * 3 + 8 * 8 * 8 * 10
    grid = valid_param_grid(quick(), {"K": [4, 8]}, (8, 8), 10, max_flops=largest)
    assert [candidate["K"] for candidate in grid] == [[4], [8]]
    grid = valid_param_grid(quick(), {"K": [4, 8]}, (8, 8), 10, max_flops=largest - 0.5)
    assert grid.dropped == [({"K": 8}, f"{largest:,} multiply-adds > max_flops={largest - 0.5:,}")]


@pytest.mark.parametrize(("batch_size", "counted"), [(16, 16), (64, 64), ("auto", 128)])
def test_memory_is_limited(digits, batch_size, counted):
    bound = quick(K=64).fit(*digits).architecture_
    largest = memory_needed(bound, counted, n_threads=1)
    estimator = quick(batch_size=batch_size)
    grid = valid_param_grid(estimator, {"K": [4, 64]}, (8, 8), 10, max_memory=largest)
    assert [candidate["K"] for candidate in grid] == [[4], [64]]
    grid = valid_param_grid(estimator, {"K": [4, 64]}, (8, 8), 10, max_memory=largest - 1)
    reason = f"{largest:,} bytes to train on minibatches of {counted} > max_memory={largest - 1:,}"
    assert grid.dropped == [({"K": 64}, reason)]


def test_too_many_parameters_are_dropped_without_a_plan():
    estimator = quick("INPUT -> FC -> FC", hidden_layer_sizes=1)
    grid = valid_param_grid(estimator, {"hidden_layer_sizes": [1, 2**30]}, (8, 8), 10, max_memory=1e9)
    n_params = 65 * 2**30 + 10 * (2**30 + 1)
    reason = f"20 * {n_params:,} parameters = {20 * n_params:,} bytes at least > max_memory=1,000,000,000"
    assert grid.dropped == [({"hidden_layer_sizes": 2**30}, reason)]


def test_without_n_classes_the_text_decides():
    texts = ["INPUT -> FC", "INPUT -> FC(7)"]
    estimator = quick("INPUT -> FC")
    assert valid_param_grid(estimator, {"architecture": texts}, (8, 8)).dropped == []
    by_cost = valid_param_grid(estimator, {"architecture": texts}, (8, 8), max_params=65 * 7)
    assert [reason.split()[0] for _, reason in by_cost.dropped] == ["650"]
    grid = valid_param_grid(estimator, {"architecture": [*texts, "INPUT -> FC(1)"]}, (8, 8))
    ((_, reason),) = grid.dropped
    assert "has 1 class, and a classifier needs 2 classes or more" in reason
    with pytest.warns(UserWarning, match="1 of the 2 combinations in param_grid make the network of another one"):
        valid_param_grid(estimator, {"architecture": texts}, (8, 8), n_classes=7)
    assert len(valid_param_grid(estimator, {"architecture": texts}, (8, 8), n_classes=8)) == 1


# Where the classifier may be


def test_in_a_pipeline():
    param_grid = {f"convnetclassifier__{name}": values for name, values in MIXED.items()}
    grid = valid_param_grid(scaled(), param_grid | {"minmaxscaler__clip": [True, False]}, (8, 8), 10)
    assert len(grid) == 2 * 3
    assert grid[0] == {
        "convnetclassifier__F": [3],
        "convnetclassifier__P": [0],
        "convnetclassifier__S": [1],
        "convnetclassifier__rounding": ["exact"],
        "minmaxscaler__clip": [True],
    }
    assert len(grid.dropped) == 2 * 3


def test_in_nested_estimators():
    estimator = BaggingClassifier(Pipeline([("inner", scaled())]))
    grid = valid_param_grid(estimator, {"estimator__inner__convnetclassifier__F": [3, 4]}, (8, 8), 10)
    assert [list(params.values()) for params, _ in grid.dropped] == [[4]]


def test_a_step_may_be_a_candidate_itself():
    steps = [quick(F=3), quick(F=4), SVC()]
    grid = valid_param_grid(scaled(), {"convnetclassifier": steps}, (8, 8), 10)
    assert [candidate["convnetclassifier"] for candidate in grid] == [[steps[0]], [steps[2]]]


def test_the_estimator_is_not_changed():
    estimator = scaled()
    before = repr(estimator.get_params())
    valid_param_grid(estimator, {"convnetclassifier__F": [3, 4]}, (8, 8), 10)
    assert repr(estimator.get_params()) == before


def test_the_image_shape_of_the_classifier_is_used():
    param_grid = {"image_shape": [None, (16, 4), (16, 5)], "F": [7], "P": [0]}
    grid = valid_param_grid(quick(), param_grid, (8, 8), 10)
    assert [candidate["image_shape"] for candidate in grid] == [[None]]
    reasons = [reason for _, reason in grid.dropped]
    assert "over the width of [4x16x1]" in reasons[0]
    assert reasons[1] == "image_shape=(16, 5, 1) has 80 pixel values, but images of shape (8, 8, 1) have 64."


# The result


def test_copies_keep_the_reasons():
    grid = valid_param_grid(quick(), MIXED, (8, 8), 10)
    for again in (copy.deepcopy(grid), copy.copy(grid), clone(grid, safe=False)):
        assert again == grid
        assert again.dropped == grid.dropped


# Wrong inputs


@pytest.mark.parametrize(
    ("estimator", "param_grid", "message"),
    [
        (quick(), {"Q": [3]}, "ConvNetClassifier has no parameter 'Q'. It has F"),
        (quick(), {"pool_f": [3]}, "no parameter 'pool_f'. Did you mean pool_F"),
        (scaled(), {"F": [3]}, "Invalid parameter 'F' for estimator Pipeline.*did you mean convnetclassifier__F"),
        (scaled(), {"convnetclassifier__Q": [3]}, "ConvNetClassifier has no parameter 'Q'"),
        (SVC(), {"C": [3]}, r"no ConvNetClassifier in SVC\(\). Pass one"),
        (make_pipeline(MinMaxScaler(), SVC()), {"svc__C": [3]}, "no ConvNetClassifier in Pipeline"),
        (ConvNetClassifier, {"F": [3]}, "estimator must be a ConvNetClassifier or contain one, but <class"),
        ("auto", {"F": [3]}, "estimator must be a ConvNetClassifier or contain one, but 'auto' came"),
        (quick(), {}, r"param_grid=\{\} names no parameter"),
        (quick(), [], r"param_grid=\[\] names no parameter"),
        (quick(), {"F": []}, "param_grid is not a grid.*'F'.*list of values for each name"),
        (quick(), {"F": 3}, "param_grid is not a grid.*'F'.*list of values for each name"),
        (quick(), {"architecture": "INPUT -> FC"}, "param_grid is not a grid.*'architecture'"),
        (quick(), {3: [5]}, "param_grid is not a grid: 3 is not a name. It must be a dict"),
        (quick(), {"F": np.ones((2, 2))}, r"param_grid is not a grid.*shape \(2, 2\)\. It must be"),
        (quick(), 5, "param_grid is not a grid.*list of values for each name"),
        (quick(), {"F": [4, 6]}, r"None of the 2 combinations.*\(8, 8, 1\):\nF=4: CONV 1.*\nF=6: CONV 1"),
        (quick(), {"F": range(10, 40, 2)}, "None of the 15 combinations"),
        (quick(), {"F": range(10, 90, 2)}, "None of the 40 combinations.*\nand 20 more$"),
    ],
)
def test_a_wrong_grid_is_refused(estimator, param_grid, message):
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
        valid_param_grid(estimator, param_grid, (8, 8), 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (8,)}, r"image_shape=\(8,\) is not an image shape"),
        ({"image_shape": None}, "image_shape=None is not an image shape"),
        ({"n_classes": 1}, "has 1 class, and a classifier needs 2 classes or more"),
        ({"n_classes": 2.5}, "n_classes must be a whole number from 1 .*got 2.5"),
        ({"max_params": 0}, "max_params must be a number above 0 or None, but 0 came"),
        ({"max_memory": "1 GB"}, "max_memory must be a number above 0 or None, but '1 GB' came"),
        ({"max_flops": math.nan}, "max_flops must be a number above 0 or None, but nan came"),
        ({"max_flops": True}, "max_flops must be a number above 0 or None, but True came"),
    ],
)
def test_a_wrong_argument_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        valid_param_grid(quick(), {"F": [3]}, **{"image_shape": (8, 8)} | arguments)


# Searches

SEARCHES = {
    "grid": GridSearchCV,
    "randomized": lambda estimator, grid, **options: RandomizedSearchCV(
        estimator, grid, n_iter=2, random_state=0, **options
    ),
    "halving": lambda estimator, grid, **options: HalvingGridSearchCV(
        estimator, grid, resource="n_samples", min_resources=40, factor=2, random_state=0, **options
    ),
}
TEXTS = ["INPUT -> FC", "INPUT -> CONV(K=4, F=4, S=2, P=1) -> RELU -> FC", "INPUT -> CONV(F=4) -> FC"]


@pytest.mark.parametrize("in_pipeline", [False, True], ids=["alone", "in a pipeline"])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_over_architectures(digits, name, in_pipeline):
    X, y = digits
    estimator, prefix = (scaled(), "convnetclassifier__") if in_pipeline else (quick(), "")
    param_grid = {f"{prefix}architecture": TEXTS, f"{prefix}max_iter": [1, 2]}
    grid = valid_param_grid(estimator, param_grid, (8, 8), n_classes=10)
    assert [params[f"{prefix}architecture"] for params, _ in grid.dropped] == TEXTS[2:] * 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        search = SEARCHES[name](estimator, grid, cv=2, error_score="raise").fit(X, y)
    assert {name: [value] for name, value in search.best_params_.items()} in grid
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == (120,)


def test_halving_can_spend_epochs(digits):
    grid = valid_param_grid(quick(), {"architecture": TEXTS, "alpha": [0.01, 0.1]}, (8, 8), n_classes=10)
    search = HalvingGridSearchCV(quick(), grid, resource="max_iter", max_resources=3, factor=3, cv=2, random_state=0)
    search.fit(*digits)
    assert search.n_resources_ == [1, 3]
    assert search.best_estimator_.n_iter_ == 3


def test_a_candidate_that_does_not_fit_gets_the_error_score(digits):
    X, y = digits
    search = GridSearchCV(quick(P=0), {"F": [3, 11]}, cv=2)
    with pytest.warns(match="") as told:
        search.fit(X, y)
    (failed,) = (warning.message for warning in told if warning.category is FitFailedWarning)
    assert "ArchitectureError: CONV 1 over the height of [8x8x1]" in str(failed)
    assert "In a search, valid_param_grid(estimator, param_grid, image_shape) keeps what fits." in str(failed)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores[0])
    assert np.isnan(scores[1])
    assert search.best_params_ == {"F": 3}
