"""The weights of a layer as images."""

from math import ceil, sqrt
from textwrap import fill

import numpy as np

from skconvnet.architecture.hyperparameters import whole_number
from skconvnet.engine.weights.layout import learning_layers
from skconvnet.estimators.features import layer_name
from skconvnet.inspection.drawing import axes_or_new, check_axes, inches_of, show_image
from skconvnet.inspection.network import check_network

__all__ = ["FiltersDisplay"]

_MOST_IMAGES, _MOST_ROWS, _MOST_CHANNELS = 64, 16, 32
_WIDTH = 9  # inches, at most
_CELL = 0.6  # inches of a filter, at most
_FRAME = "#aaaaaa"
_LEAST = 3  # inches of axes that have room for names
_CHARACTER = 0.6 / 72  # inches of a character, by points of its font
_BESIDE = 1.2, 0.7  # inches for the colour bar and numbers, and for the title and names


class FiltersDisplay:
    """A picture of the filters of a layer.

    Filters on a grey or RGB image are images themselves, side by side. So are filters of one channel. Of other filters,
    each row has one, with an image for each input channel. All have one scale, in which medium grey is zero, and a
    frame, as the largest weights are white.

    Make one with `from_estimator`. It needs Matplotlib: ``pip install matplotlib``.

    Parameters
    ----------
    filters : ndarray, (n_filters, height, width, channels)
        The weights.
    layer : str
        The name of their layer, for the title.
    in_colour : bool, default=False
        Whether the three channels are red, green and blue.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the picture.
    figure_ : matplotlib Figure
        Its figure.
    image_ : matplotlib AxesImage
        All filters.
    colorbar_ : matplotlib Colorbar
        The scale of the weights; of a filter in colours, of the weights of each colour.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=2, random_state=0).fit(X[:1000], y[:1000])
    >>> FiltersDisplay.from_estimator(classifier).ax_.get_title()
    'CONV 1: 8 filters of 3x3'
    >>> FiltersDisplay.from_estimator(classifier, "CONV 2").ax_.get_title()
    'CONV 2: 8 filters of 3x3x8'
    """

    def __init__(self, filters, layer, in_colour=False):
        self.filters = filters
        self.layer = layer
        self.in_colour = in_colour

    @classmethod
    def from_estimator(cls, estimator, layer=None, *, max_filters=None, max_channels=None, ax=None):
        """Draw the filters of a layer of a fitted classifier or regressor.

        The weights of an FC on a volume are drawn too: each of its units has a filter as large as the volume.

        Parameters
        ----------
        estimator : ConvNetClassifier or ConvNetRegressor
            It is fitted. Its weights are for pixels that are standardised.
        layer : str or int, default=None
            A CONV or FC: its name, such as "CONV 2", or its row in the table of ``estimator.architecture_.summary()``.
            None: the first of them.
        max_filters, max_channels, ax
            As of `plot`.

        Returns
        -------
        FiltersDisplay

        Raises
        ------
        ValueError
            If it is no CONV or FC.
        """
        check_axes(cls, ax)
        check_network(estimator)
        layers = learning_layers(estimator.architecture_)
        weights = {
            bound.name: (bound, coefs)
            for bound, coefs in zip(layers, estimator.coefs_, strict=True)
            if bound.kind in ("CONV", "FC")
        }
        first = next(iter(weights))
        layer = layer_name(estimator.architecture_, first if layer is None else layer, weights, "has no filters")
        bound, coefs = weights[layer]
        filters = coefs.reshape(*bound.window, bound.input.depth, -1) if bound.kind == "FC" else coefs
        in_colour = layer == first and filters.shape[2] == 3
        display = cls(np.moveaxis(filters, -1, 0), layer, in_colour)
        return display.plot(max_filters=max_filters, max_channels=max_channels, ax=ax)

    def plot(self, *, max_filters=None, max_channels=None, ax=None):
        """Draw the filters.

        Parameters
        ----------
        max_filters : int, default=None
            The most filters that are drawn, the first of the layer. None: 64 as images, or 16 in rows.
        max_channels : int, default=None
            The most input channels that are drawn, where each has an image. None: 32.
        ax : matplotlib Axes, default=None
            Where to draw; by default, in a new figure. Axes of less than 3 inches have fewer words.

        Returns
        -------
        FiltersDisplay
            This display.

        Raises
        ------
        ValueError
            If a weight is NaN or infinite, or a number is not whole.
        """
        _check_finite(self.filters)
        in_rows = self.filters.shape[3] > 1 and not self.in_colour
        max_filters = _at_most("max_filters", max_filters, _MOST_ROWS if in_rows else _MOST_IMAGES)
        max_channels = _at_most("max_channels", max_channels, _MOST_CHANNELS)
        shown = self.filters[:max_filters]
        limit = np.abs(self.filters).max() or 1
        if in_rows:
            grid = np.moveaxis(shown[..., :max_channels], 3, 1)[..., None]
        else:
            grid = _arranged(shown)
        picture, (height, width) = _mosaic(grid, limit)
        is_small = ax is not None and inches_of(ax)[0] < _LEAST
        ax = axes_or_new(self, ax, _figure_size(grid.shape[:2], height / width))
        self.image_ = show_image(ax, picture, vmin=-limit, vmax=limit)
        _draw_frames(ax, len(shown) * (grid.shape[1] if in_rows else 1), grid.shape[1:4], (height, width))
        self.colorbar_ = _add_colorbar(self.image_, ax)
        if not is_small:
            self.colorbar_.set_label("weight of each colour" if self.in_colour else "weight", size=8)
            ax.set_ylabel("filter", fontsize=8)
            ax.set_xlabel("input channel" if in_rows else "", fontsize=8)
        title, title_size = self._title(len(shown), grid.shape[1] if in_rows else None), 7 if is_small else 9
        ax.set_title(title, fontsize=title_size)  # the layout leaves it room; its width is known then
        room = inches_of(ax)
        ax.set_title(fill(title, max(10, int(room[0] / (_CHARACTER * title_size)))), fontsize=title_size)
        inches = min(np.divide(room, picture.shape[1::-1]))  # of a pixel
        _number(ax.yaxis, range(0, len(shown), 1 if in_rows else grid.shape[1]), height, inches, 7)
        if in_rows:
            _number(ax.xaxis, range(grid.shape[1]), width, inches, 7)
        else:
            ax.set_xticks([])
        for spine in ax.spines.values():
            spine.set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _title(self, n_shown, n_channels):
        n, height, width, channels = self.filters.shape
        depth = f"x{channels}" if channels > 1 else ""
        of = f"{n_shown} of " if n_shown < n else ""
        title = f"{self.layer}: {of}{n} filter{'s' * (n != 1)} of {width}x{height}{depth}"
        if n_channels is not None and n_channels < channels:
            title += f", {n_channels} of {channels} channels"
        return title


