"""The same networks in PyTorch and skorch, which are imported only where they run."""

from functools import partial, reduce
from importlib.util import find_spec
from operator import add, mul

import numpy as np

from skconvnet.architecture import Hyperparameters, find_architecture
from skconvnet.training import OneCycle


def require(command_line, *packages):
    """End the command line with an error that names the packages that are not installed, if there are any."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        command_line.error(
            f"not installed: {', '.join(missing)}; `make peers` installs all peers, the extra skconvnet[peers]"
        )


def module(bound):
    """Return the PyTorch module of a bound architecture; it takes NCHW images.

    A NORM after an FC is not supported.
    """
    return chain(bound.layers)


def chain(layers):
    """Return the modules of layers in sequence. RELU overwrites its input, except at the start of a branch."""
    from torch import nn

    parts = [part for layer in layers for part in PARTS[layer.kind](layer)]
    for part in parts[1:]:
        if isinstance(part, nn.ReLU):
            part.inplace = True
    return nn.Sequential(*parts)


def conv(layer):
    """Return the convolution, behind the rows and columns of zeros that a CONV that rounds up needs at its end."""
    from torch import nn

    rows, columns = layer.axes
    volumes = (layer.input.height, layer.output.height), (layer.input.width, layer.output.width)
    down, right = (
        max((after - 1) * axis.S + axis.reach - 2 * axis.P - before, 0)
        for axis, (before, after) in zip(layer.axes, volumes, strict=True)
    )
    F, S, P, dilation = ((getattr(rows, name), getattr(columns, name)) for name in ("F", "S", "P", "dilation"))
    module = nn.Conv2d(layer.input.depth, layer.K, F, S, P, dilation, layer.groups, bias=layer.bias)
    return [nn.ZeroPad2d((0, right, 0, down)), module] if down or right else [module]


def fc(layer):
    from torch import nn

    return [nn.Flatten(), nn.Linear(layer.input.size, layer.units)]


def pool(layer):
    from torch import nn

    if layer.mode == "max":
        return [nn.MaxPool2d(layer.F, layer.S, layer.P, ceil_mode=layer.round == "ceil")]
    if [axis.F for axis in layer.axes] == [layer.input.height, layer.input.width] and layer.P == 0:
        return [nn.AdaptiveAvgPool2d(1)]
    return [
        nn.AvgPool2d(
            layer.F, layer.S, layer.P, ceil_mode=layer.round == "ceil", count_include_pad=layer.padding == "counted"
        )
    ]


def norm(layer):
    """Multiply the alpha of a local response norm by its size, by which PyTorch divides and the paper does not."""
    from torch import nn

    if layer.mode == "lrn":
        return [nn.LocalResponseNorm(layer.size, layer.alpha * layer.size, layer.beta, layer.k)]
    if layer.mode == "layer":
        return [nn.GroupNorm(1, layer.input.depth, layer.eps)]
    return [nn.BatchNorm2d(layer.input.depth, layer.eps, layer.momentum)]


def branches(layer, join):
    """Run the branches on the same input; join their outputs."""
    from torch import nn

    class Branches(nn.ModuleList):
        def forward(self, x):
            return join([branch(x) for branch in self])

    return [Branches(map(chain, layer.branches))]


def stack(outputs):
    import torch

    return torch.cat(outputs, dim=1)


def builtin(name, **arguments):
    """Return a module of torch.nn by its name."""
    from torch import nn

    return [getattr(nn, name)(**arguments)]


PARTS = {
    "CONV": conv,
    "FC": fc,
    "POOL": pool,
    "NORM": norm,
    "RELU": lambda layer: builtin("ReLU"),
    "RELU6": lambda layer: builtin("ReLU6"),
    "PRELU": lambda layer: builtin("PReLU", num_parameters=layer.input.depth),
    "TANH": lambda layer: builtin("Tanh"),
    "SIGMOID": lambda layer: builtin("Sigmoid"),
    "HSIGMOID": lambda layer: builtin("Hardsigmoid"),
    "HSWISH": lambda layer: builtin("Hardswish"),
    "GELU": lambda layer: builtin("GELU"),
    "DROPOUT": lambda layer: builtin("Dropout", p=layer.rate),
    "SKIP": lambda layer: builtin("Identity"),
    "SUM": lambda layer: branches(layer, partial(reduce, add)),
    "STACK": lambda layer: branches(layer, stack),
    "GATE": lambda layer: branches(layer, partial(reduce, mul)),
}


class TorchClassifier:
    """A network trained by PyTorch with AdamW, one cycle of the learning rate and label smoothing."""

    def __init__(
        self, architecture, image_shape, *, max_iter=20, batch_size=32, learning_rate=3e-3, label_smoothing=0.1
    ):
        self.architecture = architecture
        self.image_shape = image_shape
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.label_smoothing = label_smoothing

    def fit(self, X, y):
        import torch

        torch.manual_seed(0)
        self.mean_, self.scale_ = X.mean(), X.std()
        images, targets = self.tensor(X), torch.tensor(y, dtype=torch.int64)
        network = module_of(self.architecture, self.image_shape, len(np.unique(y)))
        self.module_ = network.to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(self.module_.parameters(), fused=True)
        n_steps = self.max_iter * -(-len(X) // self.batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, total_steps=n_steps)
        for _ in range(self.max_iter):
            for indices in torch.randperm(len(images)).split(self.batch_size):
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(
                    self.module_(images[indices]), targets[indices], label_smoothing=self.label_smoothing
                )
                loss.backward()
                optimizer.step()
                schedule.step()
        return self

    def score(self, X, y):
        import torch

        self.module_.eval()
        with torch.no_grad():
            predicted = torch.cat([self.module_(images).argmax(1) for images in self.tensor(X).split(256)])
        return float(np.mean(predicted.numpy() == y))

    def tensor(self, X):
        """Return standardised float32 images, of shape NCHW and channels last in memory."""
        import torch

        images = torch.tensor((X - self.mean_) / self.scale_, dtype=torch.float32)
        return images.reshape(-1, *self.image_shape).permute(0, 3, 1, 2)


def module_of(architecture, image_shape, n_classes, **hyperparameters):
    """Return the module of an architecture with the hyperparameters K, F, S and P.

    It takes rows or NHWC images of any dtype. skorch creates it for each value of `module__K` and `module__F`.
    """
    import torch

    hyperparameters = Hyperparameters(**hyperparameters)
    height, width, depth = image_shape

    class OfImages(torch.nn.Module):
        def __init__(self):
            super().__init__()
            architecture_ = find_architecture(architecture, image_shape, hyperparameters)
            self.network = module(architecture_.bind(image_shape, n_classes, hyperparameters))

        def forward(self, X):
            images = X.to(torch.float32).reshape(-1, height, width, depth)
            return self.network(images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last))

    return OfImages().to(memory_format=torch.channels_last)


def groups(module, weight_decay, **options):
    """Return the groups of parameters for an optimizer: weights decay; biases, scales and shifts do not."""
    return [
        {"params": [p for p in module.parameters() if (p.ndim > 1) == decays], "weight_decay": decay, **options}
        for decays, decay in ((True, weight_decay), (False, 0.0))
    ]


def minibatches(optimizer, n_images, batch_size, n_epochs):
    """Yield the images of each minibatch, as their numbers in random order.

    Before each, the gradients are set to zero, and each group's learning rate to that of one cycle with the peak that
    the group has now.
    """
    import torch

    peaks = [group["lr"] for group in optimizer.param_groups]
    cycle = OneCycle(1.0, n_epochs * -(-n_images // batch_size))
    step = 0
    for _ in range(n_epochs):
        for chosen in torch.randperm(n_images).split(batch_size):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * cycle.at(step)
            optimizer.zero_grad()
            yield chosen
            step += 1


def skorch_classifier(architecture, image_shape, n_classes, *, max_iter, batch_size, **hyperparameters):
    """Return a skorch estimator: AdamW, label smoothing, shuffled minibatches, no validation split, no output."""
    import torch
    from skorch import NeuralNetClassifier

    torch.manual_seed(0)
    return NeuralNetClassifier(
        module_of,
        module__architecture=architecture,
        module__image_shape=image_shape,
        module__n_classes=n_classes,
        **{f"module__{name}": value for name, value in hyperparameters.items()},
        criterion=torch.nn.CrossEntropyLoss,
        criterion__label_smoothing=0.1,
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        lr=1e-3,
        max_epochs=max_iter,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
