import numpy as np
import pytest

from skconvnet import Architecture
from skconvnet.engine import Learned
from skconvnet.interchange.weights import Wanted, collect
from tests.estimators.quick import refused

BOUND = Architecture.parse("INPUT -> FC").bind((3, 1, 1), 2)
WANTED = Learned([Wanted("FC 1", "fc.weight", ((2, 3),), np.transpose)], [None], [], [])
ARRAYS = {"fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


def test_arrays_are_found_by_name_and_converted():
    learned = collect(BOUND, WANTED, {"fc.count": np.zeros(()), **ARRAYS}, {"fc.count"})
    assert np.array_equal(learned.coefs[0], ARRAYS["fc.weight"].T)
    assert learned.coefs[0].flags.c_contiguous
    assert learned.coefs[0].flags.owndata
    assert learned.intercepts[0].shape == (0,)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "FC 1: fc.weight of shape (2, 3) is missing"),
        ({"fc.weight": np.zeros((3, 2))}, "FC 1: fc.weight has the shape (3, 2), and needs (2, 3)"),
        (ARRAYS | {"fc.other": np.zeros(1)}, "fc.other of shape (1,) belongs to no layer"),
        ({"fc.weight": np.zeros((2, 3), np.int8)}, "fc.weight has numbers of the type int8. Quantised"),
        ({"fc.weight": np.full((2, 3), np.inf, np.float32)}, "fc.weight has NaN or infinity"),
        ({str(n): np.zeros(1) for n in range(20)}, "and 13 more"),
    ],
)
def test_other_arrays_are_refused_by_name(arrays, message):
    with refused(message):
        collect(BOUND, WANTED, arrays)


def test_negative_variances_are_refused_by_name():
    arrays = ARRAYS | {"bn.running_var": np.array([1, -1e-6], np.float32)}
    wanted = WANTED._replace(variances=[Wanted("NORM 1", "bn.running_var", ((2,),))])
    with refused("NORM 1: bn.running_var has negative variances"):
        collect(BOUND, wanted, arrays)
