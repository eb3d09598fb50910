import pytest

from skconvnet.architecture.notation.table import MAX_NUMBER, NOTATION, Option, options_of, read_whole_number


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        (Option(lowest=1), "07", 7),
        (Option(lowest=1), "0", None),
        (Option(lowest=0, words=("same",)), "same", "same"),
        (Option(lowest=0, words=("same",)), "valid", None),
        (Option(lowest=1), "3x1", None),
        (Option(lowest=1, per_axis=True), "3x1", (1, 3)),
        (Option(lowest=1, per_axis=True), "03x3", 3),
        (Option(lowest=1, per_axis=True), "3x0", None),
        (Option(lowest=1, per_axis=True), "x3", None),
        (Option(lowest=1, per_axis=True), f"{MAX_NUMBER + 1}x3", None),
        (Option(lowest=1, per_axis=True, words=("max",)), "max", "max"),
        (Option(fraction=True), ".5", 0.5),
        (Option(fraction=True), "0x1", None),
        (Option(fraction=True), "1", None),
        (Option(real=(0, 1)), "1", 1.0),
        (Option(real=(0, 1)), "1.01", None),
        (Option(real=(0, 1)), "nan", None),
    ],
)
def test_an_option_reads_the_values_that_it_accepts(option, text, value):
    assert option.read(text) == value


def test_an_option_names_the_values_that_it_accepts():
    assert (
        Option(lowest=0, words=("same", "valid")).expected
        == f"a whole number from 0 to {MAX_NUMBER} or 'same' or 'valid'"
    )
    assert Option(fraction=True).expected == "a number from 0 to below 1"
    assert Option(real=(1e-12, 1)).expected == "a number from 1e-12 to 1"


@pytest.mark.parametrize(("text", "number"), [("0" * 50 + "3", 3), (str(MAX_NUMBER), MAX_NUMBER), ("000", 0)])
def test_whole_numbers(text, number):
    assert read_whole_number(text, 0) == number
    assert read_whole_number(text, number + 1) is None


@pytest.mark.parametrize("text", [str(MAX_NUMBER + 1), "9" * 5000, "-1", "1.0", "", "\u00b2"])
def test_other_texts_are_not_whole_numbers(text):
    assert read_whole_number(text, 0) is None


def test_the_options_of_a_mode():
    assert list(options_of("NORM", "layer")) == ["mode", "eps"]
    assert options_of("CONV", None) == NOTATION["CONV"]
