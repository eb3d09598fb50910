"""Rules of thumb of the CS231n notes about a network. They only advise.

The rules are from the sections "Layer Patterns" and "Layer Sizing Patterns", and from "Neural Networks Part 1", where
the output layer has no activation function. Each rule is a function that yields its advice.
"""

from dataclasses import dataclass, replace
from itertools import takewhile

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.layers.arithmetic import Volume
from skconvnet.architecture.layers.branches import BoundBranches, walk
from skconvnet.architecture.notation.table import collapse, spell_number

_LARGEST_SIZE = 5 * 5  # of a small filter: "3x3 or at most 5x5"
_CONVS_IN_A_ROW = 3  # "usually N <= 3"
_LARGEST_SHARE = 0.5  # of the parameters in one FC
# Layers that should not follow the scores.
_AFTER_SCORES = ("RELU", "RELU6", "PRELU", "TANH", "SIGMOID", "HSIGMOID", "HSWISH", "GELU", "DROPOUT", "NORM")
_TRIED_LAYERS = 50_000  # bounds the time of trying paddings: each try makes the whole network


@dataclass(frozen=True)
class Advice:
    """What a rule of thumb says about one layer.

    Parameters
    ----------
    layer : str
        The name of the layer as in the volume table, or "INPUT".
    reason : str
        What deviates from the rule, with the numbers.
    advice : str
        What to do.

    Examples
    --------
    >>> print(Advice("CONV 2", "S=2 with F=3", "use S=1"))
    CONV 2: S=2 with F=3; use S=1
    """

    layer: str
    reason: str
    advice: str

    def __str__(self):
        return f"{self.layer}: {self.reason}; {self.advice}"


def advise(image, layers):
    """Apply every rule to a bound network.

    Parameters
    ----------
    image : Volume
    layers : tuple of BoundLayer

    Returns
    -------
    list of Advice
        Ordered by rule.
    """
    # A CONV over its whole input is an FC.
    convs = [layer for layer in walk(layers) if layer.kind == "CONV" and not _sees_all(layer)]
    first_convs, _ = _first_convs(layers)
    names = {conv.name for conv in first_convs}
    return [
        *_input_is_divisible_by_two(image, layers),
        *_windows_reach_the_end(image, layers),
        *_filters_are_small(conv for conv in convs if conv.name not in names),
        *_strides_are_one(convs),
        *_inputs_are_padded(convs, image, layers),
        *_pools_follow_a_few_convs(layers),
        *_parameters_are_spread(layers),
        *_scores_are_left_alone(layers),
    ]


def _sees_all(conv):
    rows, columns = conv.axes
    return rows.F >= conv.input.height and columns.F >= conv.input.width


def _size(conv):
    """Return the number of pixels that a filter sees."""
    rows, columns = conv.axes
    return rows.F * columns.F


def _is_small(conv):
    return _size(conv) <= _LARGEST_SIZE


def _input_is_divisible_by_two(image, layers):
    for axis, (side, extent) in enumerate((("height", image.height), ("width", image.width))):
        twos, halvings = _twos(extent), _halvings(layers, axis)
        if _is_too_odd(extent, layers, axis):
            divisible = f"divisible by 2 {_times(twos)}" if twos else "odd"
            yield Advice(
                "INPUT",
                f"its {side} {extent} is {divisible}, and the strides of the network halve it {_times(halvings)}",
                "choose sides that can be halved often, such as 32, 64, 96, 224, 384 or 512 pixels",
            )


def _is_too_odd(extent, layers, axis):
    return extent > 1 and _twos(extent) < _halvings(layers, axis)


