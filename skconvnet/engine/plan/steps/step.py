"""What every layer is to the plan, and how chains of layers are emitted, forward and backward."""

from skconvnet.engine.program.memory import NO_BORDER

__all__ = ["Step", "backward_chain", "forward_chain", "mark_gradients", "walk_steps"]


class Step:
    """One layer as the plan sees it.

    A step belongs to one plan: while it emits instructions it remembers its buffers. It has no memory of its own
    and computes nothing.

    Parameters
    ----------
    layer : BoundLayer
        The layer of the architecture.

    Attributes
    ----------
    border, gradient_border : tuple of int
        Zeros that it needs around its input, and around the gradient of its output: top, left, bottom, right.
    learns : bool
        Whether it has weights that training changes, or contains steps that have.
    overwrites : bool
        Whether its backward pass overwrites the gradient that it is given.
    needs_input_gradient : bool
        Whether its backward pass has to compute the gradient of its input.
    """

    border = NO_BORDER
    gradient_border = NO_BORDER
    learns = False
    overwrites = False
    needs_input_gradient = False

    def __init__(self, layer):
        self.layer = layer

    def prepare(self, builder):
        """Emit what a step that does not learn computes from its parameters alone, once for all batches."""

    def transform_weights(self, builder, in_training):
        """Emit the weights in the form that the step reads: for every batch if it learns, else once for all."""

    def begin_batch(self, builder):
        """Emit what a step that learns computes from its parameters alone, for every batch."""

    def end_batch(self, builder):
        """Emit what a step computes from sums that all samples have left, behind the backward pass."""

    def forward(self, builder, x, border):
        """Emit the output of the volume `x`, and return the output's buffer, inside a `border`."""
        raise NotImplementedError

    def backward(self, builder, dy):
        """Emit the gradients of the weights, and return that of the input, from the output's gradient `dy`.

        A step that does not learn emits none of its weights. Returns None where the input's gradient is not needed.
        """
        raise NotImplementedError

    def update(self, builder):
        """Cut the step's parameters into blocks for the update."""


def forward_chain(builder, steps, x, border=NO_BORDER):
    """Emit steps one after the other, each output in the border that the next step needs, the last in `border`."""
    for number, step in enumerate(steps):
        x = step.forward(builder, x, steps[number + 1].border if number + 1 < len(steps) else border)
    return x


def backward_chain(builder, steps, dy):
    """Emit the backward passes from the last step to the first, and return the gradient of the input.

    It ends with None where no earlier step learns.
    """
    for step in reversed(steps):
        if not (step.learns or step.needs_input_gradient):
            return None
        dy = step.backward(builder, dy)
    return dy


def mark_gradients(steps, learned_before=False):
    """Set `needs_input_gradient` of each step; return whether anything learns, `learned_before` or in the steps."""
    for step in steps:
        step.needs_input_gradient = learned_before
        for branch in getattr(step, "branches", ()):
            mark_gradients(branch, learned_before)
        learned_before = learned_before or step.learns
    return learned_before


def walk_steps(steps):
    """Yield all steps in network order, the steps of branches before their sum or stack."""
    for step in steps:
        for branch in getattr(step, "branches", ()):
            yield from walk_steps(branch)
        yield step
