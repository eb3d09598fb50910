"""What a network looks at: gradients of its scores by the pixels, and Grad-CAM."""

import numpy as np

from skconvnet.architecture import walk
from skconvnet.architecture.errors import most_similar
from skconvnet.architecture.hyperparameters import whole_number
from skconvnet.data.images import check_images
from skconvnet.engine import (
    ImageGradient,
    Images,
    Learned,
    Network,
    Scorer,
    split_architecture,
    thread_count,
)
from skconvnet.estimators.features import layer_name
from skconvnet.estimators.fitted import fitted_network
from skconvnet.estimators.scoring import score_images
from skconvnet.inspection.drawing import as_picture, check_axes, inches_of, panel_grid, shortened, show_image
from skconvnet.inspection.network import check_network

__all__ = ["SaliencyDisplay", "grad_cam", "saliency"]

_CELL = 2.1  # inches of the longer side of an image
_NARROWEST, _LOWEST = 0.75, 0.2  # inches of a cell, for a title and for a name
_CHARACTER = 0.075  # inches of a small font
_SHORTEST_NAME, _LONGEST_NAME = 7, 14  # characters
_PERCENTILE = 99.5  # of a map is its brightest colour: a single pixel may be far above all others
_MOST_NAMES = 20  # in an error
_MAPPED = ("CONV", "SUM", "STACK", "GATE")  # the layers that Grad-CAM takes by default


def saliency(estimator, X, *, target=None):
    """Compute the gradient of a score by every pixel: how much the score changes with the pixel.

    Parameters
    ----------
    estimator : ConvNetClassifier or ConvNetRegressor
        A fitted network.
    X : array-like
        The n images, as `estimator.predict` takes them.
    target : label, int, or array-like of shape (n,), default=None
        The score of which class, as in ``estimator.classes_``; of which label; or, of a regressor, of which output,
        counted from 0. One for all images or one for each. None takes the highest score of each image, and the output
        of a regressor with one output.

    Returns
    -------
    ndarray of float32, (n, height, width, channels)
        In units of the score by units of X. The score of a class is that before the softmax, and an output of a
        regressor has the units of y.

    Raises
    ------
    ValueError
        If the target is no class, label or output of the network, or X has another size.

    Notes
    -----
    The gradient is computed by the backward pass of training, with NORM and DROPOUT as in prediction.

    References
    ----------
    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks: Visualising Image Classification Models
    and Saliency Maps", 2013, arXiv:1312.6034.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=2, random_state=0).fit(X, y)
    >>> saliency(classifier, X[:5], target=3).shape
    (5, 8, 8, 1)
    """
    images = _check(estimator, X)
    return _gradients(estimator, images, _outputs(estimator, images, target))


def grad_cam(estimator, X, *, layer=None, target=None):
    """Compute where a layer finds evidence for a class: Grad-CAM.

    The volume of the layer is summed over its depth, each slice weighted by the mean gradient of the score by its
    activations. Negative sums are 0.

    Parameters
    ----------
    estimator, X, target
        As of `saliency`.
    layer : int or str, default=None
        The name of the layer in the table of ``estimator.architecture_.summary()``, such as "CONV 2", or its row. It is
        in no branch, but the sum or stack of branches may be taken. A CONV or FC must come after it. None takes the
        last CONV, sum, stack or product of branches with more than one pixel.

    Returns
    -------
    ndarray of float32, (n, rows, columns)
        A number for each pixel of the layer's volume.

    Raises
    ------
    ValueError
        As of `saliency`, or if the network has no such layer.

    References
    ----------
    R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017,
    arXiv:1610.02391, equations 1 and 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> text = "INPUT -> CONV(K=8) -> RELU -> POOL -> FC"
    >>> classifier = ConvNetClassifier(text, max_iter=2, random_state=0).fit(X, y)
    >>> grad_cam(classifier, X[:5], layer="CONV 1").shape
    (5, 8, 8)
    """
    images = _check(estimator, X)
    layer = _layer_for_maps(estimator, layer)
    return _maps(estimator, images, layer, _outputs(estimator, images, target))


def _gradients(estimator, images, outputs):
    """Return the gradients of the chosen outputs by the pixels."""
    sum_weights, n_threads = _sum_weights(estimator, outputs), thread_count(estimator.n_jobs)
    gradient = ImageGradient(fitted_network(estimator)).of(images, sum_weights, n_threads)
    return gradient * estimator.pixel_scale_  # by pixels of X, and not by standardised ones


def _maps(estimator, images, layer, outputs):
    """Return Grad-CAM of a layer for the chosen outputs."""
    number = [one.name for one in estimator.architecture_.layers].index(layer)
    sum_weights, n_threads = _sum_weights(estimator, outputs), thread_count(estimator.n_jobs)
    body, head = _cut(fitted_network(estimator), number)
    volume = head.architecture.image_shape
    activations = Scorer(body).scores(images, n_threads).reshape(-1, *volume)
    gradients = ImageGradient(head).of(Images(activations, volume), sum_weights, n_threads)
    return np.maximum(np.einsum("nijk,nk->nij", activations, gradients.mean(axis=(1, 2))), 0)


