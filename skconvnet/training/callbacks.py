"""Support for scikit-learn's callbacks: a fit is a task, and each of its epochs is a subtask.

Callbacks exist from scikit-learn 1.9 on. With an older version the estimator works the same without them. No other
module checks the version.
"""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """Empty stand-in for versions of scikit-learn without callbacks."""


class FitCallbacks:
    """Calls the callbacks of an estimator at the beginning and the end of a fit and of its epochs.

    Creating an instance sets the callbacks up. scikit-learn tears them down when fit returns or raises; until then it
    keeps attributes of its own in the estimator.

    Parameters
    ----------
    estimator : ConvNetClassifier
        The estimator that is fitted.
    X, y, sample_weight
        The arguments of `fit`, unchanged.
    """

    def __init__(self, estimator, X, y, sample_weight):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=None)  # until the images are counted
        self._epoch = None

    @classmethod
    def of(cls, estimator, X, y, sample_weight):
        """Return the callbacks of a fit; None if the estimator has none."""
        if not vars(estimator).keys().isdisjoint(("_skl_callbacks", "_parent_callback_ctx")):
            return cls(estimator, X, y, sample_weight)
        return None

    def begin(self, n_epochs, max_iter):
        """Call the callbacks at the beginning of a fit of up to `max_iter` epochs; skip the first, done earlier."""
        self._fit.max_subtasks = max_iter
        self._fit.call_on_fit_task_begin(**self._arguments)
        for _ in range(n_epochs):
            self._fit.subcontext(task_name="epoch")

    def begin_epoch(self, fitted_attributes):
        """Call the callbacks at the beginning of an epoch.

        Parameters
        ----------
        fitted_attributes : callable
            Returns the attributes that the estimator would have if training ended here, as a dict. It is only called
            if a callback asks for the fitted estimator.
        """
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._arguments, reconstruction_attributes=fitted_attributes)

    def end_epoch(self, fitted_attributes):
        """Call the callbacks at the end of an epoch, as `begin_epoch`. Return whether one of them stops training."""
        return self._epoch.call_on_fit_task_end(**self._arguments, reconstruction_attributes=fitted_attributes)

    def end(self):
        """Call the callbacks at the end of the fit, when the estimator is fitted."""
        self._fit.call_on_fit_task_end(**self._arguments, reconstruction_attributes={})
