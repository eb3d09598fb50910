"""Each rule of thumb, with networks that follow it and networks that do not."""

import pytest

from skconvnet.architecture import ARCHITECTURES, CASE_STUDIES, Architecture, ArchitectureError, Hyperparameters

SMALL_END = " -> POOL(average, F=all) -> FC"


def advised(text, image_shape=(32, 32, 3), **hyperparameters):
    """The advice as texts, for a network of few parameters in its FC."""
    advice = Architecture.parse(text).advice(image_shape, hyperparameters=Hyperparameters(**hyperparameters))
    return [str(one) for one in advice]


def layers(*arguments, **hyperparameters):
    return [text.partition(":")[0] for text in advised(*arguments, **hyperparameters)]


def test_no_advice():
    text = "INPUT -> [[CONV -> RELU]*N -> POOL]*M" + SMALL_END
    assert Architecture.parse(text).advice((32, 32, 3)) == []
    assert Architecture.parse("INPUT -> FC").advice((31, 17, 3)) == []


HALVED = "INPUT -> [CONV(K=32, round=floor) -> POOL(round=floor)]*3" + SMALL_END


@pytest.mark.parametrize(("side", "is_"), [(31, "odd"), (26, "divisible by 2 once"), (28, "divisible by 2 twice")])
def test_input_that_is_not_divisible_by_two_often_enough(side, is_):
    (height,) = advised(HALVED, (side, 32, 3))
    assert height.startswith(f"INPUT: its height {side} is {is_}, and the strides of the network halve it 3 times; ")
    assert height.endswith("choose sides that can be halved often, such as 32, 64, 96, 224, 384 or 512 pixels")
    (width,) = advised(HALVED, (32, side, 3))
    assert width.startswith(f"INPUT: its width {side}")
    assert len(advised(HALVED, (side, side, 3))) == 2


def test_windows_that_do_not_reach_the_end():
    text = "INPUT -> CONV(K=32) -> POOL(F=3, S=3, round={round})" + SMALL_END
    assert advised(text.format(round="floor"), (32, 31, 3)) == [
        "POOL 1: no window of F=3 with S=3 reaches the last 2 rows and 1 column of [31x32x32], because the number of "
        "windows is rounded down; use round=ceil, another P or S, or images of a size that S divides"
    ]
    assert advised(text.format(round="ceil"), (32, 31, 3)) == []
    assert advised(text.format(round="floor"), (30, 33, 3)) == []
    assert "the last 1 row of" in advised("INPUT -> CONV(K=32, P=0, F=4, S=3)" + SMALL_END, (32, 31, 3))[0]
    padded = "INPUT -> CONV(K=32, F=7, S=2, P=3)" + SMALL_END
    assert advised(padded, (32, 32, 3)) == []  # the last window ends in the padding
    gaps = "INPUT -> CONV(K=32, F=1, S=3)" + SMALL_END
    assert layers(gaps, (32, 32, 3)) == ["CONV 1"]  # of the stride alone
    assert layers(text.format(round="floor").replace("=3", "=2"), (31, 31, 3)) == ["INPUT", "INPUT"]


def test_input_divisible_by_two():
    assert advised(HALVED, (24, 40, 3)) == []
    assert advised("INPUT -> CONV(K=32) -> RELU" + SMALL_END, (31, 33, 3)) == []  # nothing is halved
    assert advised("INPUT -> CONV(K=32, F=1) -> POOL(F=1, S=1)" + SMALL_END, (31, 33, 3)) == []


def test_a_stride_of_three_halves_nothing():
    thirds = "INPUT -> CONV(K=32) -> [RELU -> POOL(F=3, S=3)]*3" + SMALL_END
    assert advised(thirds, (27, 27, 3)) == []
    sixths = "INPUT -> CONV(K=32) -> POOL(F=6, S=6, round=floor)" + SMALL_END
    assert advised(sixths, (18, 18, 3)) == []
    (height,) = advised(sixths, (15, 18, 3))
    assert height.startswith("INPUT: its height 15 is odd, and the strides of the network halve it")
    assert "halve it once; " in height


