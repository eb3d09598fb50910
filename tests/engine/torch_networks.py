"""What PyTorch makes of a network. Called through the fixture `in_torch`, see `tests.torch_answers`."""

from tests.torch_answers import arrays, frame, layer_normalised, leaves, losses, nchw, nhwc

NUMBERS = tuple("F S P dilation groups round padding mode rate momentum eps size alpha beta k".split())


def plain(bound_layers):
    """Layers as tuples, which need nothing of the package to be understood: (kind, numbers, branches).

    The numbers are a dict of those that the layer has, and the (rows, columns) of its output as "extent"; branches are
    tuples of such layers.
    """
    return tuple(
        (
            layer.kind,
            {name: getattr(layer, name) for name in NUMBERS if hasattr(layer, name)}
            | {"extent": (layer.output.height, layer.output.width)},
            tuple(plain(branch) for branch in getattr(layer, "branches", ())),
        )
        for layer in bound_layers
    )


def answers(layers, parameters, x, targets, weights, loss, running=(), masks=()):
    """Returns scores in inference, the loss in training, its gradient for each parameter, and the running statistics.

    `parameters` are weights, biases, weights, biases, ... in walk order; `running` are mean, variance, mean, variance,
    ... before the step, and so they are returned after it. `masks` are what each DROPOUT keeps. `loss` is a name and
    options of `tests.torch_answers.losses`.
    """
    own, running = leaves(*parameters), [own.detach() for own in leaves(*running)]
    scores = volume_of(layers, own, x, running).flatten(1)
    after = [own.clone() for own in running]
    loss = loss_of(layers, own, x, targets, weights, loss, after, masks)
    loss.backward()
    return arrays(scores, loss, *map(gradient_of, own), *after)


def output(layers, parameters, x, running=()):
    """Returns what the last layer gives in inference, (n, rows, columns, depth)."""
    return arrays(volume_of(layers, leaves(*parameters), x, [own.detach() for own in leaves(*running)]))


