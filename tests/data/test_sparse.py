"""Sparse rows: the same bits as dense ones, a minibatch at a time."""

import re
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.datasets import load_digits

from skconvnet import ConvNetFeatures
from skconvnet.data.images import check_values
from skconvnet.data.sparse import SparseRows
from tests.estimators.quick import quick, same_network

FORMATS = [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.coo_matrix, sparse.lil_array]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:120], y[:120]


@pytest.mark.parametrize("form", FORMATS)
def test_rows_are_read_in_any_order(digits, form):
    rows = SparseRows(form(digits[0]))
    indices = np.array([5, 0, 5, 119])
    assert_array_equal(rows[indices], digits[0][indices])
    assert_array_equal(rows[3:7], digits[0][3:7])
    assert (rows.shape, rows.dtype, rows.ndim, rows.size) == ((120, 64), np.float64, 2, 7680)
    assert type(rows[indices]) is np.ndarray


def test_two_values_in_one_place_are_added_in_a_copy():
    twice = sparse.csr_array((np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 3))
    rows = SparseRows(twice)
    assert_array_equal(rows[:], [[0, 3, 0], [4, 0, 0]])
    assert twice.nnz == 3
    rows = SparseRows(sparse.csr_array(([3e38, 3e38], [0, 0], [0, 2]), shape=(1, 1), dtype=np.float64))
    with pytest.raises(ValueError, match=r"infinity in float32, at X\[0, 0\]"):
        check_values(rows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_stored_values_are_checked(value):
    dense = np.zeros((40, 9))
    dense[33, 7] = value
    with pytest.raises(ValueError, match=re.escape("at X[33, 7]")):
        check_values(SparseRows(sparse.csc_array(dense)), block_bytes=64)
    dense[33, 7] = -5
    assert check_values(SparseRows(sparse.csr_array(dense))) == 5
    assert check_values(SparseRows(sparse.csr_array((40, 9)))) == 0


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix])
def test_a_fit_has_the_bits_of_dense_rows(digits, form):
    X, y = digits
    weights = np.arange(120) % 3
    dense, thin = (
        quick(early_stopping=True, warm_start=True).fit(x, y, weights, X_val=x[:50], y_val=y[:50])
        for x in (X, form(X).tocsr())
    )
    assert same_network(dense, thin)
    dense.fit(X, y)  # now with a part of X split off
    thin.fit(form(X), y)
    assert same_network(dense, thin)
    assert_array_equal(dense.decision_function(X), thin.decision_function(form(X)))
    features = [ConvNetFeatures(estimator, layer="FC 1").fit(X, y) for estimator in (dense, thin)]
    assert_array_equal(features[0].transform(X), features[1].transform(form(X)))


def test_partial_fit_and_a_checkpoint(digits, tmp_path):
    X, y = digits
    dense, thin = quick(), quick()
    for part in (slice(0, 60), slice(60, 120)):
        dense.partial_fit(X[part], y[part], classes=np.arange(10))
        thin.partial_fit(sparse.csr_array(X[part]), y[part], classes=np.arange(10))
    assert same_network(dense, thin)
    dense = quick(checkpoint=tmp_path / "fit").fit(X, y)
    resumed = quick(checkpoint=tmp_path / "fit").fit(sparse.csc_array(X), y)  # the same fit, which was complete
    assert resumed.loss_curve_ == dense.loss_curve_


def test_what_is_refused(digits):
    X, y = digits
    fitted = quick(max_iter=1).fit(sparse.csr_array(X), y)
    with pytest.raises(ValueError, match="64 features"):
        fitted.predict(sparse.csr_array(X[:, :-1]))
    with pytest.raises(ValueError, match="height and width of rows are not known"):
        fitted.score_map(sparse.csr_array(X))
    with pytest.raises(ValueError, match="0 sample"):
        fitted.predict(sparse.csr_array(X[:0]))


def test_a_fit_makes_a_minibatch_dense_at_a_time():
    X, y = sparse.random_array((1000, 10_000), density=1e-4, format="csr", rng=0), np.arange(1000) % 2
    estimator = quick(architecture="INPUT -> FC", image_shape=(100, 100), max_iter=1)
    tracemalloc.start()
    estimator.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * X.shape[0] * X.shape[1] / 2
