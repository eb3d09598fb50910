"""Types of arguments that command lines share. What argparse cannot read becomes an error, not a traceback."""

import re
from argparse import ArgumentTypeError

__all__ = ["at_least", "image_shape"]


def image_shape(text):
    """Return (height, width, channels) of a text HxW, of one channel, or HxWxC.

    Examples
    --------
    >>> image_shape("8x8"), image_shape("32x32x3")
    ((8, 8, 1), (32, 32, 3))
    """
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)(?:x([1-9]\d*))?", text.lower())
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not HxW or HxWxC, such as 8x8 or 32x32x3, of numbers from 1 on")
    return tuple(int(size or 1) for size in found.groups())


def at_least(least):
    """Return a function that reads a whole number of `least` or more.

    Examples
    --------
    >>> at_least(1)("12")
    12
    """

    def read(text):
        if not re.fullmatch(r"\d+", text) or int(text) < least:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return read
