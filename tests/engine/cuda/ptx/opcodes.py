"""The table of PTX's opcodes: what each computes, as LLVM IR.

`TABLE` maps an opcode with all its modifiers to a function `emit(e, *operands)`, where `e` reads operands, writes
registers and appends lines of IR (see `translate.Emitter`). Memory and control flow are in `translate`; these
opcodes are those that compute, and those by which the lanes of a warp exchange values.

Source: NVIDIA, "Parallel Thread Execution ISA", version 9.0, section "Instructions". Where PTX leaves a result to the
hardware (`.approx`), the correctly rounded result is computed.
"""

from functools import wraps

from tests.engine.cuda.ptx.parser import BITS

IR = {
    type_: {"pred": "i1", "f16": "half", "f32": "float", "f64": "double"}.get(type_, f"i{bits}")
    for type_, bits in BITS.items()
}
SIGNED = ("s16", "s32", "s64")
UNSIGNED = ("u16", "u32", "u64")
INTEGERS = SIGNED + UNSIGNED
UNTYPED = ("b16", "b32", "b64")
FLOATS = ("f32", "f64")

TABLE = {}


def _enter(opcode):
    """Decorate the function that emits one opcode."""

    def enter(emit):
        TABLE[opcode] = emit
        return emit

    return enter


def _is_signed(type_):
    return type_[0] == "s"


# -- Arithmetic of integers and floats -----------------------------------------------------------------------------
def _binary(instruction, type_):
    def emit(e, d, a, b):
        e.write(d, e.op(f"{instruction} {IR[type_]} {e.read(a, type_)}, {e.read(b, type_)}"), type_)

    return emit


def _intrinsic(name, type_, extra=""):
    """d = llvm.name(a, ...)."""

    def emit(e, d, *operands):
        e.write(d, e.call(name, type_, *[e.read(one, type_) for one in operands], extra=extra), type_)

    return emit


def _fused_integer(type_):
    def emit(e, d, a, b, c):
        product = e.two("mul", IR[type_], e.read(a, type_), e.read(b, type_))
        e.write(d, e.two("add", IR[type_], product, e.read(c, type_)), type_)

    return emit


def _full_product(e, a, b, type_):
    """The product of twice the width, which never overflows, and its type."""
    wide, extend = f"i{2 * BITS[type_]}", "sext" if _is_signed(type_) else "zext"
    factors = [e.op(f"{extend} {IR[type_]} {e.read(one, type_)} to {wide}") for one in (a, b)]
    return e.two("mul", wide, factors[0], factors[1]), wide


def _wide_product(type_):
    double = f"{type_[0]}{2 * BITS[type_]}"

    def emit(e, d, a, b, *c):
        product, wide = _full_product(e, a, b, type_)
        if c:
            product = e.two("add", wide, product, e.read(c[0], double))
        e.write(d, product, double)

    return emit


def _high_product(type_):
    def emit(e, d, a, b, *c):
        product, wide = _full_product(e, a, b, type_)
        upper = e.two("lshr", wide, product, BITS[type_])
        upper = e.op(f"trunc {wide} {upper} to {IR[type_]}")
        if c:
            upper = e.two("add", IR[type_], upper, e.read(c[0], type_))
        e.write(d, upper, type_)

    return emit


def _quotient(instruction, type_):
    """Division by zero and INT_MIN / -1 are undefined in LLVM, and some number in PTX: we divide by 1."""

    def emit(e, d, a, b):
        kind, x, y = IR[type_], e.read(a, type_), e.read(b, type_)
        bad = e.op(f"icmp eq {kind} {y}, 0")
        if _is_signed(type_):
            smallest = e.op(f"icmp eq {kind} {x}, {-(1 << (BITS[type_] - 1))}")
            minus_one = e.op(f"icmp eq {kind} {y}, -1")
            bad = e.two("or", "i1", bad, e.two("and", "i1", smallest, minus_one))
        divisor = e.op(f"select i1 {bad}, {kind} 1, {kind} {y}")
        e.write(d, e.op(f"{instruction} {kind} {x}, {divisor}"), type_)

    return emit