def test_a_strip_of_one_row_cannot_be_halved():
    text = "INPUT -> CONV(K=32, F=1, S={S}, round=floor)" + SMALL_END
    assert layers(text.format(S=2), (1, 32, 3)) == ["CONV 1"]
    assert layers(text.format(S=2), (1, 31, 3)) == ["INPUT", "CONV 1"]


def test_strides_within_branches_halve_too():
    text = "INPUT -> (CONV(K=32, S=2, round=floor) | POOL(F=1, S=2, round=floor)) -> POOL(round=floor)" + SMALL_END
    assert layers(text, (30, 32, 3)) == ["INPUT", "CONV 1"]
    assert layers(text, (28, 32, 3)) == ["CONV 1"]


def test_large_filters_after_the_first_layer():
    text = "INPUT -> CONV(K=8, F=11, P=5) -> CONV(K=8, F={F}) -> RELU" + SMALL_END
    (large,) = advised(text.format(F=7))
    assert large.startswith("CONV 2: its filters of F=7 are large")
    assert "3,136 weights; use small filters, 3x3 or at most 5x5: 3 CONV of F=3 see as far" in large
    assert advised(text.format(F=5)) == []
    assert advised(text.format(F="7x3")) == []
    assert advised(text.format(F="9x3"))[0].startswith("CONV 2: its filters of F=9x3 are large")


@pytest.mark.parametrize(
    ("text", "large"),
    [
        ("(CONV(F=7) | CONV(F=9))", []),
        ("NORM -> (RELU -> CONV(F=7) | POOL(S=1, F=1) -> NORM(lrn) -> CONV(F=9)) -> CONV(F=7)", ["CONV 3"]),
        ("(CONV -> CONV(F=7) | CONV(F=9)) -> RELU", ["CONV 2"]),
        ("(CONV | SKIP) -> CONV(F=7) -> CONV(F=9)", ["CONV 3"]),  # CONV 2 has the image in its input
        ("(CONV | (CONV(F=7) | SKIP) -> CONV(F=9)) -> CONV(F=7)", ["CONV 4"]),
    ],
)
def test_layers_without_a_conv_before_them_may_have_large_filters(text, large):
    assert layers(f"INPUT -> {text}{SMALL_END}", K=8) == large


def test_a_conv_over_its_whole_input_is_an_fc():
    text = "INPUT -> CONV(K=64) -> RELU -> POOL(F=4, S=4) -> CONV(K=10, F=8, P=0)"
    assert layers(text, (32, 32, 3)) == []
    assert layers(text.replace("F=8", "F=7") + SMALL_END) == ["CONV 2", "CONV 2"]


def test_strides_of_small_filters():
    text = "INPUT -> CONV(K=16, F={F}, S={S}, P={P}, round=floor) -> RELU" + SMALL_END
    (stride,) = advised(text.format(F=5, S=2, P=2))
    assert stride.startswith(
        "CONV 1: with S=2 its small filters of F=5 are applied at one of 4 positions; a stride of 1"
    )
    assert layers(text.format(F=1, S=3, P=0), (30, 30, 3)) == ["CONV 1"]
    assert advised(text.format(F=7, S=2, P=3)) == []
    (stride,) = advised(text.format(F=5, S="1x2", P=2))
    assert stride.startswith("CONV 1: with S=1x2 its small filters of F=5 are applied at one of 2 positions")
    assert advised(text.format(F=5, S=1, P=2)) == []


