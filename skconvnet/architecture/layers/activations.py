"""RELU, TANH, SIGMOID and DROPOUT, which change each activation by itself."""

from dataclasses import dataclass
from typing import ClassVar

from skconvnet.architecture.layers.base import InPlaceLayer


@dataclass(frozen=True)
class BoundRelu(InPlaceLayer):
    """max(0, x)."""

    kind: ClassVar[str] = "RELU"


@dataclass(frozen=True)
class BoundTanh(InPlaceLayer):
    """tanh(x)."""

    kind: ClassVar[str] = "TANH"


@dataclass(frozen=True)
class BoundSigmoid(InPlaceLayer):
    """1/(1 + exp(-x))."""

    kind: ClassVar[str] = "SIGMOID"


@dataclass(frozen=True)
class BoundDropout(InPlaceLayer):
    """In training, sets each activation to zero with probability `rate`."""

    rate: float = 0.5

    kind: ClassVar[str] = "DROPOUT"


LAYERS = (BoundRelu, BoundTanh, BoundSigmoid, BoundDropout)
