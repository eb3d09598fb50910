"""CONV by Winograd's minimal filtering against direct sums of products: errors, accuracy and speed.

    python -m benchmarks.winograd errors
    python -m benchmarks.winograd accuracy --data digits fashion-mnist --images 20000 --epochs 4
    python -m benchmarks.winograd accuracy --data cifar10 --path cifar10-train.zip --images 10000 --epochs 4
    python -m benchmarks.winograd speed --threads 1

Both sides are the CPU machine with the same kernels. They differ in the target of the plans alone: one computes every
CONV directly, the other by minimal filtering wherever that has fewer products.

errors: the largest error of an element, relative to the largest element of the true sum in float64. A sum is forward,
the gradient of the input, or that of the weights, of one layer and one image with random numbers; "rms" is the ratio of
the roots of mean square errors. Small layers are drawn up to eight times. Layers are those of the benchmark networks
and of the case studies for which minimal filtering is made.

accuracy: the same data, seeds and epochs on both sides; mean and spread of the test accuracy over the seeds so far,
whose number stands beside the name, and the mean difference with its standard error.

speed: seconds of the direct sum over those of the other, in one layer of a training step, the median over alternating
rounds with its spread. The bias gradient counts as part of the input's. With one thread, seconds are those of the
processor, which other processes disturb less.
"""

import argparse
import math
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from time import perf_counter, thread_time
from unittest.mock import patch

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks import machine
from benchmarks.networks import LARGE, NETWORKS, Problem
from skconvnet.architecture import CASE_STUDIES, Architecture
from skconvnet.engine.program.target import CPU, UNLIMITED

SUMS = ("forward", "input", "weights")
TARGETS = {"direct": replace(CPU, winograd_depth=UNLIMITED), "Winograd": CPU}
LARGEST_RATIO = 4  # of the errors
N_PROBES = 128  # pixels at which the gradient of the input is read
_MOST_DRAWS, _DRAWN_FLOPS = 8, 4e8  # of a layer whose errors are measured
_BATCH_FLOPS = 1e9  # of a layer that is timed, direct, in one direction
_LARGEST_BATCH = 32


