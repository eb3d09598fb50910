import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skconvnet.architecture import ArchitectureError
from skconvnet.architecture.layers.arithmetic import Axis, Volume, output_extent, padding
from skconvnet.architecture.layers.convolution import BoundConv


def slide(W, F, S, P, round, dilation=1):
    """Slide the window over pixels 0 to W - 1 and count its positions. None if it does not fit evenly."""
    starts, F, start = [], len(range(0, F * dilation, dilation)), -P
    F += (dilation - 1) * (F - 1)  # the gaps between its pixels
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
    dilation=st.integers(1, 3),
)
@settings(max_examples=500)
def test_extent_is_the_number_of_window_positions(W, F, S, P, round, dilation):
    counted = slide(W, F, S, P, round, dilation)
    if counted is None:
        with pytest.raises(ArchitectureError, match="CONV 1"):
            output_extent(W, F, S, P, round, "CONV 1", dilation)
    else:
        assert output_extent(W, F, S, P, round, "CONV 1", dilation) == counted


def test_the_reach_of_a_window():
    reaches = [Axis(F, 1, 0, dilation).reach for F, dilation in [(1, 1), (3, 1), (1, 9), (3, 2), (2, 5)]]
    assert reaches == [1, 3, 1, 5, 6]


@given(W=st.integers(1, 60), F=st.integers(1, 12), S=st.integers(2, 9))
def test_padding_same_of_tensorflow_is_half_of_its_zeros_rounded_up(W, F, S):
    windows = -(-W // S)
    zeros = max((windows - 1) * S + F - W, 0)
    assume(F <= W + 2 * (zeros // 2))  # a single window that needs an odd number of zeros is too large
    assert output_extent(W, F, S, zeros // 2, "ceil", "CONV 1") == windows


def test_error_shows_the_arithmetic_and_what_fits():
    with pytest.raises(ArchitectureError) as caught:
        output_extent(10, 3, 2, 0, None, "CONV 1")
    assert "(10 - 3 + 0)/2 + 1 = 4.5 is not a whole number, and rounding='exact' refuses it: rounding='floor'" in str(
        caught.value
    )
    offers = "What fits: round=floor, round=ceil, S=1, F=2 with P=0, F=4 with P=0, W=9, W=11"
    assert str(caught.value).endswith(offers)


def test_window_larger_than_the_padded_input():
    with pytest.raises(ArchitectureError) as caught:
        output_extent(4, 9, 1, 1, "ceil", "POOL 2")
    assert "POOL 2: the window F=9 is larger than the padded input, W + 2P = 4 + 2 = 6" in str(caught.value)
    assert "(4 - 9 + 2)/1 + 1 = -2" in str(caught.value)
    assert "F=6 or smaller, P=3 or larger, or W=7 or larger" in str(caught.value)


def test_errors_of_a_dilated_window_show_its_reach():
    with pytest.raises(ArchitectureError) as caught:
        output_extent(10, 3, 2, 0, None, "CONV 1", dilation=3)
    assert "(W - ((F - 1)*dilation + 1) + 2P)/S + 1 = (10 - ((3 - 1)*3 + 1) + 0)/2 + 1 = 2.5" in str(caught.value)
    assert str(caught.value).endswith("S=1, S=3, F=2 with P=0, F=4 with P=0, W=9, W=11")
    with pytest.raises(ArchitectureError) as caught:
        output_extent(4, 3, 1, 1, None, "CONV 1", dilation=4)
    window = "the window F=3 with dilation=4, (F - 1)*dilation + 1 = 9, is larger than the padded input"
    assert window in str(caught.value)
    assert "= (4 - ((3 - 1)*4 + 1) + 2)/1 + 1 = -2. What fits: F=2 or smaller, P=3 or larger" in str(caught.value)


@given(W=st.integers(1, 60), F=st.integers(1, 60), S=st.integers(2, 9), P=st.integers(0, 5), dilation=st.integers(1, 3))
@settings(max_examples=200)
def test_suggestions_of_an_error_fit(W, F, S, P, dilation):
    reach = Axis(F, S, P, dilation).reach
    assume(reach <= W + 2 * P and (W - reach + 2 * P) % S)
    with pytest.raises(ArchitectureError) as caught:
        output_extent(W, F, S, P, None, "CONV 1", dilation)
    offers = str(caught.value).partition("What fits: ")[2].split(", ")
    assert offers[:2] == ["round=floor", "round=ceil"]
    assert {offer[0] for offer in offers[2:]} >= {"S", "W"}
    assert P >= F or dilation > 1 or any(offer.startswith("F") for offer in offers)
    for offer in offers:
        values = dict(value.split("=") for value in offer.split(" with "))
        rounding = values.pop("round", None)
        numbers = {"W": W, "F": F, "S": S, "P": P} | {letter: int(value) for letter, value in values.items()}
        assert output_extent(**numbers, round=rounding, name="", dilation=dilation) >= 1
        assert numbers["S"] <= max(S, F)
        assert "F" not in values or "P" in values  # which may have been "same"
        assert not values.keys() & {"F", "P"} or numbers["P"] < numbers["F"]  # POOL rejects all others


@given(H=st.integers(1, 30), W=st.integers(1, 30), F=st.integers(1, 20), S=st.integers(2, 5), P=st.integers(0, 5))
@settings(max_examples=200)
def test_suggestions_of_an_error_fit_both_sides(H, W, F, S, P):
    def conv(H=H, W=W, F=F, S=S, P=P):
        return BoundConv("CONV 1", Volume(H, W, 1), K=1, F=F, S=S, P=P)

    assume(F <= min(H, W) + 2 * P and ((H - F + 2 * P) % S or (W - F + 2 * P) % S))
    with pytest.raises(ArchitectureError) as caught:
        conv()
    for offer in str(caught.value).partition("What fits: round=floor, round=ceil, ")[2].split(", "):
        values = {letter: int(value) for letter, value in (one.split("=") for one in offer.split(" with "))}
        if H == W and "W" in values:
            values["H"] = values["W"]
        conv(**values)


def test_errors_about_the_height_name_it_and_offer_what_fits_the_width_too():
    with pytest.raises(ArchitectureError) as caught:
        BoundConv("CONV 1", Volume(5, 7, 1), K=1, F=3, S=3, P=0)
    assert "over the height of [7x5x1]: (H - F + 2P)/S + 1 = (5 - 3 + 0)/3 + 1" in str(caught.value)
    assert str(caught.value).endswith("round=ceil, S=2, W=6 with H=3, W=9 with H=6")
    with pytest.raises(ArchitectureError, match=r"round=ceil, S=1, H=7, H=9$"):
        BoundConv("CONV 1", Volume(8, 9, 1), K=1, F=3, S=2, P=0)
    with pytest.raises(ArchitectureError, match=r"F=5 or smaller, P=2 or larger, or W=9 and H=9 or larger$"):
        BoundConv("CONV 1", Volume(7, 5, 1), K=1, F=9, S=1, P=0)
    with pytest.raises(ArchitectureError, match=r"H \+ 2P = 4 \+ 0 = 4, .* or H=9 or larger$"):
        BoundConv("CONV 1", Volume(4, 20, 1), K=1, F=9, S=1, P=0)


def test_fractions_do_not_look_whole_and_huge_numbers_are_fast():
    with pytest.raises(ArchitectureError, match=r"= 1\.99999"):
        output_extent(99999, 1, 99999, 0, None, "CONV 1")
    with pytest.raises(ArchitectureError, match="not a whole number"):
        output_extent(2**31 - 1, 2, 2**30 - 3, 0, None, "CONV 1")


def test_padding():
    assert [padding(P, 5, "CONV 1") for P in ("same", "valid", 0, 3)] == [2, 0, 0, 3]
    with pytest.raises(ArchitectureError, match=r"CONV 1: P='same' is \(F - 1\)/2 = \(4 - 1\)/2 = 1.5.*F=3 or F=5"):
        padding("same", 4, "CONV 1")


def test_padding_of_windows_that_are_not_square():
    assert [padding(P, (1, 5), "CONV 1") for P in ("same", "valid", (0, 3))] == [(0, 2), 0, (0, 3)]
    assert padding("same", (1, 3), "CONV 1", (7, 2)) == (0, 2)
    assert padding("same", (3, 5), "CONV 1", (2, 1)) == 2
    with pytest.raises(ArchitectureError, match=r"\(4 - 1\)/2 = 1.5"):
        padding("same", (3, 4), "CONV 1")


def test_padding_of_dilated_windows():
    assert [padding("same", F, "CONV 1", dilation) for F, dilation in [(3, 2), (2, 2), (5, 3)]] == [2, 1, 6]
    with pytest.raises(ArchitectureError, match=r"is \(F - 1\)\*dilation/2 = \(2 - 1\)\*3/2 = 1.5.*F=1 or F=3"):
        padding("same", 2, "CONV 1", 3)
