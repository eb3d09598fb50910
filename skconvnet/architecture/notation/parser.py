"""The parser: from a text in the notation to the tree.

The notation is that of the Stanford CS231n notes, https://cs231n.github.io/convolutional-networks/#layerpat::

    network  =  trunk  |  "[" trunk "]"
    trunk    =  INPUT "->" chain
    chain    =  item { "->" item }
    item     =  layer  |  "[" chain "]" [ "*" times ]  |  sum  |  stack  |  gate
    sum      =  "(" branch "+" branch { "+" branch } ")"
    stack    =  "(" branch "|" branch { "|" branch } ")"
    gate     =  "(" branch "*" branch ")"
    branch   =  chain  |  SKIP
    layer    =  NAME [ "(" [ value { "," value } ] ")" ] [ "?" ]         only a POOL can be optional
    value    =  [ name "=" ] ( number [ "x" number ] | word )
    times    =  a whole number  |  N  |  M  |  K

``-`` and ``→`` mean the same as ``->``, and ``.5`` the same as ``0.5``. ``3x1`` is 3 in width and 1 in height. Brackets
without a repeat are dropped. Behind ``]``, a ``*`` in front of a layer or a bracket is that of a gate. The layers and
their options are in `skconvnet.architecture.notation.table`.
"""

import re
from dataclasses import dataclass

from skconvnet.architecture.errors import ArchitectureError, did_you_mean, error_at, shown
from skconvnet.architecture.notation.names import OPTIONS_ELSEWHERE, explain
from skconvnet.architecture.notation.table import (
    ARROWS,
    MAX_CHARACTERS,
    MAX_LAYERS,
    MAX_NESTING,
    MAX_NUMBER,
    NOTATION,
    OPERATORS,
    REPEAT_LETTERS,
    options_of,
    read_whole_number,
)
from skconvnet.architecture.notation.tree import Branches, Layer, Repeat, contains, count_layers


