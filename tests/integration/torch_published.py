"""The published networks as PyTorch modules, written by hand, with torchvision's names of modules.

Like `torch_modules`, they share nothing with the notation but the order of the layers that learn, and run in another
process.
"""

from functools import partial

from tests.integration.torch_modules import INCEPTIONS, flattened, module

# -- AlexNet: torchvision's, after Krizhevsky (2014), "One weird trick" ------------------------------------------------


def alexnet():
    from torch import nn

    layers = [nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    layers += [nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    hidden = [nn.Dropout(0.5), nn.Linear(6 * 6 * 256, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096)]

    def forward(self, x):
        return self.classifier(flattened(self.features(x)))

    classifier = nn.Sequential(*hidden, nn.ReLU(), nn.Linear(4096, 1000))
    return module(forward, features=nn.Sequential(*layers), classifier=classifier)


# -- VGG: Simonyan and Zisserman (2015), table 1, with batch normalisation ---------------------------------------------


def vgg_bn(*widths):
    """`widths` has the filters of each CONV, and "M" for a maxpool, as torchvision's tables have them."""
    from torch import nn

    layers, depth = [], 3
    for width in widths:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(depth, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            depth = width
    classifier = [nn.Linear(7 * 7 * 512, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU()]
    classifier += [nn.Dropout(0.5), nn.Linear(4096, 1000)]

    def forward(self, x):
        return self.classifier(flattened(self.features(x)))

    return module(forward, features=nn.Sequential(*layers), classifier=nn.Sequential(*classifier))


# -- GoogLeNet: torchvision's, with batch normalisation and 3x3 in place of 5x5 ----------------------------------------


def googlenet():
    from torch import nn

    def forward(self, x):
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4c(self.inception4b(self.inception4a(x)))
        x = self.maxpool4(self.inception4e(self.inception4d(x)))
        x = self.inception5b(self.inception5a(x))
        return self.fc(self.dropout(x.mean((2, 3))))

    return module(
        forward,
        conv1=normalised(3, 64, 7, stride=2, padding=3),
        maxpool1=half(),
        conv2=normalised(64, 64, 1),
        conv3=normalised(64, 192, 3, padding=1),
        maxpool2=half(),
        maxpool3=half(),
        maxpool4=nn.MaxPool2d(2, stride=2, ceil_mode=True),
        **{f"inception{name}": inception(*INCEPTIONS[name]) for name in INCEPTIONS},
        dropout=nn.Dropout(0.2),
        fc=nn.Linear(1024, 1000),
    )


def normalised(depth, filters, size, **options):
    from torch import nn

    def forward(self, x):
        return self.bn(self.conv(x)).relu()

    return module(
        forward,
        conv=nn.Conv2d(depth, filters, size, bias=False, **options),
        bn=nn.BatchNorm2d(filters, eps=0.001),
    )


def inception(depth, one, reduce_three, three, reduce_five, five, projection):
    import torch
    from torch import nn

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)

    return module(
        forward,
        branch1=normalised(depth, one, 1),
        branch2=nn.Sequential(normalised(depth, reduce_three, 1), normalised(reduce_three, three, 3, padding=1)),
        branch3=nn.Sequential(normalised(depth, reduce_five, 1), normalised(reduce_five, five, 3, padding=1)),
        branch4=nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), normalised(depth, projection, 1)),
    )


# -- ResNet: He et al. (2016), table 1, with the strides of torchvision ------------------------------------------------


def resnet(*counts):
    from torch import nn

    stages, depth = {}, 64
    for number, (count, filters) in enumerate(zip(counts, (64, 128, 256, 512), strict=True), 1):
        blocks = []
        for place in range(count):
            blocks.append(bottleneck(depth, filters, stride=2 if number > 1 and place == 0 else 1))
            depth = 4 * filters
        stages[f"layer{number}"] = nn.Sequential(*blocks)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))

    return module(
        forward,
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
        **stages,
        fc=nn.Linear(depth, 1000),
    )


