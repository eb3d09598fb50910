"""Shapes, random weights and results in PyTorch of the networks in `torch_modules` and `torch_published`.

Like those of `tests.torch_answers`, these functions run in another process and import PyTorch themselves.
"""

import numpy as np

from tests.integration.torch_modules import CASE_STUDIES
from tests.integration.torch_published import PUBLISHED

NETWORKS = CASE_STUDIES | PUBLISHED


def shapes(name):
    """Shapes of weights and biases in this project's layout, and depths of running statistics. Allocates nothing."""
    import torch

    with torch.device("meta"):
        return shapes_of(NETWORKS[name]())


def shapes_of(network):
    learning = learning_modules(network)
    weights = [tuple(ours(one.weight).shape) for one in learning]
    biases = [() if one.bias is None else tuple(one.bias.shape) for one in learning]
    return weights, [size or (0,) for size in biases], [len(one.running_mean) for one in norms(learning)]


def ours(weight):
    """PyTorch's (K, C, F, F) as (F, F, C, K), and (units, inputs) as (inputs, units)."""
    return weight.permute(*{4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[weight.ndim])


def theirs(weight):
    """The inverse of `ours`."""
    return weight.permute(*{4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[weight.ndim])


def learning_modules(network):
    from torch import nn

    return [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]


def norms(learning):
    return [one for one in learning if hasattr(one, "running_mean")]


def drawn(weights, biases, depths, seed=0):
    """Random weights, biases, means and variances of these shapes: lists of float32 arrays.

    Both processes draw them, so that large arrays need not be sent between processes.
    """
    rng = np.random.default_rng(seed)
    learned = []
    for shape in weights:
        values = rng.standard_normal(shape, np.float32)
        learned.append(1 + np.float32(0.2) * values if len(shape) == 1 else scaled(values))
    shifts = [np.float32(0.1) * rng.standard_normal(shape, np.float32) for shape in biases]
    means = [np.float32(0.1) * rng.standard_normal(depth, np.float32) for depth in depths]
    return learned, shifts, means, [np.float32(0.5) + rng.random(depth, np.float32) for depth in depths]


def scaled(values):
    """The values with variance 2 / inputs. Changes `values`."""
    values *= np.float32(np.sqrt(2 / np.prod(values.shape[:-1])))
    return values


def loaded(name, seed, dtype):
    """The network with the weights that `drawn` returns."""
    import torch

    network = NETWORKS[name]()
    learning = learning_modules(network)
    weights, biases, means, variances = drawn(*shapes_of(network), seed)
    with torch.no_grad():
        for one, weight, bias in zip(learning, weights, biases, strict=True):
            one.weight.copy_(theirs(torch.from_numpy(weight)))
            if one.bias is not None:
                one.bias.copy_(torch.from_numpy(bias))
        for one, mean, variance in zip(norms(learning), means, variances, strict=True):
            one.running_mean.copy_(torch.from_numpy(mean))
            one.running_var.copy_(torch.from_numpy(variance))
    return network.to(getattr(torch, dtype))


def logits(name, x, seed=0, dtype="float32"):
    """Class scores (n, classes) of the images x (n, rows, columns, depth) in inference."""
    import torch

    network = loaded(name, seed, dtype).eval()
    with torch.no_grad():
        return np.array(network(images(x, dtype)))


def save_training_answers(path, name, x, targets, seed=0, dtype="float32"):
    """Write the results of a training step to the .npz file `path`: loss, "d_weights 1", "d_biases 1", "mean 1", ...

    The loss is the mean cross-entropy, with the batch's statistics and without dropout. Means and variances are those
    after the step.
    """
    import torch
    from torch import nn

    network = loaded(name, seed, dtype).train()
    for one in network.modules():
        if isinstance(one, nn.Dropout):
            one.eval()
    loss = nn.functional.cross_entropy(network(images(x, dtype)), torch.tensor(targets))
    loss.backward()
    found = {"loss": np.array(loss.detach())}
    learning = learning_modules(network)
    for number, one in enumerate(learning, 1):
        found[f"d_weights {number}"] = ours(one.weight.grad).numpy()
        found[f"d_biases {number}"] = np.zeros(0) if one.bias is None else one.bias.grad.numpy()
    for number, one in enumerate(norms(learning), 1):
        found |= {f"mean {number}": one.running_mean.numpy(), f"variance {number}": one.running_var.numpy()}
    np.savez(path, **found)


def images(x, dtype):
    import torch

    return torch.tensor(x, dtype=getattr(torch, dtype)).permute(0, 3, 1, 2)
