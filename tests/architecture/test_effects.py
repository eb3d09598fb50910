import pytest

from skconvnet.architecture import (
    ARCHITECTURES,
    Architecture,
    Hyperparameters,
    find_architecture,
    too_large_filters,
    without_effect,
)

EACH = "INPUT -> CONV(K=4, F=3, S=1, P=1, round=floor) -> POOL(F=2, S=2, round=floor) -> FC(9) -> FC"
PATTERN = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC"
OTHERS = {
    "K": 9, "F": 5, "S": 2, "P": 0, "N": 1, "M": 2, "hidden_layer_sizes": (64,), "pool": False, "pool_F": 3,
    "pool_S": 1, "rounding": "ceil",
}  # fmt: skip


def ignored(text, image_shape=(8, 8, 1), **hyperparameters):
    return set(without_effect(Architecture.parse(text), image_shape, Hyperparameters(**hyperparameters)))


@pytest.mark.parametrize(
    ("image_shape", "numbers", "expected"),
    [
        ((8, 8, 1), {"N": 1, "M": 4}, set()),  # POOL does not fit in all blocks
        ((32, 32, 3), {"N": 1, "M": 6, "pool_F": 3}, set()),
        ((32, 32, 3), {"N": 3, "pool_S": 3, "K": 9}, set()),
        ((32, 32, 3), {"hidden_layer_sizes": (64,), "rounding": "ceil"}, {"hidden_layer_sizes", "rounding"}),
        ((28, 28, 1), {"hidden_layer_sizes": (64,), "rounding": "ceil"}, {"rounding"}),
    ],
)
def test_auto_reads_what_it_was_made_for(image_shape, numbers, expected):
    hyperparameters = Hyperparameters(**numbers)
    architecture = find_architecture("auto", image_shape, hyperparameters)
    assert set(without_effect(architecture, image_shape, hyperparameters, is_auto=True)) == expected


def test_what_the_text_spells_or_lacks_has_no_effect():
    assert ignored(EACH, **OTHERS) == set(OTHERS) == set(vars(Hyperparameters()))
    assert ignored(EACH) == set()  # nothing but defaults
    assert ignored(PATTERN, **OTHERS | {"pool": True}) == set()
    assert ignored(PATTERN, **OTHERS) == {"pool_F", "pool_S"}  # without POOL
    assert ignored("INPUT -> FC", **OTHERS) == set(OTHERS)


@pytest.mark.parametrize(
    ("text", "hyperparameters", "expected"),
    [
        ("INPUT -> CONV(F=3) -> (CONV + SKIP) -> FC", {"F": 5, "K": 1, "S": 1}, set()),
        (
            "INPUT -> POOL(F=all) -> FC",
            {"pool_F": 3, "pool_S": 1, "rounding": "ceil"},
            {"pool_F", "pool_S", "rounding"},
        ),
        ("INPUT -> POOL(F=2) -> FC", {"pool_F": 3, "pool_S": 1}, {"pool_F"}),
        ("INPUT -> [CONV(F=3) -> RELU]*M -> FC", {"F": (5, 5)}, set()),  # two values are M=2
        ("INPUT -> [CONV(F=3) -> RELU]*M -> FC", {"F": (5, 5), "M": 2}, {"F"}),
        ("INPUT -> FC -> FC", {"hidden_layer_sizes": (5,)}, set()),
        ("INPUT -> FC -> FC", {"hidden_layer_sizes": (5, 6)}, {"hidden_layer_sizes[1:]"}),
        ("INPUT -> FC(5) -> FC", {"hidden_layer_sizes": 5}, {"hidden_layer_sizes"}),
        ("INPUT -> CONV(K=8) -> RELU -> CONV -> FC", {"K": (4, 16)}, {"K[0]"}),
        ("INPUT -> CONV(K=8) -> RELU -> CONV -> FC", {"K": (8, 16)}, set()),
        ("INPUT -> [CONV(F=1) -> CONV]*2 -> CONV(F=5) -> FC", {"F": (3, 3, 7)}, {"F[2]"}),  # one per block
        ("INPUT -> [CONV(F=1) -> CONV]*2 -> FC", {"F": (3, 3, 1, 3)}, {"F[0]"}),
        ("INPUT -> [CONV(F=1) -> CONV(F=5)]*1 -> CONV -> FC", {"F": (3, 3)}, {"F[0]"}),
        ("INPUT -> POOL(F=3) -> POOL -> POOL(F=all) -> FC", {"pool_F": (2, 2)}, {"pool_F[0]"}),
    ],
)
def test_one_layer_that_reads_it_is_enough(text, hyperparameters, expected):
    assert ignored(text, **hyperparameters) == expected


def test_the_reason_of_a_single_value_names_its_layers():
    text = Architecture.parse("INPUT -> [CONV(F=1) -> CONV(F=5)]*1 -> CONV(K=2) -> CONV -> FC")
    told = without_effect(text, (8, 8, 1), Hyperparameters(F=(3, 3, 3), K=(1, 1, 5, 1)))
    assert told == {"K[2]": "CONV 3 has K=2", "F[0]": "CONV 1 has F=1 and CONV 2 has F=5"}


def test_a_default_that_is_given_is_told_too():
    text = Architecture.parse("INPUT -> FC")
    assert without_effect(text, (8, 8, 1), Hyperparameters(N=2, M=2)) == {"M": "nothing is repeated *M"}
    assert set(without_effect(text, (8, 8, 1), Hyperparameters(N=2, M=2), given=("N", "M"))) == {"N", "M"}


def test_the_automatic_architecture_reads_all_but_rounding():
    hyperparameters = Hyperparameters(**OTHERS | {"pool": True})
    auto = find_architecture("auto", (64, 64, 1), hyperparameters)
    assert without_effect(auto, (64, 64, 1), hyperparameters) == {"rounding": "each CONV or POOL spells its own"}
    no_window = without_effect(Architecture.parse("INPUT -> FC"), (8, 8, 1), Hyperparameters(rounding="exact"))
    assert no_window == {"rounding": "there is no CONV or POOL that reads it"}
    assert without_effect(ARCHITECTURES["lenet5"], (32, 32, 1), Hyperparameters(K=9, F=7)).keys() == {"K", "F"}


def test_filters_that_see_mostly_padding():
    def told(F, image_shape):
        return too_large_filters(Architecture.parse(f"INPUT -> CONV(F={F}) -> FC").bind(image_shape, 2))

    assert told(99, (8, 8, 1)) == [
        "CONV 1 has filters of F=99, and its input is [8x8x1]: F=15 reaches from each pixel to every other, and the "
        "other weights only ever see padding"
    ]
    assert [told(15, (8, 8, 1)), told(3, (1, 64, 1)), told(3, (1, 1, 9)), told(3, (2, 2, 1))] == [[]] * 4
    assert len(told(17, (8, 6, 1))) == 1