def _check(estimator, X):
    """Check the estimator and return the images."""
    check_network(estimator)
    return check_images(estimator, X, estimator.image_shape_)


def output_names(estimator):
    """Return the names of the scores of a fitted network, an ndarray, and whether they are classes or labels."""
    classes = getattr(estimator, "classes_", None)  # regressors have none
    return (np.arange(estimator._kind.n_outputs), False) if classes is None else (np.asarray(classes), True)


def _outputs(estimator, images, target, n=None):
    """Return the number of the chosen output for each of the first n images, by default of all, int64 (n,)."""
    names, has_classes = output_names(estimator)
    if target is None:
        if has_classes:
            first = images.take(slice(n))
            return score_images(estimator._scorer_of_predict(), first, estimator.n_jobs).argmax(axis=1)
        if len(names) > 1:
            raise ValueError(f"The network has {len(names)} outputs. Say which: target=0 to {len(names) - 1}.")
        target = 0
    targets = np.asarray(target)
    if targets.shape not in ((), (len(images),)):
        raise ValueError(
            f"target has the shape {targets.shape}. Pass one, or one for each of the {len(images)} images."
        )
    found = targets.reshape(-1, 1) == names
    if not found.any(axis=1).all():
        wrong = targets.reshape(-1)[~found.any(axis=1)].tolist()[0]
        raise ValueError(no_such_target(wrong, names, has_classes))
    return np.broadcast_to(found.argmax(axis=1), len(images))[:n]


def no_such_target(target, names, has_classes):
    """Return the error about a target that is none of the names of a network's scores.

    Examples
    --------
    >>> no_such_target(3, np.array(["1", "2", "3"]), has_classes=True)
    "target=3 is none of the classes of the network: did you mean '3'? They are '1', '2', '3'."
    """
    names, text = names.tolist(), str(target)
    by_text = {str(name): name for name in names}
    is_word = any(map(str.isalpha, text))  # the number beside a number is no typing error
    nearest = most_similar(text, by_text) if is_word else text
    hint = f": did you mean {by_text[nearest]!r}?" if nearest in by_text else "."
    listed = ", ".join(map(repr, names[:_MOST_NAMES])) + ", ..." * (len(names) > _MOST_NAMES)
    what = "classes" if has_classes else "outputs"
    return f"target={target!r:.80} is none of the {what} of the network{hint} They are {listed}."


def _sum_weights(estimator, outputs):
    """Return the weights of the chosen outputs, in the units that users see."""
    kind = estimator._kind
    scale = kind.standardisation().get("target_scale", np.ones(kind.n_outputs))
    return np.eye(kind.n_outputs)[outputs] * scale


def _default_layer(estimator):
    """Return the name of the layer that Grad-CAM takes by default; None if there is none."""
    layers = estimator.architecture_.layers
    names = [
        layer.name
        for number, layer in enumerate(layers)
        if layer.kind in _MAPPED and layer.output.height * layer.output.width > 1 and _learns(layers[number + 1 :])
    ]
    return names[-1] if names else None


def _learns(layers):
    return any(layer.kind in ("CONV", "FC") for layer in walk(layers))


def _layer_for_maps(estimator, layer):
    """Return the name of the layer for Grad-CAM; raise a ValueError if there is no Grad-CAM of it."""
    layers = estimator.architecture_.layers
    possible = [
        layer.name
        for number, layer in enumerate(layers)
        if _learns(layers[: number + 1]) and _learns(layers[number + 1 :])
    ]
    needed = "a layer outside of branches, with a CONV or FC in it or before it, and another behind it"
    layer = _default_layer(estimator) if layer is None else layer
    if not possible or layer is None:
        listed = ", ".join(possible) or "none"
        raise ValueError(f"The network has no layer for Grad-CAM: it needs {needed}. Here these are: {listed}.")
    return layer_name(estimator.architecture_, layer, possible, f"has no Grad-CAM, which needs {needed}")


def _cut(network, number):
    """Cut a network behind a layer of its chain; return both parts. The images of the second are activations."""
    body = network.up_to(network.architecture.layers[number].name)
    _, rest = split_architecture(network.architecture, number + 1)
    depth = rest.image_shape[2]
    head = Network(rest, np.zeros(depth), np.ones(depth), network.device)
    head.learned = Learned(*(whole[len(part) :] for whole, part in zip(network.learned, body.learned, strict=True)))
    return body, head


