import copy
import pickle
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skconvnet.architecture import (
    ARCHITECTURES,
    CASE_STUDIES,
    Architecture,
    ArchitectureError,
    Hyperparameters,
    Volume,
    walk,
)
from tests.architecture.notation.texts import accepted_chains, large_texts

TEXT = "INPUT -> [CONV(K=4) -> RELU -> POOL]*2 -> FC"


def test_architectures_with_equal_texts_are_equal():
    architecture = Architecture.parse(TEXT)
    assert architecture == Architecture.parse("[INPUT - [CONV(K=4) - RELU - POOL]*2 - FC]")
    assert len({architecture, Architecture.parse(TEXT), Architecture.parse("INPUT -> FC")}) == 2
    assert repr(architecture) == f"Architecture.parse({TEXT!r})"


def test_pickle_and_copy():
    architecture = Architecture.parse(TEXT)
    bound = architecture.bind((8, 8, 1), 3)
    for thing in (architecture, bound):
        assert pickle.loads(pickle.dumps(thing)) == thing
        assert copy.deepcopy(thing) == thing
    assert hash(bound) == hash(architecture.bind((8, 8, 1), 3))


def test_summary_equals_that_of_the_bound_architecture():
    architecture = Architecture.parse("INPUT -> [CONV -> RELU]*N -> FC")
    hyperparameters = Hyperparameters(N=3, K=5)
    table = architecture.summary((8, 8, 1), 3, hyperparameters)
    assert table == architecture.bind((8, 8, 1), 3, hyperparameters).summary()
    assert len(table.records) == 8


def test_a_bound_architecture_prints():
    bound = Architecture.parse("INPUT -> FC").bind((8, 6, 1), 3)
    assert str(bound) == bound.text == "INPUT -> FC(3)"
    assert repr(bound) == "BoundArchitecture('INPUT -> FC(3)', image_shape=(8, 6, 1), n_classes=3)"


def last_output(bound):
    return str(bound.layers[-1].output)


def test_on_larger_images_the_last_output_is_a_map():
    bound = Architecture.parse("INPUT -> CONV(K=4, P=0) -> POOL -> FC(6) -> RELU -> FC").bind((10, 10, 1), 3)
    assert last_output(bound.on((10, 10, 1))) == "[1x1x3]"
    assert bound.on((10, 10, 1)) == bound
    larger = bound.on((16, 12, 1))  # three strides of 2 down, one to the right
    assert [str(layer.output) for layer in larger.layers] == [
        "[10x14x4]", "[5x7x4]", "[2x4x6]", "[2x4x6]", "[2x4x3]",
    ]  # fmt: skip
    assert (larger.image_shape, larger.n_classes) == ((16, 12, 1), 3)
    assert larger.summary().n_params == bound.summary().n_params
    assert [layer.name for layer in larger.layers] == [layer.name for layer in bound.layers]


def test_on_larger_images_a_global_pool_slides_with_stride_1():
    for pool in ("POOL(average, F=all)", "POOL(F=all, S=2)"):
        bound = Architecture.parse(f"INPUT -> CONV(K=4) -> {pool} -> FC").bind((6, 8, 1), 3)
        larger = bound.on((9, 9, 1))
        assert (larger.layers[1].F, larger.layers[1].S) == ((6, 8), 1)
        assert last_output(larger) == "[2x4x3]"


def test_on_larger_images_branches_are_bound_again():
    text = "INPUT -> (CONV(K=2) -> NORM -> RELU + SKIP) -> (FC(3) | POOL(average, F=all)) -> FC"
    larger = Architecture.parse(text).bind((4, 4, 2), 3).on((6, 5, 2))
    assert [str(layer.output) for layer in larger.layers] == ["[5x6x2]", "[2x3x5]", "[2x3x3]"]
    assert [str(layer.input) for layer in walk(larger.layers) if layer.kind in ("NORM", "FC")] == [
        "[5x6x2]", "[5x6x2]", "[2x3x5]",
    ]  # fmt: skip


