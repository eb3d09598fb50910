"""The candidates of a search, their scores and costs, as a list and as a picture."""

from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skconvnet.architecture import ArchitectureError
from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.network import bind_network
from skconvnet.estimators.pretrained import pretrained_network
from skconvnet.inspection.drawing import check_axes, panel_grid

__all__ = ["Candidate", "SearchDisplay", "search_candidates"]

_MOST_LINES = 12  # of the list below the panels


class Candidate(NamedTuple):
    """A candidate of a search.

    Parameters
    ----------
    params : dict
        Its parameters.
    score : float
        The mean score in cross-validation; NaN if its fit has failed.
    n_params : int or None
        The weights and biases of its network; None if it has no network.
    seconds : float
        The mean time of a fit.
    is_final : bool
        Whether it was in the last iteration of a successive halving. True in other searches.
    on_front_of_params, on_front_of_time : bool
        Whether no other candidate that is final is better in score or in this cost without being worse in the other.
    """

    params: dict
    score: float
    n_params: int | None
    seconds: float
    is_final: bool
    on_front_of_params: bool
    on_front_of_time: bool

    @property
    def text(self):
        """The parameters as text."""
        names = {name: name.split("__")[-1] for name in self.params}
        short = names if len({*names.values()}) == len(names) else {name: name for name in names}
        return ", ".join(f"{short[name]}={value}" for name, value in self.params.items())


def search_candidates(search, *, metric=None, image_shape=None, n_outputs=None):
    """Return the candidates of a search, the best first.

    Parameters
    ----------
    search : GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV or HalvingRandomSearchCV
        A fitted search of a ConvNetClassifier or ConvNetRegressor, or of a Pipeline whose last step is one.
    metric : str, default=None
        Which of several scores: a key of `scoring`. By default the one that `refit` names.
    image_shape : tuple of int, default=None
        (height, width, channels) of the images. Needed where ``refit=False``.
    n_outputs : int, default=None
        The number of classes, or of outputs of a regressor. Needed where ``refit=False``.

    Returns
    -------
    list of Candidate
        Those whose fit has failed are the last. A candidate of a successive halving is counted once, with its last
        iteration.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skconvnet import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> network = ConvNetClassifier("INPUT -> CONV -> RELU -> POOL -> FC", max_iter=1, random_state=0)
    >>> search = GridSearchCV(network, {"K": [2, 8]}, cv=2).fit(X, y)
    >>> [(candidate.text, candidate.n_params) for candidate in search_candidates(search)]
    [('K=8', 1370), ('K=2', 350)]
    """
    if not hasattr(search, "refit"):
        raise TypeError(f"A search such as GridSearchCV is needed, got a {type(search).__name__}.")
    check_is_fitted(search)
    found = search.cv_results_
    last = _last_iterations(found)
    scores = np.asarray(found[_score_name(search, metric)], float)[last]
    seconds = np.asarray(found["mean_fit_time"], float)[last]
    params = [found["params"][row] for row in last]
    iterations = np.asarray(found.get("iter", np.zeros(len(found["params"]), int)))
    is_final = iterations[last] == iterations.max()
    count = _counter(search, image_shape, n_outputs)
    n_params = [count(each) for each in params]
    costs = np.array([np.inf if number is None else number for number in n_params], float)
    fronts = []
    for cost in (costs, seconds):
        front = np.zeros(len(last), bool)
        compared = is_final & np.isfinite(scores) & np.isfinite(cost)
        front[compared] = _pareto_front(cost[compared], scores[compared])
        fronts.append(front)
    arrays = [array.tolist() for array in (scores, seconds, is_final, *fronts)]
    rows = zip(params, arrays[0], n_params, *arrays[1:], strict=True)
    return sorted((Candidate(*row) for row in rows), key=_rank)


def _rank(candidate):
    """Return the key of the order: what failed is last, and what successive halving has dropped is before it."""
    return np.isnan(candidate.score), not candidate.is_final, -candidate.score


def _last_iterations(found):
    """Return the rows of the candidates: of a successive halving, the last of each."""
    last = {str(params): row for row, params in enumerate(found["params"])}
    return sorted(last.values()) if "iter" in found else list(range(len(found["params"])))


def _score_name(search, metric):
    """Return the column of the scores; raise a ValueError if it is not clear which."""
    metric = metric if metric is not None or not isinstance(search.refit, str) else search.refit
    names = [name.removeprefix("mean_test_") for name in search.cv_results_ if name.startswith("mean_test_")]
    metric = names[0] if metric is None and len(names) == 1 else metric
    if metric not in names:
        raise ValueError(f"metric={metric!r:.80}: the search has the scores {', '.join(names)}. Pass one of these.")
    return f"mean_test_{metric}"


def _counter(search, image_shape, n_outputs):
    """Return a function of parameters: the weights and biases of the network that they make, or None."""
    fitted = _network_of(getattr(search, "best_estimator_", None))
    if fitted is not None:
        image_shape = image_shape or fitted.image_shape_
        n_outputs = n_outputs or fitted._kind.n_outputs
    if image_shape is None or n_outputs is None:
        raise ValueError(
            "The search has no best_estimator_ that knows the images and classes. Pass image_shape, (height, width, "
            "channels), and n_outputs, or search with refit=True."
        )

    def count(params):
        network = _network_of(clone(search.estimator).set_params(**clone(params, safe=False)))
        try:
            bound = bind_network(network, image_shape, n_outputs, pretrained_network(network.pretrained))
        except ArchitectureError:
            return None
        return bound.summary().n_params

    return count


