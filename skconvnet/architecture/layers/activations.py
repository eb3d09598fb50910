"""Activation functions and DROPOUT, which change each activation by itself."""

from dataclasses import dataclass
from typing import ClassVar

from skconvnet.architecture.layers.base import InPlaceLayer


@dataclass(frozen=True)
class BoundRelu(InPlaceLayer):
    """max(0, x)."""

    kind: ClassVar[str] = "RELU"


@dataclass(frozen=True)
class BoundRelu6(InPlaceLayer):
    """min(max(0, x), 6)."""

    kind: ClassVar[str] = "RELU6"


@dataclass(frozen=True)
class BoundPrelu(InPlaceLayer):
    """X where x is above zero, else a times x. Each depth slice learns a slope a of its own."""

    kind: ClassVar[str] = "PRELU"

    @property
    def n_weights(self):
        """The slopes."""
        return self.input.depth

    @property
    def arithmetic(self):
        """The number of parameters."""
        return f"{self.n_weights}"


@dataclass(frozen=True)
class BoundTanh(InPlaceLayer):
    """tanh(x)."""

    kind: ClassVar[str] = "TANH"


@dataclass(frozen=True)
class BoundSigmoid(InPlaceLayer):
    """1/(1 + exp(-x))."""

    kind: ClassVar[str] = "SIGMOID"


@dataclass(frozen=True)
class BoundHsigmoid(InPlaceLayer):
    """The hard sigmoid min(max(0, x + 3), 6)/6."""

    kind: ClassVar[str] = "HSIGMOID"


@dataclass(frozen=True)
class BoundHswish(InPlaceLayer):
    """The hard swish x min(max(0, x + 3), 6)/6."""

    kind: ClassVar[str] = "HSWISH"


@dataclass(frozen=True)
class BoundGelu(InPlaceLayer):
    """x (1 + erf(x/sqrt(2)))/2."""

    kind: ClassVar[str] = "GELU"


@dataclass(frozen=True)
class BoundDropout(InPlaceLayer):
    """In training, sets each activation to zero with probability `rate`."""

    rate: float = 0.5

    kind: ClassVar[str] = "DROPOUT"


LAYERS = (
    BoundRelu,
    BoundRelu6,
    BoundPrelu,
    BoundTanh,
    BoundSigmoid,
    BoundHsigmoid,
    BoundHswish,
    BoundGelu,
    BoundDropout,
)
