"""Arrays and data frames of other libraries give the same bits as NumPy arrays."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier


@pytest.fixture(scope="module")
def digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:300].astype(np.float32), y[:300]


def fitted(X, y, **data):
    network = ConvNetClassifier("INPUT -> CONV(K=8) -> RELU -> POOL -> FC", max_iter=2, random_state=0, n_jobs=1)
    return network.set_params(batch_size=16, learning_rate_init=0.01).fit(X, y, **data)


@pytest.fixture(scope="module")
def scores(digits):
    """The expected scores."""
    return fitted(*digits).decision_function(digits[0])


class OfAnotherLibrary:
    """An array that supports DLPack and nothing else."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class OfAnOlderLibrary(OfAnotherLibrary):
    """An array with DLPack older than 1.0, which takes no device."""

    def __dlpack__(self, *, stream=None):
        return self._array.__dlpack__()


class OnAnotherDevice(OfAnotherLibrary):
    """An array on a GPU that is copied to the CPU on request, as CuPy's are."""

    def __dlpack__(self, *, dl_device=None, **options):
        if dl_device != self._array.__dlpack_device__():
            raise BufferError("it is on a device")
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return 2, 0  # CUDA's first


class StayingThere(OnAnotherDevice):
    """An array on a GPU that cannot be copied."""

    def __dlpack__(self, **options):
        raise BufferError("it is on a device")


class LikeATensor(StayingThere):
    """An array on a GPU with the method of PyTorch's tensors."""

    def cpu(self):
        return OfAnotherLibrary(self._array)


class LikeCupy(StayingThere):
    """An array on a GPU with the method of CuPy's arrays."""

    def get(self):
        return self._array.copy()


# Data frames


def test_pandas_data_frames(digits, scores):
    pd = pytest.importorskip("pandas")
    X, y = pd.DataFrame(digits[0]).add_prefix("pixel"), pd.Series(digits[1])
    network = fitted(X, y, sample_weight=pd.Series(np.ones(300)))
    assert_array_equal(network.decision_function(X), scores)
    assert network.feature_names_in_[:2].tolist() == ["pixel0", "pixel1"]


def test_polars_data_frames(digits, scores):
    pl = pytest.importorskip("polars", reason="polars is not installed (`make peers` installs it)")
    X, y = pl.DataFrame(digits[0]), pl.Series(digits[1])
    network = fitted(X, y, sample_weight=pl.Series(np.ones(300)))
    assert_array_equal(network.decision_function(X), scores)
    integers = X.with_columns(pl.col("column_3").cast(pl.Int8), pl.col("column_4").cast(pl.UInt16))
    assert_array_equal(fitted(integers, y).decision_function(integers), scores)
    named = pl.Series([f"digit {label}" for label in digits[1]])
    assert_array_equal(fitted(X, named).predict(X), [f"digit {k}" for k in scores.argmax(axis=1)])


# DLPack


@pytest.mark.parametrize("kind", [OfAnotherLibrary, OfAnOlderLibrary, OnAnotherDevice, LikeATensor, LikeCupy])
@pytest.mark.parametrize("shape", [(64,), (8, 8), (8, 8, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.float16])
def test_dlpack_arrays(digits, scores, kind, shape, dtype):
    X, y = kind(digits[0].astype(dtype).reshape(-1, *shape)), kind(digits[1])
    network = fitted(X, y, X_val=X, y_val=y, sample_weight=kind(np.ones(300)))
    assert_array_equal(network.decision_function(X), scores)
    assert_array_equal(network.predict(X), scores.argmax(axis=1))


def test_larger_dlpack_images(digits):
    network = fitted(*digits)
    X = digits[0][:100].reshape(25, 2, 2, 8, 8).transpose(0, 1, 3, 2, 4).reshape(25, 16, 16)
    assert_array_equal(network.score_map(OfAnotherLibrary(X)), network.score_map(X))


def test_a_dlpack_array_that_cannot_be_read(digits):
    message = r"X is a StayingThere that cannot be read as an ndarray \(it is on a device\). Bring it to the CPU"
    with pytest.raises(ValueError, match=message):
        fitted(StayingThere(digits[0]), digits[1])
    with pytest.raises(ValueError, match="y is a StayingThere"):
        fitted(digits[0], StayingThere(digits[1]))
    with pytest.raises(ValueError, match="sample_weight is a StayingThere"):
        fitted(*digits, sample_weight=StayingThere(np.ones(300)))


# No other test imports PyTorch into a process with our kernels: see `tests/torch_answers.py`.
TORCH = """
import sys
import numpy as np
from sklearn.datasets import load_digits
from skconvnet import ConvNetClassifier

X, y = load_digits(return_X_y=True)
X, y = X[:200].astype(np.float32), y[:200]
network = ConvNetClassifier("INPUT -> CONV(K=4) -> POOL -> FC", max_iter=1, random_state=0, n_jobs=1)
scores = network.fit(X, y).decision_function(X)
assert "torch" not in sys.modules

import torch

for images in (torch.tensor(X), torch.tensor(X).reshape(-1, 8, 8), torch.tensor(X.T.copy()).T, torch.tensor(X).half()):
    network.fit(images, torch.tensor(y), sample_weight=torch.ones(200))
    assert np.array_equal(network.decision_function(images), scores)
for images in (torch.tensor(X, requires_grad=True), torch.tensor(X).bfloat16()):
    try:
        network.predict(images)
    except ValueError as error:
        assert "X is a Tensor that cannot be read as an ndarray" in str(error), error
    else:
        raise AssertionError("it was taken")
print("the same")
"""


def test_pytorch_tensors():
    if find_spec("torch") is None:
        pytest.skip("PyTorch is not installed (`make peers` installs it)")
    process = subprocess.run([sys.executable, "-c", TORCH], capture_output=True, text=True, env=os.environ)
    assert process.stdout == "the same\n", process.stderr
