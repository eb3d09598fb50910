"""Whole networks on the CUDA machine, whose kernels the CPU executes, against the oracles and the CPU machine."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from sklearn.datasets import load_digits

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.architecture import Architecture
from skconvnet.engine import (
    SGD,
    Huber,
    Images,
    Network,
    PixelSource,
    Scorer,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    Trainer,
)
from skconvnet.engine.cuda import arrays, execution, lowering, machine, pixels
from skconvnet.engine.cuda.arrays import DeviceArrays
from skconvnet.engine.device import CpuDevice, CudaDevice
from skconvnet.engine.program.instructions import INSTRUCTIONS, Op, Space, Warp, encode
from skconvnet.engine.program.target import GPU, LINE
from skconvnet.engine.weights.layout import learning_layers
from tests.engine.cuda.executor import PtxDriver
from tests.engine.cuda.run import SOLVERS, differences, main
from tests.engine.networks import (
    BRANCHED,
    BRANCHED_SHAPE,
    NEW_TRAPS,
    VARIED,
    VARIED_SHAPE,
    Problem,
    mismatches,
)
from tests.engine.test_frozen import BRANCHES, named, step, up_to

PROBLEMS = {"varied": (VARIED, VARIED_SHAPE), "branched": (BRANCHED, BRANCHED_SHAPE), **NEW_TRAPS}

# Every kind of layer.
DIGITS = (
    "INPUT -> CONV(K=8) -> NORM -> RELU -> (CONV(K=8, groups=2) -> NORM(layer) -> TANH + SKIP) -> RELU"
    " -> POOL(F=3, S=2, round=ceil) -> (CONV(K=8, F=1) -> SIGMOID | POOL(average, F=3, S=1, P=1)) -> NORM(lrn)"
    " -> DROPOUT(0.2) -> FC(24) -> RELU -> FC"
)


@pytest.fixture
def gpu(cuda):
    """A device for each driver of the fixture `cuda`."""
    return CudaDevice(cuda)


@pytest.mark.parametrize("name", PROBLEMS)
def test_scores_loss_and_gradients_are_those_of_the_oracles(gpu, name):
    problem = Problem(*PROBLEMS[name])
    assert mismatches(problem.answers(gpu), problem.expected()) == {}


@pytest.mark.parametrize("loss", [SigmoidCrossEntropy(0.2), Huber(0.5)], ids=str)
def test_losses_of_outputs_are_those_of_the_oracles(gpu, loss):
    problem = Problem("INPUT -> CONV(K=8) -> RELU -> POOL -> FC", (4, 4, 1), n=9, loss=loss)
    assert mismatches(problem.answers(gpu), problem.expected()) == {}


def test_gradients_of_pools_need_no_zeros(gpu):
    """The CPU adds gradients of windows that overlap to zeros; kernels of a GPU write every input."""
    problem = Problem("INPUT -> CONV(K=8) -> POOL(F=3, S=2, P=1) -> POOL(average, F=2, S=1) -> FC", (7, 7, 1), n=3)
    with patch.object(gpu.driver, "record", side_effect=gpu.driver.record) as record:
        assert mismatches(problem.answers(gpu), problem.expected()) == {}
    kernels = [launch.kernel.name for call in record.call_args_list for launch in call.args[0]]
    assert "max_pool_backward" in kernels
    assert "average_pool_backward" in kernels
    assert "clear" not in kernels


def test_chunks_along_y_and_z_give_the_same_bits(gpu, monkeypatch):
    """As for images whose chunks are too many for y. The fourth block of a volume has nothing to do."""
    text = (
        "INPUT -> CONV(K=8) -> NORM -> RELU -> (CONV(K=8) -> TANH + SKIP) -> NORM(lrn) -> POOL(F=3, S=1, P=1)"
        " -> POOL(average, F=3, S=1, P=1) -> DROPOUT(0.2) -> FC"
    )
    problem = Problem(text, (17, 17, 1), n=2)  # 17 * 17 * 8 numbers are three blocks of 256 quads
    expected = problem.answers(gpu)
    monkeypatch.setattr(lowering, "_ROW", 2)
    with patch.object(gpu.driver, "record", side_effect=gpu.driver.record) as record:
        found = problem.answers(gpu)
    launches = [launch for call in record.call_args_list for launch in call.args[0]]
    folded = {launch.kernel.name for launch in launches if launch.grid[1:] == (2, 2)}
    one_way = {"normalise", "activate", "lrn", "max_pool", "average_pool"}
    assert folded >= {"add", "dropout", *one_way, *(f"{name}_backward" for name in one_way)}
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


@pytest.mark.parametrize("op", [Op.MAX_POOL_BACKWARD, Op.AVERAGE_POOL_BACKWARD])
def test_zeros_for_another_place_than_the_gradient_of_a_pool_are_written(op):
    place, others = (Space.LOCAL, 64, 96), [(Space.BATCH, 64, 96), (Space.LOCAL, 72, 96), (Space.LOCAL, 64, 128)]
    operands = dict.fromkeys(INSTRUCTIONS[op].operands, (Space.LOCAL, 0, 96)) | {"dx": place}
    backward = encode(op, operands, dict.fromkeys(INSTRUCTIONS[op].numbers, 1))
    for zeros, are_needed in [(place, False), *((other, True) for other in others)]:
        rows = [encode(Op.CLEAR, {"y": zeros}, {"size": 96}), backward]
        assert [row[0] for row in machine._needed(rows)] == [Op.CLEAR, op][not are_needed :]


@pytest.mark.parametrize("n_shards", [2, 3])
@pytest.mark.parametrize("name", ["varied", "branched", "NORM behind NORM", "DROPOUT in branches"])
def test_a_minibatch_in_shards_gives_the_same(gpu, name, n_shards):
    """As where memory is short: the last shard is smaller, and its gradients are added to those of the others."""
    device = replace(gpu, target=replace(GPU, runs_in_step=False, max_shards=n_shards))
    problem = Problem(*PROBLEMS[name])
    assert mismatches(problem.answers(device), problem.expected()) == {}


def trained(
    device,
    *,
    n_steps=5,
    n=40,
    batch_size=12,
    solver=None,
    warps=None,
    image_dtype=np.uint8,
    form=np.asarray,
    text=DIGITS,
):
    """Steps on digits: losses, parameters, moments and scores, by name."""
    pixels, targets = load_digits(return_X_y=True)
    images = Images(form(pixels[:n].astype(image_dtype)), (8, 8, 1))
    network = Network(Architecture.parse(text).bind((8, 8, 1), 10), *images.statistics(), device)
    network.initialise(np.random.default_rng(0))
    trainer = Trainer(
        network,
        images,
        targets[:n],
        np.linspace(0.5, 1.5, n),
        optimizer=solver or SOLVERS["adam"][0],
        alpha=0.01,
        loss=SoftmaxCrossEntropy(0.1),
        batch_size=batch_size,
        n_threads=1,
        augmentation=warps,
    )
    order = np.arange(n_steps * batch_size) % n
    batches = list(order[:-3].reshape(-1)[: (n_steps - 1) * batch_size].reshape(n_steps - 1, batch_size))
    batches.append(order[(n_steps - 1) * batch_size : -3])  # a smaller one at the end
    losses = [outcome.loss for outcome in trainer.steps(batches, np.linspace(1e-2, 2e-2, n_steps))]
    assert trainer.state.n_steps == trainer.n_drawn == n_steps
    return {
        "losses": np.array(losses),
        "parameters": network.parameters.copy(),
        "moments": trainer.state.moments.copy(),
        "scores": Scorer(network).scores(images, 1),
    }


def largest(found, expected):
    return max(differences(expected, found).values())


@pytest.fixture(scope="module")
def on_cpu():
    return trained(CpuDevice())


def test_steps_of_a_minibatch_agree_with_the_cpu(gpu, on_cpu):
    assert largest(trained(gpu), on_cpu) < 1e-4


def test_frozen_layers_keep_their_bits_and_the_others_learn_as_on_the_cpu(gpu):
    frozen = up_to(BRANCHES, "NORM 2")
    before, after, *found = step(BRANCHES, frozen, device=gpu)
    *_, loss, gradients = step(BRANCHES, frozen)
    n_frozen = sum(layer.name in frozen for layer in learning_layers(BRANCHES.bound))
    assert all(np.array_equal(*pair) for pair in zip(before.coefs[:n_frozen], after.coefs[:n_frozen], strict=True))
    assert mismatches(named(np.float64(found[0]), *found[1][:2]), named(np.float64(loss), *gradients[:2])) == {}


def test_the_same_seed_gives_the_same_bits(gpu):
    first, second = trained(gpu), trained(gpu)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_tables_of_few_steps_give_the_same_bits(gpu, monkeypatch):
    expected = trained(gpu)
    monkeypatch.setattr(execution, "_MOST_STEPS", 2)
    found = trained(gpu)
    assert all(found[name].tobytes() == expected[name].tobytes() for name in found)


class Source(PixelSource):
    """The pixels of an array, which are read a minibatch at a time."""

    def __init__(self, pixels):
        super().__init__(pixels.shape, pixels.dtype)
        self._pixels = pixels

    def read(self, indices):
        return self._pixels[indices]


@pytest.mark.parametrize(
    ("image_dtype", "form"),
    [(np.uint8, np.asarray), (np.float32, np.asarray), (np.float64, np.asarray), (np.uint8, Source)],
)
def test_images_that_stream_give_the_same_bits(gpu, monkeypatch, image_dtype, form):
    expected = trained(gpu, image_dtype=image_dtype)
    image_bytes = 64 * (1 if image_dtype == np.uint8 else 4)
    monkeypatch.setattr(pixels, "_SHARE", 2 * 13 * image_bytes / gpu.driver.memory()[0])  # two buffers of 13 images
    monkeypatch.setattr(execution, "_MOST_STEPS", 3)
    found = trained(gpu, image_dtype=image_dtype, form=form)
    assert all(found[name].tobytes() == expected[name].tobytes() for name in found)


def test_a_source_of_pixels_gives_the_bits_of_an_array(gpu):
    expected, found = trained(gpu, n_steps=1), trained(gpu, n_steps=1, form=Source)
    assert all(found[name].tobytes() == expected[name].tobytes() for name in found)


def test_fewer_images_may_need_more_scratch(gpu):
    """Their tiles are too few for a GPU, so that sums are split into parts; those of many images are not."""
    bound = Architecture.parse("INPUT -> CONV(K=64, bias=no) -> FC").bind((8, 8, 64), 3)
    images = Images(np.random.default_rng(0).integers(0, 256, (550, 4096)).astype(np.uint8), (8, 8, 64))
    found = []
    for where in (gpu, CpuDevice()):
        network = Network(bound, *images.statistics(), where)
        network.initialise(np.random.default_rng(0))
        found.append({"scores": Scorer(network).scores(images, 2)})
    assert largest(*found) < 1e-5


def test_gradient_descent_agrees_with_the_cpu(gpu):
    options = {"solver": SGD(momentum=0.9, nesterov=True), "n_steps": 3}
    assert largest(trained(gpu, **options), trained(CpuDevice(), **options)) < 1e-4


def test_augmented_images_are_those_of_the_cpu(gpu):
    class Warps:
        functions = ()

        def draw(self, seed, step, n, weights):
            rng = np.random.default_rng(step)
            warps = np.zeros((n, len(Warp)), np.int64)
            warps[:, Warp.FLIP], warps[:, Warp.DOWN : Warp.COSINE] = rng.integers(0, 2, n), rng.integers(-2, 9, (n, 6))
            warps[:, Warp.COSINE : Warp.PARTNER] = rng.integers(0, 30000, (n, 6))
            return warps

    options = {"text": "INPUT -> FC", "n": 24, "n_steps": 3}
    found = trained(gpu, warps=Warps(), **options)
    expected = trained(CpuDevice(), warps=Warps(), **options)
    assert largest(found, expected) < 1e-4
    assert largest(expected, trained(CpuDevice(), **options)) > 1e-2


@pytest.mark.parametrize("most_steps", [execution._MOST_STEPS, 2])
def test_images_that_a_function_changes_are_those_of_the_cpu(gpu, monkeypatch, most_steps):
    """All at once, or through two buffers."""

    class Reversed:
        functions = (None,)

        def draw(self, seed, step, n, weights):
            return np.zeros((0, len(Warp)), np.int64)

        def change(self, seed, step, pixels):
            return (pixels[::-1] * (1 + step / 2)).astype(np.float32)

    options = {"text": "INPUT -> FC", "n": 24, "n_steps": 3}
    expected = trained(CpuDevice(), warps=Reversed(), **options)
    if most_steps == 2:
        monkeypatch.setattr(pixels, "_SHARE", 2 * 13 * 4 * 64 / gpu.driver.memory()[0])
        monkeypatch.setattr(execution, "_MOST_STEPS", most_steps)
    assert largest(trained(gpu, warps=Reversed(), **options), expected) < 1e-4
    assert largest(expected, trained(CpuDevice(), **options)) > 1e-2


def test_an_epoch_of_digits_agrees_with_the_cpu(gpu):
    found, expected = (trained(device, n=1797, batch_size=64, n_steps=28) for device in (gpu, CpuDevice()))
    assert np.abs(found["losses"] - expected["losses"]).max() < 1e-3
    assert expected["losses"][-1] < 0.75 * expected["losses"][0]
    same = found["scores"].argmax(axis=1) == expected["scores"].argmax(axis=1)
    assert same.mean() > 0.99


def test_memory_is_freed_with_the_execution():
    driver = PtxDriver()
    before = driver.memory()
    trained(CudaDevice(driver), n_steps=2)
    assert driver.memory() == before


def test_a_process_waits_for_memory_that_another_one_frees(monkeypatch):
    class Crowded(PtxDriver):
        others = 3

        def allocate(self, n_bytes):
            if n_bytes > 10_000 and self.others:
                self.others -= 1
                raise MemoryError
            return self._memory.allocate(n_bytes)

        def __init__(self):
            super().__init__()
            del self.allocate

    monkeypatch.setattr(arrays, "_PAUSE", 0)
    driver = Crowded()
    before = driver.memory()
    found = trained(CudaDevice(driver), n_steps=1)
    assert driver.others == 0
    assert driver.memory() == before
    assert found["scores"].tobytes() == trained(CudaDevice(PtxDriver()), n_steps=1)["scores"].tobytes()


def test_images_stream_where_another_process_takes_the_memory_for_all():
    """It is taken after it was asked for, so that the allocation fails."""
    sizes = []

    class Crowded(PtxDriver):
        def __init__(self):
            super().__init__()
            allocate = self.allocate
            self.allocate = lambda n_bytes: self.refuse(n_bytes) or allocate(n_bytes)

        def refuse(self, n_bytes):
            sizes.append(n_bytes)
            if n_bytes == 1797 * 64:
                raise MemoryError("the device is out of memory")

    options = {"n": 1797, "batch_size": 64, "n_steps": 3}
    found = trained(CudaDevice(Crowded()), **options)
    assert 1797 * 64 in sizes
    assert found["parameters"].tobytes() == trained(CudaDevice(PtxDriver()), **options)["parameters"].tobytes()


def test_images_of_another_dtype_at_the_same_place_are_read_as_what_they_are(gpu):
    problem = Problem(VARIED, VARIED_SHAPE, n=20)
    x, found = np.round(10 * problem.x + 100).clip(0, 255), []
    for one in (gpu, CpuDevice()):
        images = Images(x.astype(np.uint8), problem.shape)
        trainer = problem.trainer(problem.network(one), images=images, batch_size=5)
        losses = [trainer.step(np.arange(5), 0.0).loss]
        trainer.set_data(Images(x[:5].astype(np.float32), problem.shape), problem.targets[:5], problem.weights[:5])
        found.append([*losses, trainer.step(np.arange(5), 0.0).loss])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_next_images_take_the_place_of_the_last(gpu):
    """So that graphs, which have their address, are recorded once."""
    problem = Problem(VARIED, VARIED_SHAPE, n=6)
    scorer = Scorer(problem.network(gpu))
    first = scorer.scores(problem.images, 1)
    with patch.object(gpu.driver, "record", side_effect=AssertionError):
        assert scorer.scores(Images(problem.x.copy(), problem.shape), 1).tobytes() == first.tobytes()


def test_too_little_memory_is_an_error_that_frees_what_it_took(monkeypatch):
    monkeypatch.setattr(arrays, "_PATIENCE", -1)
    driver = PtxDriver(n_bytes=150_000)
    before = driver.memory()
    with pytest.raises(MemoryError):
        trained(CudaDevice(driver), n_steps=2)
    assert driver.memory() == before


@pytest.mark.parametrize(("name", "n_before"), [("targets", 0), ("scratch", 1)])
def test_after_too_little_memory_an_execution_goes_on(monkeypatch, name, n_before):
    """There is no memory for the targets of the first step, or for the scratch of fewer samples, which need more."""
    problem = Problem("INPUT -> FC(8) -> FC", (2, 2, 2))
    everything, allocate = np.arange(problem.n), DeviceArrays.allocate
    expected = problem.trainer(problem.network(CudaDevice(PtxDriver()))).step(everything, 0.0).loss
    trainer = problem.trainer(problem.network(CudaDevice(PtxDriver())))
    for _ in range(n_before):
        trainer.step(everything, 0.0)

    def fail(arrays, asked, n_bytes):
        if asked != name:
            return allocate(arrays, asked, n_bytes)
        arrays.release(name)
        raise MemoryError

    def size(plan, spaces, machine):
        return LINE if machine["samples"] == problem.n else 2 * LINE

    with monkeypatch.context() as patched:
        patched.setattr(execution, "scratch_size", size)
        patched.setattr(DeviceArrays, "allocate", fail)
        with pytest.raises(MemoryError):
            trainer.step(everything[:3] if n_before else everything, 0.0)
    assert trainer.step(everything, 0.0).loss == expected


def test_the_command_prints_the_differences(capsys):
    options = ["--input", "8x8", "--steps", "2", "--batch", "5", "--solver", "sgd"]
    main(["INPUT -> CONV(K=8) -> RELU -> POOL -> FC", *options])
    *_, last = capsys.readouterr().out.splitlines()
    name, number = last.rsplit(" ", 1)
    assert name == "largest relative difference"
    assert 0 < float(number) < 1e-5


@pytest.mark.parametrize("wrong", ["CONV", "INPUT -> CONV(F=20) -> FC"])
def test_the_command_refuses_what_is_no_network(capsys, wrong):
    with pytest.raises(SystemExit):
        main([wrong, "--input", "8x8"])
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--input", "8", "'8' is not HxW or HxWxC, such as 8x8 or 32x32x3"),
        ("--input", "8xb", "'8xb' is not HxW"),
        ("--input", "8x0", "'8x0' is not HxW"),
        ("--input", "8x8x1x1", "'8x8x1x1' is not HxW"),
        ("--steps", "0", "a whole number from 1 on is needed, not '0'"),
        ("--batch", "-3", "a whole number from 1 on is needed, not '-3'"),
        ("--batch", "two", "a whole number from 1 on is needed, not 'two'"),
        ("--classes", "1", "a whole number from 2 on is needed, not '1'"),
    ],
)
def test_the_command_says_what_it_needs(capsys, option, value, says):
    with pytest.raises(SystemExit):
        main(["INPUT -> FC", "--input", "8x8", f"{option}={value}"])
    assert f"error: argument {option}: {says}" in capsys.readouterr().err


# -- Gradients by finite differences -----------------------------------------------------------------------------------

# One network for each kind of layer: smooth enough that a difference quotient in float32 has three digits.
SMOOTH = {
    "CONV": "INPUT -> CONV(K=6, F=3) -> TANH -> FC",
    "CONV with stride": "INPUT -> CONV(K=6, F=4, S=2, P=1) -> TANH -> FC",
    "CONV of groups": "INPUT -> CONV(K=8) -> TANH -> CONV(K=8, groups=4) -> FC",
    "FC": "INPUT -> FC(9) -> TANH -> FC",
    "RELU": "INPUT -> CONV(K=6) -> RELU -> FC",
    "SIGMOID": "INPUT -> CONV(K=6) -> SIGMOID -> FC",
    "POOL(max)": "INPUT -> CONV(K=6) -> POOL(F=3, S=1) -> FC",
    "POOL(average)": "INPUT -> CONV(K=6) -> POOL(average, F=3, S=2, P=1, round=floor) -> FC",
    "NORM(batch)": "INPUT -> CONV(K=6, bias=no) -> NORM -> TANH -> FC",
    "NORM(layer)": "INPUT -> CONV(K=6) -> NORM(layer) -> TANH -> FC",
    "NORM(lrn)": "INPUT -> CONV(K=6) -> NORM(lrn, alpha=0.5) -> FC",
    "DROPOUT": "INPUT -> CONV(K=6) -> DROPOUT(0.3) -> FC",
    "sum": "INPUT -> (CONV(K=6) + CONV(K=6, F=1)) -> TANH -> FC",
    "stack": "INPUT -> (CONV(K=3) | CONV(K=5, F=1)) -> TANH -> FC",
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_the_slope_of_the_loss(gpu, name):
    problem, step = Problem(SMOOTH[name], (6, 6, 2), n=7, seed=3), 1e-2
    network = problem.network(gpu)
    trainer = problem.trainer(network)
    everything, before = np.arange(problem.n), network.parameters.copy()

    def loss_at(parameters):
        trainer.load(parameters, None, n_drawn=0)
        return trainer.step(everything, 0.0).loss

    trainer.step(everything, 1.0)  # its velocity is minus the gradient; see `Problem.trainer`
    gradient = -trainer.state.moments[0].astype(float)
    rng = np.random.default_rng(0)
    for _ in range(3):
        # Along the gradient and beside it; numbers that are no weights, such as padding, have no gradient.
        along = (gradient + rng.standard_normal(len(gradient)) * np.abs(gradient)) * (gradient != 0)
        along /= np.linalg.norm(along)
        ahead, behind = (loss_at((before + sign * step * along).astype(np.float32)) for sign in (1, -1))
        assert (ahead - behind) / (2 * step) == pytest.approx(gradient @ along, rel=1e-2, abs=1e-3)


# docs/gpu.md has a table of these differences.
_LARGEST_DIFFERENCES = {"scores": 2e-6, "loss": 1e-6, "gradients": 2e-6, "statistics": 2e-6}


def differences_from_the_cpu(gpu, text):
    """Differences of a step's answers, relative to the largest number of their kind."""
    problem = Problem(text, (8, 8, 2), n=16, n_classes=10)
    expected, kinds = problem.answers(CpuDevice()), {}
    for name, found in problem.answers(gpu).items():
        kind = "gradients" if name.startswith("d_") else name if name in ("scores", "loss") else "statistics"
        kinds.setdefault(kind, []).append((np.ravel(found), np.ravel(expected[name])))
    both = {kind: [np.concatenate(arrays) for arrays in zip(*pairs, strict=True)] for kind, pairs in kinds.items()}
    return {kind: np.abs(ours - theirs).max() / np.abs(theirs).max() for kind, (ours, theirs) in both.items()}


@pytest.mark.parametrize("name", SMOOTH)
def test_each_kind_of_layer_is_as_close_to_the_cpu_as_docs_gpu_says(gpu, name):
    found = differences_from_the_cpu(gpu, SMOOTH[name])
    assert all(found[kind] <= _LARGEST_DIFFERENCES[kind] for kind in found), found


@pytest.mark.parametrize(
    ("compute_capability", "problem"),
    [
        ((7, 5), Problem(BRANCHED, BRANCHED_SHAPE)),
        # The kernels of 9.0 in another dialect: a few stand for all.
        ((12, 0), Problem("INPUT -> CONV(K=6) -> NORM -> RELU -> POOL -> FC", (4, 4, 2))),
    ],
)
def test_kernels_for_other_architectures_compute_the_same(compute_capability, problem):
    assert mismatches(problem.answers(CudaDevice(PtxDriver(compute_capability))), problem.expected()) == {}
