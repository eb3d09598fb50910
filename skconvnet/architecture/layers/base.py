"""Volumes, the one formula of their arithmetic, and the layers: what each makes of its input and what it costs.

A layer here is bound: every number in it is known, and one that does not fit its input is not made. Its ``keyword`` is
itself in the notation, and its costs are those of one image: ``n_weights`` and ``n_biases`` learned numbers,
``n_flops`` multiply-adds forward, counted as papers count them: those of CONV and FC with their weights, without
biases, and nothing for other layers. ``n_activations`` is how many numbers the layer keeps; 0 for a layer that works in
place on its input's.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.notation.parser import spell_chain, spell_layer

_REACH = 1000  # how far from a value the nearest ones that fit are looked for


@dataclass(frozen=True)
class Volume:
    """A volume of activations; prints as width x height x depth.

    Examples
    --------
    >>> str(Volume(height=24, width=32, depth=3))
    '[32x24x3]'
    """

    height: int
    width: int
    depth: int

    @property
    def size(self):
        """The number of activations."""
        return self.height * self.width * self.depth

    def __str__(self):
        return f"[{self.width}x{self.height}x{self.depth}]"


def output_extent(W, F, S, P, round, name):
    """Return (W - F + 2P)/S + 1, the number of places where a window of extent F stands along one axis.

    Parameters
    ----------
    W, F, S, P : int
        Extent of the input, extent of the window, stride, and zeros before and after the input.
    round : {None, "floor", "ceil"}
        What to do where the result is no whole number: raise an error, leave out the windows that would reach beyond
        the padded input, or keep one that does. A window that is kept begins inside the input or the padding before it.
    name : str
        Whose arithmetic this is, for the error.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ArchitectureError
        Where the window is larger than the padded input, or the result is no whole number and `round` is None.

    Notes
    -----
    The formula is the notes' of CS231n, section "Spatial arrangement". "ceil" rounds as Caffe and PyTorch do.

    Examples
    --------
    >>> output_extent(W=227, F=11, S=4, P=0, round=None, name="CONV 1")
    55
    >>> output_extent(W=10, F=3, S=2, P=0, round="floor", name="CONV 1")
    4
    """
    span = W - F + 2 * P
    if span < 0:
        raise ArchitectureError(_too_large(W, F, S, P, name))
    whole_windows = span // S + 1
    if span % S == 0 or round == "floor":
        return whole_windows
    if round == "ceil":
        begins_inside = whole_windows * S < W + P  # the next window, counted from the padding's first zero
        return whole_windows + begins_inside
    raise ArchitectureError(_not_whole(W, F, S, P, name))


def _arithmetic(W, F, S, P):
    """Write the formula with the numbers in it; enough decimals that no fraction looks whole."""
    value = (W - F + 2 * P) / S + 1
    decimals = max(3, len(str(S)))
    return f"(W - F + 2P)/S + 1 = ({W} - {F} + {2 * P})/{S} + 1 = {f'{value:.{decimals}f}'.rstrip('0').rstrip('.')}"


def _too_large(W, F, S, P, name):
    return (
        f"{name}: the window F={F} is larger than the padded input, W + 2P = {W} + {2 * P} = {W + 2 * P}, so that "
        f"{_arithmetic(W, F, S, P)}. What fits: F={W + 2 * P} or smaller, P={(F - W + 1) // 2} or larger, "
        f"or W={F - 2 * P} or larger"
    )


def _not_whole(W, F, S, P, name):
    def fits(W=W, F=F, S=S, P=P):
        return F <= W + 2 * P and (W - F + 2 * P) % S == 0

    nearest = [
        *_nearest("S", S, 1, lambda s: s <= max(S, F) and fits(S=s)),  # a larger stride leaves pixels out
        *_nearest("P", P, 0, lambda P: P < F and fits(P=P)),
        *(f"{offer} with P={P}" for offer in _nearest("F", F, 1, lambda F: P < F and fits(F=F))),  # it may be "same"
        *_nearest("W", W, 1, lambda W: fits(W=W)),
    ]
    return (
        f"{name}: {_arithmetic(W, F, S, P)} is no whole number. "
        f"What fits: round=floor, round=ceil, {', '.join(nearest)}"
    )


def _nearest(letter, value, lowest, fits):
    """Return the nearest value to each side that fits, as text, where there is one within reach."""
    below = range(value - 1, max(lowest, value - _REACH) - 1, -1)
    above = range(value + 1, value + _REACH + 1)
    found = [next((v for v in side if fits(v)), None) for side in (below, above)]
    return [f"{letter}={v}" for v in found if v is not None]


def padding(P, F, name):
    """Return the number of zeros that P stands for: itself, 0 for "valid", (F - 1)/2 for "same".

    Parameters
    ----------
    P : int, "same" or "valid"
    F : int
    name : str
        Whose padding this is, for the error.

    Returns
    -------
    int

    Raises
    ------
    ArchitectureError
        Where (F - 1)/2 is no whole number.
    """
    if P == "same" and F % 2 == 0:
        raise ArchitectureError(
            f"{name}: P='same' is (F - 1)/2 = ({F} - 1)/2 = {F // 2 - 1}.5, no whole number. "
            f"What fits: F={F - 1} or F={F + 1}, or a whole number for P"
        )
    return {"same": (F - 1) // 2, "valid": 0}.get(P, P)


@dataclass(frozen=True)
class BoundLayer:
    """What all bound layers have; as it stands here, one that keeps its input's volume and learns nothing.

    Parameters
    ----------
    name : str
        Kind and running number, as ``"CONV 2"``.
    input : Volume
        What the layer is given.
    """

    name: str
    input: Volume

    kind: ClassVar[str]
    n_weights: ClassVar[int] = 0
    n_biases: ClassVar[int] = 0
    n_flops: ClassVar[int] = 0
    arithmetic: ClassVar[str] = ""  # of the number of parameters

    @property
    def output(self):
        """The volume that the layer makes."""
        return self.input

    @property
    def n_activations(self):
        """How many numbers the layer keeps beside those of its input."""
        return self.output.size

    @property
    def keyword(self):
        """The layer in the notation."""
        return spell_layer(self.kind, vars(self))

    def on(self, volume):
        """Return the layer with all its numbers on another input, of the same depth.

        Parameters
        ----------
        volume : Volume

        Returns
        -------
        BoundLayer

        Raises
        ------
        ArchitectureError
            Where it does not fit, or means something else there.
        """
        return replace(self, input=volume)

    def convolutional(self):
        """Return the layer in such a form that the notation can say it for a network that slides."""
        return self

    def __str__(self):
        return self.keyword


def walk(layers):
    """Yield every layer depth first in network order, those of the branches too.

    Branches come in their order, and a sum or stack itself after its branches. It is the order of the learned numbers.

    Parameters
    ----------
    layers : sequence of BoundLayer

    Yields
    ------
    BoundLayer

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> bound = Architecture.parse("INPUT -> (CONV(K=3) -> RELU + SKIP) -> FC").bind((8, 8, 3), 10)
    >>> [layer.name for layer in walk(bound.layers)]
    ['CONV 1', 'RELU 1', 'SKIP 1', 'SUM 1', 'FC 1']
    """
    for layer in layers:
        if isinstance(layer, BoundBranches):
            for branch in layer.branches:
                yield from walk(branch)
        yield layer


def convolutional(layers):
    """Return a chain with each FC as the CONV that computes the same.

    Parameters
    ----------
    layers : sequence of BoundLayer

    Returns
    -------
    tuple of BoundLayer

    Raises
    ------
    ArchitectureError
        Where an FC, or a POOL over its whole input, has a window that is not square.
    """
    return tuple(layer.convolutional() for layer in layers)


def chain_on(layers, volume):
    """Return a chain of layers on another input; see `BoundLayer.on`."""
    chain = []
    for layer in layers:
        chain.append(layer.on(volume))
        volume = chain[-1].output
    return tuple(chain)


@dataclass(frozen=True)
class BoundConv(BoundLayer):
    """K filters of F x F x (input depth / groups), at stride S over P zeros; with or without biases.

    Examples
    --------
    >>> conv = BoundConv("CONV 1", Volume(32, 32, 3), K=12, F=5, S=1, P=2)
    >>> print(conv.output, conv.arithmetic, conv.n_weights + conv.n_biases)
    [32x32x12] 5*5*3*12 + 12 912
    """

    K: int
    F: int
    S: int
    P: int
    groups: int = 1
    round: str | None = None
    bias: bool = True

    kind: ClassVar[str] = "CONV"

    def __post_init__(self):
        if self.input.depth % self.groups or self.K % self.groups:
            raise ArchitectureError(
                f"{self.name}: groups={self.groups} must divide the input's depth {self.input.depth} and K={self.K}"
            )
        _extents(self, (self.F, self.F))

    @property
    def output(self):
        """K deep; height and width by the formula."""
        return Volume(*_extents(self, (self.F, self.F)), self.K)

    @property
    def n_weights(self):
        """(F F D)K weights, D being the depth that a filter sees."""
        return self.F * self.F * self._filter_depth * self.K

    @property
    def n_biases(self):
        """One per filter, or none."""
        return self.K if self.bias else 0

    @property
    def n_flops(self):
        """Every activation is a sum over one filter's weights."""
        return self.output.size * self.F * self.F * self._filter_depth

    @property
    def arithmetic(self):
        """The count of the parameters, as the notes write it."""
        weights = f"{self.F}*{self.F}*{self._filter_depth}*{self.K}"
        return f"{weights} + {self.K}" if self.bias else weights

    @property
    def keyword(self):
        """The layer in the notation; one group and biases go without saying."""
        return spell_layer(self.kind, vars(self) | {"bias": "yes" if self.bias else "no"})

    @property
    def _filter_depth(self):
        return self.input.depth // self.groups