def _check_finite(filters):
    n_wrong = np.size(filters) - np.isfinite(filters).sum()
    if n_wrong:
        raise ValueError(
            f"{n_wrong:,} of {np.size(filters):,} weights are NaN or infinite, so they have no common scale. Replace "
            "them, such as by np.nan_to_num(filters, posinf=0, neginf=0)."
        )


def _at_most(name, number, default):
    return default if number is None else whole_number(name, number, 1, error=ValueError)


def _arranged(filters):
    """Return filters in rows and columns, twice as many columns as rows: (rows, columns, height, width, channels).

    NaN fills up the last row.
    """
    n = len(filters)
    n_columns = min(n, ceil(sqrt(2 * n)))
    grid = np.full((ceil(n / n_columns) * n_columns, *filters.shape[1:]), np.nan)
    grid[:n] = filters
    return grid.reshape(-1, n_columns, *filters.shape[1:])


def _mosaic(grid, limit):
    """Return one picture of a grid, and the height and width of a cell in it.

    Between filters of more than a pixel is a line of nothing. Three channels become RGBA, where grey is zero, and
    `limit` the brightest.
    """
    n_rows, n_columns, height, width, channels = grid.shape
    line = 1 if max(height, width) > 1 else 0
    cells = np.pad(grid, ((0, 0), (0, 0), (0, line), (0, line), (0, 0)), constant_values=np.nan)
    height, width = height + line, width + line
    picture = cells.transpose(0, 2, 1, 3, 4).reshape(n_rows * height, n_columns * width, channels)
    picture = picture[: len(picture) - line, : n_columns * width - line]
    if channels == 1:
        return picture[..., 0], (height, width)
    opaque = ~np.isnan(picture[..., :1])
    return np.concatenate([np.nan_to_num(0.5 + picture / (2 * limit)), opaque], axis=2), (height, width)


def _draw_frames(ax, n_images, shape, cell):
    """Draw a thin frame around each image: white weights look like the page.

    Parameters
    ----------
    ax : matplotlib Axes
    n_images : int
        They fill the rows one after the other.
    shape : tuple of int
        (columns, height, width): the images in a row, and the pixels of an image.
    cell : tuple of int
        (height, width) of an image and the line after it.
    """
    from matplotlib.collections import PolyCollection

    n_columns, height, width = shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - 0.5
    rows, columns = np.divmod(np.arange(n_images), n_columns)
    places = np.stack([columns * cell[1], rows * cell[0]], axis=1)
    frames = {"facecolors": "none", "edgecolors": _FRAME, "linewidths": 0.5, "clip_on": False, "gid": "frames"}
    ax.add_collection(PolyCollection(places[:, None] + corners, **frames))


def _figure_size(n_cells, ratio):
    """Return the size of a figure for so many rows and columns of cells, whose height is `ratio` times their width."""
    n_rows, n_columns = n_cells
    right, above = _BESIDE
    cell = min(_CELL, _CELL / ratio, (_WIDTH - right) / n_columns)
    return max(3.5, n_columns * cell + right), max(1.5, n_rows * cell * ratio + above)


def _add_colorbar(image, ax):
    """Draw the scale of the weights beside them."""
    colorbar = ax.figure.colorbar(image, ax=ax, pad=0.02, aspect=25)
    colorbar.ax.tick_params(labelsize=7)
    return colorbar


def _number(axis, numbers, size, inches, font_size):
    """Write numbers to the cells along an axis, as many as there is room for.

    Parameters
    ----------
    axis : matplotlib Axis
    numbers : range
        That of each cell.
    size : int
        The pixels from one cell to the next.
    inches : float
        Of a pixel.
    font_size : float
        In points.
    """
    wide = len(str(numbers[-1])) + 1.5 if axis.axis_name == "x" else 2.2  # characters; the height of a line
    step = ceil(wide * _CHARACTER * font_size / (size * inches))
    middle = max(0, size - 2) / 2  # without the line between filters, which are larger than a pixel
    axis.set_ticks([n * size + middle for n in range(0, len(numbers), step)], numbers[::step], fontsize=font_size)
    axis.set_tick_params(length=0)
