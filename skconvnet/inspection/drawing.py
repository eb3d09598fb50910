"""What the displays share: Matplotlib, imported when the first picture is drawn, axes, and images on axes."""

import numpy as np

__all__ = [
    "as_picture",
    "axes_or_new",
    "check_axes",
    "inch_axes",
    "inches_of",
    "load_pyplot",
    "panel_grid",
    "shortened",
    "show_image",
    "shrink_texts",
]

_SMALL = 7  # points


def load_pyplot(display):
    """Import Matplotlib.

    Parameters
    ----------
    display : object or type
        The display that draws, or its class, for the error.

    Returns
    -------
    module
        `matplotlib.pyplot`.

    Raises
    ------
    ImportError
        If Matplotlib is not installed. The error says how to install it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        name = (display if isinstance(display, type) else type(display)).__name__
        raise ImportError(f"{name} draws with Matplotlib. Install it: pip install matplotlib") from error
    return plt


def check_axes(display, ax):
    """Raise an error if a display cannot draw: call this before the work whose result it draws.

    Parameters
    ----------
    display : object or type
        The display that draws, or its class, for the error.
    ax : object
        What the caller passed as axes; None if the display makes a new figure.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError
        If the caller passed no axes, several, or axes that are not flat, such as those in three dimensions.
    """
    plt = load_pyplot(display)
    if ax is None:
        return
    if not isinstance(ax, plt.Axes):
        raise TypeError(
            f"ax must be one Axes, and this is of class {type(ax).__name__}. Of an array of Axes "
            "pass one, such as ax[0] or ax[0, 0], and of a Figure, figure.subplots()."
        )
    if ax.name != "rectilinear":
        raise TypeError(f"ax must be Axes with x and y, got the projection {ax.name!r}. Pass plt.figure().subplots().")


def axes_or_new(display, ax, figsize):
    """Return the axes to draw in: those of the caller, or those of a new figure.

    Parameters
    ----------
    display : object
        The display that draws.
    ax : matplotlib Axes or None
        The caller's axes.
    figsize : tuple of float
        Width and height of a new figure, in inches.

    Returns
    -------
    matplotlib Axes
    """
    check_axes(display, ax)
    return load_pyplot(display).subplots(figsize=figsize, layout="constrained")[1] if ax is None else ax


def panel_grid(display, ax, figsize, n_rows, n_columns, height_ratios=None, gap=None):
    """Return the grid of several panels: in the place of the caller's axes, or in a new figure.

    Parameters
    ----------
    display : object
        The display that draws.
    ax : matplotlib Axes or None
        The caller's axes, whose frame is removed.
    figsize : tuple of float
        Width and height of a new figure, in inches.
    n_rows, n_columns : int
        Of panels.
    height_ratios : sequence of float, default=None
        The heights of the rows; by default they are equal.
    gap : float, default=None
        Inches between the rows, for the text below panels, in figures whose layout makes no room for it.

    Returns
    -------
    figure : matplotlib Figure
    grid : matplotlib GridSpecBase
    """
    check_axes(display, ax)
    shape, options = (n_rows, n_columns), {"height_ratios": height_ratios}
    if ax is None:
        figure = load_pyplot(display).figure(figsize=figsize, layout="constrained")
        return figure, figure.add_gridspec(*shape, **options)
    if gap is not None and not ax.figure.get_constrained_layout():
        options["hspace"] = gap * n_rows / (inches_of(ax)[1] - gap * (n_rows - 1))  # of the mean height of a row
    ax.set_axis_off()
    if ax.get_subplotspec() is not None:
        return ax.figure, ax.get_subplotspec().subgridspec(*shape, **options)
    place = ax.get_position()  # axes that were put there by hand
    borders = {"left": place.x0, "right": place.x1, "bottom": place.y0, "top": place.y1}
    return ax.figure, ax.figure.add_gridspec(*shape, **options, **borders)


def inch_axes(display, ax, width, height):
    """Return axes for a picture whose places are in inches, from the origin to the right and down.

    Parameters
    ----------
    display : object
        The display that draws.
    ax : matplotlib Axes or None
        The caller's axes; by default, those that fill a new figure of this size.
    width, height : float
        Of the picture.

    Returns
    -------
    ax : matplotlib Axes
    scale : float
        By how much the picture is larger on these axes, and so is its text.
    """
    check_axes(display, ax)
    if ax is None:
        ax = load_pyplot(display).figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(-height, 0), aspect="equal")
    ax.set_axis_off()
    room = inches_of(ax)
    return ax, min(room[0] / width, room[1] / height)


def inches_of(ax):
    """Return the width and height of axes in inches, after the figure has given them their place."""
    figure = ax.get_figure(root=True)
    arrangement = figure.get_layout_engine()
    if arrangement is not None:
        arrangement.execute(figure)
    extent = ax.get_window_extent()
    return extent.width / ax.figure.dpi, extent.height / ax.figure.dpi


def shortened(text, length):
    """Return a text of at most so many characters; one that was longer ends in "…".

    Examples
    --------
    >>> shortened("tabby cat", 6)
    'tabby…'
    """
    return text if len(text) <= length else f"{text[: length - 1]}…"


def as_picture(images):
    """Scale images to numbers from 0 to 1, black is the smallest number and white the largest.

    Parameters
    ----------
    images : array-like, (..., height, width, channels)
        All share one scale.

    Returns
    -------
    ndarray, (..., height, width, 3) or (..., height, width)
        RGB if there are three channels, else grey, the mean of the channels.

    Examples
    --------
    >>> as_picture([[[10], [20]], [[30], [40]]]).round(1)
    array([[0. , 0.3],
           [0.7, 1. ]])
    """
    images = np.asarray(images, float)
    images = images if images.shape[-1] == 3 else images.mean(axis=-1)
    low, high = images.min(), images.max()
    return (images - low) / (high - low or 1)


def show_image(ax, picture, **options):
    """Draw a picture with sharp pixels: RGB, or grey from black, which is 0, to white, which is 1.

    Parameters
    ----------
    ax : matplotlib Axes
    picture : ndarray, (height, width) or (height, width, 3)
        As `as_picture` returns. NaN is drawn as nothing.
    **options : dict
        Options of `Axes.imshow`, such as another range or colour map.

    Returns
    -------
    matplotlib AxesImage
    """
    return ax.imshow(picture, **{"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"} | options)


def shrink_texts(panels):
    """Make the texts of small panels small, and the ticks of their scores few.

    Parameters
    ----------
    panels : iterable of matplotlib Axes
    """
    for panel in panels:
        panel.tick_params(labelsize=_SMALL, length=2, pad=2)
        for axis in (panel.xaxis, panel.yaxis):
            axis.label.set_size(_SMALL)
            axis.labelpad = 2
        panel.yaxis.get_major_locator().set_params(nbins=3)
