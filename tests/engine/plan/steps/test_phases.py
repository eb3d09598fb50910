"""The transposed weights of a CONV; see test_plan.py for their addresses."""

import pytest

from skconvnet.engine import SoftmaxCrossEntropy
from skconvnet.engine.plan.plan import plan_training
from skconvnet.engine.program.target import CPU
from skconvnet.engine.weights.layout import lay_out_parameters
from tests.engine.networks import Problem


def test_a_window_with_too_many_taps_is_refused_before_its_plan_is_made():
    bound = Problem("INPUT -> CONV(K=4, F=1) -> CONV(K=4, F=600001x1, groups=2) -> FC", (4, 4, 2)).bound
    with pytest.raises(ValueError, match="CONV 2 cannot be trained: its window of 600001x1 pixels"):
        plan_training(bound, lay_out_parameters(bound, CPU), SoftmaxCrossEntropy(), 4, CPU)
