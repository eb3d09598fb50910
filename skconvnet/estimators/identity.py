"""The identity of a fit: everything that decides about its result. A checkpoint is only resumed by the same fit."""

from skconvnet.training import make_augmentation
from skconvnet.training.checkpoint import SEEDS, digest


def fit_identity(estimator, bound, data, batches, max_iter, stored=None):
    """Return everything that decides about the result of a fit, by the names that an error uses.

    Parameters
    ----------
    estimator : BaseConvNet
        Its parameters are read.
    bound : BoundArchitecture
        The network.
    data : TrainingData
        The data.
    batches : Batches
        The minibatches.
    max_iter : int
        The largest number of epochs, where the parameter may be "auto".
    stored : StoredNetwork, optional
        The pretrained network.

    Returns
    -------
    dict of str to JSON values
    """
    is_sgd, splits = estimator.solver == "sgd", estimator.early_stopping and not data.validation_is_given
    validation = data.validation if data.validation_is_given else None
    return {
        "architecture": str(bound),
        "image_shape": list(bound.image_shape),
        "solver": estimator.solver,
        "alpha": float(estimator.alpha),
        "batch_size": batches.batch_size,
        "learning_rate": estimator.learning_rate,
        "learning_rate_init": float(estimator.learning_rate_init),
        "power_t": float(estimator.power_t) if estimator.learning_rate == "invscaling" else None,
        "momentum": float(estimator.momentum) if is_sgd else None,
        "nesterovs_momentum": bool(estimator.nesterovs_momentum) if is_sgd else None,
        **{name: None if is_sgd else float(getattr(estimator, name)) for name in ("beta_1", "beta_2", "epsilon")},
        "max_iter": max_iter,
        "shuffle": bool(estimator.shuffle),
        "tol": float(estimator.tol),
        "n_iter_no_change": float(estimator.n_iter_no_change),
        "early_stopping": bool(estimator.early_stopping),
        "validation_fraction": float(estimator.validation_fraction) if splits else None,
        "augment": list(make_augmentation(estimator.augment, bound.image_shape).kinds),
        SEEDS: None if estimator.random_state is None else batches.seed,
        "the weights or labels of the pretrained network": None
        if stored is None
        else digest(stored.digest, repr(None if stored.classes is None else stored.classes.tolist())),
        "freeze": estimator.freeze,
        "body_rate": None if stored is None else float(estimator.body_rate),
        "head_first": None if stored is None else bool(estimator.head_first),
        **data.kind.identity(estimator),
        **_digests("X", "y", "weights (sample_weight, class_weight)", data.examples),
        **({} if validation is None else _digests("X_val", "y_val", "sample_weight_val", validation)),
    }


def _digests(X, y, weights, examples):
    """Return digests of labelled images, by the names that users know."""
    return {
        f"the images {X}": digest(examples.images.pixels),
        f"the labels {y}": digest(examples.targets),
        f"the {weights}": digest(examples.weights),
    }
