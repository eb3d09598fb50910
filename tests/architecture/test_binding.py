import time

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from skconvnet.architecture import Architecture, ArchitectureError, Hyperparameters, Volume, walk

PATTERN = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC"


def bind(text, image_shape=(32, 32, 3), n_classes=10, **hyperparameters):
    bound = Architecture.parse(text).bind(image_shape, n_classes, Hyperparameters(**hyperparameters))
    assert Architecture.parse(bound.text).bind(image_shape, n_classes) == bound
    return bound


def numbers(bound, kind, name):
    """An attribute of every layer of a kind, without branches."""
    return [getattr(layer, name) for layer in bound.layers if layer.kind == kind]


def refusal(text, **arguments):
    with pytest.raises(ArchitectureError) as caught:
        bind(text, **arguments)
    return str(caught.value)


def test_volumes_of_the_example_of_the_notes():
    bound = bind("[INPUT - CONV - RELU - POOL - FC]", K=12)
    assert [str(layer.input) for layer in bound.layers[:1]] == ["[32x32x3]"]
    assert [str(layer.output) for layer in bound.layers] == ["[32x32x12]", "[32x32x12]", "[16x16x12]", "[1x1x10]"]
    assert [layer.name for layer in bound.layers] == ["CONV 1", "RELU 1", "POOL 1", "FC 1"]


def test_linear_classifier():
    bound = bind("INPUT -> FC", image_shape=(8, 8, 1))
    assert bound.text == "INPUT -> FC(10)"
    assert (bound.image_shape, bound.n_classes) == ((8, 8, 1), 10)


def test_the_pattern_without_repetitions_is_the_linear_classifier():
    assert bind(PATTERN, N=0, M=0, hidden_layer_sizes=()) == bind("INPUT -> FC")


def test_the_pattern_written_out():
    bound = bind(PATTERN, image_shape=(8, 12, 1), K=4, N=1, M=2, hidden_layer_sizes=(20, 30))
    assert bound.text == (
        "INPUT -> CONV(K=4, F=3, S=1, P=1) -> RELU -> POOL(max, F=2, S=2, P=0)"
        " -> CONV(K=4, F=3, S=1, P=1) -> RELU -> POOL(max, F=2, S=2, P=0) -> FC(20) -> RELU -> FC(30) -> RELU -> FC(10)"
    )
    assert bound.layers[5].output == Volume(height=2, width=3, depth=4)


def test_options_in_the_text_take_precedence():
    bound = bind("INPUT -> CONV(K=7, P=2) -> CONV(F=5) -> POOL(S=1) -> FC(9) -> FC", K=[3, 4], F=3, P="same", pool_F=3)
    assert bound.text == (
        "INPUT -> CONV(K=7, F=3, S=1, P=2) -> CONV(K=4, F=5, S=1, P=2) -> POOL(max, F=3, S=1, P=0) -> FC(9) -> FC(10)"
    )


def test_sequences_per_conv_and_per_block():
    text = "INPUT -> CONV -> [[CONV]*2 -> RELU]*2 -> FC"
    assert numbers(bind(text, K=[1, 2, 3]), "CONV", "K") == [1, 2, 2, 3, 3]
    assert numbers(bind(text, K=[1, 2, 3, 4, 5]), "CONV", "K") == [1, 2, 3, 4, 5]
    assert numbers(bind(text, K=1, F=[1, 3, 5]), "CONV", "F") == [1, 3, 3, 5, 5]
    assert numbers(bind(text, K=1, P=[0, "same", "valid"]), "CONV", "P") == [0, 1, 1, 0, 0]
    message = refusal(text, K=[1, 2, 3, 4])
    assert message.startswith("K has length 4, but the network has 5 CONV layers in 3 blocks")


def test_a_block_is_a_repetition_of_the_outermost_repeat_around_a_conv():
    assert numbers(bind("INPUT -> [[CONV]*2]*3 -> FC", K=[1, 2, 3]), "CONV", "K") == [1, 1, 2, 2, 3, 3]
    assert numbers(bind("INPUT -> (CONV | [CONV]*2) -> CONV -> FC", K=[1, 2, 3, 4]), "CONV", "K") == [4]
    assert refusal("INPUT -> [RELU -> POOL]*3 -> FC", K=[1, 2]).startswith("K has length 2, but the network has 0 CONV")


