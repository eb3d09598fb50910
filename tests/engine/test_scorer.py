"""Scores have the same bits however workers split the images. Their values are tested in test_network.py."""

import tracemalloc
import weakref
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skconvnet.engine import Images, Scorer
from skconvnet.engine.cpu.execution import _even_shard
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.scorer import Pace
from tests.engine.networks import (
    BRANCHED,
    BRANCHED_SHAPE,
    FILTERED,
    FILTERED_SHAPE,
    NEW_TRAPS,
    VARIED,
    VARIED_SHAPE,
    WINOGRAD_IN_BLOCKS,
    WINOGRAD_TRAPS,
    Problem,
    cpu,
)

# However little there is to do, workers are woken, and share a single image.
EAGER = cpu(worker_flops=1, split_image_flops=0, split_flops=0)
# A batch of 3 keeps its transformed weights, and most single images have them transformed block by block.
IN_BLOCKS = replace(WINOGRAD_IN_BLOCKS, winograd_tiles=9)
FORCED = CpuDevice(replace(IN_BLOCKS, worker_flops=1, split_image_flops=0, split_flops=0))
PROBLEMS = {"varied": (VARIED, VARIED_SHAPE), "branched": (BRANCHED, BRANCHED_SHAPE), **NEW_TRAPS}
DEVICES = dict.fromkeys(PROBLEMS, EAGER) | dict.fromkeys(WINOGRAD_TRAPS, FORCED) | {"filtered": EAGER}
PROBLEMS |= WINOGRAD_TRAPS | {"filtered": (FILTERED, FILTERED_SHAPE)}


@pytest.fixture
def workers(monkeypatch):
    """The numbers of workers of all runs. Workers are used however little work there is, in turn on one thread."""
    from skconvnet.engine.cpu import machine

    seen = []
    monkeypatch.setattr(machine, "threads", lambda count: seen.append(count) or nullcontext())
    return seen


@pytest.mark.parametrize("n_threads", [2, 5])
@pytest.mark.parametrize("name", PROBLEMS)
def test_workers_that_share_one_image_give_the_same_bits(name, n_threads, workers):
    problem = Problem(*PROBLEMS[name], n=3)
    scores = Scorer(problem.network(DEVICES[name])).scores(problem.images, 1)
    assert workers == []
    sharing = Scorer(problem.network(DEVICES[name]))
    for x, expected in zip(problem.x, scores, strict=True):
        assert_array_equal(sharing.scores(Images(x[None], problem.shape), n_threads), expected[None])
    assert set(workers) == {n_threads}


@pytest.mark.parametrize("n", [1, 2, 3, 5, 31, 45])
@pytest.mark.parametrize("n_threads", [2, 3, 16])
@pytest.mark.parametrize("name", ["varied", "filtered"])
def test_any_number_of_images_on_any_number_of_workers(name, n, n_threads, workers):
    problem = Problem(*PROBLEMS[name], n=n)
    network = problem.network(EAGER)
    expected = Scorer(network).scores(problem.images, 1)
    assert_array_equal(Scorer(network).scores(problem.images, n_threads), expected)
    assert set(workers) == ({n_threads} if n == 1 else {min(n, n_threads)})


@pytest.mark.parametrize("name", ["varied", "filtered", *WINOGRAD_TRAPS])
def test_an_image_has_the_same_scores_alone_and_in_a_batch(name):
    problem = Problem(*PROBLEMS[name], n=21)
    scorer = Scorer(problem.network(None if name == "varied" else CpuDevice(IN_BLOCKS)))
    alone = [scorer.scores(Images(x[None], problem.shape), 1)[0] for x in problem.x]
    assert_array_equal(alone, scorer.scores(problem.images, 1))


def test_no_threads_are_used_for_little_work(monkeypatch):
    from skconvnet.engine.cpu import machine

    problem = Problem("INPUT -> CONV(K=8) -> FC", (8, 8, 1), n=2000)
    monkeypatch.setattr(machine, "threads", lambda count: pytest.fail("too little work"))
    Scorer(problem.network()).scores(Images(problem.x[:200], problem.shape), 2)
    woken = []
    monkeypatch.setattr(machine, "threads", lambda count: woken.append(count) or nullcontext())
    Scorer(problem.network()).scores(problem.images, 2)
    assert woken == [2]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 36), (1, 6, 6), (1, 6, 6, 1)])
