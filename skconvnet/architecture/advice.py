"""Rules of thumb: what the CS231n notes would question about a network. They advise, and forbid nothing.

The rules are those of the notes' sections "Layer Patterns" and "Layer Sizing Patterns", and of "Neural Networks Part 1"
that the output layer has no activation function; each is a function from the bound network to its advice.
"""

from dataclasses import dataclass, replace
from itertools import takewhile

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.layers.base import BoundBranches, Volume, walk

_LARGEST_F = 5  # of a small filter: "3x3 or at most 5x5"
_CONVS_IN_A_ROW = 3  # "usually N <= 3"
_LARGEST_SHARE = 0.5  # of the parameters in one FC
_NO_PART_OF_SCORES = ("RELU", "TANH", "SIGMOID", "DROPOUT", "NORM")


@dataclass(frozen=True)
class Advice:
    """What a rule of thumb says about one layer.

    Parameters
    ----------
    layer : str
        Its name, as in the volume table, or "INPUT".
    reason : str
        What is questioned, with the numbers.
    advice : str
        What the rule would do.

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
        Rule by rule; empty where no rule has anything to say.
    """
    # A CONV over its whole input is an FC in other words.
    convs = [
        layer for layer in walk(layers) if layer.kind == "CONV" and layer.F < max(layer.input.height, layer.input.width)
    ]
    looking_at_the_image, _ = _first_convs(layers)
    return [
        *_input_is_divisible_by_two(image, layers),
        *_filters_are_small(conv for conv in convs if conv not in looking_at_the_image),
        *_strides_are_one(convs),
        *_inputs_are_padded(convs, image, layers),
        *_pools_follow_a_few_convs(layers),
        *_parameters_are_spread(layers),
        *_scores_are_left_alone(layers),
    ]


def _input_is_divisible_by_two(image, layers):
    halvings = _halvings(layers)
    for side, extent in (("height", image.height), ("width", image.width)):
        twos = _twos(extent)
        if extent > 1 and twos < halvings:
            yield Advice(
                "INPUT",
                f"its {side} {extent} is divisible by 2 {_times(twos)}, and the strides of the network halve it "
                f"{_times(halvings)}",
                "the input layer should be divisible by 2 many times: 32, 64, 96, 224, 384 or 512 pixels are common",
            )


def _halvings(layers):
    """Return how often the strides halve the input, the most along any way through branches; a stride of 3 does not."""
    halvings = 0
    for layer in layers:
        if isinstance(layer, BoundBranches):
            halvings += max(map(_halvings, layer.branches))
        elif layer.kind in ("CONV", "POOL"):
            halvings += _twos(layer.S)
    return halvings


def _twos(n):
    """Return how many times 2 divides a number."""
    return (n & -n).bit_length() - 1


def _times(n):
    return {0: "not once", 1: "once", 2: "twice"}.get(n, f"{n} times")


def _first_convs(layers):
    """Return the CONV layers with a way to them that has no CONV, and whether such a way leads out of the chain."""
    found = []
    for layer in layers:
        if layer.kind == "CONV":
            return [*found, layer], False
        if isinstance(layer, BoundBranches):
            ways = [_first_convs(branch) for branch in layer.branches]
            found += [conv for convs, _ in ways for conv in convs]
            if not any(leads_out for _, leads_out in ways):
                return found, False
    return found, True


def _filters_are_small(convs):
    for conv in convs:
        if conv.F > _LARGEST_F:
            yield Advice(
                conv.name,
                f"its filters of F={conv.F} are large for a layer that does not look at the image itself, and have "
                f"{conv.n_weights:,} weights",
                f"use small filters, 3x3 or at most 5x5: {conv.F // 2} CONV of F=3 see as far",
            )


def _strides_are_one(convs):
    for conv in convs:
        if conv.S > 1 and conv.F <= _LARGEST_F:
            yield Advice(
                conv.name,
                f"with S={conv.S} its small filters of F={conv.F} stand at one of every {conv.S * conv.S} places",
                "a stride of 1 works better in practice, and POOL makes the volume smaller",
            )


def _inputs_are_padded(convs, image, layers):
    for conv in convs:
        if conv.P == 0 and conv.F > 1:
            P = conv.F // 2
            offer = f", as with P={P}," if _fits(conv, P, image, layers) else ""
            yield Advice(
                conv.name,
                f"without zero-padding its filters of F={conv.F} make {conv.output} of {conv.input}, and see the "
                "border less often than the rest",
                f"pad with zeros{offer} so that the border is not washed away",
            )


def _fits(conv, P, image, layers):
    """Say whether the network could be made with P of one CONV changed, and end in the same volume."""
    try:
        return _padded(layers, image, conv, P)[-1].output == layers[-1].output
    except ArchitectureError:
        return False


def _padded(layers, volume, conv, P):
    """Return a chain with P of one CONV changed; layers over their whole input are so on the new one too."""
    chain = []
    for layer in layers:
        changed = {"input": volume}
        if isinstance(layer, BoundBranches):
            changed["branches"] = tuple(_padded(branch, volume, conv, P) for branch in layer.branches)
        elif layer == conv:
            changed["P"] = P
        elif layer.kind == "FC":
            changed["window"] = (volume.height, volume.width)
        elif layer.kind == "POOL" and layer.F == (layer.input.height, layer.input.width):
            changed["F"] = (volume.height, volume.width)
        chain.append(replace(layer, **changed))
        volume = chain[-1].output
    return tuple(chain)


def _pools_follow_a_few_convs(layers):
    for run in _runs(layers):
        if len(run) > _CONVS_IN_A_ROW:
            yield Advice(
                run[0].name,
                f"from it to {run[-1].name} stand {len(run)} CONV in a row, and no POOL makes their volume of "
                f"{run[-1].output.width}x{run[-1].output.height} smaller",
                f"put a POOL behind {_CONVS_IN_A_ROW} CONV at most, until the image is small",
            )


def _runs(layers):
    """Return the CONV layers of each stretch of the network, cut where a POOL or a stride makes the volume smaller."""
    closed, run = _extended([], layers)
    return [run for run in (*closed, run) if run]


def _extended(run, layers):
    """Return the runs that end within a chain, and the one still open behind it; `run` is the one open before it."""
    closed = []
    for layer in layers:
        if isinstance(layer, BoundBranches):
            ways = [_extended(run, branch) for branch in layer.branches]
            closed += max((ended for ended, _ in ways), key=len)
            run = max((still_open for _, still_open in ways), key=len)
        elif layer.kind == "CONV" and layer.S == 1:
            run = [*run, layer]
        elif layer.kind == "CONV":
            closed.append(run)
            run = [layer]
        elif layer.kind in ("POOL", "FC") and layer.output.size < layer.input.size:
            closed.append(run)
            run = []
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
            yield Advice(layer.name, reason, f"make the volume in front of it smaller: {smaller}")
        elif layer is not layers[-1]:  # whose units are the classes
            yield Advice(layer.name, reason, "give it, or the FC in front of it, fewer units")


def _scores_are_left_alone(layers):
    behind = list(takewhile(lambda layer: layer.kind in _NO_PART_OF_SCORES, reversed(layers)))[::-1]
    before = layers[: len(layers) - len(behind)]
    if not before or before[-1].kind not in ("FC", "CONV"):
        return
    scores = before[-1].name
    for layer in behind:
        yield Advice(
            layer.name,
            f"it alters the class scores of {scores}, which go into the softmax as they are",
            f"end the network with {scores}, or put another FC behind it",
        )