def test_a_conv_without_biases():
    bound = bind("INPUT -> CONV(K=4, bias=no) -> NORM -> (CONV(K=4, bias=yes) + SKIP) -> FC")
    assert bound.text.startswith("INPUT -> CONV(K=4, F=3, S=1, P=1, bias=no) -> NORM(batch) -> (CONV(K=4, F=3, S=1, ")
    assert [layer.bias for layer in walk(bound.layers) if layer.kind == "CONV"] == [False, True]


def test_norm_has_only_the_options_of_its_mode():
    bound = bind("INPUT -> NORM -> NORM(lrn) -> NORM(layer) -> FC", image_shape=(4, 4, 2))
    names = ("mode", "momentum", "eps", "size", "alpha", "beta", "k")
    assert [tuple(getattr(layer, name) for name in names) for layer in bound.layers[:3]] == [
        ("batch", 0.1, 1e-5, None, None, None, None),
        ("lrn", None, None, 5, 1e-4, 0.75, 2.0),
        ("layer", None, 1e-5, None, None, None, None),
    ]
    assert bound.text == "INPUT -> NORM(batch) -> NORM(lrn) -> NORM(layer) -> FC(10)"
    text = "INPUT -> NORM(batch, momentum=0.01, eps=0.001) -> NORM(lrn, size=3, alpha=1, beta=0.5, k=1) -> FC(10)"
    assert bind(text, image_shape=(4, 4, 2)).text == text


def test_the_window_of_an_fc_is_its_input():
    bound = bind("INPUT -> CONV(K=5) -> POOL(S=1) -> FC(4) -> FC", image_shape=(6, 9, 1))
    assert numbers(bound, "FC", "window") == [(5, 8), (1, 1)]


def test_auto_K_doubles_in_a_block_after_a_pool():
    assert numbers(bind(PATTERN, image_shape=(64, 64, 3)), "CONV", "K") == [32, 32, 64, 64, 128, 128, 256, 256]
    assert numbers(bind(PATTERN, image_shape=(128, 128, 3), N=1), "CONV", "K") == [32, 64, 128, 256, 256]
    assert numbers(bind(PATTERN, pool=False), "CONV", "K") == [32] * 6
    assert numbers(bind(PATTERN, pool=[False, True, False], N=1), "CONV", "K") == [32, 32, 64]
    assert numbers(bind(PATTERN, pool=[True, False, False], N=1), "CONV", "K") == [32, 64, 64]
    assert numbers(bind("INPUT -> POOL -> CONV -> POOL -> RELU -> CONV -> FC"), "CONV", "K") == [32, 64]
    assert numbers(bind("INPUT -> [CONV -> POOL -> CONV]*2 -> FC"), "CONV", "K") == [32, 32, 64, 64]


def test_optional_pools():
    assert len(numbers(bind(PATTERN), "POOL", "F")) == 3
    assert numbers(bind(PATTERN, pool=False), "POOL", "F") == []
    kinds = [layer.kind for layer in bind(PATTERN, pool=[False, True], N=1, hidden_layer_sizes=()).layers]
    assert kinds == ["CONV", "RELU", "CONV", "RELU", "POOL", "FC"]
    assert refusal(PATTERN, pool=[True, False], M=3).startswith("pool has length 2, but the network has 3 blocks")
    assert "POOL" in bind("INPUT -> CONV -> POOL -> FC", pool=False).text
    assert bind("INPUT -> CONV -> RELU -> POOL? -> CONV -> POOL? -> FC", pool=[False, True]).layers[-2].name == "POOL 1"
    assert refusal("INPUT -> POOL? -> FC", pool=[True]).startswith("pool has length 1, but the network has 0 blocks")


def test_pool_windows_one_or_one_per_pool():
    text = "INPUT -> POOL -> POOL? -> POOL -> FC"
    assert numbers(bind(text, pool_F=[4, 1, 2], pool_S=[2, 1, 13]), "POOL", "F") == [(4, 4), (1, 1), (2, 2)]
    assert numbers(bind(text, pool_F=[4, 2], pool_S=[2, 1], pool=False), "POOL", "S") == [2, 1]
    assert refusal(text, pool_F=[2, 2]).startswith("pool_F has length 2, but the network has 3 POOL layers")
    assert refusal(text, pool_S=[2]).startswith("pool_S has length 1, but the network has 3 POOL layers")


