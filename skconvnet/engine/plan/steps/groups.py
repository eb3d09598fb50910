"""Groups: the depth slices of one group of a CONV, for kernels that read and write whole vectors of channels.

Where a group's slices do not begin and end at a vector, they are copied to a buffer of their own.
"""

from contextlib import contextmanager

from skconvnet.engine.plan.steps.branches import emit_copy_channels
from skconvnet.engine.program.memory import element

__all__ = ["GroupSlices"]


class GroupSlices:
    """The slices of one group in a volume.

    Parameters
    ----------
    builder : PlanBuilder
    volume : Buffer
        All groups.
    group, channels : int
        The number of the group, and the depth of each.
    """

    def __init__(self, builder, volume, group, channels):
        self.builder = builder
        self.volume = volume
        self.first = group * channels
        self.channels = channels
        self.is_aligned = channels == volume.channels or channels % builder.target.lanes == 0

    def _scratch(self):
        volume, depth = self.volume, self.builder.target.pad(self.channels)
        return self.builder.buffer(volume.rows, volume.columns, depth, self.channels)

    def to_read(self):
        """Return the buffer to read the slices from, and the channel of the first one there."""
        if self.is_aligned:
            return self.volume, self.first
        scratch = self._scratch()
        padding = scratch.depth - scratch.channels
        source = element(self.volume, channel=self.first)
        emit_copy_channels(self.builder, source, self.volume, element(scratch), scratch, scratch.channels, padding)
        return scratch, 0

    @contextmanager
    def to_write(self):
        """Yield the buffer to write the slices to, and the channel of the first one there."""
        if self.is_aligned:
            yield self.volume, self.first
            return
        scratch = self._scratch()
        yield scratch, 0
        is_last = self.first + self.channels == self.volume.channels
        padding = self.volume.depth - self.volume.channels if is_last else 0
        target = element(self.volume, channel=self.first)
        emit_copy_channels(self.builder, element(scratch), scratch, target, self.volume, self.channels, padding)