def parse(text):
    """Parse a text in the notation.

    Parameters
    ----------
    text : str
        For instance ``"INPUT -> [CONV -> RELU -> POOL]*2 -> FC"``.

    Returns
    -------
    tuple
        The chain after INPUT, made of `Layer`, `Repeat` and `Branches`.

    Raises
    ------
    ArchitectureError
        If the text is not in the notation. The error shows the text with a caret under the place.
    """
    if not isinstance(text, str):
        raise ArchitectureError(
            f"an architecture must be a text such as 'INPUT -> CONV -> RELU -> FC', got {shown(text)}"
        )
    if len(text) > MAX_CHARACTERS:
        raise ArchitectureError(f"the text has {len(text)} characters, and at most {MAX_CHARACTERS} are allowed")
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
              | (?P<number> [0-9]+x[0-9]+ | (?: [0-9]*\. )? [0-9]+ (?: [eE][+-]?[0-9]+ )? )
              | (?P<mark>   ->? | → | [][()*?+|=,] )
              | (?P<end>    \Z ) )""",
    re.VERBOSE,
)


def _tokens(text):
    tokens, position = [], 0
    while not (tokens and tokens[-1].kind == "end"):
        match = _TOKEN.match(text, position)
        mistaken = _MISTAKEN.match(text, position)
        if match is None or mistaken:
            position = re.compile(r"\s*").match(text, position).end()
            found = mistaken[mistaken.lastgroup] if mistaken else text[position]
            hint = f": did you mean {_MEANT[mistaken.lastgroup]}?" if mistaken else ""
            expected = "a layer or one of -> [ ] ( ) * ? + |"
            raise error_at(f"expected {expected}, but found {found!r}{hint}", text, position)
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return tokens


_MISTAKEN = re.compile(r"\s*(?:(?P<arrow>--+>?|=*>|[—–⇒])|(?P<star>×))")
_MEANT = {"arrow": "'->'", "star": "'*', as in [CONV -> RELU]*2"}
_PAIR = " (width x height is written as in 3x1)"


class _Parser:
    """A recursive descent parser with one method per rule. Each method leaves `index` after the tokens it read."""

    def __init__(self, text):
        self.text = text
        self.tokens = _tokens(text)
        self.index = 0
        self.nesting = 0

    # Helpers of the rules.

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
        """Take a token; after a minus sign also the number, so that an error about a negative number shows it whole."""
        token = self.take()
        if token.text == "-" and self.token.kind == "number":
            return _Token("number", f"-{self.take().text}", token.position)
        return token

    def expect(self, mark, *others):
        if not self.at(mark):
            raise self.error(" or ".join(map(repr, (*others, mark))))
        return self.take()

    def error(self, expected, token=None, hint=""):
        """Return the error for a token, by default the current one. The hint says what to write instead."""
        token = token or self.token
        return error_at(f"expected {expected}, but found {token}{hint}", self.text, token.position)

    def how_to_write(self):
        """Return what the token may stand for, for the error: an operator outside parentheses, or a repeat as "x2"."""
        if self.tokens[self.index - 1].text == "]" and re.fullmatch(r"[xX]?\d*", self.token.text):
            return f" (a repeat is written with a star, as in ]*{self.token.text.lstrip('xX') or 2})"
        if self.at("*"):
            return " (a gate is (A * B), and a repeat [A]*2)"
        return f" (branches are in parentheses: (A {self.token.text} B))" if self.at(*OPERATORS) else ""

    def enter(self):
        opening = self.take()
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.error(f"at most {MAX_NESTING} nested brackets and parentheses", opening)
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
            hint = did_you_mean(self.token.text, ["INPUT"])
            raise self.error("INPUT, the beginning of an architecture", hint=hint)
        self.take()
        if not self.at(*ARROWS):
            raise self.error("'->'")
        self.take()
        chain = self.chain()
        if bracketed:
            self.leave("]", "->")
        if self.token.kind != "end":
            raise self.error(
                "the end of the text" if bracketed else f"'->' or the end of the text{self.how_to_write()}"
            )
        self.check_size(chain, 0)
        return chain

    def chain(self):
        items = [*self.item()]
        while self.at(*ARROWS):
            self.take()
            items += self.item()
        return tuple(items)

    def item(self):
        """Return the items as a tuple, since a group without a repeat is replaced by its items."""
        if self.at("["):
            return self.group()
        if self.at("("):
            return (self.branches(),)
        return (self.layer(),)

    def group(self):
        opening = self.enter()
        body = self.chain()
        self.leave("]", "->")
        if not self.at("*") or self.at_gate():
            return body
        self.take()
        times = self.times(body)
        repeat = Repeat(body, times, opening.position)
        self.check_size((repeat,), opening.position)
        return (repeat,)

    def at_gate(self):
        """Whether a branch follows the ``*``, and not how often a group is repeated."""
        following = self.tokens[self.index + 1].text
        return following in NOTATION or following in ("SKIP", "[", "(")

    def times(self, body):
        token = self.take_value()
        times = token.text if token.text in REPEAT_LETTERS else read_whole_number(token.text, 0)
        if times is None:
            raise self.error(f"a whole number from 0 to {MAX_NUMBER}, N, M or K", token)
        if times == "K" and (contains(body, "CONV") or not contains(body, "FC")):
            message = "*K repeats a group once per value in hidden_layer_sizes: the group must contain FC, and no CONV"
            raise error_at(message, self.text, token.position)
        return times

    def branches(self):
        opening = self.enter()
        branches = [self.branch()]
        if not self.at(*OPERATORS):
            raise self.error("'->', '+', '|' or '*' and another branch")
        operator = self.token.text
        while self.at(operator):
            self.take()
            branches.append(self.branch())
            if self.at("*") and operator == "*":
                raise self.error("'->' or ')', since a gate has two branches; three are ((A * B) * C)")
        self.leave(")", "->", *([operator] if operator != "*" else []))
        return Branches(operator, tuple(branches), opening.position)

    def branch(self):
        if not self.at("SKIP"):
            return self.chain()
        skip = Layer("SKIP", position=self.take().position)
        if not self.at(*OPERATORS, ")"):
            raise self.error("'+', '|', '*' or ')' after SKIP, which is a branch by itself")
        return (skip,)

    def layer(self):
        name = self.take()
        if name.text not in NOTATION and (explanation := explain(name.text)):
            raise error_at(explanation, self.text, name.position)
        if name.text not in NOTATION:
            skip = " (SKIP is a branch by itself in a sum, stack or gate)" if name.text == "SKIP" else ""
            raise self.error(
                f"a layer ({', '.join(NOTATION)}), '[' or '('{skip}", name, did_you_mean(name.text, NOTATION)
            )
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
            raise error_at(f"{kind} has no options", self.text, self.token.position)
        spelled, positions, pair = {}, {}, ""  # the last: how an option of two numbers is written
        self.take()
        while not self.at(")"):
            if pair and self.token.text.startswith(("x", "X", "*")):
                raise self.error(f"')' or ','{pair}")
            if spelled:
                self.expect(",", ")")
            self.refuse_layer(kind)
            position = self.token.position
            name = self.option_name(kind, pair)
            if name in spelled:
                raise error_at(f"{kind} has {name} twice", self.text, position)
            positions[name] = position
            token = self.take_value()
            spelled[name] = allowed[name].read(token.text) if token.kind != "end" else None
            if spelled[name] is None:
                is_F = name == "mode" and kind == "POOL" and token.kind == "number"
                note = f" (the extent is written by name, as in F={token.text})" if is_F else ""
                is_pair = re.fullmatch(r"\d+x\d+", token.text) and not is_F
                note += ", which is one number" if is_pair else ""
                hint = did_you_mean(token.text, allowed[name].words)
                raise self.error(f"{allowed[name].expected} for {name} of {kind}{note}", token, hint)
            pair = _PAIR if allowed[name].per_axis else ""
        self.take()
        self.check_mode(kind, spelled, positions)
        return {name: spelled[name] for name in allowed if spelled.get(name) not in (None, allowed[name].default)}

    def refuse_layer(self, kind):
        """Reject a layer as the name or the value of the next option of another layer."""
        allowed = NOTATION[kind]
        known = {*allowed, *(word for option in allowed.values() for word in option.words)}
        name, *following = self.tokens[self.index : self.index + 3]
        value = following[1:] if following and following[0].text == "=" else []
        for token in (*value, name):
            layer = token.text.upper()
            is_no_activation = token is not name and token.text == "linear"  # in other libraries, not a layer
            if token.kind != "word" or token.text in known or is_no_activation:
                continue
            if layer in NOTATION:
                raise error_at(f"{layer} is a layer: write -> {layer} after {kind}", self.text, token.position)
            if explanation := explain(token.text):
                raise error_at(explanation, self.text, token.position)

    def check_mode(self, kind, spelled, positions):
        """Reject options that belong to another mode of the layer."""
        if "mode" not in NOTATION[kind]:
            return
        mode = spelled.get("mode", NOTATION[kind]["mode"].words[0])
        known = options_of(kind, mode)
        for name, position in positions.items():
            if name not in known:
                modes = " or ".join(f"{kind}({mode})" for mode in NOTATION[kind][name].modes)
                raise error_at(f"{name} is an option of {modes}, but this is {kind}({mode})", self.text, position)

    def option_name(self, kind, hint):
        """Return the name of the next option: the word before "=", or the name of the bare option."""
        allowed = NOTATION[kind]
        if self.token.kind == "word" and self.tokens[self.index + 1].text == "=":
            name = self.take()
            if name.text not in allowed:
                hint = self.option_meant(kind, name)
                raise self.error(f"an option of {kind} ({', '.join(allowed)})", name, hint)
            self.take()
            return name.text
        bare = next((name for name, option in allowed.items() if option.bare), None)
        if bare is None:
            if self.token.kind == "number" and not hint:
                likely = "F" if "x" in self.token.text else next(iter(allowed))
                hint = f" (did you mean {likely}={self.token.text}?)"
            hint = hint if self.token.kind == "number" else ""
            raise self.error(f"the options of {kind} by name, " + ", ".join(f"{name}=" for name in allowed) + hint)
        return bare

    def option_meant(self, kind, name):
        """Return the end of the error about an unknown option: what to write. The parser is at the "=" behind it."""
        allowed = NOTATION[kind]
        value = self.tokens[self.index + 1].text
        if len(allowed) == 1 and next(iter(allowed.values())).read(value) is not None:
            return f": write {kind}({value})"
        meant = OPTIONS_ELSEWHERE.get(name.text)
        return f": that is written {meant} here" if meant in allowed else did_you_mean(name.text, allowed)

    def check_size(self, chain, position):
        """Reject a chain with too many layers even if each letter is 1."""
        n_layers = count_layers(chain, dict.fromkeys(REPEAT_LETTERS, 1))
        if n_layers > MAX_LAYERS:
            raise error_at(f"{n_layers} layers, and at most {MAX_LAYERS} are allowed", self.text, position)