def test_global_pool_covers_the_whole_input():
    bound = bind("INPUT -> CONV(K=5) -> POOL(average, F=all) -> FC", image_shape=(6, 9, 1))
    pool = bound.layers[1]
    assert (pool.F, pool.S, pool.P, pool.output) == ((6, 9), 1, 0, Volume(1, 1, 5))
    assert bind("INPUT -> CONV -> POOL(F=all, S=3) -> FC").layers[1].S == 1
    assert "F=all is a window over the whole input, which allows no padding P=1" in refusal(
        "INPUT -> POOL(F=all, P=1) -> FC"
    )


def test_hidden_layer_sizes_in_order_of_appearance():
    text = "INPUT -> FC -> RELU -> FC(50) -> FC -> [FC -> RELU]*K -> FC"
    assert numbers(bind(text, hidden_layer_sizes=(20, 30)), "FC", "units") == [20, 50, 30, 20, 30, 10]
    assert numbers(bind("INPUT -> [FC -> RELU]*3 -> FC", hidden_layer_sizes=(20,)), "FC", "units") == [20, 20, 20, 10]
    message = refusal("INPUT -> [FC -> RELU]*3 -> FC", hidden_layer_sizes=(20, 30))
    assert message.startswith("hidden_layer_sizes has length 2, but 3 FC layers that do not end the network take")
    assert numbers(bind("INPUT -> FC", hidden_layer_sizes=(20, 30)), "FC", "units") == [10]
    assert numbers(bind("INPUT -> [FC(7) -> NORM]*K -> FC", hidden_layer_sizes=(1, 2)), "FC", "units") == [7, 7, 10]


def test_the_last_fc_has_the_classes():
    assert bind("INPUT -> FC(10)").text == "INPUT -> FC(10)"
    message = refusal("INPUT -> RELU -> FC(12)")
    assert message == (
        "the last FC has 12 units, but y has 10 classes or outputs: end the network with FC, which takes its units "
        "from y\n    INPUT -> RELU -> FC(12)\n                     ^"
    )
    assert "the last FC has 128 units, but y has 10 classes or outputs" in refusal("INPUT -> [FC -> RELU]*K")


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("(SKIP * POOL(average, F=all) -> FC(8) -> SIGMOID) -> CONV(K=classes, F=1, P=0) -> POOL(average, F=all)", [8]),
        ("FC(64) -> RELU -> CONV(K=classes, F=1, P=0)", [64]),
        ("FC -> RELU -> CONV(K=classes, F=1, P=0)", [20]),
        ("FC -> (SKIP * FC(9) -> SIGMOID)", [9, 9]),
        ("FC -> (CONV(K=classes) + SKIP)", [9]),
        ("(FC + FC -> RELU)", [9, 9]),
        ("(FC(4) | FC(5))", [4, 5]),
        ("FC -> (SKIP * CONV(K=9) -> SIGMOID) -> RELU", [9]),
    ],
)
def test_only_an_fc_that_ends_the_network_has_the_classes(text, units):
    bound = bind(f"INPUT -> {text}", (8, 8, 8), 9, hidden_layer_sizes=20)
    assert [layer.units for layer in walk(bound.layers) if layer.kind == "FC"] == units


@pytest.mark.parametrize(
    "end", ["FC(5)", "CONV(K=5) -> POOL(average, F=all)", "(FC(5) + FC(5))", "FC(5) -> (CONV(K=classes) + SKIP)"]
)
def test_the_last_layer_says_how_many_classes_there_are(end):
    bound = Architecture.parse(f"INPUT -> CONV(K=classes) -> {end}").bind((8, 8, 1))
    assert (bound.layers[0].K, bound.n_classes) == (5, 5)


def test_a_network_ends_in_its_classes():
    message = refusal("INPUT -> FC -> CONV(K=3)")
    assert message.startswith(
        "the network ends in [1x1x3], but 10 classes or outputs need [1x1x10]: end it with FC, or with CONV(K=classes) "
    )
    assert bind("INPUT -> CONV(K=10) -> POOL(average, F=all)").layers[-1].output == Volume(1, 1, 10)


