"""Doubts about training images whose shape was guessed, or which may be something else than they seem."""

from math import isqrt, prod

_FEWEST = 25  # features of a row: shorter rows are tables rather than images
_LABELS = {"category", "class", "classes", "label", "labels", "target", "targets", "y"}  # names of columns
_CHANNELS = (1, 3, 4)


def guess_image_shape(n_features):
    """Guess the image shape of rows: a square grey image, else a square RGB image, else a strip one pixel high.

    Parameters
    ----------
    n_features : int
        The length of a row, >= 1.

    Returns
    -------
    tuple of int
        (height, width, channels).

    Examples
    --------
    >>> guess_image_shape(64), guess_image_shape(3072), guess_image_shape(20)
    ((8, 8, 1), (32, 32, 3), (1, 20, 1))
    """
    for channels in (1, 3):
        side = isqrt(n_features // channels)
        if side * side * channels == n_features:
            return side, side, channels
    return 1, n_features, 1


def seems_one_image(X_shape):
    """Return whether an array seems to be one image with its channels last, rather than images of so few columns.

    Parameters
    ----------
    X_shape : tuple of int
        The shape of X.

    Returns
    -------
    bool

    Examples
    --------
    >>> seems_one_image((32, 24, 3)), seems_one_image((100, 32, 24)), seems_one_image((100, 3, 3))
    (True, False, False)
    """
    return len(X_shape) == 3 and X_shape[2] in _CHANNELS and min(X_shape[:2]) > 4


def doubt_about_images(X_shape, image_shape, is_given, names=()):
    """Return what may be wrong with the shape of training images, and what to do then.

    Parameters
    ----------
    X_shape : tuple of int
        The shape of X.
    image_shape : tuple of int
        (height, width, channels) as which its images are read.
    is_given : bool
        Whether the user has passed this shape; else it is that of the array, or was guessed.
    names : iterable of str
        The names of the columns of X.

    Returns
    -------
    str or None
        None if nothing seems wrong.

    Examples
    --------
    >>> doubt_about_images((100, 64), (8, 8, 1), is_given=False)
    >>> doubt_about_images((100, 50), (1, 50, 1), is_given=False).partition(".")[0]
    'X has rows of 50 features, which is neither a square nor three times one'
    """
    labels = [name for name in names if name.lower() in _LABELS]
    if labels:
        return (
            f"X has a column named {labels[0]!r}. If it is the label, the network reads the answer: leave it out of X "
            "and pass it as y."
        )
    return _doubt_about_channels(X_shape, image_shape, is_given) or (
        None if is_given or len(X_shape) > 2 or X_shape[1] < _FEWEST else _doubt_about_rows(X_shape[1], image_shape)
    )


def _doubt_about_channels(X_shape, image_shape, is_given):
    """Doubt images a few pixels high with many channels. Networks learn from such images, too."""
    channels, rows, columns = image_shape
    are_rows = len(X_shape) == 2
    is_square = rows == columns > 4 and (are_rows or not is_given)
    seems_first = not is_given and not are_rows and rows > 4 and columns not in _CHANNELS
    if channels not in _CHANNELS or not (is_square or seems_first):
        return None
    images = "X" if len(X_shape) == 4 else f"X.reshape(-1, {channels}, {rows}, {columns})"
    return (
        f"X is read as images {channels} high and {rows} wide with {columns} channels. This looks like channels first: "
        f"pass {images}.transpose(0, 2, 3, 1), images of shape {(rows, columns, channels)}."
    )


def _doubt_about_rows(n_features, image_shape):
    """Doubt that rows are RGB images or strips; a square grey image is no doubtful guess."""
    height, width, channels = image_shape
    if channels == 3:
        return (
            f"X has rows of {n_features} features. They are read as RGB images of shape {image_shape}, with the three "
            f"channels of a pixel next to each other. Pass image_shape={image_shape} if that is right, or the right "
            f"shape. If each channel is a plane of its own, pass X.reshape(-1, 3, {height}, {width})"
            ".transpose(0, 2, 3, 1)."
        )
    if height > 1:
        return None
    return (
        f"X has rows of {n_features} features, which is neither a square nor three times one. They are read as images "
        f"one pixel high. Pass image_shape=(1, {width}) if that is right, or the (height, width, channels) of the "
        f"images.{_one_too_many_or_few(n_features)}"
    )


def _one_too_many_or_few(n_features):
    """Return a sentence, after a space, if one feature more or less would make a square image."""
    for more, what in ((-1, "more than an image of"), (1, "less than an image of")):
        shape = guess_image_shape(n_features + more)
        if shape[0] > 1:
            extents = " x ".join(map(str, shape[: 2 if shape[2] == 1 else 3]))
            ask = "If one is the label, pass it as y." if more < 0 else "Is a column missing?"
            return f" This is one feature {what} {extents} = {prod(shape)}. {ask}"
    return ""
