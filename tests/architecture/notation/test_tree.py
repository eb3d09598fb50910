import pytest

from skconvnet.architecture.notation.parser import parse
from skconvnet.architecture.notation.tree import Layer, contains, count_layers

LETTERS = {"N": 2, "M": 3, "K": 4}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("FC", 1),
        ("[RELU -> CONV]*3 -> FC", 7),
        ("[[CONV]*N -> POOL?]*M", 9),
        ("[FC]*K", 4),
        ("(CONV -> RELU + SKIP)", 4),
        ("([CONV]*2 | [(RELU + SKIP)]*2)", 9),
        ("[[RELU]*0]*5", 5),
    ],
)
def test_layers_are_counted_as_if_written_out(text, count):
    assert count_layers(parse(f"INPUT -> {text}"), LETTERS) == count


@pytest.mark.parametrize("text", ["CONV", "[RELU -> CONV]*2", "(RELU + [SKIP_ -> CONV]*0)", "[[(SKIP | CONV)]*1]*N"])
def test_a_layer_is_found_at_any_depth(text):
    chain = parse(f"INPUT -> RELU -> {text.replace('SKIP_', 'TANH')} -> RELU")
    assert contains(chain, "CONV")
    assert not contains(chain, "FC")


def test_positions_do_not_count_in_comparisons():
    assert Layer("CONV", {"K": 3}, position=9) == Layer("CONV", {"K": 3}, position=20)
    assert parse("INPUT -> [FC]*2") == parse("INPUT  ->  [FC]*2")
