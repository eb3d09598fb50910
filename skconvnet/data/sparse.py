"""Sparse rows, made dense a minibatch at a time."""

from skconvnet.engine import PixelSource


class SparseRows(PixelSource):
    """The rows of a sparse matrix or array, read as dense ones.

    Parameters
    ----------
    rows : scipy.sparse matrix or array, (n, n_features)
        In any format. It is not changed; one of another format than CSR, or with two values in one place, is copied.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> SparseRows(csr_array(np.eye(4)))[1:3]
    array([[0., 1., 0., 0.],
           [0., 0., 1., 0.]])
    """

    def __init__(self, rows):
        super().__init__(rows.shape, rows.dtype)
        rows = rows.tocsr()
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        self._rows = rows

    def read(self, indices):
        """Return some rows, dense."""
        return self._rows[indices].toarray()

    @property
    def values(self):
        """The stored values, (n_stored,): every other pixel is 0."""
        return self._rows.data

    def place(self, number):
        """Return (row, column) of a stored value."""
        entries = self._rows.tocoo()
        return entries.row[number], entries.col[number]
