"""The volumes of a network as boxes in perspective."""

import warnings
from bisect import bisect_left
from inspect import signature

from skconvnet.architecture import (
    HYPERPARAMETERS,
    Hyperparameters,
    find_architecture,
    find_study,
    is_auto,
    without_effect,
)
from skconvnet.data.images import check_image_shape
from skconvnet.estimators.network import bind_network, spell_without_effect
from skconvnet.estimators.parameters import instead_of
from skconvnet.estimators.pretrained import pretrained_network
from skconvnet.inspection.diagram import diagram_of, fold, parts_in
from skconvnet.inspection.drawing import check_axes, inch_axes, inches_of
from skconvnet.inspection.layout import FONT_SIZE, lay_out
from skconvnet.inspection.network import check_network

__all__ = ["ArchitectureDisplay"]

_MANY = 24  # more parts are folded
_WIDTH = 9, 10  # inches; with more parts
_BOXES = 1.0, 0.7, 0.5, 0.35  # inches of the longest box; in long networks and small axes
_SIZES = 1, 0.95, 0.9, 6 / FONT_SIZE  # of pictures with text, which is of at least 6 points
_SMALL_SIZES = tuple(0.8 * 0.95**n for n in range(55))


class ArchitectureDisplay:
    """A picture of a network: each volume as a box, with its width, height and depth to one scale.

    Depth goes to the right, height up, and width to the back. A box that would be too long is broken, with a gap
    between its parts. Below each box are the layer with its K, F, S and P, the layers after it that keep the volume,
    and the volume as width x height x depth. Branches are drawn as branches. Parts in a frame are repeated.

    Make one with `from_estimator` or `from_text`. It needs Matplotlib: ``pip install matplotlib``.

    Parameters
    ----------
    architecture : BoundArchitecture
        The network, such as ``architecture_`` of a fitted classifier.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the picture, one unit is one inch if they are as large as the picture.
    figure_ : matplotlib Figure
        Its figure.

    Examples
    --------
    >>> display = ArchitectureDisplay.from_text("lenet5", (32, 32, 1))
    >>> display.figure_.savefig("lenet5.png")  # doctest: +SKIP
    """

    def __init__(self, architecture):
        self.architecture = architecture

    @classmethod
    def from_estimator(cls, estimator, *, image_shape=None, repeats="auto", ax=None):
        """Draw the network of a classifier or regressor.

        Parameters
        ----------
        estimator : ConvNetClassifier or ConvNetRegressor
            If it is not fitted, the network is that of its parameters, for 10 classes unless they say how many.
        image_shape : tuple of int, default=None
            (height, width, channels). Needed if the estimator is not fitted and has no `image_shape`. A fitted network
            has that of its images.
        repeats, ax
            As of `plot`.

        Returns
        -------
        ArchitectureDisplay

        Raises
        ------
        ValueError
            If the size of the images is not known, or is not that of the fit.
        """
        check_axes(cls, ax)
        _check_repeats(repeats)
        return cls(_architecture_of(estimator, image_shape)).plot(repeats=repeats, ax=ax)

    @classmethod
    def from_text(cls, text, image_shape, *, n_classes=None, repeats="auto", ax=None, **hyperparameters):
        """Draw the network of a text in the notation.

        Parameters
        ----------
        text : str or Architecture
            A text, ``"auto"``, or a name in `ARCHITECTURES`.
        image_shape : tuple of int
            (height, width, channels), or (height, width) of grey images.
        n_classes : int, default=None
            Number of classes. None: that of the paper, if the text is a case study such as "vgg16"; else what the text
            says, or 10.
        repeats, ax
            As of `plot`.
        **hyperparameters : dict
            What the text leaves to the parameters of `ConvNetClassifier`: K, F, S, P, N, M, hidden_layer_sizes, pool,
            pool_F, pool_S and rounding.

        Returns
        -------
        ArchitectureDisplay

        Warns
        -----
        UserWarning
            If the network does not read one of the hyperparameters.
        """
        check_axes(cls, ax)
        _check_repeats(repeats)
        unknown = [name for name in hyperparameters if name not in HYPERPARAMETERS]
        if unknown:
            known = [*HYPERPARAMETERS, *list(signature(cls.from_text).parameters)[:-1]]  # the last is **hyperparameters
            name, hint = unknown[0], instead_of(unknown[0], known)
            raise TypeError(f"ArchitectureDisplay.from_text() got an unexpected keyword argument {name!r}. {hint}")
        numbers, study = Hyperparameters(**hyperparameters), find_study(text)
        if n_classes is None and study is not None:
            n_classes = study.n_classes
        architecture = find_architecture(text, image_shape, numbers)
        bound = architecture.bind(image_shape, n_classes, numbers)
        reasons = without_effect(architecture, image_shape, numbers, is_auto(text), hyperparameters)
        if reasons:
            warnings.warn(spell_without_effect(reasons, hyperparameters, text), stacklevel=2)
        return cls(bound).plot(repeats=repeats, ax=ax)

    def plot(self, *, repeats="auto", ax=None):
        """Draw the network, in as many rows as it needs.

        Parameters
        ----------
        repeats : {"auto", "folded", "written out"}, default="auto"
            Whether parts that follow each other and do the same are drawn once, with the number of times. "auto" does
            so if there are more than 24 volumes.
        ax : matplotlib Axes, default=None
            Where to draw; by default, in a new figure that is at most 9 inches wide, or 10 with more than 24 volumes,
            unless a single part is wider. If the axes are small, all is smaller, and where text would be smaller than 6
            points, only names and volumes are written, only names, or nothing.

        Returns
        -------
        ArchitectureDisplay
            This display.
        """
        check_axes(self, ax)
        _check_repeats(repeats)
        chain = self._chain(repeats)
        layout = _page(chain) if ax is None else _fitted(chain, ax)
        if layout.scale.words == "none" and repeats == "auto":  # frames would not say how often
            layout = _fitted(self._chain("written out"), ax)
        ax, scale = inch_axes(self, ax, layout.width, layout.height)
        from skconvnet.inspection.boxes import draw_layout  # it imports Matplotlib

        draw_layout(layout, ax, FONT_SIZE * scale)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _chain(self, repeats):
        chain = diagram_of(self.architecture)
        return fold(chain) if repeats == "folded" or (repeats == "auto" and _is_long(chain)) else chain


