"""PyTorch's results, in this project's layouts: functions from arrays to tuples of float64 arrays.

Tests call them through the fixture `in_torch`, in another process. PyTorch and Numba each bring an OpenMP runtime, so
the process that runs the tests must not import PyTorch: these functions import it themselves.
"""

import numpy as np


def conv2d(x, filters, biases, d_out, S, P, groups=1, dilation=1):
    """Returns out, d_x, d_filters and, unless `biases` is empty, d_biases. The extent is that of d_out."""
    from torch.nn import functional

    x, filters, biases, d_out = leaves(x, filters, biases, d_out)
    framed = functional.pad(nchw(x), frame(x.shape, filters.shape[:2], S, P, d_out.shape[1:3], dilation))
    bias = biases if len(biases) else None
    place = {"stride": S, "groups": groups, "dilation": dilation}
    out = functional.conv2d(framed, filters.permute(3, 2, 0, 1).contiguous(), bias, **place)
    out.backward(nchw(d_out))
    return arrays(nhwc(out), x.grad, filters.grad, *([] if bias is None else [biases.grad]))


def max_pool(x, d_out, F, S, P, ceil):
    """Returns out and d_x."""
    from torch.nn import functional

    return differentiated(lambda x: functional.max_pool2d(x, F, stride=S, padding=P, ceil_mode=ceil), d_out, x)


def average_pool(x, d_out, F, S, P, ceil, counted=False):
    """Returns out and d_x; padding is only counted if it should be."""
    from torch.nn import functional

    def pool(x):
        return functional.avg_pool2d(x, F, stride=S, padding=P, ceil_mode=ceil, count_include_pad=counted)

    return differentiated(pool, d_out, x)


def activation(kind, x, d_out):
    """Returns out and d_x of a function of `torch.nn.functional`."""
    from torch.nn import functional

    return differentiated(getattr(functional, kind), d_out, x)


def prelu(x, slopes, d_out):
    """Returns out, d_x and d_slopes."""
    from torch.nn import functional

    return differentiated(functional.prelu, d_out, x, slopes)


def batch_norm(x, scale, shift, d_out, mean, variance, momentum, eps):
    """In training. Returns out, d_x, d_scale, d_shift, and the running mean and variance after the batch."""
    from torch.nn import functional

    mean, variance = (statistic.detach() for statistic in leaves(mean, variance))

    def norm(x, scale, shift):
        return functional.batch_norm(x, mean, variance, scale, shift, training=True, momentum=momentum, eps=eps)

    return differentiated(norm, d_out, x, scale, shift) + arrays(mean, variance)


def batch_norm_inference(x, scale, shift, mean, variance, eps):
    """Returns out."""
    from torch.nn import functional

    x, *others = (array.detach() for array in leaves(x, mean, variance, scale, shift))
    return arrays(nhwc(functional.batch_norm(nchw(x), *others, eps=eps)))


def layer_norm(x, scale, shift, d_out, eps):
    """Returns out, d_x, d_scale and d_shift."""

    def norm(x, scale, shift):
        return nchw(layer_normalised(nhwc(x), scale, shift, eps))

    return differentiated(norm, d_out, x, scale, shift)


def layer_normalised(x, scale, shift, eps):
    """In this project's layout. PyTorch's group norm with one group computes the same, but crashed in this layout."""
    from torch.nn import functional

    rows = x.flatten(1)
    return functional.layer_norm(rows, rows.shape[1:], eps=eps).reshape(x.shape) * scale + shift


def local_response_norm(x, d_out, size, alpha, beta, k):
    """Returns out and d_x. PyTorch divides alpha by size, the paper does not."""
    from torch.nn import functional

    return differentiated(lambda x: functional.local_response_norm(x, size, alpha * size, beta, k), d_out, x)


def differentiated(function, d_out, x, *parameters):
    """Returns function(x, *parameters), a volume in PyTorch's layout, and the gradients of x and the parameters."""
    x, d_out, *parameters = leaves(x, d_out, *parameters)
    out = function(nchw(x), *parameters)
    out.backward(nchw(d_out))
    return arrays(nhwc(out), x.grad, *(parameter.grad for parameter in parameters))


