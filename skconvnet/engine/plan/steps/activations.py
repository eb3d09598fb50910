"""Steps that work on each activation alone: activation functions and DROPOUT."""

from skconvnet.engine.plan.steps.step import Step
from skconvnet.engine.program.instructions import Activation, Op, Space
from skconvnet.engine.program.memory import ZEROS, element, offset

__all__ = ["ACTIVATIONS", "Dropout", "Prelu", "emit_relu_backward", "extents"]


def emit_relu_backward(builder, y, dy, dx):
    """Emit dx = dy where the output `y` of a ReLU is above zero, else 0; `dx` may be `dy`."""
    builder.emit(
        Op.BIAS_RELU_BACKWARD,
        {"dy": element(dy), "y": element(y), "dx": element(dx), "dbias": ZEROS},
        **extents(y),
        dy_row=dy.row,
        y_row=y.row,
        dx_row=dx.row,
        relu=1,
        bias=0,
    )


def extents(buffer):
    """Return rows, columns and depth of a stored volume, as instructions take them."""
    return {"rows": buffer.rows, "columns": buffer.columns, "depth": buffer.depth}


class Relu(Step):
    """A RELU that is not fused into another step: y = max(x, 0)."""

    def forward(self, builder, x, border):
        """Emit the maximum with zero."""
        self.x, self.y = x, builder.volume(self.layer.output, border)
        builder.emit(Op.RELU, {"x": element(x), "y": element(self.y)}, **extents(x), x_row=x.row, y_row=self.y.row)
        return self.y

    def backward(self, builder, dy):
        """Emit the gradient where the output is above zero."""
        if not self.needs_input_gradient:
            return None
        dx = builder.gradient(self.x)
        emit_relu_backward(builder, self.y, dy, dx)
        return dx


class Activate(Step):
    """A layer that computes an `Activation`; dx is dy times the slope of the function."""

    def __init__(self, layer):
        super().__init__(layer)
        self.function = Activation[layer.kind]

    def forward(self, builder, x, border):
        """Emit the function of each activation."""
        self.x, self.y = x, builder.volume(self.layer.output, border)
        numbers = extents(x) | {"channels": x.channels, "x_row": x.row, "y_row": self.y.row}
        builder.emit(Op.ACTIVATE, {"x": element(x), "y": element(self.y)}, **numbers, function=self.function)
        return self.y

    def backward(self, builder, dy):
        """Emit the gradient. The slope follows from the output, or from the input of a function that is not monotone.

        Two inputs of such a function have the same output and other slopes.
        """
        if not self.needs_input_gradient:
            return None
        by_input = self.function in (Activation.HSWISH, Activation.GELU)
        kept, dx = builder.recompute(self.x) if by_input else self.y, builder.gradient(self.x)
        operands = {"dy": element(dy), "kept": element(kept), "dx": element(dx)}
        numbers = extents(dy) | {"dy_row": dy.row, "kept_row": kept.row, "dx_row": dx.row}
        builder.emit(Op.ACTIVATE_BACKWARD, operands, **numbers, function=self.function)
        return dx


ACTIVATIONS = {"RELU": Relu} | dict.fromkeys(Activation.__members__, Activate)


class Prelu(Step):
    """PRELU: y = x where x is above zero, else a slope times x; the slope of a channel is learned.

    Source: K. He et al., "Delving Deep into Rectifiers" (2015), section 2.1.

    Parameters
    ----------
    layer : BoundPrelu
    slopes : SlopeSlot
        Where its parameters are.
    """

    learns = True

    def __init__(self, layer, slopes):
        super().__init__(layer)
        self.slopes = slopes

    def forward(self, builder, x, border):
        """Emit x or the slope times x."""
        self.x, y = x, builder.volume(self.layer.output, border)
        self._emit(builder, x, x, y)
        return y

    def backward(self, builder, dy):
        """Emit the gradient of the slopes, the sum of dy x below zero, and dx: dy or the slope times dy."""
        x = builder.recompute(self.x)
        if self.learns:
            operands = {"x": element(x), "dy": element(dy), "dslopes": offset(Space.SHARD, self.slopes.slopes)}
            builder.emit(Op.PRELU_SLOPES, operands, **extents(x), x_row=x.row, dy_row=dy.row)
        if not self.needs_input_gradient:
            return None
        dx = builder.gradient(self.x)
        self._emit(builder, x, dy, dx)
        return dx

    def update(self, builder):
        """Cut the slopes, one block whose gradient is in the slots. Like biases, they do not decay."""
        builder.block(self.slopes.slopes, 1, self.slopes.columns)

    def _emit(self, builder, x, v, y):
        slopes = offset(Space.PARAMETERS, self.slopes.slopes)
        operands = {"x": element(x), "v": element(v), "slopes": slopes, "y": element(y)}
        builder.emit(Op.PRELU, operands, **extents(x), x_row=x.row, v_row=v.row, y_row=y.row)


class Dropout(Step):
    """DROPOUT in training: each activation is 0 with probability `rate`, else divided by 1 - `rate`.

    The backward pass repeats the draw, which depends on the seed, the step and `number` alone.

    Source: N. Srivastava et al., "Dropout" (2014), section 10, in its inverted form.
    """

    def __init__(self, layer, number):
        super().__init__(layer)
        self.number = number

    def forward(self, builder, x, border):
        """Emit the draw."""
        self.x, y = x, builder.volume(self.layer.output, border)
        self._drop(builder, x, y)
        return y

    def backward(self, builder, dy):
        """Emit the same draw for the gradient."""
        if not self.needs_input_gradient:
            return None
        dx = builder.gradient(self.x)
        self._drop(builder, dy, dx)
        return dx

    def _drop(self, builder, x, y):
        numbers = extents(x) | {"x_row": x.row, "y_row": y.row, "layer": self.number}
        builder.emit(Op.DROPOUT, {"x": element(x), "y": element(y)}, **numbers, rate=float(self.layer.rate))
