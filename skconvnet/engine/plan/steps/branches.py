"""Branches: chains of steps on one input, summed, stacked along depth or multiplied."""

from skconvnet.engine.plan.steps.activations import emit_relu_backward, extents
from skconvnet.engine.plan.steps.step import Step, backward_chain, forward_chain
from skconvnet.engine.program.instructions import Op
from skconvnet.engine.program.memory import element, widest

__all__ = ["Gate", "Stack", "Sum", "emit_copy_channels"]


class _Branches(Step):
    """Chains of steps on one input; an empty chain returns its input.

    Parameters
    ----------
    layer : BoundSum, BoundStack or BoundGate
    branches : list of lists of Step
    """

    def __init__(self, layer, branches):
        super().__init__(layer)
        self.branches = branches
        self.learns = any(step.learns for branch in branches for step in branch)

    @property
    def border(self):
        """The widest border that a branch needs around the common input."""
        return widest([branch[0].border for branch in self.branches if branch])

    def _forward_branches(self, builder, x):
        self.x = x
        self.outputs = [forward_chain(builder, branch, builder.recompute(x)) for branch in self.branches]

    def _input_gradient(self, builder, gradients):
        """Emit the sum of the branches' input gradients and return it, or None if it is not needed."""
        if not self.needs_input_gradient:
            return None
        total, *others = gradients
        dx = builder.gradient(self.x)
        for gradient in others:
            _emit_add(builder, total, gradient, dx)
            total = dx
        return dx


class Sum(_Branches):
    """``(A + B)``, possibly followed by a ReLU."""

    relu = False

    @property
    def overwrites(self):
        """The gradient before the ReLU replaces the gradient after it."""
        return self.relu

    def forward(self, builder, x, border):
        """Emit the branches, their sum, and the ReLU."""
        self._forward_branches(builder, x)
        gradient_border = widest([y.gradient_border for y in self.outputs])
        self.y = builder.volume(self.layer.output, border, gradient_border=gradient_border)
        total, *others = map(builder.recompute, self.outputs)
        for number, output in enumerate(others, 1):
            _emit_add(builder, total, output, self.y, relu=self.relu and number == len(others))
            total = self.y
        return self.y

    def backward(self, builder, dy):
        """Emit the branches' backward passes, all from the same gradient."""
        if self.relu:
            emit_relu_backward(builder, self.y, dy, dy)
        gradients = [backward_chain(builder, branch, self._scratch(builder, branch, dy)) for branch in self.branches]
        return self._input_gradient(builder, gradients)

    def _scratch(self, builder, branch, dy):
        """Return the gradient for one branch: a copy where the branch would overwrite what the others need."""
        if not (branch and branch[-1].overwrites):
            return dy
        scratch = builder.like(dy, dy.border)
        emit_copy_channels(builder, element(dy), dy, element(scratch), scratch, dy.depth)
        return scratch


class Stack(_Branches):
    """``(A | B)``: the depth slices of the first branch, then those of the next."""

    def forward(self, builder, x, border):
        """Emit the branches, and copy their outputs into one volume."""
        self._forward_branches(builder, x)
        y = builder.volume(self.layer.output, border)
        first = 0
        for output in map(builder.recompute, self.outputs):
            last = first + output.channels == y.channels
            padding = y.depth - y.channels if last else 0
            target = element(y, channel=first)
            emit_copy_channels(builder, element(output), output, target, y, output.channels, padding)
            first += output.channels
        return y

    def backward(self, builder, dy):
        """Emit each branch's slices of the gradient, and the branches' backward passes."""
        gradients, first = [], 0
        for branch, output in zip(self.branches, self.outputs, strict=True):
            scratch = builder.gradient(output)
            padding = scratch.depth - scratch.channels
            source = element(dy, channel=first)
            emit_copy_channels(builder, source, dy, element(scratch), scratch, scratch.channels, padding)
            gradients.append(backward_chain(builder, branch, scratch))
            first += output.channels
        return self._input_gradient(builder, gradients)


class Gate(_Branches):
    """``(A * B)``: the product of both outputs, one of which may be a pixel that multiplies every other."""

    def forward(self, builder, x, border):
        """Emit the branches, and the product of their outputs."""
        self._forward_branches(builder, x)
        y = builder.volume(self.layer.output, border)
        larger, smaller = sorted(map(builder.recompute, self.outputs), key=lambda output: -output.rows * output.columns)
        _emit_multiply(builder, larger, smaller, y)
        return y

    def backward(self, builder, dy):
        """Emit the gradient of each factor, dy times the other one, and the branches' backward passes."""
        gradients = []
        for branch, output, other in zip(self.branches, self.outputs, reversed(self.outputs), strict=True):
            if self.needs_input_gradient or any(step.learns for step in branch):
                scratch = builder.gradient(output)
                _emit_factor_gradient(builder, dy, builder.recompute(other), scratch)
                gradients.append(backward_chain(builder, branch, scratch))
        return self._input_gradient(builder, gradients)


def _emit_factor_gradient(builder, dy, other, dx):
    """Emit dx = dy * other, summed over the pixels where `dx` is one pixel that multiplied all of the other factor."""
    if (dx.rows, dx.columns) == (dy.rows, dy.columns):
        _emit_multiply(builder, dy, other, dx)
    else:
        operands = {"x": element(dy), "w": element(other), "sums": element(dx)}
        builder.emit(Op.MULTIPLY_SUMS, operands, **extents(dy), x_row=dy.row, w_row=other.row)


def _emit_multiply(builder, x, w, y):
    """Emit y = x * w, where `w` is as large as `x` or one pixel."""
    operands = {"x": element(x), "w": element(w), "y": element(y)}
    is_whole = (w.rows, w.columns) == (x.rows, x.columns)
    strides = {"w_row": w.row, "w_column": w.depth} if is_whole else {"w_row": 0, "w_column": 0}
    builder.emit(Op.MULTIPLY, operands, **extents(y), x_row=x.row, **strides, y_row=y.row)


def _emit_add(builder, x, w, y, relu=False):
    operands = {"x": element(x), "w": element(w), "y": element(y)}
    builder.emit(Op.ADD, operands, **extents(y), x_row=x.row, w_row=w.row, y_row=y.row, relu=relu)


def emit_copy_channels(builder, source, x, target, y, channels, clear=0):
    """Emit a copy of `channels` numbers of each pixel, and zeros behind them.

    Parameters
    ----------
    builder : PlanBuilder
    source, target : Operand
        The first channel of pixel (0, 0): in the volume `x`, and in the volume `y`.
    x, y : Buffer
    channels, clear : int
        How many numbers are copied, and how many are cleared behind the copy.
    """
    builder.emit(
        Op.COPY_CHANNELS,
        {"x": source, "y": target},
        rows=x.rows,
        columns=x.columns,
        channels=channels,
        x_row=x.row,
        x_depth=x.depth,
        y_row=y.row,
        y_depth=y.depth,
        clear=clear,
    )