def test_a_conv_has_as_many_filters_as_there_are_classes():
    text = "INPUT -> CONV(K=4) -> CONV(K=classes, F=1) -> RELU -> POOL(average, F=all)"
    assert numbers(bind(text, n_classes=7), "CONV", "K") == [4, 7]
    assert "CONV(K=7, F=1, S=1, P=0)" in bind(text, n_classes=7).text
    assert Architecture.parse(text).bind((32, 32, 3)).n_classes == 10
    assert numbers(bind(text, K=[5, 6]), "CONV", "K") == [4, 10]
    assert numbers(bind("INPUT -> (CONV(K=classes) + CONV(K=classes)) -> FC", n_classes=3), "FC", "units") == [3]
    message = refusal("INPUT -> CONV(K=classes) -> RELU", n_classes=7)
    assert message.startswith(
        "the network ends in [32x32x7], but 7 classes or outputs need [1x1x7]: end it with FC, or with CONV("
    )
    assert "need [1x1x7]" in refusal("INPUT -> CONV(K=1000) -> POOL(average, F=all)", n_classes=7)


@pytest.mark.parametrize("text", ["[FC]*0", "NORM", "(NORM + SKIP) -> RELU", "NORM -> POOL(average, F=all)"])
def test_a_network_without_conv_and_fc_is_rejected(text):
    message = refusal(f"INPUT -> {text}", image_shape=(1, 1, 10))
    assert message.startswith("a network needs a CONV or an FC: end it with FC\n")
    assert bind("INPUT -> (CONV(K=10) + SKIP)", image_shape=(1, 1, 10)).n_classes == 10


def test_error_of_arithmetic_names_the_layer_and_points_at_it():
    message = refusal(
        "INPUT -> CONV -> RELU -> [CONV(F=3, S=2, P=0)]*1 -> FC", image_shape=(10, 10, 1), rounding="exact"
    )
    assert message == (
        "CONV 2 over the height of [10x10x32]: (W - F + 2P)/S + 1 = (10 - 3 + 0)/2 + 1 = 4.5 is not a whole number, "
        "and rounding='exact' refuses it: rounding='floor' rounds down. What fits: round=floor, round=ceil, "
        "S=1, F=2 with P=0, F=4 with P=0, W=9, W=11\n"
        "    INPUT -> CONV -> RELU -> [CONV(F=3, S=2, P=0)]*1 -> FC\n"
        "                              ^"
    )
    message = refusal("INPUT -> CONV(F=9, P=0) -> FC", image_shape=(28, 8, 1))
    assert "CONV 1 over the width of [8x28x1]: the window F=9 is larger than the padded input" in message
    assert "CONV 1: P='same' is (F - 1)/2 = (4 - 1)/2 = 1.5" in refusal("INPUT -> CONV(F=4) -> FC")


@pytest.mark.parametrize("layer", ["CONV({})", "CONV(F=3, {})", "POOL(F=4, {})", "CONV(F=5, {})"])
def test_suggestions_of_an_error_of_arithmetic_bind(layer):
    """F is changed together with P, since P=same would reject an even F."""
    S = "S=3" if "POOL" in layer else "S=2"
    message = refusal(f"INPUT -> {layer.format(S)} -> FC", rounding="exact")
    offers = message.partition("What fits: ")[2].partition("\n")[0].split(", ")
    for offer in offers:
        values = dict(value.split("=") for value in offer.split(" with "))
        side = int(values.pop("W", 32))
        kind, spelled = layer.format(S).rstrip(")").split("(")
        spelled = dict(value.split("=") for value in spelled.split(", ")) | values
        text = f"INPUT -> {kind}({', '.join(f'{name}={value}' for name, value in spelled.items())}) -> FC"
        assert bind(text, image_shape=(side, side, 3), rounding="exact").n_classes == 10
    assert {offer[0] for offer in offers} >= set("rSFW")


def test_error_in_branches_has_one_caret():
    message = refusal("INPUT -> (CONV -> (CONV(F=11, P=0) | SKIP) + SKIP) -> FC", image_shape=(10, 10, 1))
    assert message.count("^") == 1
    assert message.startswith("CONV 2 over the height")
    message = refusal("INPUT -> FC -> (CONV(K=64) -> RELU + SKIP) -> FC")
    assert "SUM 1: the branches must agree in height, width and depth, but branch 1 gives [1x1x64], branch" in message


