import numpy as np
import pytest

from skconvnet.architecture import Architecture
from skconvnet.engine import Learned
from skconvnet.interchange import StoredNetwork


def stored(text="INPUT -> FC", image_shape=(2, 2, 1), value=0.0, mean=0.0, classes=("a", "b")):
    bound = Architecture.parse(text).bind(image_shape, 2)
    learned = Learned([np.full((4, 2), value, np.float32)], [np.zeros(2, np.float32)], [], [])
    return StoredNetwork(bound, learned, np.array(classes), np.full(1, mean, np.float32), np.ones(1, np.float32))


@pytest.mark.parametrize(
    "other",
    [{"text": "INPUT -> RELU -> FC"}, {"image_shape": (1, 4, 1)}, {"value": 1e-30}, {"mean": 1.0}],
    ids=lambda other: next(iter(other)),
)
def test_the_digest_is_of_all_that_the_scores_depend_on(other):
    assert stored(**other).digest != stored().digest


def test_the_digest_is_the_same_for_other_labels():
    assert stored(classes=("c", "d")).digest == stored().digest
