"""The activations of all layers for one image."""

from numbers import Integral

import numpy as np
from sklearn.base import is_classifier

from skconvnet.architecture import walk
from skconvnet.architecture.hyperparameters import whole_number
from skconvnet.data import check_images
from skconvnet.engine import Scorer
from skconvnet.estimators.features import layer_name
from skconvnet.estimators.fitted import fitted_network
from skconvnet.estimators.scoring import compute_scores
from skconvnet.inspection.drawing import as_picture, check_axes, inch_axes, inches_of, shortened, show_image
from skconvnet.inspection.layout import FONT_SIZE, LINE, text_width
from skconvnet.inspection.network import check_network, check_one_image

__all__ = ["ActivationsDisplay"]

_WIDTH = 9  # inches
_CELL, _BETWEEN, _MARGIN = 0.42, 0.05, 0.1
_IMAGE = 2 * _CELL
_BETWEEN_ROWS = 0.15
_THINNEST = 4  # times as long as wide is a picture at most
_MOST_NUMBERS = 128  # of a volume of one pixel
_MOST_OUTPUTS, _LONGEST_NAME = 5, 14
_OUTPUTS_WIDTH, _OUTPUT_HEIGHT, _BAR = 1.25, 0.34, 0.08
_SMALLEST_FONT = 6  # points
_BAR_COLOUR, _BAR_BACK, _FRAME = "#8db8dc", "#e8e8e8", "#aaaaaa"


class ActivationsDisplay:
    """A picture of what the layers of a network make of an image: a column for each layer.

    Below the name of a layer are the slices of its volume, one below the other, from black, which is the smallest
    activation of the layer, to white, which is the largest. A volume of one pixel is one strip of all its numbers. The
    last column has the largest class probabilities, or what a regressor predicts. An image with other than three
    channels is drawn in grey, as the mean of its channels.

    Make one with `from_estimator`. It needs Matplotlib: ``pip install matplotlib``.

    Parameters
    ----------
    image : ndarray, (height, width, channels)
        The image.
    activations : dict of str to ndarray, (height, width, depth)
        The volume of each layer, by its name.
    outputs : dict of str to float
        What is written in the last column.
    are_probabilities : bool, default=True
        Whether the outputs are numbers from 0 to 1, of which the largest are drawn as bars.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the picture.
    figure_ : matplotlib Figure
        Its figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=2, random_state=0).fit(X[:1000], y[:1000])
    >>> display = ActivationsDisplay.from_estimator(classifier, X[1000])
    >>> list(display.activations)
    ['CONV 1', 'RELU 1', 'CONV 2', 'RELU 2', 'POOL 1', 'FC 1', 'RELU 3', 'FC 2']
    """

    def __init__(self, image, activations, outputs, are_probabilities=True):
        self.image = image
        self.activations = activations
        self.outputs = outputs
        self.are_probabilities = are_probabilities

    @classmethod
    def from_estimator(cls, estimator, image, *, layers=None, max_maps=10, ax=None):
        """Compute the activations of one image and draw them.

        Parameters
        ----------
        estimator : ConvNetClassifier or ConvNetRegressor
            It is fitted.
        image : array-like, (height, width), (height, width, channels) or (height * width * channels,)
            One image of the size that the network was fitted on.
        layers : str or int, or list of them, default=None
            The layers, as `ConvNetFeatures` takes them: their names, such as "CONV 2", or rows. They may be inside
            branches. None: all from the first CONV or FC on, of which a sum, stack or gate is one without its branches.
        max_maps, ax
            As of `plot`.

        Returns
        -------
        ActivationsDisplay

        Raises
        ------
        ValueError
            If it is not one image, has another size, or there is no such layer.
        """
        check_axes(cls, ax)
        max_maps = whole_number("max_maps", max_maps, 1, error=ValueError)
        check_network(estimator)
        names = _names(estimator.architecture_, layers)
        X = check_one_image(image, (1, 2, 3), estimator.image_shape_)[None]
        images = check_images(estimator, X, estimator.image_shape_)
        network = fitted_network(estimator)
        activations = {name: _volume(network.up_to(name), images, estimator.n_jobs) for name in names}
        are_probabilities = is_classifier(estimator)
        display = cls(images.unconverted(slice(1))[0], activations, _outputs(estimator, X), are_probabilities)
        return display.plot(max_maps=max_maps, ax=ax)

    def plot(self, *, max_maps=10, ax=None):
        """Draw the activations, in as many rows of columns as they need.

        Parameters
        ----------
        max_maps : int, default=10
            The most slices of a volume that are drawn, the first. Below a column is written of how many.
        ax : matplotlib Axes, default=None
            Where to draw; by default, in a new figure that is at most 9 inches wide. If the axes are small, all is
            smaller, and nothing is written where text would be smaller than 6 points.

        Returns
        -------
        ActivationsDisplay
            This display.
        """
        max_maps = whole_number("max_maps", max_maps, 1, error=ValueError)
        check_axes(self, ax)
        page = _Page(self, max_maps)
        if ax is not None and page.font_size(inches_of(ax)) < _SMALLEST_FONT:
            page = _Page(self, max_maps, has_words=False)
        ax, scale = inch_axes(self, ax, page.width, page.height)
        page.draw(ax, FONT_SIZE * scale if page.has_words else None)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _names(architecture, layers):
    """Return the names of the layers to draw, by default those outside branches from the first CONV or FC on."""
    if layers is not None:
        names = [
            layer_name(architecture, layer) for layer in ([layers] if isinstance(layers, (str, Integral)) else layers)
        ]
        if not names:
            raise ValueError('layers is empty. Pass names, such as ["CONV 1"], or None for all layers.')
        return names
    has_weights = [any(one.kind in ("CONV", "FC") for one in walk([layer])) for layer in architecture.layers]
    return [layer.name for layer in architecture.layers[has_weights.index(True) :]]