@dataclass(frozen=True, order=True)
class Layer:
    """A CONV with S = 1.

    Parameters
    ----------
    height, width, channels : int
        Of its input.
    filters, F, padding : int
    """

    height: int
    width: int
    channels: int
    filters: int
    F: int
    padding: int

    def __str__(self):
        return f"{self.height}x{self.width}x{self.channels}->{self.filters} F{self.F}"

    @property
    def image_shape(self):
        """Return (height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def output_shape(self):
        """Return (height, width, filters)."""
        more = 2 * self.padding + 1 - self.F
        return self.height + more, self.width + more, self.filters

    @property
    def text(self):
        """The layer in the notation."""
        return f"CONV(K={self.filters}, F={self.F}, P={self.padding})"

    @property
    def flops(self):
        """Multiply-adds of one direct sum."""
        return self.F**2 * self.channels * math.prod(self.output_shape)


def layers_of(problems, target):
    """Return the names of the networks that have each layer for which a target has minimal filtering.

    Parameters
    ----------
    problems : dict of str to Problem
    target : Target

    Returns
    -------
    dict of Layer to list of str
    """
    from skconvnet.engine.plan.steps.winograd import has_fewer_products
    from skconvnet.engine.weights.layout import lay_out_parameters, learning_layers

    found = {}
    for name, problem in problems.items():
        bound = problem.bind()
        for layer, slot in zip(learning_layers(bound), lay_out_parameters(bound, target).slots, strict=True):
            if layer.kind == "CONV" and has_fewer_products(layer, slot, target):
                x = layer.input
                names = found.setdefault(Layer(x.height, x.width, x.depth, layer.K, layer.F, layer.P), [])
                names += [name] * (name not in names)
    return found


def all_networks():
    """Return the problems of the benchmarks, and the case studies on their own images."""
    studies = {name: Problem(study.image_shape, name, study.n_classes) for name, study in CASE_STUDIES.items()}
    return NETWORKS | LARGE | studies


# -- Errors ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    """Random numbers of a layer, float32: images as after a RELU, weights as they are drawn, a normal gradient."""

    x: np.ndarray
    w: np.ndarray
    dy: np.ndarray


def draw(layer, seed):
    """Return the `Numbers` of a layer."""
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.standard_normal(layer.image_shape), 0)
    w = rng.standard_normal((layer.F, layer.F, layer.channels, layer.filters))
    w *= math.sqrt(2 / (layer.F**2 * layer.channels))
    dy = rng.standard_normal(layer.output_shape)
    return Numbers(*(array.astype(np.float32) for array in (x, w, dy)))


def true_sums(layer, numbers):
    """Return the three sums in float64, by name."""
    x, w, dy = (array.astype(np.float64) for array in (numbers.x, numbers.w, numbers.dy))
    P, (rows, columns, _) = layer.padding, layer.output_shape
    padded = np.pad(x, ((P, P), (P, P), (0, 0)))
    y, dw, dx = np.zeros(layer.output_shape), np.zeros(w.shape), np.zeros(padded.shape)
    for u, v in np.ndindex(layer.F, layer.F):
        seen = np.s_[u : u + rows, v : v + columns]
        y += padded[seen] @ w[u, v]
        dw[u, v] = np.tensordot(padded[seen], dy, ((0, 1), (0, 1)))
        dx[seen] += dy @ w[u, v].T
    return {"forward": y, "input": dx[P : P + layer.height, P : P + layer.width], "weights": dw}


def engine_sums(layer, numbers, probes, target):
    """Return the three sums as the engine computes them, by name; the gradient of the input at some pixels.

    The engine has no function for a layer. So each sum is that of a small network in which every other number is a
    product with 0, 1 or -1, and exact.
    """
    return {
        "forward": engine_forward(layer, numbers, target),
        "input": engine_input_gradient(layer, numbers, probes, target),
        "weights": engine_weights_gradient(layer, numbers, target),
    }


def engine_forward(layer, numbers, target):
    """Return the outputs: the scores of a network with an FC that copies them."""
    from skconvnet.engine import Scorer

    fits = layer.F - 2 * layer.padding  # an input with one output
    network = network_of(f"INPUT -> {layer.text} -> FC", (fits, fits, layer.channels), layer.filters, target)
    set_weights(network, numbers.w, np.eye(layer.filters))
    scores = Scorer(network).on(layer.image_shape).scores(images_of(numbers.x), n_threads=1)
    return scores.reshape(layer.output_shape)


def engine_weights_gradient(layer, numbers, target):
    """Return the gradient of the weights: what a step of gradient descent takes from weights that are 0."""
    network = network_of(f"INPUT -> {layer.text} -> FC", layer.image_shape, 2, target)
    set_weights(network, np.zeros_like(numbers.w), opposite(numbers.dy))
    step(network, numbers.x)
    return -network.learned.coefs[0]


def engine_input_gradient(layer, numbers, probes, target):
    """Return the gradient of the input at some pixels, (pixels, channels).

    A CONV of F = 1 comes before the layer. Channel c of the image is 1 at the pixel of probe c and 0 elsewhere, so row
    c of that CONV's weight gradient is the gradient at the pixel.
    """
    text = f"INPUT -> CONV(K={layer.channels}, F=1, P=0) -> {layer.text} -> FC"
    network = network_of(text, (layer.height, layer.width, len(probes)), 2, target)
    set_weights(network, np.zeros((1, 1, len(probes), layer.channels)), numbers.w, opposite(numbers.dy))
    image = np.zeros((layer.height, layer.width, len(probes)), np.float32)
    image.reshape(-1, len(probes))[probes, np.arange(len(probes))] = 1
    step(network, image)
    return -network.learned.coefs[0][0, 0]


def opposite(dy):
    """Return weights of an FC with two units: where both have the probability 1/2, they give back `dy`."""
    return np.stack([dy.ravel(), -dy.ravel()], axis=1)


def network_of(text, image_shape, n_classes, target):
    """Return a network on the processor, with pixels left as they are."""
    from skconvnet.engine import Network
    from skconvnet.engine.device import CpuDevice

    bound, channels = Architecture.parse(text).bind(image_shape, n_classes), image_shape[2]
    return Network(bound, np.zeros(channels), np.ones(channels), CpuDevice(target))


def set_weights(network, *weights):
    """Set the weights of each layer, and biases of 0."""
    network.initialise(np.random.default_rng(0))
    learned = network.learned
    for coefs, wanted in zip(learned.coefs, weights, strict=True):
        coefs[:] = wanted.reshape(coefs.shape)
    network.learned = learned


def images_of(image):
    """Return one image as `Images`."""
    from skconvnet.engine import Images

    return Images(image.reshape(1, -1), image.shape)


def step(network, image):
    """Take one step of gradient descent, on one image of the second class, with the learning rate 1."""
    from skconvnet.engine import SGD, SoftmaxCrossEntropy, Trainer

    plain = {"optimizer": SGD(momentum=0.0, nesterov=False), "alpha": 0.0, "loss": SoftmaxCrossEntropy()}
    one = np.ones(1, np.int64)
    Trainer(network, images_of(image), one, one, batch_size=1, n_threads=1, **plain).step(one - 1, 1.0)


def errors_of(layer):
    """Return (largest error, root of the mean square error) by side and sum.

    They are relative to the largest true element. Small layers are drawn several times, because the largest error of
    few numbers varies.
    """
    n_draws = int(max(1, min(_MOST_DRAWS, _DRAWN_FLOPS / layer.flops)))
    drawn = [errors_of_draw(layer, seed) for seed in range(n_draws)]
    return {
        key: (max(one[key].max() for one in drawn), math.sqrt(np.mean([np.square(one[key]).mean() for one in drawn])))
        for key in drawn[0]
    }


def errors_of_draw(layer, seed):
    """Return the error of each element by side and sum, relative to the largest true element."""
    numbers, n_pixels = draw(layer, seed), layer.height * layer.width
    probes = np.random.default_rng(seed).choice(n_pixels, min(N_PROBES, n_pixels), replace=False)
    true = true_sums(layer, numbers)
    true["input"] = true["input"].reshape(n_pixels, -1)[probes]
    return {
        (side, name): np.abs(found - true[name]) / np.abs(true[name]).max()
        for side, target in TARGETS.items()
        for name, found in engine_sums(layer, numbers, probes, target).items()
    }


def print_errors(options):
    """Print the errors of each layer, and the largest ratios."""
    print(f"{'':20}" + "".join(f"{name:>34}" for name in SUMS))
    print(f"{'layer':20}" + f"{'direct':>10}{'Winograd':>10}{'ratio':>8}{'rms':>6}" * 3 + "  networks")
    worst = dict.fromkeys(SUMS, np.zeros(2))
    layers = layers_of(chosen(options), TARGETS["Winograd"])
    for layer in sorted(layers):
        errors, row = errors_of(layer), f"{layer!s:20}"
        for name in SUMS:
            direct, winograd = errors["direct", name], errors["Winograd", name]
            ratios = np.divide(winograd, direct)
            row += f"{direct[0]:10.1e}{winograd[0]:10.1e}{ratios[0]:8.2f}{ratios[1]:6.2f}"
            worst[name] = np.maximum(worst[name], ratios)
        print(f"{row}  {', '.join(layers[layer])}", flush=True)
    for name, (largest, mean) in worst.items():
        print(f"{name:8} largest ratio of the largest errors {largest:.2f}, of root mean squares {mean:.2f}")
    is_within = max(largest for largest, _ in worst.values()) <= LARGEST_RATIO
    print(f"{len(layers)} layers; {'all' if is_within else 'NOT all'} ratios are at most {LARGEST_RATIO}")


# -- Accuracy ----------------------------------------------------------------------------------------------------------


@contextmanager
def with_target(target):
    """Have estimators plan for a target; their parameters do not choose one."""
    from skconvnet.engine.device import CpuDevice

    with patch.object(CpuDevice.__init__, "__defaults__", (target,)):
        yield


def print_accuracy(options):
    """Print the accuracy of both sides on each data set."""
    print(f"{'':16} {'direct':>8} {'spread':>18}  {'Winograd':>8} {'spread':>18}  ", end="")
    print(f"{'difference':>10} {'error':>8} {'seconds':>14}")
    for name in options.data:
        found = {side: [] for side in TARGETS}
        for seed in range(options.seeds):
            for side, target in TARGETS.items():
                with with_target(target):
                    found[side].append(accuracy(name, seed, options))
            print(accuracy_row(f"{name}, {seed + 1}", *(np.array(found[side]) for side in TARGETS)), flush=True)


def accuracy_row(name, direct, winograd):
    """Return the row of a data set; each side has (accuracy, seconds) of every seed."""
    row = f"{name:16}"
    for results in (direct, winograd):
        scores = results[:, 0]
        row += f" {scores.mean():8.4f} {f'{scores.min():.4f} to {scores.max():.4f}':>18} "
    away = winograd[:, 0] - direct[:, 0]
    error = away.std(ddof=1) / math.sqrt(len(away)) if len(away) > 1 else math.nan
    seconds = f"{direct[:, 1].mean():.1f}, {winograd[:, 1].mean():.1f}"
    return f"{row} {away.mean():10.4f} {error:8.4f} {seconds:>14}"


def accuracy(name, seed, options):
    """Return (test accuracy, seconds of fit without compiling) of the network of a data set."""
    X_train, X_test, y_train, y_test = data(name, options.path, options.cache)
    X_train, y_train = fewer(X_train, y_train, options.images, seed)
    classifier = classifier_of(name, seed, options)
    return machine.fit_and_score(classifier, X_train, X_test, y_train, y_test)[:2]


@cache
def data(name, path, cached):
    """Return X_train, X_test, y_train and y_test of a data set."""
    from benchmarks import datasets

    if name == "digits":
        X, y = datasets.digits()
        return train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    return datasets.fashion_mnist() if name == "fashion-mnist" else datasets.cifar10(path, cached)


def fewer(X, y, n_images, seed):
    """Return some of the images, of all classes, others for each seed."""
    if n_images is None or n_images >= len(X):
        return X, y
    X, _, y, _ = train_test_split(X, y, train_size=n_images, stratify=y, random_state=seed)
    return X, y


def classifier_of(name, seed, options):
    """Return the estimator of a data set: the default, or ResNet-20 as `resnet20_cifar` trains it."""
    from benchmarks.resnet20_cifar import classifier
    from skconvnet import ConvNetClassifier

    if name == "cifar10":
        return classifier(options.epochs or 24, options.threads, seed)
    epochs = {} if options.epochs is None else {"max_iter": options.epochs}
    return ConvNetClassifier(random_state=seed, n_jobs=options.threads, **epochs)


# -- Speed -------------------------------------------------------------------------------------------------------------


def print_speed(options):
    """Print the ratios of seconds of each layer."""
    clock = thread_time if options.threads == 1 else perf_counter
    print(machine.description(options.threads) + "\n")
    print(f"{'layer':20} {'batch':>5}" + "".join(f" {name:>7}, GFLOP/s {'ratio':>6} {'spread':>14}" for name in SUMS))
    layers = layers_of(chosen(options), TARGETS["Winograd"])
    for layer in sorted(layers):
        n_images = max(options.threads, min(_LARGEST_BATCH, int(_BATCH_FLOPS / layer.flops)))
        sides = [timed_sums(layer, n_images, options.threads, target) for target in TARGETS.values()]
        row = f"{layer!s:20} {n_images:5}"
        for name in SUMS:
            turns = [partial(seconds_of_call, side[name], options.seconds, clock) for side in sides]
            direct, winograd = machine.take_turns(options.rounds, *turns)
            ratio = machine.ratio(direct, winograd)
            speed = 2e-9 * layer.flops * n_images / np.median(winograd)
            spread = f"{ratio.least:.2f} to {ratio.greatest:.2f}"
            row += f" {speed:16.0f} {ratio.median:6.2f} {spread:>14}"
        print(row, flush=True)


def seconds_of_call(function, seconds, clock):
    """Return the mean seconds of calls, as many as take some seconds."""
    function()
    n_calls, started = 0, clock()
    while (elapsed := clock() - started) < seconds:
        function()
        n_calls += 1
    return elapsed / n_calls


def timed_sums(layer, n_images, n_threads, target):
    """Return functions that compute one sum of a layer for all images of a minibatch, by name.

    Each runs the instructions of that sum alone, of the plan of a training step that has been taken before.
    """
    from skconvnet.engine import SGD, Images, SoftmaxCrossEntropy
    from skconvnet.engine.plan.plan import plan_training
    from skconvnet.engine.program.instructions import SegmentKind
    from skconvnet.engine.trainer import Minibatch

    shape = layer.height, layer.width, 8
    text = f"INPUT -> CONV(K={layer.channels}, F=1, P=0) -> {layer.text} -> FC"
    network, rng = network_of(text, shape, 2, target), np.random.default_rng(0)
    network.initialise(rng)
    images = Images(rng.standard_normal((n_images, math.prod(shape))).astype(np.float32), shape)
    with noted_sums() as numbers:
        plan = plan_training(network.architecture, network.parameter_layout, SoftmaxCrossEntropy(), n_images, target)
    moments = np.zeros((2, network.parameter_layout.size), np.float32)
    execution = network.device.execution(plan, network, n_threads, moments)
    indices, targets = np.arange(n_images), np.zeros(n_images, np.int64)
    weights = np.full(n_images, 1 / n_images)
    list(execution.train(images, targets, [Minibatch(indices, weights, SGD().rule(0, 0, 1, 1), (0, 0), None)]))
    segments = {name: np.array(runs(numbers[name], SegmentKind.PER_SAMPLE), np.int64) for name in SUMS}
    return {name: partial(execution.run, images.source(indices), segments=segments[name]) for name in SUMS}


def runs(numbers, kind):
    """Return the segments of consecutive instructions."""
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    return [(kind, run[0], run[-1] + 1) for run in np.split(np.array(numbers), breaks)]


@contextmanager
def noted_sums():
    """Note the numbers of the instructions that a CONV with F > 1 emits, by the name of their sum."""
    from skconvnet.engine.plan.builder import PlanBuilder
    from skconvnet.engine.plan.steps.convolution import Convolution

    numbers, current, emit = {name: [] for name in SUMS}, [], PlanBuilder.emit

    def noted_emit(builder, *arguments, **more):
        number = emit(builder, *arguments, **more)
        if current:
            numbers[current[-1]].append(number)
        return number

    def noted(name, method):
        def emit_sum(step, *arguments):
            if step.layer.kind != "CONV" or step.layer.F == 1:
                return method(step, *arguments)
            current.append(name)
            try:
                return method(step, *arguments)
            finally:
                current.pop()

        return emit_sum

    methods = {"forward": "forward", "backward": "input", "weights_gradient": "weights"}
    with ExitStack() as patches:
        patches.enter_context(patch.object(PlanBuilder, "emit", noted_emit))
        for kind in (Convolution, *Convolution.__subclasses__()):
            for method in methods.keys() & vars(kind).keys():
                patches.enter_context(patch.object(kind, method, noted(methods[method], vars(kind)[method])))
        yield numbers


# -- The command -------------------------------------------------------------------------------------------------------


def chosen(options):
    """Return the networks that the command line names."""
    networks = all_networks()
    return {name: networks[name] for name in options.networks or networks}


def main(arguments=None):
    """Print one of the tables."""
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = command_line.add_subparsers(dest="table", required=True)
    errors, accuracies, speeds = (tables.add_parser(name) for name in ("errors", "accuracy", "speed"))
    for table in (errors, speeds):
        table.add_argument("--networks", nargs="+", choices=all_networks(), metavar="NAME", help="(default: all)")
    count = machine.whole_number(1)
    for table in (accuracies, speeds):
        table.add_argument("--threads", type=count, default=os.cpu_count(), help="(default: all)")
    accuracies.add_argument("--data", nargs="+", choices=DATA, default=DATA[:2], help="(default: the first two)")
    accuracies.add_argument("--seeds", type=count, default=5, help="(default: 5)")
    accuracies.add_argument("--images", type=count, help="to train with (default: all)")
    accuracies.add_argument("--epochs", type=count, help="(default: the estimator's; cifar10: 24)")
    accuracies.add_argument("--path", help="image folder or zip archive of the CIFAR-10 training images")
    accuracies.add_argument("--cache", help=".npz file for its decoded images")
    speeds.add_argument("--rounds", type=count, default=5, help="(default: 5)")
    speeds.add_argument("--seconds", type=machine.positive_seconds, default=0.1, help="of a side (default: 0.1)")
    options = command_line.parse_args(arguments)
    if options.table == "accuracy" and "cifar10" in options.data and not (options.path or options.cache):
        accuracies.error("--data cifar10 needs --path or --cache")
    {"errors": print_errors, "accuracy": print_accuracy, "speed": print_speed}[options.table](options)


DATA = ("digits", "fashion-mnist", "cifar10")


if __name__ == "__main__":
    main()
