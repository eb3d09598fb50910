import pytest

from tests.engine.cuda.ptx.errors import PtxError
from tests.engine.cuda.ptx.liveness import live_after
from tests.engine.cuda.ptx.parser import Address, Array, Bits, Parameter, parse
from tests.engine.cuda.ptx.texts import entry


def instructions(body):
    return parse(entry(body)).instructions[:-1]  # without the last ret


def test_parameters_lie_at_multiples_of_their_sizes():
    kernel = parse(entry("", "u32 n, u64 x, f32 a, f64 b"))
    offsets = [("n", "u32", 0), ("x", "u64", 8), ("a", "f32", 16), ("b", "f64", 24)]
    assert kernel.parameters == [Parameter(*one) for one in offsets]
    assert kernel.parameter_bytes == 32


def test_operands_are_what_they_look_like():
    (one,) = instructions("@!%p1 some.op.f32 {%f1, _}, [%rd1+-4], %r3|%p2, 0f3F800000, -0x10, !%p3, name;")
    assert one.guard == ("%p1", True)
    assert one.opcode == "some.op.f32"
    expected = (("%f1", "_"), Address("%rd1", -4), ("%r3", "%p2"), Bits(0x3F800000, 32), -16, "!%p3", "name")
    assert one.operands == expected


def test_labels_name_the_instruction_that_follows():
    kernel = parse(entry("A: B:\n add.s32 %r1, %r1, 1; bra A;\nC:"))
    assert kernel.labels == {"A": 0, "B": 0, "C": 2}


def test_an_instruction_knows_its_line():
    head, body = entry("").count("\n", 0, entry("").index("%rd<32>")), "\n\n // comment ;\n trap;"
    (one,) = instructions(body)
    assert one.line == entry(body)[: entry(body).index("trap")].count("\n") + 1 > head


def test_arrays_have_space_alignment_and_bytes():
    arrays = """
    .visible .shared .align 16 .b8 tile[64];
    .extern .shared .align 8 .b8 more[];
    .const .align 4 .u32 table[2] = {1, 0xFF};
    .common .global .align 8 .u64 lone;
    """
    found = parse(entry(".local .align 4 .b8 own[12];", arrays=arrays)).arrays
    assert found == {
        "tile": Array("tile", "shared", 16, 64),
        "more": Array("more", "shared", 8, None),
        "table": Array("table", "const", 4, 8, b"\1\0\0\0\xff\0\0\0"),
        "lone": Array("lone", "global", 8, 8),
        "own": Array("own", "local", 4, 12),
    }


def test_registers_of_inner_blocks_are_their_own():
    first, second, third = instructions(
        "{ .reg .b32 %r1; mov.b32 %r1, 1; } mov.b32 %r1, 2; { .reg .b32 %r1; neg.s32 %r1, 3; }"
    )
    assert second.operands == ("%r1", 2)
    assert len({one.operands[0] for one in (first, second, third)}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (entry("mov.b32 %r1, ?;"), r"line \d+ of PTX: the operand '\?' is not understood: mov.b32 %r1, \?;"),
        (entry("ld.global.u32 %r1, [%rd1*4];"), r"the address \[%rd1\*4\] is not understood"),
        (entry(".reg .v4 %q<4>;"), "registers of an unknown type"),
        (entry(".texref surface;"), "a declaration that is not understood"),
        (entry("mov.b32 %r1, 2").replace("ret;\n}", ""), "a statement without ;"),
        (entry("").replace("}", ""), "the kernel does not end"),
        (entry("*;"), "a statement that is not understood"),
        (entry("", "b8 x[8]"), "the parameter .* is not a number"),
        (entry("") * 2, "PTX has 2 entries"),
        ("", "PTX has 0 entries"),
    ],
)
def test_what_is_not_understood_is_an_error(text, message):
    with pytest.raises(PtxError, match=message):
        parse(text)


def test_registers_live_from_their_writing_to_their_last_reading():
    body = """
        mov.b32 %r1, 1; mov.b32 %r2, 2;
    HERE: bar.sync 0;
        add.s32 %r3, %r1, %r2;
        mov.b32 %r1, 3;
        @%p1 mov.b32 %r4, %r3;
        @%p2 bra HERE;
        st.global.u32 [%rd1], %r4;
    """
    live = live_after(parse(entry(body)))
    loop = {"%r2", "%r4", "%p1", "%p2", "%rd1"}
    assert live[2] == loop | {"%r1"}  # a guarded write does not end %r4's life
    assert live[3] == loop | {"%r3"}
    assert live[6] == loop | {"%r1"}
    assert live[7] == set()
