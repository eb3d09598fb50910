"""What PyTorch makes of a network. Called through the fixture `in_torch`, see `tests.torch_answers`."""

from tests.torch_answers import arrays, frame, leaves, nchw, nhwc


def plain(bound_layers):
    """Layers as tuples, which need nothing of the package to be understood: (kind, S, P, F, ceil, extent)."""
    return [
        (
            layer.kind,
            getattr(layer, "S", None),
            getattr(layer, "P", None),
            getattr(layer, "F", None),
            getattr(layer, "round", None) == "ceil",
            (layer.output.height, layer.output.width),
        )
        for layer in bound_layers
    ]


def answers(layers, parameters, x, targets, weights, label_smoothing):
    """Returns scores, loss, then the gradient of each parameter."""
    own = leaves(*parameters)
    scores, loss = run(layers, own, x, targets, weights, label_smoothing)
    loss.backward()
    return arrays(scores, loss, *(parameter.grad for parameter in own))


def adamw_steps(layers, parameters, x, targets, weights, label_smoothing, learning_rates, alpha):
    """Returns each parameter after steps of AdamW that decay weights and leave biases alone."""
    import torch

    own = leaves(*parameters)
    groups = [{"params": own[::2], "weight_decay": alpha}, {"params": own[1::2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups)
    for learning_rate in learning_rates:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.zero_grad()
        run(layers, own, x, targets, weights, label_smoothing)[1].backward()
        optimizer.step()
    return arrays(*own)


def run(layers, parameters, x, targets, weights, label_smoothing):
    import torch
    from torch.nn import functional

    remaining = iter(parameters)
    (volume,) = leaves(x)
    for kind, S, P, F, ceil, extent in layers:
        if kind == "CONV":
            filters, biases = next(remaining), next(remaining)
            framed = functional.pad(nchw(volume), frame(volume.shape, F, S, P, extent))
            volume = nhwc(functional.conv2d(framed, filters.permute(3, 2, 0, 1).contiguous(), biases, stride=S))
        elif kind == "POOL":
            pooled = functional.max_pool2d(nchw(volume), F, stride=S, padding=P, ceil_mode=ceil)
            volume = nhwc(pooled)
        elif kind == "RELU":
            volume = functional.relu(volume)
        else:
            units, biases = next(remaining), next(remaining)
            volume = functional.linear(volume.flatten(1), units.T, biases)[:, None, None, :]
    scores = volume.flatten(1)
    targets, weights = torch.tensor(targets), torch.tensor(weights)
    losses = functional.cross_entropy(scores, targets, reduction="none", label_smoothing=label_smoothing)
    return scores, (losses * weights).sum() / weights.sum()