@dataclass(frozen=True)
class BoundPool(BoundLayer):
    """The maximum or average over windows of F = (rows, columns), in each depth slice.

    Only the pixels of the window that lie inside the input take part, in a maximum as in an average: zeros of the
    padding and what a window overhangs (round="ceil") are not counted.
    """

    mode: str
    F: tuple[int, int]
    S: int
    P: int
    round: str | None = None

    kind: ClassVar[str] = "POOL"

    def __post_init__(self):
        if self.P >= min(self.F):
            raise ArchitectureError(
                f"{self.name}: P={self.P} lets a window of F={min(self.F)} see nothing but padding; P must be below F"
            )
        _extents(self, self.F)

    @property
    def output(self):
        """As deep as the input; height and width by the formula."""
        return Volume(*_extents(self, self.F), self.input.depth)

    def convolutional(self):
        """Return the layer itself, if its window is square."""
        _check_square(self, self.F)
        return self

    @property
    def keyword(self):
        """The layer in the notation; a window that is not square is one over the whole input."""
        rows, columns = self.F
        return spell_layer(self.kind, vars(self) | {"F": rows if rows == columns else "all"})


def _extents(layer, F):
    """Return height and width of what a layer's windows of F = (rows, columns) give; raise where they do not fit."""
    axes = (("height", layer.input.height, F[0]), ("width", layer.input.width, F[1]))
    return [
        output_extent(extent, f, layer.S, layer.P, layer.round, f"{layer.name} over the {axis} of {layer.input}")
        for axis, extent, f in axes
    ]


