"""The published networks as PyTorch modules, written by hand, with torchvision's names of modules.

Like `torch_modules`, they share nothing with the notation but the order of the layers that learn, and run in another
process.
"""

from functools import partial

from tests.integration.torch_modules import module

# -- SqueezeNet 1.1: Iandola et al. (2016), its release notes, and torchvision -----------------------------------------


def squeezenet1_1(padding=0):
    from torch import nn

    features = [nn.Conv2d(3, 64, 3, stride=2, padding=padding), nn.ReLU(), half()]
    features += [fire(64, 16, 64), fire(128, 16, 64), half()]
    features += [fire(128, 32, 128), fire(256, 32, 128), half()]
    features += [fire(256, 48, 192), fire(384, 48, 192), fire(384, 64, 256), fire(512, 64, 256)]
    classifier = [nn.Dropout(0.5), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]

    def forward(self, x):
        return self.classifier(self.features(x)).flatten(1)

    return module(forward, features=nn.Sequential(*features), classifier=nn.Sequential(*classifier))


def half():
    from torch import nn

    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def fire(depth, squeezed, expanded):
    import torch
    from torch import nn

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)

    return module(
        forward,
        squeeze=nn.Conv2d(depth, squeezed, 1),
        expand1x1=nn.Conv2d(squeezed, expanded, 1),
        expand3x3=nn.Conv2d(squeezed, expanded, 3, padding=1),
    )


PUBLISHED = {
    "squeezenet1_1": squeezenet1_1,
    "squeezenet1_1_padded": partial(squeezenet1_1, padding=1),
}
