"""The table of layers against the notation."""

from skconvnet.architecture.layers import LAYERS
from skconvnet.architecture.notation.table import NOTATION


def test_every_layer_of_the_notation_has_one_class():
    assert sorted(layer.kind for layer in LAYERS) == sorted([*NOTATION, "SKIP", "SUM", "STACK", "GATE"])
