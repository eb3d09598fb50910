"""Phases: inputs of a strided CONV that meet the same filter taps, and the transposed weights that each phase reads.

The input gradient of a CONV with stride S is a CONV of stride 1 over the output gradient for each phase: every S-th row
and column of the input. Its filter is a part of the taps, transposed and in reverse order.
"""

from dataclasses import dataclass
from math import prod

__all__ = ["Phases"]


@dataclass(frozen=True)
class PhaseAxis:
    """One axis of a phase.

    Parameters
    ----------
    taps : int
        Filter taps that the phase meets.
    first, count : int
        The inputs of the phase.
    output : int
        The output that the first input meets with the first tap.
    """

    taps: int
    first: int
    count: int
    output: int

    @property
    def before(self):
        """Zeros that the taps reach before the first output."""
        return max(0, self.taps - 1 - self.output) if self.taps and self.count else 0

    def after(self, extent):
        """Zeros that the taps reach behind the last of `extent` outputs."""
        return max(0, self.output + self.count - extent) if self.taps and self.count else 0


@dataclass(frozen=True)
class Phase:
    """Both axes of a phase, and the offset of its taps in a group's transposed weights."""

    rows: PhaseAxis
    columns: PhaseAxis
    offset: int


class Phases:
    """The phases of a CONV, at most S x S, and the layout of its transposed weights.

    Parameters
    ----------
    layer : BoundConv
    weights : WeightSlot
        The layer's.
    stride : int
        Distance between two columns of the transposed weights: their row stride.

    Attributes
    ----------
    tap_size, group_size : int
        Elements of the transposed weights: of one filter tap, and of one group.
    """

    def __init__(self, layer, weights, stride):
        self.layer, self.weights = layer, weights
        self.tap_size = weights.columns * stride
        self.group_size = prod(weights.rows[:2]) * self.tap_size
        self._phases, offset = {}, 0
        for down in self._along(layer.input.height):
            for across in self._along(layer.input.width):
                rows, columns = self._axis(down, layer.input.height), self._axis(across, layer.input.width)
                self._phases[down, across] = Phase(rows, columns, offset)
                offset += rows.taps * columns.taps * self.tap_size

    def __iter__(self):
        return iter(self._phases.values())

    def _along(self, extent):
        """Return the phases along an axis that have a tap or an input; of a large stride those are not all."""
        S, F = self.layer.S, self.layer.F
        return sorted({(i + self.layer.P) % S for i in range(min(extent, S))} | set(range(min(F, S))))

    def _axis(self, phase, extent):
        S, P = self.layer.S, self.layer.P
        first = (phase - P) % S
        return PhaseAxis(
            taps=len(range(phase, self.layer.F, S)),
            first=first,
            count=max(0, len(range(first, extent, S))),
            output=(first + P - phase) // S,
        )

    @property
    def gradient_border(self):
        """Zeros around the output gradient that the transposed filter reads: top, left, bottom, right."""
        y = self.layer.output
        return (
            max(phase.rows.before for phase in self),
            max(phase.columns.before for phase in self),
            max(phase.rows.after(y.height) for phase in self),
            max(phase.columns.after(y.width) for phase in self),
        )

    def transposed_runs(self):
        """Yield (first row, rows, offset) of the weights that are transposed together: those of one filter tap."""
        (F, width, depth), S = self.weights.rows, self.layer.S
        for group in range(self.weights.groups):
            for u in range(F):
                for v in range(width):
                    phase = self._phases[u % S, v % S]
                    down, across = phase.rows.taps - 1 - u // S, phase.columns.taps - 1 - v // S
                    tap = phase.offset + (down * phase.columns.taps + across) * self.tap_size
                    row = group * self.weights.n_rows + (u * width + v) * depth
                    yield row, depth, group * self.group_size + tap
