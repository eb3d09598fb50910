"""A fit that is killed and started again, and files that it must not go on from."""

import io
import json
import os
import pickle
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

from skconvnet import ConvNetClassifier
from skconvnet.architecture import HYPERPARAMETERS
from skconvnet.engine import Trainer
from skconvnet.training import atomic
from skconvnet.training import checkpoint as _checkpoint
from skconvnet.training.checkpoint import digest
from tests.training.steps import diverge_at, interrupt_at

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# All that has a state: draws of DROPOUT and augmentation, running statistics, the best weights, a rate that falls.
RICH = {
    "architecture": "INPUT -> CONV(K=6) -> NORM -> RELU -> POOL -> DROPOUT(0.2) -> FC(16) -> RELU -> FC",
    "augment": ["crop", "cutout"],
    "early_stopping": True,
    "learning_rate": "adaptive",
    "learning_rate_init": 0.02,
    "n_iter_no_change": 3,
    "max_iter": 60,
}
CASES = {
    "adaptive, early stopping, dropout, augment": RICH,
    "one-cycle": {"max_iter": 60},
    "sgd, constant": {"solver": "sgd", "learning_rate": "constant", "max_iter": 60},
}


def digits():
    """200 digits as rows of whole numbers, and their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:200].astype(np.uint8), y[:200]


def quick(**parameters):
    """A classifier that fits in a moment."""
    quick = {"architecture": "INPUT -> CONV(K=6) -> RELU -> POOL -> FC", "batch_size": 16, "max_iter": 4}
    return ConvNetClassifier(**quick | {"n_jobs": 1, "random_state": 0} | parameters)


def result(estimator):
    """All that a fit ends in, bit for bit."""
    arrays = [*estimator.coefs_, *estimator.intercepts_, *estimator.norm_means_, *estimator.norm_variances_]
    arrays += [estimator.pixel_mean_, estimator.pixel_scale_]
    numbers = [estimator.loss_curve_, estimator.validation_scores_, estimator.best_loss_]
    numbers += [estimator.best_validation_score_, estimator.n_iter_, estimator.t_, estimator._training_state.seed]
    return repr(numbers), [array.tobytes() for array in arrays]


class Killed(BaseException):
    """A kill that a test survives."""


def killed_after(n_epochs, monkeypatch, path, X, y, parameters, **fit):
    """Fit until so many checkpoints were written, and no further."""
    written = []

    def write(*arguments):
        if len(written) == n_epochs:
            raise Killed
        written.append(_WRITE(*arguments))

    with monkeypatch.context() as patch:
        patch.setattr(_checkpoint, "write_checkpoint", write)
        with pytest.raises(Killed):
            quick(**parameters, checkpoint=path).fit(X, y, **fit)


_WRITE = _checkpoint.write_checkpoint


def refused(*messages):
    return pytest.raises(ValueError, match=".*".join(map(re.escape, messages)))


def files_in(directory):
    """The bytes of all the files in a directory, by their names."""
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.npz"


# Killed

# Kernels are loaded once; then each line on standard input has a case, which is fitted in a process of its own, and
# after how many seconds that is killed. Its exit status is the answer.
SERVER = """
import os, pickle, signal, sys, time, warnings
import skconvnet
from tests.training.test_checkpoint import CASES, digits, quick, result
skconvnet.warmup()
warnings.simplefilter("ignore")
data = digits()
print("ready", flush=True)
for line in sys.stdin:
    name, path, seconds = line.rstrip().split("|")
    child = os.fork()
    if child == 0:
        fitted = result(quick(**CASES[name], checkpoint=path).fit(*data))
        with open(path + ".result", "wb") as file:
            pickle.dump(fitted, file)
        os._exit(0)
    if seconds:
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)  # one that is over is there until it is waited for
    print(os.waitpid(child, 0)[1], flush=True)
