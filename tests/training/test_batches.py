"""The minibatches of an epoch."""

import numpy as np

from skconvnet.training import Batches


def batches_of(n, batch_size, shuffle=False, seed=0):
    return Batches(np.arange(n), np.ones(n), batch_size, shuffle, seed)


def test_an_epoch_visits_each_image_once():
    seen = [batch.tolist() for batch in batches_of(10, 4, shuffle=True).of_epoch(3)]
    assert [len(batch) for batch in seen] == [4, 4, 2]
    assert sorted(image for batch in seen for image in batch) == list(range(10))


def test_epochs_have_orders_of_their_own_that_depend_on_seed_and_number_alone():
    def order(seed, number):
        return np.concatenate(list(batches_of(50, 7, shuffle=True, seed=seed).of_epoch(number))).tolist()

    assert order(0, 5) == order(0, 5)
    assert order(0, 5) != order(0, 6)
    assert order(0, 5) != order(1, 5)


def test_only_the_given_indices_are_visited():
    batches = Batches(np.array([1, 4, 5]), np.ones(6), 2, True, 0)
    assert len(batches) == 2
    assert sorted(np.concatenate(list(batches.of_epoch(0)))) == [1, 4, 5]