def same_convolution(x, filters, S):
    """Returns the mean of each depth slice of a CONV with TensorFlow's padding "same".

    There are as many outputs as strides in the image, rounded up, and if the zeros that they need are odd in number,
    one more of them is below and to the right.
    """
    from torch.nn import functional

    x, filters = leaves(x, filters)
    pads = []
    for side, F in zip(x.shape[2:0:-1], filters.shape[1::-1], strict=True):  # of the columns, then of the rows
        zeros = max((-(-side // S) - 1) * S + F - side, 0)
        pads += [zeros // 2, zeros - zeros // 2]
    out = functional.conv2d(functional.pad(nchw(x), pads), filters.permute(3, 2, 0, 1).contiguous(), stride=S)
    return arrays(out.mean(dim=(2, 3)))


def adamw_steps(layers, parameters, x, targets, weights, label_smoothing, learning_rates, alpha, running=()):
    """Returns each parameter, then each running statistic, after steps of AdamW.

    The weights of CONV and FC decay, biases, scales and shifts do not.
    """
    import torch

    own, running = leaves(*parameters), [own.detach() for own in leaves(*running)]
    groups = [
        {"params": [parameter for parameter in own if parameter.ndim > 1], "weight_decay": alpha},
        {"params": [parameter for parameter in own if parameter.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups)
    for learning_rate in learning_rates:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.zero_grad()
        loss_of(
            layers, own, x, targets, weights, ("softmax_cross_entropy", {"label_smoothing": label_smoothing}), running
        ).backward()
        optimizer.step()
    return arrays(*own, *running)


def loss_of(layers, parameters, x, targets, weights, loss, running, masks=()):
    """The weighted mean loss in training; `loss` is its name and options. `running` is brought up to date."""
    import torch

    scores = volume_of(layers, parameters, x, running, masks, training=True).flatten(1)
    name, options = loss
    weights = torch.tensor(weights)
    return (losses(name, scores, targets, **options) * weights).sum() / weights.sum()


def gradient_of(parameter):
    """A CONV without biases has an empty array of them, which no gradient reaches."""
    import torch

    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def volume_of(layers, parameters, x, running, masks=(), training=False):
    """What the last layer gives, in this project's layout."""
    (volume,) = leaves(x)
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    statistics = zip(running[::2], running[1::2], strict=True)
    return Pass(pairs, statistics, iter(masks), training).chain(layers, volume.detach())


class Pass:
    """A pass through a network, taking parameters, statistics and masks as it comes to the layers that need them."""

    def __init__(self, pairs, statistics, masks, training):
        self.pairs = pairs
        self.statistics = statistics
        self.masks = masks
        self.training = training

    def chain(self, layers, volume):
        for kind, numbers, branches in layers:
            volume = getattr(self, kind.lower())(volume, branches or numbers)
        return volume

    def conv(self, volume, numbers):
        from torch.nn import functional

        filters, biases = next(self.pairs)
        place = [numbers[name] for name in ("F", "S", "P", "extent", "dilation")]
        framed = functional.pad(nchw(volume), frame(volume.shape, *place))
        return nhwc(
            functional.conv2d(
                framed,
                filters.permute(3, 2, 0, 1).contiguous(),
                biases if len(biases) else None,
                stride=numbers["S"],
                groups=numbers["groups"],
                dilation=numbers["dilation"],
            )
        )

    def fc(self, volume, numbers):
        """On a larger image than it was made for, the FC is a CONV whose filters are as large as that was."""
        from torch.nn import functional

        units, biases = next(self.pairs)
        rows, columns = (side - out + 1 for side, out in zip(volume.shape[1:3], numbers["extent"], strict=True))
        filters = units.reshape(rows, columns, volume.shape[3], -1).permute(3, 2, 0, 1).contiguous()
        return nhwc(functional.conv2d(nchw(volume), filters, biases))

    def pool(self, volume, numbers):
        from torch.nn import functional

        place = {"stride": numbers["S"], "padding": numbers["P"], "ceil_mode": numbers["round"] == "ceil"}
        if numbers["mode"] == "max":
            return nhwc(functional.max_pool2d(nchw(volume), numbers["F"], **place))
        return nhwc(
            functional.avg_pool2d(
                nchw(volume), numbers["F"], **place, count_include_pad=numbers["padding"] == "counted"
            )
        )

    def norm(self, volume, numbers):
        """PyTorch divides the alpha of a local response norm by its size, the paper does not."""
        from torch.nn import functional

        x, mode, eps = nchw(volume), numbers["mode"], numbers["eps"]
        if mode == "lrn":
            size = numbers["size"]
            return nhwc(functional.local_response_norm(x, size, numbers["alpha"] * size, numbers["beta"], numbers["k"]))
        scale, shift = next(self.pairs)
        if mode == "layer":
            return layer_normalised(volume, scale, shift, eps)
        mean, variance = next(self.statistics)
        return nhwc(functional.batch_norm(x, mean, variance, scale, shift, self.training, numbers["momentum"], eps))

    def relu(self, volume, numbers):
        return volume.relu()

    def relu6(self, volume, numbers):
        return volume.clip(0, 6)

    def prelu(self, volume, numbers):
        from torch.nn import functional

        slopes, _ = next(self.pairs)
        return nhwc(functional.prelu(nchw(volume), slopes))

    def hsigmoid(self, volume, numbers):
        """PyTorch's own multiplies gradients by a sixth in float32, whatever they are."""
        from torch.nn import functional

        return functional.relu6(volume + 3) / 6

    def hswish(self, volume, numbers):
        return volume * self.hsigmoid(volume, numbers)

    def gelu(self, volume, numbers):
        from torch.nn import functional

        return functional.gelu(volume)

    def tanh(self, volume, numbers):
        return volume.tanh()

    def sigmoid(self, volume, numbers):
        return volume.sigmoid()

    def skip(self, volume, numbers):
        return volume

    def dropout(self, volume, numbers):
        import torch

        if not self.training:
            return volume
        return volume * torch.tensor(next(self.masks), dtype=volume.dtype) / (1 - numbers["rate"])

    def sum(self, volume, branches):
        return sum(self.chain(branch, volume) for branch in branches)

    def gate(self, volume, branches):
        first, second = (self.chain(branch, volume) for branch in branches)
        return first * second

    def stack(self, volume, branches):
        import torch

        return torch.cat([self.chain(branch, volume) for branch in branches], dim=3)
