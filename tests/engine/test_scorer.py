"""Scores: the same bits however images are dealt out to workers. What they are is tested in test_network.py."""

import weakref
from contextlib import nullcontext

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skconvnet.engine import Images, Scorer, scorer
from skconvnet.engine.plan import plan
from skconvnet.engine.scorer import _evenly
from tests.engine.networks import BRANCHED, BRANCHED_SHAPE, NEW_TRAPS, VARIED, VARIED_SHAPE, Problem

PROBLEMS = {"varied": (VARIED, VARIED_SHAPE), "branched": (BRANCHED, BRANCHED_SHAPE), **NEW_TRAPS}


@pytest.fixture
def workers(monkeypatch):
    """The workers of every run. However little there is to do they are woken; they take turns on the threads."""
    from skconvnet.engine.cpu import machine

    seen = []
    monkeypatch.setattr(machine, "threads", lambda count: seen.append(count) or nullcontext())
    monkeypatch.setattr(scorer, "_WORTH_WAKING", 1)
    monkeypatch.setattr(scorer, "_WORTH_SHARING", 0)
    monkeypatch.setattr(plan, "_WORTH_SHARING", 0)
    return seen


@pytest.mark.parametrize("n_threads", [2, 5])
@pytest.mark.parametrize("name", PROBLEMS)
def test_workers_that_share_one_image_give_the_same_bits(name, n_threads, workers):
    problem = Problem(*PROBLEMS[name], n=3)
    scores = Scorer(problem.network()).scores(problem.images, 1)
    assert workers == []
    sharing = Scorer(problem.network())
    for x, expected in zip(problem.x, scores, strict=True):
        assert_array_equal(sharing.scores(Images(x[None], problem.shape), n_threads), expected[None])
    assert set(workers) == {n_threads}


@pytest.mark.parametrize("n", [1, 2, 3, 5, 31, 45])
@pytest.mark.parametrize("n_threads", [2, 3, 16])
def test_any_number_of_images_on_any_number_of_workers(n, n_threads, workers):
    problem = Problem(VARIED, VARIED_SHAPE, n=n)
    network = problem.network()
    expected = Scorer(network).scores(problem.images, 1)
    assert_array_equal(Scorer(network).scores(problem.images, n_threads), expected)
    assert set(workers) == ({n_threads} if n == 1 else {min(n, n_threads)})


def test_threads_are_not_woken_for_little(monkeypatch):
    from skconvnet.engine.cpu import machine

    problem = Problem("INPUT -> CONV(K=8) -> FC", (8, 8, 1), n=2000)
    monkeypatch.setattr(machine, "threads", lambda count: pytest.fail("there is too little to do"))
    Scorer(problem.network()).scores(Images(problem.x[:200], problem.shape), 2)
    woken = []
    monkeypatch.setattr(machine, "threads", lambda count: woken.append(count) or nullcontext())
    Scorer(problem.network()).scores(problem.images, 2)
    assert woken == [2]


def test_images_are_dealt_evenly():
    assert _evenly(256, 2, most=16) == 16
    assert _evenly(33, 2, most=16) == 9  # 9, 9, 9, 6 and not 16, 16, 1
    assert _evenly(5, 2, most=16) == 3
    assert _evenly(1, 4, most=16) == 1
    assert [_evenly(n, 3, most=4) for n in range(1, 14)] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3]


def test_a_scorer_does_not_hold_on_to_images():
    problem, pixels = Problem(VARIED, VARIED_SHAPE, n=4), np.zeros((4, *VARIED_SHAPE), np.float32)
    kept, seen = Scorer(problem.network()), weakref.ref(pixels)
    kept.scores(Images(pixels, problem.shape), 1)
    del pixels
    assert seen() is None
    assert kept.scores(problem.images, 1).shape == (4, problem.n_classes)