def _network_of(estimator):
    """Return the network of an estimator: itself, or the last step of a Pipeline; raise a TypeError if it has none."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if last is not None and not isinstance(last, BaseConvNet):
        raise TypeError(
            f"The search is one of a {type(last).__name__}. Needed is a ConvNetClassifier or ConvNetRegressor, or a "
            "Pipeline whose last step is one."
        )
    return last


def _pareto_front(costs, scores):
    """Find the candidates that no other one beats in one respect without being worse in the other.

    Parameters
    ----------
    costs, scores : ndarray of shape (n,)

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    as_good = (costs <= costs[:, None]) & (scores >= scores[:, None])  # row i, column j: j is as good as i
    better = (costs < costs[:, None]) | (scores > scores[:, None])
    return ~(as_good & better).any(axis=1)


class SearchDisplay:
    """The candidates of a search: score against the number of parameters, and against the time of a fit.

    The steps are the Pareto fronts. Their candidates have numbers, the best is 1, and are listed below. Candidates
    that successive halving has dropped are crosses: their scores are those of fewer images or epochs.

    Make one with `from_search`. It needs Matplotlib: ``pip install matplotlib``.

    Parameters
    ----------
    candidates : list of Candidate
        What `search_candidates` returns.
    metric : str, default="score"
        What the score is called.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, (2,)
        The panels of parameters and of time.
    figure_ : matplotlib Figure
        Their figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skconvnet import ConvNetClassifier
    >>> from skconvnet.inspection import SearchDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> network = ConvNetClassifier("INPUT -> CONV -> RELU -> POOL -> FC", max_iter=1, random_state=0)
    >>> search = GridSearchCV(network, {"K": [2, 8]}, cv=2).fit(X, y)
    >>> display = SearchDisplay.from_search(search)  # doctest: +SKIP
    """

    def __init__(self, candidates, *, metric="score"):
        self.candidates = candidates
        self.metric = metric

    @classmethod
    def from_search(cls, search, *, metric=None, image_shape=None, n_outputs=None, ax=None):
        """Draw the candidates of a search.

        Parameters
        ----------
        search, metric, image_shape, n_outputs
            As of `search_candidates`.
        ax : matplotlib Axes, default=None
            Where to draw; the panels divide its place. By default, in a new figure.

        Returns
        -------
        SearchDisplay
        """
        check_axes(cls, ax)
        candidates = search_candidates(search, metric=metric, image_shape=image_shape, n_outputs=n_outputs)
        name = _score_name(search, metric).removeprefix("mean_test_")
        return cls(candidates, metric=name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the candidates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; the panels divide its place. By default, in a new figure.

        Returns
        -------
        SearchDisplay
            This display.
        """
        lines = self._lines()
        heights = 3.6, max(0.19 * len(lines), 0.01)
        self.figure_, grid = panel_grid(self, ax, (8, sum(heights)), 2, 2, height_ratios=heights)
        left, below = self.figure_.add_subplot(grid[0, 0]), self.figure_.add_subplot(grid[1, :])
        panels = left, self.figure_.add_subplot(grid[0, 1], sharey=left)
        self.axes_ = np.array(panels)
        self._draw(panels[0], "n_params", "on_front_of_params")
        self._draw(panels[1], "seconds", "on_front_of_time")
        panels[0].set(xlabel="parameters", ylabel=f"{self.metric}, cross-validated")
        panels[1].set(xlabel="seconds of a fit")
        panels[1].tick_params(labelleft=False)
        below.set_axis_off()
        below.text(0, 1, "\n".join(lines), va="top", fontsize="small", linespacing=1.4, transform=below.transAxes)
        return self

    def _draw(self, panel, cost, front):
        """Draw the candidates of one panel, and the numbers of those on the front."""
        drawn = [(number, one) for number, one in enumerate(self.candidates, 1) if _is_drawn(one, cost)]
        for marker, is_final in (("o", True), ("x", False)):
            group = [one for _, one in drawn if one.is_final == is_final]
            if group:
                label = "candidate" if is_final else "dropped earlier"
                costs, scores = [getattr(one, cost) for one in group], [one.score for one in group]
                panel.scatter(costs, scores, color="0.65", s=16, marker=marker, label=label)
        on_front = sorted((getattr(one, cost), one.score, number) for number, one in drawn if getattr(one, front))
        if on_front:
            costs, scores, numbers = zip(*on_front, strict=True)
            panel.step(costs, scores, where="post", marker="o", markersize=5, color="C1", label="Pareto front")
            for place, number in zip(zip(costs, scores, strict=True), numbers, strict=True):
                panel.annotate(str(number), place, xytext=(-3, 4), textcoords="offset points", fontsize=8, ha="right")
        panel.set_xscale("log")
        panel.margins(0.12)
        _label_decades(panel.xaxis)
        panel.grid(alpha=0.3)
        panel.legend(loc="lower right", fontsize="small")

    def _lines(self):
        """Return what is below the panels: the candidates of the fronts, and how many have failed."""
        on_front = [
            f"{number}: {one.text}"
            for number, one in enumerate(self.candidates, 1)
            if one.on_front_of_params or one.on_front_of_time
        ]
        lines = [line if len(line) <= 110 else f"{line[:107]}..." for line in on_front[:_MOST_LINES]]
        if len(on_front) > _MOST_LINES:
            lines.append(f"and {len(on_front) - _MOST_LINES} more")
        n_failed = sum(not np.isfinite(one.score) for one in self.candidates)
        if n_failed:
            lines.append(f"failed, and not drawn: {n_failed} of {len(self.candidates)} candidates")
        return lines


def _label_decades(axis):
    """Label 1, 2 and 5 of each decade where there are few, else the decades; Matplotlib's own labels overlap."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    lowest, highest = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if highest < 30 * lowest else (1,), numticks=5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _is_drawn(candidate, cost):
    value = getattr(candidate, cost)
    return np.isfinite(candidate.score) and value is not None and value > 0