def _negative(type_):
    def emit(e, d, a):
        text = f"fneg {IR[type_]}" if type_ in FLOATS else f"sub {IR[type_]} 0,"
        e.write(d, e.op(f"{text} {e.read(a, type_)}"), type_)

    return emit


for type_ in INTEGERS:
    letter = type_[0]
    TABLE[f"add.{type_}"] = _binary("add", type_)
    TABLE[f"sub.{type_}"] = _binary("sub", type_)
    TABLE[f"mul.lo.{type_}"] = _binary("mul", type_)
    TABLE[f"mad.lo.{type_}"] = _fused_integer(type_)
    TABLE[f"mul.hi.{type_}"] = TABLE[f"mad.hi.{type_}"] = _high_product(type_)
    TABLE[f"div.{type_}"] = _quotient(f"{letter}div", type_)
    TABLE[f"rem.{type_}"] = _quotient(f"{letter}rem", type_)
    TABLE[f"min.{type_}"] = _intrinsic(f"{letter}min", type_)
    TABLE[f"max.{type_}"] = _intrinsic(f"{letter}max", type_)
    if BITS[type_] < 64:
        TABLE[f"mul.wide.{type_}"] = TABLE[f"mad.wide.{type_}"] = _wide_product(type_)
for type_ in SIGNED:
    TABLE[f"neg.{type_}"] = _negative(type_)
    TABLE[f"abs.{type_}"] = _intrinsic("abs", type_, extra=", i1 false")


def _flushed(e, value):
    """A denormal float32 as the zero of its sign."""
    size = e.call("fabs", "f32", value)
    small = e.op(f"fcmp olt float {size}, 0x3810000000000000")
    return e.op(f"select i1 {small}, float {e.call('copysign', 'f32', '0.0', value)}, float {value}")


class _Flushing:
    """An emitter that flushes what is read and written: `.ftz`."""

    def __init__(self, emitter):
        self._emitter = emitter

    def __getattr__(self, name):
        return getattr(self._emitter, name)

    def read(self, operand, type_):
        value = self._emitter.read(operand, type_)
        return _flushed(self._emitter, value) if type_ == "f32" else value

    def write(self, operand, value, type_):
        self._emitter.write(operand, _flushed(self._emitter, value) if type_ == "f32" else value, type_)


def _flush(emit):
    @wraps(emit)
    def flushing(e, *operands):
        emit(_Flushing(e), *operands)

    return flushing


def _with_flush(opcode, emit):
    """Enter an opcode that ends with ".f32", and its `.ftz` form."""
    TABLE[opcode] = emit
    if opcode.endswith(".f32"):
        TABLE[opcode[: -len("f32")] + "ftz.f32"] = _flush(emit)


def _reciprocal(type_, of_root=False):
    def emit(e, d, a):
        value = e.read(a, type_)
        if of_root:
            value = e.call("sqrt", type_, value)
        e.write(d, e.two("fdiv", IR[type_], "1.0", value), type_)

    return emit


for type_ in FLOATS:
    for rounding in ("", "rn."):
        for name in ("add", "sub", "mul"):
            _with_flush(f"{name}.{rounding}{type_}", _binary(f"f{name}", type_))
    _with_flush(f"fma.rn.{type_}", _intrinsic("fma", type_))
    _with_flush(f"div.rn.{type_}", _binary("fdiv", type_))
    _with_flush(f"rcp.rn.{type_}", _reciprocal(type_))
    _with_flush(f"sqrt.rn.{type_}", _intrinsic("sqrt", type_))
    _with_flush(f"rsqrt.approx.{type_}", _reciprocal(type_, of_root=True))
    _with_flush(f"abs.{type_}", _intrinsic("fabs", type_))
    _with_flush(f"neg.{type_}", _negative(type_))
    for name in ("min", "max"):
        _with_flush(f"{name}.{type_}", _intrinsic(f"{name}imumnum", type_))  # a number wins over NaN; -0 < +0
for name in ("min", "max"):
    _with_flush(f"{name}.NaN.f32", _intrinsic(f"{name}imum", "f32"))
for name in ("div.approx", "div.full"):
    _with_flush(f"{name}.f32", _binary("fdiv", "f32"))
