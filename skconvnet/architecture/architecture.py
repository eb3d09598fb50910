"""`Architecture`, a text in the notation, and `BoundArchitecture`, its network for images of one shape."""

import re
from dataclasses import dataclass, field

from skconvnet.architecture.advice import advise
from skconvnet.architecture.binding import bind_chain, image_volume
from skconvnet.architecture.errors import ArchitectureError, counted, shown
from skconvnet.architecture.hyperparameters import ROUNDINGS, Hyperparameters
from skconvnet.architecture.layers.arithmetic import Volume
from skconvnet.architecture.layers.base import chain_on, convolutional
from skconvnet.architecture.layers.branches import walk
from skconvnet.architecture.notation.parser import parse
from skconvnet.architecture.notation.tree import spell_chain
from skconvnet.architecture.summary import VolumeTable

_DEFAULTS = Hyperparameters()


@dataclass(frozen=True, repr=False)
class Architecture:
    """A network as a text in the notation. Made by `parse`. It prints as its canonical text, by which it compares.

    Examples
    --------
    >>> architecture = Architecture.parse("[INPUT - CONV(K=12) - RELU - POOL - FC]")
    >>> print(architecture)
    INPUT -> CONV(K=12) -> RELU -> POOL -> FC
    >>> print(architecture.bind(image_shape=(32, 32, 3), n_classes=10))
    INPUT -> CONV(K=12, F=3, S=1, P=1) -> RELU -> POOL(max, F=2, S=2, P=0) -> FC(10)
    """

    text: str
    chain: tuple | None = field(default=None, compare=False)
    source: str = field(default="", compare=False)  # as the user wrote it, for carets in errors

    def __post_init__(self):
        if self.chain is None:
            raise TypeError(f"An Architecture is made by parse: Architecture.parse({shown(self.text)}).")

    @classmethod
    def parse(cls, text):
        """Parse a text in the notation of `skconvnet.architecture.notation.parser`.

        Parameters
        ----------
        text : str or Architecture
            An `Architecture` is returned as it is.

        Returns
        -------
        Architecture

        Raises
        ------
        ArchitectureError
            If the text is not in the notation. The error shows the place with a caret, and what was expected there.
        """
        if isinstance(text, Architecture):
            return text
        if isinstance(text, str) and re.fullmatch(r"\s*[a-z][a-z0-9_-]{,40}\s*", text):
            raise ArchitectureError(
                f"{text!r} looks like the name of an architecture, but a text such as 'INPUT -> CONV -> RELU -> FC' is "
                f'needed. For one by its name, use ARCHITECTURES["{text.strip()}"]'
            )
        chain = parse(text)
        return cls(f"INPUT -> {spell_chain(chain)}", chain, text)

    def bind(self, image_shape, n_classes=None, hyperparameters=_DEFAULTS):
        """Fix every number: write out the repeats, fill in the hyperparameters and compute the volumes.

        Parameters
        ----------
        image_shape : sequence of two or three ints
            (height, width, channels), or (height, width) of grey images.
        n_classes : int or None, default=None
            None: the units of the last FC or the depth of the last volume if the text states them, else 10. A CONV
            with K=classes has as many filters.
        hyperparameters : Hyperparameters, optional

        Returns
        -------
        BoundArchitecture

        Raises
        ------
        ArchitectureError
            If a layer does not fit its input (the error shows the arithmetic and what fits), if a sequence has the
            wrong length, if the network does not end in the classes, or if it has more than 10,000 layers.
        """
        image = image_volume(image_shape)
        layers = bind_chain(self.chain, self.source, image, n_classes, hyperparameters)
        return BoundArchitecture((image.height, image.width, image.depth), layers[-1].output.depth, layers)

    def summary(self, image_shape, n_classes=None, hyperparameters=_DEFAULTS):
        """Count volumes, memory, parameters and multiply-adds. See `bind` for the parameters and errors.

        Parameters
        ----------
        image_shape : sequence of two or three ints
        n_classes : int or None, default=None
        hyperparameters : Hyperparameters, optional

        Returns
        -------
        VolumeTable
        """
        return self.bind(image_shape, n_classes, hyperparameters).summary()

    def advice(self, image_shape, n_classes=None, hyperparameters=_DEFAULTS):
        """Apply the rules of thumb of the CS231n notes. They only advise: the network works without them.

        The rules: the sides of the input can be halved as often as the network halves them. Filters after the first
        CONV are at most 5x5. Small filters have stride 1. CONV pads with zeros. At most 3 CONV follow each other
        without a POOL. No FC has more than half of the parameters. Nothing follows the FC that computes the scores.

        Parameters
        ----------
        image_shape : sequence of two or three ints
        n_classes : int or None, default=None
            None: see `bind`.
        hyperparameters : Hyperparameters, optional

        Returns
        -------
        list of Advice
            Each has `layer`, `reason` and `advice`, and prints as a sentence.

        Raises
        ------
        ArchitectureError
            As `bind` does.

        Examples
        --------
        >>> for advice in Architecture.parse("INPUT -> CONV(K=8, P=0) -> RELU -> FC").advice((32, 32, 3)):
        ...     print(advice)
        CONV 1: without zero-padding its filters of F=3 make [30x30x8] of [32x32x3], and see the border less often than
        the rest; pad with zeros, as with P=1, so that the information at the border is kept
        FC 1: it has 72,010 of the 72,234 parameters, 100%, as each of its 10 units sees all of [30x30x8]; make its
        input smaller: another POOL, or POOL(average, F=all) as in GoogLeNet and ResNet
        """
        return self.bind(image_shape, n_classes, hyperparameters).advice()

    def to_convolutional(self, image_shape, n_classes=None, hyperparameters=_DEFAULTS):
        """Replace each FC by the CONV that computes the same, so that the network slides over larger images.

        The first FC becomes a CONV as large as its input, and those after it CONV of 1x1. The weights are the same
        numbers in the same order. On images of `image_shape` the network computes the same.

        Parameters
        ----------
        image_shape : sequence of two or three ints
            (height, width, channels) for which the FC layers are bound.
        n_classes : int or None, default=None
            The filters of the last CONV. None: see `bind`.
        hyperparameters : Hyperparameters, optional

        Returns
        -------
        Architecture
            With every layer and number written out.

        Raises
        ------
        ArchitectureError
            As `bind` does.

        Examples
        --------
        >>> print(Architecture.parse("INPUT -> CONV(K=4) -> POOL -> FC(20) -> FC").to_convolutional((8, 8, 1)))
        INPUT -> CONV(K=4, F=3, S=1, P=1) -> POOL(max, F=2, S=2, P=0) -> CONV(K=20, F=4, S=1, P=0)
        -> CONV(K=10, F=1, S=1, P=0)
        """
        return self.bind(image_shape, n_classes, hyperparameters).to_convolutional()

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"Architecture.parse({self.text!r})"