def cross_entropy(scores, targets, weights, label_smoothing):
    """Returns the weighted mean loss and its gradient."""
    return loss("softmax_cross_entropy", scores, targets, weights, label_smoothing=label_smoothing)


def sigmoid_cross_entropy(scores, targets, weights, label_smoothing):
    """Returns the weighted mean over the images of the sum over the labels, and its gradient."""
    return loss("sigmoid_cross_entropy", scores, targets, weights, label_smoothing=label_smoothing)


def regression_loss(scores, targets, weights, function, delta):
    """Returns the weighted mean over the images of the mean over the outputs, and its gradient."""
    return loss("regression_loss", scores, targets, weights, function=function, delta=delta)


def loss(name, scores, targets, weights, **options):
    (scores,) = leaves(scores)
    return weighted_mean(scores, losses(name, scores, targets, **options), weights)


def losses(name, scores, targets, label_smoothing=0.0, function="squared", delta=1.0):
    """The loss of each image, of a tensor of scores: "softmax_cross_entropy", "sigmoid_cross_entropy" or of numbers."""
    import torch
    from torch.nn import functional

    if name == "softmax_cross_entropy":
        return functional.cross_entropy(
            scores, torch.tensor(targets), reduction="none", label_smoothing=label_smoothing
        )
    targets = torch.tensor(targets, dtype=scores.dtype)
    if name == "sigmoid_cross_entropy":
        wanted = (1 - label_smoothing) * targets + label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none").sum(1)
    if function == "squared":
        return functional.mse_loss(scores, targets, reduction="none").mean(1) / 2
    if function == "absolute":
        return functional.l1_loss(scores, targets, reduction="none").mean(1)
    return functional.huber_loss(scores, targets, reduction="none", delta=delta).mean(1)


def weighted_mean(scores, losses, weights):
    import torch

    loss = (losses * torch.tensor(weights)).sum() / weights.sum()
    loss.backward()
    return arrays(loss, scores.grad)


def adamw(p, gradients, learning_rates, alpha):
    """Returns the parameter after each step."""
    import torch

    (p,) = leaves(p)
    optimizer = torch.optim.AdamW([p], weight_decay=alpha)
    return optimized(p, optimizer, gradients, learning_rates)


def sgd(p, gradients, learning_rate, momentum, nesterov, alpha):
    """Returns the parameter after each step. At a constant learning rate, PyTorch's momentum is MLPClassifier's."""
    import torch

    (p,) = leaves(p)
    optimizer = torch.optim.SGD([p], lr=learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=alpha)
    return optimized(p, optimizer, gradients, [learning_rate] * len(gradients))


def optimized(p, optimizer, gradients, learning_rates):
    import torch

    steps = []
    for gradient, learning_rate in zip(gradients, learning_rates, strict=True):
        optimizer.param_groups[0]["lr"] = learning_rate
        p.grad = torch.tensor(gradient)
        optimizer.step()
        steps.append(p.detach().clone())
    return arrays(*steps)


def leaves(*arrays):
    import torch

    return [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]


def arrays(*tensors):
    return tuple(np.array(tensor.detach()) for tensor in tensors)


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def frame(shape, F, S, P, extent, dilation=1):
    """(left, right, top, bottom) padding with which `extent` receptive fields fit exactly. If negative, it crops.

    F, S, P and the dilation are numbers, or (of the rows, of the columns).
    """
    top, bottom, left, right = (
        zeros
        for side, last, *numbers in zip(shape[1:3], extent, *map(both, (F, S, P, dilation)), strict=True)
        for zeros in frame_along(side, last, *numbers)
    )
    return left, right, top, bottom


def frame_along(side, last, F, S, P, dilation):
    return P, (last - 1) * S + (F - 1) * dilation + 1 - P - side


def both(number):
    return (number, number) if np.isscalar(number) else tuple(number)
