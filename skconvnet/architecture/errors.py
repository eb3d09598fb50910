"""The one error of this package, and the caret that shows where it lies."""

from difflib import get_close_matches

_CONTEXT = 60  # characters of a long line that are shown to either side of the caret


class ArchitectureError(ValueError):
    """A text that is no architecture, or an architecture that does not fit its input or its hyperparameters.

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
    """Make an error that shows the line of a text and a caret under the place.

    Parameters
    ----------
    message : str
        What is wrong and what would be right.
    text : str
        The text of an architecture, of any length and any characters.
    position : int
        Index into the text, at most its length.

    Returns
    -------
    ArchitectureError
        To be raised by the caller.
    """
    start = text.rfind("\n", 0, position) + 1
    line = text[start:].partition("\n")[0]
    column = position - start
    left, right = max(0, column - _CONTEXT), column + _CONTEXT
    before, after = "..." * (left > 0), "..." * (right < len(line))
    shown = "".join(char if char.isprintable() else " " for char in line[left:right])
    caret = " " * (len(before) + column - left) + "^"
    return ArchitectureError(f"{message}\n    {before}{shown}{after}\n    {caret}")


def shown(value):
    """Return ``repr(value)``, cut to a length that an error message can carry, for any value at all."""
    try:
        text = repr(value)
    except Exception:  # an integer with more digits than Python converts, or a broken __repr__
        return f"a {type(value).__name__}"
    return text if len(text) <= _CONTEXT else text[:_CONTEXT] + "..."


def did_you_mean(word, known):
    """Return the end of an error message that names what is spelled most alike; "" where nothing is.

    Parameters
    ----------
    word : str
        What came, of any length.
    known : iterable of str
        What there is. Upper and lower case are alike, and hyphens count for nothing.

    Returns
    -------
    str

    Examples
    --------
    >>> did_you_mean("VGG-16", ["vgg11", "vgg16"]), did_you_mean("mlp", ["vgg11", "vgg16"])
    (': did you mean vgg16?', '')
    """
    plain = {_plain(name): name for name in known}
    nearest = get_close_matches(_plain(word[:_CONTEXT]), plain, n=1)
    return f": did you mean {plain[nearest[0]]}?" if nearest else ""


def _plain(name):
    return name.replace("-", "").replace("_", "").casefold()