def bottleneck(depth, filters, stride):
    """1x1, 3x3 and 1x1. The second has the stride."""
    from torch import nn

    def forward(self, x):
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out)).relu()
        return (self.bn3(self.conv3(out)) + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()

    last = 4 * filters
    shortcut = [nn.Conv2d(depth, last, 1, stride, bias=False), nn.BatchNorm2d(last)] if depth != last else []
    return module(
        forward,
        conv1=nn.Conv2d(depth, filters, 1, bias=False),
        bn1=nn.BatchNorm2d(filters),
        conv2=nn.Conv2d(filters, filters, 3, stride, padding=1, bias=False),
        bn2=nn.BatchNorm2d(filters),
        conv3=nn.Conv2d(filters, last, 1, bias=False),
        bn3=nn.BatchNorm2d(last),
        **({"downsample": nn.Sequential(*shortcut)} if shortcut else {}),
    )


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


# -- DenseNet: Huang et al. (2017), table 1 ----------------------------------------------------------------------------


def densenet(*counts, growth=32, depth=64):
    from torch import nn

    features = {
        "conv0": nn.Conv2d(3, depth, 7, stride=2, padding=3, bias=False),
        "norm0": nn.BatchNorm2d(depth),
        "relu0": nn.ReLU(),
        "pool0": nn.MaxPool2d(3, stride=2, padding=1),
    }
    for number, count in enumerate(counts, 1):
        layers = {f"denselayer{1 + i}": dense_layer(depth + i * growth, growth) for i in range(count)}
        features[f"denseblock{number}"] = module(in_turn, **layers)
        depth += count * growth
        if number < len(counts):
            features[f"transition{number}"] = module(
                in_turn,
                norm=nn.BatchNorm2d(depth),
                relu=nn.ReLU(),
                conv=nn.Conv2d(depth, depth // 2, 1, bias=False),
                pool=nn.AvgPool2d(2),
            )
            depth //= 2
    features["norm5"] = nn.BatchNorm2d(depth)

    def forward(self, x):
        return self.classifier(self.features(x).relu().mean((2, 3)))

    return module(forward, features=module(in_turn, **features), classifier=nn.Linear(depth, 1000))


def dense_layer(depth, growth):
    import torch
    from torch import nn

    def forward(self, x):
        inner = self.conv1(self.norm1(x).relu())
        return torch.cat([x, self.conv2(self.norm2(inner).relu())], 1)

    return module(
        forward,
        norm1=nn.BatchNorm2d(depth),
        conv1=nn.Conv2d(depth, 4 * growth, 1, bias=False),
        norm2=nn.BatchNorm2d(4 * growth),
        conv2=nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
    )


def in_turn(self, x):
    for child in self.children():
        x = child(x)
    return x


PUBLISHED = {
    "alexnet_torchvision": alexnet,
    "vgg11_bn": partial(vgg_bn, 64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "vgg13_bn": partial(vgg_bn, *[64] * 2, "M", *[128] * 2, "M", *[256] * 2, "M", *[512] * 2, "M", *[512] * 2, "M"),
    "vgg16_bn": partial(vgg_bn, *[64] * 2, "M", *[128] * 2, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"),
    "vgg19_bn": partial(vgg_bn, *[64] * 2, "M", *[128] * 2, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"),
    "googlenet_torchvision": googlenet,
    "resnet50_torchvision": partial(resnet, 3, 4, 6, 3),
    "resnet101_torchvision": partial(resnet, 3, 4, 23, 3),
    "resnet152_torchvision": partial(resnet, 3, 8, 36, 3),
    "squeezenet1_1": squeezenet1_1,
    "squeezenet1_1_padded": partial(squeezenet1_1, padding=1),
    "densenet121": partial(densenet, 6, 12, 24, 16),
}
