"""What the estimators share: parameters, `fit`, scores, files, and the display in notebooks."""

import inspect
import os
import warnings
from dataclasses import replace
from html import escape
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from skconvnet._version import __version__
from skconvnet.architecture import HYPERPARAMETERS, Architecture
from skconvnet.data import (
    LabelledImages,
    check_images,
    check_larger_images,
    check_sample_weight,
    doubt_about_images,
    hold_out,
)
from skconvnet.engine import thread_count
from skconvnet.estimators.fitted import LEARNED, state_to_resume, stored_network, unpack_parameters
from skconvnet.estimators.fitting import Fit, TrainingData
from skconvnet.estimators.mirroring import AveragingScorer, averages_mirrored, refuse_averaging
from skconvnet.estimators.network import expected_image_shape
from skconvnet.estimators.parameters import (
    Numbers,
    Texts,
    check_settings,
    checked_arguments,
    other_word,
    refuse_unknown,
)
from skconvnet.estimators.scoring import ScorerCache, compute_scores, score_images, warn_of_other_scale
from skconvnet.estimators.streaming import PartialFit, state_of_stream
from skconvnet.interchange import write_onnx
from skconvnet.training import TrainingState
from skconvnet.training.atomic import check_suffix, write_file
from skconvnet.training.callbacks import CallbackSupportMixin, FitCallbacks

_FEATURES = ("n_features_in_", "feature_names_in_")
_NO_STATE = (
    "The fit before has not kept the state of Adam. Its first steps change every weight by about learning_rate_init, "
    "which may undo what was learned. Fit with warm_start=True before partial_fit. A lower learning_rate_init also "
    "helps."
)


