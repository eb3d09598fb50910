"""Fine-tuning on CIFAR-10 with few images: test accuracy and seconds, and the same recipes in PyTorch.

The methods:

    scratch    ConvNetClassifier() with new weights
    features   a LogisticRegression on what the head of the pretrained network reads, the mean of each channel
    head       a new head that begins as a LogisticRegression, and learns while the body stays as it is
    all        the same beginning; then all layers learn, those of the body at a fraction of the learning rate, while
               NORM(batch) of the body keeps its running statistics

The images of 32x32 pixels are scaled up. Each seed draws its own training images, the same ones for both sides. Both
sides use AdamW, one cycle of the learning rate, minibatches of 32, label smoothing, the LogisticRegression of
scikit-learn, and the lower rate of a head that reads large features. Seconds are those of fit, with the features and
the LogisticRegression; each side compiles before, in a fit to one image of each class.
"""

import argparse
import os
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks.arguments import whole_number
from benchmarks.datasets import cifar10
from benchmarks.machine import Side, description, warn_if_busy
from benchmarks.peers import TorchClassifier, chain, groups, minibatches, require
from benchmarks.resnet20_cifar import flip_and_crop
from skconvnet.estimators.head import rate_of_head

BATCH_SIZE = 32
LABEL_SMOOTHING = 0.1
WEIGHT_DECAY = 0.01
SCRATCH_EPOCHS = 20  # the default of max_iter
OURS_TO_TORCH = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}  # axes of NORM, FC and CONV
METHODS = ("scratch", "features", "head", "all")


def main(arguments=None):
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = command_line.add_argument
    add("path", help="image folder or zip archive of the CIFAR-10 training images")
    add("--networks", nargs="+", default=["efficientnet_lite0"], help="files or names that load_network reads")
    add("--per-class", type=whole_number(1), nargs="+", default=[10, 100, 1000], help="(default: 10 100 1000)")
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="(default: all four)")
    add("--seeds", type=whole_number(1), default=3, help="number of draws of training images (default: 3)")
    add("--side", type=whole_number(8), default=128, help="height and width of the images (default: 128)")
    add("--test", type=whole_number(1), default=5000, help="number of test images (default: 5000)")
    add("--epochs", type=whole_number(1), default=4, help="of head and of all (default: 4)")
    add("--learning-rate", type=float, default=0.005, help="of the head (default: 0.005)")
    add("--body-rate", type=float, default=0.03, help="of the body, as a part of that (default: 0.03)")
    add("--augment", nargs="+", choices=("flip", "crop"), default=(), help="in the method all (default: nothing)")
    add("--cache", help=".npz file for the decoded images")
    add("--no-peer", action="store_true", help="leave PyTorch out")
    add("--threads", type=whole_number(1), default=os.cpu_count(), help="of each side (default: all)")
    options = command_line.parse_args(arguments)
    if not options.no_peer:
        require(command_line, "torch")
    print(f"{__doc__}\n{description(options.threads)}\n", flush=True)
    warn_if_busy(options.threads)

    sides = {"ours": (Side(options.threads), score_ours)}
    if not options.no_peer:
        sides["PyTorch"] = Side(options.threads), score_peer
    X_train, X_test, y_train, y_test = cifar10(options.path, options.cache)
    test = enlarged(X_test[: options.test], options.side), y_test[: options.test]
    print(f"{'network':34} {'a class':>7}  {'method':8}" + "".join(f" {name:>17} {'s':>7}" for name in sides))
    for case in cases(options, sides["ours"][0]):
        few = draw(y_train, 1, seed=0)
        few = enlarged(X_train[few], options.side), y_train[few]
        for side, score in sides.values():
            side.run(score, replace(case, epochs=1), 0, *few, *few, options.threads)
        results = {name: [] for name in sides}
        for seed in range(options.seeds):
            chosen = draw(y_train, case.per_class, seed)
            train = enlarged(X_train[chosen], options.side), y_train[chosen]
            for name, (side, score) in sides.items():
                results[name].append(side.run(score, case, seed, *train, *test, options.threads))
        print(line(case, results), flush=True)


@dataclass(frozen=True)
class Case:
    """What is measured: one line of the table.

    `stored` is the pretrained network, bound to the images; None for the method "scratch".
    """

    network: str
    stored: object
    per_class: int
    method: str
    epochs: int
    learning_rate: float
    body_rate: float
    augment: tuple

    def changes(self):
        """Return how training images are augmented: a tuple of kinds."""
        return tuple(self.augment) if self.method == "all" else ()


