"""Types of arguments that command lines share. What argparse cannot read becomes an error, not a traceback."""

import re
from argparse import ArgumentTypeError

__all__ = ["image_shape", "whole_number"]


def image_shape(text):
    """Return (height, width, channels) of a text HxW, of one channel, or HxWxC.

    Examples
    --------
    >>> image_shape("8x8"), image_shape("32x32x3")
    ((8, 8, 1), (32, 32, 3))
    """
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", text.lower())
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not HxW or HxWxC, such as 8x8 or 32x32x3, of numbers from 1 to 99999")
    return tuple(int(size or 1) for size in found.groups())


def whole_number(lowest):
    """Return a function that reads a whole number, `lowest` or more.

    Examples
    --------
    >>> whole_number(1)("12")
    12
    """

    def read(text):
        if not re.fullmatch(r"\d{1,18}", text) or int(text) < lowest:
            raise ArgumentTypeError(f"a whole number from {lowest} on is needed, not {text!r}")
        return int(text)

    return read