def _check_square(layer, window):
    rows, columns = window
    if rows != columns:
        raise ArchitectureError(
            f"{layer.name}: its window is {columns} wide and {rows} high, and the notation has square windows only: "
            "on square images, or behind layers that make the volume square, it could slide"
        )


@dataclass(frozen=True)
class BoundFC(BoundLayer):
    """Units that are each connected to every activation of a window.

    Parameters
    ----------
    units : int
    window : tuple of int
        (rows, columns) of the input that the layer was first bound on, which is all of it. On a larger input the window
        slides with stride 1: the layer is then a CONV of that extent.

    Examples
    --------
    >>> fc = BoundFC("FC 1", Volume(7, 7, 512), 4096, window=(7, 7))
    >>> print(fc.output, fc.on(Volume(12, 12, 512)).output)
    [1x1x4096] [6x6x4096]
    """

    units: int
    window: tuple[int, int]

    kind: ClassVar[str] = "FC"
    S: ClassVar[int] = 1
    P: ClassVar[int] = 0
    round: ClassVar[None] = None

    def __post_init__(self):
        _extents(self, self.window)

    @property
    def output(self):
        """As deep as there are units; one column where the window is the whole input."""
        return Volume(*_extents(self, self.window), self.units)

    @property
    def n_weights(self):
        """One per activation of the window and unit."""
        rows, columns = self.window
        return rows * columns * self.input.depth * self.units

    @property
    def n_biases(self):
        """One per unit."""
        return self.units

    @property
    def n_flops(self):
        """Each weight is used once for each place of the window."""
        return self.n_weights * self.output.height * self.output.width

    def convolutional(self):
        """Return the CONV whose filters are the units."""
        _check_square(self, self.window)
        return BoundConv(self.name, self.input, K=self.units, F=self.window[0], S=1, P=0)

    @property
    def arithmetic(self):
        """The count of the parameters, as the notes write it."""
        rows, columns = self.window
        return f"{columns}*{rows}*{self.input.depth}*{self.units} + {self.units}"


class _InPlace(BoundLayer):
    n_activations: ClassVar[int] = 0


@dataclass(frozen=True)
class BoundRelu(_InPlace):
    """max(0, x)."""

    kind: ClassVar[str] = "RELU"


@dataclass(frozen=True)
class BoundTanh(_InPlace):
    """tanh(x)."""

    kind: ClassVar[str] = "TANH"


@dataclass(frozen=True)
class BoundSigmoid(_InPlace):
    """1/(1 + exp(-x))."""

    kind: ClassVar[str] = "SIGMOID"


@dataclass(frozen=True)
class BoundDropout(_InPlace):
    """Zero for a share ``rate`` of the activations, drawn anew for every image in training."""

    rate: float

    kind: ClassVar[str] = "DROPOUT"


@dataclass(frozen=True)
class BoundSkip(_InPlace):
    """The input itself, as a branch of a sum or a stack."""

    kind: ClassVar[str] = "SKIP"


