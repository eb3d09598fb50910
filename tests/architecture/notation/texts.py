"""Strategies for texts that the parser accepts."""

from hypothesis import strategies as st

from skconvnet.architecture.notation.parser import parse
from skconvnet.architecture.notation.table import MAX_LAYERS, MAX_NESTING, NOTATION, options_of
from skconvnet.architecture.notation.tree import count_layers


def option_values(option):
    values = [st.sampled_from(option.words)] if option.words else []
    if option.lowest is not None:
        numbers = st.integers(option.lowest, 2**31 - 1)
        values.append(numbers)
        if option.per_axis:
            values.append(st.tuples(numbers, numbers).map(lambda pair: "{}x{}".format(*pair)))
    if option.fraction:
        values.append(st.floats(0, 1, exclude_max=True))
    if option.real is not None:
        values.append(st.floats(*option.real))
    return st.one_of(values)


def layer_texts(kind):
    """Valid texts of one kind of layer, with any options of its mode in any order."""
    options = NOTATION[kind]

    def spell(drawn):
        names, values, optional = drawn
        mode = "mode" in options and (values["mode"] if "mode" in names else options["mode"].words[0])
        spelled = [
            f"{values[name]}" if options[name].bare else f"{name}={values[name]}"
            for name in names
            if name in options_of(kind, mode)
        ]
        return kind + (f"( {' ,'.join(spelled)})" if spelled else "") + "?" * optional

    names = st.lists(st.sampled_from(sorted(options)), unique=True) if options else st.just([])
    values = st.fixed_dictionaries({name: option_values(option) for name, option in options.items()})
    return st.tuples(names, values, st.booleans() if kind == "POOL" else st.just(False)).map(spell)


layers = st.one_of(*map(layer_texts, NOTATION))


def chains(items):
    parts = st.tuples(st.sampled_from(["->", " - "]), st.lists(items, min_size=1, max_size=4))
    return parts.map(lambda part: part[0].join(part[1]))


def nested(items):
    chain = chains(items)
    branches = st.lists(st.one_of(chain, st.just("SKIP")), min_size=2, max_size=3)
    repeats = st.sampled_from(["*0", "*3", "*N", "*M", ""])
    return st.one_of(
        st.tuples(chain, repeats).map(lambda group: f"[{group[0]}]{group[1]}"),
        st.tuples(branches, st.sampled_from("+|")).map(lambda sums: f"({sums[1].join(sums[0])})"),
        st.tuples(*[st.one_of(chain, st.just("SKIP"))] * 2).map(lambda pair: f"({'*'.join(pair)})"),
    )


accepted_chains = chains(st.recursive(layers, nested, max_leaves=12))

_MOST = MAX_LAYERS // 4

# Each template adds at least one level of nesting. Each fits every input volume.
_TEMPLATES = [
    "[{}]*1",
    "[{} -> RELU]*2",
    "({} | SKIP)",
    "(SKIP | {} -> NORM | POOL(F=1, S=1, P=0))",
    "({} -> CONV(K=2, F=1, P=0) + CONV(K=2, F=1, P=0))",
    "({0} | {0})",
    "(CONV(K=1, F=3, P=1) | {} -> CONV(K=1, F=3, P=1))",
]


@st.composite
def large_texts(draw):
    """Texts of up to `MAX_NESTING` levels, repeated to nearly `_MOST` layers."""
    text = "CONV(K=3)"
    for template in draw(st.lists(st.sampled_from(_TEMPLATES), max_size=MAX_NESTING - 1)):
        if len(text) < 10_000 and _n_layers(template.format(text)) < _MOST:
            text = template.format(text)
    body = f"CONV(K=1, F=1) -> {text}"
    return f"INPUT -> [{body}]*{_MOST // _n_layers(body)} -> FC"


def _n_layers(text):
    return count_layers(parse(f"INPUT -> {text}"), {})