@pytest.mark.parametrize("image_shape", [(9, 10, 1), (10, 9, 1), (10, 10, 2), (10,), None, (10, 10, 10**5000)])
def test_on_rejects_smaller_images_and_other_depths(image_shape):
    bound = Architecture.parse("INPUT -> FC").bind((10, 10, 1), 3)
    with pytest.raises(ArchitectureError, match="image_shape"):
        bound.on(image_shape)


def test_on_rejects_layers_that_do_not_fit_and_layer_norm():
    bound = Architecture.parse("INPUT -> CONV(S=2, P=0, F=2) -> FC").bind(
        (10, 10, 1), 3, Hyperparameters(rounding="exact")
    )
    with pytest.raises(ArchitectureError, match=r"CONV 1 over the height of \[10x11x1\].*not a whole number"):
        bound.on((11, 10, 1))
    layer_norm = Architecture.parse("INPUT -> CONV -> (NORM(layer) + SKIP) -> FC").bind((10, 10, 1), 3)
    assert layer_norm.on((10, 10, 1)) == layer_norm
    with pytest.raises(ArchitectureError, match=r"NORM 1: NORM\(layer\) normalises the whole volume"):
        layer_norm.on((11, 10, 1))


def test_vgg_slides_as_in_the_notes():
    """CS231n, "Converting FC layers to CONV layers": AlexNet's volumes at 224 and 384 give 7x7 and 12x12, so 6x6."""
    vgg = ARCHITECTURES["vgg16"].bind((224, 224, 3), 1000)
    assert last_output(vgg.on((384, 384, 3))) == "[6x6x1000]"


def test_the_convolutional_text():
    text = "INPUT -> CONV(K=4) -> RELU -> POOL -> [FC(20) -> RELU -> DROPOUT]*2 -> FC"
    converted = Architecture.parse(text).to_convolutional((8, 8, 1), 3)
    assert str(converted) == (
        "INPUT -> CONV(K=4, F=3, S=1, P=1) -> RELU -> POOL(max, F=2, S=2, P=0) -> CONV(K=20, F=4, S=1, P=0) -> RELU"
        " -> DROPOUT(0.5) -> CONV(K=20, F=1, S=1, P=0) -> RELU -> DROPOUT(0.5) -> CONV(K=3, F=1, S=1, P=0)"
    )
    assert converted == Architecture.parse(text).bind((8, 8, 1), 3).to_convolutional()


@pytest.mark.parametrize("name", CASE_STUDIES)
def test_a_converted_case_study_is_the_same_network(name):
    study = CASE_STUDIES[name]
    bound = ARCHITECTURES[name].bind(study.image_shape, study.n_classes)
    converted = bound.to_convolutional().bind(study.image_shape, study.n_classes)
    assert not any(layer.kind == "FC" for layer in walk(converted.layers))
    assert [layer.output for layer in walk(converted.layers)] == [layer.output for layer in walk(bound.layers)]
    assert [layer.n_weights for layer in walk(converted.layers)] == [layer.n_weights for layer in walk(bound.layers)]
    side = study.image_shape[0] + 64
    larger = (side, side, study.image_shape[2])
    assert [layer.output for layer in converted.on(larger).layers] == [
        layer.output for layer in bound.on(larger).layers
    ]


def test_default_number_of_classes():
    def filters(text, *n_classes):
        return Architecture.parse(text).to_convolutional((4, 4, 1), *n_classes).chain[-1].options["K"]

    assert filters("INPUT -> FC") == 10
    assert filters("INPUT -> FC(7)") == 7
    assert filters("INPUT -> FC", 5) == 5
    assert filters("INPUT -> FC -> RELU -> FC(12)") == 12
    assert filters("INPUT -> FC -> CONV(K=12)") == 12
    with pytest.raises(ArchitectureError, match="the last FC has 7 units, but y has 5 classes"):
        filters("INPUT -> FC(7)", 5)
    with pytest.raises(ArchitectureError, match="n_classes must be a whole number from 1"):
        filters("INPUT -> FC", 0)
    with pytest.raises(ArchitectureError, match=r"the network ends in \[4x4x3\].*end it with FC"):
        filters("INPUT -> CONV(K=3)")


