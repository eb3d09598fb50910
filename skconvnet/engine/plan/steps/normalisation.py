"""NORM: batch and layer normalisation, which differ in what a mean is taken of, and local response normalisation.

A NORM keeps its coefficients, the rows of `Normal`, in one place: y = FACTOR x + OFFSET, channel by channel. Every
sample leaves the sums of its own channels; what brings them together to coefficients is all that the two modes do not
share. The output is computed anew in the backward pass, from an input that is kept anyway.
"""

from skconvnet.engine.plan.steps.activations import volume_of
from skconvnet.engine.plan.steps.step import Step
from skconvnet.engine.program.instructions import Normal, Op, Space
from skconvnet.engine.program.memory import at, place

__all__ = ["BatchNorm", "LayerNorm", "LocalResponseNorm"]


class _Norm(Step):
    """What batch and layer normalisation have in common.

    Parameters
    ----------
    layer : BoundNorm
    scales : Scales
        Where its parameters lie.
    training : bool
        Whether coefficients come from the samples.
    """

    learns = True
    relu = False

    def __init__(self, layer, scales, training):
        super().__init__(layer)
        self.scales = scales
        self.training = training

    @property
    def overwrites(self):
        """The gradient through the ReLU takes the place of the one before."""
        return self.relu

    def forward(self, work, x, border):
        """Emit statistics and normalisation, and the ReLU."""
        self.x = x
        self._coefficients_for(work, x)
        y = work.volume(self.layer.output, border, recipe=self._normalise)
        self._normalise(work, y)
        return y

    def backward(self, work, dy):
        """Emit the gradient through the ReLU, the sums that scale and shift have as gradients, and the way on."""
        x, sums = work.again(self.x), self._sums(work)
        work.emit(
            Op.NORMALISE_SUMS,
            {"X": at(dy), "W": self._coefficients(), "START": at(sums), "Y": at(x)},
            **volume_of(x),
            dy_row=dy.row,
            x_row=x.row,
            relu=self.relu,
        )
        self._gradients(work, sums)
        if not self.wanted:
            return None
        x, dx = work.again(self.x), work.gradient(self.x)
        work.emit(
            Op.NORMALISE_BACKWARD,
            {"X": at(dy), "W": self._coefficients(), "START": at(dx), "Y": at(x)},
            **volume_of(x),
            dy_row=dy.row,
            x_row=x.row,
            dx_row=dx.row,
        )
        return dx

    def _normalise(self, work, y):
        x = work.again(self.x)
        operands = {"X": at(x), "W": self._coefficients(), "Y": at(y)}
        work.emit(Op.NORMALISE, operands, **volume_of(x), x_row=x.row, y_row=y.row, relu=self.relu)

    def _moments(self, work, x):
        """Emit each channel's mean, and its sum of squares around it, over one sample; return where they are."""
        sums = self._sums(work)
        work.emit(Op.CHANNEL_MOMENTS, {"X": at(x), "Y": at(sums)}, **volume_of(x), x_row=x.row)
        return sums

    def _sums(self, work):
        return work.buffer(1, 2, self.scales.columns, self.scales.depth)

    @property
    def _pixels(self):
        return self.layer.input.height * self.layer.input.width


