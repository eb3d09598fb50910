"""Networks of torchvision as PyTorch modules, written by hand, with torchvision's names and random weights.

`width` divides the filters and units of all layers, so that a network is quick. Like those of `tests.torch_answers`,
the functions run in another process and import PyTorch themselves.
"""

import numpy as np

from tests.integration.torch_modules import module

N_CLASSES = 5


def chain(*layers, **named):
    """A Sequential of layers, with numbers as names, or with these names."""
    from collections import OrderedDict

    from torch import nn

    return nn.Sequential(OrderedDict(named)) if named else nn.Sequential(*layers)


def unit(C, K, F, stride=1, groups=1, eps=1e-5, relu=True):
    """CONV without biases, NORM and RELU."""
    from torch import nn

    conv = nn.Conv2d(C, K, F, stride, F // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(K, eps), *[nn.ReLU()] * relu]


def sequential(features, classifier, flat=True):
    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.flatten(1) if flat else x)

    return module(forward, features=features, classifier=classifier)


def alexnet(width, inputs=36):
    from torch import nn

    K = [n // width for n in (64, 192, 384, 256, 256, 4096)]
    features = chain(
        *(nn.Conv2d(3, K[0], 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(K[0], K[1], 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(K[1], K[2], 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(K[2], K[3], 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(K[3], K[4], 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    classifier = chain(
        *(nn.Dropout(), nn.Linear(inputs * K[4], K[5]), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(K[5], K[5]), nn.ReLU()),
        nn.Linear(K[5], N_CLASSES),
    )
    return sequential(features, classifier)


def vgg(width, counts, norm=False, inputs=49):
    from torch import nn

    layers, C, units = [], 3, 4096 // width
    for n, K in zip(counts, (64, 128, 256, 512, 512), strict=True):
        for _ in range(n):
            layers += [nn.Conv2d(C, K // width, 3, padding=1), *[nn.BatchNorm2d(K // width)] * norm, nn.ReLU()]
            C = K // width
        layers.append(nn.MaxPool2d(2, 2))
    classifier = chain(
        *(nn.Linear(inputs * C, units), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(units, units), nn.ReLU(), nn.Dropout()),
        nn.Linear(units, N_CLASSES),
    )
    return sequential(chain(*layers), classifier)


def squeezenet(width):
    from torch import cat, nn

    def forward_fire(self, x):
        x = self.squeeze(x).relu()
        return cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)

    def fire(C, squeeze, expand):
        convs = {"expand1x1": nn.Conv2d(squeeze, expand, 1), "expand3x3": nn.Conv2d(squeeze, expand, 3, padding=1)}
        return module(forward_fire, squeeze=nn.Conv2d(C, squeeze, 1), **convs)

    layers, C = [nn.Conv2d(3, 64 // width, 3, 2), nn.ReLU()], 64 // width
    for part in ("pool", (16, 64), (16, 64), "pool", (32, 128), (32, 128), "pool", *[(48, 192)] * 2, *[(64, 256)] * 2):
        if part == "pool":
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        else:
            squeeze, expand = (n // width for n in part)
            layers.append(fire(C, squeeze, expand))
            C = 2 * expand
    head = chain(nn.Dropout(), nn.Conv2d(C, N_CLASSES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return module(
        lambda self, x: self.classifier(self.features(x)).flatten(1), features=chain(*layers), classifier=head
    )


def resnet(width, counts, bottleneck=False):
    from torch import nn

    def forward_block(self, x):
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        convs = [name for name, _ in self.named_children() if name.startswith("conv")]
        for n, name in enumerate(convs):
            x = getattr(self, name.replace("conv", "bn"))(getattr(self, name)(x))
            x = x.relu() if n + 1 < len(convs) else x
        return (x + shortcut).relu()

    def block(C, K, stride):
        out, children = 4 * K if bottleneck else K, {}
        shapes = [(C, K, 1, 1), (K, K, 3, stride), (K, out, 1, 1)] if bottleneck else [(C, K, 3, stride), (K, K, 3, 1)]
        for n, shape in enumerate(shapes, 1):
            children[f"conv{n}"], children[f"bn{n}"] = unit(*shape, relu=False)
        if stride > 1 or C != out:
            children["downsample"] = chain(*unit(C, out, 1, stride, relu=False))
        return module(forward_block, **children), out

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))

    C, stages = 64 // width, {}
    conv1, bn1 = unit(3, C, 7, 2, relu=False)
    for stage, n in enumerate(counts, 1):
        blocks, K = [], 64 * 2 ** (stage - 1) // width
        for number in range(n):
            made, C = block(C, K, 2 if stage > 1 and number == 0 else 1)
            blocks.append(made)
        stages[f"layer{stage}"] = chain(*blocks)
    return module(forward, conv1=conv1, bn1=bn1, maxpool=nn.MaxPool2d(3, 2, 1), **stages, fc=nn.Linear(C, N_CLASSES))


def densenet(width, counts):
    from torch import cat, nn

    growth, C = 32 // width, 64 // width

    def forward_layer(self, x):
        new = self.conv2(self.norm2(self.conv1(self.norm1(x).relu())).relu())
        return cat([x, new], 1)

    def layer(C):
        convs = {"conv1": nn.Conv2d(C, 4 * growth, 1, bias=False), "norm2": nn.BatchNorm2d(4 * growth)}
        convs["conv2"] = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        return module(forward_layer, norm1=nn.BatchNorm2d(C), **convs)

    features = {"conv0": nn.Conv2d(3, C, 7, 2, 3, bias=False), "norm0": nn.BatchNorm2d(C), "relu0": nn.ReLU()}
    features["pool0"] = nn.MaxPool2d(3, 2, 1)
    for block, n in enumerate(counts, 1):
        if block > 1:
            conv = nn.Conv2d(C, C // 2, 1, bias=False)
            parts = {"norm": nn.BatchNorm2d(C), "relu": nn.ReLU(), "conv": conv, "pool": nn.AvgPool2d(2, 2)}
            features[f"transition{block - 1}"], C = chain(**parts), C // 2
        features[f"denseblock{block}"] = chain(**{f"denselayer{i + 1}": layer(C + i * growth) for i in range(n)})
        C += n * growth
    features["norm5"] = nn.BatchNorm2d(C)
    return module(
        lambda self, x: self.classifier(self.features(x).relu().mean((2, 3))),
        features=chain(**features),
        classifier=nn.Linear(C, N_CLASSES),
    )


def googlenet(width):
    from torch import cat, nn

    def basic(C, K, F, stride=1):
        conv, bn, relu = unit(C, K, F, stride, eps=0.001)
        return chain(conv=conv, bn=bn, relu=relu)

    def inception(C, *filters):
        one, reduce3, three, reduce5, five, pool = (n // width for n in filters)
        made = module(
            lambda self, x: cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1),
            branch1=basic(C, one, 1),
            branch2=chain(basic(C, reduce3, 1), basic(reduce3, three, 3)),
            branch3=chain(basic(C, reduce5, 1), basic(reduce5, five, 3)),
            branch4=chain(nn.MaxPool2d(3, 1, 1), basic(C, pool, 1)),
        )
        return made, one + three + five + pool

    names, parts, C = [], {}, 192 // width

    def add(name, part):
        names.append(name)
        parts[name] = part

    halved = {"ceil_mode": True}
    add("conv1", basic(3, 64 // width, 7, 2))
    add("maxpool1", nn.MaxPool2d(3, 2, **halved))
    add("conv2", basic(64 // width, 64 // width, 1))
    add("conv3", basic(64 // width, 192 // width, 3))
    add("maxpool2", nn.MaxPool2d(3, 2, **halved))
    table = {
        "3a": (64, 96, 128, 16, 32, 32),
        "3b": (128, 128, 192, 32, 96, 64),
        "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64),
        "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128),
        "5a": (256, 160, 320, 32, 128, 128),
        "5b": (384, 192, 384, 48, 128, 128),
    }
    for place, filters in table.items():
        if place in ("4a", "5a"):
            add(f"maxpool{place[0]}", nn.MaxPool2d(3 if place == "4a" else 2, 2, **halved))
        made, C = inception(C, *filters)
        add(f"inception{place}", made)

    def forward(self, x):
        for name in names:
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))

    return module(forward, **parts, fc=nn.Linear(C, N_CLASSES), aux1=chain(nn.Linear(2, 2)))


NETWORKS = {
    "alexnet_torchvision": (alexnet, {}),
    "vgg11": (vgg, {"counts": (1, 1, 2, 2, 2)}),
    "vgg16": (vgg, {"counts": (2, 2, 3, 3, 3)}),
    "vgg11_bn": (vgg, {"counts": (1, 1, 2, 2, 2), "norm": True}),
    "squeezenet1_1": (squeezenet, {}),
    "resnet18": (resnet, {"counts": (2, 2, 2, 2)}),
    "resnet34": (resnet, {"counts": (3, 4, 6, 3)}),
    "resnet50_torchvision": (resnet, {"counts": (3, 4, 6, 3), "bottleneck": True}),
    "densenet121": (densenet, {"counts": (6, 12, 24, 16)}),
    "googlenet_torchvision": (googlenet, {}),
}


def shapes(name):
    """The shapes of all arrays of the network of torchvision, by name."""
    import torch

    make, options = NETWORKS[name]
    with torch.device("meta"):
        return {key: tuple(array.shape) for key, array in make(1, **options).state_dict().items()}


def save_random(name, width, pixels, path, more):
    """Save a network with random weights in a .safetensors or .pth file, and return its logits of the pixels."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    make, options = NETWORKS[name]
    network = make(width, **options, **more).eval()
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if key.endswith("running_mean") or (key.endswith(".bias") and tensor.ndim == 1):
                tensor.uniform_(-0.2, 0.2)
            elif tensor.ndim == 1:  # scales and variances
                tensor.uniform_(0.5, 1.5)
        logits = network(torch.tensor(pixels.transpose(0, 3, 1, 2))).numpy()
    if str(path).endswith(".safetensors"):
        save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path)
    return np.array(logits)


def logits_of_squeezenet(path, pixels):
    """The logits of SqueezeNet 1.1 with the weights of a .safetensors file, for a thousand classes."""
    import torch
    from safetensors.torch import load_file

    network = squeezenet(1).eval()
    network.classifier[1] = torch.nn.Conv2d(512, 1000, 1)
    network.load_state_dict(load_file(path))
    with torch.no_grad():
        return network(torch.tensor(pixels.transpose(0, 3, 1, 2))).numpy()


MOBILENET_STRIDES = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
LITE0_STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]


def features_of_mobilenet(path, pixels):
    """The pooled features of MobileNetV2, from a .safetensors file with the names of tonylins."""
    from safetensors.torch import load_file

    blocks = [(f"features.{n}.conv", (0, 3, 6) if n > 1 else (0, 3)) for n in range(1, 18)]
    convs = [[(f"{block}.{part}", f"{block}.{part + 1}") for part in parts] for block, parts in blocks]
    ends = ("features.0.0", "features.0.1"), ("features.18.0", "features.18.1")
    return inverted(load_file(path), pixels, ends, convs, MOBILENET_STRIDES, 1e-5, tensorflow=False).numpy()


def logits_of_lite0(path, pixels):
    """The logits of EfficientNet-Lite0, from a file with the names of EfficientNet-PyTorch."""
    import torch

    parts = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    convs = [[(f"_blocks.{n}.{a}", f"_blocks.{n}.{b}") for a, b in (parts if n else parts[1:])] for n in range(16)]
    state = torch.load(path, weights_only=True)
    ends = ("_conv_stem", "_bn0"), ("_conv_head", "_bn1")
    features = inverted(state, pixels, ends, convs, LITE0_STRIDES, 1e-3, tensorflow=True)
    return (features @ state["_fc.weight"].T + state["_fc.bias"]).numpy()


def inverted(state, pixels, ends, blocks, strides, eps, tensorflow):
    """The pooled features of inverted residual blocks, with PyTorch's padding or TensorFlow's."""
    import torch
    from torch.nn.functional import batch_norm, conv2d, pad, relu6

    def unit(x, names, stride=1, linear=False):
        conv, norm = (name + "." for name in names)
        weight = state[f"{conv}weight"]
        F = weight.shape[-1]
        least = max(F - stride, 0) if tensorflow else 2 * (F // 2)  # of an even extent
        x = pad(x, (least // 2, least - least // 2) * 2)
        x = conv2d(x, weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 and F > 1 else 1)
        parts = [state[f"{norm}{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = batch_norm(x, *parts, eps=eps)
        return x if linear else relu6(x)

    with torch.no_grad():
        x = unit(torch.tensor(pixels.transpose(0, 3, 1, 2)), ends[0], 2)
        for block, stride in zip(blocks, strides, strict=True):
            shortcut = x
            for number, names in enumerate(block):
                x = unit(x, names, stride if number == len(block) - 2 else 1, linear=number == len(block) - 1)
            x = x + shortcut if x.shape == shortcut.shape else x
        return unit(x, ends[1]).mean((2, 3))
