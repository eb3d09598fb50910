"""The table of the notation: the layers, the options of each, and the limits of a text."""

from dataclasses import dataclass

MAX_LAYERS = 10_000  # after all repeats are written out
MAX_NESTING = 50  # brackets and parentheses inside each other
MAX_CHARACTERS = 1_000_000
MAX_NUMBER = 2**31 - 1  # for filters, pixels, units and repetitions alike


@dataclass(frozen=True)
class Option:
    """The values that an option of a layer accepts: numbers, words, or both."""

    lowest: int | None = None  # accepts whole numbers from here; None: accepts no whole numbers
    words: tuple[str, ...] = ()
    per_axis: bool = False  # accepts two whole numbers, as in 3x1: those of width x height
    fraction: bool = False  # accepts a number in [0, 1)
    real: tuple[float, float] | None = None  # accepts a number in this closed interval
    bare: bool = False  # written without its name, as in FC(128)
    default: object = None  # not spelled in the canonical text; None: the constructor or the layer sets the value
    modes: tuple[str, ...] = ()  # the modes of the layer that have this option; (): all

    @property
    def expected(self):
        """The accepted values in words, for an error message."""
        choices = [repr(word) for word in self.words]
        if self.lowest is not None:
            pair = ", or two, of width x height, as in 3x1," if self.per_axis else ""
            choices.insert(0, f"a whole number from {self.lowest} to {MAX_NUMBER}{pair}")
        if self.fraction:
            choices.insert(0, "a number from 0 to below 1")
        if self.real is not None:
            choices.insert(0, "a number from {} to {}".format(*map(spell_number, self.real)))
        return " or ".join(choices)

    def read(self, text):
        """Return the value of a text, or None if the option does not accept it."""
        if text in self.words:
            return text
        if self.per_axis and "x" in text:
            return _read_pair(text, self.lowest)
        if self.lowest is not None:
            return read_whole_number(text, self.lowest)
        if "x" in text:
            return None
        if text.removeprefix(".")[:1].isdigit():
            if self.fraction and float(text) < 1:
                return float(text)
            if self.real is not None and self.real[0] <= float(text) <= self.real[1]:
                return float(text)
        return None


EXTENT = Option(lowest=1, per_axis=True)
DILATION = Option(lowest=1, per_axis=True, default=1)
PADDING = Option(lowest=0, words=("same", "valid"), per_axis=True)
ROUNDING = Option(words=("floor", "ceil"))

# The options of each layer, in the order of the canonical text. The first mode is the default.
NOTATION = {
    "CONV": {
        "K": Option(lowest=1, words=("classes",)),
        "F": EXTENT,
        "S": EXTENT,
        "P": PADDING,
        "dilation": DILATION,
        "groups": Option(lowest=1, default=1),
        "round": ROUNDING,
        "bias": Option(words=("yes", "no"), default="yes"),
    },
    "RELU": {},
    "RELU6": {},
    "PRELU": {},
    "TANH": {},
    "SIGMOID": {},
    "HSIGMOID": {},
    "HSWISH": {},
    "GELU": {},
    "POOL": {
        "mode": Option(words=("max", "average"), bare=True),
        "F": Option(lowest=1, words=("all",), per_axis=True),
        "S": EXTENT,
        "P": PADDING,
        "round": ROUNDING,
        "padding": Option(words=("ignored", "counted"), default="ignored", modes=("average",)),
    },
    "NORM": {
        "mode": Option(words=("batch", "lrn", "layer"), bare=True),
        "momentum": Option(real=(0, 1), default=0.1, modes=("batch",)),
        "eps": Option(real=(1e-12, 1), default=1e-5, modes=("batch", "layer")),
        "size": Option(lowest=1, default=5, modes=("lrn",)),
        "alpha": Option(real=(0, 1e6), default=1e-4, modes=("lrn",)),
        "beta": Option(real=(0, 10), default=0.75, modes=("lrn",)),
        "k": Option(real=(1e-6, 1e6), default=2.0, modes=("lrn",)),
    },
    "FC": {"units": Option(lowest=1, bare=True)},
    "DROPOUT": {"rate": Option(fraction=True, bare=True)},
}
REPEAT_LETTERS = ("N", "M", "K")
ARROWS = ("->", "-", "→")
OPERATORS = ("+", "|", "*")  # between branches: of a sum, a stack and a gate


def options_of(kind, mode):
    """Return the options of a layer in this mode, by name."""
    return {name: option for name, option in NOTATION[kind].items() if not option.modes or mode in option.modes}


def read_whole_number(text, lowest):
    """Return the whole number that a text spells; None if it is not one, or not from `lowest` to `MAX_NUMBER`."""
    if not text.isdecimal() or len(text.lstrip("0")) > len(str(MAX_NUMBER)):
        return None
    number = int(text.lstrip("0") or "0")
    return number if lowest <= number <= MAX_NUMBER else None


def _read_pair(text, lowest):
    """Return the value of a text such as "3x1", which is (rows, columns) = (1, 3); None if it is not one."""
    width, _, height = text.partition("x")
    pair = read_whole_number(height, lowest), read_whole_number(width, lowest)
    return None if None in pair else collapse(pair)


def collapse(pair):
    """Return (rows, columns) as a tuple, or one number where they are the same.

    Such tuples are values of layers. Arrays have rows first, and texts, like those of volumes, width first.

    Examples
    --------
    >>> collapse([3, 3]), collapse([1, 3])
    (3, (1, 3))
    """
    rows, columns = pair
    return rows if rows == columns else (rows, columns)


def spell_number(value):
    """Return the shortest text of a number, without a decimal point if it is whole; return a word unchanged.

    (rows, columns) are spelled as width x height.

    Examples
    --------
    >>> spell_number(2.0), spell_number(0.75), spell_number("same"), spell_number((1, 3))
    ('2', '0.75', 'same', '3x1')
    """
    if isinstance(value, tuple):
        rows, columns = value
        return f"{columns}x{rows}"
    return str(value).removesuffix(".0")


def spell_layer(kind, options):
    """Return the canonical text of a layer. Options that are None or the default are left out.

    Examples
    --------
    >>> spell_layer("POOL", {"S": 2, "mode": "max"})
    'POOL(max, S=2)'
    >>> spell_layer("NORM", {"mode": "lrn", "size": 5, "k": 1.0})
    'NORM(lrn, k=1)'
    """
    values = [
        spell_number(options[name]) if option.bare else f"{name}={spell_number(options[name])}"
        for name, option in NOTATION.get(kind, {}).items()
        if options.get(name) not in (None, option.default)
    ]
    return f"{kind}({', '.join(values)})" if values else kind
