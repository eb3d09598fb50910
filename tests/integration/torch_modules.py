"""The case studies as PyTorch modules, written by hand from their papers.

They share nothing with the notation but the order of the layers that learn: that of the text, branch after branch. Like
those of `tests.torch_answers`, these functions run in another process and import PyTorch themselves.
"""

from functools import partial


def module(forward, **children):
    """A module that computes forward(self, x), with these children in this order."""
    from torch import nn

    class Module(nn.Module):
        def forward(self, x):
            return forward(self, x)

    made = Module()
    for name, child in children.items():
        made.add_module(name, child)
    return made


def flattened(x):
    """Rows in (row, column, channel) order, the order of FC weights in this project."""
    return x.permute(0, 2, 3, 1).flatten(1)


# -- LeNet-5: LeCun et al. (1998), figure 2, with full connections and linear outputs ----------------------------------


def lenet5():
    from torch import nn
    from torch.nn.functional import avg_pool2d

    def forward(self, x):
        x = avg_pool2d(self.c1(x).tanh(), 2)
        x = avg_pool2d(self.c3(x).tanh(), 2)
        x = self.c5(flattened(x)).tanh()
        return self.output(self.f6(x).tanh())

    return module(
        forward,
        c1=nn.Conv2d(1, 6, 5),
        c3=nn.Conv2d(6, 16, 5),
        c5=nn.Linear(400, 120),
        f6=nn.Linear(120, 84),
        output=nn.Linear(84, 10),
    )


# -- AlexNet: Krizhevsky et al. (2012), section 3.5 and figure 2, its two towers as groups -----------------------------


def alexnet():
    from torch import nn
    from torch.nn.functional import max_pool2d

    norm = paper_norm()

    def forward(self, x):
        x = max_pool2d(norm(self.conv1(x).relu()), 3, 2)
        x = max_pool2d(norm(self.conv2(x).relu()), 3, 2)
        x = self.conv3(x).relu()
        x = self.conv4(x).relu()
        x = max_pool2d(self.conv5(x).relu(), 3, 2)
        return self.classifier(flattened(x))

    return module(
        forward,
        conv1=nn.Conv2d(3, 96, 11, stride=4),
        conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
        conv3=nn.Conv2d(256, 384, 3, padding=1),
        conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
        conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
        classifier=three_layers(6 * 6 * 256),
    )


