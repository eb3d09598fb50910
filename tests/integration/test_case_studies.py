"""The case studies and published networks against the same networks written by hand in PyTorch, with the same weights.

These tests run those that take seconds. ``python -m benchmarks.case_studies`` runs all.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skconvnet.engine import thread_count
from tests.integration import case_studies, torch_case_studies


@pytest.mark.parametrize("name", case_studies.STUDIES)
def test_learned_arrays_have_the_shapes_of_the_modules(in_torch, name):
    assert case_studies.shapes(name) == in_torch(torch_case_studies.shapes, name)


@pytest.mark.parametrize(
    "name",
    [
        "lenet5",
        "alexnet",
        "googlenet",
        "resnet18",
        "preact_resnet18",
        "resnet56",
        "airbench94",
        "squeezenet1_1",
        "mobilenet_v2",
    ],
)
def test_logits_as_in_pytorch(in_torch, name):
    x, _ = case_studies.batch(name)
    found = case_studies.logits(name, x, thread_count())
    expected = in_torch(torch_case_studies.logits, name, x)
    assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "alexnet"])
def test_gradients_as_in_pytorch(in_torch, name, tmp_path):
    """In the Euclidean norm, with a larger tolerance for gradients than for the loss and running statistics.

    Activations are known to about 1e-6, so about that share of them has another sign in float32 than in float64. Where
    RELU or POOL then passes another gradient, the norms differ by about 1e-3.
    """
    x, targets = case_studies.batch(name)
    in_torch(torch_case_studies.save_training_answers, tmp_path / "expected.npz", name, x, targets, 0, "float64")
    found = case_studies.training_answers(name, x, targets, thread_count())
    with np.load(tmp_path / "expected.npz") as expected:
        assert found.keys() == set(expected)
        for kind, tolerance in {"loss": 1e-5, "d_": 1e-2, "mean": 1e-5, "variance": 1e-5}.items():
            if any(name.startswith(kind) for name in found):
                difference, where = case_studies.worst(found, expected, kind)
                assert difference < tolerance, where