def test_one_image_gives_the_same_bits(dtype, shape):
    problem = Problem("INPUT -> CONV(K=4) -> RELU -> FC", (6, 6, 1))
    network = problem.network()
    network.mean[:], network.scale[:] = 4, 1 / 6
    kept, pixels = Scorer(network), np.random.default_rng(0).integers(0, 9, (2, *shape)).astype(dtype)
    for image in (pixels[0], pixels[1], pixels[0, :, ::-1]):
        found = kept.scores_of_one(image, count_threads=lambda: pytest.fail("too little work"))
        assert found.dtype == np.float64
        assert_array_equal(found, kept.scores(Images(image, problem.shape), 1))
    assert [len(idle) for idle in kept._idle_for_one.values()] == [1]


@pytest.mark.parametrize("name", PROBLEMS)
def test_workers_may_share_one_image_after_another(name, workers, monkeypatch):
    problem = Problem(*PROBLEMS[name], n=3)
    sharing = Scorer(problem.network(DEVICES[name]))
    expected = sharing.scores(problem.images, 1)
    for splits in (True, False):
        workers.clear()
        monkeypatch.setattr(Pace, "splits", lambda pace, splits=splits: splits)
        for x, scores in zip(problem.x.astype(np.float32), expected, strict=True):
            assert_array_equal(sharing.scores_of_one(x[None], lambda: 2), scores[None])
        assert set(workers) == ({2} if splits else set())


def paced(pace, seconds, n):
    """Whether each of `n` images was split, if that takes as long as `seconds` say."""
    found = []
    for _ in range(n):
        found.append(pace.splits())
        pace.note(found[-1], seconds[found[-1]])
    return found


def test_the_faster_way_is_taken_and_the_other_one_tried():
    pace = Pace()
    alone = [number for number, is_split in enumerate(paced(pace, {True: 1.0, False: 2.0}, 96)) if not is_split]
    assert alone == [1, 31, 63, 95]
    split = [number for number, is_split in enumerate(paced(pace, {True: 9.0, False: 2.0}, 96)) if is_split]
    assert split == [0, 1, 2, 31, 63, 95]  # until three of the last five times are the new ones
    split = [number for number, is_split in enumerate(paced(pace, {True: 1.0, False: 2.0}, 128)) if is_split]
    assert split == [31, 63, *range(95, 127)]


def test_a_single_slow_image_changes_nothing():
    pace = Pace()
    paced(pace, {True: 1.0, False: 2.0}, 40)
    pace.note(True, 100.0)
    assert all(paced(pace, {True: 1.0, False: 2.0}, 20))


def test_other_images_are_left_to_a_closer_look():
    kept = Scorer(Problem("INPUT -> CONV(K=4) -> FC", (6, 6, 3)).network())
    fits = np.ones((1, 108))
    assert kept.scores_of_one(fits, None) is not None
    for value in (np.nan, np.inf, -np.inf, 1e300):
        strange = fits.copy()
        strange[0, 7] = value
        assert kept.scores_of_one(strange, None) is None
    for other in (
        fits[0],
        fits[:, 1:],
        fits[:0],
        np.ones((2, 108)),
        np.ones((1, 6, 18)),
        np.ones((1, 3, 6, 6)),
        fits[None],
    ):
        assert kept.scores_of_one(other, None) is None
    for dtype in (">f4", "float16", "int64", "complex64", "U3", object):
        assert kept.scores_of_one(fits.astype(dtype), None) is None
    with np.errstate(all="raise"):
        assert kept.scores_of_one(np.full((1, 108), 1e30, np.float32), None) is None


def test_a_pixel_too_far_from_the_mean_is_left_to_a_closer_look():
    problem = Problem("INPUT -> CONV(K=4) -> FC", (6, 6, 1))
    network = problem.network()
    kept, image = Scorer(network), np.zeros((1, 36))
    image[0, 5] = 1.01 * network.pixel_limit
    assert kept.scores_of_one(image, None) is None
    with pytest.raises(ValueError, match="deviations from the mean"):
        kept.scores(Images(image, problem.shape, np.inf), 1)


