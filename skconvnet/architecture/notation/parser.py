"""The notation: a text to a tree, and the tree back to its canonical text.

The notation is the one of the Stanford CS231n notes, https://cs231n.github.io/convolutional-networks/#layerpat::

    network  =  trunk  |  "[" trunk "]"
    trunk    =  INPUT "->" chain
    chain    =  item { "->" item }
    item     =  layer  |  "[" chain "]" [ "*" times ]  |  sum  |  stack
    sum      =  "(" branch "+" branch { "+" branch } ")"
    stack    =  "(" branch "|" branch { "|" branch } ")"
    branch   =  chain  |  SKIP
    layer    =  NAME [ "(" [ value { "," value } ] ")" ] [ "?" ]         only a POOL can be optional
    value    =  [ name "=" ] ( number | word )
    times    =  a whole number  |  N  |  M  |  K

``-`` and ``→`` are read as ``->``, ``.5`` as ``0.5``, and a group in brackets that is not repeated as the layers in it.
What the layers are called and what each can say is the table `NOTATION`; a new layer begins with a row there.
"""

import re
from dataclasses import dataclass, field

from skconvnet.architecture.errors import ArchitectureError, did_you_mean, error_at, shown

MAX_LAYERS = 10_000  # after every repeat is written out
MAX_NESTING = 50  # brackets and parentheses within each other
MAX_CHARACTERS = 1_000_000
MAX_NUMBER = 2**31 - 1  # of anything: filters, pixels, units, repetitions


@dataclass(frozen=True)
class Option:
    """What may stand for one value of a layer: a number, one of some words, or either."""

    lowest: int | None = None  # a whole number from here on; None: no whole number
    words: tuple[str, ...] = ()
    fraction: bool = False  # a number in [0, 1)
    real: tuple[float, float] | None = None  # a number from the first to the second
    bare: bool = False  # written without its name, as in FC(128)
    default: object = None  # the value that goes without saying; None: the constructor has it
    modes: tuple[str, ...] = ()  # of the layer's modes, those that know this value; (): all

    @property
    def expected(self):
        """The values in words, for an error message."""
        choices = [repr(word) for word in self.words]
        if self.lowest is not None:
            choices.insert(0, f"a whole number from {self.lowest} to {MAX_NUMBER}")
        if self.fraction:
            choices.insert(0, "a number from 0 to below 1")
        if self.real is not None:
            choices.insert(0, "a number from {} to {}".format(*map(spell_number, self.real)))
        return " or ".join(choices)

    def read(self, text):
        """Return the value that a text spells, or None where it spells none."""
        if text in self.words:
            return text
        if self.lowest is not None:
            return _whole_number(text, self.lowest)
        if text.removeprefix(".")[:1].isdigit():
            if self.fraction and float(text) < 1:
                return float(text)
            if self.real is not None and self.real[0] <= float(text) <= self.real[1]:
                return float(text)
        return None


COUNT = Option(lowest=1)
PADDING = Option(lowest=0, words=("same", "valid"))
ROUNDING = Option(words=("floor", "ceil"))

