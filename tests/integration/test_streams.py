"""`partial_fit` on batches from a memory map, Dask or a generator gives the bits of the same batches from memory."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier

EVERYTHING = "INPUT -> CONV(K=6) -> NORM -> RELU -> POOL -> DROPOUT(0.2) -> FC"
PARTS = [slice(0, 60), slice(60, 100), slice(100, 170), slice(170, 200)]  # of unequal lengths


@pytest.fixture(scope="module", params=[np.uint8, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def digits(request):
    """200 digits sorted by label, so that no batch has all classes."""
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    order = np.argsort(y[:200], kind="stable")
    return X[order].reshape(-1, 8, 8).astype(request.param), y[order]


def streamed(batches, **parameters):
    """A network after `partial_fit` on each batch, (X, y) or (X, y, sample_weight)."""
    network = ConvNetClassifier(EVERYTHING, batch_size=16, learning_rate_init=0.01, augment="crop", **parameters)
    network.set_params(n_jobs=1, random_state=0)
    for X, y, *weights in batches:
        network.partial_fit(X, y, range(10), *weights)
    return network


@pytest.fixture(scope="module")
def in_memory(digits):
    """The network that every stream must give."""
    X, y = digits
    return streamed((X[part], y[part]) for part in PARTS)


def assert_same_bits(one, other):
    assert one.loss_curve_ == other.loss_curve_
    assert one.t_ == other.t_
    for name in ("coefs_", "intercepts_", "norm_means_", "norm_variances_"):
        for ours, theirs in zip(getattr(one, name), getattr(other, name), strict=True):
            assert_array_equal(ours, theirs)
    assert_array_equal(one.pixel_mean_, other.pixel_mean_)
    assert_array_equal(one.pixel_scale_, other.pixel_scale_)


def test_every_batch_changes_the_network(digits, in_memory):
    X, y = digits
    assert in_memory.t_ == 200
    assert len(in_memory.loss_curve_) == 4
    another = streamed((X[part], y[part]) for part in PARTS[:3])
    assert not np.array_equal(another.coefs_[0], in_memory.coefs_[0])


def test_batches_of_a_read_only_memory_map(digits, in_memory, tmp_path):
    for name, array in zip("Xy", digits, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    X, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "Xy")
    assert isinstance(X, np.memmap)
    assert not X.flags.writeable
    before = (tmp_path / "X.npy").read_bytes()
    assert_same_bits(streamed((X[part], y[part]) for part in PARTS), in_memory)
    assert (tmp_path / "X.npy").read_bytes() == before


@pytest.mark.parametrize("computed", [True, False], ids=["computed", "lazy"])
def test_the_blocks_of_a_dask_array(digits, in_memory, computed):
    da = pytest.importorskip("dask.array", reason="Dask is not installed (`make peers` installs it)")
    sizes = tuple(part.stop - part.start for part in PARTS)
    X = da.from_array(digits[0], chunks=(sizes, 8, 8))
    y = da.from_array(digits[1], chunks=(sizes,))
    blocks = zip(X.blocks, y.blocks, strict=True)
    if computed:
        blocks = ((images.compute(), labels.compute()) for images, labels in blocks)
    assert_same_bits(streamed(blocks), in_memory)


def test_a_generator_that_reuses_the_memory_of_its_batches(digits, in_memory):
    def batches():
        memory = np.empty((max(part.stop - part.start for part in PARTS), 8, 8), digits[0].dtype)
        for part in PARTS:
            batch = memory[: part.stop - part.start]
            batch[:] = digits[0][part]
            yield batch, digits[1][part].tolist()
            memory[:] = 0  # an estimator that kept the batch would give other bits

    assert_same_bits(streamed(batches()), in_memory)


def test_a_stream_continues_after_pickling(digits, in_memory):
    X, y = digits
    network = streamed((X[part], y[part]) for part in PARTS[:1])
    for part in PARTS[1:]:
        network = pickle.loads(pickle.dumps(network)).partial_fit(X[part], y[part])
    assert_same_bits(network, in_memory)


def test_sample_and_class_weights(digits, in_memory):
    X, y = digits
    equal = streamed((X[part], y[part], np.full(part.stop - part.start, 0.3)) for part in PARTS)
    assert_same_bits(equal, in_memory)
    weights = np.random.default_rng(0).random(200)
    weighted = streamed((X[part], y[part], weights[part]) for part in PARTS)
    assert not np.array_equal(weighted.coefs_[0], in_memory.coefs_[0])
    by_class = streamed(((X[part], y[part]) for part in PARTS), class_weight={3: 0.25, 4: 4.0})
    of_class = np.select([y == 3, y == 4], [0.25, 4.0], 1.0)
    assert_same_bits(by_class, streamed((X[part], y[part], of_class[part]) for part in PARTS))


def test_a_rejected_batch_does_not_change_the_network(digits, in_memory):
    X, y = digits
    network = streamed((X[part], y[part]) for part in PARTS[:2])
    for images, labels, message in ((X[:5], [0, 1, 2, 3, 77], "77"), (X[:5, :7], y[:5], r"\(7, 8, 1\)")):
        with pytest.raises(ValueError, match=message):
            network.partial_fit(images, labels)
    for part in PARTS[2:]:
        network.partial_fit(X[part], y[part])
    assert_same_bits(network, in_memory)
