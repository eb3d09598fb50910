"""What a fitted network has found in images: the activations of one of its layers, as features for other estimators."""

from copy import copy
from functools import partial
from numbers import Integral

from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted

from skconvnet.architecture import Volume, walk
from skconvnet.data import check_images, check_images_and_labels
from skconvnet.engine import Network, Scorer, cut_behind, thread_count
from skconvnet.estimators.classifier import ConvNetClassifier, _Ready
from skconvnet.estimators.limits import check_scoring_memory
from skconvnet.estimators.network import bind_network
from skconvnet.estimators.parameters import Numbers


class ConvNetFeatures(ClassNamePrefixFeaturesOutMixin, MetaEstimatorMixin, TransformerMixin, BaseEstimator):
    """The activations of a layer of a `ConvNetClassifier`, as features.

    A classifier that is fitted is taken as it is when `fit` is called, whatever becomes of it later: `fit` looks
    whether the layer and the images fit, and learns nothing. One that is not fitted is cloned, and `fit` fits the
    clone. As `clone` forgets what an estimator has learned, cross-validation fits a network for each split; a
    `sklearn.frozen.FrozenEstimator` around a fitted classifier keeps its network there too.

    Parameters
    ----------
    estimator : ConvNetClassifier or FrozenEstimator of one
        The network.
    layer : int or str, default=-2
        Which layer's activations, behind the first CONV or FC: its place in the table of
        ``estimator.architecture_.summary()``, where INPUT is 0 and -1 gives the scores of the classes, or its name
        there, as "FC 1". Of a layer in a branch the other branches do not matter.

    Attributes
    ----------
    estimator_ : ConvNetClassifier
        The fitted network: the fitted clone, or a copy of `estimator` or of what is frozen in it, with the same arrays.
    layer_ : str
        The name of the layer.
    volume_ : Volume
        The height, width and depth of its activations.
    n_features_in_ : int
        Numbers in an image.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns that the network was fitted on, if they had any.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from skconvnet import ConvNetClassifier, ConvNetFeatures
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=2, random_state=0).fit(X[:1000], y[:1000])
    >>> features = ConvNetFeatures(FrozenEstimator(classifier), layer="FC 1")
    >>> features.fit_transform(X[1000:]).shape
    (797, 128)
    >>> bool(make_pipeline(features, SVC()).fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.9)
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's name for it, and it is no one's to change
        "estimator": [ConvNetClassifier, FrozenEstimator],
        "layer": [Numbers(Integral, None, None, closed="neither"), str],
    }

    def __init__(self, estimator, layer=-2):
        self.estimator = estimator
        self.layer = layer

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.target_tags.required = not getattr(self.estimator, "__sklearn_is_fitted__", lambda: False)()
        return tags

    def get_metadata_routing(self):
        """Return how metadata of `fit` are routed: to the `fit` of the classifier, as far as it asks for them."""
        return MetadataRouter(owner=self).add(
            estimator=self.estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit")
        )

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Check a fitted network, or fit one.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images. A fitted network only looks whether they are of its size.
        y : array-like of shape (n,), default=None
            Their labels, which a fitted network does not need.
        **params : dict
            ``sample_weight``, ``X_val`` and what else `ConvNetClassifier.fit` takes, for a network that is to be
            fitted. Where metadata routing is enabled, the classifier gets those that it asks for.

        Returns
        -------
        ConvNetFeatures
            The transformer itself.

        Raises
        ------
        ValueError
            If there is no such layer, or as `ConvNetClassifier.fit` does.
        """
        network = fitted_network(self.estimator)
        if network is None:
            layer = layer_name(_architecture_for(self.estimator, X, y), self.layer)
            if get_config()["enable_metadata_routing"]:
                params = process_routing(self, "fit", **params).estimator.fit
            network = clone(self.estimator).fit(X, y, **params)
        else:
            layer = layer_name(network.architecture_, self.layer)
            check_images(network, X, network.image_shape_)
            network = _as_it_is(network)
        self.estimator_, self.layer_ = network, layer
        self.volume_ = next(one.output for one in walk(network.architecture_.layers) if one.name == layer)
        self._n_features_out = self.volume_.size
        self._ready = _Ready()
        self.n_features_in_ = network.n_features_in_
        if hasattr(network, "feature_names_in_"):
            self.feature_names_in_ = network.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def transform(self, X):
        """Compute the activations of the layer.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images of the network's size.

        Returns
        -------
        ndarray of float32, shape (n, height * width * depth of the layer)
            In the order of rows, columns, depth.
        """
        check_is_fitted(self)
        network = self.estimator_
        images = check_images(self, X, network.image_shape_)
        scorer = self._ready.scorer(network._learned(), partial(_scorer, network, self.layer_))
        approve = partial(check_scoring_memory, images.shape)
        return scorer.scores(images, thread_count(network.n_jobs), approve)


