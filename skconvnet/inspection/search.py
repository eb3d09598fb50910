"""The candidates of a search, their scores and costs, as a list and as a picture."""

import textwrap
from math import ceil
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skconvnet.architecture import ArchitectureError
from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.network import bind_network
from skconvnet.estimators.pretrained import pretrained_network
from skconvnet.inspection.drawing import check_axes, inches_of, panel_grid, shrink_texts
from skconvnet.inspection.layout import FONT_SIZE, LINE, text_width

__all__ = ["Candidate", "SearchDisplay", "search_candidates"]

_COSTS = {"n_params": "parameters", "seconds": "seconds of a fit"}  # of the panels
_WIDTH, _PANEL_HEIGHT = 8, 3.6  # inches of a new figure
_BESIDE_PANEL, _BELOW_PANEL, _LEGEND = 1, 0.5, 0.25
_LEAST = 3.5, 2 + _BELOW_PANEL + _LEGEND + 3 * LINE  # smaller axes have neither legend nor list
_MOST_LISTED = 12  # candidates below the panels
_WRAPPED = {"subsequent_indent": "   ", "max_lines": 2, "placeholder": " ...", "break_on_hyphens": False}
_LINE_SPACING = 1.35  # with which lines of Matplotlib are LINE apart
_TICK = 5  # the width of a label of the ticks, in sizes of its font


