import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skconvnet.architecture import (
    ArchitectureError,
    BoundConv,
    BoundFC,
    BoundNorm,
    BoundPool,
    BoundRelu,
    BoundSkip,
    BoundStack,
    BoundSum,
    Volume,
    output_extent,
    walk,
)
from skconvnet.architecture.layers.base import padding

CIFAR = Volume(32, 32, 3)


def slide(W, F, S, P, round):
    """Slide the window and count; None where it does not come out even. Pixels are 0 to W - 1."""
    starts = []
    start = -P
    while start + F <= W + P:
        starts.append(start)
        start += S
    if not starts:
        return None
    comes_out_even = starts[-1] + F == W + P
    if round == "ceil" and not comes_out_even and start < W:
        starts.append(start)
    return None if round is None and not comes_out_even else len(starts)


@given(
    W=st.integers(1, 40),
    F=st.integers(1, 12),
    S=st.integers(1, 7),
    P=st.integers(0, 8),
    round=st.sampled_from([None, "floor", "ceil"]),
)
@settings(max_examples=500)
def test_extent_is_what_sliding_the_window_counts(W, F, S, P, round):
    counted = slide(W, F, S, P, round)
    if counted is None:
        with pytest.raises(ArchitectureError, match="CONV 1"):
            output_extent(W, F, S, P, round, "CONV 1")
    else:
        assert output_extent(W, F, S, P, round, "CONV 1") == counted


def test_error_shows_the_arithmetic_and_what_fits():
    with pytest.raises(ArchitectureError) as caught:
        output_extent(10, 3, 2, 0, None, "CONV 1")
    assert "(10 - 3 + 0)/2 + 1 = 4.5 is no whole number" in str(caught.value)
    offers = "What fits: round=floor, round=ceil, S=1, F=2 with P=0, F=4 with P=0, W=9, W=11"
    assert str(caught.value).endswith(offers)


def test_window_larger_than_the_padded_input():
    with pytest.raises(ArchitectureError) as caught:
        output_extent(4, 9, 1, 1, "ceil", "POOL 2")
    assert "POOL 2: the window F=9 is larger than the padded input, W + 2P = 4 + 2 = 6" in str(caught.value)
    assert "(4 - 9 + 2)/1 + 1 = -2" in str(caught.value)
    assert "F=6 or smaller, P=3 or larger, or W=7 or larger" in str(caught.value)


@given(W=st.integers(1, 60), F=st.integers(1, 60), S=st.integers(2, 9), P=st.integers(0, 5))
@settings(max_examples=200)
def test_what_an_error_offers_does_fit(W, F, S, P):
    assume(F <= W + 2 * P and (W - F + 2 * P) % S)
    with pytest.raises(ArchitectureError) as caught:
        output_extent(W, F, S, P, None, "CONV 1")
    offers = str(caught.value).partition("What fits: ")[2].split(", ")
    assert offers[:2] == ["round=floor", "round=ceil"]
    assert {offer[0] for offer in offers[2:]} >= {"S", "W"}
    assert P >= F or any(offer.startswith("F") for offer in offers)
    for offer in offers:
        values = dict(value.split("=") for value in offer.split(" with "))
        rounding = values.pop("round", None)
        numbers = {"W": W, "F": F, "S": S, "P": P} | {letter: int(value) for letter, value in values.items()}
        assert output_extent(**numbers, round=rounding, name="") >= 1
        assert numbers["S"] <= max(S, F)
        assert "F" not in values or "P" in values  # which may have been "same"
        assert not values.keys() & {"F", "P"} or numbers["P"] < numbers["F"]  # POOL refuses all others


def test_no_fraction_looks_whole_and_huge_numbers_end():
    with pytest.raises(ArchitectureError, match=r"= 1\.99999"):
        output_extent(99999, 1, 99999, 0, None, "CONV 1")
    with pytest.raises(ArchitectureError, match="no whole number"):
        output_extent(2**31 - 1, 2, 2**30 - 3, 0, None, "CONV 1")


def test_padding_stands_for_a_number():
    assert [padding(P, 5, "CONV 1") for P in ("same", "valid", 0, 3)] == [2, 0, 0, 3]
    with pytest.raises(ArchitectureError, match=r"CONV 1: P='same' is \(F - 1\)/2 = \(4 - 1\)/2 = 1.5.*F=3 or F=5"):
        padding("same", 4, "CONV 1")


def test_the_seeds_count_of_a_5x5x3_filter():
    one_filter = BoundConv("CONV 1", CIFAR, K=1, F=5, S=1, P=2)
    assert (one_filter.n_weights, one_filter.n_biases) == (75, 1)
    assert BoundConv("CONV 1", Volume(16, 16, 20), K=1, F=3, S=1, P=1).n_weights == 180


def test_conv_counts():
    conv = BoundConv("CONV 1", Volume(height=7, width=9, depth=4), K=6, F=3, S=2, P=0, groups=2)
    assert conv.output == Volume(height=3, width=4, depth=6)
    assert conv.n_weights == 3 * 3 * 2 * 6
    assert conv.n_flops == 3 * 4 * 6 * 3 * 3 * 2
    assert conv.arithmetic == "3*3*2*6 + 6"
    assert conv.keyword == "CONV(K=6, F=3, S=2, P=0, groups=2)"