def cases(options, side):
    """Yield the cases that the command line asks for. The process `side` reads the networks."""
    recipe = options.epochs, options.learning_rate, options.body_rate, tuple(options.augment)
    networks = {name: side.run(read, name, options.side) for name in options.networks}
    for per_class in options.per_class:
        if "scratch" in options.methods:
            yield Case("auto", None, per_class, "scratch", SCRATCH_EPOCHS, *recipe[1:])
        for name, stored in networks.items():
            for method in options.methods:
                if method != "scratch":
                    yield Case(os.path.basename(name), stored, per_class, method, *recipe)


def read(name, side):
    """Return the pretrained network for square images of this side."""
    from skconvnet import load_network
    from skconvnet.estimators.fitted import stored_network

    return stored_network(load_network(name, image_shape=(side, side, 3)))


def draw(y, per_class, seed):
    """Return the indices of so many images of each class."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.choice(np.flatnonzero(y == label), per_class, replace=False) for label in np.unique(y)])


def enlarged(images, side):
    """Return the images scaled to squares, as load_image_folder scales them."""
    from PIL import Image

    scaled = [Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR) for image in images]
    return np.array([np.asarray(image) for image in scaled])


def line(case, results):
    """Return the line of the table: the mean accuracy over the seeds, its deviation, and the mean seconds."""
    found = f"{case.network:34.34} {case.per_class:7}  {case.method:8}"
    for sides in results.values():
        accuracy, seconds = np.transpose(sides)
        found += f" {accuracy.mean():8.4f} +- {accuracy.std():.4f} {seconds.mean():7.1f}"
    return found


def regression():
    """Return the estimator on features. They outnumber the images, so it needs more regularisation than by default."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))


# Ours


def score_ours(case, seed, X, y, X_test, y_test, n_threads):
    """Return the test accuracy of skconvnet, and the seconds of fit without compiling."""
    classifier = estimator(case, len(X), seed, n_threads)
    started = perf_counter()
    classifier.fit(X, y)
    seconds = perf_counter() - started - getattr(classifier, "compile_time_", 0.0)
    return classifier.score(X_test, y_test), seconds


def estimator(case, n_images, seed, n_threads):
    """Return the estimator that a method stands for, for so many training images."""
    from sklearn.frozen import FrozenEstimator

    from skconvnet import ConvNetClassifier, ConvNetFeatures
    from skconvnet.estimators.exchange import estimator_of
    from skconvnet.estimators.pretrained import head_of

    if case.method == "scratch":
        return ConvNetClassifier(max_iter=case.epochs, n_jobs=n_threads, random_state=seed)
    pretrained = FrozenEstimator(estimator_of(case.stored).set_params(n_jobs=n_threads))
    if case.method == "features":
        bound = case.stored.architecture
        before = bound.layers[head_of(bound) - 1]
        mean = FunctionTransformer(lambda X: X.reshape(len(X), -1, before.output.depth).mean(1))
        return make_pipeline(ConvNetFeatures(pretrained, layer=before.name), mean, regression())
    return ConvNetClassifier(
        pretrained=pretrained,
        freeze="body" if case.method == "head" else None,
        body_rate=case.body_rate,
        learning_rate_init=case.learning_rate,
        max_iter=case.epochs,
        n_iter_no_change=np.inf,
        batch_size=min(BATCH_SIZE, n_images),
        alpha=WEIGHT_DECAY,
        label_smoothing=LABEL_SMOOTHING,
        augment=case.changes() or None,
        n_jobs=n_threads,
        random_state=seed,
    )


# PyTorch


