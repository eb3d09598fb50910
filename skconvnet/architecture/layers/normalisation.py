"""NORM."""

from dataclasses import dataclass
from typing import ClassVar

from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.layers.base import BoundLayer
from skconvnet.architecture.notation.table import NOTATION, options_of


@dataclass(frozen=True)
class BoundNorm(BoundLayer):
    """Normalisation. "batch" and "layer" learn a scale and a shift per depth slice; "lrn" learns nothing.

    Parameters
    ----------
    mode : {"batch", "lrn", "layer"}
        "batch": each depth slice has mean 0 and variance 1 over the minibatch; prediction uses the running mean and
        variance. "layer": the whole volume of each image has mean 0 and variance 1. "lrn": local response
        normalisation, b_c = a_c / (k + alpha * sum of a_j^2)^beta, where j runs over the existing slices from
        c - size//2 to c + (size - 1)//2.
    momentum : float or None
        "batch": weight of the minibatch in the running mean and variance.
    eps : float or None
        "batch" and "layer": number added to the variance.
    size, alpha, beta, k : int, float, float, float, or None
        "lrn". Options of other modes are None.

    Notes
    -----
    "batch" is Ioffe and Szegedy (2015), algorithms 1 and 2. "layer" is Ba, Kiros and Hinton (2016), equation 3. "lrn"
    is Krizhevsky, Sutskever and Hinton (2012), section 3.3: alpha is not divided by `size`. In cuda-convnet, Caffe and
    PyTorch it is, so their alpha is `size` times this one.
    """

    mode: str
    momentum: float | None = None
    eps: float | None = None
    size: int | None = None
    alpha: float | None = None
    beta: float | None = None
    k: float | None = None

    kind: ClassVar[str] = "NORM"

    @classmethod
    def bind(cls, name, volume, options):
        """Make the layer from the options of the notation and the defaults of its mode."""
        mode = options.get("mode", NOTATION["NORM"]["mode"].words[0])
        defaults = {option: values.default for option, values in options_of("NORM", mode).items()}
        return cls(name, volume, **defaults | {"mode": mode} | options)

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
        """The number of parameters."""
        return "" if self.mode == "lrn" else f"{self.n_weights} + {self.n_biases}"

    def on(self, volume):
        """Return the layer on another input; raise `ArchitectureError` for "layer", which depends on its size."""
        if self.mode == "layer" and volume != self.input:
            raise ArchitectureError(
                f"{self.name}: NORM(layer) normalises the whole volume of an image, {self.input}. On {volume} it would "
                "compute another function than the one that was fitted. Use NORM(batch)"
            )
        return super().on(volume)


LAYERS = (BoundNorm,)
