"""What each opcode of the table computes, on one set of operands, by Python's integers and NumPy's floats.

`CASES` maps an opcode to its `Case`. Integers come and go as Python's int, floats as NumPy scalars, predicates as bool.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tests.engine.cuda.ptx.parser import BITS

SIGNED, UNSIGNED = ("s16", "s32", "s64"), ("u16", "u32", "u64")
INTEGERS, UNTYPED, FLOATS = SIGNED + UNSIGNED, ("b16", "b32", "b64"), ("f32", "f64")
FLOAT = {"f16": np.float16, "f32": np.float32, "f64": np.float64}


@dataclass(frozen=True)
class Case:
    """Types of the operands and of the result, and the twin; `more` is text after the operands.

    Results are equal where `error` is 0, else they differ by at most `error` of the result.
    """

    operands: tuple
    result: str
    twin: object
    more: str = ""
    error: float = 0


CASES = {}


def wrapped(value, type_):
    """An integer as its type holds it."""
    value &= (1 << BITS[type_]) - 1
    return value - (1 << BITS[type_]) if type_[0] == "s" and value >> (BITS[type_] - 1) else value


def _enter(opcode, operands, result, twin, **more):
    CASES[opcode] = Case(tuple(operands), result, twin, **more)


def flushed(value):
    """A denormal float32 as zero."""
    if isinstance(value, np.float32) and abs(value) < np.finfo(np.float32).tiny:
        return np.copysign(np.float32(0), value)
    return value


def _enter_float(opcode, operands, result, twin, **more):
    """Enter an opcode that ends with ".f32" and its form that flushes denormals, or one of .f64."""
    _enter(opcode, operands, result, twin, **more)
    if opcode.endswith(".f32"):
        flushing = lambda *values: flushed(twin(*map(flushed, values)))  # noqa: E731
        _enter(opcode.removesuffix("f32") + "ftz.f32", operands, result, flushing, **more)


# -- Integers ---------------------------------------------------------------------------------------------------------
def _divided(a, b):
    """Rounded towards zero; by 1 where PTX leaves it open (see `opcodes._quotient`)."""
    return a if b == 0 else abs(a) // abs(b) * (-1 if (a < 0) != (b < 0) else 1)


def _remainder(a, b):
    return 0 if b == 0 else a - b * _divided(a, b)


for type_ in INTEGERS:
    two, three = (type_, type_), (type_, type_, type_)
    _enter(f"add.{type_}", two, type_, lambda a, b: a + b)
    _enter(f"sub.{type_}", two, type_, lambda a, b: a - b)
    _enter(f"mul.lo.{type_}", two, type_, lambda a, b: a * b)
    _enter(f"mad.lo.{type_}", three, type_, lambda a, b, c: a * b + c)
    _enter(f"mul.hi.{type_}", two, type_, lambda a, b, n=BITS[type_]: a * b >> n)
    _enter(f"mad.hi.{type_}", three, type_, lambda a, b, c, n=BITS[type_]: (a * b >> n) + c)
    _enter(f"div.{type_}", two, type_, _divided)
    _enter(f"rem.{type_}", two, type_, _remainder)
    _enter(f"min.{type_}", two, type_, min)
    _enter(f"max.{type_}", two, type_, max)
    if BITS[type_] < 64:
        double = f"{type_[0]}{2 * BITS[type_]}"
        _enter(f"mul.wide.{type_}", two, double, lambda a, b: a * b)
        _enter(f"mad.wide.{type_}", (*two, double), double, lambda a, b, c: a * b + c)
for type_ in SIGNED:
    _enter(f"neg.{type_}", (type_,), type_, lambda a: -a)
    _enter(f"abs.{type_}", (type_,), type_, abs)


# -- Floats -----------------------------------------------------------------------------------------------------------
def _nearest(exact, dtype, zero):
    """The float nearest to a Fraction, ties to even; `zero` is the result where it is exactly zero."""
    if exact == 0:
        return zero
    sign = np.copysign(dtype(1), dtype(exact > 0) - dtype(0.5))
    try:
        guess = np.abs(dtype(float(exact)))
    except OverflowError:
        return sign * dtype(np.inf)
    if np.isinf(guess):
        return sign * guess
    around = [guess, np.nextafter(guess, dtype(0)), np.nextafter(guess, dtype(np.inf))]
    bits = f"u{guess.itemsize}"
    finite = [one for one in around if np.isfinite(one)]
    return sign * min(finite, key=lambda one: (abs(Fraction(float(one)) - abs(exact)), int(one.view(bits)) & 1))


def _fused(a, b, c):
    rounded = a * b + c
    if not np.isfinite([a, b, c]).all():
        return rounded
    return _nearest(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)), type(a), rounded)


def _least(a, b):
    """A number wins over NaN, and -0 is below 0."""
    if np.isnan(a) or np.isnan(b):
        return b if np.isnan(a) else a
    return min(a, b, key=lambda one: (one, not np.signbit(one)))


def _greatest(a, b):
    return -_least(-a, -b)


def _with_nan(choose):
    return lambda a, b: np.float32(np.nan) if np.isnan(a) or np.isnan(b) else choose(a, b)


for type_ in FLOATS:
    one = FLOAT[type_](1)
    for rounding in ("", "rn."):
        _enter_float(f"add.{rounding}{type_}", (type_, type_), type_, lambda a, b: a + b)
        _enter_float(f"sub.{rounding}{type_}", (type_, type_), type_, lambda a, b: a - b)
        _enter_float(f"mul.{rounding}{type_}", (type_, type_), type_, lambda a, b: a * b)
    _enter_float(f"fma.rn.{type_}", (type_, type_, type_), type_, _fused)
    _enter_float(f"div.rn.{type_}", (type_, type_), type_, lambda a, b: a / b)
    _enter_float(f"rcp.rn.{type_}", (type_,), type_, lambda a, one=one: one / a)
    _enter_float(f"sqrt.rn.{type_}", (type_,), type_, np.sqrt)
    _enter_float(f"rsqrt.approx.{type_}", (type_,), type_, lambda a, one=one: one / np.sqrt(a), error=1e-6)
    _enter_float(f"abs.{type_}", (type_,), type_, np.abs)
    _enter_float(f"neg.{type_}", (type_,), type_, lambda a: -a)
    _enter_float(f"min.{type_}", (type_, type_), type_, _least)
    _enter_float(f"max.{type_}", (type_, type_), type_, _greatest)
    _enter(f"copysign.{type_}", (type_, type_), type_, lambda a, b: np.copysign(b, a))
_enter_float("min.NaN.f32", ("f32", "f32"), "f32", _with_nan(_least))
_enter_float("max.NaN.f32", ("f32", "f32"), "f32", _with_nan(_greatest))
for name in ("div.approx", "div.full"):
    _enter_float(f"{name}.f32", ("f32", "f32"), "f32", lambda a, b: a / b, error=1e-6)
_enter_float("rcp.approx.f32", ("f32",), "f32", lambda a: np.float32(1) / a, error=1e-6)
_enter("rcp.approx.ftz.f64", ("f64",), "f64", lambda a: 1 / a, error=1e-6)


def _in_double(function):
    return lambda a: np.float32(function(np.float64(a)))


for name, function in {"sqrt": np.sqrt, "ex2": np.exp2, "lg2": np.log2, "sin": np.sin, "cos": np.cos}.items():
    _enter_float(f"{name}.approx.f32", ("f32",), "f32", _in_double(function), error=1e-6)
_enter("tanh.approx.f32", ("f32",), "f32", _in_double(np.tanh), error=1e-6)


def _is_denormal(a):
    return bool(0 < abs(a) < np.finfo(a.dtype).tiny)


for type_ in FLOATS:
    for name, twin in {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "notanumber": np.isnan,
        "number": lambda a: not np.isnan(a),
        "subnormal": _is_denormal,
        "normal": lambda a: np.isfinite(a) and a != 0 and not _is_denormal(a),
    }.items():
        _enter(f"testp.{name}.{type_}", (type_,), "pred", twin)

# -- Comparison, selection, moves -------------------------------------------------------------------------------------
_ORDERED = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


def _has_nan(a, b):
    return bool(np.isnan(a) or np.isnan(b))


def _float_comparisons():
    for name, twin in _ORDERED.items():
        yield name, lambda a, b, twin=twin: not _has_nan(a, b) and bool(twin(a, b))
        yield f"{name}u", lambda a, b, twin=twin: _has_nan(a, b) or bool(twin(a, b))
    yield "nan", _has_nan
    yield "num", lambda a, b: not _has_nan(a, b)


def _comparisons_of(type_):
    if type_ in FLOATS:
        return dict(_float_comparisons())
    if type_ in UNTYPED:
        return {name: _ORDERED[name] for name in ("eq", "ne")}
    more = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"} if type_ in UNSIGNED else {}
    return {**_ORDERED, **{name: _ORDERED[same] for name, same in more.items()}}


_LOGIC = {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b}

for type_ in (*INTEGERS, *UNTYPED, *FLOATS):
    for name, twin in _comparisons_of(type_).items():
        _enter_float(f"setp.{name}.{type_}", (type_, type_), "pred", twin)
        for combine, logic in _LOGIC.items():
            both = lambda a, b, c, twin=twin, logic=logic: logic(twin(a, b), c)  # noqa: E731
            _enter_float(f"setp.{name}.{combine}.{type_}", (type_, type_, "pred"), "pred", both)
    _enter(f"selp.{type_}", (type_, type_, "pred"), type_, lambda a, b, c: a if c else b)
for type_ in (*INTEGERS, *UNTYPED, *FLOATS, "pred"):
    _enter(f"mov.{type_}", (type_,), type_, lambda a: a)

# -- Bits -------------------------------------------------------------------------------------------------------------
for type_ in ("pred", *UNTYPED):
    for name, logic in _LOGIC.items():
        _enter(f"{name}.{type_}", (type_, type_), type_, logic)
    _enter(f"not.{type_}", (type_,), type_, (lambda a: not a) if type_ == "pred" else (lambda a: ~a))
for type_ in (*INTEGERS, *UNTYPED):
    _enter(f"shr.{type_}", (type_, "u32"), type_, lambda a, b: a >> min(b, 64))
for type_ in UNTYPED:
    _enter(f"shl.{type_}", (type_, "u32"), type_, lambda a, b: a << min(b, 64))
for mode, amount in (("wrap", lambda c: c & 31), ("clamp", lambda c: min(c, 32))):
    three = ("b32", "b32", "u32")
    _enter(f"shf.l.{mode}.b32", three, "b32", lambda a, b, c, n=amount: (b << 32 | a) << n(c) >> 32)
    _enter(f"shf.r.{mode}.b32", three, "b32", lambda a, b, c, n=amount: (b << 32 | a) >> n(c))
for type_ in ("b32", "b64"):
    width = BITS[type_]
    _enter(f"popc.{type_}", (type_,), "u32", int.bit_count)
    _enter(f"clz.{type_}", (type_,), "u32", lambda a, n=width: n - a.bit_length())
    _enter(f"brev.{type_}", (type_,), type_, lambda a, n=width: int(f"{a:0{n}b}"[::-1], 2))


def _extracted(signed, width):
    def twin(a, position, length):
        position, length = position & 255, length & 255
        if length == 0:
            return 0
        digits = [a >> k & 1 for k in range(width)]
        beyond = digits[-1] if signed else 0
        at = lambda k: digits[k] if k < width else beyond  # noqa: E731
        sign = at(position + length - 1) if signed else 0
        return sum((at(position + k) if k < length else sign) << k for k in range(width))

    return twin


def _inserted(width):
    def twin(a, b, position, length):
        position, length = position & 255, length & 255
        inside = lambda k: position <= k < position + length  # noqa: E731
        return sum(((a >> (k - position) if inside(k) else b >> k) & 1) << k for k in range(width))

    return twin


for letter in "us":
    for width in (32, 64):
        type_ = f"{letter}{width}"
        _enter(f"bfe.{type_}", (type_, "u32", "u32"), type_, _extracted(letter == "s", width))
for type_ in ("b32", "b64"):
    _enter(f"bfi.{type_}", (type_, type_, "u32", "u32"), type_, _inserted(BITS[type_]))


def _permuted(a, b, c):
    octets = a.to_bytes(4, "little") + b.to_bytes(4, "little")
    chosen = [(octets[c >> 4 * k & 7], c >> 4 * k & 8) for k in range(4)]
    return int.from_bytes([255 * (octet >> 7) if by_sign else octet for octet, by_sign in chosen], "little")


_enter("prmt.b32", ("b32", "b32", "b32"), "b32", _permuted)
_enter("lop3.b32", ("b32", "b32", "b32"), "b32", lambda a, b, c: (a & b) | (~a & c), more=", 0xCA")

# -- Conversions ------------------------------------------------------------------------------------------------------
_ROUND = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def _limits(type_):
    half = 1 << (BITS[type_] - 1)
    return (-half, half - 1) if type_[0] == "s" else (0, 2 * half - 1)


def _clamped(target):
    least, greatest = _limits(target)
    return lambda a: max(least, min(a, greatest))


def _to_integer(target, rounding):
    def twin(a):
        if np.isnan(a):
            return 0
        least, greatest = _limits(target)
        whole = _ROUND[rounding](a)
        return max(least, min(int(whole), greatest)) if np.isfinite(a) else greatest if a > 0 else least

    return twin


def _to_float(target):
    return lambda a: _nearest(Fraction(a), FLOAT[target], FLOAT[target](0))


for target in ("s8", "u8", *INTEGERS):
    for source in ("s8", "u8", *INTEGERS):
        _enter(f"cvt.{target}.{source}", (source,), target, lambda a: a)
        _enter(f"cvt.sat.{target}.{source}", (source,), target, _clamped(target))
    for source in FLOATS:
        _enter(f"cvt.rn.{source}.{target}", (target,), source, _to_float(source))
        for rounding in _ROUND:
            _enter(f"cvt.{rounding}.{target}.{source}", (source,), target, _to_integer(target, rounding))
for type_ in FLOATS:
    unit = lambda a: a.dtype.type(0) if np.isnan(a) or a <= 0 else min(a, a.dtype.type(1))  # noqa: E731
    _enter(f"cvt.{type_}.{type_}", (type_,), type_, lambda a: a)
    _enter(f"cvt.sat.{type_}.{type_}", (type_,), type_, unit)
    for rounding, twin in _ROUND.items():
        _enter(f"cvt.{rounding}.{type_}.{type_}", (type_,), type_, twin)
for wide, narrow in (("f64", "f32"), ("f32", "f16")):
    _enter(f"cvt.{wide}.{narrow}", (narrow,), wide, FLOAT[wide])
    _enter(f"cvt.rn.{narrow}.{wide}", (wide,), narrow, FLOAT[narrow])
_enter("cvt.ftz.f64.f32", ("f32",), "f64", lambda a: np.float64(flushed(a)))
_enter("cvt.rn.ftz.f32.f64", ("f64",), "f32", lambda a: flushed(np.float32(a)))


def _tf32(a):
    """The nearest float32 with 10 bits of mantissa, ties away from zero, as its bits."""
    if np.isnan(a):
        return 0x7FFFFFFF
    bits = int(a.view(np.uint32))
    return (bits + (1 << 12)) >> 13 << 13


_enter("cvt.rna.tf32.f32", ("f32",), "b32", _tf32)