class SaliencyDisplay:
    """What a network looks at: each image, the gradient of its score by the pixels, and Grad-CAM, over the image.

    Of each pixel the largest absolute gradient of its channels is drawn, bright where it is large. Grad-CAM is
    stretched over the image. Each map has a scale of its own, from 0, which is transparent, to its 99.5th percentile.
    An image with other than three channels is drawn in grey, as the mean of its channels.

    Make one with `from_estimator`. It needs Matplotlib: ``pip install matplotlib``.

    Parameters
    ----------
    images : ndarray, (n, height, width, channels)
        The images.
    gradients : ndarray, (n, height, width, channels)
        What `saliency` returns.
    maps : ndarray, (n, rows, columns), or None
        What `grad_cam` returns. None to draw none.
    names : sequence of str
        What each image is called, such as the class of the score.
    layer : str, default=None
        The layer of the maps.
    n_images : int, default=None
        Of how many images these are the first. None if they are all.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, (n, 2) or (n, 3)
        A row for each image.
    figure_ : matplotlib Figure
        Their figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier
    >>> from skconvnet.inspection import SaliencyDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=2, random_state=0).fit(X, y)
    >>> display = SaliencyDisplay.from_estimator(classifier, X[:3])  # doctest: +SKIP
    """

    def __init__(self, images, gradients, maps, names, *, layer=None, n_images=None):
        self.images = images
        self.gradients = gradients
        self.maps = maps
        self.names = names
        self.layer = layer
        self.n_images = n_images

    @classmethod
    def from_estimator(cls, estimator, X, *, layer=None, target=None, max_images=10, ax=None):
        """Compute gradients and Grad-CAM of a few images, and draw them.

        Parameters
        ----------
        estimator, X, target
            As of `saliency`. Each image of X is a row of the picture.
        layer : int or str, default=None
            As of `grad_cam`. Grad-CAM is left out if it is None and the network has no layer for it.
        max_images : int, default=10
            The most images that are drawn, the first of X. Scores and gradients of the others are not computed.
        ax : matplotlib Axes, default=None
            Where to draw; the panels divide its place. By default, in a new figure.

        Returns
        -------
        SaliencyDisplay
        """
        check_axes(cls, ax)
        max_images = whole_number("max_images", max_images, 1, error=ValueError)
        images = _check(estimator, X)
        if layer is not None or _default_layer(estimator) is not None:
            layer = _layer_for_maps(estimator, layer)
        outputs = _outputs(estimator, images, target, max_images)
        shown = Images(images.unconverted(slice(max_images)), images.shape)
        names, has_classes = output_names(estimator)
        return cls(
            shown.pixels,
            _gradients(estimator, shown, outputs),
            None if layer is None else _maps(estimator, shown, layer, outputs),
            [str(name) if has_classes else f"output {name}" for name in names[outputs]],
            layer=layer,
            n_images=len(images),
        ).plot(max_images=max_images, ax=ax)

    def plot(self, *, max_images=10, ax=None, cmap="inferno"):
        """Draw the images and the maps.

        Parameters
        ----------
        max_images : int, default=10
            The most images that are drawn, the first. Above them is written of how many.
        ax : matplotlib Axes, default=None
            Where to draw; the panels divide its place. By default, in a new figure.
        cmap : str or matplotlib Colormap, default="inferno"
            The colours of the maps.

        Returns
        -------
        SaliencyDisplay
            This display.
        """
        n_rows = min(whole_number("max_images", max_images, 1, error=ValueError), len(self.images))
        n_images = len(self.images) if self.n_images is None else self.n_images
        title = "image" if n_rows == n_images else f"{n_rows} of {n_images:,}\nimages"
        maps = {title: None, "gradient": np.abs(self.gradients).max(axis=-1)}
        if self.maps is not None:
            maps[f"Grad-CAM\n{self.layer}"] = self.maps
        shape = self.images.shape[1:3]
        height, width = (_CELL * extent / max(shape) for extent in shape)
        size = max(width, _NARROWEST) * len(maps) + 0.3, max(height, _LOWEST) * n_rows + 0.4
        self.figure_, grid = panel_grid(self, ax, size, n_rows, len(maps))
        self.axes_ = grid.subplots(squeeze=False)
        pictures = as_picture(self.images[:n_rows])
        for row, (panels, picture) in enumerate(zip(self.axes_, pictures, strict=True)):
            for panel, (title, values) in zip(panels, maps.items(), strict=True):
                show_image(panel, picture)
                if values is not None:
                    _show_map(panel, values[row], picture.shape, cmap)
                if row == 0:
                    panel.set_title(title, fontsize="small")
                panel.set(xticks=[], yticks=[])
        longest = _LONGEST_NAME if ax is None else _SHORTEST_NAME
        _write_names(self.axes_[:, 0], self.names[:n_rows], shape[0] / shape[1], longest)
        return self


def _write_names(panels, names, ratio, longest):
    """Write names beside images whose height is `ratio` times their width.

    They are read upwards; before images that are low they are not, and have at most so many characters.
    """
    width, height = inches_of(panels[0])
    room = int(min(height, width * ratio) / _CHARACTER)
    if room >= min(_SHORTEST_NAME, max(map(len, names))):
        length, place = room, {}
    else:
        length, place = longest, {"rotation": 0, "ha": "right", "va": "center"}
    for panel, name in zip(panels, names, strict=True):
        panel.set_ylabel(shortened(name, length), fontsize="small", **place)


def _show_map(panel, values, shape, cmap):
    """Draw a map over an image: transparent where it is 0."""
    height, width = shape[:2]
    limit = np.percentile(values, _PERCENTILE) or values.max() or 1
    panel.imshow(
        values,
        cmap=cmap,
        vmin=0,
        vmax=limit,
        alpha=0.9 * np.sqrt(np.clip(values / limit, 0, 1)),
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="nearest",
    )
