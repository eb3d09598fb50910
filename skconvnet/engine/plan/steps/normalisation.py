"""NORM: batch, layer and local response normalisation. Batch and layer normalisation differ in the axes of the mean.

A NORM keeps its coefficients, the rows of `NormRow`, in one place: y = FACTOR x + OFFSET, channel by channel. Every
sample leaves the sums of its own channels. How these are reduced to coefficients is all that differs between the two
modes. The output is recomputed in the backward pass, from the input, which is kept in any case.
"""

from skconvnet.engine.plan.steps.activations import extents
from skconvnet.engine.plan.steps.step import Step
from skconvnet.engine.program.instructions import NormRow, Op, Space
from skconvnet.engine.program.memory import element, offset

__all__ = ["BatchNorm", "LayerNorm", "LocalResponseNorm", "RunningNorm"]


class _Norm(Step):
    """The part that batch and layer normalisation share.

    Parameters
    ----------
    layer : BoundNorm
    scales : ScaleSlot
        Where its parameters are.
    """

    learns = True
    relu = False

    def __init__(self, layer, scales):
        super().__init__(layer)
        self.scales = scales

    @property
    def overwrites(self):
        """The gradient before the ReLU replaces the gradient after it."""
        return self.relu

    def forward(self, builder, x, border):
        """Emit statistics, normalisation and the ReLU."""
        self.x = x
        self._emit_coefficients(builder, x)
        y = builder.volume(self.layer.output, border, recompute=self._normalise)
        self._normalise(builder, y)
        return y

    def backward(self, builder, dy):
        """Emit the gradient before the ReLU, those of scales and shifts, and that of the input."""
        x, sums = builder.recompute(self.x), self._sums(builder)
        builder.emit(
            Op.NORMALISE_SUMS,
            {"dy": element(dy), "x": element(x), "coefficients": self._coefficients(), "sums": element(sums)},
            **extents(x),
            dy_row=dy.row,
            x_row=x.row,
            relu=self.relu,
        )
        self._emit_gradients(builder, sums)
        if not self.needs_input_gradient:
            return None
        x, dx = builder.recompute(self.x), builder.gradient(self.x)
        builder.emit(
            Op.NORMALISE_BACKWARD,
            {"dy": element(dy), "x": element(x), "coefficients": self._coefficients(), "dx": element(dx)},
            **extents(x),
            dy_row=dy.row,
            x_row=x.row,
            dx_row=dx.row,
        )
        return dx

    def _normalise(self, builder, y):
        x = builder.recompute(self.x)
        operands = {"x": element(x), "coefficients": self._coefficients(), "y": element(y)}
        builder.emit(Op.NORMALISE, operands, **extents(x), x_row=x.row, y_row=y.row, relu=self.relu)

    def _moments(self, builder, x):
        """Emit each channel's mean and sum of squares around it, over one sample, and return their buffer."""
        moments = self._sums(builder)
        operands = {"x": element(x), "moments": element(moments)}
        builder.emit(Op.CHANNEL_MOMENTS, operands, **extents(x), x_row=x.row)
        return moments

    def _sums(self, builder):
        return builder.buffer(1, 2, self.scales.columns, self.scales.depth)

    @property
    def _pixels(self):
        return self.layer.input.height * self.layer.input.width


class BatchNorm(_Norm):
    """NORM(batch): a channel's mean is over all pixels of all samples.

    Source: S. Ioffe and C. Szegedy, "Batch Normalization" (2015), algorithms 1 and 2.
    """

    def _emit_coefficients(self, builder, x):
        self.coefficients = builder.allocate_shared(len(NormRow) * self.scales.columns)
        moments = self._moments(builder, x)
        with builder.reduce():
            builder.emit(
                Op.BATCH_STATISTICS,
                {"moments": element(moments)} | self._operands(),
                depth=self.scales.columns,
                pixels=self._pixels,
                momentum=float(self.layer.momentum),
                eps=float(self.layer.eps),
            )

    def _emit_gradients(self, builder, sums):
        with builder.reduce():
            self._reduce(builder, sums)

    def _reduce(self, builder, sums):
        """Emit the gradients of scales and shifts, and what the gradient of the input takes from all samples."""
        builder.emit(
            Op.BATCH_GRADIENTS,
            {"sums": element(sums), "coefficients": self._coefficients()},
            depth=self.scales.columns,
            pixels=self._pixels,
        )

    def update(self, builder):
        """Scales and shifts are one block, whose gradient is complete."""
        gradient = self.coefficients + NormRow.SCALE_GRADIENT * self.scales.columns
        builder.block(self.scales.scale, 1, 2 * self.scales.columns, gradient=gradient)

    def _coefficients(self):
        return offset(Space.SHARED, self.coefficients)

    def _operands(self):
        return {
            "scales": offset(Space.PARAMETERS, self.scales.scale),
            "running": offset(Space.PARAMETERS, self.scales.running),
            "coefficients": self._coefficients(),
        }