@dataclass(frozen=True, repr=False)
class BoundArchitecture:
    """An architecture for images of one shape and a number of classes. All its numbers are known.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width, channels).
    n_classes : int
    layers : tuple of BoundLayer
        In network order. Sums, stacks and gates contain the layers of their branches.
    """

    image_shape: tuple[int, int, int]
    n_classes: int
    layers: tuple

    @property
    def text(self):
        """The network with every layer and number written out.

        Unless the network is a result of `on`, the text binds to the same layers on images of `image_shape`.
        """
        return f"INPUT -> {spell_chain(self.layers)}"

    @property
    def rounding(self):
        """How windows with a stride round on larger images, where the text leaves it open; "floor" if no window does.

        Examples
        --------
        >>> from skconvnet.architecture import Hyperparameters
        >>> architecture = Architecture.parse("INPUT -> POOL -> CONV(K=2) -> FC")
        >>> architecture.bind((8, 8, 1), hyperparameters=Hyperparameters(rounding="ceil")).rounding
        'ceil'
        """
        strided = (layer for layer in walk(self.layers) if hasattr(layer, "rounding") and layer.round is None)
        left_open = (vars(layer) for layer in strided if any(axis.S > 1 for axis in layer.axes))
        return next((layer.get("rounding", ROUNDINGS[0]) for layer in left_open), ROUNDINGS[0])  # old files have none

    def on(self, image_shape):
        """Return the network that slides over larger images, with the same layers, numbers and weights.

        FC and POOL(F=all) keep their window, and slide it with stride 1. The output becomes a map of class scores.

        Parameters
        ----------
        image_shape : sequence of two or three ints
            (height, width, channels). Height and width are at least those of `image_shape`.

        Returns
        -------
        BoundArchitecture
            Its last output has a row and column for each position of the network.

        Raises
        ------
        ArchitectureError
            If the images are smaller or have other channels, if a layer does not fit, or if there is a NORM(layer),
            which depends on the size of its volume.

        Examples
        --------
        >>> bound = Architecture.parse("INPUT -> CONV(K=4) -> RELU -> POOL -> FC").bind((8, 8, 1), n_classes=10)
        >>> print(bound.on((14, 10, 1)).layers[-1].output)
        [2x4x10]
        """
        image, own = image_volume(image_shape), Volume(*self.image_shape)
        if image.height < own.height or image.width < own.width or image.depth != own.depth:
            raise ArchitectureError(
                f"a network for images of shape {self.image_shape} slides over images of at least that height and "
                f"width with {counted(own.depth, 'channel')}, got image_shape={shown(image_shape)}"
            )
        return BoundArchitecture((image.height, image.width, image.depth), self.n_classes, chain_on(self.layers, image))

    def summary(self):
        """Count volumes, memory, parameters and multiply-adds.

        Returns
        -------
        VolumeTable
        """
        return VolumeTable.of(Volume(*self.image_shape), self.layers)

    def advice(self):
        """Apply the rules of thumb; see `Architecture.advice`.

        Returns
        -------
        list of Advice
        """
        return advise(Volume(*self.image_shape), self.layers)

    def to_convolutional(self):
        """Replace each FC by the CONV that computes the same; see `Architecture.to_convolutional`.

        Returns
        -------
        Architecture
        """
        return Architecture.parse(f"INPUT -> {spell_chain(convolutional(self.layers))}")

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"BoundArchitecture({self.text!r}, image_shape={self.image_shape}, n_classes={self.n_classes})"
