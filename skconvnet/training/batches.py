"""Minibatches: which images each step of an epoch uses."""

from dataclasses import dataclass
from math import ceil

import numpy as np


@dataclass(frozen=True)
class Batches:
    """The minibatches of every epoch.

    The order of the images in an epoch depends only on the seed and on the number of the epoch. So a resumed training
    visits the images in the same order as one that was never interrupted.

    Parameters
    ----------
    indices : ndarray of int64, shape (n,)
        The images to visit in an epoch.
    weights : ndarray of float32
        The weight of every image, including those that are not visited.
    batch_size : int
        Images in a minibatch, between 1 and n. The last minibatch of an epoch may be smaller.
    shuffle : bool
        Whether to shuffle the images in every epoch.
    seed : int
        Seed of the shuffling, >= 0.

    Examples
    --------
    >>> batches = Batches(np.arange(5), np.ones(5), batch_size=2, shuffle=False, seed=0)
    >>> [batch.tolist() for batch in batches.of_epoch(0)]
    [[0, 1], [2, 3], [4]]
    """

    indices: np.ndarray
    weights: np.ndarray
    batch_size: int
    shuffle: bool
    seed: int

    def __len__(self):
        return ceil(len(self.indices) / self.batch_size)

    def of_epoch(self, number):
        """Yield the minibatches of epoch `number`, as arrays of indices. Each image is in one of them."""
        order = self.indices
        if self.shuffle:
            order = np.random.default_rng((self.seed, number)).permutation(order)
        for first in range(0, len(order), self.batch_size):
            yield order[first : first + self.batch_size]

    def weight_of(self, batch):
        """Return the sum of the weights of a minibatch."""
        return float(self.weights[batch].sum(dtype=np.float64))