"""
N_KILLS = 20  # of each case


@pytest.fixture(scope="module")
def fit_in_child():
    """`fit_in_child(name, path, seconds)` fits a case and returns whether it was killed."""

    def fit(name, path, seconds=""):
        print(name, path, seconds, sep="|", file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        assert status in (0, signal.SIGKILL)
        return status != 0

    command, root = [sys.executable, "-c", SERVER], Path(__file__).parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=root, text=True, **pipes) as server:
        assert server.stdout.readline() == "ready\n"
        yield fit
        server.stdin.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
@pytest.mark.parametrize("name", CASES)
def test_a_fit_killed_at_any_moment_ends_in_the_same_bits(fit_in_child, name, path):
    expected = result(quick(**CASES[name]).fit(*digits()))
    answer = Path(f"{path}.result")
    began = time.perf_counter()
    assert not fit_in_child(name, path)
    seconds = time.perf_counter() - began
    assert pickle.loads(answer.read_bytes()) == expected
    path.unlink()
    rng, reached = np.random.default_rng(list(name.encode())), []
    while len(reached) < N_KILLS:
        answer.unlink(missing_ok=True)
        if fit_in_child(name, path, rng.random() * seconds / 3):
            saved = _checkpoint.read_checkpoint(path)  # it is whole, or not there yet
            reached.append(saved.n_epochs if saved else 0)
        else:
            assert pickle.loads(answer.read_bytes()) == expected
            path.unlink()
    fit_in_child(name, path)
    assert pickle.loads(answer.read_bytes()) == expected
    assert files_in(path.parent).keys() == {path.name, answer.name}  # what kills left is gone
    assert any(reached)


def test_a_case_has_what_it_is_there_for(path):
    scores = quick(**RICH, checkpoint=path).fit(*digits()).validation_scores_
    assert np.argmax(scores) < len(scores) - 1
    assert len(set(scores)) > 3
    assert _checkpoint.read_checkpoint(path).n_plateaus > 2


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n_epochs", [0, 1, 2, 3, 9])
def test_a_fit_goes_on_after_any_epoch(name, n_epochs, path, monkeypatch):
    data = digits()
    killed_after(n_epochs, monkeypatch, path, *data, CASES[name])
    assert path.exists() == (n_epochs > 0)
    went_on = quick(**CASES[name], checkpoint=path).fit(*data)
    assert result(went_on) == result(quick(**CASES[name]).fit(*data))


def test_a_fit_with_a_plateau_ends_where_it_would_have_ended(path, monkeypatch):
    parameters = {"learning_rate": "constant", "max_iter": 50, "tol": 1e3, "n_iter_no_change": 3}
    killed_after(3, monkeypatch, path, *digits(), parameters)
    went_on = quick(**parameters, checkpoint=path).fit(*digits())
    assert result(went_on) == result(quick(**parameters).fit(*digits()))
    assert went_on.n_iter_ == 5
    assert result(quick(**parameters, checkpoint=path).fit(*digits())) == result(went_on)


def test_validation_data_and_weights_go_on(path, monkeypatch):
    X, y = digits()
    rest = {"sample_weight": np.linspace(0, 1, 150), "X_val": X[150:], "y_val": y[150:]}
    rest["sample_weight_val"] = np.linspace(1, 2, 50)
    parameters = {"class_weight": {3: 2.0}}
    killed_after(2, monkeypatch, path, X[:150], y[:150], parameters, **rest)
    went_on = quick(**parameters, checkpoint=path).fit(X[:150], y[:150], **rest)
    assert result(went_on) == result(quick(**parameters).fit(X[:150], y[:150], **rest))


def test_without_a_random_state_the_seed_is_that_of_the_checkpoint(path, monkeypatch):
    parameters = {"random_state": None, "early_stopping": True}
    killed_after(2, monkeypatch, path, *digits(), parameters)
    seed = _checkpoint.read_checkpoint(path).seed
    went_on = quick(**parameters, checkpoint=path).fit(*digits())
    assert went_on._training_state.seed == seed
    expected = quick(**parameters)
    expected.set_params(random_state=Fixed(seed)).fit(*digits())
    assert result(went_on) == result(expected)


class Fixed(np.random.RandomState):
    """A random state that draws a known number."""

    def __init__(self, number):
        super().__init__(0)
        self.number = number

    def randint(self, _):
        return self.number


def test_a_random_state_object_that_is_made_anew_goes_on(path, monkeypatch):
    killed_after(2, monkeypatch, path, *digits(), {"random_state": np.random.RandomState(5)})
    went_on = quick(random_state=np.random.RandomState(5), checkpoint=path).fit(*digits())
    assert result(went_on) == result(quick(random_state=np.random.RandomState(5)).fit(*digits()))


def test_ctrl_c_and_the_same_fit_again(path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(30, patch)  # of 13 an epoch
        with pytest.warns(UserWarning, match="Training interrupted by user, after 2 epochs"):
            quick(checkpoint=path).fit(*digits())
    assert result(quick(checkpoint=path).fit(*digits())) == result(quick().fit(*digits()))


# Ended


def test_a_fit_that_has_ended_has_its_result_at_once(path, monkeypatch):
    expected = result(quick(**RICH, checkpoint=path).fit(*digits()))
    before = path.read_bytes()
    monkeypatch.setattr(Trainer, "step", None)
    again = quick(**RICH, checkpoint=str(path)).fit(*digits())
    assert result(again) == expected
    assert path.read_bytes() == before


def test_a_checkpoint_does_not_change_the_fit(path):
    assert result(quick(checkpoint=path).fit(*digits())) == result(quick().fit(*digits()))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_threads_and_what_is_printed_may_change(path, monkeypatch, capsys):
    killed_after(2, monkeypatch, path, *digits(), {})
    went_on = quick(n_jobs=2, verbose=1, checkpoint=path).fit(*digits())
    assert result(went_on) == result(quick().fit(*digits()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"resuming after epoch 2 from {path}"
    assert [line[:9] for line in lines[2:]] == ["epoch 3/4", "epoch 4/4"]


def test_numbers_may_be_those_of_numpy(path, monkeypatch):
    parameters = {"tol": np.float32(0.01), "n_iter_no_change": np.int64(2), "alpha": np.float32(0.01)}
    parameters |= {"max_iter": np.int16(8), "batch_size": np.int32(16), "random_state": np.int64(3)}
    parameters |= {"early_stopping": np.True_, "learning_rate": "adaptive", "learning_rate_init": np.float32(0.01)}
    killed_after(5, monkeypatch, path, *digits(), parameters)
    went_on = quick(**parameters, checkpoint=path).fit(*digits())
    assert result(went_on) == result(quick(**parameters).fit(*digits()))


def test_patience_may_be_infinite(path, monkeypatch):
    killed_after(2, monkeypatch, path, *digits(), {"n_iter_no_change": np.inf})
    went_on = quick(n_iter_no_change=np.inf, checkpoint=path).fit(*digits())
    assert result(went_on) == result(quick().fit(*digits()))


def test_forms_of_the_same_images_are_the_same_fit(path, monkeypatch, tmp_path):
    X, y = digits()
    killed_after(2, monkeypatch, path, X, y, {})
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for images in (mapped, np.asfortranarray(X), X.reshape(-1, 8, 8)):
        assert result(quick(checkpoint=path).fit(images, y)) == result(quick().fit(X, y))


# Refused

OTHER_PARAMETERS = {
    "architecture": "INPUT -> CONV(K=7) -> RELU -> POOL -> FC",
    "solver": "sgd",
    "alpha": 0.1,
    "batch_size": 17,
    "learning_rate": "constant",
    "learning_rate_init": 0.001,
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
    parameters = {"early_stopping": True, "solver": "sgd"}
    quick(**parameters, checkpoint=path).fit(*digits())
    for name, value in {"momentum": 0.5, "nesterovs_momentum": False, "validation_fraction": 0.2}.items():
        with refused(f"{name} is ", f"in the file and {value!r} now"):
            quick(**parameters | {name: value}, checkpoint=path).fit(*digits())
    adam = path.with_name("adam")
    expected = result(quick(checkpoint=adam).fit(*digits()))
    assert result(quick(momentum=0.5, checkpoint=adam).fit(*digits())) == expected


def test_what_may_change_and_what_may_not_is_every_parameter():
    may_change = {"n_jobs", "verbose", "device", "checkpoint"}
    elsewhere = {"momentum", "nesterovs_momentum", "validation_fraction"}  # the test above
    of_architecture = {*HYPERPARAMETERS, "image_shape"}
    of_weights = {"class_weight"}
    refused_together = {"warm_start"}
    known = may_change | elsewhere | of_architecture | of_weights | refused_together | set(OTHER_PARAMETERS)
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


# What comes there during the fit


def during_the_write_of_epoch(epoch, path, monkeypatch, happen):
    """Fit a quick network, and have something happen while the checkpoint of an epoch is written."""
    fsync, writes = os.fsync, []

    def sync(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            writes.append(descriptor)
            if len(writes) == epoch:
                happen()
        return fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        return quick(checkpoint=path).fit(*digits())


def test_two_fits_that_begin_before_there_is_a_file_do_not_overwrite_each_other(path, monkeypatch):
    X, y = digits()
    other = []

    def another_fit():
        with monkeypatch.context() as patch:
            patch.undo()
            other.append(quick(checkpoint=path).fit(X[::-1], y[::-1]))
        other.append(path.read_bytes())

    with pytest.warns(UserWarning, match="another fit has written its own there .* checkpoint=None. The fit continues"):
        fitted = during_the_write_of_epoch(1, path, monkeypatch, another_fit)
    assert result(fitted) == result(quick().fit(X, y))
    assert result(other[0]) == result(quick().fit(X[::-1], y[::-1]))
    assert files_in(path.parent) == {path.name: other[1]}


def test_two_fits_with_seeds_of_their_own_do_not_overwrite_each_other(path):
    quick(random_state=None, checkpoint=path).fit(*digits())
    checkpoint, before = _checkpoint.read_checkpoint(path), path.read_bytes()
    with pytest.raises(_checkpoint.OccupiedError):
        _checkpoint.write_checkpoint(path, replace(checkpoint, seed=checkpoint.seed + 1))
    assert files_in(path.parent) == {path.name: before}


def test_what_is_put_there_during_the_fit_stays(path, monkeypatch):
    with pytest.warns(UserWarning, match="after epoch 3, .*: something else has been put there since the fit began"):
        fitted = during_the_write_of_epoch(2, path, monkeypatch, lambda: path.write_text("mine"))
    assert result(fitted) == result(quick().fit(*digits()))
    assert files_in(path.parent) == {path.name: b"mine"}


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_file_that_is_moved_and_linked_during_the_fit_is_written_where_it_is(path, tmp_path_factory, monkeypatch):
    moved = tmp_path_factory.mktemp("larger disk") / "moved.npz"

    write, epochs = _checkpoint.write_checkpoint, []

    def move_after_two(*arguments):
        epochs.append(write(*arguments))
        if len(epochs) == 2:
            path.rename(moved)
            path.symlink_to(moved)

    monkeypatch.setattr(_checkpoint, "write_checkpoint", move_after_two)
    quick(checkpoint=path).fit(*digits())
    assert path.is_symlink()
    assert _checkpoint.read_checkpoint(moved).n_epochs == 4


def test_a_file_that_is_removed_during_the_fit_is_written_anew(path, monkeypatch):
    during_the_write_of_epoch(3, path, monkeypatch, path.unlink)
    assert _checkpoint.read_checkpoint(path).n_epochs == 4


PARTS = {
    "X": "the images X",
    "y": "the labels y",
    "sample_weight": "the weights (sample_weight, class_weight)",
    "X_val": "the images X_val",
    "y_val": "the labels y_val",
    "sample_weight_val": "the sample_weight_val",
}


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


DAMAGED = (
    "is damaged, or is not a checkpoint. It was left as it is. Delete or move it to start again, or give another path."
)


def test_a_file_cut_short_anywhere_is_refused_and_stays(path):
    quick(max_iter=1, checkpoint=path).fit(*digits())
    whole = path.read_bytes()
    for size in [0, 1, 3, 4, 100, *range(200, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with refused(f"checkpoint={str(path)!r} {DAMAGED}") as caught:
            quick(max_iter=1, checkpoint=path).fit(*digits())
        assert str(caught.value).endswith(DAMAGED)  # without a hint of the reader
        assert isinstance(caught.value.__cause__, Exception)
        assert path.read_bytes() == whole[:size]


def test_a_bit_that_fell_over_is_noticed_or_means_nothing(path):
    quick(max_iter=1, checkpoint=path).fit(*digits())
    whole = bytearray(path.read_bytes())
    expected = _checkpoint.read_checkpoint(path)
    rng, noticed = np.random.default_rng(0), 0
    for place in rng.integers(len(whole), size=400):
        damaged = whole.copy()
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = _checkpoint.read_checkpoint(path)
        except ValueError:
            noticed += 1
            continue
        assert (found.fit, found.loss_curve, found.seed) == (expected.fit, expected.loss_curve, expected.seed)
        for name in ("parameters", "moments", "best"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert noticed > 360  # the rest are dates and the like


def bytes_of(save, *arrays, **named_arrays):
    """What a function of NumPy writes to a file."""
    file = io.BytesIO()
    save(file, *arrays, **named_arrays)
    return file.getvalue()


def zip_of(name, content, compression=zipfile.ZIP_STORED):
    """The bytes of an archive with one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def claiming(shape, descr="|u1"):
    """The bytes of an array whose head claims this shape, and that has next to nothing."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + b"{}"


HUGE_HEAD = b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 0xFFFF
OTHER_FILES = {
    "nothing": b"",
    "a text": b"something else",
    "an array": bytes_of(np.save, np.zeros(3)),
    "other arrays": bytes_of(np.savez, X=np.zeros(3)),
    "a pickle": bytes_of(np.savez, header=np.array([{"a": 1}], object), allow_pickle=True),
    "no arrays": bytes_of(np.savez, header=np.frombuffer(b"{}", np.uint8)),
    "an archive of something else": zip_of("letter.txt", "Dear"),
    "an empty archive": zip_of("header.npy", "")[-22:],
    "JSON of something else": bytes_of(np.savez, header=np.frombuffer(b"[1]", np.uint8)),
    "deep JSON": bytes_of(np.savez, header=np.frombuffer(b"[" * 10**5, np.uint8)),
    "an array that claims a terabyte": claiming((10**12,)),
    "an archive that claims a terabyte": zip_of("header.npy", claiming((10**12,))),
    "an archive that claims more than there are bytes": zip_of("header.npy", claiming((10**30,))),
    "an archive with a negative shape": zip_of("header.npy", claiming((-1,))),
    "an array with a huge head": HUGE_HEAD,
    "an archive with a huge head": zip_of("header.npy", HUGE_HEAD),
}


@pytest.mark.parametrize("other", OTHER_FILES.values(), ids=OTHER_FILES)
def test_another_file_is_refused_and_stays(path, other):
    path.write_bytes(other)
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        quick(checkpoint=path).fit(*digits())
    assert files_in(path.parent) == {path.name: other}


@pytest.mark.parametrize(
    "other",
    [
        claiming((2**30,)),
        zip_of("header.npy", claiming((2**30,))),
        zip_of("header.npy", claiming((2**30,)) + bytes(2**26), zipfile.ZIP_DEFLATED),
    ],
    ids=["array", "archive", "compressed"],
)
def test_no_more_memory_is_asked_for_than_the_file_has(path, other):
    path.write_bytes(other)
    tracemalloc.start()
    with refused(DAMAGED):
        _checkpoint.read_checkpoint(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def rewritten(path, arrays=(), without=None, **header):
    """Write a checkpoint anew with other entries and right checksums."""
    with np.load(path) as file:
        members = dict(file) | dict(arrays)
    numbers = json.loads(members.pop("header").tobytes()) | header
    numbers.pop(without, None)
    with path.open("wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(numbers).encode(), np.uint8), **members)


NONSENSE = {
    "seed": ["1", -1, 1.0, True, None, 2**40],
    "fit": [[], None],
    "n_steps": [0.5, "52", -3, 10**12, None],
    "n_images": [0, 801, "800", -800, 800.0],
    "n_plateaus": [10**12, -1, 5, "0", None],
    "plateau_count": [-1, 5, None, 10**12, 0.0],
    "loss_curve": [
        [],
        [0.5] * 3,
        [0.5] * 5,
        [0.5, 0.4, float("nan"), 0.2],
        [0.5, 0.4, None, 0.2],
        "0.5",
        None,
        [1] * 4,
    ],
    "accuracy_curve": [[], [0.5] * 5, [float("inf")] * 4, {}, [True] * 4],
    "validation_scores": [[0.5] * 4, [0.5], None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NONSENSE.items() for value in values])
def test_numbers_that_no_fit_has_are_refused_before_work_begins(path, name, value, monkeypatch):
    estimator = quick(checkpoint=path, random_state=None, learning_rate="adaptive").fit(*digits())
    before = result(estimator)
    rewritten(path, **{name: value})
    content = path.read_bytes()
    monkeypatch.setattr(Trainer, "step", None)
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        estimator.fit(*digits())
    assert result(estimator) == before
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["parameters", "moments", "best"])
@pytest.mark.parametrize("change", ["nan", "negative", "dtype", "flat", "short", "nothing"])
def test_arrays_that_no_fit_has_are_refused_before_work_begins(path, name, change, monkeypatch):
    parameters = {"early_stopping": True, "max_iter": 2}
    quick(checkpoint=path, **parameters).fit(*digits())
    with np.load(path) as file:
        array = file[name]
    if change in ("nan", "negative"):
        array.flat[-1] = np.nan if change == "nan" else -1
    else:
        changes = {"dtype": array.astype(float), "flat": array.reshape(1, 1, -1), "short": array[..., :-1]}
        array = changes.get(change, np.zeros(0, np.float32))
    rewritten(path, {name: array})
    monkeypatch.setattr(Trainer, "step", None)
    if change == "negative" and name != "moments":  # as any weight may be
        quick(checkpoint=path, **parameters).fit(*digits())
        return
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        quick(checkpoint=path, **parameters).fit(*digits())


def test_an_entry_that_is_missing_is_refused(path):
    quick(checkpoint=path).fit(*digits())
    rewritten(path, without="n_plateaus")
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        quick(checkpoint=path).fit(*digits())


def test_a_file_does_not_depend_on_the_names_of_classes_or_the_layout_of_memory(path):
    """It has names of parameters, numbers and digests, and all learned numbers without padding."""
    fitted = quick(checkpoint=path).fit(*digits())
    with np.load(path) as file:
        header, parameters = json.loads(file["header"].tobytes()), file["parameters"]
    assert header["fit"]["architecture"] == str(fitted.architecture_)
    assert set(header["fit"]) <= {
        *fitted.get_params(),
        "image_shape",
        _checkpoint.SEEDS,
        *PARTS.values(),
        "the classes",
    }
    learned = [*fitted.coefs_, *fitted.intercepts_, *fitted.norm_means_, *fitted.norm_variances_]
    assert np.array_equal(parameters, np.concatenate([array.ravel() for array in learned]))


def test_parameters_of_another_size_are_refused(path):
    estimator = quick(checkpoint=path).fit(*digits())
    before = result(estimator)
    rewritten(path, {"parameters": np.zeros(1, "f4"), "moments": np.zeros((2, 1), "f4")})
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        estimator.fit(*digits())
    assert result(estimator) == before


def test_a_checkpoint_of_another_format_is_refused(path):
    quick(checkpoint=path).fit(*digits())
    rewritten(path, format="skconvnet checkpoint 99")
    with refused("has the format 'skconvnet checkpoint 99', and this version of skconvnet reads", "It was left"):
        quick(checkpoint=path).fit(*digits())


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="there are no devices")
def test_a_device_is_no_place_for_it():
    with refused("checkpoint='/dev/null' cannot be written: it is a directory or a device. Give the path of a file"):
        quick(checkpoint="/dev/null").fit(*digits())
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("where", ["no/such/directory/fit.npz", "file/fit.npz", "directory", ""])
def test_a_place_that_cannot_be_written_is_found_before_training(tmp_path, where, monkeypatch):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Trainer, "__init__", None)
    monkeypatch.chdir(tmp_path)
    with refused("checkpoint=", "Give "):
        quick(checkpoint=where).fit(*digits())


def test_a_tilde_is_no_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with refused("checkpoint='~/fit.npz' cannot be written: No such file", "~ is not expanded: os.path.expanduser"):
        quick(checkpoint="~/fit.npz").fit(*digits())
    (tmp_path / "~").mkdir()
    quick(checkpoint="~/fit.npz", max_iter=1).fit(*digits())
    assert (tmp_path / "~" / "fit.npz").exists()


@pytest.mark.parametrize("name", ["a\0b", "a" * 256])
def test_a_name_that_no_file_can_have_is_refused(name, tmp_path):
    with refused("checkpoint=", "cannot be written: "):
        quick(checkpoint=str(tmp_path / name)).fit(*digits())
    assert files_in(tmp_path) == {}


class PathOfBytes:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return os.fsencode(self.path)


def test_every_kind_of_path_leads_to_the_same_file(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    killed_after(2, monkeypatch, path, *digits(), {})
    for same in (str(path), PathOfBytes(path), path.name, Path(path.name), f"../{path.parent.name}/{path.name}"):
        assert result(quick(checkpoint=same).fit(*digits())) == result(quick().fit(*digits()))
    assert list(files_in(path.parent)) == [path.name]


@pytest.fixture
def unprivileged():
    """A directory of a user who is not root, for whom modes mean something, while the test runs."""
    if not hasattr(os, "seteuid"):
        pytest.skip("modes are those of POSIX")
    with tempfile.TemporaryDirectory() as directory:
        user = os.geteuid()
        if user == 0:
            os.chown(directory, 65534, -1)
            os.seteuid(65534)
        yield Path(directory)
        os.seteuid(user)


def test_a_directory_that_is_read_only_or_closed_is_refused(unprivileged):
    path = unprivileged / "inner" / "fit.npz"
    path.parent.mkdir()
    for mode in (0o500, 0o000):
        path.parent.chmod(mode)
        with refused(f"checkpoint={str(path)!r} cannot be written: Permission denied. Give the path of a file"):
            _checkpoint.CheckpointFile(path)
    path.parent.chmod(0o700)
    assert files_in(path.parent) == {}


def test_a_file_that_cannot_be_read_is_not_called_damaged(unprivileged):
    path = unprivileged / "fit.npz"
    path.write_bytes(b"")
    path.chmod(0o200)
    with refused(f"checkpoint={str(path)!r} cannot be read: Permission denied. Make it readable"):
        _checkpoint.CheckpointFile(path)


def test_a_write_protected_file_is_refused(path, monkeypatch):
    quick(checkpoint=path).fit(*digits())
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to any
    with refused("cannot be written: the file is write-protected"):
        quick(checkpoint=path).fit(*digits())


@pytest.mark.parametrize("checkpoint", [7, b"fit.npz", True])
def test_what_is_no_path_is_refused(checkpoint):
    with refused("The 'checkpoint' parameter of ConvNetClassifier must be"):
        quick(checkpoint=checkpoint).fit(*digits())


def test_warm_start_and_partial_fit_are_refused(path):
    with refused("warm_start=True resumes the network of the estimator, and checkpoint the network in the file"):
        quick(checkpoint=path, warm_start=True).fit(*digits())
    with refused("partial_fit does not support checkpoint"):
        quick(checkpoint=path).partial_fit(*digits(), classes=range(10))
    assert not path.exists()


def test_a_refused_checkpoint_leaves_the_fitted_network_as_it_was(path):
    path.write_text("something else")
    estimator = quick().fit(*digits())
    before = result(estimator)
    with refused(DAMAGED):
        estimator.set_params(checkpoint=path).fit(*digits())
    assert result(estimator) == before


# Writing


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_what_ends_the_writing_leaves_the_file_of_before(path, name, monkeypatch):
    def stop(*_):
        raise Killed

    quick(checkpoint=path).fit(*digits())
    checkpoint, before = _checkpoint.read_checkpoint(path), path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, name, stop)
        with pytest.raises(Killed):
            _checkpoint.write_checkpoint(path, checkpoint)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_it_is_on_the_disk_before_it_takes_its_place_and_so_is_its_name_after(path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        return fsync(descriptor)

    def note_replace(*names):
        done.append("replace")
        return replace(*names)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    quick(checkpoint=path, max_iter=2).fit(*digits())
    assert done == ["file", "replace", "directory"] * 2


@pytest.mark.parametrize("name", ["open", "fsync"])
def test_a_system_that_cannot_sync_a_directory_writes_all_the_same(path, name, monkeypatch):
    own = getattr(os, name)

    def no_directories(what, *arguments):
        if what == path.parent or (name == "fsync" and stat.S_ISDIR(os.fstat(what).st_mode)):
            raise PermissionError(13, "Permission denied")
        return own(what, *arguments)

    monkeypatch.setattr(os, name, no_directories)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(checkpoint=path).fit(*digits())
    assert _checkpoint.read_checkpoint(path).n_epochs == 4


def left_by_a_kill(path, token="0123456789abcdef"):
    """The name of a file that a kill leaves."""
    return path.with_name(f".{path.name}.{token}.skconvnet-part")


def test_no_other_file_is_written_to_or_removed(path):
    names = ["fit.npz.part", "fit.npz.tmp", ".fit.npz.0123.skconvnet-part", left_by_a_kill(Path("other.npz")).name]
    names += [f"{left_by_a_kill(path).name}.mine", f"my{left_by_a_kill(path).name}"]
    others = {name: f"mine {name}".encode() for name in names}
    for name, content in others.items():
        path.with_name(name).write_bytes(content)
    quick(checkpoint=path).fit(*digits())
    assert files_in(path.parent) == others | {path.name: path.read_bytes()}


def test_a_file_whose_name_is_taken_is_not_written_over(path, monkeypatch):
    quick(checkpoint=path).fit(*digits())
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda _: "0" * 16)
    taken = left_by_a_kill(path, "0" * 16)
    taken.write_text("another's")
    before = files_in(path.parent)
    with pytest.raises(FileExistsError):
        _checkpoint.write_checkpoint(path, _checkpoint.read_checkpoint(path))
    with refused("cannot be written: File exists"):
        quick(checkpoint=path).fit(*digits())
    assert files_in(path.parent) == before


def test_what_a_kill_left_is_removed_by_the_fit_that_goes_on(path, monkeypatch):
    killed_after(2, monkeypatch, path, *digits(), {})
    left_by_a_kill(path).write_text("half a check")
    with refused("belongs to another fit"):
        quick(checkpoint=path, alpha=7).fit(*digits())
    assert left_by_a_kill(path).exists()  # a refused fit changes nothing
    quick(checkpoint=path).fit(*digits())
    assert list(files_in(path.parent)) == [path.name]


def test_a_directory_is_nothing_that_a_kill_left(path):
    left_by_a_kill(path).mkdir()
    quick(checkpoint=path).fit(*digits())
    assert left_by_a_kill(path).is_dir()


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_link_is_nothing_that_a_kill_left(path, tmp_path_factory):
    target = tmp_path_factory.mktemp("mine") / "mine"
    target.write_text("mine")
    left_by_a_kill(path).symlink_to(target)
    quick(checkpoint=path).fit(*digits())
    assert left_by_a_kill(path).read_text() == "mine"


def test_a_fit_whose_half_written_file_is_taken_away_warns_and_goes_on(path, monkeypatch):
    fsync, writes = os.fsync, []

    def another_fit_begins(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            writes.append(fsync(descriptor))
            if len(writes) == 2:
                atomic.remove_parts(path)

    monkeypatch.setattr(os, "fsync", another_fit_begins)
    with pytest.warns(UserWarning, match="not written after epoch 2, .*No such file or directory. The fit continues"):
        fitted = quick(checkpoint=path).fit(*digits())
    assert result(fitted) == result(quick().fit(*digits()))
    assert _checkpoint.read_checkpoint(path).n_epochs == 4


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_of_open_and_a_file_keeps_its_own(path, umask, mode):
    own = os.umask(umask)
    try:
        quick(checkpoint=path, max_iter=1).fit(*digits())
        assert stat.S_IMODE(path.stat().st_mode) == mode
        checkpoint = _checkpoint.read_checkpoint(path)
        for other in (0o600, 0o640, 0o666):
            path.chmod(other)
            _checkpoint.write_checkpoint(path, checkpoint)
            assert stat.S_IMODE(path.stat().st_mode) == other
    finally:
        os.umask(own)


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path, dangling, monkeypatch):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "fit.npz", tmp_path / "link.npz"
    link.symlink_to(Path("disk", "fit.npz"))
    if not dangling:
        killed_after(2, monkeypatch, target, *digits(), {})
    assert result(quick(checkpoint=link).fit(*digits())) == result(quick().fit(*digits()))
    assert os.readlink(link) == str(Path("disk", "fit.npz"))
    assert not target.is_symlink()
    assert _checkpoint.read_checkpoint(target).n_epochs == 4
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    with refused(f"checkpoint={str(link)!r} belongs to another fit"):
        quick(checkpoint=link, alpha=7).fit(*digits())
    target.write_text("something else")
    with refused(f"checkpoint={str(link)!r} {DAMAGED}"):
        quick(checkpoint=link).fit(*digits())


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_links_that_lead_nowhere_are_refused_and_stay(tmp_path):
    loop, lost = tmp_path / "loop.npz", tmp_path / "lost.npz"
    loop.symlink_to(loop.name)
    lost.symlink_to(Path("no", "such", "directory"))
    for link in (loop, lost):
        with refused(f"checkpoint={str(link)!r} cannot be written: "):
            quick(checkpoint=link).fit(*digits())
        assert link.is_symlink()


def test_a_relative_path_means_the_same_in_another_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    during_the_write_of_epoch(2, "fit.npz", monkeypatch, partial(os.chdir, "elsewhere"))
    assert list(files_in(tmp_path / "elsewhere")) == []
    assert _checkpoint.read_checkpoint(tmp_path / "fit.npz").n_epochs == 4


def test_a_directory_that_vanishes_warns_and_the_fit_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "disk" / "fit.npz"
    path.parent.mkdir()
    vanish = partial(shutil.rmtree, path.parent)
    with pytest.warns(UserWarning, match="written after epoch [34], .*No such file or directory. The fit continues"):
        fitted = during_the_write_of_epoch(2, path, monkeypatch, vanish)
    assert result(fitted) == result(quick().fit(*digits()))
    assert not path.parent.exists()


def test_what_ends_the_writing_is_not_hidden_by_what_cannot_be_removed(tmp_path, monkeypatch):
    path = tmp_path / "disk" / "fit.npz"
    path.parent.mkdir()

    def vanish():
        shutil.rmtree(path.parent)
        raise Killed

    with pytest.raises(Killed):
        during_the_write_of_epoch(2, path, monkeypatch, vanish)


def test_a_file_that_may_grow_no_further_warns_and_leaves_nothing(path, monkeypatch):
    resource = pytest.importorskip("resource")
    own = resource.getrlimit(resource.RLIMIT_FSIZE)
    killed_after(1, monkeypatch, path, *digits(), {})
    before = files_in(path.parent)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[path.name]) // 2, own[1]))
    try:
        with pytest.warns(UserWarning, match="was not written after epoch 2, .*File too large. The fit continues"):
            fitted = quick(checkpoint=path).fit(*digits())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, own)
    assert result(fitted) == result(quick().fit(*digits()))
    assert files_in(path.parent) == before


def test_a_full_disk_warns_and_the_fit_goes_on(path, monkeypatch):
    calls = []

    def full(descriptor):
        calls.append(stat.S_ISREG(os.fstat(descriptor).st_mode))
        if sum(calls) > 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(
        UserWarning, match="was not written after epoch [34], .*No space left on device.* The fit continues"
    ):
        fitted = quick(checkpoint=path).fit(*digits())
    assert result(fitted) == result(quick().fit(*digits()))
    assert _checkpoint.read_checkpoint(path).n_epochs == 2


def test_a_fit_that_diverges_leaves_the_checkpoint_of_its_last_finite_epoch(path, monkeypatch):
    diverge_at(30, monkeypatch)
    errors = []
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="in epoch 3, step 4 of 13") as caught:
            quick(checkpoint=path).fit(*digits())
        errors.append(str(caught.value))
        assert _checkpoint.read_checkpoint(path).n_epochs == 2
    assert errors[0] == errors[1]


# Digests


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_digest_copies_no_more_than_a_block(order):
    X = np.zeros((2**12, 2**11), order=order)  # 64 MB that are never written
    tracemalloc.start()
    digest(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= X.nbytes / 3


@pytest.mark.parametrize("dtype", [np.uint8, ">f8", bool, np.float16])
def test_a_digest_is_of_the_values_in_their_order(dtype, monkeypatch):
    X = (np.random.default_rng(0).random((7, 3, 5)) * 2).astype(int).astype(dtype)
    expected = digest(X)
    monkeypatch.setattr(_checkpoint, "_BLOCK_BYTES", 2 * X[:1].nbytes)
    assert digest(X) == digest(np.asfortranarray(X)) == digest(X.reshape(7, 15)) == expected
    other = X.copy()
    other[-1, -1, -1] = 1 - other[-1, -1, -1]
    others = [other, X[::-1], X[:6], X.astype(np.float32), np.zeros((0, 3), dtype)]
    assert len({expected, *map(digest, others)}) == 6