class Candidate(NamedTuple):
    """A candidate of a search.

    Parameters
    ----------
    params : dict
        Its parameters.
    score : float
        The mean score in cross-validation; NaN if its fit has failed; with a number as `error_score`, only if its
        network does not fit the images.
    n_params : int or None
        The weights and biases of its network; None if it has no network.
    seconds : float
        The mean time of a fit. That of the first candidate contains the time in which kernels are compiled or loaded:
        call `skconvnet.warmup` before the search.
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
        """The parameters as text; an architecture stands without its name."""
        names = {name: name.split("__")[-1] for name in self.params}
        short = names if len({*names.values()}) == len(names) else {name: name for name in names}
        return ", ".join(
            str(value) if short[name] == "architecture" else f"{short[name]}={value}"
            for name, value in self.params.items()
        )


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
        Those whose score is NaN are the last. A candidate of a successive halving is counted once, with its last
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
    scores[_have_failed(scores, n_params, search.error_score)] = np.nan
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


def _have_failed(scores, n_params, error_score):
    """Say which candidates have failed: their score is NaN, or it is `error_score` and their network does not fit."""
    is_error_score = np.isclose(scores, np.nan if error_score == "raise" else error_score)
    return np.isnan(scores) | (is_error_score & np.equal(n_params, None))


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

    The steps are the Pareto fronts. Their candidates have numbers, the best is 1, and are listed below, without the
    parameters that all candidates share. Candidates that successive halving has dropped are crosses: their scores are
    those of fewer images or epochs. The time of the first candidate contains compiling unless `skconvnet.warmup` was
    called before the search.

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
            Where to draw; the panels divide its place. By default, in a new figure. Small axes have the panels alone,
            without numbers, list and legend.

        Returns
        -------
        SearchDisplay
            This display.
        """
        check_axes(self, ax)
        width, height = (_WIDTH, np.inf) if ax is None else inches_of(ax)
        is_small = width < _LEAST[0] or height < _LEAST[1]
        lines = [] if is_small else self._lines(width - _BESIDE_PANEL, height - _LEAST[1] + 3 * LINE)
        below = _LEGEND + LINE * len(lines)
        heights = [_PANEL_HEIGHT if ax is None else height - _BELOW_PANEL - below, below]
        size, shape = (_WIDTH, sum(heights) + _BELOW_PANEL + 0.3), (1, 2) if is_small else (2, 2)
        ratios, gap = (None, None) if is_small else (heights, _BELOW_PANEL)
        self.figure_, grid = panel_grid(self, ax, size, *shape, height_ratios=ratios, gap=gap)
        left = self.figure_.add_subplot(grid[0, 0])
        self.axes_ = np.array([left, self.figure_.add_subplot(grid[0, 1], sharey=left)])
        for panel, cost in zip(self.axes_, _COSTS, strict=True):
            self._draw(panel, cost)
        self.axes_[1].tick_params(labelleft=False)
        left.set_ylabel(self.metric if is_small else f"{self.metric}, cross-validated")
        if is_small:
            shrink_texts(self.axes_)
        else:
            self._write_below(self.figure_.add_subplot(grid[1, :]), lines)
        panel_width, _ = inches_of(left)
        for panel, cost in zip(self.axes_, _COSTS, strict=True):
            _label_decades(panel.xaxis, panel_width)
            if not is_small:
                _number(panel, self._front(cost))
        return self

    def _draw(self, panel, cost):
        """Draw the candidates of one panel, and their front."""
        drawn = [one for one in self.candidates if _is_drawn(one, cost)]
        for marker, is_final in (("o", True), ("x", False)):
            group = [one for one in drawn if one.is_final == is_final]
            if group:
                label = "candidate" if is_final else "dropped earlier"
                costs, scores = [getattr(one, cost) for one in group], [one.score for one in group]
                panel.scatter(costs, scores, color="0.65", s=16, marker=marker, label=label)
        on_front = self._front(cost)
        if on_front:
            costs, scores, _ = zip(*on_front, strict=True)
            panel.step(costs, scores, where="post", marker="o", markersize=5, color="C1", label="Pareto front")
        if not any(np.isfinite(one.score) for one in self.candidates):
            panel.text(0.5, 0.5, "no finite score", ha="center", fontsize="small", transform=panel.transAxes)
        panel.set_xscale("log")
        panel.margins(0.12)
        panel.grid(alpha=0.3)
        panel.set_xlabel(_COSTS[cost])

    def _front(self, cost):
        """Return the cost, score and number of the candidates on a front, by their costs."""
        front = {"n_params": "on_front_of_params", "seconds": "on_front_of_time"}[cost]
        return sorted(
            (getattr(one, cost), one.score, number)
            for number, one in enumerate(self.candidates, 1)
            if getattr(one, front) and _is_drawn(one, cost)
        )

    def _write_below(self, ax, lines):
        """Write the legend of both panels, and below it the lines."""
        ax.set_axis_off()
        legend = {
            label: handle
            for panel in self.axes_
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        if legend:
            options = {"ncols": len(legend), "frameon": False, "borderpad": 0, "borderaxespad": 0, "fontsize": 8}
            ax.legend([*legend.values()], [*legend], loc="upper left", **options)
        font = {"family": "monospace", "fontsize": FONT_SIZE, "linespacing": _LINE_SPACING}
        place = {"xy": (0, 1), "xytext": (0, -72 * _LEGEND), "textcoords": "offset points", "va": "top"}
        listed = ax.annotate("\n".join(lines), xycoords="axes fraction", **place, **font)
        listed.set_in_layout(False)

    def _lines(self, width, height):
        """Return what is below the panels: the candidates of the fronts, and how many have failed."""
        n_characters = int(width / text_width(" "))
        entries = [
            textwrap.wrap(f"{number}: {text}", n_characters, **_WRAPPED)
            for number, (one, text) in enumerate(zip(self.candidates, _texts(self.candidates), strict=True), 1)
            if one.on_front_of_params or one.on_front_of_time
        ]
        n_failed = sum(not np.isfinite(one.score) for one in self.candidates)
        failed = [f"failed, and not drawn: {n_failed} of {len(self.candidates)} candidates"] if n_failed else []
        room, lines = height / LINE - len(failed), []
        for n, entry in enumerate(entries):
            is_last = n == len(entries) - 1
            if n == _MOST_LISTED or len(lines) + len(entry) + (not is_last) > room:
                lines.append(f"and {len(entries) - n} more")
                break
            lines += entry
        return lines + failed


def _texts(candidates):
    """Return the parameters of each candidate as text, without those that all share."""
    parameters = [{(name, str(value)) for name, value in one.params.items()} for one in candidates]
    shared = set.intersection(*parameters) if len(parameters) > 1 else set()
    different = [
        one._replace(params={name: value for name, value in one.params.items() if (name, str(value)) not in shared})
        for one in candidates
    ]
    return [part.text or one.text for part, one in zip(different, candidates, strict=True)]


def _number(panel, front):
    """Write the numbers of candidates above them, the best first, and those of one point as one text, such as "1, 2".

    What would overlap a better number is left out.
    """
    numbers = {}
    for cost, score, number in sorted(front, key=lambda one: one[2]):
        numbers.setdefault((cost, score), []).append(str(number))
    written = []
    for place, together in numbers.items():
        text = panel.annotate(
            ", ".join(together), place, xytext=(-3, 4), textcoords="offset points", fontsize=8, ha="right"
        )
        extent = text.get_window_extent()
        if any(extent.overlaps(other) for other in written):
            text.remove()
        else:
            written.append(extent)


def _label_decades(axis, width):
    """Label 1, 2 and 5 of each decade, or the decades, or some of these, as there is room on so many inches."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    most = max(2, int(72 * width / (_TICK * axis.get_ticklabels()[0].get_fontsize())))
    ticks, decades = (
        [tick for tick in LogLocator(subs=digits, numticks=99).tick_values(low, high) if low <= tick <= high]
        for digits in ((1, 2, 5), (1,))
    )
    if len(ticks) > most and len(decades) > 1:
        ticks = decades
    axis.set_major_locator(FixedLocator(ticks[:: ceil(len(ticks) / most)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _is_drawn(candidate, cost):
    value = getattr(candidate, cost)
    return np.isfinite(candidate.score) and value is not None and value > 0