def _volume(network, images, n_jobs):
    """Return the volume that a network computes from its only image."""
    scorer = Scorer(network)
    volume = scorer.output
    return compute_scores(scorer, images, n_jobs).reshape(volume.height, volume.width, volume.depth)


def _outputs(estimator, X):
    """Return what an estimator says of an image: class probabilities, or numbers."""
    if is_classifier(estimator):
        return dict(zip(map(str, estimator.classes_), estimator.predict_proba(X)[0].tolist(), strict=True))
    numbers = np.ravel(estimator.predict(X)[0]).tolist()
    return {f"output {n}": number for n, number in enumerate(numbers)} if len(numbers) > 1 else {"output": numbers[0]}


def _is_map(volume):
    return volume.shape[0] * volume.shape[1] > 1


class _Page:
    """The columns of a display, in as many rows as they need.

    Parameters
    ----------
    display : ActivationsDisplay
    max_maps : int
        As of `ActivationsDisplay.plot`.
    has_words : bool, default=True
        Whether there is room for text.

    Attributes
    ----------
    width, height : float
        In inches.
    """

    def __init__(self, display, max_maps, has_words=True):
        self.has_words = has_words
        depths = [volume.shape[2] for volume in display.activations.values() if _is_map(volume)]
        n_high = min(max_maps, max(depths, default=1))
        outputs_height = _OUTPUT_HEIGHT * min(_MOST_OUTPUTS, len(display.outputs))
        height = max(_IMAGE, n_high * (_CELL + _BETWEEN) - _BETWEEN, outputs_height)
        columns = [_ImageColumn(display.image)]
        for name, volume in display.activations.items():
            columns.append(_MapsColumn(name, volume, n_high) if _is_map(volume) else _StripColumn(name, volume, height))
        if has_words or display.are_probabilities:  # else there are no bars
            columns.append(_OutputsColumn(display.outputs, display.are_probabilities))
        self._rows = _rows(columns, has_words)
        self._row_height = height + (3 * LINE if has_words else 0)
        self.width = max(sum(column.width(has_words) for column in row) for row in self._rows) + 2 * _MARGIN
        self.height = len(self._rows) * (self._row_height + _BETWEEN_ROWS) - _BETWEEN_ROWS + 2 * _MARGIN

    def font_size(self, inches):
        """Return the size of the text, in points, on axes of this width and height."""
        return FONT_SIZE * min(inches[0] / self.width, inches[1] / self.height)

    def draw(self, ax, font_size):
        """Draw the columns; without a font size, without text."""
        for number, row in enumerate(self._rows):
            x, y = _MARGIN, -_MARGIN - number * (self._row_height + _BETWEEN_ROWS)
            for column in row:
                column.draw(ax, x, y, font_size)
                x += column.width(self.has_words)


def _rows(columns, has_words):
    """Divide columns into rows of at most the width of the picture."""
    rows, width = [[]], 2 * _MARGIN
    for column in columns:
        width += column.width(has_words)
        if width > _WIDTH and rows[-1]:
            rows.append([])
            width = 2 * _MARGIN + column.width(has_words)
        rows[-1].append(column)
    return rows


