"""The page of mistakes has the messages that the code gives today."""

from docs import errors


def test_the_page_is_what_the_code_says():
    message = "docs/errors.md is not what the code says: run python -m docs.errors"
    assert errors.PAGE.read_text() == errors.page(), message


def test_each_mistake_has_an_answer():
    assert "no message" not in errors.PAGE.read_text()