def paper_norm():
    """b = a / (2 + 1e-4 * sum of squares of 5 slices)^0.75. PyTorch divides its alpha by 5."""
    from torch import nn

    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def three_layers(inputs):
    """Two layers of 4096 units with dropout at rate 0.5, then 1000 classes."""
    from torch import nn

    hidden = [nn.Linear(inputs, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*hidden, nn.Linear(4096, 1000))


# -- ZFNet: Zeiler and Fergus (2014), figure 3 -------------------------------------------------------------------------


def zfnet():
    """The figure's volumes are 110, 55, 26, 13, 13, 13, 13 and 6 wide, so its pools round up."""
    from torch import nn

    pool, norm = nn.MaxPool2d(3, stride=2, ceil_mode=True), paper_norm()

    def forward(self, x):
        x = norm(pool(self.layer1(x).relu()))
        x = norm(pool(self.layer2(x).relu()))
        x = self.layer4(self.layer3(x).relu()).relu()
        x = pool(self.layer5(x).relu())
        return self.classifier(flattened(x))

    return module(
        forward,
        layer1=nn.Conv2d(3, 96, 7, stride=2, padding=1),
        layer2=nn.Conv2d(96, 256, 5, stride=2),
        layer3=nn.Conv2d(256, 384, 3, padding=1),
        layer4=nn.Conv2d(384, 384, 3, padding=1),
        layer5=nn.Conv2d(384, 256, 3, padding=1),
        classifier=three_layers(6 * 6 * 256),
    )


# -- VGG: Simonyan and Zisserman (2015), table 1 -----------------------------------------------------------------------


def vgg(numbers):
    """`numbers` of conv3-64, conv3-128, conv3-256, conv3-512 and conv3-512, each followed by a maxpool."""
    from torch import nn

    layers, depth = [], 3
    for number, filters in zip(numbers, (64, 128, 256, 512, 512), strict=True):
        for _ in range(number):
            layers += [nn.Conv2d(depth, filters, 3, padding=1), nn.ReLU()]
            depth = filters
        layers.append(nn.MaxPool2d(2))

    def forward(self, x):
        return self.classifier(flattened(self.features(x)))

    return module(forward, features=nn.Sequential(*layers), classifier=three_layers(7 * 7 * 512))


# -- GoogLeNet: Szegedy et al. (2015), table 1 and figure 3, without the auxiliary classifiers -------------------------

INCEPTIONS = {  # depth of the input; #1x1; #3x3 reduce, #3x3; #5x5 reduce, #5x5; pool proj
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


def googlenet():
    from torch import nn

    pool, norm = nn.MaxPool2d(3, stride=2, ceil_mode=True), paper_norm()

    def forward(self, x):
        x = norm(pool(self.conv1(x).relu()))
        x = self.conv2(self.reduce2(x).relu()).relu()
        x = pool(norm(x))
        x = pool(self.three(x))
        x = pool(self.four(x))
        x = self.five(x).mean((2, 3))
        return self.linear(self.dropout(x))

    return module(
        forward,
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3),
        reduce2=nn.Conv2d(64, 64, 1),
        conv2=nn.Conv2d(64, 192, 3, padding=1),
        three=nn.Sequential(*(inception(*INCEPTIONS[name]) for name in ("3a", "3b"))),
        four=nn.Sequential(*(inception(*INCEPTIONS[name]) for name in ("4a", "4b", "4c", "4d", "4e"))),
        five=nn.Sequential(*(inception(*INCEPTIONS[name]) for name in ("5a", "5b"))),
        dropout=nn.Dropout(0.4),
        linear=nn.Linear(1024, 1000),
    )


def inception(depth, one, reduce_three, three, reduce_five, five, projection):
    import torch
    from torch import nn
    from torch.nn.functional import max_pool2d

    def forward(self, x):
        ones = self.one(x).relu()
        threes = self.three(self.reduce_three(x).relu()).relu()
        fives = self.five(self.reduce_five(x).relu()).relu()
        pooled = self.projection(max_pool2d(x, 3, stride=1, padding=1)).relu()
        return torch.cat([ones, threes, fives, pooled], dim=1)

    return module(
        forward,
        one=nn.Conv2d(depth, one, 1),
        reduce_three=nn.Conv2d(depth, reduce_three, 1),
        three=nn.Conv2d(reduce_three, three, 3, padding=1),
        reduce_five=nn.Conv2d(depth, reduce_five, 1),
        five=nn.Conv2d(reduce_five, five, 5, padding=2),
        projection=nn.Conv2d(depth, projection, 1),
    )


# -- ResNet: He et al. (2016), table 1 and section 4.2 for small images; shortcuts of option B -------------------------


def basic_block(depth, filters, stride):
    from torch import nn

    def forward(self, x):
        out = self.norm1(self.conv1(x)).relu()
        out = self.norm2(self.conv2(out))
        return (out + self.shortcut(x)).relu()

    return module(
        forward,
        conv1=conv(depth, filters, 3, stride),
        norm1=nn.BatchNorm2d(filters),
        conv2=conv(filters, filters, 3),
        norm2=nn.BatchNorm2d(filters),
        shortcut=shortcut(depth, filters, stride),
    )


def bottleneck(depth, filters, stride):
    """1x1, 3x3, and 1x1 with four times the filters. The first has the stride."""
    from torch import nn

    def forward(self, x):
        out = self.norm1(self.conv1(x)).relu()
        out = self.norm2(self.conv2(out)).relu()
        out = self.norm3(self.conv3(out))
        return (out + self.shortcut(x)).relu()

    return module(
        forward,
        conv1=conv(depth, filters, 1, stride),
        norm1=nn.BatchNorm2d(filters),
        conv2=conv(filters, filters, 3),
        norm2=nn.BatchNorm2d(filters),
        conv3=conv(filters, 4 * filters, 1),
        norm3=nn.BatchNorm2d(4 * filters),
        shortcut=shortcut(depth, 4 * filters, stride),
    )


def conv(depth, filters, size, stride=1):
    from torch import nn

    return nn.Conv2d(depth, filters, size, stride, padding=size // 2, bias=False)


def shortcut(depth, filters, stride):
    from torch import nn

    if depth == filters and stride == 1:
        return nn.Identity()
    return nn.Sequential(conv(depth, filters, 1, stride), nn.BatchNorm2d(filters))


def resnet(block, numbers, expansion=1):
    """For ImageNet: `numbers` of blocks with 64, 128, 256 and 512 filters."""
    from torch import nn

    blocks, depth = [], 64
    for stage, (number, filters) in enumerate(zip(numbers, (64, 128, 256, 512), strict=True)):
        for place in range(number):
            blocks.append(block(depth, filters, stride=2 if stage and place == 0 else 1))
            depth = expansion * filters

    def forward(self, x):
        x = self.pool(self.norm1(self.conv1(x)).relu())
        return self.fc(self.blocks(x).mean((2, 3)))

    return module(
        forward,
        conv1=conv(3, 64, 7, stride=2),
        norm1=nn.BatchNorm2d(64),
        pool=nn.MaxPool2d(3, stride=2, padding=1),
        blocks=nn.Sequential(*blocks),
        fc=nn.Linear(depth, 1000),
    )


def small_resnet(n):
    """For CIFAR-10: 6n + 2 layers, 2n each of 16, 32 and 64 filters on 32x32, 16x16 and 8x8 pixels."""
    from torch import nn

    blocks, depth = [], 16
    for filters in (16, 32, 64):
        for _ in range(n):
            blocks.append(basic_block(depth, filters, stride=1 if depth == filters else 2))
            depth = filters

    def forward(self, x):
        x = self.norm1(self.conv1(x)).relu()
        return self.fc(self.blocks(x).mean((2, 3)))

    return module(
        forward,
        conv1=conv(3, 16, 3),
        norm1=nn.BatchNorm2d(16),
        blocks=nn.Sequential(*blocks),
        fc=nn.Linear(64, 10),
    )


# -- Identity mappings: He et al. (2016b), figure 4(e) and appendix ----------------------------------------------------


def identity_block(depth, filters, stride, first=False):
    """A block without NORM and RELU after the sum. If the depth grows, a projection of the normalised input is added.

    The first block gets an input that is already normalised and rectified.
    """
    from torch import nn

    def forward(self, x):
        before = x if first else self.norm1(x).relu()
        out = self.conv2(self.norm2(self.conv1(before)).relu())
        return out + (self.shortcut(before) if depth != filters else x)

    before = {} if first else {"norm1": nn.BatchNorm2d(depth)}
    projection = {"shortcut": conv(depth, filters, 1, stride)} if depth != filters else {}
    return module(
        forward,
        **before,
        conv1=conv(depth, filters, 3, stride),
        norm2=nn.BatchNorm2d(filters),
        conv2=conv(filters, filters, 3),
        **projection,
    )


def preact_resnet18():
    from torch import nn

    blocks, depth = [], 64
    for filters in (64, 128, 256, 512):
        for _ in range(2):
            blocks.append(identity_block(depth, filters, 1 if depth == filters else 2, first=not blocks))
            depth = filters

    def forward(self, x):
        x = self.pool(self.norm1(self.conv1(x)).relu())
        x = self.norm2(self.blocks(x)).relu()
        return self.fc(x.mean((2, 3)))

    return module(
        forward,
        conv1=conv(3, 64, 7, stride=2),
        norm1=nn.BatchNorm2d(64),
        pool=nn.MaxPool2d(3, stride=2, padding=1),
        blocks=nn.Sequential(*blocks),
        norm2=nn.BatchNorm2d(512),
        fc=nn.Linear(512, 1000),
    )


# -- airbench94: Jordan (2024), with learned scales, biases of FC and no division of the scores ------------------------


def airbench94():
    from torch import nn

    def stage(depth, filters):
        return nn.Sequential(
            conv(depth, filters, 3),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(filters, eps=1e-12),
            nn.GELU(),
            conv(filters, filters, 3),
            nn.BatchNorm2d(filters, eps=1e-12),
            nn.GELU(),
        )

    return nn.Sequential(
        nn.Conv2d(3, 24, 2),
        nn.GELU(),
        stage(24, 64),
        stage(64, 256),
        stage(256, 256),
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


CASE_STUDIES = {
    "lenet5": lenet5,
    "alexnet": alexnet,
    "zfnet": zfnet,
    "vgg11": partial(vgg, (1, 1, 2, 2, 2)),
    "vgg13": partial(vgg, (2, 2, 2, 2, 2)),
    "vgg16": partial(vgg, (2, 2, 3, 3, 3)),
    "vgg19": partial(vgg, (2, 2, 4, 4, 4)),
    "googlenet": googlenet,
    "resnet18": partial(resnet, basic_block, (2, 2, 2, 2)),
    "resnet34": partial(resnet, basic_block, (3, 4, 6, 3)),
    "resnet50": partial(resnet, bottleneck, (3, 4, 6, 3), expansion=4),
    "resnet101": partial(resnet, bottleneck, (3, 4, 23, 3), expansion=4),
    "resnet152": partial(resnet, bottleneck, (3, 8, 36, 3), expansion=4),
    "preact_resnet18": preact_resnet18,
    "resnet20": partial(small_resnet, 3),
    "resnet32": partial(small_resnet, 5),
    "resnet56": partial(small_resnet, 9),
    "airbench94": airbench94,
}
