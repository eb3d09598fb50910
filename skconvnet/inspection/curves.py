"""The curves of a training, as a picture."""

import numpy as np

from skconvnet.inspection.drawing import check_axes, inches_of, panel_grid, shrink_texts
from skconvnet.inspection.network import check_network

__all__ = ["TrainingCurvesDisplay"]

_HEIGHTS = 3, 3, 2  # of the panels of loss, score and learning rate
_SIZE = 6.4, 5.6  # inches of a new figure
_LEAST = 3, 3  # smaller axes have no legend


class TrainingCurvesDisplay:
    """The curves of a training: loss, score and learning rate of every epoch.

    The score is the accuracy of a classifier, and R2 of a regressor. With `early_stopping`, a dashed line marks the
    epoch whose weights the network has.

    Make one with `from_estimator`. It needs Matplotlib: ``pip install matplotlib``.

    Parameters
    ----------
    losses : array-like of float, (n_epochs,)
        The training loss of every epoch.
    scores : array-like of float, (n_epochs,)
        The score on the training data.
    validation_scores : array-like of float, default=()
        The score on the validation data. Of fewer epochs than there are, they are the last.
    learning_rates : array-like of float, default=()
        The learning rate. Of fewer epochs than there are, they are the last.
    metric : str, default="accuracy"
        What the score is called.
    best_epoch : int, default=None
        The epoch whose weights the network has, counted from 1. None if it is the last.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The panels: the loss, the score, and the learning rate if it is known.
    figure_ : matplotlib Figure
        Their figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skconvnet import ConvNetClassifier
    >>> from skconvnet.inspection import TrainingCurvesDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(K=8, max_iter=3, early_stopping=True, random_state=0).fit(X, y)
    >>> display = TrainingCurvesDisplay.from_estimator(classifier)  # doctest: +SKIP
    """

    def __init__(self, losses, scores, validation_scores=(), learning_rates=(), *, metric="accuracy", best_epoch=None):
        self.losses = losses
        self.scores = scores
        self.validation_scores = validation_scores
        self.learning_rates = learning_rates
        self.metric = metric
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the curves of a fitted network.

        Parameters
        ----------
        estimator : ConvNetClassifier or ConvNetRegressor
            A fitted network. The epochs are all of its training: those of `fit`, of earlier fits with
            ``warm_start=True``, and the calls of `partial_fit`. A callback may draw the estimator that it is given
            while `fit` runs.
        ax : matplotlib Axes, default=None
            Where to draw; the panels divide its place. By default, in a new figure.

        Returns
        -------
        TrainingCurvesDisplay

        Raises
        ------
        TypeError
            If the estimator is no ConvNetClassifier or ConvNetRegressor.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        ValueError
            If it was loaded from a file of weights, and not trained.
        """
        check_axes(cls, ax)
        check_network(estimator)
        if not estimator.loss_curve_:
            raise ValueError("The network was loaded and not trained, so there are no curves. Call fit or partial_fit.")
        kind, validation = estimator._kind, estimator.validation_scores_ or []
        return cls(
            estimator.loss_curve_,
            getattr(estimator, kind.curve),
            validation,
            getattr(estimator, "learning_rate_curve_", ()),  # files of older versions have none
            metric=kind.metric,
            best_epoch=_best_epoch(validation, len(estimator.loss_curve_)) if estimator.early_stopping else None,
        ).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; the panels divide its place. By default, in a new figure. Small axes have no legend.

        Returns
        -------
        TrainingCurvesDisplay
            This display.
        """
        from matplotlib.ticker import MaxNLocator

        check_axes(self, ax)
        width, height = _SIZE if ax is None else inches_of(ax)
        is_small = width < _LEAST[0] or height < _LEAST[1]
        heights = _HEIGHTS[: 3 if len(self.learning_rates) else 2]
        size = _SIZE[0], _SIZE[1] * sum(heights) / sum(_HEIGHTS)
        self.figure_, grid = panel_grid(self, ax, size, len(heights), 1, height_ratios=heights)
        self.axes_ = grid.subplots(sharex=True)
        self._draw(self.axes_[0], "loss", {"training": self.losses})
        self._draw(self.axes_[1], self.metric, {"training": self.scores, "validation": self.validation_scores})
        if len(self.learning_rates):
            rate = "rate" if is_small else "learning rate"
            self._draw(self.axes_[2], rate, {"learning rate": self.learning_rates}, color="C2")
            self.axes_[2].set_ylim(bottom=0)
        self.axes_[-1].set(xlabel="epoch", xlim=(0.5, len(self.losses) + 0.5))
        self.axes_[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        self.figure_.align_ylabels(self.axes_)
        if is_small:
            shrink_texts(self.axes_)
        elif len(self.validation_scores) or self.best_epoch is not None:
            self.axes_[1].legend(loc="best", fontsize="small")
        return self

    def _draw(self, panel, label, curves, **options):
        """Draw curves that end in the last epoch, and the line of the best epoch."""
        n_epochs = len(self.losses)
        for name, curve in curves.items():
            if len(curve):
                epochs = np.arange(n_epochs - len(curve), n_epochs) + 1
                panel.plot(epochs, curve, label=name, marker="." if n_epochs <= 50 else "", **options)
        if self.best_epoch is not None:
            kept = f"epoch {self.best_epoch}, kept"
            panel.axvline(self.best_epoch, color="0.4", linestyle="--", linewidth=1, label=kept)
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)


def _best_epoch(validation_scores, n_epochs):
    """Return the first epoch with the best score, counted from 1; None if there are no scores."""
    if not len(validation_scores):
        return None
    return n_epochs - len(validation_scores) + int(np.argmax(validation_scores)) + 1
