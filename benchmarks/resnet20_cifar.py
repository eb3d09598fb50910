"""ResNet-20 on CIFAR-10, trained with flip and crop: loss, held-out accuracy, images/s and seconds of each epoch.

Both sides train with the same recipe: SGD with Nesterov momentum 0.9, minibatches of 64, one cycle of the learning rate
up to 0.1, weight decay 5e-4 on the weights of CONV and FC, pixels standardised per channel, random flips, and random
shifts of up to 4 pixels. The same tenth of the images is held out.

The network is that of section 4.2 of He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015,
arXiv:1512.03385, with a projection where the depth changes.
"""

import argparse
import os
from time import perf_counter

import numpy as np

from benchmarks.arguments import whole_number
from benchmarks.datasets import cifar10
from benchmarks.machine import description
from benchmarks.peers import require
from skconvnet.engine import Images  # imports Numba only when a network runs
from skconvnet.training import OneCycle

BATCH_SIZE = 64
LEARNING_RATE = 0.1
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
PADDING = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="image folder or zip archive of the CIFAR-10 training images")
    parser.add_argument("--peer", action="store_true", help="train in PyTorch instead")
    parser.add_argument("--epochs", type=whole_number(1), default=24)
    parser.add_argument("--cache", help=".npz file for the decoded images")
    parser.add_argument("--threads", type=whole_number(1), default=os.cpu_count(), help="(default: all)")
    arguments = parser.parse_args()
    if arguments.peer:
        require(parser, "torch")

    print(f"{__doc__}\n{description(arguments.threads)}\n", flush=True)
    started = perf_counter()
    data = cifar10(arguments.path, arguments.cache)
    print(f"{perf_counter() - started:.1f} s to read the images", flush=True)
    started = perf_counter()
    if arguments.peer:
        train_peer(*data, arguments.epochs, arguments.threads)
    else:
        train_ours(*data, arguments.epochs, arguments.threads)
    print(f"{perf_counter() - started:.1f} s in all")


def train_ours(X_train, X_test, y_train, y_test, n_epochs, n_threads):
    """Train ConvNetClassifier, which prints a line per epoch."""
    classifier(n_epochs, n_threads, 0).set_params(verbose=1).fit(X_train, y_train, X_val=X_test, y_val=y_test)


def classifier(n_epochs, n_threads, seed):
    """Return the estimator with the recipe."""
    from skconvnet import ConvNetClassifier

    return ConvNetClassifier(
        "resnet20",
        solver="sgd",
        alpha=WEIGHT_DECAY * BATCH_SIZE,  # each step divides alpha by batch_size
        batch_size=BATCH_SIZE,
        learning_rate="one-cycle",
        learning_rate_init=LEARNING_RATE,
        momentum=MOMENTUM,
        max_iter=n_epochs,
        n_iter_no_change=np.inf,
        augment=("flip", "crop"),
        label_smoothing=0.0,
        n_jobs=n_threads,
        random_state=seed,
    )


def train_peer(X_train, X_test, y_train, y_test, n_epochs, n_threads):
    """Train the same network with the same recipe in PyTorch; print a line per epoch."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(n_threads)
    mean, scale = map(torch.tensor, Images(X_train, X_train.shape[1:]).statistics())
    images, held_out = torch.tensor(X_train), torch.tensor(X_test)
    classes, targets = np.unique(y_train, return_inverse=True)
    targets, answers = torch.tensor(targets), torch.tensor(np.searchsorted(classes, y_test))

    def standardise(pixels):
        return (pixels - mean) * scale

    network = resnet20(len(classes)).to(memory_format=torch.channels_last)
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim == 1]  # biases, batch norm
    optimizer = torch.optim.SGD(
        [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": others}],
        lr=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterov=True,
    )
    schedule = OneCycle(LEARNING_RATE, n_epochs * -(-len(images) // BATCH_SIZE))
    step = 0
    for epoch in range(n_epochs):
        started, total = perf_counter(), 0.0
        network.train()
        for indices in torch.randperm(len(images)).split(BATCH_SIZE):
            for group in optimizer.param_groups:
                group["lr"] = schedule.at(step)
            optimizer.zero_grad()
            batch = flip_and_crop(standardise(images[indices]))
            loss = torch.nn.functional.cross_entropy(network(batch.permute(0, 3, 1, 2)), targets[indices])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(indices)
            step += 1
        seconds = perf_counter() - started
        network.eval()
        with torch.no_grad():
            parts = [network(standardise(part).permute(0, 3, 1, 2)) for part in held_out.split(500)]
        accuracy = (torch.cat(parts).argmax(1) == answers).double().mean().item()
        print(
            f"epoch {epoch + 1:2}/{n_epochs}   loss {total / len(images):.4f}   validation {accuracy:.4f}   "
            f"{len(images) / seconds:,.0f} images/s   {seconds:.1f} s",
            flush=True,
        )


def flip_and_crop(images, padding=PADDING, flip=True):
    """Return NHWC images, each mirrored with probability 1/2 and randomly shifted over a border of zeros."""
    import torch

    n, height, width, _ = images.shape
    padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    rows = torch.arange(height) + torch.randint(2 * padding + 1, (n, 1))
    columns = torch.arange(width) + torch.randint(2 * padding + 1, (n, 1))
    if flip:
        columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def resnet20(n_classes):
    """Return the module: a CONV, three blocks of each of three sizes, the mean of each slice, an FC."""
    from torch import nn

    class Block(nn.Module):
        """Two CONV of 3 x 3 and their shortcut."""

        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.residual = nn.Sequential(
                *conv_norm(inputs, outputs, 3, stride), nn.ReLU(), *conv_norm(outputs, outputs, 3, 1)
            )
            self.shortcut = nn.Sequential(*conv_norm(inputs, outputs, 1, stride) if inputs != outputs else ())

        def forward(self, x):
            return nn.functional.relu(self.residual(x) + self.shortcut(x))

    def conv_norm(inputs, outputs, extent, stride):
        return nn.Conv2d(inputs, outputs, extent, stride, extent // 2, bias=False), nn.BatchNorm2d(outputs)

    blocks = [
        Block(inputs if first else outputs, outputs, stride if first else 1)
        for inputs, outputs, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        for first in (True, False, False)
    ]
    ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, n_classes)
    network = nn.Sequential(*conv_norm(3, 16, 3, 1), nn.ReLU(), *blocks, *ends)
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(network[-1].bias)
    return network


if __name__ == "__main__":
    main()