_with_flush("rcp.approx.f32", _reciprocal("f32"))
TABLE["rcp.approx.ftz.f64"] = _reciprocal("f64")
for name, function in (("sqrt", "sqrt"), ("ex2", "exp2"), ("lg2", "log2"), ("sin", "sin"), ("cos", "cos")):
    _with_flush(f"{name}.approx.f32", _intrinsic(function, "f32"))
TABLE["tanh.approx.f32"] = _intrinsic("tanh", "f32")


def _copysign(type_):
    """The sign of a, the magnitude of b: LLVM takes them the other way round."""

    def emit(e, d, a, b):
        e.write(d, e.call("copysign", type_, e.read(b, type_), e.read(a, type_)), type_)

    return emit


for type_ in FLOATS:
    TABLE[f"copysign.{type_}"] = _copysign(type_)


def _test_property(classes, type_):
    def emit(e, d, a):
        e.write(d, e.is_class(type_, e.read(a, type_), classes), "pred")

    return emit


# Masks of llvm.is.fpclass: 1 sNaN, 2 qNaN, 4 -inf, 8 -normal, 16 -denormal, 32 -0, 64 +0, 128 +denormal, 256, 512 +inf.
for name, classes in {
    "finite": 504,
    "infinite": 516,
    "number": 1020,
    "notanumber": 3,
    "normal": 264,
    "subnormal": 144,
}.items():
    for type_ in FLOATS:
        TABLE[f"testp.{name}.{type_}"] = _test_property(classes, type_)