class _Column:
    """A column of the picture: a name, and below it what `draw_below` draws, and a note.

    Parameters
    ----------
    name, note : str
    wide : float
        The width of what is below the name, in inches.
    """

    def __init__(self, name, note="", wide=_CELL):
        self.name, self.note, self._wide = name, note, wide

    def width(self, has_words):
        """Return the width of the column in inches."""
        words = (self.name, self.note) if has_words else ()
        return max([self._wide, *map(text_width, words)]) + 2 * _BETWEEN

    def draw(self, ax, x, y, font_size):
        """Draw the column, whose upper left corner is given; without a font size, without text."""
        middle = x + self.width(font_size is not None) / 2
        if font_size is None:
            self.draw_below(ax, middle, y, None)
            return
        font = {"family": "monospace", "fontsize": font_size, "ha": "center"}
        ax.text(middle, y, self.name, weight="bold", va="top", **font)
        end = self.draw_below(ax, middle, y - 1.5 * LINE, font)
        if self.note:
            ax.text(middle, end, self.note, va="top", **font)


class _ImageColumn(_Column):
    """The image."""

    def __init__(self, image):
        channels = image.shape[2]
        super().__init__("INPUT", "" if channels in (1, 3) else f"mean of {channels}", wide=_IMAGE)
        self._picture = as_picture(image)

    def draw_below(self, ax, middle, y, font):
        """Draw the image; return where it ends."""
        return _show(ax, self._picture, middle, y, _IMAGE)


class _MapsColumn(_Column):
    """The slices of a volume."""

    def __init__(self, name, volume, n_maps):
        depth = volume.shape[2]
        super().__init__(name, f"{n_maps} of {depth}" if depth > n_maps else "")
        pictures = as_picture(np.moveaxis(volume, 2, 0)[..., None])
        self._pictures = pictures[:n_maps]

    def draw_below(self, ax, middle, y, font):
        """Draw the maps; return where they end."""
        for picture in self._pictures:
            _show(ax, picture, middle, y, _CELL)
            y -= _CELL + _BETWEEN
        return y


class _StripColumn(_Column):
    """The numbers of a volume of one pixel."""

    def __init__(self, name, volume, height):
        depth = volume.size
        super().__init__(name, f"{_MOST_NUMBERS} of {depth}" if depth > _MOST_NUMBERS else "", wide=_CELL / 2)
        self._picture = as_picture(volume.reshape(-1, 1, 1))[:_MOST_NUMBERS]
        self._height = min(height, _CELL / 2 * len(self._picture))

    def draw_below(self, ax, middle, y, font):
        """Draw the numbers; return where they end."""
        _draw_framed(ax, self._picture, middle, y, _CELL / 2, self._height)
        return y - self._height - _BETWEEN


class _OutputsColumn(_Column):
    """The largest class probabilities with bars, or the numbers that a regressor predicts."""

    def __init__(self, outputs, are_probabilities):
        super().__init__("classes" if are_probabilities else "prediction", wide=_OUTPUTS_WIDTH)
        names = sorted(outputs, key=outputs.get, reverse=True) if are_probabilities else list(outputs)
        self._shown = [(name, outputs[name]) for name in names[:_MOST_OUTPUTS]]
        self._has_bars = are_probabilities

    def draw_below(self, ax, middle, y, font):
        """Draw the outputs; return where they end."""
        left, right = middle - _OUTPUTS_WIDTH / 2, middle + _OUTPUTS_WIDTH / 2
        for name, value in self._shown:
            if font is not None:
                number = f"{value:.2f}" if self._has_bars else f"{value:.4g}"
                ax.text(left, y, shortened(name, _LONGEST_NAME), va="top", **font | {"ha": "left"})
                ax.text(right, y, number, va="top", **font | {"ha": "right"})
            if self._has_bars:
                _draw_bar(ax, left, y - LINE, right - left, value)
            y -= _OUTPUT_HEIGHT
        return y


def _show(ax, picture, middle, y, side):
    """Draw a picture below y, whose longer side is given; return where it ends. A thin strip is drawn thicker."""
    height, width = (max(n, max(picture.shape[:2]) / _THINNEST) for n in picture.shape[:2])
    inches = side / max(height, width)
    _draw_framed(ax, picture, middle, y, width * inches, height * inches)
    return y - height * inches - _BETWEEN


def _draw_framed(ax, picture, middle, y, width, height):
    """Draw a picture of this size below y, in a thin frame: its corners may be white."""
    left, right, end = middle - width / 2, middle + width / 2, y - height
    show_image(ax, picture, extent=(left, right, end, y))
    ax.plot([left, right, right, left, left], [end, end, y, y, end], color=_FRAME, linewidth=0.5)


def _draw_bar(ax, left, y, width, value):
    """Draw a bar below y, of which a number from 0 to 1 is the filled part."""
    for part, colour in ((1, _BAR_BACK), (value, _BAR_COLOUR)):
        ax.barh(y - _BAR / 2, width * part, _BAR, left, color=colour)