def fitted_network(estimator):
    """Return the classifier that is fitted already, frozen or not.

    Parameters
    ----------
    estimator : ConvNetClassifier or FrozenEstimator

    Returns
    -------
    ConvNetClassifier or None
        None of a classifier that is still to be fitted.

    Raises
    ------
    ValueError
        If anything else is frozen.
    sklearn.exceptions.NotFittedError
        If what is frozen is not fitted.
    """
    if not isinstance(estimator, FrozenEstimator):
        return estimator if estimator.__sklearn_is_fitted__() else None
    network = estimator.estimator
    if not isinstance(network, ConvNetClassifier):
        raise ValueError(f"ConvNetFeatures needs a ConvNetClassifier, and in the FrozenEstimator is {network!r}.")
    check_is_fitted(estimator)
    return network


def _architecture_for(classifier, X, y):
    """Return the bound architecture that a classifier would be fitted to these data with, before any work."""
    classifier = clone(classifier)
    images, y = check_images_and_labels(classifier, X, y, classifier.image_shape, reset=True)
    return bind_network(classifier, images.shape, len(unique_labels(y)))


def _as_it_is(network):
    """Return a classifier with the same arrays, which will not change where the first is trained or given others."""
    kept = copy(network)
    lists = {name: list(value) for name, value in vars(network).items() if isinstance(value, list)}
    vars(kept).update(lists, _optimizer_states={})
    return kept


def _scorer(network, layer, learned):
    """Return what computes a layer's activations."""
    architecture, own = cut_behind(network.architecture_, learned, layer)
    cut = Network(architecture, network.pixel_mean_, network.pixel_scale_)
    cut.learned = own
    return Scorer(cut)


def layer_name(architecture, layer):
    """Return the name of a layer that has features.

    Parameters
    ----------
    architecture : BoundArchitecture
        The network.
    layer : int or str
        Its place in the table of ``architecture.summary()``, or its name.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such layer, or nothing is learned in front of it; the message has those that there are.
    """
    records, choices = architecture.summary().records, _choices(architecture.layers)
    names = [record["layer"] for record in records]
    if isinstance(layer, str):
        name = layer
    else:
        name = names[layer] if -len(names) <= layer < len(names) else None
    if name in choices:
        return name
    lines = [
        f"{place:5} or {place - len(names):4}: {record['layer']} {_volume(record)}"
        for place, record in enumerate(records)
        if record["layer"] in choices
    ]
    learned_nothing = f"{name} stands in front of all that is learned" if name in names else "there is no such layer"
    raise ValueError(f"layer={layer!r}, but {learned_nothing}. Choose one of\n" + "\n".join(lines))


def _choices(layers, behind_weights=False):
    """Return the names of the layers that are a CONV or FC, or have one on the way from the images to them."""
    found = set()
    for layer in layers:
        inside = [_choices(branch, behind_weights) for branch in getattr(layer, "branches", ())]
        found.update(*inside)
        behind_weights = behind_weights or layer.kind in ("CONV", "FC") or any(inside)
        if behind_weights:
            found.add(layer.name)
    return found


def _volume(record):
    return Volume(record["height"], record["width"], record["depth"])
