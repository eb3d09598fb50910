"""`partial_fit` on batches as they come, from a memory map, Dask or a generator: the bits of the same from memory."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier

EVERYTHING = "INPUT -> CONV(K=6) -> NORM -> RELU -> POOL -> DROPOUT(0.2) -> FC"
CUTS = [slice(0, 60), slice(60, 100), slice(100, 170), slice(170, 200)]  # of unequal lengths


@pytest.fixture(scope="module", params=[np.uint8, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def digits(request):
    """200 digits in the order of their labels: no batch has all the classes."""
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    order = np.argsort(y[:200], kind="stable")
    return X[order].reshape(-1, 8, 8).astype(request.param), y[order]


def streamed(batches, **parameters):
    """A network that has seen batches of (X, y) or (X, y, sample_weight), one after the other."""
    network = ConvNetClassifier(EVERYTHING, batch_size=16, learning_rate_init=0.01, augment="crop", **parameters)
    network.set_params(n_jobs=1, random_state=0)
    for X, y, *weights in batches:
        network.partial_fit(X, y, range(10), *weights)
    return network


@pytest.fixture(scope="module")
def in_memory(digits):
    """What all streams have to come to."""
    X, y = digits
    return streamed((X[cut], y[cut]) for cut in CUTS)


def assert_same_bits(one, other):
    assert one.loss_curve_ == other.loss_curve_
    assert one.t_ == other.t_
    for name in ("coefs_", "intercepts_", "norm_means_", "norm_variances_"):
        for ours, theirs in zip(getattr(one, name), getattr(other, name), strict=True):
            assert_array_equal(ours, theirs)
    assert_array_equal(one.pixel_mean_, other.pixel_mean_)
    assert_array_equal(one.pixel_scale_, other.pixel_scale_)


def test_every_batch_counts(digits, in_memory):
    X, y = digits
    assert in_memory.t_ == 200
    assert len(in_memory.loss_curve_) == 4
    another = streamed((X[cut], y[cut]) for cut in CUTS[:3])
    assert not np.array_equal(another.coefs_[0], in_memory.coefs_[0])


def test_batches_of_a_read_only_memory_map(digits, in_memory, tmp_path):
    for name, array in zip("Xy", digits, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    X, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "Xy")
    assert isinstance(X, np.memmap)
    assert not X.flags.writeable
    before = (tmp_path / "X.npy").read_bytes()
    assert_same_bits(streamed((X[cut], y[cut]) for cut in CUTS), in_memory)
    assert (tmp_path / "X.npy").read_bytes() == before


@pytest.mark.parametrize("computed", [True, False], ids=["computed", "as they are"])
def test_the_blocks_of_a_dask_array(digits, in_memory, computed):
    da = pytest.importorskip("dask.array", reason="Dask is not installed (`make peers` installs it)")
    sizes = tuple(cut.stop - cut.start for cut in CUTS)
    X = da.from_array(digits[0], chunks=(sizes, 8, 8))
    y = da.from_array(digits[1], chunks=(sizes,))
    blocks = zip(X.blocks, y.blocks, strict=True)
    if computed:
        blocks = ((images.compute(), labels.compute()) for images, labels in blocks)
    assert_same_bits(streamed(blocks), in_memory)


def test_a_generator_whose_batches_are_gone_when_the_next_one_comes(digits, in_memory):
    def batches():
        room = np.empty((max(cut.stop - cut.start for cut in CUTS), 8, 8), digits[0].dtype)
        for cut in CUTS:
            batch = room[: cut.stop - cut.start]
            batch[:] = digits[0][cut]
            yield batch, digits[1][cut].tolist()
            room[:] = 0  # so that whoever kept the batch would notice

    assert_same_bits(streamed(batches()), in_memory)


def test_a_stream_goes_on_in_a_pickle(digits, in_memory):
    X, y = digits
    network = streamed((X[cut], y[cut]) for cut in CUTS[:1])
    for cut in CUTS[1:]:
        network = pickle.loads(pickle.dumps(network)).partial_fit(X[cut], y[cut])
    assert_same_bits(network, in_memory)


def test_weights_of_a_stream(digits, in_memory):
    X, y = digits
    equal = streamed((X[cut], y[cut], np.full(cut.stop - cut.start, 0.3)) for cut in CUTS)
    assert_same_bits(equal, in_memory)
    weights = np.random.default_rng(0).random(200)
    weighted = streamed((X[cut], y[cut], weights[cut]) for cut in CUTS)
    assert not np.array_equal(weighted.coefs_[0], in_memory.coefs_[0])
    by_class = streamed(((X[cut], y[cut]) for cut in CUTS), class_weight={3: 0.25, 4: 4.0})
    of_class = np.select([y == 3, y == 4], [0.25, 4.0], 1.0)
    assert_same_bits(by_class, streamed((X[cut], y[cut], of_class[cut]) for cut in CUTS))


def test_a_batch_that_is_refused_does_not_end_the_stream(digits, in_memory):
    X, y = digits
    network = streamed((X[cut], y[cut]) for cut in CUTS[:2])
    for images, labels, message in ((X[:5], [0, 1, 2, 3, 77], "77"), (X[:5, :7], y[:5], r"\(7, 8, 1\)")):
        with pytest.raises(ValueError, match=message):
            network.partial_fit(images, labels)
    for cut in CUTS[2:]:
        network.partial_fit(X[cut], y[cut])
    assert_same_bits(network, in_memory)