class BaseConvNet(CallbackSupportMixin, BaseEstimator):
    """Base class of the estimators that train a network.

    A subclass says what its targets are: `_check_images_and_targets` checks y, `_new_kind` and `_kind` return a
    `Classes`, `Labels` or `Values` for a new and for the fitted network, and `_target_attributes` are the names of
    the fitted attributes that `_kind` reads.
    """

    # `Hyperparameters` checks the parameters of the architecture, and image_shape is checked together with X.
    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's name; nothing changes it
        "architecture": [Texts(), Architecture],
        **dict.fromkeys(HYPERPARAMETERS, "no_validation"),
        "image_shape": "no_validation",
        "solver": [StrOptions({"adam", "sgd"})],
        "alpha": [Numbers(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Numbers(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", "one-cycle"})],
        "learning_rate_init": [Numbers(Real, 0, None, closed="neither")],
        "power_t": [Numbers(Real, 0, None, closed="left")],
        "momentum": [Numbers(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "beta_1": [Numbers(Real, 0, 1, closed="left")],
        "beta_2": [Numbers(Real, 0, 1, closed="left")],
        "epsilon": [Numbers(Real, 1e-37, None, closed="left")],  # above zero in float32
        "max_iter": [StrOptions({"auto"}), Numbers(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "tol": [Numbers(Real, 0, None, closed="left")],
        "n_iter_no_change": [Numbers(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Numbers(Real, 0, 1, closed="left")],
        "warm_start": ["boolean"],
        "augment": "no_validation",
        "average_mirrored": ["boolean"],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "float32_precision": [StrOptions({"ieee", "tf32x3"})],
        "n_jobs": [Numbers(Integral, 1, None, closed="left"), Numbers(Integral, None, -1, closed="right"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "checkpoint": [str, os.PathLike, None],
        "pretrained": [str, os.PathLike, BaseEstimator, None],  # of estimators, a frozen one
        "freeze": [str, None],
        "body_rate": [Numbers(Real, 0, None, closed="neither")],
        "head_first": ["boolean"],
    }

    @checked_arguments
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network to images and their targets.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The training images: real numbers of any dtype. ndarrays, memory maps, and arrays that support DLPack, such
            as PyTorch tensors, are not copied. Data frames of pandas and polars have an image in each row. Arrays in
            the memory of a GPU are copied to the CPU to be checked; training on the first GPU reads those on it where
            they are, if they are uint8 or float32 and contiguous in C order.
        y : array-like of shape (n,), or (n, n_outputs)
            The targets: labels of classes, or numbers for a regressor.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images. See the notes.
        X_val : array-like, as X, default=None
            Images for validation after every epoch. With `early_stopping` they decide when to stop, and all of X is
            used for training.
        y_val : array-like, default=None
            The targets of X_val. All classes in it must occur in y.
        sample_weight_val : array-like, default=None
            Weights of the images in X_val.

        Returns
        -------
        object
            The fitted estimator itself.

        Raises
        ------
        ValueError
            Before training, if a parameter or the data are wrong, the architecture does not fit the images
            (`ArchitectureError`), or the `checkpoint` is damaged, belongs to another fit, or cannot be written.
        FloatingPointError
            If the loss or a weight becomes infinite or NaN.

        Notes
        -----
        The loss is a weighted mean, and pixels are standardised with the weighted mean and deviation. If a minibatch
        contains all images, a weight of 2 is the same as having the image twice, and a weight of 0 the same as leaving
        it out. Otherwise a minibatch has `batch_size` images, whatever their weights. The weights of `class_weight` and
        `sample_weight` are multiplied.

        Three things count images and ignore their weights. The `alpha` of "sgd" is divided by the number of images in
        the minibatch; MLPClassifier divides it by the sum of their weights. The mean of ``NORM(batch)`` is over all
        images. DROPOUT and `augment` draw numbers for every image.

        In a Pipeline, ``transform_input=["X_val"]`` transforms X_val like X. Cross-validation splits X_val only if it
        has as many images as X; otherwise it is passed on unchanged.
        """
        callbacks = FitCallbacks.of(self, X, y, sample_weight)
        check_settings(self, splits=self.early_stopping and X_val is None)
        previous = state_to_resume(self) if self.warm_start and self.__sklearn_is_fitted__() else None
        fit = Fit(self, previous, callbacks)
        data = self._check_data(X, y, sample_weight, fit)
        data = self._split_validation(data, X_val, y_val, sample_weight_val, fit)
        data = replace(data, examples=data.kind.weigh(data.examples, self))
        data.kind.check_training(data.examples, data.indices)
        fit.run(data)
        return self

    def __new__(cls, *arguments, **parameters):
        """Refuse parameters that there are not, such as those of other libraries, with what to write instead."""
        refuse_unknown(cls, parameters, TypeError)
        return super().__new__(cls)

    def _validate_params(self):
        """Check the parameters. The error about a word says which one may have been meant."""
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            raise InvalidParameterError(f"{error}{other_word(str(error), self)}") from None

    def set_params(self, **params):
        """Set parameters of this estimator.

        Parameters
        ----------
        **params : dict
            Values by the names of the parameters.

        Returns
        -------
        self : estimator instance
            The estimator.
        """
        refuse_unknown(type(self), params, ValueError)
        return super().set_params(**params)

    def __getattr__(self, name):
        """Unpack the learned arrays when one of them is first read after `partial_fit`."""
        state = vars(self).get("_training_state")
        if name in vars(self):  # another thread has unpacked it since this one looked
            return vars(self)[name]
        if name.endswith("_") and not name.startswith("_") and not self.__sklearn_is_fitted__():
            raise NotFittedError(  # an AttributeError too: hasattr returns False
                f"{type(self).__name__!r} object has no attribute {name!r}: it is not fitted yet. Call fit first."
            )
        if name not in LEARNED or type(state) is not TrainingState or state.parameters is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        arrays = dict(zip(LEARNED, unpack_parameters(self, state.parameters), strict=True))
        vars(self).update(arrays, _training_state=replace(state, parameters=None))
        return arrays[name]

    def __getstate__(self):
        getattr(self, "coefs_", None)  # unpacks the learned arrays
        state = super().__getstate__() | {"_skconvnet_version": __version__}
        state.pop("_kept_trainer", None)
        for name in ("checkpoint", "pretrained"):
            if isinstance(state.get(name), os.PathLike):  # its class may not exist elsewhere
                state[name] = os.fsdecode(state[name])
        return state

    def __setstate__(self, state):
        written_by = state.get("_skconvnet_version", __version__)
        if not can_read(written_by):
            warnings.warn(
                f"A {type(self).__name__} was written by skconvnet {written_by}, and is read by {__version__}, which "
                "reads files of its own minor version and of the one before. Predictions may be wrong: fit again, or "
                "use the other version.",
                stacklevel=2,
            )
        # A parameter that did not exist when the file was written gets its default.
        parameters = inspect.signature(type(self)).parameters.values()
        defaults = {parameter.name: parameter.default for parameter in parameters}
        kept = {name: value for name, value in state.items() if name not in ("_skconvnet_version", "_kept_trainer")}
        training = kept.get("_training_state")
        if type(training) is TrainingState:  # parameters are in the learned arrays of a file, and nowhere else
            kept["_training_state"] = replace(training, parameters=None)
        super().__setstate__(defaults | kept)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self):
        return "_training_state" in vars(self)

    def _html_repr(self):
        """Return what notebooks show: scikit-learn's diagram and, if fitted, the network below it."""
        diagram = super()._html_repr()
        if not self.__sklearn_is_fitted__():
            return diagram
        table, score = self.architecture_.summary(), self.best_validation_score_
        kind = self._kind
        curve = getattr(self, kind.curve)
        accuracy = f", {kind.metric} {curve[-1]:.4f} in training" if curve else ""
        validation = "" if score is None else f", {score:.4f} at best in validation"
        training = (
            f"{self.n_iter_} epoch{'s' * (self.n_iter_ != 1)} in {self.fit_time_:.2f} s; loss {self.loss_:.4f}"
            f"{accuracy}{validation}"
        )
        origin = training if self.n_iter_ else "loaded, not trained here"
        text = f"{self.architecture_}: {table.n_params:,} parameters; {origin}"
        return f"{diagram}<details open><summary>{escape(text)}</summary>{table._repr_html_()}</details>"

    def _score_map(self, X):
        """Return the scores at every position, float64 of shape (n, rows, columns, n_outputs)."""
        scorer = self._scorer()
        refuse_averaging(self, "score_map")
        images = check_larger_images(self, X, self.image_shape_)
        larger = scorer.on(images.shape)
        scores = compute_scores(larger, images, self.n_jobs)
        warn_of_other_scale(larger.pixels, images)
        return scores.astype(np.float64).reshape(len(images), larger.output.height, larger.output.width, -1)

    def _to_onnx(self, path, **arguments):
        """Return the fitted network as an ONNX model, which is also written to a path that is given."""
        check_is_fitted(self)
        refuse_averaging(self, "to_onnx")
        if path is not None:
            check_suffix(path, ".onnx")
        model = write_onnx(stored_network(self), **arguments)
        if path is not None:
            write_file(path, model.SerializeToString())
        return model

    def _begin_stream(self, X, y, sample_weight):
        """Check the parameters for `partial_fit`; return the `PartialFit`."""
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: it sees the data in parts. Use "
                "early_stopping=False, and validate between the calls."
            )
        if self.checkpoint is not None:
            raise ValueError(
                "partial_fit does not support checkpoint: it cannot know which data come next. Use checkpoint=None. To "
                "save a stream, pickle the estimator between two calls."
            )
        previous = state_of_stream(self) if self.__sklearn_is_fitted__() else None
        callbacks = FitCallbacks.of(self, X, y, sample_weight)
        check_settings(self, splits=False)
        return PartialFit(self, previous, callbacks)

    def _check_data(self, X, y, sample_weight, fit, kind_of_stream=None):
        """Check images, targets and weights; `kind_of_stream`, in `partial_fit`, returns the kind of the targets."""
        previous = fit.previous
        if previous is None:
            checked = clone(self)  # scikit-learn assigns to what it checks
            expected = expected_image_shape(self, X, fit.stored)
            images, y = self._check_images_and_targets(checked, X, y, expected, reset=True)
            names = vars(checked).get("feature_names_in_", ())
            doubt = doubt_about_images(images.pixels.shape, images.shape, expected is not None, names)
            if doubt is not None:
                warnings.warn(doubt, stacklevel=5)  # the caller of fit, which has two wrappers
        else:
            checked = self
            images, y = self._check_images_and_targets(checked, X, y, self.image_shape_)
        features = {name: vars(checked)[name] for name in _FEATURES if name in vars(checked)}
        weights = check_sample_weight(sample_weight, len(images))
        if kind_of_stream is not None:
            kind = kind_of_stream(y, weights)
        else:
            kind = self._new_kind(y, weights)
            doubt = kind.doubt(y, weights)
            if doubt is not None:
                warnings.warn(doubt, stacklevel=5)
            if previous is not None:
                kind = self._kind.resumed_with(kind)
        examples, indices = LabelledImages(images, kind.encode(y, weights), weights), np.arange(len(images))
        if kind_of_stream is None:
            kind.check_training(examples, indices)
        elif previous is not None and self.solver == "adam":
            if previous.optimizer is None or previous.solver != "adam":
                warnings.warn(_NO_STATE, stacklevel=5)
        return TrainingData(examples, kind, features, indices)

    def _split_validation(self, data, X_val, y_val, sample_weight_val, fit):
        """Return the data with validation data: those that are given, or a part of the training data, or none."""
        if X_val is not None and y_val is not None:
            validation = self._validation_examples(X_val, y_val, sample_weight_val, data)
            return replace(data, validation=validation, validation_is_given=True)
        given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        present = [name for name, value in given.items() if value is not None]
        if present:
            absent = [name for name in ("X_val", "y_val") if name not in present]
            raise ValueError(
                f"fit got {' and '.join(present)} without {' and '.join(absent)}. Pass both X_val and y_val."
            )
        if not self.early_stopping:
            return data
        indices, validation = hold_out(
            data.examples, self.validation_fraction, fit.seed, data.kind.strata(data.examples.targets)
        )
        return replace(data, indices=indices, validation=validation)

    def _validation_examples(self, X_val, y_val, sample_weight_val, data):
        """Check the validation data; an error says that it is about these."""
        checked = clone(self)
        vars(checked).update(data.features)
        try:
            images, y = self._check_images_and_targets(checked, X_val, y_val, data.examples.images.shape)
            weights = check_sample_weight(sample_weight_val, len(images))
            return LabelledImages(images, data.kind.encode(y, weights), weights)
        except ValueError as error:
            raise ValueError(
                "The validation data are invalid (X means X_val, y means y_val, sample_weight means "
                f"sample_weight_val): {error}"
            ) from error

    def _scorer(self):
        """Return the scorer of the fitted network."""
        if "_training_state" not in self.__dict__:
            check_is_fitted(self)  # raises; on a fitted estimator it would take as long as a small network's kernels
        return ScorerCache.of(self).scorer(self)

    def _scorer_of_predict(self):
        """Return the scorer of the fitted network, or what averages it as `average_mirrored` says."""
        scorer = self._scorer()
        is_averaged = self.average_mirrored is not False and averages_mirrored(self)
        return AveragingScorer(scorer, self.image_shape_) if is_averaged else scorer

    def _scores(self, X):
        """Return the scores of images, float64 of shape (n, n_outputs)."""
        scorer, n_jobs = self._scorer_of_predict(), self.n_jobs
        is_usual = n_jobs is None or (type(n_jobs) is int and n_jobs != 0)  # below, others raise an error
        if is_usual and type(X) is np.ndarray and "feature_names_in_" not in self.__dict__:  # else X may have names
            scores = scorer.scores_of_one(X, self._count_threads)
            if scores is not None:
                return scores
        return score_images(scorer, check_images(self, X, self.image_shape_), n_jobs).astype(np.float64, copy=False)

    def _count_threads(self):
        return thread_count(self.n_jobs)


def can_read(version, own=__version__):
    """Return whether the version `own` reads files of another version: of its minor version, or of the one before."""
    (major, minor), (other_major, other_minor) = (tuple(map(int, v.split(".")[:2])) for v in (own, version))
    return major == other_major and minor - other_minor in (0, 1)
