"""Networks from files as fitted classifiers."""

from math import inf, prod

from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.estimators.fitted import LEARNED, check_fitted
from skconvnet.estimators.scoring import ScorerCache
from skconvnet.interchange import StoredNetwork
from skconvnet.training import History, TrainingState


def classifier_of(stored):
    """Return a fitted classifier with a stored network.

    Its parameters are the defaults, except `architecture`, which is the text of the network with the number of classes
    left open: a clone is fitted to other images and labels from new weights.

    Parameters
    ----------
    stored : StoredNetwork
        The network.

    Returns
    -------
    ConvNetClassifier
        It shares the arrays with `stored`.

    Raises
    ------
    ValueError
        If the network's arrays do not belong together: see `check_fitted`.
    """
    bound = stored.architecture
    classifier = ConvNetClassifier(_for_any_classes(bound))
    vars(classifier).update(
        architecture_=bound,
        image_shape_=bound.image_shape,
        n_features_in_=prod(bound.image_shape),
        classes_=stored.classes,
        pixel_mean_=stored.pixel_mean,
        pixel_scale_=stored.pixel_scale,
        **dict(zip(LEARNED, map(list, stored.learned), strict=True)),
        **_NOT_TRAINED,
        loss_curve_=[],
        accuracy_curve_=[],
        _training_state=TrainingState(0, 0, History(), classifier.solver),
        _scorer_cache=ScorerCache(),
    )
    check_fitted(classifier)
    return classifier


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


def _for_any_classes(bound):
    """Return the text of a network without the units of an FC at its end, which come from the classes."""
    return bound.text.removesuffix(f"({bound.n_classes})")