def test_an_image_of_another_scale_is_left_to_a_closer_look():
    network = Problem("INPUT -> CONV(K=4) -> FC", (6, 6, 1)).network()
    ramp = np.linspace(0, 1, 36)[None]
    for mean, deviation, usual, others in ((0.5, 0.3, 1, (0.01, 100)), (120, 60, 255, (1, 25000))):
        network.mean[:], network.scale[:] = mean, 1 / deviation
        kept = Scorer(network)
        assert kept.scores_of_one(ramp * usual, None) is not None
        for other in others:
            assert kept.scores_of_one(ramp * other, None) is None
            assert kept.scores_of_one((ramp * other).astype(np.float32), None) is None
        is_for_bytes = usual == 255
        assert (kept.scores_of_one(np.uint8(ramp * 200), None) is not None) == is_for_bytes


def test_an_image_that_needs_much_memory_is_scored_the_general_way(monkeypatch):
    kept = Scorer(Problem("INPUT -> CONV(K=4) -> FC", (6, 6, 1)).network())
    monkeypatch.setattr(type(kept.device), "max_memory_for_one", 10)
    assert kept.scores_of_one(np.zeros((1, 36)), None) is None


def test_images_are_split_into_even_shards():
    assert _even_shard(256, 2, largest=16) == 16
    assert _even_shard(33, 2, largest=16) == 9  # 9, 9, 9, 6 and not 16, 16, 1
    assert _even_shard(5, 2, largest=16) == 3
    assert _even_shard(1, 4, largest=16) == 1
    assert [_even_shard(n, 3, largest=4) for n in range(1, 14)] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3]


def test_a_scorer_does_not_hold_on_to_images():
    problem, pixels = Problem(VARIED, VARIED_SHAPE, n=4), np.zeros((4, *VARIED_SHAPE), np.float32)
    kept, seen = Scorer(problem.network()), weakref.ref(pixels)
    kept.scores(Images(pixels, problem.shape), 1)
    del pixels
    assert seen() is None
    assert kept.scores(problem.images, 1).shape == (4, problem.n_classes)


def test_the_memory_is_known_before_it_is_allocated():
    problem = Problem("INPUT -> CONV(K=16) -> RELU -> FC", (16, 16, 1))
    kept, told = Scorer(problem.network()), []
    images = Images(np.zeros((3000, 16, 16, 1), np.uint8), problem.shape)  # the machine reads uint8 in place
    kept.scores(Images(images.pixels[:1], problem.shape), 1)
    tracemalloc.start()
    kept.scores(images, 1, told.append)
    _, allocated = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told[0] <= allocated < 1.5 * told[0]


def test_images_that_need_too_much_memory_are_not_scored():
    problem = Problem("INPUT -> FC", (2, 2, 1), n=4)

    def refuse(n_bytes):
        raise ValueError(f"{n_bytes} bytes are too many")

    with pytest.raises(ValueError, match=r"\d+ bytes are too many"):
        Scorer(problem.network()).scores(problem.images, 1, refuse)


def test_larger_images():
    problem = Problem("INPUT -> CONV(K=4, bias=no) -> NORM -> RELU -> FC", (4, 4, 1), n=3)
    kept, larger = Scorer(problem.network()), np.random.default_rng(0).normal(size=(3, 5, 7, 1))
    assert_array_equal(kept.on((4, 4, 1)).scores(problem.images, 1), kept.scores(problem.images, 1))
    maps = kept.on((5, 7, 1))
    assert str(maps.output) == "[4x2x3]"
    assert maps.scores(Images(larger, (5, 7, 1)), 1).shape == (3, 2 * 4 * 3)


def test_larger_images_are_scored_on_the_same_device(workers):
    problem = Problem("INPUT -> CONV(K=4) -> FC", (4, 4, 1))
    Scorer(problem.network(EAGER)).on((5, 7, 1)).scores(Images(np.zeros((3, 5, 7, 1)), (5, 7, 1)), 2)
    assert workers == [2]
