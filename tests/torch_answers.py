"""What PyTorch answers, in this project's layouts. Called through the fixture `in_torch`, in a process of its own.

PyTorch and Numba each bring an OpenMP runtime, so the process that runs the tests never imports PyTorch: it is imported
inside these functions. Arrays in, tuples of float64 arrays out.
"""

import numpy as np


def conv2d(x, filters, biases, d_out, S, P):
    """Returns out, d_x, d_filters and d_biases; the extent is that of d_out."""
    from torch.nn import functional

    x, filters, biases, d_out = leaves(x, filters, biases, d_out)
    framed = functional.pad(nchw(x), frame(x.shape, filters.shape[0], S, P, d_out.shape[1:3]))
    out = functional.conv2d(framed, filters.permute(3, 2, 0, 1).contiguous(), biases, stride=S)
    out.backward(nchw(d_out))
    return arrays(nhwc(out), x.grad, filters.grad, biases.grad)


def max_pool(x, d_out, F, S, P, ceil):
    """Returns out and d_x."""
    from torch.nn import functional

    x, d_out = leaves(x, d_out)
    out = functional.max_pool2d(nchw(x), F, stride=S, padding=P, ceil_mode=ceil)
    out.backward(nchw(d_out))
    return arrays(nhwc(out), x.grad)


def cross_entropy(scores, targets, weights, label_smoothing):
    """Returns the weighted mean loss and its gradient."""
    import torch

    (scores,) = leaves(scores)
    losses = torch.nn.functional.cross_entropy(
        scores, torch.tensor(targets), reduction="none", label_smoothing=label_smoothing
    )
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
    """Returns the parameter after each step. With a constant learning rate PyTorch's momentum is MLPClassifier's."""
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


def frame(shape, F, S, P, extent):
    """(left, right, top, bottom) zeros that make `extent` receptive fields fit exactly; a negative one crops."""
    _, height, width, _ = shape
    rows, columns = extent
    return P, (columns - 1) * S + F - P - width, P, (rows - 1) * S + F - P - height
