"""Branches: chains on one input, summed or stacked along depth."""

from skconvnet.engine.plan.steps.activations import undo_relu, volume_of
from skconvnet.engine.plan.steps.step import Step, backward_chain, forward_chain, learns
from skconvnet.engine.program.instructions import Op
from skconvnet.engine.program.memory import at, widest

__all__ = ["Stack", "Sum", "copy_channels"]


class _Branches(Step):
    """Chains of steps on one input; an empty chain hands its input on.

    Parameters
    ----------
    layer : BoundSum or BoundStack
    branches : list of lists of Step
    """

    def __init__(self, layer, branches):
        super().__init__(layer)
        self.branches = branches
        self.learns = any(map(learns, branches))

    @property
    def border(self):
        """What all of the branches want around their common input."""
        return widest([branch[0].border for branch in self.branches if branch])

    def _forward_branches(self, work, x):
        self.x = x
        self.outputs = [forward_chain(work, branch, work.again(x)) for branch in self.branches]

    def _input_gradient(self, work, gradients):
        """Emit the sum of the gradients that the branches return, or return None if the branches do."""
        if not self.wanted:
            return None
        total, *others = gradients
        dx = work.gradient(self.x)
        for gradient in others:
            _add(work, total, gradient, dx)
            total = dx
        return dx


class Sum(_Branches):
    """``(A + B)``, perhaps with a ReLU behind it."""

    relu = False

    @property
    def overwrites(self):
        """The gradient through the ReLU takes the place of the one before."""
        return self.relu

    def forward(self, work, x, border):
        """Emit the branches, their sum, and the ReLU."""
        self._forward_branches(work, x)
        self.y = work.volume(self.layer.output, border, widest([y.gradient_border for y in self.outputs]))
        total, *others = map(work.again, self.outputs)
        for number, output in enumerate(others, 1):
            _add(work, total, output, self.y, relu=self.relu and number == len(others))
            total = self.y
        return self.y

    def backward(self, work, dy):
        """Emit the branches' backward passes, which all begin with the one gradient."""
        if self.relu:
            undo_relu(work, self.y, dy, dy)
        gradients = [backward_chain(work, branch, self._own(work, branch, dy)) for branch in self.branches]
        return self._input_gradient(work, gradients)

    def _own(self, work, branch, dy):
        """Return the gradient for one branch: a copy where the branch would overwrite what the others still need."""
        if not (branch and branch[-1].overwrites):
            return dy
        own = work.buffer(dy.rows, dy.columns, dy.depth, dy.channels, dy.border)
        copy_channels(work, at(dy), dy, at(own), own, dy.depth)
        return own


class Stack(_Branches):
    """``(A | B)``: the branches' depth slices one branch after the other."""

    def forward(self, work, x, border):
        """Emit the branches, and copy their outputs together."""
        self._forward_branches(work, x)
        y = work.volume(self.layer.output, border)
        first = 0
        for output in map(work.again, self.outputs):
            last = first + output.channels == y.channels
            padding = y.depth - y.channels if last else 0
            copy_channels(work, at(output), output, at(y, channel=first), y, output.channels, padding)
            first += output.channels
        return y

    def backward(self, work, dy):
        """Emit each branch's slices of the gradient, and the branches' backward passes."""
        gradients, first = [], 0
        for branch, output in zip(self.branches, self.outputs, strict=True):
            own = work.gradient(output)
            padding = own.depth - own.channels
            copy_channels(work, at(dy, channel=first), dy, at(own), own, own.channels, padding)
            gradients.append(backward_chain(work, branch, own))
            first += output.channels
        return self._input_gradient(work, gradients)


def _add(work, x, w, y, relu=False):
    operands = {"X": at(x), "W": at(w), "Y": at(y)}
    work.emit(Op.ADD, operands, **volume_of(y), x_row=x.row, w_row=w.row, y_row=y.row, relu=relu)


def copy_channels(work, source, x, target, y, channels, clear=0):
    """Emit y[..., :channels] = x[..., :channels] from `source` on to `target` on; `clear` more of y become zero."""
    work.emit(
        Op.COPY_CHANNELS,
        {"X": source, "Y": target},
        rows=x.rows,
        columns=x.columns,
        channels=channels,
        x_row=x.row,
        x_depth=x.depth,
        y_row=y.row,
        y_depth=y.depth,
        clear=clear,
    )
