"""scikit-learn's callbacks: a fit and its epochs as the tasks that they are told of.

They came with scikit-learn 1.9. With an older one the estimator is the same without them, and this is the only place
that knows.
"""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """Stands in where scikit-learn has no callbacks: it adds nothing."""


class Tasks:
    """The task of a fit, and in it one for each epoch, for the callbacks of an estimator to follow.

    Making one sets the callbacks up. scikit-learn tears them down when fit returns or raises, by attributes that it
    keeps in the estimator as long.

    Parameters
    ----------
    estimator : ConvNetClassifier
        The one that is fitted.
    max_iter : int
        The most epochs.
    X, y, sample_weight
        What it is fitted to, as its user gave them.
    """

    def __init__(self, estimator, max_iter, X, y, sample_weight):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=max_iter)
        self._epoch = None

    @classmethod
    def of(cls, estimator, max_iter, X, y, sample_weight):
        """Return the tasks of a fit, or None where scikit-learn has no callbacks."""
        if not hasattr(estimator, "_init_callback_context"):
            return None
        return cls(estimator, max_iter, X, y, sample_weight)

    def begin(self, n_epochs):
        """Tell that the training begins, or goes on after so many epochs: a task's id is the number of its epoch."""
        self._fit.call_on_fit_task_begin(**self._given)
        for _ in range(n_epochs):
            self._fit.subcontext(task_name="epoch")

    def begin_epoch(self, fitted_attributes):
        """Tell that an epoch begins.

        Parameters
        ----------
        fitted_attributes : callable
            Makes the attributes that the estimator would have if the training ended here, as a dict. It is called if
            a callback asks for the fitted estimator.
        """
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._given, reconstruction_attributes=fitted_attributes)

    def end_epoch(self, fitted_attributes):
        """Tell that the epoch is over, as `begin_epoch`; return whether a callback wants the training to stop."""
        return self._epoch.call_on_fit_task_end(**self._given, reconstruction_attributes=fitted_attributes)

    def end(self):
        """Tell that the estimator is fitted."""
        self._fit.call_on_fit_task_end(**self._given, reconstruction_attributes={})
