"""The parts of error messages: the caret, values, and suggestions."""

import pytest

from skconvnet.architecture.errors import ArchitectureError, did_you_mean, error_at, shown


def lines_of(text, position):
    error = error_at("what is wrong", text, position)
    assert isinstance(error, ArchitectureError)
    message, line, caret = str(error).split("\n")
    assert message == "what is wrong"
    assert line[:4] == caret[:4] == "    "
    return line[4:], caret[4:]


@pytest.mark.parametrize("position", [0, 3, 8])
def test_the_caret_is_under_the_position(position):
    assert lines_of("INPUT ->", position) == ("INPUT ->", " " * position + "^")


def test_only_the_line_of_the_position_is_shown():
    assert lines_of("INPUT\n-> CONV\n-> FC", 9) == ("-> CONV", "   ^")
    assert lines_of("INPUT\n", 6) == ("", "^")


def test_a_long_line_is_cut_on_both_sides_of_the_caret():
    text = "a" * 100 + "!" + "b" * 100
    line, caret = lines_of(text, 100)
    assert line == "..." + "a" * 60 + "!" + "b" * 59 + "..."
    assert line[caret.index("^")] == "!"


def test_characters_that_do_not_print_take_one_column():
    assert lines_of("a\tb\x00c", 4) == ("a b c", "    ^")


class BrokenRepr:
    def __repr__(self):
        raise RuntimeError


def test_every_value_can_be_shown():
    assert shown([1, "a"]) == "[1, 'a']"
    assert shown("a" * 58) == repr("a" * 58)
    assert shown("a" * 59) == "'" + "a" * 59 + "..."
    assert shown(10**5000) == "a int"
    assert shown(BrokenRepr()) == "a BrokenRepr"


def test_the_most_similar_word_is_suggested():
    names = ["vgg11", "vgg16", "preact_resnet18"]
    assert did_you_mean("VGG-16", names) == ": did you mean vgg16?"
    assert did_you_mean("vgg61", [*names, "vgg19"]) == ": did you mean vgg16?"
    assert did_you_mean("preactresnet-18", names) == ": did you mean preact_resnet18?"
    assert did_you_mean("conv11", ["CONV 1", "CONV 11"]) == ": did you mean CONV 11?"
    assert did_you_mean("mlp", names) == ""
    assert did_you_mean("", []) == ""