def _windows_reach_the_end(image, layers):
    """Find pixels that no window sees, since the number of windows was rounded down."""
    told = [_is_too_odd(extent, layers, axis) for axis, extent in enumerate((image.height, image.width))]
    for layer in walk(layers):
        if layer.kind not in ("CONV", "POOL"):
            continue
        unseen = [0 if is_told else _unseen(layer, axis) for axis, is_told in enumerate(told)]
        names = (("row", unseen[0]), ("column", unseen[1]))
        parts = [f"{count} {name}{'s' * (count > 1)}" for name, count in names if count]
        if parts:
            yield Advice(
                layer.name,
                f"no window of F={_spelled(layer, 'F')} with S={_spelled(layer, 'S')} reaches the last "
                f"{' and '.join(parts)} of {layer.input}, because the number of windows is rounded down",
                "use round=ceil, another P or S, or images of a size that S divides",
            )


def _spelled(layer, name):
    return spell_number(collapse(getattr(axis, name) for axis in layer.axes))


def _unseen(layer, axis):
    """Return how many pixels at the end of an axis no window reaches; 0 if windows leave gaps anyway."""
    window = layer.axes[axis]
    extent, n_windows = ((volume.height, volume.width)[axis] for volume in (layer.input, layer.output))
    if window.reach < window.S:
        return 0
    return max(0, extent + window.P - (n_windows - 1) * window.S - window.reach)


def _halvings(layers, axis):
    """Return how often strides of 2, 4, ... halve one axis, along the path through branches with the most."""
    halvings = 0
    for layer in layers:
        if isinstance(layer, BoundBranches):
            halvings += max(_halvings(branch, axis) for branch in layer.branches)
        elif layer.kind in ("CONV", "POOL"):
            halvings += _twos(layer.axes[axis].S)
    return halvings


def _twos(n):
    """Return how many times a number is divisible by 2."""
    return (n & -n).bit_length() - 1


def _times(n):
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _first_convs(layers):
    """Return the CONV layers that a path without CONV leads to, and whether such a path leads to the end."""
    found = []
    for layer in layers:
        if layer.kind == "CONV":
            return [*found, layer], False
        if isinstance(layer, BoundBranches):
            paths = [_first_convs(branch) for branch in layer.branches]
            found += [conv for convs, _ in paths for conv in convs]
            if not any(open_end for _, open_end in paths):
                return found, False
    return found, True


def _filters_are_small(convs):
    for conv in convs:
        if not _is_small(conv):
            longest = max(axis.F for axis in conv.axes)
            yield Advice(
                conv.name,
                f"its filters of F={spell_number(conv.F)} are large for a layer after the first CONV, and have "
                f"{conv.n_weights:,} weights",
                f"use small filters, 3x3 or at most 5x5: {longest // 2} CONV of F=3 see as far",
            )


def _strides_are_one(convs):
    for conv in convs:
        rows, columns = conv.axes
        positions = rows.S * columns.S
        if positions > 1 and _is_small(conv):
            yield Advice(
                conv.name,
                f"with S={spell_number(conv.S)} its small filters of F={spell_number(conv.F)} are applied at one of "
                f"{positions} positions",
                "a stride of 1 works better in practice, and POOL makes the volume smaller",
            )