class BatchNorm(_Norm):
    """NORM(batch): the mean of a channel is taken over all pixels of all samples, or is the running one in scoring.

    Source: S. Ioffe and C. Szegedy, "Batch Normalization" (2015), algorithms 1 and 2.
    """

    def prepare(self, work):
        """Emit the coefficients that follow from the running statistics."""
        self.at = work.share(len(Normal) * self.scales.columns)
        numbers = {"depth": self.scales.columns, "eps": float(self.layer.eps)}
        work.emit(Op.RUNNING_STATISTICS, self._places(), **numbers)

    def _coefficients_for(self, work, x):
        if not self.training:
            return
        self.at = work.share(len(Normal) * self.scales.columns)
        moments = self._moments(work, x)
        with work.once():
            work.emit(
                Op.BATCH_STATISTICS,
                {"X": at(moments)} | self._places(),
                depth=self.scales.columns,
                pixels=self._pixels,
                momentum=float(self.layer.momentum),
                eps=float(self.layer.eps),
            )

    def _gradients(self, work, sums):
        with work.once():
            work.emit(
                Op.BATCH_GRADIENTS,
                {"X": at(sums), "Y": place(Space.SHARED, self.at)},
                depth=self.scales.columns,
                pixels=self._pixels,
            )

    def update(self, work):
        """Scales and shifts are one block; their gradient is complete."""
        gradient = self.at + Normal.SCALE_GRADIENT * self.scales.columns
        work.block(self.scales.scale, 1, 2 * self.scales.columns, gradient=gradient)

    def _coefficients(self):
        return place(Space.SHARED, self.at)

    def _places(self):
        """Where the scales, the running statistics and the coefficients are."""
        return {
            "W": place(Space.PARAMETERS, self.scales.scale),
            "START": place(Space.PARAMETERS, self.scales.running),
            "Y": place(Space.SHARED, self.at),
        }


class LayerNorm(_Norm):
    """NORM(layer): the mean is taken over the whole volume of one sample, in training and in scoring.

    Source: J. Ba, J. Kiros and G. Hinton, "Layer Normalization" (2016), equation 3, with a scale and a shift for each
    depth slice.
    """

    def _coefficients_for(self, work, x):
        self.coefficients = work.buffer(1, len(Normal), self.scales.columns, self.scales.depth)
        numbers = self._numbers | {"eps": float(self.layer.eps)}
        work.emit(Op.LAYER_STATISTICS, self._operands(self._moments(work, x)), **numbers)

    def _gradients(self, work, sums):
        operands = self._operands(sums) | {"START": place(Space.SHARD, self.scales.scale)}
        work.emit(Op.LAYER_GRADIENTS, operands, **self._numbers)

    def update(self, work):
        """Scales and shifts are one block; the shards have summed its gradient."""
        work.block(self.scales.scale, 1, 2 * self.scales.columns)

    def _coefficients(self):
        return at(self.coefficients)

    def _operands(self, sums):
        return {"X": at(sums), "W": place(Space.PARAMETERS, self.scales.scale), "Y": at(self.coefficients)}

    @property
    def _numbers(self):
        return {"depth": self.scales.columns, "channels": self.scales.depth, "pixels": self._pixels}


class LocalResponseNorm(Step):
    """NORM(lrn): y[c] = x[c] / (k + alpha * sum of x[j]**2 over the `size` slices j around c) ** beta.

    Source: A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks"
    (2012), section 3.3; `alpha` is not divided by `size`.
    """

    def forward(self, work, x, border):
        """Emit the quotient."""
        self.x, y = x, work.volume(self.layer.output, border)
        work.emit(Op.LRN, {"X": at(x), "Y": at(y)}, **volume_of(x), x_row=x.row, y_row=y.row, **self._settings)
        return y

    def backward(self, work, dy):
        """Emit the gradient, for which the sums of squares are taken again."""
        if not self.wanted:
            return None
        x, dx = work.again(self.x), work.gradient(self.x)
        rows = {"x_row": x.row, "dy_row": dy.row, "dx_row": dx.row}
        operands = {"X": at(x), "W": at(dy), "Y": at(dx)}
        work.emit(Op.LRN_BACKWARD, operands, **volume_of(x), **rows, **self._settings)
        return dx

    @property
    def _settings(self):
        layer = self.layer
        # A window that reaches beyond the depth on both sides, from any slice, holds all of it.
        size = min(layer.size, 2 * layer.input.depth + 1)
        return {"size": size, "alpha": float(layer.alpha), "beta": float(layer.beta), "k": float(layer.k)}
