"""CONV with a group for each channel: every depth slice has a filter of its own, and no sum runs over channels."""

from skconvnet.engine.plan.steps.convolution import Convolution
from skconvnet.engine.program.instructions import Op, Space
from skconvnet.engine.program.memory import ZEROS, element, offset

__all__ = ["DepthwiseConvolution", "is_depthwise"]


def is_depthwise(layer, weights, target):
    """Return whether a CONV is computed by `DepthwiseConvolution`.

    Parameters
    ----------
    layer : BoundConv
    weights : WeightSlot
        The layer's.
    target : Target
        The machine.
    """
    return (
        target.has_depthwise
        and 1 < layer.groups == layer.input.depth == layer.K
        and weights.rows[2] % target.lanes == 0  # images are stored without padding of their depth
    )


class DepthwiseConvolution(Convolution):
    """A CONV with as many groups as channels and filters, and possibly ReLU.

    y[i, j, c] = bias[c] + sum over u, v < F of x[i*S + u*D - P, j*S + v*D - P, c] * w[u, v, c]

    Its channels are lanes of vectors, where a CONTRACT for each group would compute one lane at a time.
    """

    def _sums(self, builder, x):
        self._emit_sums(
            builder,
            x=element(x, -self.down.P, -self.across.P),
            w=0,
            y=element(self.y),
            bias=self._bias(),
            rows=self.y.rows,
            columns=self.y.columns,
            **self._taps(x),
            y_row=self.y.row,
            y_column=self.y.depth,
            RELU=self.relu,
            has_bias=self.weights.bias is not None,
        )

    def _input_gradient(self, builder, dx, dy):
        """Emit the gradient of the inputs, phase by phase: tap t of input m of a phase meets output m - t*step.

        Taps are in reverse order, so that outputs are in the order of their addresses, as inputs are forward.
        """
        strides = self._filter_strides("trk")
        for phase in self.phases:
            down, across = phase.rows, phase.columns
            before = [max(0, axis.taps - 1) for axis in (down, across)]  # taps before the last of a phase, or none
            last = [axis.tap + axis.tap_step * n for axis, n in zip((down, across), before, strict=True)]
            self._emit_sums(
                builder,
                x=element(dy, down.output - before[0] * down.step, across.output - before[1] * across.step),
                w=last[0] * strides["t"] + last[1] * strides["r"],
                y=element(dx, down.first, across.first),
                bias=ZEROS,
                rows=down.count,
                columns=across.count,
                T=down.taps,
                R=across.taps,
                x_row=dy.row,
                x_column=dy.depth,
                x_t=down.step * dy.row,
                x_r=across.step * dy.depth,
                y_row=self.down.S * dx.row,
                y_column=self.across.S * dx.depth,
                RELU=0,
                has_bias=0,
                tap_steps=(-down.tap_step, -across.tap_step),
            )

    def _emit_sums(self, builder, *, x, w, y, bias, tap_steps=(1, 1), **numbers):
        """Emit sums over taps from offset `w` of the weights on.

        `tap_steps` are the distances of two taps along rows and along columns, backward if they are negative.
        """
        strides = self._filter_strides("trk")
        builder.emit(
            Op.DEPTHWISE,
            {"x": x, "w": offset(Space.PARAMETERS, self.weights.weights + w), "bias": bias, "y": y},
            **numbers,
            **self._channels,
            w_t=tap_steps[0] * strides["t"],
            w_r=tap_steps[1] * strides["r"],
            w_c=self.weights.group_size,
        )

    def weights_gradient(self, builder, x, dy, space, first_element):
        """Emit dw[u, v, c] = sum over samples, i and j of x[i*S + u*D - P, j*S + v*D - P, c] * dy[i, j, c]."""
        strides = self._filter_strides("trk")
        return builder.emit(
            Op.DEPTHWISE_WEIGHTS,
            {
                "x": element(x, -self.down.P, -self.across.P),
                "dy": element(dy),
                "dw": offset(space, first_element),
            },
            rows=dy.rows,
            columns=dy.columns,
            **self._channels,
            **self._taps(x),
            dy_row=dy.row,
            dw_t=strides["t"],
            dw_r=strides["r"],
            dw_c=self.weights.group_size,
        )

    def _taps(self, x):
        """Return the counts of the taps, and the strides of `x` from output to output and from tap to tap."""
        down, across = self.down, self.across
        return {
            "T": down.F,
            "R": across.F,
            "x_row": down.S * x.row,
            "x_column": across.S * x.depth,
            "x_t": down.dilation * x.row,
            "x_r": across.dilation * x.depth,
        }

    @property
    def _channels(self):
        return {"depth": self.y.depth, "channels": self.y.channels}
