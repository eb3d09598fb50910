import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skconvnet.architecture import (
    ARCHITECTURES,
    Architecture,
    ArchitectureError,
    Hyperparameters,
    auto_architecture,
    find_architecture,
)
from skconvnet.architecture.case_studies import CASE_STUDIES
from skconvnet.architecture.published import PUBLISHED


@given(st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 5)))
@settings(max_examples=300)
def test_auto_binds_for_every_image_shape(image_shape):
    bound = auto_architecture(image_shape, Hyperparameters()).bind(image_shape, 7)
    pools = [layer for layer in bound.layers if layer.kind == "POOL" and layer.mode == "max"]
    assert len(pools) == (0 if min(image_shape[:2]) < 2 else Hyperparameters().repetitions(bound.layers[0].input)["M"])


@given(
    image_shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(1)),
    M=st.integers(0, 7),
    N=st.integers(0, 2),
    pool_F=st.integers(1, 5),
    pool_S=st.integers(1, 4),
    pool=st.booleans(),
)
@settings(max_examples=200)
def test_auto_drops_pools_that_are_larger_than_the_volume(image_shape, pool_F, pool_S, pool, **repeats):
    hyperparameters = Hyperparameters(pool_F=pool_F, pool_S=pool_S, pool=pool, **repeats)
    bound = auto_architecture(image_shape, hyperparameters).bind(image_shape, 2, hyperparameters)
    assert sum(layer.kind == "CONV" for layer in bound.layers) == repeats["M"] * repeats["N"]
    pools = [layer for layer in bound.layers if layer.kind == "POOL"]
    if pool and len(pools) < repeats["M"]:
        fc_input = next(layer.input for layer in bound.layers if layer.kind == "FC")
        assert min(fc_input.height, fc_input.width) < pool_F
    assert len(pools) <= (repeats["M"] if pool else 0)


def test_auto_is_the_pattern_of_the_notes():
    assert str(auto_architecture((8, 8, 1), Hyperparameters())) == (
        "INPUT -> [[CONV(round=floor) -> RELU]*N -> POOL(round=floor)?]*M -> [FC -> RELU]*K -> FC"
    )
    assert str(auto_architecture((8, 8, 1), Hyperparameters(M=4))) == (
        "INPUT -> [[CONV(round=floor) -> RELU]*N -> POOL(round=floor)?]*3 -> [[CONV(round=floor) -> RELU]*N]*1"
        " -> [FC -> RELU]*K -> FC"
    )


PHOTOGRAPH = (
    "INPUT -> [CONV(round=floor) -> POOL(round=floor)? -> NORM -> RELU -> [CONV(round=floor) -> NORM -> RELU]*1]*M"
    " -> POOL(average, F=all) -> FC"
)


def test_auto_normalises_photographs():
    assert str(auto_architecture((32, 40, 3))) == PHOTOGRAPH
    assert str(auto_architecture((64, 64, 3), Hyperparameters(N=1))) == PHOTOGRAPH.replace(
        " -> [CONV(round=floor) -> NORM -> RELU]*1", ""
    )


@pytest.mark.parametrize(
    ("image_shape", "N"), [((31, 40, 3), 2), ((40, 31, 3), 2), ((32, 32, 1), 2), ((32, 32, 4), 2), ((32, 32, 3), 0)]
)
def test_auto_is_the_pattern_for_other_images(image_shape, N):
    assert "NORM" not in str(auto_architecture(image_shape, Hyperparameters(N=N)))


def test_auto_for_photographs_takes_sequences():
    sequences = Hyperparameters(K=[8, 16], F=[5, 3], pool=[False, True], pool_F=[3], N=3)
    bound = auto_architecture((32, 32, 3), sequences).bind((32, 32, 3), 5, sequences)
    convs = [layer for layer in bound.layers if layer.kind == "CONV"]
    assert [layer.K for layer in convs] == [8] * 3 + [16] * 3
    assert [str(layer.output) for layer in bound.layers if layer.kind == "POOL"] == ["[15x15x16]", "[1x1x16]"]


@given(
    side=st.integers(32, 48),
    F=st.sampled_from([1, 3, 5, 7]),
    P=st.sampled_from(["same", "valid", 1]),
    S=st.sampled_from([1, 2]),
    N=st.integers(1, 3),
    M=st.one_of(st.just("auto"), st.integers(1, 4)),
)
@example(side=32, F=3, P="valid", S=1, N=2, M="auto")
@settings(max_examples=150)
def test_auto_binds_photographs_where_it_binds_grey_images(side, **numbers):
    hyperparameters = Hyperparameters(**numbers)

    def binds(depth):
        image_shape = side, side, depth
        try:
            return auto_architecture(image_shape, hyperparameters).bind(image_shape, 2, hyperparameters) is not None
        except ArchitectureError:
            return False

    assert binds(3) >= binds(1)


