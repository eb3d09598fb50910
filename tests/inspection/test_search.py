"""The candidates of a search, as a list and as a picture."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from skconvnet.inspection import Candidate, SearchDisplay, search_candidates
from skconvnet.inspection.search import _have_failed, _pareto_front
from tests.estimators.quick import quick
from tests.inspection.overlaps import overlaps

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning"),
    pytest.mark.filterwarnings("ignore:One or more of the test scores"),
]
NETWORK = quick(architecture="INPUT -> CONV -> RELU -> POOL -> FC", max_iter=1, batch_size="auto")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:60], y[:60] % 2


@pytest.fixture(scope="module")
def search(digits):
    """Of a Pipeline, with a candidate that does not fit the images."""
    pipeline = make_pipeline(FunctionTransformer(), NETWORK)
    return GridSearchCV(pipeline, {"convnetclassifier__K": [4, 8], "convnetclassifier__F": [3, (12,)]}, cv=2).fit(
        *digits
    )


def test_candidates_of_a_pipeline_and_those_that_failed(search):
    candidates = search_candidates(search)
    assert [one.text for one in candidates[:2]] in (["F=3, K=4", "F=3, K=8"], ["F=3, K=8", "F=3, K=4"])
    assert candidates[0].params == search.best_params_
    assert candidates[0].score == search.best_score_ >= candidates[1].score
    assert {one.text: one.n_params for one in candidates[:2]} == {"F=3, K=4": 40 + 130, "F=3, K=8": 80 + 258}
    for failed in candidates[2:]:
        assert np.isnan(failed.score)
        assert not any((failed.on_front_of_params, failed.on_front_of_time))
    assert candidates[0].on_front_of_params
    assert all(one.seconds > 0 for one in candidates[:2])


def test_with_a_number_as_error_score_a_network_that_does_not_fit_has_failed(digits):
    search = GridSearchCV(NETWORK, {"F": [3, (12,)], "max_iter": [1]}, cv=2, error_score=0).fit(*digits)
    search.cv_results_["mean_fit_time"] = np.array([1, 0.1])
    fits, failed = search_candidates(search)
    assert (fits.params["F"], fits.on_front_of_params, fits.on_front_of_time) == (3, True, True)
    assert np.isnan(failed.score)
    assert (failed.on_front_of_params, failed.on_front_of_time) == (False, False)


@pytest.mark.parametrize(
    ("error_score", "failed"), [(0, [0, 1, 0, 1]), (np.nan, [0, 0, 0, 1]), ("raise", [0, 0, 0, 1])]
)
def test_a_score_that_is_error_score_may_be_true_of_a_network_that_fits(error_score, failed):
    assert_array_equal(_have_failed(np.array([0, 0, 0.5, np.nan]), [9, None, None, 9], error_score), failed)


def test_architectures_stand_without_their_name():
    assert Candidate({"net__architecture": "INPUT -> FC", "net__K": 3}, *[0] * 6).text == "INPUT -> FC, K=3"


def test_halving_counts_a_candidate_once_with_its_last_iteration(digits):
    halving = HalvingGridSearchCV(
        NETWORK, {"K": [1, 2, 3, 4]}, cv=2, factor=2, min_resources=20, random_state=0, aggressive_elimination=False
    ).fit(*digits)
    candidates = search_candidates(halving)
    assert sorted(one.params["K"] for one in candidates) == [1, 2, 3, 4]
    n_last = halving.n_candidates_[-1]
    assert [one.is_final for one in candidates] == [True] * n_last + [False] * (4 - n_last)
    assert not any(one.on_front_of_params or one.on_front_of_time for one in candidates[n_last:])
    assert candidates[0].score == halving.best_score_


def test_several_scores_and_searches_without_a_best_estimator(digits):
    search = GridSearchCV(NETWORK, {"K": [2, 4]}, cv=2, scoring=["accuracy", "f1"], refit=False).fit(*digits)
    options = {"image_shape": (8, 8, 1), "n_outputs": 2}
    found = search_candidates(search, metric="f1", **options)
    assert {one.score for one in found} == set(search.cv_results_["mean_test_f1"])
    with pytest.raises(ValueError, match="metric=None: the search has the scores accuracy, f1"):
        search_candidates(search, **options)
    with pytest.raises(ValueError, match="Pass image_shape"):
        search_candidates(search, metric="f1")


def test_a_search_of_something_else_is_refused(digits):
    with pytest.raises(TypeError, match="The search is one of a SVC"):
        search_candidates(GridSearchCV(SVC(), {"C": [1, 2]}, cv=2).fit(*digits))


@pytest.mark.parametrize(
    ("costs", "scores", "front"),
    [
        ([1, 2, 3], [0.5, 0.6, 0.7], [True, True, True]),
        ([1, 2, 3], [0.7, 0.6, 0.8], [True, False, True]),
        ([1, 1, 2], [0.6, 0.7, 0.7], [False, True, False]),
        ([2, 2], [0.7, 0.7], [True, True]),
    ],
)
def test_the_pareto_front(costs, scores, front):
    assert _pareto_front(np.array(costs), np.array(scores)).tolist() == front


def texts(panel):
    return [text.get_text() for text in panel.texts]


def candidate(params, score, n_params=10, seconds=1.0, on_front=True):
    return Candidate(params, score, n_params, seconds, True, on_front, on_front)


def overlaps_box(one, other):
    return one.get_window_extent().overlaps(other.get_window_extent())


def test_what_is_drawn(plt):
    figure, ax = plt.subplots()
    display = SearchDisplay(
        [
            Candidate({"K": 8}, 0.9, 100, 2.0, True, True, True),
            Candidate({"K": 4}, 0.8, 50, 3.0, True, True, False),
            Candidate({"K": 2}, 0.85, 20, 0.5, False, False, False),
            Candidate({"K": 99}, np.nan, None, 0.0, True, False, False),
            Candidate({"K": 1}, 0.1, 5, 0.0, True, False, False),  # 0 seconds have no place on the axis
        ],
        metric="accuracy",
    ).plot(ax=ax)
    by_params, by_time = display.axes_
    final, dropped = by_params.collections
    assert_array_equal(final.get_offsets(), [[100, 0.9], [50, 0.8], [5, 0.1]])
    assert_array_equal(by_time.collections[0].get_offsets(), [[2, 0.9], [3, 0.8]])
    assert_array_equal(dropped.get_offsets(), [[20, 0.85]])
    (front,) = by_params.get_lines()
    assert_array_equal(front.get_xydata(), [[50, 0.8], [100, 0.9]])
    assert front.get_drawstyle() == "steps-post"  # up where the better candidate is
    assert by_params.get_shared_y_axes().joined(by_params, by_time)
    (legend,) = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert {text.get_text() for text in legend.get_texts()} == {"candidate", "dropped earlier", "Pareto front"}
    assert not any(overlaps_box(legend, panel) for panel in display.axes_)
    assert (texts(by_params), texts(by_time)) == (["1", "2"], ["1"])
    assert [panel.get_xlabel() for panel in display.axes_] == ["parameters", "seconds of a fit"]
    assert by_params.get_ylabel() == "accuracy, cross-validated"
    listed = texts(figure.axes[-1])[0].splitlines()
    assert listed == ["1: K=8", "2: K=4", "failed, and not drawn: 1 of 5 candidates"]


@pytest.mark.usefixtures("plt")
def test_from_search(search):
    display = SearchDisplay.from_search(search)
    assert [len(panel.collections) for panel in display.axes_] == [1, 1]
    assert display.metric == "score"


@pytest.mark.parametrize("costs", [(200, 300), (900, 1100), (1500, 32_000), (1e3, 4e5), (30, 5e7)])
def test_labels_of_costs_do_not_overlap(plt, costs):
    candidates = [Candidate({}, 0.9, int(cost), cost / 1e4, True, True, True) for cost in costs]
    display = SearchDisplay(candidates).plot()
    display.figure_.canvas.draw()
    for panel in display.axes_:
        labels = [label for label in panel.get_xticklabels() if label.get_text()]
        edges = sorted((box.x0, box.x1) for box in (label.get_window_extent() for label in labels))
        shown = [edge for edge in edges if panel.bbox.x0 - 1 <= sum(edge) / 2 <= panel.bbox.x1 + 1]
        assert shown
        assert all(one[1] < other[0] for one, other in pairwise(shown))


LONG = "INPUT -> [CONV(K={}) -> NORM -> RELU -> CONV(K=8, F=3, S=1, P=1) -> NORM -> RELU -> POOL]*2 -> FC(64) -> RELU"


@pytest.mark.parametrize("layout", [None, "own figure"])
def test_long_architectures_stay_in_the_figure(layout, plt):
    ax = None if layout == "own figure" else plt.subplots(layout=layout)[1]
    n_params = np.geomspace(100, 1e5, 15).astype(int)
    found = [
        candidate({"architecture": LONG.format(n), "N": 1}, n / 2e5, n, 1 / (1 + n)) for n in n_params[::-1].tolist()
    ]
    display = SearchDisplay(found).plot(ax=ax)
    assert not overlaps(display.figure_)
    (text,) = display.figure_.axes[-1].texts
    assert text.get_window_extent().x1 <= display.axes_[1].bbox.x1
    listed = text.get_text()
    lines = listed.splitlines()
    n_listed = sum(line[0] != " " for line in lines) - 1
    assert lines[0].startswith("1: INPUT -> [CONV(K=100000) -> NORM")
    assert lines[-1] == f"and {15 - n_listed} more"
    assert n_listed == 12 if ax is None else 2 < n_listed < 12
    assert "N=1" not in listed  # all have it
    assert all(panel.bbox.width > 0.3 * display.figure_.bbox.width for panel in display.axes_)
    assert all(panel.bbox.height > 150 for panel in display.axes_)


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_small_axes_have_the_panels_alone(layout, plt):
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 4.8), layout=layout)
    for ax, costs in ((axes[0, 0], (7000, 300)), (axes[1, 1], (1000, 700, 350))):
        found = [candidate({"K": n}, n / 7, n, n / 7000) for n in costs]
        display = SearchDisplay(found).plot(ax=ax)
    assert not overlaps(figure)
    assert not any(texts(panel) or panel.get_legend() for panel in figure.axes)
    assert display.axes_[0].get_ylabel() == "score"


def test_axes_of_one_inch_are_drawn_in(plt):
    figure = plt.figure(figsize=(1, 1))
    found = [candidate({"K": n}, n / 7, n, n / 7000) for n in (1000, 700)]
    display = SearchDisplay(found).plot(ax=figure.add_axes((0, 0, 1, 1)))
    assert [len(panel.collections) for panel in display.axes_] == [1, 1]
    assert not any(map(texts, figure.axes))


@pytest.mark.usefixtures("plt")
def test_candidates_on_one_point_share_a_text():
    found = [candidate({"K": n}, score) for n, score in enumerate([0.9, 0.9, 0.5])]
    by_params, _ = SearchDisplay(found[:2]).plot().axes_
    assert texts(by_params) == ["1, 2"]
    by_params, _ = SearchDisplay([*found[:2], candidate({}, 0.1, n_params=1)]).plot().axes_
    assert texts(by_params) == ["1, 2", "3"]


@pytest.mark.usefixtures("plt")
def test_without_a_finite_score_nothing_is_drawn_and_it_is_written():
    display = SearchDisplay([candidate({"K": n}, np.nan, on_front=False) for n in (1, 2)]).plot()
    assert not any(ax.get_legend() for ax in display.figure_.axes)
    assert texts(display.axes_[0]) == ["no finite score"]
    assert texts(display.figure_.axes[-1]) == ["failed, and not drawn: 2 of 2 candidates"]
