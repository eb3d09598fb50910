"""What the user holds: an architecture, and the same bound to an image's shape and a number of classes."""

from dataclasses import dataclass, field

from skconvnet.architecture.advice import advise
from skconvnet.architecture.binding import bind_chain, image_volume
from skconvnet.architecture.case_studies import CASE_STUDIES
from skconvnet.architecture.errors import ArchitectureError, shown
from skconvnet.architecture.hyperparameters import Hyperparameters
from skconvnet.architecture.layers.base import Volume, chain_on, convolutional
from skconvnet.architecture.notation.parser import parse, spell_chain
from skconvnet.architecture.patterns import PATTERNS
from skconvnet.architecture.summary import VolumeTable

_DEFAULTS = Hyperparameters()


@dataclass(frozen=True, repr=False)
class Architecture:
    """A network as a text in the notation; made by `parse`, printed in canonical form, equal where the texts are.

    Examples
    --------
    >>> architecture = Architecture.parse("[INPUT - CONV(K=12) - RELU - POOL - FC]")
    >>> print(architecture)
    INPUT -> CONV(K=12) -> RELU -> POOL -> FC
    >>> print(architecture.bind(image_shape=(32, 32, 3), n_classes=10))
    INPUT -> CONV(K=12, F=3, S=1, P=1) -> RELU -> POOL(max, F=2, S=2, P=0) -> FC(10)
    """

    text: str
    chain: tuple = field(compare=False)
    source: str = field(compare=False)  # as it was typed, for carets

    @classmethod
    def parse(cls, text):
        """Read a text in the notation of `skconvnet.architecture.notation.parser`.

        Parameters
        ----------
        text : str

        Returns
        -------
        Architecture

        Raises
        ------
        ArchitectureError
            Where the text is not in the notation, with a caret under the place and what was expected there.
        """
        if isinstance(text, str) and text.strip() in (*PATTERNS, *CASE_STUDIES):
            raise ArchitectureError(
                f"{text!r} is the name of an architecture, not its text: take "
                f"ARCHITECTURES[\"{text.strip()}\"], or write a text, as 'INPUT -> CONV -> RELU -> FC'"
            )
        chain = parse(text)
        return cls(f"INPUT -> {spell_chain(chain)}", chain, text)

    def bind(self, image_shape, n_classes=None, hyperparameters=_DEFAULTS):
        """Fix every number: write out the repeats, fill in the hyperparameters and compute the volumes.

        Parameters
        ----------
        image_shape : sequence of three ints
            (height, width, channels).
        n_classes : int or None, default=None
            None: the units of the last FC or the depth of the last volume if the text states them, else 10.
        hyperparameters : Hyperparameters, optional

        Returns
        -------
        BoundArchitecture

        Raises
        ------
        ArchitectureError
            Where a layer does not fit its input, with the arithmetic and what would fit; where a sequence has the wrong
            length; where the network does not end in the classes, or has more than 10,000 layers.
        """
        image = image_volume(image_shape)
        layers = bind_chain(self.chain, self.source, image, n_classes, hyperparameters)
        return BoundArchitecture((image.height, image.width, image.depth), layers[-1].output.depth, layers)

    def summary(self, image_shape, n_classes=None, hyperparameters=_DEFAULTS):
        """Count volumes, memory, parameters and multiply-adds; see `bind` for the parameters and the errors.

        Parameters
        ----------
        image_shape : sequence of three ints
        n_classes : int or None, default=None
        hyperparameters : Hyperparameters, optional

        Returns
        -------
        VolumeTable
        """
        return self.bind(image_shape, n_classes, hyperparameters).summary()

    def advice(self, image_shape, n_classes=None, hyperparameters=_DEFAULTS):
        """Say what the rules of thumb of the CS231n notes would question; they advise, and forbid nothing.

        The rules: the input's sides are divisible by 2 many times; filters after the first CONV are no larger than 5x5;
        small filters have a stride of 1; CONV pads with zeros; at most 3 CONV follow each other without POOL; no FC has
        more than half of the parameters; behind the last FC nothing alters the scores.

        Parameters
        ----------
        image_shape : sequence of three ints
        n_classes : int or None, default=None
            None: as many as the text's last FC says, or else 10.
        hyperparameters : Hyperparameters, optional

        Returns
        -------
        list of Advice
            Each with `layer`, `reason` and `advice`, and printing as a sentence; empty where there is none.

        Raises
        ------
        ArchitectureError
            As `bind` does.

        Examples
        --------
        >>> for advice in Architecture.parse("INPUT -> CONV(K=8, P=0) -> RELU -> FC").advice((32, 32, 3)):
        ...     print(advice)
        CONV 1: without zero-padding its filters of F=3 make [30x30x8] of [32x32x3], and see the border less often than
        the rest; pad with zeros, as with P=1, so that the border is not washed away
        FC 1: it has 72,010 of the 72,234 parameters, 100%, as each of its 10 units sees all of [30x30x8]; make the
        volume in front of it smaller: another POOL, or POOL(average, F=all) as in GoogLeNet and ResNet
        """
        return self.bind(image_shape, n_classes, hyperparameters).advice()

    def to_convolutional(self, image_shape, n_classes=None, hyperparameters=_DEFAULTS):
        """Write each FC as the CONV that computes the same, as the notes do to slide a network over larger images.

        The first FC becomes a CONV as large as its input, and one behind it a CONV of 1x1; their weights are the same
        numbers in the same order. On images of `image_shape` the result is the same network.

        Parameters
        ----------
        image_shape : sequence of three ints
            (height, width, channels) that the network is for.
        n_classes : int or None, default=None
            The filters of the last CONV. None: as many as the text's last FC says, or else 10.
        hyperparameters : Hyperparameters, optional

        Returns
        -------
        Architecture
            With every layer and number written out.

        Raises
        ------
        ArchitectureError
            As `bind` does; and where an FC or a POOL(F=all) is over a volume that is not square, since the notation
            has no such CONV or POOL.

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
    """An architecture on images of one shape and for a number of classes; every number in it is known.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width, channels).
    n_classes : int
    layers : tuple of BoundLayer
        In network order; sums and stacks hold the layers of their branches.
    """

    image_shape: tuple[int, int, int]
    n_classes: int
    layers: tuple

    @property
    def text(self):
        """The network with every layer and number written out.

        It parses, and on images of `image_shape` binds to the same layers, unless the network came from `on`.
        """
        return f"INPUT -> {spell_chain(self.layers)}"

    def on(self, image_shape):
        """Slide the network over larger images: the same layers with the same numbers, and so the same weights.

        CONV, POOL and the rest work on their new volumes. FC, and POOL(F=all), keep the window that they were bound
        with, and slide it with stride 1. What ends in 1x1xclasses becomes a map of class scores.

        Parameters
        ----------
        image_shape : sequence of three ints
            (height, width, channels); height and width at least this network's own.

        Returns
        -------
        BoundArchitecture
            Its last output has a row and a column for every place where the network stands.

        Raises
        ------
        ArchitectureError
            Where the images are smaller or of another depth, where a layer does not fit, and for NORM(layer), which
            depends on the size of its volume.

        Examples
        --------
        >>> bound = Architecture.parse("INPUT -> CONV(K=4) -> RELU -> POOL -> FC").bind((8, 8, 1), n_classes=10)
        >>> print(bound.on((14, 10, 1)).layers[-1].output)
        [2x4x10]
        """
        image, own = image_volume(image_shape), Volume(*self.image_shape)
        if image.height < own.height or image.width < own.width or image.depth != own.depth:
            raise ArchitectureError(
                f"image_shape={shown(image_shape)} came, but a network for images of {self.image_shape} slides over "
                f"images of at least that height and width, with {own.depth} channels"
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
        """Say what the rules of thumb would question; see `Architecture.advice`.

        Returns
        -------
        list of Advice
        """
        return advise(Volume(*self.image_shape), self.layers)

    def to_convolutional(self):
        """Write each FC as the CONV that computes the same; see `Architecture.to_convolutional`.

        Returns
        -------
        Architecture
        """
        return Architecture.parse(f"INPUT -> {spell_chain(convolutional(self.layers))}")

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"BoundArchitecture({self.text!r}, image_shape={self.image_shape}, n_classes={self.n_classes})"