def test_rounding():
    text = "INPUT -> CONV(K=64, F=7, S=2, P=3, round=floor) -> POOL(F=3, S=2, P=1, round=floor) -> FC"
    outputs = [str(layer.output) for layer in bind(text, image_shape=(224, 224, 3)).layers]
    assert outputs == ["[112x112x64]", "[56x56x64]", "[1x1x10]"]
    googlenet = "INPUT -> CONV(K=64, F=7, S=2, P=3, round=floor) -> POOL(F=3, S=2, round=ceil) -> FC"
    assert str(bind(googlenet, image_shape=(224, 224, 3)).layers[1].output) == "[56x56x64]"


def test_rounding_is_for_layers_that_do_not_spell_it_and_the_text_shows_where_it_counts():
    text = "INPUT -> CONV(S=2) -> POOL(F=3) -> POOL(round=ceil) -> FC"
    convs = {"floor": "CONV(K=32, F=3, S=2, P=1, round=floor)", "ceil": "CONV(K=32, F=3, S=2, P=1, round=ceil)"}
    sides = {"floor": [6, 2, 1, 1], "ceil": [7, 3, 2, 1]}
    for rounding, conv in convs.items():
        bound = bind(text, image_shape=(12, 12, 1), rounding=rounding)
        assert [layer.output.width for layer in bound.layers] == sides[rounding]
        assert conv in bound.text
        assert Architecture.parse(bound.text).bind((12, 12, 1), 10, Hyperparameters(rounding="exact")) == bound
    assert "POOL(max, F=3, S=2, P=0)" in bound.text  # 7 - 3 is even: nothing is rounded
    assert bind(text, image_shape=(12, 12, 1)) == bind(text, image_shape=(12, 12, 1), rounding="floor")
    assert "CONV 1 over the height of [12x12x1]" in refusal(text, image_shape=(12, 12, 1), rounding="exact")
    larger = bind("INPUT -> CONV -> POOL -> FC", image_shape=(8, 8, 1)).on((11, 9, 1))
    assert str(larger.layers[1].output) == "[4x5x32]"


def n_params(text, image_shape, n_classes, **hyperparameters):
    return Architecture.parse(text).summary(image_shape, n_classes, Hyperparameters(**hyperparameters)).n_params


def test_published_parameter_counts():
    lenet = """INPUT -> CONV(K=6, F=5, P=0) -> TANH -> POOL(average) -> CONV(K=16, F=5, P=0) -> TANH -> POOL(average)
        -> FC(120) -> TANH -> FC(84) -> TANH -> FC"""
    assert n_params(lenet, (32, 32, 1), 10) == 61_706
    alexnet = """INPUT -> CONV(K=96, F=11, S=4, P=0) -> RELU -> NORM(lrn) -> POOL(F=3, S=2)
        -> CONV(K=256, F=5, groups=2) -> RELU -> NORM(lrn) -> POOL(F=3, S=2) -> CONV(K=384) -> RELU
        -> CONV(K=384, groups=2) -> RELU -> CONV(K=256, groups=2) -> RELU -> POOL(F=3, S=2)
        -> [FC(4096) -> RELU -> DROPOUT]*2 -> FC"""
    assert n_params(alexnet, (227, 227, 3), 1000) == 60_965_224
    vgg16 = """INPUT -> [CONV(K=64) -> RELU]*2 -> POOL -> [CONV(K=128) -> RELU]*2 -> POOL
        -> [CONV(K=256) -> RELU]*3 -> POOL -> [[CONV(K=512) -> RELU]*3 -> POOL]*2 -> [FC(4096) -> RELU]*2 -> FC"""
    assert n_params(vgg16, (224, 224, 3), 1000) == 138_357_544


