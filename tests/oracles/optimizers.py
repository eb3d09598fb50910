"""Steps of Adam and SGD."""

import numpy as np


def adam(p, gradient, m, v, step, learning_rate, alpha=0.0, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Step number `step`, from 1, of Adam with decoupled weight decay, as PyTorch's AdamW. Returns p, m and v.

    m and v, the running means of the gradient and of its square, start at zero. For biases alpha is 0.
    """
    p = p - learning_rate * alpha * p
    m = beta_1 * m + (1 - beta_1) * gradient
    v = beta_2 * v + (1 - beta_2) * gradient**2
    m_unbiased = m / (1 - beta_1**step)
    v_unbiased = v / (1 - beta_2**step)
    return p - learning_rate * m_unbiased / (np.sqrt(v_unbiased) + epsilon), m, v


def sgd(p, gradient, velocity, learning_rate, momentum=0.9, nesterov=True, alpha=0.0, batch_size=1):
    """One step of SGD with momentum and an L2 term, as MLPClassifier's. Returns p and velocity.

    The velocity starts at zero. For biases alpha is 0.
    """
    gradient = gradient + alpha * p / batch_size
    velocity = momentum * velocity - learning_rate * gradient
    update = momentum * velocity - learning_rate * gradient if nesterov else velocity
    return p + update, velocity