def score_peer(case, seed, X, y, X_test, y_test, n_threads):
    """Return the test accuracy of PyTorch with the same recipe, and the seconds of fit."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(n_threads)
    labels, targets = np.unique(y, return_inverse=True)
    started = perf_counter()
    if case.method == "scratch":
        peer = TorchClassifier("auto", X.shape[1:], max_iter=case.epochs, learning_rate=5e-3).fit(X, targets)
        seconds = perf_counter() - started
        return peer.score(X_test, np.searchsorted(labels, y_test)), seconds
    peer = TunedModule(case, len(labels)).fit(X, targets)
    seconds = perf_counter() - started
    return float(np.mean(labels[peer.predict(X_test)] == y_test)), seconds


class TunedModule:
    """A pretrained network in PyTorch: a body, and a head of its own classes."""

    def __init__(self, case, n_classes):
        import torch
        from torch import nn

        self.case = case
        bound = case.stored.architecture
        whole = chain(bound.layers)
        load(whole, case.stored.learned)
        at = max(n for n, layer in enumerate(whole) if isinstance(layer, (nn.Conv2d, nn.Linear)))
        self.body = whole[:at]
        head, *others = whole[at:]
        if isinstance(head, nn.Linear):
            new = nn.Linear(head.in_features, n_classes)
        else:
            new = nn.Conv2d(head.in_channels, n_classes, 1)
        self.head = nn.Sequential(new, *others)
        for part in (self.body, self.head):
            part.to(memory_format=torch.channels_last)

    def fit(self, X, targets):
        """Fit a LogisticRegression on the features, then train as the case says."""
        import torch

        features = self.features(X)
        self.regression = regression().fit(pooled(features), targets)
        if self.case.method == "features":
            return self
        self.begin_as_regression(pooled(features))
        targets = torch.tensor(targets)
        frozen = self.case.method == "head"
        rate = self.case.learning_rate * rate_of_head(pooled(features))
        optimizer = torch.optim.AdamW(self.groups(frozen, rate), fused=True)
        self.body.train(not frozen)
        for layer in self.body.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.eval()  # it keeps its running statistics
        self.head.train()
        for chosen in minibatches(optimizer, len(X), BATCH_SIZE, self.case.epochs):
            volume = features[chosen] if frozen else self.body(self.batch(X[chosen.numpy()]))
            scores = self.head(volume).flatten(1)
            torch.nn.functional.cross_entropy(scores, targets[chosen], label_smoothing=LABEL_SMOOTHING).backward()
            optimizer.step()
        return self

    def groups(self, frozen, rate):
        """Return the optimizer's groups of parameters, the body with a learning rate of its own."""
        head = groups(self.head, WEIGHT_DECAY, lr=rate)
        return (
            head if frozen else head + groups(self.body, WEIGHT_DECAY, lr=self.case.learning_rate * self.case.body_rate)
        )

    def begin_as_regression(self, features):
        """Give the head the weights of the regression, with its scaler folded in.

        A RELU behind the head gets positive scores: all biases are raised alike, which does not change probabilities.
        """
        import torch

        scaler, logistic = self.regression[0], self.regression[1]
        weights = logistic.coef_ / scaler.scale_
        biases = logistic.intercept_ - weights @ scaler.mean_
        if any(isinstance(layer, torch.nn.ReLU) for layer in self.head):
            scores = features @ weights.T + biases
            biases += np.ptp(scores) - scores.min()
        with torch.no_grad():
            self.head[0].weight.copy_(torch.tensor(weights).reshape(self.head[0].weight.shape))
            self.head[0].bias.copy_(torch.tensor(biases))

    def batch(self, X):
        """Return the images of a minibatch, standardised and augmented."""
        images = self.standardised(X)
        changes = self.case.changes()
        if changes:
            images = flip_and_crop(images, X.shape[1] // 8 if "crop" in changes else 0, "flip" in changes)
        return images.permute(0, 3, 1, 2)

    def standardised(self, X):
        import torch

        stored = self.case.stored
        return (torch.tensor(X) - torch.tensor(stored.pixel_mean)) * torch.tensor(stored.pixel_scale)

    def features(self, X):
        """Return what the head reads, computed without training anything."""
        import torch

        self.body.eval()
        with torch.no_grad():
            return torch.cat([self.body(self.standardised(part).permute(0, 3, 1, 2)) for part in parts(X)])

    def predict(self, X):
        """Return the classes of images, as numbers."""
        import torch

        if self.case.method == "features":
            return self.regression.predict(pooled(self.features(X)))
        self.head.eval()
        with torch.no_grad():
            return np.concatenate([self.head(self.features(part)).flatten(1).argmax(1).numpy() for part in parts(X)])


def parts(X):
    """Return the images in parts of 100."""
    return [X[start : start + 100] for start in range(0, len(X), 100)]


def pooled(features):
    """Return the mean of each channel, an array of rows."""
    return features.reshape(*features.shape[:2], -1).mean(2).numpy()


def load(module, learned):
    """Give a module of PyTorch the learned arrays of the same network, which are in the same order."""
    import torch
    from torch import nn

    kinds = nn.Conv2d, nn.Linear, nn.BatchNorm2d
    layers = [layer for layer in module.modules() if isinstance(layer, kinds)]
    norms = iter(zip(learned.means, learned.variances, strict=True))
    with torch.no_grad():
        for layer, weights, biases in zip(layers, learned.coefs, learned.intercepts, strict=True):
            if isinstance(layer, nn.BatchNorm2d):
                for slot, statistic in zip((layer.running_mean, layer.running_var), next(norms), strict=True):
                    slot.copy_(torch.tensor(statistic))
            layer.weight.copy_(torch.tensor(weights.transpose(OURS_TO_TORCH[weights.ndim])))
            if layer.bias is not None:
                layer.bias.copy_(torch.tensor(biases))


if __name__ == "__main__":
    main()