def test_residual_and_inception_blocks_bind():
    residual = "INPUT -> CONV(K=16) -> ([CONV(K=16) -> NORM -> RELU]*2 + SKIP) -> RELU -> POOL(average, F=all) -> FC"
    bound = bind(residual)
    assert str(bound.layers[1].output) == "[32x32x16]"
    assert [layer.name for layer in bound.layers[1].branches[0]][-1] == "RELU 2"
    inception = """INPUT -> (CONV(K=64, F=1) -> RELU | CONV(K=96, F=1) -> RELU -> CONV(K=128) -> RELU
        | CONV(K=16, F=1) -> RELU -> CONV(K=32, F=5) -> RELU | POOL(F=3, S=1, P=1) -> CONV(K=32, F=1) -> RELU) -> FC"""
    assert str(bind(inception, image_shape=(28, 28, 192)).layers[0].output) == "[28x28x256]"
    assert bind("INPUT -> ([CONV]*0 + SKIP) -> FC").text == "INPUT -> (SKIP + SKIP) -> FC(10)"


@pytest.mark.parametrize(
    "image_shape",
    [None, 5, "888", (8,), (8, 8, 1, 1), (8, 8, 0), (8, -8, 1), (8.0, 8, 1), (8, 8, 10**5000), (True, 8, 1)],
    ids=range(10),
)
def test_bad_image_shapes_are_rejected(image_shape):
    with pytest.raises(ArchitectureError, match="image_shape"):
        Architecture.parse("INPUT -> FC").bind(image_shape, 10)
    assert Architecture.parse("INPUT -> FC").bind((8, 9), 10).image_shape == (8, 9, 1)


@pytest.mark.parametrize("n_classes", [0, -1, 2.0, "10", True])
def test_bad_numbers_of_classes_are_rejected(n_classes):
    with pytest.raises(ArchitectureError, match="n_classes must be a whole number from 1"):
        Architecture.parse("INPUT -> FC").bind((8, 8, 1), n_classes)


def test_binding_is_bounded():
    began = time.perf_counter()
    assert "layers with N=2147483647, M=2147483647, K=1" in refusal(PATTERN, N=2**31 - 1, M=2**31 - 1)
    assert "at most 10000" in refusal("INPUT -> [[[RELU]*0]*N]*M -> FC", N=5000, M=5000)
    assert refusal("INPUT -> [(SKIP | SKIP)]*3333 -> FC").startswith("STACK 30: its depth is above 2147483647")
    largest = 2**31 - 1
    huge = bind("INPUT -> [CONV]*4 -> FC", image_shape=(largest, largest, largest), K=largest, F=largest)
    assert len(str(huge.summary())) < 10_000
    assert "not a whole number" in refusal(
        "INPUT -> CONV -> FC", F=2**31 - 1, P=2**30 + 3, S=2**29 + 1, rounding="exact"
    )
    assert "SKIP" in bind("INPUT -> " + "(SKIP + " * 49 + "FC" + ")" * 49, image_shape=(1, 1, 10)).text
    assert time.perf_counter() - began < 5
    long = bind("INPUT -> [CONV -> RELU]*4000 -> FC", image_shape=(4, 4, 1), K=2)
    assert len(long.layers) == 8001


@given(
    image_shape=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4)),
    K=st.one_of(st.just("auto"), st.integers(1, 5)),
    F=st.integers(1, 5),
    S=st.integers(1, 3),
    P=st.one_of(st.sampled_from(["same", "valid"]), st.integers(0, 3)),
    N=st.integers(0, 3),
    M=st.one_of(st.just("auto"), st.integers(0, 3)),
    pool=st.booleans(),
    hidden_layer_sizes=st.lists(st.integers(1, 9), max_size=3),
)
@settings(suppress_health_check=[HealthCheck.filter_too_much])
def test_each_input_is_the_output_before_and_the_text_binds_to_the_same(image_shape, **hyperparameters):
    rounding = PATTERN.replace("CONV", "CONV(round=floor)").replace("POOL", "POOL(round=ceil)")
    try:
        bound = bind(rounding, image_shape, 3, **hyperparameters)
    except ArchitectureError:
        reject()
    volume = Volume(*image_shape)
    for layer in bound.layers:
        assert layer.input == volume
        volume = layer.output
    assert volume == Volume(1, 1, 3)


def test_a_volume_that_became_too_small_says_why():
    message = refusal("INPUT -> [CONV -> POOL]*M -> FC", image_shape=(8, 8, 1), M=4)
    assert "The layers before it made [1x1x256] of [8x8x1]: use fewer POOL, a smaller M, or larger images\n" in message
    assert "The layers before it" not in refusal("INPUT -> POOL(F=9) -> FC", image_shape=(8, 8, 1))