# What each layer can say between its parentheses, in canonical order. Where no mode is said it is the first.
NOTATION = {
    "CONV": {
        "K": COUNT,
        "F": COUNT,
        "S": COUNT,
        "P": PADDING,
        "groups": Option(lowest=1, default=1),
        "round": ROUNDING,
        "bias": Option(words=("yes", "no"), default="yes"),
    },
    "RELU": {},
    "TANH": {},
    "SIGMOID": {},
    "POOL": {
        "mode": Option(words=("max", "average"), bare=True),
        "F": Option(lowest=1, words=("all",)),
        "S": COUNT,
        "P": PADDING,
        "round": ROUNDING,
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


# The tree. A chain is a tuple of Layer, Repeat and Branches; positions say where in the text a node came from.


@dataclass(frozen=True)
class Layer:
    """One layer as it is written: only the options that the text spells are there."""

    kind: str
    options: dict = field(default_factory=dict)
    optional: bool = False
    position: int = field(default=0, compare=False)

    def __str__(self):
        return spell_layer(self.kind, self.options) + "?" * self.optional


@dataclass(frozen=True)
class Repeat:
    """``[body]*times``, times being a number or one of the constructor's letters."""

    body: tuple
    times: int | str
    position: int = field(default=0, compare=False)

    def __str__(self):
        return f"[{spell_chain(self.body)}]*{self.times}"


@dataclass(frozen=True)
class Branches:
    """``(A + B)``, a sum, or ``(A | B)``, a stack along depth; each branch is a chain."""

    operator: str
    branches: tuple
    position: int = field(default=0, compare=False)

    def __str__(self):
        return f"({f' {self.operator} '.join(map(spell_chain, self.branches))})"


def spell_layer(kind, options):
    """Return a layer's canonical text; a value that is the default goes without saying.

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


def spell_number(value):
    """Return a number's shortest text, without the point where it is whole; a word stays itself.

    Examples
    --------
    >>> spell_number(2.0), spell_number(0.75), spell_number("same")
    ('2', '0.75', 'same')
    """
    return str(value).removesuffix(".0")


def options_of(kind, mode):
    """Return the options that a layer of this mode can have, by name."""
    return {name: option for name, option in NOTATION[kind].items() if not option.modes or mode in option.modes}


def spell_chain(chain):
    """Return the canonical text of a chain; anything in it that prints as the notation will do."""
    return " -> ".join(map(str, chain))


def contains(chain, kind):
    """Say whether a layer of this kind is written anywhere in a chain."""
    for item in chain:
        if isinstance(item, Repeat):
            found = contains(item.body, kind)
        elif isinstance(item, Branches):
            found = any(contains(branch, kind) for branch in item.branches)
        else:
            found = item.kind == kind
        if found:
            return True
    return False


def count_layers(chain, times):
    """Return how many layers a chain has when its repeats are written out, without writing them out.

    A repeat that writes out to nothing counts as one, so that the count also bounds the work of writing it out.

    Parameters
    ----------
    chain : tuple
        As `parse` returns it.
    times : dict
        The number that each of the letters N, M and K stands for.

    Returns
    -------
    int
    """
    total = 0
    for item in chain:
        if isinstance(item, Repeat):
            total += max(1, times.get(item.times, item.times) * count_layers(item.body, times))
        elif isinstance(item, Branches):
            total += 1 + sum(count_layers(branch, times) for branch in item.branches)
        else:
            total += 1
    return total


def parse(text):
    """Read a text in the notation.

    Parameters
    ----------
    text : str
        For instance ``"INPUT -> [CONV -> RELU -> POOL]*2 -> FC"``.

    Returns
    -------
    tuple
        The chain of `Layer`, `Repeat` and `Branches` behind INPUT. ``"INPUT -> " + spell_chain(...)`` is its text.

    Raises
    ------
    ArchitectureError
        Where the text is not in the notation, with a caret under the place.
    """
    if not isinstance(text, str):
        raise ArchitectureError(f"an architecture is a text like 'INPUT -> CONV -> RELU -> FC', but {shown(text)} came")
    if len(text) > MAX_CHARACTERS:
        raise ArchitectureError(f"a text of {len(text)} characters came, and at most {MAX_CHARACTERS} can be read")
    return _Parser(text).network()


@dataclass(frozen=True)
class _Token:
    kind: str  # "word", "number", "mark" or "end"
    text: str
    position: int

    def __str__(self):
        return "the end of the text" if self.kind == "end" else shown(self.text)


_TOKEN = re.compile(
    r"""\s* (?: (?P<word>   [A-Za-z_][A-Za-z_0-9]* )
              | (?P<number> (?: [0-9]*\. )? [0-9]+ (?: [eE][+-]?[0-9]+ )? )
              | (?P<mark>   ->? | → | [][()*?+|=,] )
              | (?P<end>    \Z ) )""",
    re.VERBOSE,
)


def _tokens(text):
    tokens, position = [], 0
    while not (tokens and tokens[-1].kind == "end"):
        match = _TOKEN.match(text, position)
        if match is None:
            position = re.compile(r"\s*").match(text, position).end()
            expected = "a layer or one of -> [ ] ( ) * ? + |"
            raise error_at(f"expected {expected}, but found {text[position]!r}", text, position)
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return tokens


def _whole_number(text, lowest):
    """Return the whole number that a text spells, or None where it is none, too small or too large."""
    if not text.isdecimal() or len(text.lstrip("0")) > len(str(MAX_NUMBER)):
        return None
    number = int(text.lstrip("0") or "0")
    return number if lowest <= number <= MAX_NUMBER else None


class _Parser:
    """Recursive descent, a method for each rule of the grammar; each leaves the token after what it read."""

    def __init__(self, text):
        self.text = text
        self.tokens = _tokens(text)
        self.index = 0
        self.nesting = 0

    # What the rules are made of.

    @property
    def token(self):
        return self.tokens[self.index]

    def at(self, *texts):
        return self.token.kind != "end" and self.token.text in texts

    def take(self):
        token = self.token
        self.index += 1
        return token

    def take_value(self):
        """Take a token, and with a minus the number behind it; no value is negative, but an error shows all of it."""
        token = self.take()
        if token.text == "-" and self.token.kind == "number":
            return _Token("number", f"-{self.take().text}", token.position)
        return token

    def expect(self, mark, *others):
        if not self.at(mark):
            raise self.error(" or ".join(map(repr, (*others, mark))))
        return self.take()

    def error(self, expected, token=None, known=()):
        """Make an error at a token, which may be a misspelling of something known."""
        token = token or self.token
        hint = did_you_mean(token.text, known)
        return error_at(f"expected {expected}, but found {token}{hint}", self.text, token.position)

    def enter(self):
        opening = self.take()
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.error(f"at most {MAX_NESTING} brackets and parentheses within each other", opening)
        return opening

    def leave(self, closing, *others):
        self.expect(closing, *others)
        self.nesting -= 1

    # The rules.

    def network(self):
        bracketed = self.at("[")
        if bracketed:
            self.enter()
        if not self.at("INPUT"):
            raise self.error("INPUT, with which an architecture begins")
        self.take()
        if not self.at(*ARROWS):
            raise self.error("'->'")
        self.take()
        chain = self.chain()
        if bracketed:
            self.leave("]", "->")
        if self.token.kind != "end":
            raise self.error("the end of the text" if bracketed else "'->' or the end of the text")
        self.check_size(chain, 0)
        return chain

    def chain(self):
        items = [*self.item()]
        while self.at(*ARROWS):
            self.take()
            items += self.item()
        return tuple(items)

    def item(self):
        """Read one item; a tuple, since a group that is not repeated stands for all the items in it."""
        if self.at("["):
            return self.group()
        if self.at("("):
            return (self.branches(),)
        return (self.layer(),)

    def group(self):
        opening = self.enter()
        body = self.chain()
        self.leave("]", "->")
        if not self.at("*"):
            return body
        self.take()
        times = self.times(body)
        repeat = Repeat(body, times, opening.position)
        self.check_size((repeat,), opening.position)
        return (repeat,)

    def times(self, body):
        token = self.take_value()
        times = token.text if token.text in REPEAT_LETTERS else _whole_number(token.text, 0)
        if times is None:
            raise self.error(f"a whole number from 0 to {MAX_NUMBER}, N, M or K", token)
        if times == "K" and (contains(body, "CONV") or not contains(body, "FC")):
            message = "*K is the length of hidden_layer_sizes and repeats a group with FC layers and without CONV"
            raise error_at(message, self.text, token.position)
        return times

    def branches(self):
        opening = self.enter()
        branches = [self.branch()]
        if not self.at("+", "|"):
            raise self.error("'->', '+' or '|' and another branch")
        operator = self.token.text
        while self.at(operator):
            self.take()
            branches.append(self.branch())
        self.leave(")", "->", operator)
        return Branches(operator, tuple(branches), opening.position)

    def branch(self):
        if not self.at("SKIP"):
            return self.chain()
        skip = Layer("SKIP", position=self.take().position)
        if not self.at("+", "|", ")"):
            raise self.error("'+', '|' or ')', since SKIP is a whole branch")
        return (skip,)

    def layer(self):
        name = self.take()
        if name.text not in NOTATION:
            skip = " (SKIP is a whole branch of a sum or stack)" if name.text == "SKIP" else ""
            raise self.error(f"a layer ({', '.join(NOTATION)}), '[' or '('{skip}", name, NOTATION)
        options = self.options(name.text) if self.at("(") else {}
        optional = self.at("?")
        if optional and name.text != "POOL":
            raise error_at("only a POOL can be optional", self.text, self.token.position)
        if optional:
            self.take()
        return Layer(name.text, options, optional, name.position)

    def options(self, kind):
        allowed = NOTATION[kind]
        if not allowed:
            raise error_at(f"{kind} has nothing to say in parentheses", self.text, self.token.position)
        spelled, positions = {}, {}
        self.take()
        while not self.at(")"):
            if spelled:
                self.expect(",", ")")
            position = self.token.position
            name = self.option_name(kind)
            if name in spelled:
                raise error_at(f"{kind} says {name} twice", self.text, position)
            positions[name] = position
            token = self.take_value()
            spelled[name] = allowed[name].read(token.text) if token.kind != "end" else None
            if spelled[name] is None:
                raise self.error(f"{name} of {kind} to be {allowed[name].expected}", token)
        self.take()
        self.check_mode(kind, spelled, positions)
        return {name: spelled[name] for name in allowed if spelled.get(name) not in (None, allowed[name].default)}

    def check_mode(self, kind, spelled, positions):
        """Refuse a value that belongs to another mode of the layer."""
        if "mode" not in NOTATION[kind]:
            return
        mode = spelled.get("mode", NOTATION[kind]["mode"].words[0])
        known = options_of(kind, mode)
        for name, position in positions.items():
            if name not in known:
                modes = " or ".join(f"{kind}({mode})" for mode in NOTATION[kind][name].modes)
                raise error_at(f"{name} is a value of {modes}, but this is {kind}({mode})", self.text, position)

    def option_name(self, kind):
        """Return the name of the value that comes next: the one that stands before a "=", or the bare one's."""
        allowed = NOTATION[kind]
        if self.token.kind == "word" and self.tokens[self.index + 1].text == "=":
            name = self.take()
            if name.text not in allowed:
                raise self.error(f"one of {', '.join(allowed)} for {kind}", name, allowed)
            self.take()
            return name.text
        bare = next((name for name, option in allowed.items() if option.bare), None)
        if bare is None:
            raise self.error(f"{kind}'s values by name, " + ", ".join(f"{name}=" for name in allowed))
        return bare

    def check_size(self, chain, position):
        """Refuse what is too large whatever the letters stand for."""
        n_layers = count_layers(chain, dict.fromkeys(REPEAT_LETTERS, 1))
        if n_layers > MAX_LAYERS:
            raise error_at(f"{n_layers} layers, and at most {MAX_LAYERS} are allowed", self.text, position)