def test_no_zero_padding():
    text = "INPUT -> CONV(K=16, F={F}, P={P}) -> RELU" + SMALL_END
    (unpadded,) = advised(text.format(F=5, P="valid"))
    assert unpadded.startswith("CONV 1: without zero-padding its filters of F=5 make [28x28x16] of [32x32x3]")
    assert "pad with zeros, as with P=2, so that the information at the border is kept" in unpadded
    assert advised(text.format(F=5, P=1)) == []
    assert advised(text.format(F=1, P=0)) == []
    assert advised(text.format(F="1x5", P="0x2")) == []
    (unpadded,) = advised(text.format(F="3x5", P="0x2"))
    assert "its filters of F=3x5 make [30x32x16] of [32x32x3]" in unpadded
    assert "as with P=1x2, so that" in unpadded


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("CONV(F=5, P=0)", ["P=2"]),
        ("CONV(F=7, S=2, P=0, round=floor) -> RELU", ["P=3"]),
        ("CONV(F=11, S=7, P=0)", [None]),  # 32 - 11 + 2 * 5 is no multiple of 7
        ("CONV(F=3, P=0) -> POOL(F=15, S=15)", [None]),  # it fits, but what comes after it no longer does
        ("CONV(F=3, P=0) -> CONV(F=3, P=0) -> POOL(F=7, S=7)", [None, None]),
        ("(CONV(F=3, P=0) + CONV(F=3, P=0))", [None, None]),  # one of them alone
        ("(CONV(F=3, P=0) -> CONV(F=3, P=2) | SKIP)", [None]),
    ],
)
def test_the_suggested_padding_fits(text, offered):
    advice = [one for one in advised(f"INPUT -> {text}{SMALL_END}", K=8) if "without zero-padding" in one]
    tails = [f"pad with zeros, as with {P}, so that" if P else "pad with zeros so that" for P in offered]
    assert len(advice) == len(tails)
    assert all(tail in one for one, tail in zip(advice, tails, strict=True))


def test_no_padding_is_suggested_that_does_not_fit_alexnet():
    (unpadded,) = (one for one in ARCHITECTURES["alexnet"].advice((227, 227, 3), 1000) if one.layer == "CONV 1")
    assert unpadded.advice == "pad with zeros so that the information at the border is kept"


def test_many_conv_in_a_row():
    text = "INPUT -> [CONV(K=8) -> RELU]*{n} -> POOL -> CONV(K=8)" + SMALL_END
    (row,) = advised(text.format(n=4))
    assert row.startswith("CONV 1: it begins a row of 4 CONV up to CONV 4, and no POOL makes their volume of")
    assert "32x32 smaller; put a POOL after at most 3 CONV" in row
    assert advised(text.format(n=3)) == []


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("CONV -> CONV -> (CONV -> CONV + SKIP)", ["CONV 1"]),
        ("CONV -> CONV -> (CONV + CONV)", []),
        ("(CONV -> CONV | CONV) -> CONV", []),
        ("(CONV | CONV -> CONV) -> (SKIP + CONV(K=64) -> CONV(K=64))", ["CONV 2"]),
        ("[CONV]*2 -> POOL(F=3, S=1, P=1) -> [CONV]*2", ["CONV 1"]),  # this POOL keeps the size
        ("[CONV]*3 -> (POOL | POOL) -> [CONV]*3 -> POOL -> [CONV]*4", ["CONV 7"]),
        ("[CONV]*3 -> CONV(F=7, S=2, round=floor) -> [CONV]*2", ["CONV 4"]),  # only for its large F
        ("[CONV]*3 -> CONV(F=7, S=2, round=floor) -> [CONV]*3", ["CONV 4", "CONV 4"]),
        ("[CONV]*3 -> FC(8) -> [CONV(F=1)]*3", []),
    ],
)
def test_conv_in_a_row_along_branches(text, first):
    named = [layer for layer in layers(f"INPUT -> {text}{SMALL_END}", (32, 32, 3), K=32) if layer != "FC 1"]
    assert named == first


def test_parameters_in_one_fc():
    text = "INPUT -> CONV(K=8) -> RELU -> POOL -> FC({units}) -> RELU -> FC"
    (share,) = advised(text.format(units=64))
    n_fc, n_params = 16 * 16 * 8 * 64 + 64, 224 + 16 * 16 * 8 * 64 + 64 + 650
    assert share.startswith(
        f"FC 1: it has {n_fc:,} of the {n_params:,} parameters, 99%, as each of its 64 units sees all"
    )
    assert "sees all of [16x16x8]; make its input smaller" in share
    assert advised("INPUT -> CONV(K=8) -> POOL(F=8, S=8) -> FC(10) -> FC(20) -> FC(40) -> FC") == []


