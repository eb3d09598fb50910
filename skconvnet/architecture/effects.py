"""Which hyperparameters a network does not read, and which filters are larger than what they see."""

from collections import defaultdict

from skconvnet.architecture.binding import Unrolled, ends_of, image_volume
from skconvnet.architecture.hyperparameters import PER_BLOCK, Hyperparameters
from skconvnet.architecture.layers.branches import walk
from skconvnet.architecture.notation.table import spell_number
from skconvnet.architecture.notation.tree import Branches, Repeat

_DEFAULTS = Hyperparameters()


def without_effect(architecture, image_shape, hyperparameters, is_auto=False, given=()):
    """Return the hyperparameters that are given, or not the default, and that the network does not read.

    Parameters
    ----------
    architecture : Architecture
    image_shape : sequence of int
    hyperparameters : Hyperparameters
    is_auto : bool, default=False
        Whether the architecture is that of ``architecture="auto"``, whose text was made for these hyperparameters: it
        has N and M as numbers where it must, and POOL only where pool_F fits.
    given : collection of str, default=()
        The names that were given, where that is known: then the default is told too.

    Returns
    -------
    dict
        The reason of each, by its name; of single values of a sequence, by their place, such as "K[0]".

    Examples
    --------
    >>> from skconvnet.architecture import ARCHITECTURES, Hyperparameters
    >>> without_effect(ARCHITECTURES["lenet5"], (32, 32, 1), Hyperparameters(F=7, N=3))
    {'F': 'each CONV spells its own', 'N': 'nothing is repeated *N'}
    """
    letters = set(_letters(architecture.chain))
    unrolled = Unrolled(architecture.chain, hyperparameters.repetitions(image_volume(image_shape)))
    is_optional = any(place.layer.optional for place in unrolled.places("POOL"))
    unrolled.drop_pools(hyperparameters.pool)
    convs, pools = unrolled.places("CONV"), unrolled.places("POOL")
    sliding = [pool for pool in pools if pool.options.get("F") != "all"]
    reasons = {name: _unless_left(name, convs, "CONV") for name in "KFSP"}
    reasons["pool_F"] = _unless_left("F", pools, "POOL")
    reasons["pool_S"] = _unless_left("S", sliding, "POOL")
    reasons["pool"] = None if is_optional else "there is no POOL?"
    reasons |= {letter: None if letter in letters else f"nothing is repeated *{letter}" for letter in "NM"}
    n_sizes = len(hyperparameters.hidden_layer_sizes)
    n_taken = n_sizes if "K" in letters else _sizes_taken(unrolled)
    reasons["hidden_layer_sizes"] = None if n_taken else "no FC takes its units from it"
    reasons["rounding"] = _unless_left("round", [*convs, *sliding], "CONV or POOL")
    if is_auto:
        reasons |= dict.fromkeys(("N", "M", "pool_F"))
    if hyperparameters.M == "auto" and (is_auto or "M" in letters):  # then the length of a sequence is M
        reasons |= dict.fromkeys(name for name in PER_BLOCK if isinstance(getattr(hyperparameters, name), tuple))
    windows_of = dict.fromkeys("KFSP", convs) | dict.fromkeys(("pool_F", "pool_S"), sliding)
    single = {
        value: reason
        for name, places in windows_of.items()
        for value, reason in _values_unread(name, getattr(hyperparameters, name), places, unrolled.n_blocks)
    }
    left = {f"hidden_layer_sizes[{n_taken}:]": f"FC layers take {n_taken} of its {n_sizes} values"}
    return (
        {
            name: reason
            for name, reason in reasons.items()
            if reason is not None and (name in given or getattr(hyperparameters, name) != getattr(_DEFAULTS, name))
        }
        | single
        | (left if 0 < n_taken < n_sizes else {})
    )


def _letters(chain):
    """Yield the letters of all repeats."""
    for item in chain:
        if isinstance(item, Repeat):
            yield item.times
            yield from _letters(item.body)
        elif isinstance(item, Branches):
            for branch in item.branches:
                yield from _letters(branch)


def _unless_left(name, places, kind):
    if not places:
        return f"there is no {kind} that reads it"
    return None if any(name not in place.options for place in places) else f"each {kind} spells its own"


def _values_unread(name, values, places, n_blocks):
    """Yield each number of a sequence that no layer reads, as in "K[0]", with the reason.

    A number that the layers spell too is not told: the sequence needs one in its place.
    """
    option = name.removeprefix("pool_")
    if not isinstance(values, tuple) or all(option in place.options for place in places):
        return
    of_blocks = len(values) == n_blocks != len(places)
    own = defaultdict(list)
    for n, place in enumerate(places):
        own[place.block if of_blocks else n].append((f"{place.layer.kind} {n + 1}", place.options.get(option)))
    for number, value in enumerate(values):
        if isinstance(value, int) and own[number] and all(other not in (None, value) for _, other in own[number]):
            spelled = " and ".join(f"{layer} has {option}={spell_number(other)}" for layer, other in own[number])
            yield f"{name}[{number}]", spelled


def _sizes_taken(unrolled):
    """Return how many FC layers take their units from hidden_layer_sizes."""
    ends = list(ends_of(unrolled.chain))
    hidden = [place for place in unrolled.places("FC") if not any(place is end for end in ends)]
    return sum("units" not in place.options for place in hidden)


def too_large_filters(bound):
    """Return a sentence for each CONV whose filters have more weights outside its input than can ever see it.

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> bound = Architecture.parse("INPUT -> CONV(K=8, F=99) -> FC").bind((8, 8, 1), n_classes=2)
    >>> too_large_filters(bound)
    ['CONV 1 has filters of F=99, and its input is [8x8x1]: F=15 reaches from each pixel to every other, and the other \
weights only ever see padding']
    """
    return [
        f"{layer.name} has filters of F={max(axis.reach for axis in layer.axes)}, and its input is {layer.input}: "
        f"F={2 * max(layer.input.height, layer.input.width) - 1} reaches from each pixel to every other, and the "
        "other weights only ever see padding"
        for layer in walk(bound.layers)
        if layer.kind == "CONV" and _sees_only_zeros(layer)
    ]


def _sees_only_zeros(conv):
    extents = conv.input.height, conv.input.width
    return max(extents) > 1 and all(axis.F > 2 * extent - 1 for axis, extent in zip(conv.axes, extents, strict=True))
