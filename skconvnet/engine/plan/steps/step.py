"""What every layer is to the plan, and how chains of them are written, forward and backward."""

from skconvnet.engine.program.memory import NO_BORDER

__all__ = ["Step", "backward_chain", "forward_chain", "learns", "mark_gradients", "run"]


class Step:
    """One layer as the plan sees it.

    A step belongs to one plan: while its instructions are written it remembers its buffers. It takes no memory and
    computes nothing.

    Parameters
    ----------
    layer : BoundLayer
        What the architecture says of it.

    Attributes
    ----------
    border, gradient_border : tuple of int
        Zeros that it wants around its input, and around the gradient by its output: top, left, bottom, right.
    learns : bool
        Whether it has weights, or holds steps that have.
    overwrites : bool
        Whether its backward pass writes over the gradient that it is given.
    wanted : bool
        Whether its backward pass has to go on to the gradient by its input.
    """

    border = NO_BORDER
    gradient_border = NO_BORDER
    learns = False
    overwrites = False
    wanted = False

    def __init__(self, layer):
        self.layer = layer

    def prepare(self, work):
        """Emit what scoring needs before the first sample."""

    def forward(self, work, x, border):
        """Emit what computes the output from the volume `x`, and return the output's buffer, in a `border`."""
        raise NotImplementedError

    def backward(self, work, dy):
        """Emit what the gradient `dy` by the output means for the weights, and return the gradient by the input.

        Returns None where that one is not wanted.
        """
        raise NotImplementedError

    def update(self, work):
        """Cut the step's parameters into blocks for the update."""


def forward_chain(work, steps, x, border=NO_BORDER):
    """Write steps one after the other, each output in the border that the next step wants, the last in `border`."""
    for number, step in enumerate(steps):
        x = step.forward(work, x, steps[number + 1].border if number + 1 < len(steps) else border)
    return x


def backward_chain(work, steps, dy):
    """Write the backward passes from the last step down, and return the gradient by the input, or None.

    It ends where no step further down learns.
    """
    for step in reversed(steps):
        dy = step.backward(work, dy)
        if dy is None:
            return None
    return dy


def mark_gradients(steps, below):
    """Tell each step whether anything below it learns; return whether anything does, `below` or in the steps."""
    for step in steps:
        step.wanted = below
        for branch in getattr(step, "branches", ()):
            mark_gradients(branch, below)
        below = below or step.learns
    return below


def learns(steps):
    """Whether any of the steps has weights."""
    return any(step.learns for step in steps)


def run(steps):
    """Yield all steps in network order, those of branches included."""
    for step in steps:
        for branch in getattr(step, "branches", ()):
            yield from run(branch)
        yield step