def test_conv_without_biases():
    conv = BoundConv("CONV 1", CIFAR, K=6, F=5, S=1, P=2, bias=False)
    assert (conv.n_weights, conv.n_biases) == (5 * 5 * 3 * 6, 0)
    assert conv.arithmetic == "5*5*3*6"
    assert conv.keyword == "CONV(K=6, F=5, S=1, P=2, bias=no)"


@pytest.mark.parametrize(("K", "groups"), [(4, 3), (3, 2)])
def test_groups_divide_depth_and_filters(K, groups):
    with pytest.raises(ArchitectureError, match=f"CONV 1: groups={groups} must divide the input's depth 4 and K={K}"):
        BoundConv("CONV 1", Volume(8, 8, 4), K=K, F=1, S=1, P=0, groups=groups)


def test_a_layer_that_does_not_fit_is_not_made():
    with pytest.raises(ArchitectureError, match=r"CONV 3 over the height of \[9x8x1\]"):
        BoundConv("CONV 3", Volume(8, 9, 1), K=1, F=3, S=2, P=0)
    with pytest.raises(ArchitectureError, match=r"POOL 1 over the width of \[9x8x1\]"):
        BoundPool("POOL 1", Volume(8, 9, 1), "max", F=(2, 2), S=2, P=0)
    with pytest.raises(ArchitectureError, match="P=2 lets a window of F=2 see nothing but padding"):
        BoundPool("POOL 1", Volume(8, 8, 1), "max", F=(2, 2), S=1, P=2)


def test_pool_keeps_depth_and_learns_nothing():
    pool = BoundPool("POOL 1", Volume(32, 32, 12), "max", F=(2, 2), S=2, P=0)
    assert pool.output == Volume(16, 16, 12)
    assert (pool.n_weights, pool.n_biases, pool.n_flops) == (0, 0, 0)
    assert pool.keyword == "POOL(max, F=2, S=2, P=0)"
    whole = BoundPool("POOL 1", Volume(4, 5, 12), "average", F=(4, 5), S=1, P=0)
    assert whole.output == Volume(1, 1, 12)
    assert whole.keyword == "POOL(average, F=all, S=1, P=0)"


def test_fc_counts():
    fc = BoundFC("FC 1", Volume(16, 8, 12), 10, window=(16, 8))
    assert fc.output == Volume(1, 1, 10)
    assert (fc.n_weights, fc.n_biases, fc.n_flops) == (15360, 10, 15360)
    assert fc.arithmetic == "8*16*12*10 + 10"


def test_fc_on_a_larger_input_slides_its_window():
    fc = BoundFC("FC 1", Volume(16, 8, 12), 10, window=(16, 8)).on(Volume(18, 11, 12))
    assert fc.output == Volume(3, 4, 10)
    assert (fc.n_weights, fc.n_biases, fc.n_flops) == (15360, 10, 3 * 4 * 15360)
    assert fc.arithmetic == "8*16*12*10 + 10"
    with pytest.raises(ArchitectureError, match=r"FC 1 over the height of \[11x15x12\]"):
        fc.on(Volume(15, 11, 12))


def test_walk_gives_a_sum_or_stack_after_its_branches():
    inner = BoundSum("SUM 1", CIFAR, ((BoundRelu("RELU 1", CIFAR),), (BoundSkip("SKIP 1", CIFAR),)))
    stack = BoundStack("STACK 1", CIFAR, ((inner, BoundRelu("RELU 2", CIFAR)), (BoundSkip("SKIP 2", CIFAR),)))
    last = BoundRelu("RELU 3", stack.output)
    names = [layer.name for layer in walk((BoundRelu("RELU 0", CIFAR), stack, last))]
    assert names == ["RELU 0", "RELU 1", "SKIP 1", "SUM 1", "RELU 2", "SKIP 2", "STACK 1", "RELU 3"]


def test_norm_learns_a_scale_and_a_shift_for_each_depth_slice():
    assert [BoundNorm("NORM 1", CIFAR, mode).n_weights for mode in ("batch", "layer", "lrn")] == [3, 3, 0]
    assert [BoundNorm("NORM 1", CIFAR, mode).n_biases for mode in ("batch", "layer", "lrn")] == [3, 3, 0]


def conv_branch(K, F=1, P=0):
    return (BoundConv("CONV 1", CIFAR, K, F, 1, P),)


def test_branches_add_up_and_stack():
    total = BoundSum("SUM 1", CIFAR, (conv_branch(3), (BoundSkip("SKIP 1", CIFAR),)))
    assert total.output == CIFAR
    assert total.keyword == "(CONV(K=3, F=1, S=1, P=0) + SKIP)"
    stack = BoundStack("STACK 1", CIFAR, (conv_branch(5), (*conv_branch(7), BoundRelu("RELU 1", Volume(32, 32, 7)))))
    assert stack.output == Volume(32, 32, 12)
    assert stack.n_weights == 3 * 12
    assert stack.n_biases == 12
    assert stack.n_flops == 32 * 32 * 3 * 12
    assert stack.n_activations == 32 * 32 * 12  # its own, beside those of its branches


def test_branches_must_agree():
    with pytest.raises(ArchitectureError, match=r"SUM 1: .*branch 1 gives \[32x32x5\], branch 2 gives \[32x32x7\]"):
        BoundSum("SUM 1", CIFAR, (conv_branch(5), conv_branch(7)))
    with pytest.raises(ArchitectureError, match=r"STACK 1: .*branch 1 gives \[30x30x5\], branch 2 gives \[32x32x5\]"):
        BoundStack("STACK 1", CIFAR, (conv_branch(5, F=3), conv_branch(5)))
