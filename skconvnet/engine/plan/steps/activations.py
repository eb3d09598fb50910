"""Steps that treat every activation by itself: RELU, TANH, SIGMOID and DROPOUT."""

from skconvnet.engine.plan.steps.step import Step
from skconvnet.engine.program.instructions import Op, Space
from skconvnet.engine.program.memory import at, place

__all__ = ["Dropout", "Relu", "Sigmoid", "Tanh", "undo_relu"]


def undo_relu(work, y, dy, dx):
    """Emit dx = dy where the output `y` of a ReLU is above zero, 0 elsewhere; `dx` may be `dy`."""
    work.emit(
        Op.BIAS_RELU_BACKWARD,
        {"X": at(dy), "Y": at(y), "W": at(dx), "START": place(Space.SHARED, 0)},
        **volume_of(y),
        x_row=dy.row,
        y_row=y.row,
        w_row=dx.row,
        relu=1,
        bias=0,
    )


def volume_of(buffer):
    """Return the numbers of a stored volume."""
    return {"rows": buffer.rows, "columns": buffer.columns, "depth": buffer.depth}


class Relu(Step):
    """A RELU that stands by itself: y = max(x, 0)."""

    def forward(self, work, x, border):
        """Emit the maximum with zero."""
        self.x, self.y = x, work.volume(self.layer.output, border)
        work.emit(Op.RELU, {"X": at(x), "Y": at(self.y)}, **volume_of(x), x_row=x.row, y_row=self.y.row)
        return self.y

    def backward(self, work, dy):
        """Emit the gradient where the output is not zero."""
        if not self.wanted:
            return None
        dx = work.gradient(self.x)
        undo_relu(work, self.y, dy, dx)
        return dx


class Tanh(Step):
    """TANH: y = tanh(x), dx = dy (1 - y**2)."""

    sigmoid = 0

    def forward(self, work, x, border):
        """Emit the function of each activation."""
        self.x, self.y = x, work.volume(self.layer.output, border)
        numbers = volume_of(x) | {"channels": x.channels, "x_row": x.row, "y_row": self.y.row}
        work.emit(Op.SQUASH, {"X": at(x), "Y": at(self.y)}, **numbers, sigmoid=self.sigmoid)
        return self.y

    def backward(self, work, dy):
        """Emit the gradient, which the output is enough for."""
        if not self.wanted:
            return None
        dx = work.gradient(self.x)
        operands = {"X": at(dy), "Y": at(self.y), "W": at(dx)}
        numbers = volume_of(dy) | {"dy_row": dy.row, "y_row": self.y.row, "dx_row": dx.row}
        work.emit(Op.SQUASH_BACKWARD, operands, **numbers, sigmoid=self.sigmoid)
        return dx


class Sigmoid(Tanh):
    """SIGMOID: y = 1/(1 + exp(-x)), dx = dy y (1 - y)."""

    sigmoid = 1


class Dropout(Step):
    """DROPOUT in training: each activation is 0 with probability `rate`, else divided by 1 - `rate`.

    Which ones is drawn anew in the backward pass, to the same result, from the seed, the step and `number`.

    Source: N. Srivastava et al., "Dropout" (2014), section 10, in its inverted form.
    """

    def __init__(self, layer, number):
        super().__init__(layer)
        self.number = number

    def forward(self, work, x, border):
        """Emit the draw."""
        self.x, y = x, work.volume(self.layer.output, border)
        self._drop(work, x, y)
        return y

    def backward(self, work, dy):
        """Emit the same draw for the gradient."""
        if not self.wanted:
            return None
        dx = work.gradient(self.x)
        self._drop(work, dy, dx)
        return dx

    def _drop(self, work, x, y):
        numbers = volume_of(x) | {"x_row": x.row, "y_row": y.row, "layer": self.number}
        work.emit(Op.DROPOUT, {"X": at(x), "Y": at(y)}, **numbers, rate=float(self.layer.rate))
