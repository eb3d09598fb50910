"""`ArchitectureError`, and the parts of its messages."""

import re
from difflib import get_close_matches

CONTEXT = 60  # characters shown on each side of the caret


class ArchitectureError(ValueError):
    """The error for a text that does not parse, or a network that does not fit its input or hyperparameters.

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> Architecture.parse("INPUT -> CONV RELU")
    Traceback (most recent call last):
        ...
    skconvnet.architecture.errors.ArchitectureError: expected '->' or the end of the text, but found 'RELU'
        INPUT -> CONV RELU
                      ^
    """


def error_at(message, text, position):
    """Return an error that shows a line of a text with a caret under the place.

    Parameters
    ----------
    message : str
        What is wrong and what is needed.
    text : str
        The text of an architecture.
    position : int
        Index into the text, at most its length.

    Returns
    -------
    ArchitectureError
    """
    start = text.rfind("\n", 0, position) + 1
    line = text[start:].partition("\n")[0]
    column = position - start
    left, right = max(0, column - CONTEXT), column + CONTEXT
    before, after = "..." * (left > 0), "..." * (right < len(line))
    shown = "".join(char if char.isprintable() else " " for char in line[left:right])
    caret = " " * (len(before) + column - left) + "^"
    return ArchitectureError(f"{message}\n    {before}{shown}{after}\n    {caret}")


def shown(value):
    """Return ``repr(value)`` for an error message, cut if it is long. Works for every value."""
    try:
        text = repr(value)
    except Exception:  # an int with more digits than Python converts, or a broken __repr__
        return f"a {type(value).__name__}"
    return text if len(text) <= CONTEXT else text[:CONTEXT] + "..."


def counted(number, noun):
    """Return a number and what it counts.

    Examples
    --------
    >>> counted(1, "block"), counted(12, "CONV layer")
    ('1 block', '12 CONV layers')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def did_you_mean(word, known):
    """Return the end of an error message that suggests the most similar word; "" if no word is similar.

    Parameters
    ----------
    word : str
    known : iterable of str
        The words to choose from. Case, spaces, hyphens and underscores are ignored.

    Returns
    -------
    str

    Examples
    --------
    >>> did_you_mean("VGG-16", ["vgg11", "vgg16"]), did_you_mean("mlp", ["vgg11", "vgg16"])
    (': did you mean vgg16?', '')
    """
    nearest = most_similar(word, known)
    return f": did you mean {nearest}?" if nearest else ""


def most_similar(word, known):
    """Return the word of `known` that is most similar to another one; None if none is similar.

    Examples
    --------
    >>> most_similar("Adam", ["sgd", "adam"])
    'adam'
    """
    plain = {_plain(name): name for name in known}
    word = _plain(word[:CONTEXT])
    nearest = get_close_matches(word, plain)
    nearest.sort(key=lambda name: sorted(name) != sorted(word))  # characters that changed places come first
    return plain[nearest[0]] if nearest else None


def _plain(name):
    return re.sub("[-_ ]", "", name).casefold()
