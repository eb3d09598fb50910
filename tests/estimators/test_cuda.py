"""The estimators with device="cuda": on a GPU that the CPU imitates and, where there is one, on a GPU."""

import gc
import pickle
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skconvnet import ConvNetClassifier, ConvNetFeatures
from skconvnet.engine import device
from skconvnet.training import DivergenceError
from skconvnet.training.checkpoint import CheckpointFile
from tests.estimators.quick import refused, same_network

PLAIN = "INPUT -> CONV(K=8) -> RELU -> POOL -> FC"
NORMED = "INPUT -> CONV(K=8) -> NORM -> RELU -> POOL -> FC"
X, Y = load_digits(return_X_y=True)
X, OTHERS, Y, Y_OTHERS = X[:60].astype(np.uint8), X[60:100].astype(np.uint8), Y[:60], Y[60:100]

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")


def quick(architecture=PLAIN, **parameters):
    """A classifier that fits in a moment: two epochs of three minibatches."""
    parameters = {"device": "cuda", "batch_size": 20, "max_iter": 2, "n_jobs": 1, "random_state": 0} | parameters
    return ConvNetClassifier(architecture, **parameters)


@pytest.fixture
def held(cuda, monkeypatch):
    """`held()` returns the bytes of the GPU that are allocated; the free memory of a GPU changes in large steps."""
    sizes, allocate, free = {}, cuda.allocate, cuda.free

    def counted_allocate(n_bytes):
        address = allocate(n_bytes)
        sizes[address] = n_bytes
        return address

    def counted_free(address):
        sizes.pop(address, None)  # unknown: allocated before this test
        free(address)

    monkeypatch.setattr(cuda, "allocate", counted_allocate)
    monkeypatch.setattr(cuda, "free", counted_free)
    return lambda: sum(list(sizes.values()))


def no_gpu(monkeypatch):
    """From now on no GPU is found."""
    monkeypatch.setattr(device, "_find_gpu", Mock(side_effect=ValueError("no NVIDIA GPU")))


def assert_close(ours, theirs):
    """Assert that two fitted classifiers agree but for rounding."""
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    assert_allclose(ours.decision_function(OTHERS), theirs.decision_function(OTHERS), rtol=1e-4, atol=1e-4)
    assert np.mean(ours.predict(X) == theirs.predict(X)) > 0.98


# Agreement with the CPU

SETTINGS = {
    "Adam": {},
    "SGD and NORM": {"architecture": NORMED, "solver": "sgd", "learning_rate_init": 0.05},
    "SGD without Nesterov's momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "constant"},
    "augmentation": {"augment": ["flip", "crop", "cutout"]},
    "an adaptive rate": {"learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1, "max_iter": 6},
    "weights of classes, no smoothing": {"class_weight": "balanced", "label_smoothing": 0.0},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.4, "learning_rate_init": 0.02},
    "a last minibatch of another size": {"batch_size": 25, "shuffle": False},
    "an image at a time": {"batch_size": 1, "max_iter": 1},
}


