"""A fit that is killed and started again has the same result."""

import os
import pickle
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from skconvnet.engine import Trainer
from skconvnet.training import checkpoint as _checkpoint
from skconvnet.training.checkpoint import digest
from tests.training.checkpoints import CASES, RICH, digits, files_in, killed_after, quick, result
from tests.training.steps import interrupt_at

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# Killed

# Kernels are loaded once; then each line on standard input has a case, which is fitted in a process of its own, and
# after how many seconds that is killed. Its exit status is the answer.
SERVER = """
import os, pickle, signal, sys, time, warnings
import skconvnet
from tests.training.checkpoints import CASES, digits, quick, result
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
    monkeypatch.setattr(Trainer, "steps", None)
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
