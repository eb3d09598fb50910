"""What the estimators share: fitted attributes, files, and the display in notebooks."""

import inspect
import os
import warnings
from dataclasses import replace
from html import escape

from sklearn.base import BaseEstimator

from skconvnet._version import __version__
from skconvnet.estimators.fitted import LEARNED, unpack_parameters
from skconvnet.estimators.parameters import refuse_unknown
from skconvnet.training import TrainingState
from skconvnet.training.callbacks import CallbackSupportMixin


class BaseConvNet(CallbackSupportMixin, BaseEstimator):
    """Base class of the estimators that train a network."""

    def __new__(cls, *arguments, **parameters):
        """Refuse parameters that there are not, such as those of other libraries, with what to write instead."""
        refuse_unknown(cls, parameters, TypeError)
        return super().__new__(cls)

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
        accuracy = f", accuracy {self.accuracy_curve_[-1]:.4f} in training" if self.accuracy_curve_ else ""
        validation = "" if score is None else f", {score:.4f} at best in validation"
        training = (
            f"{self.n_iter_} epoch{'s' * (self.n_iter_ != 1)} in {self.fit_time_:.2f} s; loss {self.loss_:.4f}"
            f"{accuracy}{validation}"
        )
        origin = training if self.n_iter_ else "loaded, not trained here"
        text = f"{self.architecture_}: {table.n_params:,} parameters; {origin}"
        return f"{diagram}<details open><summary>{escape(text)}</summary>{table._repr_html_()}</details>"


def can_read(version, own=__version__):
    """Return whether the version `own` reads files of another version: of its minor version, or of the one before."""
    (major, minor), (other_major, other_minor) = (tuple(map(int, v.split(".")[:2])) for v in (own, version))
    return major == other_major and minor - other_minor in (0, 1)
