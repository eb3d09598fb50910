"""The scores of a network over a larger image, as a picture."""

import numpy as np

from skconvnet.inspection.drawing import (
    as_picture,
    axes_or_new,
    check_axes,
    inches_of,
    shortened,
    show_image,
    shrink_texts,
)
from skconvnet.inspection.network import check_network, check_one_image
from skconvnet.inspection.saliency import no_such_target, output_names

__all__ = ["ScoreMapDisplay"]

_MEAN_GREY = 0.75  # of the image, and behind the bar
_LEAST = 3.5, 2.5  # inches; in smaller axes texts are small
_CHARACTER = 0.65  # the width of one, in sizes of its font


class ScoreMapDisplay:
    """A picture of the scores that a network has at every position in a larger image.

    A score is drawn where the middle of its window is, over the image in light grey. The frame is the window of the
    highest score.

    Make one with `from_estimator`. It needs Matplotlib: ``pip install matplotlib``.

    Parameters
    ----------
    image : ndarray, (height, width, channels)
        The image.
    scores : ndarray, (rows, columns)
        The scores.
    window : tuple of int
        (height, width) of the images that the network was fitted on.
    stride : tuple of int
        The distance between neighbouring windows, down and across.
    name : str, default="score"
        What the scores are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the picture.
    colorbar_ : matplotlib Colorbar
        The bar of the scores.
    figure_ : matplotlib Figure
        Their figure.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier
    >>> from skconvnet.inspection import ScoreMapDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=2, random_state=0).fit(X, y)
    >>> digits = np.hstack(X[:5].reshape(5, 8, 8))
    >>> display = ScoreMapDisplay.from_estimator(classifier, digits, target=3)  # doctest: +SKIP
    """

    def __init__(self, image, scores, window, stride, *, name="score"):
        self.image = image
        self.scores = scores
        self.window = window
        self.stride = stride
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, image, *, target=None, ax=None):
        """Compute the scores over an image, and draw them.

        Parameters
        ----------
        estimator : ConvNetClassifier or ConvNetRegressor
            A fitted network.
        image : array-like, (height, width) or (height, width, channels)
            An image that is at least as large as those in `fit`, in the same units.
        target : label or int, default=None
            Which class or label, as in ``estimator.classes_``, or which output of a regressor, counted from 0. None
            takes the class with the highest score, and the first output.
        ax : matplotlib Axes, default=None
            Where to draw; by default, in a new figure.

        Returns
        -------
        ScoreMapDisplay

        Raises
        ------
        ValueError
            As `score_map` does, or if the target is no class, label or output of the network.
        """
        check_axes(cls, ax)
        check_network(estimator)
        image = check_one_image(image, image_shape=estimator.image_shape_)
        if np.ndim(target):
            raise ValueError(f"target has the shape {np.shape(target)}. Pass one class, label or output.")
        names, has_classes = output_names(estimator)
        if target is not None and not (names == target).any():
            raise ValueError(no_such_target(target, names, has_classes))
        scores = estimator.score_map(image[None])[0]
        scores = scores.reshape(*scores.shape[:2], -1)
        if target is None:
            output = int(scores.max(axis=(0, 1)).argmax()) if has_classes else 0
        else:
            output = int((names == target).argmax())
        larger = estimator.architecture_.on((*image.shape[:2], estimator.image_shape_[2]))
        name = f"score of {names[output]}" if has_classes else f"output {names[output]}"
        image = image.reshape(*image.shape[:2], -1)
        return cls(image, scores[..., output], estimator.image_shape_[:2], _stride(larger.layers), name=name).plot(
            ax=ax
        )

    def plot(self, *, ax=None, cmap="viridis", alpha=0.6):
        """Draw the scores over the image.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default, in a new figure. In small axes, the title does not say the size of the window.
        cmap : str or matplotlib Colormap, default="viridis"
            The colours of the scores.
        alpha : float, default=0.6
            How much the scores cover the image, from 0 to 1.

        Returns
        -------
        ScoreMapDisplay
            This display.
        """
        height, width = self.image.shape[:2]
        ax = axes_or_new(self, ax, figsize=(6.4, min(8, 6 * height / width + 1.9)))
        room = inches_of(ax)
        is_small = room[0] < _LEAST[0] or room[1] < _LEAST[1]
        picture = as_picture(self.image)
        grey = picture if picture.ndim == 2 else picture.mean(axis=-1)  # colours are for the scores
        show_image(ax, grey, vmin=-1)  # from 0.5 to 1: on black, colours would be others than those of the bar
        options = {"cmap": cmap, "alpha": alpha, "interpolation": "nearest"}
        drawn = ax.imshow(self.scores, extent=self._extent(), **options)
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        low, high = np.nanmin(self.scores), np.nanmax(self.scores)
        ticks = {} if low < high else {"ticks": [low], "format": "%.3g"}  # the bar of one score has others
        self.colorbar_ = ax.figure.colorbar(drawn, ax=ax, orientation="horizontal", shrink=0.7, **ticks)
        self.colorbar_.ax.set_facecolor(str(_MEAN_GREY))
        if is_small:
            shrink_texts([ax, self.colorbar_.ax])
        self._frame(ax)
        font_size = self.colorbar_.ax.xaxis.label.get_fontsize()
        n_characters = int(72 * room[0] / (_CHARACTER * font_size))
        ax.set_title(self._title(n_characters, is_small), fontsize=font_size)
        if not is_small:  # else the title has the name
            self.colorbar_.set_label(shortened(self.name, n_characters))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _extent(self):
        """Return left, right, bottom and top of the map: a cell is a stride wide, around the middle of its window."""
        (top, bottom), (left, right) = (
            ((extent - stride - 1) / 2, (extent - stride - 1) / 2 + stride * count)
            for extent, stride, count in zip(self.window, self.stride, self.scores.shape, strict=True)
        )
        return left, right, bottom, top

    def _frame(self, ax):
        """Draw the window of the highest score."""
        from matplotlib.patches import Rectangle

        row, column = np.unravel_index(np.nanargmax(self.scores), self.scores.shape)
        height, width = self.window
        corner = column * self.stride[1] - 0.5, row * self.stride[0] - 0.5
        ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="red", linewidth=2))

    def _title(self, n_characters, is_small):
        """Return the highest score, and the size of its window in a second line unless the axes are small."""
        height, width = self.window
        score = f"{np.nanmax(self.scores):.3g}"
        name = shortened(self.name, n_characters - len(f"highest : {score}"))
        return f"highest {name}: {score}" + ("" if is_small else f"\nin a window of {width} x {height}")


def _stride(layers):
    """Return the stride of a chain of layers, down and across: the product of the strides of its CONV and POOL."""
    down, across = 1, 1
    for layer in layers:
        if layer.kind in ("CONV", "POOL"):
            strides = [axis.S for axis in layer.axes]
        elif getattr(layer, "branches", ()):
            strides = _stride(layer.branches[0])  # that of all branches: their outputs are as large
        else:
            continue
        down, across = down * strides[0], across * strides[1]
    return down, across