@pytest.mark.parametrize("changed", [{"freeze": "body"}, {"freeze": "NORM 1", "augment": "flip"}, {"freeze": None}])
def test_pretrained_networks_learn_as_on_the_cpu(cuda, changed):
    source = FrozenEstimator(quick(NORMED, device="cpu").fit(X, Y % 2))
    ours, theirs = (quick("auto", pretrained=source, device=name, **changed).fit(X, Y) for name in ("cuda", "cpu"))
    assert_close(ours, theirs)
    same = [np.array_equal(*pair) for pair in zip(source.estimator.coefs_, ours.coefs_[:2], strict=False)]
    assert same == [changed["freeze"] is not None] * 2


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_fit_agrees_with_the_cpu(settings):
    weights = np.random.default_rng(0).random(len(X)) + 0.1
    ours = quick(**settings).fit(X, Y, sample_weight=weights)
    theirs = quick(**settings | {"device": "cpu"}).fit(X, Y, sample_weight=weights)
    assert_close(ours, theirs)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert_allclose(ours.accuracy_curve_, theirs.accuracy_curve_, rtol=1e-6)
    assert ours.validation_scores_ == theirs.validation_scores_
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    assert ours.score(X, Y) == theirs.score(X, Y)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.float16, bool])
def test_images_of_any_dtype(dtype):
    images = (X > 8).astype(dtype).reshape(-1, 8, 8)[:, ::-1]
    ours, theirs = (quick(device=name).fit(images, Y) for name in ("cuda", "cpu"))
    assert_allclose(ours.decision_function(images), theirs.decision_function(images), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("cuda")
def test_dropout_draws_the_same_units_and_the_same_seed_gives_the_same_bits():
    text = "INPUT -> CONV(K=8) -> RELU -> POOL -> DROPOUT -> FC"
    ours = quick(text).fit(X, Y)
    assert same_network(ours, quick(text).fit(X, Y))
    assert not same_network(ours, quick(text, random_state=1).fit(X, Y))
    assert_close(ours, quick(text, device="cpu").fit(X, Y))


@pytest.mark.usefixtures("cuda")
def test_two_classes_and_given_validation_data():
    given = {"X_val": OTHERS, "y_val": Y_OTHERS > 4}
    ours, theirs = (quick(device=name, early_stopping=True).fit(X, Y > 4, **given) for name in ("cuda", "cpu"))
    assert ours.validation_scores_ == theirs.validation_scores_
    assert_allclose(ours.decision_function(X), theirs.decision_function(X), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("cuda")
def test_score_maps_and_features():
    ours, theirs = (quick(device=name).fit(X, Y) for name in ("cuda", "cpu"))
    large = X.reshape(15, 2, 2, 8, 8).transpose(0, 1, 3, 2, 4).reshape(15, 16, 16)
    assert_allclose(ours.score_map(large), theirs.score_map(large), rtol=1e-4, atol=1e-4)
    ours, theirs = (ConvNetFeatures(FrozenEstimator(one), layer="POOL 1").fit(X).transform(X) for one in (ours, theirs))
    assert ours.shape == (60, 4 * 4 * 8)
    assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


class Scores:
    """A callback that keeps what the estimator predicts after each epoch."""

    def __init__(self):
        self.scores = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            self.scores.append(fitted_estimator.decision_function(X))


@pytest.mark.usefixtures("cuda")
def test_callbacks_predict_on_the_gpu_between_epochs():
    pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")
    callbacks = {name: Scores() for name in ("cuda", "cpu")}
    for name, callback in callbacks.items():
        fitted = quick(device=name).set_callbacks(callback).fit(X, Y)
        assert_array_equal(callback.scores[-1], fitted.decision_function(X))
    assert len(callbacks["cuda"].scores) == 2
    assert_allclose(callbacks["cuda"].scores, callbacks["cpu"].scores, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("cuda")
def test_products_of_three_on_tensor_cores():
    theirs, exact = quick(device="cpu", float32_precision="tf32x3").fit(X, Y), quick().fit(X, Y)
    assert same_network(theirs, quick(device="cpu").fit(X, Y))
    ours = quick(float32_precision="tf32x3").fit(X, Y)
    assert_close(ours, theirs)
    assert not same_network(ours, exact)
    scores = exact.decision_function(X)
    assert not np.array_equal(exact.set_params(float32_precision="tf32x3").decision_function(X), scores)
    ours = quick(float32_precision="tf32x3").partial_fit(X, Y, classes=range(10)).partial_fit(X, Y)
    other = quick(float32_precision="tf32x3").partial_fit(X, Y, classes=range(10))
    assert not same_network(ours, other.set_params(float32_precision="ieee").partial_fit(X, Y))


# Trainings that go on

WIDE = "INPUT -> CONV(K=192) -> RELU -> POOL(F=all) -> FC"  # its rows have a stride of their own


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_warm_start_is_one_longer_fit(solver):
    parameters = {"solver": solver, "learning_rate": "constant", "warm_start": True}
    estimator = quick(**parameters).fit(X, Y)
    assert same_network(estimator.fit(X, Y), quick(**parameters, max_iter=4).fit(X, Y))


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("architecture", [PLAIN, WIDE])
def test_a_warm_start_on_another_device(architecture):
    parameters = {"learning_rate": "constant", "warm_start": True, "max_iter": 1}
    ours, theirs = quick(architecture, **parameters), quick(architecture, **parameters, device="cpu")
    for name in ("cpu", "cuda", "cpu", "cuda"):
        ours.set_params(device=name).fit(X, Y)
        theirs.fit(X, Y)
        assert_close(ours, theirs)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("architecture", [PLAIN, WIDE])
def test_partial_fit_on_another_device(architecture):
    ours, theirs = quick(architecture), quick(architecture, device="cpu")
    for name in ("cuda", "cuda", "cpu", "cuda", "cpu"):
        ours.set_params(device=name).partial_fit(X, Y, classes=range(10))
        theirs.partial_fit(X, Y, classes=range(10))
        assert_close(ours, theirs)


@pytest.mark.usefixtures("cuda")
def test_partial_fit_sees_other_images_and_changed_weights():
    ours, theirs = (quick(device=name).partial_fit(X, Y, classes=range(10)) for name in ("cuda", "cpu"))
    images = X.copy()
    for estimator in (ours, theirs):
        images[:] = X[::-1]
        estimator.partial_fit(images, Y)
        images[:] = 0  # the same array has other images in the next call
        estimator.partial_fit(images[:30], Y[:30])
        estimator.coefs_[1] = estimator.coefs_[1] * 0.5
        estimator.partial_fit(X, Y)
    assert_close(ours, theirs)


@pytest.mark.usefixtures("cuda")
def test_classes_that_come_later():
    few = Y < 5
    ours, theirs = (quick(device=name, widen_classes=True).partial_fit(X[few], Y[few]) for name in ("cuda", "cpu"))
    assert_close(ours.partial_fit(X, Y), theirs.partial_fit(X, Y))
    assert ours.coefs_[-1].shape[1] == len(ours.classes_) == 10


@pytest.mark.usefixtures("cuda")
def test_partial_fit_keeps_the_memory_of_few_images_only(held, monkeypatch):
    monkeypatch.setattr("skconvnet.engine.cuda.pixels._KEPT_BYTES", X.nbytes)
    many = np.repeat(X, 100, axis=0)
    estimator = quick(max_iter=1).partial_fit(X, Y, classes=range(10))
    before = held()
    estimator.partial_fit(many[:6000:100], Y)
    estimator.partial_fit(many, np.repeat(Y, 100), sample_weight=np.arange(6000) % 100 == 0)
    assert held() < before + many.nbytes


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("devices", [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_was_killed_is_resumed(tmp_path, monkeypatch, devices, early_stopping):
    parameters = {"max_iter": 3, "early_stopping": early_stopping, "validation_fraction": 0.4}
    whole = quick(**parameters).fit(X, Y)

    def kill(file, trainer, history, best, write=CheckpointFile.write):
        write(file, trainer, history, best)
        if history.n_epochs == 2:
            raise SystemExit

    parameters["checkpoint"] = tmp_path / "state"
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFile, "write", kill)
        with pytest.raises(SystemExit):
            quick(**parameters, device=devices[0]).fit(X, Y)
    resumed = quick(**parameters, device=devices[1]).fit(X, Y)
    assert_close(resumed, whole)
    assert devices != ("cuda", "cuda") or same_network(resumed, whole)


# Files and searches


@pytest.mark.parametrize("fitted_by", ["fit", "partial_fit"])
def test_a_file_is_read_where_there_is_no_gpu(cuda, monkeypatch, fitted_by):
    ours = quick(warm_start=True)
    ours.fit(X, Y) if fitted_by == "fit" else ours.partial_fit(X, Y, classes=range(10))
    scores, file = ours.decision_function(X), pickle.dumps(ours)
    no_gpu(monkeypatch)
    read = pickle.loads(file)
    assert_allclose(read.decision_function(X), scores, rtol=1e-4, atol=1e-4)
    assert_allclose(pickle.loads(pickle.dumps(ours)).decision_function(X), scores, rtol=1e-4, atol=1e-4)
    with refused("no NVIDIA GPU"):
        read.fit(X, Y)
    read.set_params(device="cpu").partial_fit(X, Y)


@pytest.mark.usefixtures("cuda")
def test_a_file_of_the_cpu_is_used_on_a_gpu():
    theirs = quick(device="cpu", warm_start=True).fit(X, Y)
    ours = pickle.loads(pickle.dumps(theirs)).set_params(device="cuda")
    assert_close(ours, theirs)
    assert_close(ours.fit(X, Y), theirs.fit(X, Y))


@pytest.mark.usefixtures("cuda")
def test_clones_pipelines_and_searches():
    pipeline = make_pipeline(MinMaxScaler(), quick())
    ours = GridSearchCV(pipeline, {"convnetclassifier__learning_rate_init": [0.005, 0.02]}, cv=2).fit(X, Y)
    pipeline = clone(pipeline).set_params(convnetclassifier__device="cpu")
    theirs = GridSearchCV(pipeline, {"convnetclassifier__learning_rate_init": [0.005, 0.02]}, cv=2).fit(X, Y)
    assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)


# What goes wrong


class Troubled:
    """A driver of which some methods do something else."""

    def __init__(self, driver, **methods):
        self._driver = driver
        vars(self).update(methods)

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def use(self, monkeypatch):
        monkeypatch.setattr(device, "_find_gpu", lambda: device.CudaDevice(self))


def at_call(number, function, error):
    """The function, which raises an error at one of its calls."""
    n_calls = 0

    def call(*arguments):
        nonlocal n_calls
        n_calls += 1
        if n_calls == number:
            raise error
        return function(*arguments)

    return call


@pytest.mark.parametrize("method", ["synchronize", "upload", "download", "record", "allocate", "clear"])
@pytest.mark.filterwarnings("ignore:Training interrupted by user")
def test_ctrl_c_in_the_driver(cuda, held, monkeypatch, method):
    settings = {"architecture": NORMED, "solver": "sgd"}
    before = quick(**settings).fit(X, Y)
    whole, scores = quick(**settings, random_state=1).fit(X, Y), before.decision_function(X)
    gc.collect()
    at_first = held()
    for number in (1, 2, 4, 8, 16, 32):
        estimator = copy(before).set_params(random_state=1)
        try:
            with monkeypatch.context() as patch:
                Troubled(cuda, **{method: at_call(number, getattr(cuda, method), KeyboardInterrupt)}).use(patch)
                estimator.fit(X, Y)
        except KeyboardInterrupt:
            assert same_network(estimator, before)
            assert_array_equal(estimator.decision_function(X), scores)
        else:
            assert estimator.n_iter_ == 1 or same_network(estimator, whole)
            assert len(estimator.loss_curve_) == estimator.n_iter_
            assert np.isfinite(estimator.decision_function(X)).all()
        del estimator
    gc.collect()
    assert held() <= at_first


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_training_that_diverges_leaves_finite_weights(cuda, early_stopping):
    settings = {"solver": "sgd", "learning_rate": "constant", "warm_start": True}
    estimator = quick(**settings).fit(X, Y)
    before = dict(vars(estimator))
    with pytest.raises(DivergenceError):
        estimator.set_params(learning_rate_init=1e30, early_stopping=early_stopping, validation_fraction=0.4).fit(X, Y)
    assert vars(estimator)["coefs_"] is before["coefs_"]
    assert all(np.isfinite(array).all() for array in estimator.coefs_)
    assert np.isfinite(estimator.decision_function(X)).all()


@pytest.mark.usefixtures("cuda")
def test_a_training_that_diverges_later_ends_with_its_epoch(held, monkeypatch):
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    gc.collect()
    at_first = held()
    estimator = quick(solver="sgd", learning_rate="constant", learning_rate_init=30.0, max_iter=30)
    with pytest.raises(DivergenceError, match="epoch 4"):
        estimator.fit(X, Y)
    assert estimator.n_iter_ == 3
    assert np.isfinite(estimator.decision_function(X)).all()
    del estimator
    gc.collect()
    assert ignored == []
    assert held() <= at_first


def test_memory_that_the_network_does_not_have(cuda, monkeypatch):
    Troubled(cuda, memory=lambda: (10_000, 10_000), name="Toy").use(monkeypatch)
    with refused("kB of memory to train, and the GPU Toy has 10.0 kB. ") as refusal:
        quick().fit(X, Y)
    assert "CONV 1" in str(refusal.value)


@pytest.mark.parametrize("free", [100, 3000, 10_000])
def test_with_little_free_memory_images_come_in_parts(cuda, monkeypatch, free):
    whole = quick(device="cpu").fit(X, Y)
    Troubled(cuda, memory=lambda: (free, 2**31)).use(monkeypatch)
    assert_close(quick().fit(X, Y), whole)
    assert_close(quick(batch_size=60).fit(X, Y), quick(batch_size=60, device="cpu").fit(X, Y))


def taken_by_others(number, driver, monkeypatch):
    """Have no memory at one allocation, and do not wait for it."""
    error = MemoryError("the device is out of memory")
    Troubled(driver, allocate=at_call(number, driver.allocate, error), name="Toy").use(monkeypatch)
    monkeypatch.setattr("skconvnet.engine.cuda.arrays._PATIENCE", -1)


@pytest.mark.parametrize("number", [1, 4, 9, 14, 15])
def test_memory_that_others_take_in_between(cuda, monkeypatch, number):
    taken_by_others(number, cuda, monkeypatch)
    estimator = quick()
    with refused("Memory ran out in training on the GPU Toy (the device is out of memory); ") as refusal:
        estimator.fit(X, Y)
    assert "Use fewer filters K" in str(refusal.value)
    assert "CONV 1" in str(refusal.value)
    assert not hasattr(estimator, "classes_")
    assert estimator.fit(X, Y).score(X, Y) > 0  # then there is memory


@pytest.mark.parametrize("number", [1, 3, 6])
def test_memory_that_others_take_before_a_prediction(cuda, monkeypatch, number):
    estimator = quick().fit(X, Y)
    taken_by_others(number, cuda, monkeypatch)
    with refused("Memory ran out in scoring on the GPU Toy (the device is out of memory); "):
        estimator.predict(X)
    assert len(estimator.predict(X)) == 60


@pytest.mark.usefixtures("cuda")
def test_a_memory_error_of_the_cpu_is_not_that_of_a_gpu(monkeypatch):
    estimator = quick(device="cpu").fit(X, Y)
    monkeypatch.setattr("skconvnet.engine.cpu.execution.Execution.score", Mock(side_effect=MemoryError("no room")))
    with pytest.raises(MemoryError, match="no room"):
        estimator.predict(X)


@pytest.mark.usefixtures("cuda")
def test_memory_is_given_back(held):
    quick().fit(X, Y).predict(X)  # kernels may keep constants on the device
    gc.collect()
    at_first = held()
    estimators = [quick().fit(X, Y), quick().partial_fit(X, Y, classes=range(10))]
    for estimator in estimators:
        estimator.predict(X)
        estimator.score_map(X.reshape(15, 16, 16))
    assert held() > at_first
    estimators.clear()
    del estimator
    gc.collect()
    assert held() <= at_first


@pytest.mark.usefixtures("cuda")
def test_threads_share_a_classifier():
    estimator = quick().fit(X, Y)
    expected = [estimator.decision_function(X[first : first + 7]) for first in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda first: estimator.decision_function(X[first : first + 7]), list(range(8)) * 3))
    for one, scores in zip(found, expected * 3, strict=True):
        assert_array_equal(one, scores)


def test_a_forked_child_says_why_it_has_no_gpu(cuda, monkeypatch):
    estimator = quick().fit(X, Y)
    scores = estimator.decision_function(X)
    monkeypatch.setattr(device, "_process_of_gpu", [1])  # not this process
    with refused("This process was forked after its parent had used the GPU"):
        estimator.fit(X, Y)
    assert_allclose(pickle.loads(pickle.dumps(estimator)).decision_function(X), scores, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("cuda")
def test_progress_is_shown(capsys):
    quick(verbose=1).fit(X, Y)
    shown = capsys.readouterr().out
    assert re.search(r"kernels ready in [\d.]+ s", shown)
    assert "epoch 2" in shown.lower() or "2/2" in shown


# X in the memory of the GPU


class OnGpu:
    """An array in the memory of a driver, as CuPy and PyTorch show theirs."""

    def __init__(self, driver, array, *, number=0, strides=None):
        self.array, self.number = array, number
        self.address = driver.allocate(array.nbytes)
        driver.upload(self.address, array)
        self.shape, self.ndim = array.shape, array.ndim
        self.__cuda_array_interface__ = {
            "data": (self.address, False),
            "shape": array.shape,
            "typestr": array.dtype.str,
            "strides": strides,
            "version": 3,
        }

    def __len__(self):
        return len(self.array)

    def __dlpack_device__(self):
        return 2, self.number

    def __dlpack__(self, **options):
        raise BufferError("it is on a GPU")

    def get(self):
        return self.array


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("where", [{}, {"number": 1}, {"strides": (256, 4)}], ids=["here", "another GPU", "strided"])
def test_x_on_the_gpu_is_used_where_it_is(imitated_gpu, monkeypatch, dtype, where):
    monkeypatch.setattr(device, "_find_gpu", lambda: device.CudaDevice(imitated_gpu))
    on_host, sent, upload = X.astype(dtype), [], imitated_gpu.upload
    there = OnGpu(imitated_gpu, on_host, **where)
    expected = quick().fit(on_host, Y).decision_function(on_host)

    def note(address, array):
        sent.append(array.nbytes)
        upload(address, array)

    monkeypatch.setattr(imitated_gpu, "upload", note)
    classifier = quick().fit(there, Y)
    scores = classifier.decision_function(there)
    is_used_there = where == {} and dtype != np.float64
    pixels = on_host.nbytes if dtype != np.float64 else on_host.nbytes // 2  # they are float32 there
    assert (pixels not in sent) == is_used_there
    assert isinstance(scores, np.ndarray)
    assert scores.tobytes() == expected.tobytes()
    imitated_gpu.free(there.address)  # still the array's own


def test_x_on_the_gpu_is_checked_and_can_be_used_by_the_cpu(imitated_gpu, monkeypatch):
    monkeypatch.setattr(device, "_find_gpu", lambda: device.CudaDevice(imitated_gpu))
    there = OnGpu(imitated_gpu, X)
    classifier = quick(device="cpu").fit(there, Y)
    assert classifier.predict(there).tobytes() == classifier.predict(X).tobytes()
    wrong = OnGpu(imitated_gpu, np.full(X.shape, np.nan, np.float32))
    with refused("NaN"):
        quick().fit(wrong, Y)
    for one in (there, wrong):
        imitated_gpu.free(one.address)
