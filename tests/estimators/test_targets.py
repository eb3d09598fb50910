"""What the outputs of a network mean."""

import numpy as np
import pytest

from skconvnet.estimators.targets import Classes
from tests.estimators.quick import refused


def test_two_classes_have_one_decision():
    kind = Classes.of(np.array(["b", "a", "b"]))
    scores = np.array([[1.0, 3.0], [2.0, 0.0]])
    assert kind.decide(scores).tolist() == [2.0, -2.0]
    assert kind.predict(scores).tolist() == ["b", "a"]
    assert np.exp(kind.log_probabilities(scores)) == pytest.approx(kind.probabilities(scores))


def test_other_classes_are_refused():
    kind = Classes(np.array([0, 1]))
    with refused("y has the classes [0 2], but warm_start=True resumes a network for the classes [0 1]"):
        kind.resumed_with(Classes(np.array([0, 2])))
    with refused("y has shape (2, 2), several labels"):
        kind.encode(np.eye(2))
    assert Classes(np.array([0])).problem() == ("classes_", "a 1d array of two or more labels")