class RunningNorm(BatchNorm):
    """NORM(batch) whose mean and variance are the running ones, which stay as they are: in scoring, and pretrained.

    No sample depends on another, so that samples are reduced once, behind the backward pass.
    """

    def prepare(self, builder):
        """Emit the coefficients that follow from the running statistics."""
        self.coefficients = builder.allocate_shared(len(NormRow) * self.scales.columns)
        numbers = {"depth": self.scales.columns, "eps": float(self.layer.eps)}
        builder.emit(Op.RUNNING_STATISTICS, self._operands(), **numbers)

    def begin_batch(self, builder):
        """Emit the coefficients again: scales and shifts have changed."""
        self.prepare(builder)

    def end_batch(self, builder):
        """Emit the gradients of scales and shifts."""
        self._reduce(builder, self.sums)

    def _emit_coefficients(self, builder, x):
        pass

    def _emit_gradients(self, builder, sums):
        self.sums = sums


class LayerNorm(_Norm):
    """NORM(layer): the mean is over the whole volume of one sample, in training and in scoring.

    Source: J. Ba, J. Kiros and G. Hinton, "Layer Normalization" (2016), equation 3, with a scale and a shift for each
    depth slice.
    """

    def _emit_coefficients(self, builder, x):
        self.coefficients = builder.buffer(1, len(NormRow), self.scales.columns, self.scales.depth)
        operands = {"moments": element(self._moments(builder, x))} | self._operands()
        builder.emit(Op.LAYER_STATISTICS, operands, **self._numbers, eps=float(self.layer.eps))

    def _emit_gradients(self, builder, sums):
        if self.learns:
            dscales = offset(Space.SHARD, self.scales.scale)
        else:  # written with the rest of the gradient, and not used
            dscales = builder.worker_scratch(2 * self.scales.columns)
        operands = {"sums": element(sums), "dscales": dscales} | self._operands()
        builder.emit(Op.LAYER_GRADIENTS, operands, **self._numbers)

    def update(self, builder):
        """Scales and shifts are one block, whose gradient is in the slots."""
        builder.block(self.scales.scale, 1, 2 * self.scales.columns)

    def _coefficients(self):
        return element(self.coefficients)

    def _operands(self):
        return {"scales": offset(Space.PARAMETERS, self.scales.scale), "coefficients": self._coefficients()}

    @property
    def _numbers(self):
        return {"depth": self.scales.columns, "channels": self.scales.depth, "pixels": self._pixels}


class LocalResponseNorm(Step):
    """NORM(lrn): y[c] = x[c] / (k + alpha * sum of x[j]**2 over the `size` slices j around c) ** beta.

    Source: A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks"
    (2012), section 3.3; `alpha` is not divided by `size`.
    """

    def forward(self, builder, x, border):
        """Emit the quotient."""
        self.x, y = x, builder.volume(self.layer.output, border)
        operands = {"x": element(x), "y": element(y)}
        builder.emit(Op.LRN, operands, **extents(x), x_row=x.row, y_row=y.row, **self._settings)
        return y

    def backward(self, builder, dy):
        """Emit the gradient; the sums of squares are computed again."""
        if not self.needs_input_gradient:
            return None
        x, dx = builder.recompute(self.x), builder.gradient(self.x)
        rows = {"x_row": x.row, "dy_row": dy.row, "dx_row": dx.row}
        operands = {"x": element(x), "dy": element(dy), "dx": element(dx)}
        builder.emit(Op.LRN_BACKWARD, operands, **extents(x), **rows, **self._settings)
        return dx

    @property
    def _settings(self):
        layer = self.layer
        # A window that reaches beyond the depth on both sides, from any slice, contains all of it.
        size = min(layer.size, 2 * layer.input.depth + 1)
        return {"size": size, "alpha": float(layer.alpha), "beta": float(layer.beta), "k": float(layer.k)}
