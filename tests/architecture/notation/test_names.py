import re

import pytest

from skconvnet.architecture import Architecture, ArchitectureError
from skconvnet.architecture.notation.names import explain
from skconvnet.architecture.notation.table import NOTATION


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("INPUT -> CONV -> FLATTEN -> FC", "FLATTEN is not written: FC reads the whole volume"),
        ("INPUT -> FC -> softmax", "softmax is not written: the loss and predict_proba apply it"),
        ("INPUT -> CONV -> LEAKYRELU -> FC", "LEAKYRELU is written PRELU, which learns the slope, here"),
        ("INPUT -> Conv2d(32) -> FC", "Conv2d is written CONV here"),
        ("INPUT -> CONV -> ELU -> FC", "there is no ELU here; RELU, PRELU, HSWISH and GELU are similar"),
        ("INPUT -> CONV(32) -> FC", "(did you mean K=32?), but found '32'"),
        ("INPUT -> CONV(3x3) -> FC", "(did you mean F=3x3?), but found '3x3'"),
        ("INPUT -> CONV(K=3x3) -> FC", "for K of CONV, which is one number, but found '3x3'"),
        ("INPUT -> CONV(kernel_size=3) -> FC", "but found 'kernel_size': that is written F here"),
        ("INPUT -> CONV(K=8, activation=relu) -> FC", "RELU is a layer: write -> RELU after CONV"),
        ("INPUT -> FC(8, tanh) -> FC", "TANH is a layer: write -> TANH after FC"),
        ("INPUT -> CONV(dropout=0.2) -> FC", "DROPOUT is a layer: write -> DROPOUT after CONV"),
        ("INPUT -> CONV(activation=None) -> FC", "an activation function is a layer of its own, as in CONV -> RELU"),
        ("INPUT -> FC(10, activation=softmax)", "softmax is not written: the loss"),
        ("INPUT -> POOL(avg) -> FC", "but found 'avg': did you mean average?"),
        ("INPUT -> POOL(MAX) -> FC", "but found 'MAX': did you mean max?"),
        ("INPUT -> NORM(bacth) -> FC", "but found 'bacth': did you mean batch?"),
        ("INPUT -> FC(K=3) -> FC", "but found 'K': write FC(3)"),
        ("INPUT -> DROPOUT(p=0.5) -> FC", "but found 'p': write DROPOUT(0.5)"),
        ("INPUT -> FC(8, activation=linear) -> FC", "activation is not written: an activation function is a layer"),
        ("INPUT --> CONV --> FC", "found '-->': did you mean '->'?"),
        ("INPUT -> POOL(2) -> FC", "(the extent is written by name, as in F=2), but found '2'"),
        ("input -> FC", "found 'input': did you mean INPUT?"),
        ("INPUT -> conv -> FC", "found 'conv': did you mean CONV?"),
        ("INPUT => FC", "found '=>': did you mean '->'?"),
        ("INPUT -> [CONV -> RELU]x3 -> FC", "(a repeat is written with a star, as in ]*3), but found 'x3'"),
        ("INPUT -> [CONV -> RELU]\N{MULTIPLICATION SIGN}3 -> FC", "did you mean '*', as in [CONV -> RELU]*2?"),
    ],
)
def test_what_other_libraries_write_is_told_what_to_write(text, message):
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        Architecture.parse(text)
    assert str(caught.value).splitlines()[-1].endswith("^")


@pytest.mark.parametrize("layer", ["FC(bias=False)", "FC(100, bias=no)", "DROPOUT(inplace=True)", "DROPOUT(p=1)"])
def test_no_text_is_advised_that_is_refused(layer):
    with pytest.raises(ArchitectureError) as caught:
        Architecture.parse(f"INPUT -> {layer} -> FC")
    assert ": write" not in str(caught.value)


def test_typing_errors_are_not_explained():
    assert [explain(name) for name in ("RELUU", "CNV", "FCC", *NOTATION)] == [None] * (3 + len(NOTATION))
