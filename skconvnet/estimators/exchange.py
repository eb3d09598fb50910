"""Networks from files as fitted estimators, and fitted estimators as files."""

import warnings
from math import inf, prod

from sklearn.utils.validation import check_is_fitted

from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.estimators.fitted import LEARNED, check_fitted, stored_network
from skconvnet.estimators.mirroring import refuse_averaging
from skconvnet.estimators.regressor import ConvNetRegressor
from skconvnet.estimators.scoring import ScorerCache
from skconvnet.estimators.targets import kind_of
from skconvnet.interchange import general_text, read_network, write_network
from skconvnet.training import History, TrainingState
from skconvnet.training.atomic import check_suffix, write_file


def load_network(
    path,
    *,
    architecture=None,
    image_shape=None,
    classes=None,
    pixel_mean=None,
    pixel_std=None,
    channel_order="rgb",
    layout="auto",
):
    """Load a network from a file as a fitted estimator.

    Nothing in the file is executed. What an argument gives comes before what the file says.

    Parameters
    ----------
    path : str or os.PathLike
        A file of `save_network`; or a .safetensors, .pth or .pt file with weights that a library of PyTorch has named.
        Or an .onnx file, whose graph is the architecture; its labels and the standardisation of pixels are known if the
        graph has them.
    architecture : str or Architecture, default=None
        The network: a name in `skconvnet.ARCHITECTURES`, or a text. By default it is the one that the file states, or
        whose layers have the names and shapes of the arrays.
    image_shape : tuple of int, default=None
        (height, width, channels) of the images that the network takes. By default what the file states, or that of the
        network's paper.
    classes : array-like of shape (n_classes,), default=None
        The labels, in the order of the scores in the file. They need not be sorted: those of the classifier are, and
        the last layer with weights is changed accordingly. By default what the file states, or 0, 1, 2 and so on.
    pixel_mean, pixel_std : float or sequence of float, default=None
        The mean and the standard deviation by which the network expects pixels to be standardised, of pixels from 0 to
        255. One number, or one for each channel of the file. By default what the file states; for networks of RGB
        images in the layout of a library, those of ImageNet, except 127 and 128 for EfficientNet-Lite0, and 127.5
        twice for GoogLeNet. Pass those of your own training if they were others, as for a GoogLeNet of torchvision
        without transform_input. For EfficientNet-Lite0 of timm without its config.json they must be given.
    channel_order : {"rgb", "bgr"}, default="rgb"
        The order of the channels that the network was trained with. The classifier takes RGB in either case: the
        filters of the first layer are reversed.
    layout : {"auto", "skconvnet", "torchvision", "timm", "efficientnet_pytorch"}, default="auto"
        Who has named the arrays in the file. "timm" also reads the config.json beside it.

    Returns
    -------
    ConvNetClassifier or ConvNetRegressor
        Fitted; a regressor if `save_network` has saved one. Its `predict` and `score_map`, `ConvNetFeatures` and pickle
        work at once.

    Raises
    ------
    ImportError
        If a library that the format needs is not installed.
    ValueError
        If the file is not a network, or not one that fits the other arguments.

    Warns
    -----
    UserWarning
        If the file has no classifier. The layers before it can be used as features, or to begin a fit with. Or if
        pixel_mean and pixel_std, or a graph of ONNX without these, standardise pixels from 0 to 1.

    Examples
    --------
    >>> import os
    >>> import tempfile
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier, load_network, save_network
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=1, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "digits.safetensors")
    ...     save_network(classifier, path)
    ...     loaded = load_network(path)
    >>> bool((loaded.predict_proba(X) == classifier.predict_proba(X)).all())
    True
    """
    stored = read_network(
        path,
        architecture=architecture,
        image_shape=image_shape,
        classes=classes,
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
        channel_order=channel_order,
        layout=layout,
    )
    if not stored.has_classifier:
        warnings.warn(
            f"{str(path)!r} has no classifier: the scores of this network are zero. Use it in ConvNetFeatures, or in "
            "ConvNetClassifier(pretrained=...), which makes a new classifier.",
            stacklevel=2,
        )
    return estimator_of(stored)


def save_network(estimator, path):
    """Save the network of a fitted estimator in a .safetensors file, from which `load_network` gets the same bits.

    The header of the file has the text of the network, its rounding, the image shape, the classes, and how pixels and
    the targets of a regressor are standardised. Neither other parameters nor the state of training are saved; pickle
    saves these.

    Parameters
    ----------
    estimator : ConvNetClassifier or ConvNetRegressor
        A fitted estimator.
    path : str or os.PathLike
        The file, whose name ends in .safetensors. If it exists, it is replaced, as a whole.

    Raises
    ------
    ImportError
        If the library safetensors is not installed.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If the estimator is neither of these or is damaged, if it has ``average_mirrored=True``, if its labels are
        neither numbers, booleans nor texts, if the name of the file does not end in .safetensors, or if the
        file cannot be written.

    Examples
    --------
    See `load_network`.
    """
    if not isinstance(estimator, BaseConvNet):
        raise ValueError(
            f"save_network needs a fitted ConvNetClassifier or ConvNetRegressor, got a {type(estimator).__name__}. "
            "Pass the step of a Pipeline, or the best_estimator_ of a search."
        )
    check_is_fitted(estimator)
    refuse_averaging(estimator, "a file of save_network")
    check_suffix(path, ".safetensors")
    write_file(path, write_network(stored_network(estimator)))


def estimator_of(stored):
    """Return a fitted estimator with a stored network.

    Its parameters are the defaults, except `architecture`, which is the text of the network for any images and targets,
    and `rounding`: a clone is fitted to others, from new weights.

    Parameters
    ----------
    stored : StoredNetwork
        The network.

    Returns
    -------
    ConvNetClassifier or ConvNetRegressor
        It shares the arrays with `stored`.

    Raises
    ------
    ValueError
        If the network's arrays do not belong together: see `check_fitted`.
    """
    bound, kind = stored.architecture, kind_of(stored)
    estimator = (ConvNetRegressor if stored.outputs == "numbers" else ConvNetClassifier)(
        general_text(bound), rounding=bound.rounding
    )
    vars(estimator).update(
        architecture_=bound,
        image_shape_=bound.image_shape,
        n_features_in_=prod(bound.image_shape),
        **kind.attributes(),
        pixel_mean_=stored.pixel_mean,
        pixel_scale_=stored.pixel_scale,
        **dict(zip(LEARNED, map(list, stored.learned), strict=True)),
        **_NOT_TRAINED,
        loss_curve_=[],
        learning_rate_curve_=[],
        **{kind.curve: []},
        _training_state=TrainingState(0, 0, History(), estimator.solver),
        _scorer_cache=ScorerCache(),
    )
    check_fitted(estimator)
    return estimator


_NOT_TRAINED = {
    "loss_": inf,
    "best_loss_": inf,
    "validation_scores_": None,
    "best_validation_score_": None,
    "n_iter_": 0,
    "t_": 0,
    "compile_time_": 0.0,
    "fit_time_": 0.0,
}
