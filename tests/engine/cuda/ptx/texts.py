"""Small kernels of PTX, written by hand, for tests of the executor."""

_REGISTERS = """
    .reg .pred %p<16>;
    .reg .b16 %rs<16>;
    .reg .b32 %r<32>;
    .reg .f32 %f<32>;
    .reg .b64 %rd<32>;
    .reg .f64 %fd<16>;
"""


def entry(body, parameters="u64 x", arrays=""):
    """Return the PTX of a kernel.

    Parameters
    ----------
    body : str
        Instructions, and declarations beyond %p, %rs, %r, %f, %rd and %fd.
    parameters : str, default="u64 x"
        Types and names: "u64 x, u32 n".
    arrays : str, default=""
        Declarations before the entry.
    """
    declared = ", ".join(f".param .{one.strip()}" for one in parameters.split(",") if one.strip())
    head = ".version 8.0\n.target sm_80\n.address_size 64\n"
    return f"{head}{arrays}\n.visible .entry kernel({declared})\n{{{_REGISTERS}{body}\n    ret;\n}}\n"