def test_parameters_in_an_fc_after_an_fc():
    (share,) = advised("INPUT -> CONV(K=8) -> POOL(F=8, S=8) -> FC(100) -> FC(400) -> FC")
    assert share.startswith("FC 2: it has 40,400 of the 57,534 parameters, 70%")
    assert share.endswith("sees all of [1x1x100]; give it, or the FC before it, fewer units")
    # No advice: the classes are given, and the input is pooled already.
    assert advised("INPUT -> CONV(K=8, F=1) -> POOL(average, F=all) -> FC") == []


@pytest.mark.parametrize(
    "kind", ["RELU", "RELU6", "TANH", "SIGMOID", "HSWISH", "DROPOUT", "DROPOUT(0)", "NORM", "NORM(layer)"]
)
def test_layers_after_the_scores(kind):
    (altered,) = advised(f"INPUT -> FC(20) -> {kind} -> FC -> {kind}")[-1:]
    name = kind.partition("(")[0]
    assert altered == (
        f"{name} 2: it changes the class scores of FC 2, but the softmax needs them unchanged; end the network with "
        "FC 2, or put another FC after it"
    )
    assert all("scores" not in one for one in advised(f"INPUT -> FC(20) -> {kind} -> FC"))


@pytest.mark.parametrize(
    ("text", "altering"),
    [
        ("FC -> NORM -> RELU", ["NORM 1", "RELU 1"]),
        ("RELU -> FC", []),
        ("CONV(K=10, F=32, P=0) -> RELU", ["RELU 1"]),
        ("CONV(K=10) -> RELU -> POOL(average, F=all)", []),  # as in "Striving for Simplicity" (2015)
        ("FC -> (RELU + SKIP)", []),
    ],
)
def test_which_layers_change_the_scores(text, altering):
    assert [one.partition(":")[0] for one in advised(f"INPUT -> {text}") if "scores" in one] == altering


def test_advice_depends_on_the_number_of_classes():
    architecture = Architecture.parse("INPUT -> [CONV(K=32) -> RELU]*2 -> POOL(F=16, S=16) -> FC")
    assert architecture.advice((32, 32, 3)) == []
    assert [advice.layer for advice in architecture.advice((32, 32, 3), n_classes=100)] == ["FC 1"]
    assert [advice.layer for advice in architecture.bind((32, 32, 3), 100).advice()] == ["FC 1"]


def test_fields_of_advice():
    (advice,) = ARCHITECTURES["vgg16"].advice((224, 224, 3), n_classes=1000)
    assert advice.layer == "FC 1"
    assert advice.reason.startswith("it has 102,764,544 of the 138,357,544 parameters, 74%")
    assert "sees all of [7x7x512]" in advice.reason
    assert advice.advice.startswith("make its input smaller")
    assert str(advice) == f"FC 1: {advice.reason}; {advice.advice}"


@pytest.mark.parametrize(
    ("name", "questioned"),
    [
        ("lenet5", ["CONV 1", "CONV 2", "FC 1"]),
        ("alexnet", ["INPUT", "INPUT", "CONV 1", "FC 1"]),
        ("zfnet", ["CONV 2", "CONV 2", "FC 1"]),
        ("vgg11", ["FC 1"]),
        ("vgg19", ["CONV 5", "CONV 9", "CONV 13", "FC 1"]),
        ("googlenet", ["CONV 5", "CONV 17", "CONV 47"]),
        ("resnet20", ["CONV 8", "CONV 10", "CONV 15", "CONV 17", "CONV 1", "CONV 8", "CONV 15"]),
    ],
)
def test_advice_for_case_studies(name, questioned):
    study = CASE_STUDIES[name]
    advice = ARCHITECTURES[name].advice(study.image_shape, study.n_classes)
    assert [one.layer for one in advice] == questioned


def test_advice_needs_a_network_that_fits():
    with pytest.raises(ArchitectureError, match="not a whole number"):
        advised("INPUT -> CONV(S=2, P=0) -> FC", (10, 10, 1), rounding="exact")
    assert layers("INPUT -> CONV -> FC", K=4, P="valid") == ["CONV 1", "FC 1"]
