"""POOL(max) and POOL(average)."""

from skconvnet.engine.plan.steps.activations import volume_of
from skconvnet.engine.plan.steps.step import Step
from skconvnet.engine.program.instructions import Op
from skconvnet.engine.program.memory import at

__all__ = ["AveragePool", "MaxPool"]


class _Pool(Step):
    def forward(self, work, x, border):
        """Emit one number for each window and depth slice."""
        self.x, self.y = x, work.volume(self.layer.output, border)
        work.emit(self.op, {"X": at(x), "Y": at(self.y)}, **self._windows(x), x_row=x.row, y_row=self.y.row)
        return self.y

    def _windows(self, x):
        rows, columns = self.layer.F
        numbers = {"F_rows": rows, "F_columns": columns, "S": self.layer.S, "P": self.layer.P}
        return volume_of(x) | numbers | {"rows_out": self.y.rows, "columns_out": self.y.columns}


class MaxPool(_Pool):
    """POOL(max): y[i, j] = maximum of x over the window at (i*S - P, j*S - P)."""

    op = Op.MAX_POOL

    def backward(self, work, dy):
        """Emit the way back to the winners: stored where windows tile the input, else added up from zero."""
        if not self.wanted:
            return None
        x, y, dx = work.again(self.x), work.again(self.y), work.gradient(self.x)
        F, S, P = self.layer.F, self.layer.S, self.layer.P
        tiled = P == 0 and F == (S, S) and (y.rows * S, y.columns * S) == (x.rows, x.columns)
        if not tiled:
            work.clear(dx)
        rows = {"x_row": x.row, "y_row": y.row, "dx_row": dx.row, "dy_row": dy.row}
        operands = {"X": at(x), "Y": at(y), "W": at(dx), "START": at(dy)}
        work.emit(Op.MAX_POOL_BACKWARD, operands, **self._windows(x), **rows, overlap=not tiled)
        return dx


class AveragePool(_Pool):
    """POOL(average): y[i, j] = mean of x over the part of the window at (i*S - P, j*S - P) that lies inside x."""

    op = Op.AVERAGE_POOL

    def backward(self, work, dy):
        """Emit an equal share of each output's gradient for every input of its window."""
        if not self.wanted:
            return None
        dx = work.gradient(self.x)
        work.clear(dx)
        rows = {"dx_row": dx.row, "dy_row": dy.row}
        work.emit(Op.AVERAGE_POOL_BACKWARD, {"X": at(dy), "Y": at(dx)}, **self._windows(dx), **rows)
        return dx
