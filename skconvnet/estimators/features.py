"""ConvNetFeatures: the activations of a layer of a fitted network, as features for other estimators."""

from copy import copy
from dataclasses import replace
from functools import partial
from numbers import Integral

import numpy as np
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
from sklearn.utils.validation import check_is_fitted

from skconvnet.architecture import Volume, walk
from skconvnet.architecture.errors import most_similar
from skconvnet.data import check_images
from skconvnet.engine import Scorer
from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.estimators.fitted import check_fitted, state_to_resume
from skconvnet.estimators.network import bind_network, expected_image_shape
from skconvnet.estimators.parameters import Numbers
from skconvnet.estimators.pretrained import pretrained_network
from skconvnet.estimators.regressor import ConvNetRegressor
from skconvnet.estimators.scoring import ScorerCache, score_images


class ConvNetFeatures(ClassNamePrefixFeaturesOutMixin, MetaEstimatorMixin, TransformerMixin, BaseEstimator):
    """The activations of a layer of a `ConvNetClassifier`, as features.

    If the classifier is fitted, `fit` only checks that the layer exists and that the images have the right size.
    Later changes of the classifier have no effect. If it is not fitted, `fit` fits a clone of it.

    Cross-validation clones estimators, and a clone is not fitted: it fits a network for each split. To keep the
    network of a fitted classifier there, put it into a `sklearn.frozen.FrozenEstimator`.

    Parameters
    ----------
    estimator : ConvNetClassifier, ConvNetRegressor, or FrozenEstimator of one
        The network. Features are computed where its `device` says, with its `n_jobs`. Its `average_mirrored` has no
        effect: features are those of the image alone.
    layer : int or str, default=-2
        The layer. An int is its row in the table of ``estimator.architecture_.summary()``: 0 is INPUT, and -1 gives
        the scores of the classes. A str is its name there, such as "FC 1". It must come after the first CONV or FC. If
        it is inside a branch, the other branches are not computed.

    Attributes
    ----------
    estimator_ : ConvNetClassifier
        The fitted clone, or a copy of the fitted classifier with the same arrays.
    layer_ : str
        The name of the layer.
    volume_ : Volume
        Height, width and depth of its activations.
    n_features_in_ : int
        Number of pixel values in an image: height * width * channels.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns that the network was fitted on. Only defined if all names are strings.

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

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's name; nothing changes it
        "estimator": [ConvNetClassifier, ConvNetRegressor, FrozenEstimator],
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
        """Return the routing of metadata: `fit` passes on what the classifier's `fit` requests."""
        return MetadataRouter(owner=self).add(
            estimator=self.estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit")
        )

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Fit the classifier if it is not fitted, and find the layer.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images. If the classifier is fitted, only their size is checked.
        y : array-like of shape (n,), default=None
            Labels. Not used if the classifier is fitted.
        **params : dict
            Further arguments of `ConvNetClassifier.fit`, such as ``sample_weight``. With metadata routing enabled, the
            classifier gets those that it requests.

        Returns
        -------
        ConvNetFeatures
            The fitted transformer.

        Raises
        ------
        ValueError
            If the layer does not exist, if the images have another size, or as `ConvNetClassifier.fit` does.
        """
        network = fitted_classifier(self.estimator)
        bound = self._bind_unfitted(X, y) if network is None else check_fitted(network)
        name = layer_name(bound, self.layer)
        if network is None:
            if get_config()["enable_metadata_routing"]:
                params = process_routing(self, "fit", **params).estimator.fit
            network = clone(self.estimator).fit(X, y, **params)
        else:
            check_images(network, X, network.image_shape_)
            network = _snapshot(network)
        self.estimator_, self.layer_ = network, name
        self.volume_ = next(layer.output for layer in walk(bound.layers) if layer.name == name)
        self._n_features_out = self.volume_.size
        self._scorer_cache = ScorerCache()
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
            Images of the size that the network was fitted on.

        Returns
        -------
        ndarray of float32, shape (n, height * width * depth of the layer)
            Activations in the order of rows, columns, depth.
        """
        check_is_fitted(self)
        network = self.estimator_
        scorer = ScorerCache.of(self).scorer(network, partial(_scorer_of_layer, self.layer_))
        return score_images(scorer, check_images(self, X, network.image_shape_), network.n_jobs)

    def _bind_unfitted(self, X, y):
        """Return the architecture that `fit` would give to a clone of the classifier."""
        classifier = clone(self.estimator)
        stored = pretrained_network(classifier.pretrained)
        image_shape = expected_image_shape(classifier, X, stored)
        images, y = classifier._check_images_and_targets(classifier, X, y, image_shape, reset=True)
        kind = classifier._new_kind(y, np.ones(len(y)))
        return bind_network(classifier, images.shape, kind.n_outputs, stored)


