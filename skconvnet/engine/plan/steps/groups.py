"""Groups: which groups of a CONV one instruction computes, and the depth slices that it reads and writes.

Kernels read and write whole vectors of channels. Where a group's slices do not begin and end at a vector, they are
copied to a buffer in which they do.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from skconvnet.engine.plan.steps.branches import emit_copy_channels
from skconvnet.engine.program.instructions import Op
from skconvnet.engine.program.memory import element

__all__ = ["GroupRun", "GroupSlices", "group_runs"]


@dataclass(frozen=True)
class GroupRun:
    """Consecutive groups that one instruction computes: the first, and how many."""

    first: int
    count: int


def group_runs(target, groups):
    """Return the runs of a layer's groups: all in one for a target that loops over groups, else one by one."""
    if target.loops_groups:
        return [GroupRun(0, groups)]
    return [GroupRun(group, 1) for group in range(groups)]


class GroupSlices:
    """The slices of a run of groups in a volume.

    Parameters
    ----------
    builder : PlanBuilder
    volume : Buffer
        All groups.
    run : GroupRun
        The groups.
    channels : int
        The depth of each.

    Attributes
    ----------
    distance : int
        From the first channel of one group to that of the next, in the buffer that is read or written.
    """

    def __init__(self, builder, volume, run, channels):
        self.builder = builder
        self.volume = volume
        self.run = run
        self.channels = channels
        self.is_aligned = channels == volume.channels or channels % builder.target.lanes == 0
        self.distance = channels if self.is_aligned else builder.target.pad(channels)

    def to_read(self):
        """Return the buffer to read the slices from, and the channel of the first one there."""
        first = self.run.first * self.channels
        if self.is_aligned:
            return self.volume, first
        scratch = self._scratch()
        if self._is_uniform:
            self._copy_all(self.volume, self.channels, scratch, self.distance, self.distance - self.channels)
            return scratch, 0
        for group in range(self.run.count):
            source = element(self.volume, channel=first + group * self.channels)
            target = element(scratch, channel=group * self.distance)
            padding = self.distance - self.channels
            emit_copy_channels(self.builder, source, self.volume, target, scratch, self.channels, padding)
        return scratch, 0

    @contextmanager
    def to_write(self):
        """Yield the buffer to write the slices to, and the channel of the first one there."""
        first = self.run.first * self.channels
        if self.is_aligned:
            yield self.volume, first
            return
        scratch = self._scratch()
        yield scratch, 0
        if self._is_uniform:
            self._copy_all(scratch, self.distance, self.volume, self.channels, 0)
            return
        for group in range(self.run.count):
            channel = first + group * self.channels
            is_last = channel + self.channels == self.volume.channels
            padding = self.volume.depth - self.volume.channels if is_last else 0
            source, target = element(scratch, channel=group * self.distance), element(self.volume, channel=channel)
            emit_copy_channels(self.builder, source, scratch, target, self.volume, self.channels, padding)

    def _scratch(self):
        volume, depth = self.volume, self.run.count * self.distance
        return self.builder.buffer(volume.rows, volume.columns, depth, depth)

    @property
    def _is_uniform(self):
        """Whether groups follow one another as pixels do, so that one copy with a pixel for each group moves all."""
        return self.run.count * self.channels == self.volume.depth

    def _copy_all(self, x, x_distance, y, y_distance, clear):
        """Emit a copy of every group of every pixel, as if each were a pixel of its own."""
        self.builder.emit(
            Op.COPY_CHANNELS,
            {"x": element(x), "y": element(y)},
            rows=x.rows,
            columns=x.columns * self.run.count,
            channels=self.channels,
            x_row=x.row,
            x_depth=x_distance,
            y_row=y.row,
            y_depth=y_distance,
            clear=clear,
        )