def _inputs_are_padded(convs, image, layers):
    tries = _TRIED_LAYERS // sum(1 for _ in walk(layers))
    for conv in convs:
        if any(axis.P == 0 and axis.F > 1 for axis in conv.axes):
            P, tries = collapse(axis.P or axis.reach // 2 for axis in conv.axes), tries - 1
            suggestion = f", as with P={spell_number(P)}," if tries >= 0 and _fits(conv, P, image, layers) else ""
            yield Advice(
                conv.name,
                f"without zero-padding its filters of F={spell_number(conv.F)} make {conv.output} of {conv.input}, and "
                "see the border less often than the rest",
                f"pad with zeros{suggestion} so that the information at the border is kept",
            )


def _fits(conv, P, image, layers):
    """Return whether the network with another P in one CONV fits, and ends in the same volume."""
    try:
        return _padded(layers, image, conv, P)[-1].output == layers[-1].output
    except ArchitectureError:
        return False


def _padded(layers, volume, conv, P):
    """Return a chain with another P in one CONV. Windows over the whole input grow with it."""
    chain = []
    for layer in layers:
        changed = {"input": volume} | ({"rounding": "exact"} if layer.kind in ("CONV", "POOL") else {})
        if isinstance(layer, BoundBranches):
            changed["branches"] = tuple(_padded(branch, volume, conv, P) for branch in layer.branches)
        elif layer is conv:
            changed["P"] = P
        elif layer.kind == "FC":
            changed["window"] = (volume.height, volume.width)
        elif layer.kind == "POOL" and layer.F == (layer.input.height, layer.input.width):
            changed["F"] = (volume.height, volume.width)
        chain.append(replace(layer, **changed))
        volume = chain[-1].output
    return tuple(chain)


@dataclass(frozen=True)
class _Run:
    """Consecutive CONV layers without a POOL or stride that makes the volume smaller; `length` may be 0."""

    length: int = 0
    first: object = None
    last: object = None

    def extended(self, conv):
        return _Run(self.length + 1, self.first or conv, conv)


def _pools_follow_a_few_convs(layers):
    closed, last = _runs(_Run(), layers)
    for run in (*closed, last):
        if run.length > _CONVS_IN_A_ROW:
            volume = run.last.output
            yield Advice(
                run.first.name,
                f"it begins a row of {run.length} CONV up to {run.last.name}, and no POOL makes their volume of "
                f"{volume.width}x{volume.height} smaller",
                f"put a POOL after at most {_CONVS_IN_A_ROW} CONV, until the image is small",
            )


def _runs(run, layers):
    """Return the runs that end in a chain, and the open run after it. `run` is the open run before it.

    Of several branches, the one with the most runs and the one with the longest open run count.
    """
    closed = []
    for layer in layers:
        if isinstance(layer, BoundBranches):
            paths = [_runs(run, branch) for branch in layer.branches]
            closed += max((ended for ended, _ in paths), key=len)
            run = max((still_open for _, still_open in paths), key=lambda path: path.length)
        elif layer.kind == "CONV":
            if any(axis.S > 1 for axis in layer.axes):
                closed.append(run)
                run = _Run()
            run = run.extended(layer)
        elif layer.kind in ("POOL", "FC") and layer.output.size < layer.input.size:
            closed.append(run)
            run = _Run()
    return closed, run


def _parameters_are_spread(layers):
    weighted = [layer for layer in walk(layers) if not isinstance(layer, BoundBranches) and layer.n_weights]
    n_params = sum(layer.n_weights + layer.n_biases for layer in weighted)
    for layer in weighted:
        own = layer.n_weights + layer.n_biases
        if layer.kind != "FC" or len(weighted) == 1 or own <= _LARGEST_SHARE * n_params:
            continue
        reason = (
            f"it has {own:,} of the {n_params:,} parameters, {own / n_params:.0%}, as each of its {layer.units:,} "
            f"units sees all of {Volume(*layer.window, layer.input.depth)}"
        )
        if layer.window != (1, 1):
            smaller = "another POOL, or POOL(average, F=all) as in GoogLeNet and ResNet"
            yield Advice(layer.name, reason, f"make its input smaller: {smaller}")
        elif layer is not layers[-1]:  # the units of the last FC are the classes
            yield Advice(layer.name, reason, "give it, or the FC before it, fewer units")


def _scores_are_left_alone(layers):
    after = list(takewhile(lambda layer: layer.kind in _AFTER_SCORES, reversed(layers)))[::-1]
    before = layers[: len(layers) - len(after)]
    if not before or before[-1].kind not in ("FC", "CONV"):
        return
    scores = before[-1].name
    for layer in after:
        yield Advice(
            layer.name,
            f"it changes the class scores of {scores}, but the softmax needs them unchanged",
            f"end the network with {scores}, or put another FC after it",
        )