def fitted_classifier(estimator):
    """Return the fitted classifier in the parameter `estimator` of ConvNetFeatures.

    Parameters
    ----------
    estimator : ConvNetClassifier or FrozenEstimator

    Returns
    -------
    ConvNetClassifier or None
        None if the classifier is not fitted and not frozen.

    Raises
    ------
    ValueError
        If another estimator is frozen.
    sklearn.exceptions.NotFittedError
        If the frozen classifier is not fitted.
    """
    if not isinstance(estimator, FrozenEstimator):
        return estimator if estimator.__sklearn_is_fitted__() else None
    network = estimator.estimator
    if not isinstance(network, BaseConvNet):
        raise ValueError(f"ConvNetFeatures needs a ConvNetClassifier, but the FrozenEstimator contains {network!r}.")
    check_is_fitted(estimator)
    return network


def _snapshot(classifier):
    """Return a copy that keeps its arrays when the classifier is fitted again or its lists are changed."""
    kept = copy(classifier)
    lists = {name: list(value) for name, value in vars(classifier).items() if isinstance(value, list)}
    vars(kept).update(lists, _training_state=replace(state_to_resume(classifier), optimizer=None))
    return kept


def _scorer_of_layer(name, network):
    """Return a scorer that computes the activations of a layer."""
    return Scorer(network.up_to(layer_name(network.architecture, name)))


def layer_name(architecture, layer, choices=None, why_not="comes before the first CONV or FC"):
    """Return the name of a layer, by default one whose activations can be features.

    Parameters
    ----------
    architecture : BoundArchitecture
        The network.
    layer : int or str
        Its row in the table of ``architecture.summary()``, or its name.
    choices : collection of str, default=None
        The names of the possible layers. None: those of which the activations depend on weights.
    why_not : str
        What is wrong with any other layer, for the error.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the layer does not exist, or is none of the choices. The error lists these.
    """
    records = architecture.summary().records
    choices = _layers_after_weights(architecture.layers) if choices is None else choices
    names = [record["layer"] for record in records]
    name = layer
    if isinstance(layer, Integral) and not isinstance(layer, bool):
        name = names[layer] if -len(names) <= layer < len(names) else None
    if name in names and name in choices:
        return name
    lines = [
        f"{row:5} or {row - len(names):4}: {record['layer']} "
        f"{Volume(record['height'], record['width'], record['depth'])}"
        for row, record in enumerate(records)
        if record["layer"] in choices
    ]
    if name in names:
        problem = f"{name} {why_not}."
    else:
        nearest = _similar_layer(layer, choices) if isinstance(layer, str) else None
        problem = "this network has no such layer" + (f": did you mean {nearest!r}?" if nearest else ".")
    raise ValueError(f"layer={layer!r}, but {problem} Choose one of\n" + "\n".join(lines))


def _similar_layer(layer, choices):
    """Return the most similar name with the number in `layer`, if it has one: another number is no typing error."""
    number = "".join(filter(str.isdigit, layer))
    return most_similar(layer, [one for one in choices if not number or one.endswith(f" {number}")])


def _layers_after_weights(layers, after_weights=False):
    """Return the names of the layers whose activations depend on the weights of a CONV or FC."""
    found = set()
    for layer in layers:
        inside = [_layers_after_weights(branch, after_weights) for branch in getattr(layer, "branches", ())]
        found.update(*inside)
        after_weights = after_weights or layer.kind in ("CONV", "FC") or any(inside)
        if after_weights:
            found.add(layer.name)
    return found
