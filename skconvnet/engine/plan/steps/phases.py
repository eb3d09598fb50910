"""Phases: inputs of a strided CONV that meet the same filter taps, and the transposed weights that each phase reads.

The input gradient of a CONV with stride S is a CONV of stride 1 over the output gradient for each phase: every S-th row
and column of the input. Its filter is a part of the taps, transposed and in reverse order.

With a dilation D, tap u of input h meets output (h + P - u*D)/S, if that is whole. Taps of one phase are S/gcd(S, D)
apart, and the outputs that they meet are D/gcd(S, D) apart.
"""

from dataclasses import dataclass
from math import gcd, prod

__all__ = ["Phases"]

_MOST_RUNS = 1 << 20  # each is an instruction of a plan or more


@dataclass(frozen=True)
class PhaseAxis:
    """One axis of a phase.

    Parameters
    ----------
    taps : int
        Filter taps that the phase meets.
    tap, tap_step : int
        The first of them, and the distance between two.
    step : int
        The distance between the outputs that one input meets with neighbouring taps.
    first, count : int
        The inputs of the phase.
    output : int
        The output that the first input meets with the first tap.
    """

    taps: int
    tap: int
    tap_step: int
    step: int
    first: int
    count: int
    output: int

    @classmethod
    def of(cls, axis, phase, extent):
        """Return the axis of the inputs h < `extent` with (h + P) % S = `phase`."""
        F, S, P, dilation = axis
        common, first = gcd(S, dilation), (phase - P) % S
        tap_step, step = S // common, dilation // common
        tap = phase // common * pow(step, -1, tap_step) % tap_step  # the first with tap*D % S = phase, if there is one
        return cls(
            taps=0 if phase % common else len(range(tap, F, tap_step)),
            tap=tap,
            tap_step=tap_step,
            step=step,
            first=first,
            count=len(range(first, extent, S)),
            output=(first + P - tap * dilation) // S,
        )

    @property
    def before(self):
        """Zeros that the taps reach before the first output."""
        return max(0, (self.taps - 1) * self.step - self.output) if self.taps and self.count else 0

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
        x, (rows, columns) = layer.input, layer.axes
        for down in _along(rows, x.height):
            for across in _along(columns, x.width):
                phase = Phase(PhaseAxis.of(rows, down, x.height), PhaseAxis.of(columns, across, x.width), offset)
                self._phases[down, across] = phase
                offset += phase.rows.taps * phase.columns.taps * self.tap_size

    def __iter__(self):
        return iter(self._phases.values())

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
        """Yield (first row, rows, offset) of the weights that are transposed together: those of one filter tap.

        Raise a ValueError if a plan would be too long for these.
        """
        depth, (rows, columns) = self.weights.rows[2], self.layer.axes
        number = rows.F * columns.F * self.weights.groups
        if number > _MOST_RUNS:
            raise ValueError(
                f"{self.layer.name} cannot be trained: its window of {columns.F}x{rows.F} pixels times "
                f"groups={self.weights.groups} is {number}, and at most {_MOST_RUNS} is allowed behind other layers. "
                "Use a smaller F, or fewer groups."
            )
        for group in range(self.weights.groups):
            for u in range(rows.F):
                for v in range(columns.F):
                    phase = self._phases[_phase_of(rows, u), _phase_of(columns, v)]
                    down = phase.rows.taps - 1 - u // phase.rows.tap_step
                    across = phase.columns.taps - 1 - v // phase.columns.tap_step
                    tap = phase.offset + (down * phase.columns.taps + across) * self.tap_size
                    row = group * self.weights.n_rows + (u * columns.F + v) * depth
                    yield row, depth, group * self.group_size + tap


def _phase_of(axis, tap):
    """Return the phase whose inputs meet a filter tap."""
    return tap * axis.dilation % axis.S


def _along(axis, extent):
    """Return the phases along an axis that have a tap or an input; of a large stride those are not all."""
    with_taps = {_phase_of(axis, tap) for tap in range(min(axis.F, axis.S))}
    return sorted({(i + axis.P) % axis.S for i in range(min(extent, axis.S))} | with_taps)