# -- Comparison and selection --------------------------------------------------------------------------------------
_INTEGER_COMPARISONS = {name: name for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_UNSIGNED_COMPARISONS = {"lo": "ult", "ls": "ule", "hi": "ugt", "hs": "uge"}
_FLOAT_COMPARISONS = {
    **{name: f"o{name}" for name in _INTEGER_COMPARISONS},
    **{f"{name}u": f"u{name}" for name in _INTEGER_COMPARISONS},
    "num": "ord",
    "nan": "uno",
}


def _comparison(predicate, type_, combine=None):
    def emit(e, d, a, b, *c):
        instruction = "fcmp" if type_ in FLOATS else "icmp"
        value = e.op(f"{instruction} {predicate} {IR[type_]} {e.read(a, type_)}, {e.read(b, type_)}")
        targets = d if isinstance(d, tuple) else (d,)
        for number, target in enumerate(targets):  # "p|q": q is the opposite comparison
            result = value if number == 0 else e.two("xor", "i1", value, "true")
            if combine:
                result = e.op(f"{combine} i1 {result}, {e.read(c[0], 'pred')}")
            e.write(target, result, "pred")

    return emit


def _comparisons_of(type_):
    """The comparisons of a type, PTX's name to LLVM's."""
    if type_ in FLOATS:
        return _FLOAT_COMPARISONS
    if type_ in UNTYPED:
        return {"eq": "eq", "ne": "ne"}
    named = {name: name if name in ("eq", "ne") else type_[0] + name for name in _INTEGER_COMPARISONS}
    return named if _is_signed(type_) else {**named, **_UNSIGNED_COMPARISONS}


for type_ in (*INTEGERS, *UNTYPED, *FLOATS):
    for name, predicate in _comparisons_of(type_).items():
        _with_flush(f"setp.{name}.{type_}", _comparison(predicate, type_))
        for combine in ("and", "or", "xor"):
            _with_flush(f"setp.{name}.{combine}.{type_}", _comparison(predicate, type_, combine))


def _selection(type_):
    def emit(e, d, a, b, c):
        kind = IR[type_]
        x, y = e.read(a, type_), e.read(b, type_)
        e.write(d, e.op(f"select i1 {e.read(c, 'pred')}, {kind} {x}, {kind} {y}"), type_)

    return emit


for type_ in (*INTEGERS, *UNTYPED, *FLOATS):
    TABLE[f"selp.{type_}"] = _selection(type_)


# -- Moves ---------------------------------------------------------------------------------------------------------
def _move(type_):
    """A copy; of a vector's parts into a wider register, low part first, or the other way round."""

    def emit(e, d, a):
        if isinstance(a, tuple):
            e.write(d, _packed(e, a, type_), type_)
        elif isinstance(d, tuple):
            _unpack(e, d, e.read(a, type_), type_)
        else:
            e.write(d, e.read(a, type_), type_)

    return emit


def _packed(e, parts, type_):
    width = BITS[type_] // len(parts)
    total = "0"
    for number, part in enumerate(parts):
        wide = e.op(f"zext i{width} {e.read(part, f'b{width}')} to {IR[type_]}")
        total = e.two("or", IR[type_], total, e.two("shl", IR[type_], wide, number * width))
    return total


def _unpack(e, parts, value, type_):
    width = BITS[type_] // len(parts)
    for number, part in enumerate(parts):
        shifted = e.two("lshr", IR[type_], value, number * width)
        e.write(part, e.op(f"trunc {IR[type_]} {shifted} to i{width}"), f"b{width}")


for type_ in (*INTEGERS, *UNTYPED, *FLOATS, "pred"):
    TABLE[f"mov.{type_}"] = _move(type_)

# -- Bits ----------------------------------------------------------------------------------------------------------
for type_ in ("pred", *UNTYPED):
    for name in ("and", "or", "xor"):
        TABLE[f"{name}.{type_}"] = _binary(name, type_)


def _complement(type_):
    def emit(e, d, a):
        ones = "true" if type_ == "pred" else "-1"
        e.write(d, e.two("xor", IR[type_], e.read(a, type_), ones), type_)

    return emit


for type_ in ("pred", *UNTYPED):
    TABLE[f"not.{type_}"] = _complement(type_)


def _resized(e, value, source, target):
    """A number of i`source` as one of i`target`, unsigned."""
    if source == target:
        return value
    return e.op(f"{'zext' if source < target else 'trunc'} i{source} {value} to i{target}")


def _shift(instruction, type_):
    """Amounts beyond the width give 0, or copies of the sign: PTX clamps, LLVM leaves it undefined."""
    width = BITS[type_]

    def emit(e, d, a, b):
        kind, amount = IR[type_], e.read(b, "u32")
        inside = e.call("umin", "u32", amount, str(width - 1))
        shifted = e.op(f"{instruction} {kind} {e.read(a, type_)}, {_resized(e, inside, 32, width)}")
        if instruction != "ashr":
            beyond = e.op(f"icmp ugt i32 {amount}, {width - 1}")
            shifted = e.op(f"select i1 {beyond}, {kind} 0, {kind} {shifted}")
        e.write(d, shifted, type_)

    return emit


for type_ in (*INTEGERS, *UNTYPED):
    TABLE[f"shr.{type_}"] = _shift("ashr" if _is_signed(type_) else "lshr", type_)
for type_ in UNTYPED:
    TABLE[f"shl.{type_}"] = _shift("shl", type_)


def _funnel_shift(left, clamp):
    """The upper word of {b, a} << c, or the lower word of {b, a} >> c."""

    def emit(e, d, a, b, c):
        low = e.convert("zext", e.read(a, "b32"), "i32", "i64")
        high = e.convert("zext", e.read(b, "b32"), "i32", "i64")
        both, amount = e.two("or", "i64", e.two("shl", "i64", high, 32), low), e.read(c, "u32")
        amount = e.call("umin", "u32", amount, "32") if clamp else e.two("and", "i32", amount, 31)
        shifted = e.two("shl" if left else "lshr", "i64", both, e.convert("zext", amount, "i32", "i64"))
        if left:
            shifted = e.two("lshr", "i64", shifted, 32)
        e.write(d, e.convert("trunc", shifted, "i64", "i32"), "b32")

    return emit


for direction in "lr":
    for mode in ("wrap", "clamp"):
        TABLE[f"shf.{direction}.{mode}.b32"] = _funnel_shift(direction == "l", mode == "clamp")


def _count(function, type_, extra=""):
    def emit(e, d, a):
        counted = e.call(function, type_, e.read(a, type_), extra=extra)
        e.write(d, _resized(e, counted, BITS[type_], 32), "u32")

    return emit


for type_ in ("b32", "b64"):
    TABLE[f"popc.{type_}"] = _count("ctpop", type_)
    TABLE[f"clz.{type_}"] = _count("ctlz", type_, extra=", i1 false")
    TABLE[f"brev.{type_}"] = _intrinsic("bitreverse", type_)


def _low_byte_up_to(e, operand, most, wide):
    """min(operand & 255, most) as a number of type `wide`: positions and lengths of bit fields."""
    byte = e.two("and", "i32", e.read(operand, "u32"), 255)
    return _resized(e, e.call("umin", "u32", byte, str(most)), 32, int(wide[1:]))


def _extract_field(type_):
    """d = bits [b, b + c) of a, sign-extended for a signed type. Twice the width makes every shift defined."""
    width = BITS[type_]
    wide = f"i{2 * width}"

    def emit(e, d, a, b, c):
        signed = _is_signed(type_)
        value = e.op(f"{'sext' if signed else 'zext'} {IR[type_]} {e.read(a, type_)} to {wide}")
        value = e.op(f"{'ashr' if signed else 'lshr'} {wide} {value}, {_low_byte_up_to(e, b, width, wide)}")
        length = _low_byte_up_to(e, c, width, wide)
        none = e.op(f"icmp eq {wide} {length}, 0")
        rest = e.two("sub", wide, 2 * width, e.op(f"select i1 {none}, {wide} 1, {wide} {length}"))
        value = e.two("shl", wide, value, rest)
        value = e.op(f"{'ashr' if signed else 'lshr'} {wide} {value}, {rest}")
        value = e.op(f"select i1 {none}, {wide} 0, {wide} {value}")
        e.write(d, e.op(f"trunc {wide} {value} to {IR[type_]}"), type_)

    return emit


def _insert_field(type_):
    """f = b with a's lowest `length` bits at [position, position + length)."""
    width = BITS[type_]
    wide = f"i{2 * width}"

    def emit(e, f, a, b, position, length):
        place, many = (_low_byte_up_to(e, one, width, wide) for one in (position, length))
        ones = e.two("sub", wide, e.two("shl", wide, 1, many), 1)
        mask = e.convert("trunc", e.two("shl", wide, ones, place), wide, IR[type_])
        value = e.convert("zext", e.read(a, type_), IR[type_], wide)
        value = e.convert("trunc", e.two("shl", wide, value, place), wide, IR[type_])
        kept = e.two("and", IR[type_], e.read(b, type_), e.two("xor", IR[type_], mask, -1))
        e.write(f, e.two("or", IR[type_], kept, e.two("and", IR[type_], value, mask)), type_)

    return emit


for type_ in ("u32", "s32", "u64", "s64"):
    TABLE[f"bfe.{type_}"] = _extract_field(type_)
for type_ in ("b32", "b64"):
    TABLE[f"bfi.{type_}"] = _insert_field(type_)


@_enter("prmt.b32")
def _permute(e, d, a, b, c):
    """Choose each byte of d among the eight of {b, a}; bit 3 of a choice copies that byte's sign instead."""
    both = _packed(e, (a, b), "b64")
    selector = e.read(c, "b32")
    total = "0"
    for byte in range(4):
        choice = e.two("lshr", "i32", selector, 4 * byte)
        amount = e.convert("zext", e.two("and", "i32", e.two("shl", "i32", choice, 3), 56), "i32", "i64")
        value = e.convert("trunc", e.two("lshr", "i64", both, amount), "i64", "i8")
        by_sign = e.two("icmp ne", "i32", e.two("and", "i32", choice, 8), 0)
        signs = e.two("ashr", "i8", value, 7)
        value = e.convert("zext", e.op(f"select i1 {by_sign}, i8 {signs}, i8 {value}"), "i8", "i32")
        total = e.two("or", "i32", total, e.two("shl", "i32", value, 8 * byte))
    e.write(d, total, "b32")


@_enter("lop3.b32")
def _logic_of_three(e, d, a, b, c, table):
    """d = bit (4 a + 2 b + c) of the truth table, bit by bit."""
    values = [e.read(one, "b32") for one in (a, b, c)]
    inverses = [e.two("xor", "i32", value, -1) for value in values]
    total = "0"
    for row in range(8):
        if table >> row & 1:
            x, y, z = (values[k] if row >> (2 - k) & 1 else inverses[k] for k in range(3))
            total = e.two("or", "i32", total, e.two("and", "i32", x, e.two("and", "i32", y, z)))
    e.write(d, total, "b32")


# -- Conversions ---------------------------------------------------------------------------------------------------
_BYTES = ("s8", "u8")
_TO_INTEGER = {"rni": "roundeven", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}


def _integer_to_integer(target, source):
    def emit(e, d, a):
        value, narrow = e.read(a, source), BITS[target] < BITS[source]
        if BITS[target] != BITS[source]:
            extend = "trunc" if narrow else "sext" if _is_signed(source) else "zext"
            value = e.op(f"{extend} {IR[source]} {value} to {IR[target]}")
        e.write(d, value, target)

    return emit


def _saturating(target, source):
    """The nearest number that the target has."""

    def emit(e, d, a):
        wide = e.op(f"{'sext' if _is_signed(source) else 'zext'} {IR[source]} {e.read(a, source)} to i128")
        least = -(1 << (BITS[target] - 1)) if _is_signed(target) else 0
        greatest = (1 << (BITS[target] - _is_signed(target))) - 1
        wide = e.op(f"call i128 @llvm.smax.i128(i128 {wide}, i128 {least})")
        wide = e.op(f"call i128 @llvm.smin.i128(i128 {wide}, i128 {greatest})")
        e.write(d, e.op(f"trunc i128 {wide} to {IR[target]}"), target)

    return emit


def _integer_to_float(target, source):
    def emit(e, d, a):
        convert = "sitofp" if _is_signed(source) else "uitofp"
        e.write(d, e.op(f"{convert} {IR[source]} {e.read(a, source)} to {IR[target]}"), target)

    return emit


def _float_to_integer(target, source, rounding):
    """Numbers that are too large become the largest, NaN becomes 0."""

    def emit(e, d, a):
        value = e.call(_TO_INTEGER[rounding], source, e.read(a, source))
        letter = "s" if _is_signed(target) else "u"
        name = f"@llvm.fpto{letter}i.sat.{IR[target]}.f{BITS[source]}"
        e.write(d, e.op(f"call {IR[target]} {name}({IR[source]} {value})"), target)

    return emit


def _float_to_float(target, source):
    def emit(e, d, a):
        value = e.read(a, source)
        if target != source:
            convert = "fpext" if BITS[target] > BITS[source] else "fptrunc"
            value = e.op(f"{convert} {IR[source]} {value} to {IR[target]}")
        e.write(d, value, target)

    return emit


def _float_to_unit(type_):
    """Clamp to [0, 1]; NaN becomes 0."""

    def emit(e, d, a):
        value = e.call("maximumnum", type_, e.read(a, type_), "0.0")
        e.write(d, e.call("minimumnum", type_, value, "1.0"), type_)

    return emit


for target in (*_BYTES, *INTEGERS):
    for source in (*_BYTES, *INTEGERS):
        TABLE[f"cvt.{target}.{source}"] = _integer_to_integer(target, source)
        TABLE[f"cvt.sat.{target}.{source}"] = _saturating(target, source)
    for source in FLOATS:
        TABLE[f"cvt.rn.{source}.{target}"] = _integer_to_float(source, target)
        for rounding in _TO_INTEGER:
            TABLE[f"cvt.{rounding}.{target}.{source}"] = _float_to_integer(target, source, rounding)
for type_ in FLOATS:
    TABLE[f"cvt.{type_}.{type_}"] = _float_to_float(type_, type_)
    TABLE[f"cvt.sat.{type_}.{type_}"] = _float_to_unit(type_)
    for rounding, function in _TO_INTEGER.items():
        TABLE[f"cvt.{rounding}.{type_}.{type_}"] = _intrinsic(function, type_)
for target, source in (("f64", "f32"), ("f32", "f16")):
    TABLE[f"cvt.{target}.{source}"] = _float_to_float(target, source)
    TABLE[f"cvt.rn.{source}.{target}"] = _float_to_float(source, target)
TABLE["cvt.ftz.f64.f32"] = _flush(TABLE["cvt.f64.f32"])
TABLE["cvt.rn.ftz.f32.f64"] = _flush(TABLE["cvt.rn.f32.f64"])


@_enter("cvt.rna.tf32.f32")
def _to_tf32(e, d, a):
    """Round to 10 bits of mantissa, ties away from zero: add half of the last bit kept, and cut."""
    value = e.read(a, "f32")
    bits = e.op(f"bitcast float {value} to i32")
    rounded = e.two("and", "i32", e.two("add", "i32", bits, 4096), -8192)
    is_nan = e.op(f"fcmp uno float {value}, {value}")
    e.write(d, e.op(f"select i1 {is_nan}, i32 2147483647, i32 {rounded}"), "b32")


# -- Exchange among the lanes of a warp ----------------------------------------------------------------------------
def _shuffle(mode):
    """d = value of another lane, or of this one where that lane is outside of the segment that `limits` describes."""

    def emit(e, d, a, b, limits, mask):
        e.exchange([e.read(a, "b32")], e.read(mask, "b32"))
        by, clamps, lane = e.read(b, "u32"), e.read(limits, "u32"), e.lane()
        segment = e.two("and", "i32", e.two("lshr", "i32", clamps, 8), 31)
        inside = e.two("xor", "i32", segment, 31)
        first = e.two("and", "i32", lane, segment)
        last = e.two("or", "i32", first, e.two("and", "i32", e.two("and", "i32", clamps, 31), inside))
        by = e.two("and", "i32", by, 31)
        if mode == "idx":
            source = e.two("or", "i32", first, e.two("and", "i32", by, inside))
        else:
            source = e.two({"up": "sub", "down": "add", "bfly": "xor"}[mode], "i32", lane, by)
        found = e.op(f"icmp {'sge' if mode == 'up' else 'sle'} i32 {source}, {last}")
        source = e.op(f"select i1 {found}, i32 {source}, i32 {lane}")
        e.require_lane(source)
        target, *predicate = d if isinstance(d, tuple) else (d,)
        value = e.received(source, 0)
        e.write(target, value, "b32")
        for one in predicate:
            e.write(one, found, "pred")

    return emit


for mode in ("idx", "up", "down", "bfly"):
    TABLE[f"shfl.sync.{mode}.b32"] = _shuffle(mode)


def _vote(kind):
    def emit(e, d, a, mask):
        e.exchange([e.op(f"zext i1 {e.read(a, 'pred')} to i32")], e.read(mask, "b32"))
        votes, members = e.ballot(0), e.members()
        if kind == "ballot":
            e.write(d, votes, "b32")
            return
        all_, none = e.op(f"icmp eq i32 {votes}, {members}"), e.op(f"icmp eq i32 {votes}, 0")
        result = {"all": all_, "any": e.two("xor", "i1", none, "true"), "uni": e.two("or", "i1", all_, none)}[kind]
        e.write(d, result, "pred")

    return emit


for kind in ("all", "any", "uni"):
    TABLE[f"vote.sync.{kind}.pred"] = _vote(kind)
TABLE["vote.sync.ballot.b32"] = _vote("ballot")


@_enter("activemask.b32")
def _active_mask(e, d):
    """The lanes that wait here together: one of the answers that hardware may give."""
    e.exchange([], "0")
    e.write(d, e.members(), "b32")


@_enter("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
def _multiply_matrices(e, d, a, b, c):
    """D (16 x 8) = A (16 x 8) B (8 x 8) + C. Lane 4 g + t holds rows g, g + 8 of A, C, D and column g of B.

    Of a tf32 operand the hardware reads the upper 19 bits. Products are exact in float32; we add them in order of k.
    """
    e.exchange([e.two("and", "i32", e.read(one, "b32"), -8192) for one in (*a, *b)], "-1")
    lane = e.lane()
    group, thread = e.two("lshr", "i32", lane, 2), e.two("and", "i32", lane, 3)
    sums = [e.read(one, "f32") for one in c]
    for k in range(8):
        row_lane = e.two("or", "i32", e.two("shl", "i32", group, 2), k % 4)
        rows = [e.received(row_lane, 2 * (k // 4) + half, "f32") for half in range(2)]
        columns = []
        for j in range(2):
            column = e.two("or", "i32", e.two("shl", "i32", thread, 1), j)
            columns.append(e.received(e.two("or", "i32", e.two("shl", "i32", column, 2), k % 4), 4 + k // 4, "f32"))
        sums = [e.call("fma", "f32", rows[n // 2], columns[n % 2], total) for n, total in enumerate(sums)]
    for one, total in zip(d, sums, strict=True):
        e.write(one, total, "f32")
