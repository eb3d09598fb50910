"""POOL(max) and POOL(average)."""

from skconvnet.engine.plan.steps.activations import extents
from skconvnet.engine.plan.steps.step import Step
from skconvnet.engine.program.instructions import Op
from skconvnet.engine.program.memory import element

__all__ = ["AveragePool", "MaxPool"]


class _Pool(Step):
    def forward(self, builder, x, border):
        """Emit one number for each window and depth slice."""
        self.x, self.y = x, builder.volume(self.layer.output, border)
        operands = {"x": element(x), "y": element(self.y)}
        builder.emit(self.op, operands, **self._windows(x), x_row=x.row, y_row=self.y.row)
        return self.y

    def _windows(self, x):
        rows, columns = self.layer.axes
        numbers = {
            "F_rows": rows.F,
            "F_columns": columns.F,
            "S_rows": rows.S,
            "S_columns": columns.S,
            "P_rows": rows.P,
            "P_columns": columns.P,
        }
        return extents(x) | numbers | {"rows_out": self.y.rows, "columns_out": self.y.columns}


class MaxPool(_Pool):
    """POOL(max): y[i, j] = maximum of x over the window at (i*S - P, j*S - P), with S and P of each axis."""

    op = Op.MAX_POOL

    def backward(self, builder, dy):
        """Emit the gradient of each window's winner: stored where windows tile the input, else added to zeros."""
        if not self.needs_input_gradient:
            return None
        x, y, dx = builder.recompute(self.x), builder.recompute(self.y), builder.gradient(self.x)
        extents_of_axes = (x.rows, y.rows), (x.columns, y.columns)
        tiled = all(
            axis.P == 0 and axis.F == axis.S and windows * axis.S == extent
            for axis, (extent, windows) in zip(self.layer.axes, extents_of_axes, strict=True)
        )
        if not tiled:
            builder.clear(dx)
        rows = {"x_row": x.row, "y_row": y.row, "dx_row": dx.row, "dy_row": dy.row}
        operands = {"x": element(x), "y": element(y), "dy": element(dy), "dx": element(dx)}
        builder.emit(Op.MAX_POOL_BACKWARD, operands, **self._windows(x), **rows, overlap=not tiled)
        return dx


class AveragePool(_Pool):
    """POOL(average): y[i, j] = mean of x over the part of the window at (i*S - P, j*S - P) that lies inside x.

    Or inside the padded x, where the padding counts.
    """

    op = Op.AVERAGE_POOL

    def _windows(self, x):
        rows, columns = self.layer.counted
        return super()._windows(x) | {"counted_rows": rows, "counted_columns": columns}

    def backward(self, builder, dy):
        """Emit an equal part of each output's gradient for every input of its window."""
        if not self.needs_input_gradient:
            return None
        dx = builder.gradient(self.x)
        builder.clear(dx)
        rows = {"dx_row": dx.row, "dy_row": dy.row}
        operands = {"dy": element(dy), "dx": element(dx)}
        builder.emit(Op.AVERAGE_POOL_BACKWARD, operands, **self._windows(dx), **rows)
        return dx