@pytest.mark.parametrize(
    ("text", "converted"),
    [
        ("INPUT -> FC", "INPUT -> CONV(K=10, F=6x4, S=1, P=0)"),
        (
            "INPUT -> (POOL(average, F=all) | POOL(F=all)) -> FC",
            "INPUT -> (POOL(average, F=6x4, S=1, P=0) | POOL(max, F=6x4, S=1, P=0)) -> CONV(K=10, F=1, S=1, P=0)",
        ),
    ],
)
def test_windows_of_a_converted_network_need_not_be_square(text, converted):
    bound = Architecture.parse(text).bind((4, 6, 1))
    assert str(bound.to_convolutional()) == converted
    larger = bound.to_convolutional().bind((4, 6, 1)).on((6, 9, 1))
    assert larger.layers[-1].output == bound.on((6, 9, 1)).layers[-1].output == Volume(3, 4, 10)


@given(
    image_shape=st.tuples(st.integers(4, 12), st.integers(4, 12), st.integers(1, 3)),
    more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    F=st.integers(1, 4),
    P=st.integers(0, 1),
    pool=st.booleans(),
)
def test_a_map_has_a_position_for_every_stride(image_shape, more, F, P, pool):
    """One more position for each stride that fits into the difference of the image sizes."""
    strides = 2 if pool else 1
    text = f"INPUT -> CONV(K=2, F={F}, P={P}) -> POOL(F={strides}, S={strides}, round=floor) -> FC(4) -> FC"
    bound = Architecture.parse(text).bind(image_shape, 3)
    larger = bound.on((image_shape[0] + strides * more[0], image_shape[1] + strides * more[1], image_shape[2]))
    assert larger.layers[-1].output == Volume(1 + more[0], 1 + more[1], 3)


def use(text, image_shape):
    """Bind a text and call everything that loops over its layers. Return their number, 0 if they do not fit."""
    architecture = Architecture.parse(text)
    try:
        bound = architecture.bind(image_shape)
    except ArchitectureError:
        return 0
    table = bound.summary()
    assert len(str(table)) + len(table._repr_html_()) + len(repr(bound)) > 0
    assert table.n_flops == sum(layer.n_flops for layer in bound.layers)
    bound.advice()
    assert hash(bound) == hash(architecture.bind(image_shape))
    assert bound.on(image_shape) == bound
    assert bound.to_convolutional().bind(image_shape).n_classes == bound.n_classes
    return len(list(walk(bound.layers)))


@given(large_texts())
@example("INPUT -> " + "(" * 24 + "CONV(K=1)" + " | SKIP)" * 24 + " -> FC")
@example("INPUT -> " + "(" * 50 + "CONV(K=1)" + " | SKIP)" * 50 + " -> FC")
@example("INPUT -> " + "(" * 49 + "[CONV(K=1) -> RELU]*4900" + " -> CONV(K=3) + SKIP)" * 49 + " -> FC")
@example("INPUT -> [CONV(K=1, P=0)]*9999 -> FC")
@example("INPUT -> (" + " | ".join(["CONV(K=1, F=7)"] * 9998) + ") -> FC")
@settings(max_examples=3, deadline=None)
def test_time_is_linear_in_the_number_of_layers(text):
    """10,000 layers take about 4 s. Quadratic time would take minutes, and exponential time years."""
    began = time.process_time()
    n_layers = use(text, (20001, 20001, 3) if "P=0" in text else (5, 4, 3))
    assert n_layers > 0
    assert time.process_time() - began < 15


@given(chain=accepted_chains, image_shape=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4)))
@settings(max_examples=200, deadline=None)
def test_every_accepted_text_binds_or_is_an_error(chain, image_shape):
    began = time.process_time()
    use(f"INPUT -> {chain} -> FC", image_shape)
    assert time.process_time() - began < 15


def test_what_is_made_without_parse_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"made by parse: Architecture.parse\('INPUT -> FC'\)"):
        Architecture("INPUT -> FC")
