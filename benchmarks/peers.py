"""The same networks in PyTorch, which is imported only where they run."""

import numpy as np

from skconvnet import Architecture


def module(bound):
    """The PyTorch module of a bound architecture of CONV, RELU, POOL(max) and FC; it takes NCHW images."""
    from torch import nn

    layers = {
        "BoundConv": lambda layer: [nn.Conv2d(layer.input.depth, layer.K, layer.F, layer.S, layer.P)],
        "BoundRelu": lambda layer: [nn.ReLU()],
        "BoundPool": lambda layer: [nn.MaxPool2d(layer.F, layer.S, layer.P, ceil_mode=layer.round == "ceil")],
        "BoundFC": lambda layer: [nn.Flatten(), nn.Linear(layer.input.size, layer.units)],
    }
    return nn.Sequential(*(part for layer in bound.layers for part in layers[type(layer).__name__](layer)))


class TorchClassifier:
    """A network in the notation, trained by PyTorch with AdamW, one cycle of the learning rate and label smoothing."""

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
        bound = Architecture.parse(self.architecture).bind(self.image_shape, len(np.unique(y)))
        self.module_ = module(bound).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(self.module_.parameters(), fused=True)
        n_steps = self.max_iter * -(-len(X) // self.batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, total_steps=n_steps)
        for _ in range(self.max_iter):
            for indices in torch.randperm(len(X)).split(self.batch_size):
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

        with torch.no_grad():
            predicted = torch.cat([self.module_(images).argmax(1) for images in self.tensor(X).split(256)])
        return float(np.mean(predicted.numpy() == y))

    def tensor(self, X):
        """Standardised float32 images, NCHW in meaning and channels last in memory."""
        import torch

        images = torch.tensor((X - self.mean_) / self.scale_, dtype=torch.float32)
        return images.reshape(-1, *self.image_shape).permute(0, 3, 1, 2)
