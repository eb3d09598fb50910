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


# -- MobileNetV2: Sandler et al. (2018), table 2 -----------------------------------------------------------------------


def mobilenet_v2():
    from torch import nn

    features, depth = [conv_norm_relu6(3, 32, 3, 2)], 32
    for t, c, n, s in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]:
        for place in range(n):
            features.append(bottleneck_of_mobilenet(depth, c, s if place == 0 else 1, t))
            depth = c
    features.append(conv_norm_relu6(320, 1280, 1, 1))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))

    classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))
    return module(forward, features=nn.Sequential(*features), classifier=classifier)


def conv_norm_relu6(depth, filters, size, stride, groups=1):
    from torch import nn

    conv = nn.Conv2d(depth, filters, size, stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(filters), nn.ReLU6())


def bottleneck_of_mobilenet(depth, filters, stride, expansion):
    from torch import nn

    wide = expansion * depth
    layers = [conv_norm_relu6(depth, wide, 1, 1)] if expansion > 1 else []
    layers += [conv_norm_relu6(wide, wide, 3, stride, groups=wide), nn.Conv2d(wide, filters, 1, bias=False)]

    def forward(self, x):
        out = self.conv(x)
        return x + out if stride == 1 and depth == filters else out

    return module(forward, conv=nn.Sequential(*layers, nn.BatchNorm2d(filters)))


# -- EfficientNet-Lite0, with the names and the padding of EfficientNet-PyTorch ----------------------------------------


def efficientnet_lite0():
    from torch import nn
    from torch.nn.functional import relu6

    blocks, depth = [], 32
    for repeats, kernel, stride, expansion, filters in [
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ]:
        for place in range(repeats):
            blocks.append(block_of_efficientnet(depth, filters, kernel, stride if place == 0 else 1, expansion))
            depth = filters

    def forward(self, x):
        x = relu6(self._bn0(padded_as_in_tensorflow(self._conv_stem, x)))
        x = relu6(self._bn1(self._conv_head(self._blocks(x))))
        return self._fc(self._dropout(x.mean((2, 3))))

    return module(
        forward,
        _conv_stem=nn.Conv2d(3, 32, 3, 2, bias=False),
        _bn0=norm_of_tensorflow(32),
        _blocks=nn.Sequential(*blocks),
        _conv_head=nn.Conv2d(320, 1280, 1, bias=False),
        _bn1=norm_of_tensorflow(1280),
        _dropout=nn.Dropout(0.2),
        _fc=nn.Linear(1280, 1000),
    )


def block_of_efficientnet(depth, filters, kernel, stride, expansion):
    from torch import nn
    from torch.nn.functional import relu6

    wide = expansion * depth

    def forward(self, x):
        out = relu6(self._bn0(self._expand_conv(x))) if expansion > 1 else x
        out = relu6(self._bn1(padded_as_in_tensorflow(self._depthwise_conv, out)))
        out = self._bn2(self._project_conv(out))
        return x + out if stride == 1 and depth == filters else out

    expand = {"_expand_conv": nn.Conv2d(depth, wide, 1, bias=False), "_bn0": norm_of_tensorflow(wide)}
    return module(
        forward,
        **(expand if expansion > 1 else {}),
        _depthwise_conv=nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False),
        _bn1=norm_of_tensorflow(wide),
        _project_conv=nn.Conv2d(wide, filters, 1, bias=False),
        _bn2=norm_of_tensorflow(filters),
    )


def norm_of_tensorflow(depth):
    from torch import nn

    return nn.BatchNorm2d(depth, eps=1e-3, momentum=0.01)


def padded_as_in_tensorflow(conv, x):
    """The convolution with padding "same": (out - 1) * stride + size - in zeros, an odd one at the bottom and right."""
    from torch.nn.functional import pad

    zeros = []
    for extent in x.shape[:1:-1]:
        total = max((-(-extent // conv.stride[0]) - 1) * conv.stride[0] + conv.kernel_size[0] - extent, 0)
        zeros += [total // 2, total - total // 2]
    return conv(pad(x, zeros))


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
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_lite0": efficientnet_lite0,
}