@dataclass(frozen=True)
class BoundNorm(BoundLayer):
    """Normalisation: "batch" and "layer" learn a scale and a shift for each depth slice, "lrn" learns nothing.

    Parameters
    ----------
    mode : {"batch", "lrn", "layer"}
        "batch": each depth slice to mean 0 and variance 1 over the minibatch; with the running mean and variance in
        predict. "layer": each image's whole volume to mean 0 and variance 1. "lrn": local response normalisation,
        b_c = a_c / (k + alpha * sum of a_j^2)^beta, j over the `size` slices around c, which are c - size//2 to
        c + (size - 1)//2 where they exist.
    momentum : float or None
        "batch": the share of the minibatch in the running mean and variance.
    eps : float or None
        "batch" and "layer": what is added to the variance.
    size, alpha, beta, k : int, float, float, float, or None
        "lrn". Values of another mode are None.

    Notes
    -----
    "batch" is Ioffe and Szegedy (2015), algorithms 1 and 2; "layer" is Ba, Kiros and Hinton (2016), equation 3; "lrn"
    is Krizhevsky, Sutskever and Hinton (2012), section 3.3. In the latter alpha is not divided by `size`, as it is in
    cuda-convnet, Caffe and PyTorch: what they call alpha is `size` times this one.
    """

    mode: str
    momentum: float | None = None
    eps: float | None = None
    size: int | None = None
    alpha: float | None = None
    beta: float | None = None
    k: float | None = None

    kind: ClassVar[str] = "NORM"

    def on(self, volume):
        """Return the layer on another input; "layer" would there be over other numbers, and is refused."""
        if self.mode == "layer" and volume != self.input:
            raise ArchitectureError(
                f"{self.name}: NORM(layer) is over the whole volume of an image, {self.input}; on the larger volume "
                f"{volume} it is another function than the one that was fitted. NORM(batch) has no such limit"
            )
        return super().on(volume)

    @property
    def n_weights(self):
        """The scales."""
        return 0 if self.mode == "lrn" else self.input.depth

    @property
    def n_biases(self):
        """The shifts."""
        return self.n_weights

    @property
    def arithmetic(self):
        """The count of the parameters."""
        return "" if self.mode == "lrn" else f"{self.n_weights} + {self.n_biases}"


@dataclass(frozen=True)
class BoundBranches(BoundLayer):
    """Several chains of layers on the same input.

    ``n_weights``, ``n_biases`` and ``n_flops`` are those of the branches together. ``n_activations`` is the output of
    the sum or stack alone, which is kept beside what the layers of the branches keep.

    Parameters
    ----------
    branches : tuple of tuples of BoundLayer
        At least one layer each.
    """

    branches: tuple

    operator: ClassVar[str]

    @property
    def outputs(self):
        """The volume that each branch makes."""
        return [branch[-1].output for branch in self.branches]

    @property
    def n_weights(self):
        """Of all branches."""
        return self._total("n_weights")

    @property
    def n_biases(self):
        """Of all branches."""
        return self._total("n_biases")

    @property
    def n_flops(self):
        """Of all branches."""
        return self._total("n_flops")

    def on(self, volume):
        """Return the branches on another input."""
        return replace(self, input=volume, branches=tuple(chain_on(branch, volume) for branch in self.branches))

    def convolutional(self):
        """Return the branches with each FC as a CONV."""
        return replace(self, branches=tuple(map(convolutional, self.branches)))

    @property
    def keyword(self):
        """The branches in the notation."""
        return f"({f' {self.operator} '.join(map(spell_chain, self.branches))})"

    def _total(self, count):
        return sum(getattr(layer, count) for branch in self.branches for layer in branch)

    def _disagreement(self, what):
        volumes = ", ".join(f"branch {number} gives {volume}" for number, volume in enumerate(self.outputs, 1))
        return ArchitectureError(f"{self.name}: the branches must agree in {what}, but {volumes}")


@dataclass(frozen=True)
class BoundSum(BoundBranches):
    """The branches' outputs added up."""

    kind: ClassVar[str] = "SUM"
    operator: ClassVar[str] = "+"

    def __post_init__(self):
        if len(set(self.outputs)) > 1:
            raise self._disagreement("height, width and depth")

    @property
    def output(self):
        """That of any branch."""
        return self.outputs[0]


@dataclass(frozen=True)
class BoundStack(BoundBranches):
    """The branches' outputs stacked along depth, the first branch's slices first."""

    kind: ClassVar[str] = "STACK"
    operator: ClassVar[str] = "|"

    def __post_init__(self):
        if len({(volume.height, volume.width) for volume in self.outputs}) > 1:
            raise self._disagreement("height and width")

    @property
    def output(self):
        """As deep as all branches together."""
        first = self.outputs[0]
        return Volume(first.height, first.width, sum(volume.depth for volume in self.outputs))