def _check_repeats(repeats):
    """Raise a ValueError if it is none of the words that there are."""
    if repeats not in ("auto", "folded", "written out"):
        raise ValueError(f"repeats must be 'auto', 'folded' or 'written out', got {repeats!r}")


def _architecture_of(estimator, image_shape):
    """Return the bound architecture of an estimator, fitted or not."""
    check_network(estimator, must_be_fitted=False)
    if hasattr(estimator, "architecture_"):
        fitted = estimator.architecture_.image_shape
        if image_shape is not None and check_image_shape(image_shape) != fitted:
            raise ValueError(
                f"image_shape={image_shape!r}, but the network was fitted on images of shape {fitted}. Leave out "
                "image_shape. To see the network for other images, pass clone(estimator), which is not fitted."
            )
        return estimator.architecture_
    stored = pretrained_network(estimator.pretrained)
    image_shape = image_shape or estimator.image_shape or (stored and stored.architecture.image_shape)
    if image_shape is None:
        raise ValueError(
            f"This {type(estimator).__name__} is not fitted and has no image_shape, so the size of its images is not "
            "known. Give image_shape=(height, width, channels)."
        )
    return bind_network(estimator, image_shape, None, stored)


def _is_long(chain):
    return len(list(parts_in(chain))) > _MANY


def _page(chain):
    """Return the layout of a figure of its own."""
    is_long = _is_long(chain)
    return lay_out(chain, _WIDTH[is_long], _BOXES[is_long])


def _fitted(chain, ax):
    """Return the layout that fills axes: with as much text as can be read, then with boxes as large as possible."""
    width, height = inches_of(ax)

    def fits(size):
        layout = lay_out(chain, width / size, box, words)
        return layout.width * size <= width and layout.height * size <= height

    for words, sizes in (("all", _SIZES), ("volume", _SIZES), ("name", _SIZES), ("none", _SIZES + _SMALL_SIZES)):
        for box in _BOXES:
            if fits(sizes[-1]):
                return lay_out(chain, width / sizes[bisect_left(sizes, True, key=fits)], box, words)
    return lay_out(chain, width / sizes[-1], box, words)