def test_auto_takes_sequences_and_strides():
    hyperparameters = Hyperparameters(K=[8, 16], S=[2, 1], F=[5, 3], pool=[False, True], N=1)
    bound = auto_architecture((11, 13, 1), hyperparameters).bind((11, 13, 1), 2, hyperparameters)
    outputs = [str(layer.output) for layer in bound.layers[:5]]
    assert outputs == ["[7x6x8]", "[7x6x8]", "[7x6x16]", "[7x6x16]", "[3x3x16]"]


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"N": 2**31 - 1, "M": 2**31 - 1}, "at most 10000 are allowed"),
        ({"K": [1, 2], "F": [3, 3, 3]}, "F has length 3, but the network has 4 CONV layers in 2 blocks"),
        ({"F": 9, "P": 0}, "CONV of block 1: the window F=9 is larger than the padded input"),
        ({"pool": [True], "M": 2}, "pool has length 1, but the network has 2 blocks"),
        ({"pool_F": [2], "M": 2}, "pool_F has length 1, but the network has"),
    ],
)
def test_auto_raises_the_errors_of_binding(hyperparameters, message):
    hyperparameters = Hyperparameters(**hyperparameters)
    with pytest.raises(ArchitectureError, match=message):
        auto_architecture((8, 8, 1), hyperparameters).bind((8, 8, 1), 2, hyperparameters)


STUDIES = CASE_STUDIES | PUBLISHED
PATTERNS = [name for name in ARCHITECTURES if name not in STUDIES]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_named_architectures_print_and_parse(name):
    assert ARCHITECTURES[name] == Architecture.parse(str(ARCHITECTURES[name]))


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_bind_to_a_small_image(name):
    bound = ARCHITECTURES[name].bind((32, 32, 3), 10, Hyperparameters(hidden_layer_sizes=(64, 64)))
    assert bound.n_classes == 10


def test_architectures_are_a_mapping():
    assert len(ARCHITECTURES) == len([*ARCHITECTURES]) == len(STUDIES) + len(PATTERNS)
    assert ARCHITECTURES["linear"] is ARCHITECTURES["linear"]
    assert repr(ARCHITECTURES).startswith("{'linear': Architecture.parse('INPUT -> FC'), ")
    assert "vgg" not in ARCHITECTURES
    with pytest.raises(KeyError, match="vgg"):
        ARCHITECTURES["vgg"]


def test_auto_is_not_in_architectures():
    assert "auto" not in ARCHITECTURES
    assert str(ARCHITECTURES["linear"]) == "INPUT -> FC"


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_bind_with_the_defaults(name):
    assert find_architecture(name, (32, 32, 3)).bind((32, 32, 3), 10).n_classes == 10


@pytest.mark.parametrize("name", STUDIES)
def test_case_studies_are_found_by_name(name):
    assert find_architecture(name, (1, 1, 1)) == Architecture.parse(STUDIES[name].text)


def test_an_architecture_is_found_by_name_or_text():
    assert find_architecture("auto", (28, 28, 1)) == auto_architecture((28, 28, 1))
    assert find_architecture("INPUT->FC", (28, 28, 1)) == ARCHITECTURES["linear"]
    assert find_architecture(" linear\n", (28, 28, 1)) == ARCHITECTURES["linear"]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("lineal", "linear"),
        ("Auto", "auto"),
        ("VGG-16", "vgg16"),
        ("resnet_50", "resnet50"),
        ("LeNet", "lenet5"),
        ("SimpleConv", "single-conv"),
        ("doubleconv", "double-conv"),
        ("squeezenet-1.1", "squeezenet1_1"),
    ],
)
def test_error_suggests_a_similar_name(wanted, meant):
    message = f"^no architecture is named '{wanted}': did you mean {meant}\\? The names are"
    with pytest.raises(ArchitectureError, match=message):
        find_architecture(wanted, (28, 28, 1))


def test_an_unknown_name_is_a_key_error_that_suggests_a_similar_one():
    with pytest.raises(KeyError, match=r"no architecture is named 'lenet': did you mean lenet5\?"):
        ARCHITECTURES["lenet"]
    assert ARCHITECTURES.get(5) is None


def test_no_suggestion_for_an_unknown_name():
    with pytest.raises(ArchitectureError, match=r"^no architecture is named 'transformer'\. The names are"):
        find_architecture("transformer", (28, 28, 1))


@pytest.mark.parametrize("name", ["linear", "single-conv", "resnet20"])
def test_parse_rejects_names(name):
    with pytest.raises(
        ArchitectureError, match=f'looks like the name of an architecture.* use ARCHITECTURES."{name}".$'
    ):
        Architecture.parse(name)
    assert name in ARCHITECTURES
