"""Networks: scores, losses and gradients against the oracles, finite differences and PyTorch; the same bits."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from joblib import Parallel, delayed, parallel_config
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine import (
    SGD,
    Adam,
    Images,
    Network,
    Scorer,
    device,
    network,
    thread_count,
)
from skconvnet.engine.device import CpuDevice
from skconvnet.engine.program.target import GPU, UNLIMITED
from tests import oracles
from tests.engine import torch_networks
from tests.engine.networks import (
    BRANCHED,
    BRANCHED_SHAPE,
    FILTERED,
    FILTERED_SHAPE,
    LOSSES_OF_OUTPUTS,
    NEW_TRAPS,
    VARIED,
    VARIED_SHAPE,
    WINOGRAD,
    WINOGRAD_IN_BLOCKS,
    WINOGRAD_TRAPS,
    Problem,
    convs_of_tiles,
    cpu,
    differences,
    filtered,
    mismatches,
    named,
    problems,
)

# What drawing may miss: each is a trap of its own.
TRAPS = {
    "nothing but FC": ("INPUT -> FC", (4, 5, 3)),
    "several FC, RELU or not": ("INPUT -> FC(20) -> RELU -> FC(9) -> FC", (4, 5, 3)),
    "RELU first, twice, behind POOL": ("INPUT -> RELU -> CONV(K=5) -> RELU -> RELU -> POOL -> RELU -> FC", (6, 8, 2)),
    "POOL first": ("INPUT -> POOL(F=3, S=1) -> CONV(K=9) -> POOL -> FC", (6, 6, 3)),
    "RELU last": ("INPUT -> CONV(K=4) -> RELU -> FC -> RELU", (5, 5, 1)),
    "FC, then CONV": ("INPUT -> CONV(K=3) -> FC(6) -> RELU -> RELU -> CONV(K=5, F=3, P=1) -> RELU -> FC", (4, 3, 2)),
    "CONV in place of FC": ("INPUT -> CONV(K=11, F=3, P=0) -> RELU -> CONV(K=3, F=4, P=0)", (6, 6, 2)),
    "POOL of everything": ("INPUT -> CONV(K=10) -> POOL(F=all) -> FC", (5, 7, 3)),
    "POOL with gaps": ("INPUT -> CONV(K=4) -> POOL(F=2, S=3, round=floor) -> FC", (9, 10, 1)),
    "POOL that overlaps and overhangs": ("INPUT -> CONV(K=4) -> POOL(F=3, S=2, P=1, round=ceil) -> FC", (8, 7, 2)),
    "POOL behind POOL": ("INPUT -> CONV(K=4) -> POOL(F=3, S=1) -> POOL(F=2, S=1) -> FC", (6, 7, 2)),
    "F larger than the image": ("INPUT -> CONV(K=5, F=3) -> CONV(K=6, F=9, P=4) -> RELU -> FC", (3, 4, 2)),
    "P larger than F": ("INPUT -> CONV(K=5, F=2, P=5) -> RELU -> CONV(K=6, F=1, P=2) -> RELU -> FC", (3, 4, 2)),
    "S larger than F": (
        "INPUT -> CONV(K=5) -> RELU -> CONV(K=6, F=2, S=5, P=0, round=floor) -> RELU -> FC",
        (13, 12, 2),
    ),
    "S that no border divides": (
        "INPUT -> CONV(K=5) -> RELU -> CONV(K=6, F=5, S=3, P=4, round=ceil) -> RELU -> FC",
        (11, 9, 2),
    ),
    "a strip": ("INPUT -> CONV(K=5, F=3) -> RELU -> CONV(K=4, F=5, S=3, P=2, round=floor) -> RELU -> FC", (1, 17, 1)),
    "a column": ("INPUT -> CONV(K=5, F=3) -> RELU -> CONV(K=4, F=5, S=3, P=2, round=floor) -> RELU -> FC", (17, 1, 1)),
    "one pixel": ("INPUT -> CONV(K=5) -> RELU -> CONV(K=9) -> RELU -> FC", (1, 1, 1)),
    "panels of every width": ("INPUT -> CONV(K=9, F=1) -> CONV(K=127) -> RELU -> CONV(K=56, F=1) -> FC", (4, 3, 1)),
    "FC in several blocks": ("INPUT -> CONV(K=16, F=1) -> RELU -> FC(150) -> RELU -> FC", (5, 5, 3)),
}


@pytest.mark.parametrize("n", [1, 21])
@pytest.mark.parametrize("trap", TRAPS | NEW_TRAPS)
def test_scores_loss_and_gradients_of_traps(trap, n):
    problem = Problem(*(TRAPS | NEW_TRAPS)[trap], n=n)
    assert mismatches(problem.answers(), problem.expected()) == {}


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("trap", TRAPS | NEW_TRAPS)
def test_splitting_fully_connected_layers_across_workers_changes_no_bit(trap, n_threads):
    problem = Problem(*(TRAPS | NEW_TRAPS)[trap], n=5)
    found = problem.answers(cpu(split_weights=0, worker_flops=1), n_threads=n_threads)
    assert differences(found, problem.answers()) == []


PLANNED_FOR_A_GPU = CpuDevice(GPU)


@pytest.mark.parametrize("trap", TRAPS | NEW_TRAPS)
def test_answers_to_traps_by_plans_for_a_gpu(trap):
    """Executed by the CPU: every instruction once, for the whole batch and for all groups."""
    problem = Problem(*(TRAPS | NEW_TRAPS)[trap], n=21)
    assert mismatches(problem.answers(PLANNED_FOR_A_GPU), problem.expected()) == {}


@settings(max_examples=60)
@given(problems())
def test_answers_of_drawn_networks_by_plans_for_a_gpu(problem):
    assert mismatches(problem.answers(PLANNED_FOR_A_GPU), problem.expected()) == {}


@pytest.mark.parametrize("text", [VARIED, BRANCHED])
def test_steps_by_plans_for_a_gpu_follow_one_another(text):
    """Borders are still zero in the second step, and after steps on fewer images."""
    problem = Problem(text, (12, 10, 3), n=9)
    sgd = SGD(momentum=0.9, nesterov=True)  # Adam's first steps depend on the sign of gradients that may be almost zero
    expected, found = trained(problem, optimizer=sgd), trained(problem, device=PLANNED_FOR_A_GPU, optimizer=sgd)
    for name in ("losses", "scores"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


@settings(max_examples=100)
@given(problems())
def test_scores_loss_and_gradients_of_drawn_networks(problem):
    assert mismatches(problem.answers(), problem.expected()) == {}


@settings(max_examples=60)
@given(problems(torch=True))
def test_scores_loss_and_gradients_as_in_pytorch(in_torch, problem):
    assert mismatches(problem.answers(), problem.expected_of(in_torch)) == {}


@pytest.mark.parametrize("loss", LOSSES_OF_OUTPUTS, ids=str)
def test_networks_with_losses_of_outputs_as_in_pytorch(in_torch, loss):
    problem = Problem(BRANCHED, BRANCHED_SHAPE, n=7, loss=loss)
    assert mismatches(problem.answers(), problem.expected_of(in_torch)) == {}


FORCED = CpuDevice(WINOGRAD)
FILTERED_TRAPS = filtered(TRAPS | NEW_TRAPS) | WINOGRAD_TRAPS


@pytest.mark.parametrize("trap", WINOGRAD_TRAPS)
def test_answers_to_traps_by_minimal_filtering(trap):
    """Two shards: one of two micro-batches, the second of which has one image, and one of a single micro-batch."""
    problem = Problem(*WINOGRAD_TRAPS[trap], n=5)
    assert mismatches(problem.answers(FORCED), problem.expected()) == {}


@pytest.mark.parametrize("trap", filtered(TRAPS | NEW_TRAPS))
def test_answers_to_other_traps_by_minimal_filtering_and_by_direct_sums(trap):
    problem = Problem(*(TRAPS | NEW_TRAPS)[trap], n=6)
    assert mismatches(problem.answers(FORCED), problem.answers()) == {}


@pytest.mark.parametrize("trap", FILTERED_TRAPS)
def test_transforming_weights_block_by_block_changes_no_bit(trap):
    problem = Problem(*FILTERED_TRAPS[trap], n=6)
    assert differences(problem.answers(CpuDevice(WINOGRAD_IN_BLOCKS)), problem.answers(FORCED)) == []


@given(problems(convs=convs_of_tiles))
def test_answers_of_drawn_networks_by_minimal_filtering_and_by_direct_sums(problem):
    assert mismatches(problem.answers(FORCED), problem.answers()) == {}


@settings(max_examples=20)
@given(problems(torch=True, convs=convs_of_tiles))
def test_answers_by_minimal_filtering_as_in_pytorch(in_torch, problem):
    assert mismatches(problem.answers(FORCED), problem.expected_of(in_torch)) == {}


@pytest.mark.parametrize(
    ("conv", "shape"),
    [
        ("F=3, S=2, P=0, round=ceil", (8, 10, 2)),
        ("F=5, S=2, P=1, round=ceil", (8, 10, 2)),
        ("F=3, S=2, P=1x0, round=ceil", (8, 9, 2)),  # of an odd number of pixels, as many zeros on both sides
        ("F=2x5, S=3, P=0x1, round=ceil", (11, 8, 1)),
    ],
)
def test_padding_same_of_tensorflow_is_spelled_with_the_zeros_before_and_rounded_up(in_torch, conv, shape):
    problem = Problem(f"INPUT -> CONV(K=3, {conv}, bias=no) -> POOL(average, F=all)", shape)
    ((filters, _),), S = problem.parameters, problem.bound.layers[0].S
    (expected,) = in_torch(torch_networks.same_convolution, problem.x, filters, S)
    scores = Scorer(problem.network()).scores(problem.images, 1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "shape", "device"),
    [
        (
            "CONV(K=3, F=3, S=2, P=2) -> RELU -> POOL(F=2, S=1) -> CONV(K=2, F=2, P=1) -> RELU -> FC(4)",
            (5, 7, 2),
            None,
        ),
        ("CONV(K=3, P=0) -> RELU -> CONV(K=2, P=2) -> RELU", (5, 4, 2), FORCED),
        (
            "CONV(K=3, F=1x3, S=1x2, P=0x1) -> POOL(average, F=2x1, S=1, P=1x0, padding=counted)"
            " -> CONV(K=2, F=2, S=2x1, P=1x2, dilation=2x3, round=floor)",
            (5, 4, 2),
            None,
        ),
    ],
    ids=["direct", "minimal filtering", "not square"],
)
def test_gradients_are_finite_differences_of_the_loss(layers, shape, device):
    problem = Problem(f"INPUT -> {layers} -> FC", shape, n=3)
    layers = oracles.layers_of(problem.bound.layers)
    parameters = [own.astype(float) for pair in problem.parameters for own in pair]

    def differences_by(number):
        def loss(own):
            tried = [*parameters[:number], own, *parameters[number + 1 :]]
            pairs = list(zip(tried[::2], tried[1::2], strict=True))
            return oracles.mean_loss(
                layers, pairs, problem.x, problem.targets, problem.weights, problem.label_smoothing
            )

        return oracles.finite_differences(loss, parameters[number])

    gradients = [differences_by(number) for number in range(len(parameters))]
    found = problem.answers(device)
    expected = {"scores": found["scores"], "loss": found["loss"]} | named(
        zip(gradients[::2], gradients[1::2], strict=True)
    )
    assert mismatches(found, expected) == {}


# -- Settings and parameters -------------------------------------------------------------------------------------------


def test_parameters_come_back_as_they_were_loaded():
    problem = Problem(VARIED, VARIED_SHAPE)
    network = problem.network()
    for found, loaded in zip(network.learned, problem.learned, strict=True):
        for one, other in zip(found, loaded, strict=True):
            assert_array_equal(one, other)
            assert one.dtype == np.float32
    shapes = [coef.shape for coef in network.learned.coefs]
    assert shapes == [(3, 3, 3, 5), (5, 5, 5, 9), (2, 2, 9, 70), (630, 33), (33, 3)]


def test_parameters_come_back_as_new_arrays():
    net = Problem("INPUT -> CONV(K=8) -> FC", (4, 4, 8), n_classes=8).network()  # nothing is padded
    before = net.parameters.copy()
    for array in chain(*net.learned):
        array[:] = 9
    assert_array_equal(net.parameters, before)


def test_he_initialisation():
    network = Problem("INPUT -> CONV(K=64, F=5) -> RELU -> FC(300) -> RELU -> FC", (8, 8, 8)).network()
    network.initialise(np.random.default_rng(0))
    first = network.learned.coefs
    for weights in first:
        inputs = np.prod(weights.shape[:-1])
        assert weights.std() == pytest.approx(np.sqrt(2 / inputs), rel=0.06)
        assert abs(weights.mean()) < 4 * np.sqrt(2 / inputs / weights.size)
    assert not any(biases.any() for biases in network.learned.intercepts)
    network.initialise(np.random.default_rng(0))
    assert all((one == other).all() for one, other in zip(network.learned.coefs, first, strict=True))
    network.initialise(np.random.default_rng(1))
    assert all((one != other).any() for one, other in zip(network.learned.coefs, first, strict=True))


@pytest.mark.parametrize(
    ("gain", "variance"), [(1.0, 2.0), (0.125, 1.0), (1e-9, 1 / 3)], ids=["He", "spread over 3 layers", "smallest"]
)
def test_a_gain_is_spread_over_the_layers(gain, variance):
    network = Problem("INPUT -> CONV(K=4) -> RELU -> NORM -> FC(8) -> RELU -> FC", (4, 4, 1)).network()
    network.initialise(np.random.default_rng(0))
    by_he = network.learned
    network.initialise(np.random.default_rng(0), gain)
    for ours, theirs in zip(network.learned.coefs, by_he.coefs, strict=True):
        assert_allclose(ours, theirs * (np.sqrt(variance / 2) if theirs.ndim > 1 else 1), rtol=1e-6)


def test_no_images_have_no_scores():
    problem = Problem("INPUT -> FC", (2, 2, 1))
    assert Scorer(problem.network()).scores(Images(np.zeros((0, 4)), (2, 2, 1)), 1).shape == (0, 3)


def test_many_images_are_scored_batch_by_batch():
    problem = Problem("INPUT -> CONV(K=4) -> RELU -> POOL -> FC", (4, 4, 1), n=50)
    at_once = Scorer(problem.network()).scores(problem.images, 1)
    in_batches = Scorer(problem.network(), batch_pixels=19 * 16).scores(problem.images, 1)
    assert_array_equal(in_batches, at_once)


def test_pixels_are_standardised():
    problem = Problem("INPUT -> CONV(K=4) -> FC", (5, 4, 2))
    mean, scale = np.array([0.5, -2], np.float32), np.array([2, 0.25], np.float32)
    standardising = Network(problem.bound, mean, scale)
    standardising.learned = problem.learned
    by_hand = Images((problem.x - mean) * scale, problem.shape)
    assert_array_equal(Scorer(standardising).scores(problem.images, 1), Scorer(problem.network()).scores(by_hand, 1))
    assert (Scorer(standardising).scores(by_hand, 1) != Scorer(problem.network()).scores(by_hand, 1)).any()


@dataclass(frozen=True)
class IdleDevice(CpuDevice):
    """Notes the memory that executions would allocate, and runs nothing."""

    allocated: list = field(default_factory=list)

    def execution(self, plan, network, n_workers, moments=None):
        self.allocated.append(plan.memory(n_workers))
        return SimpleNamespace(refresh=lambda: None, score=lambda *_: None)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 32, 100])
def test_no_more_memory_is_allocated_than_was_announced(batch_size, n_threads):
    problem = Problem(VARIED, VARIED_SHAPE, n=100)
    device = IdleDevice()
    net = problem.network(device)
    started = problem.trainer(net, batch_size=batch_size, n_threads=n_threads)
    said = network.memory_needed(net.architecture, batch_size, n_threads)
    allocated, moments = 4 * sum(device.allocated), started.state.moments.nbytes
    assert allocated + moments <= said < 2 * allocated + 2 * moments
    device.allocated.clear()
    Scorer(net).scores(problem.images, n_threads)
    assert 4 * sum(device.allocated) < said


def test_rows_that_are_spread_change_nothing():
    """Weights of 32 and 64 columns, groups and strides, with gaps between rows as wide ones have them."""
    problem = Problem(
        "INPUT -> CONV(K=32) -> RELU -> CONV(K=64, F=3, S=2, groups=2) -> RELU -> CONV(K=32, F=1) -> FC", (7, 5, 2), n=9
    )
    close = problem.answers()
    assert mismatches(close, problem.expected()) == {}
    wide = cpu(wide_row=32)
    assert [slot.columns for slot in problem.network(wide).parameter_layout.slots] == [48, 48, 48, 8]
    assert differences(problem.answers(wide), close) == []


@settings(max_examples=60)
@given(problems())
def test_leaving_out_rows_of_the_border_changes_no_bit(problem):
    expected = problem.answers(cpu(spared_flops=UNLIMITED))
    assert differences(problem.answers(cpu(spared_flops=0, tile_rows=0)), expected) == []


@pytest.mark.parametrize("trap", TRAPS | NEW_TRAPS)
def test_answers_to_traps_without_rows_of_the_border(trap):
    problem = Problem(*(TRAPS | NEW_TRAPS)[trap], n=5)
    assert mismatches(problem.answers(cpu(spared_flops=0, tile_rows=0)), problem.expected()) == {}


# -- The same bits -----------------------------------------------------------------------------------------------------


def trained(problem, images=None, n_threads=1, steps=3, device=None, optimizer=None):
    """Scores and parameters after some steps on minibatches of different sizes."""
    net = problem.network(device)
    images = images or problem.images
    going = problem.trainer(
        net, batch_size=problem.n, n_threads=n_threads, optimizer=optimizer or Adam(), images=images, alpha=0.1
    )
    losses = [going.step(np.arange(step, problem.n)[::-1].copy(), 1e-3).loss for step in range(steps)]
    found = {"losses": np.array(losses), "scores": Scorer(net).scores(images, n_threads), "parameters": net.parameters}
    return found | {"moments": going.state.moments}


@pytest.mark.usefixtures("any_number_of_workers")
@pytest.mark.parametrize("heavy", [0, 1 << 40])
@pytest.mark.parametrize("n_threads", [2, 3, 7, 16, 40])
def test_any_number_of_workers_gives_the_same_bits(n_threads, heavy):
    problem, device = Problem(VARIED, VARIED_SHAPE, n=45), cpu(split_weights=heavy, worker_flops=1)
    assert differences(trained(problem, n_threads=n_threads, device=device), trained(problem, device=device)) == []


@pytest.mark.usefixtures("any_number_of_workers")
@pytest.mark.parametrize("n_threads", [2, 3, 40])
def test_any_number_of_workers_gives_the_same_bits_by_minimal_filtering(n_threads):
    """With 40 workers, most of them have no part in a segment that transforms the weights."""
    problem, device = Problem(FILTERED, FILTERED_SHAPE, n=45), CpuDevice(replace(WINOGRAD, worker_flops=1))
    assert differences(trained(problem, n_threads=n_threads, device=device), trained(problem, device=device)) == []


@pytest.mark.parametrize(("text", "shape"), [(VARIED, VARIED_SHAPE), (FILTERED, FILTERED_SHAPE)])
def test_two_threads_give_the_same_bits(text, shape):
    if thread_count() < 2:
        pytest.skip("this machine has one thread")
    problem, device = Problem(text, shape, n=45), cpu(worker_flops=1)
    assert differences(trained(problem, n_threads=2, device=device), trained(problem)) == []


@pytest.mark.parametrize("most", [1, 2, 7])
def test_micro_batches_of_any_size_give_the_same_bits(most):
    problem = Problem(VARIED, VARIED_SHAPE, n=45)
    of_16 = trained(problem, device=cpu(max_shards=2))  # so that shards have several micro-batches
    assert differences(of_16, trained(problem))  # shards are sums of their own: with fewer of them, rounding differs
    assert differences(trained(problem, device=cpu(max_shards=2, max_micro_batch=most)), of_16) == []


def as_memory_map(x, path):
    np.save(path / "x.npy", x)
    return np.load(path / "x.npy", mmap_mode="r")


def as_read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


FORMS = {
    "uint8 rows": lambda x, _: x.reshape(len(x), -1),
    "float32": lambda x, _: x.astype(np.float32),
    "float32 rows": lambda x, _: x.reshape(len(x), -1).astype(np.float32),
    "float64": lambda x, _: x.astype(np.float64),
    "float16": lambda x, _: x.astype(np.float16),
    "int64": lambda x, _: x.astype(np.int64),
    "big-endian float32": lambda x, _: x.astype(">f4"),
    "Fortran uint8": lambda x, _: np.asfortranarray(x),
    "Fortran float32": lambda x, _: np.asfortranarray(x.astype(np.float32)),
    "every other of twice as many": lambda x, _: np.repeat(x, 2, axis=0)[::2],
    "a memory map": as_memory_map,
    "a memory map of float64": lambda x, path: as_memory_map(x.astype(float), path),
    "read-only uint8": lambda x, _: as_read_only(x),
    "read-only float32": lambda x, _: as_read_only(x.astype(np.float32)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_pixels_changes_no_bit(form, tmp_path):
    problem = Problem(VARIED, VARIED_SHAPE, n=20)
    x = np.random.default_rng(0).integers(0, 256, problem.x.shape).astype(np.uint8)
    other = FORMS[form](x, tmp_path)
    before = np.array(other)
    found = trained(problem, images=Images(other, problem.shape))
    assert differences(found, trained(problem, images=Images(x, problem.shape))) == []
    assert_array_equal(other, before)


# -- Threads -----------------------------------------------------------------------------------------------------------


def test_threads_at_the_top():
    everything = thread_count()
    assert 1 <= everything == thread_count(-1)
    assert thread_count(1) == 1
    assert thread_count(10_000) == everything
    assert thread_count(-10_000) == 1


def test_no_more_threads_than_the_processors_that_a_container_has(monkeypatch):
    before = thread_count()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert thread_count() == thread_count(-1) == 1
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT")
    assert thread_count() == before


def test_no_more_threads_than_the_processors_that_it_may_use_now():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not tell a process where it may run")
    before, allowed = thread_count(), os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert thread_count() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert thread_count() == before


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing", "sequential"])
def test_workers_of_one_job_are_not_workers(backend):
    assert Parallel(n_jobs=1, backend=backend)([delayed(thread_count)()]) == [thread_count()]


def test_a_worker_thread_has_one_thread_unless_told_otherwise():
    tasks = [delayed(thread_count)(), delayed(thread_count)(1), delayed(thread_count)(2)]
    assert Parallel(n_jobs=2, backend="threading")(tasks) == [1, 1, min(2, thread_count())]
    with parallel_config(backend="threading", n_jobs=2):
        assert Parallel()(tasks) == [1, 1, min(2, thread_count())]
        assert thread_count() == thread_count(-1)  # nothing runs beside this


def test_where_joblib_counts_a_cluster_a_fit_takes_no_more_threads_than_asked_for(monkeypatch):
    machine = SimpleNamespace(are_lost=lambda: False, most_threads=lambda: 64)
    monkeypatch.setattr(device, "_threads", lambda: machine)
    monkeypatch.setattr(device.joblib, "effective_n_jobs", lambda n_jobs: 32)
    assert [thread_count(n_jobs) for n_jobs in (2, 8, -1)] == [2, 8, 32]


def test_worker_processes_do_not_take_more_threads_than_there_are():
    assert sum(Parallel(n_jobs=2, backend="loky")([delayed(thread_count)()] * 2)) <= max(2, thread_count())


def test_scoring_from_many_python_threads():
    problem = Problem(VARIED, VARIED_SHAPE, n=20)
    net = problem.network(cpu(worker_flops=1))
    expected = Scorer(net).scores(problem.images, 1)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(lambda n: Scorer(net).scores(problem.images, n), [1, thread_count()] * 20):
            assert_array_equal(scores, expected)
