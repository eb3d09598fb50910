"""Where the parts of a diagram are drawn, in inches. The parts of a row lie along a line at y = 0.

A volume is a box in perspective: its depth goes to the right, its height up, and its width to the back, up and right.
"""

from dataclasses import dataclass, field
from functools import singledispatch

from skconvnet.inspection.diagram import Fork, Part, Repeat, parts_in

__all__ = ["FONT_SIZE", "LINE", "SIGN", "Layout", "Scale", "lay_out", "text_width"]

FONT_SIZE = 7  # points
LINE = 1.3 * FONT_SIZE / 72  # the distance of two lines of text
_CHARACTER = 0.605 * FONT_SIZE / 72  # the width of a character of a monospaced font
_ARROW = 0.2
_BETWEEN_LABELS = 0.1  # more than a character: at 80 dots per inch, characters are wider
_BELOW_BOX = 0.07
_STEM = 0.14  # from a line to its branches
SIGN = 0.09  # radius of the sign where branches join
_BETWEEN_BRANCHES = 0.1
_FRAME = 0.08  # around a repeated chain
_BETWEEN_ROWS = 0.24
_MARGIN = 0.12
_BACK = 0.4, 0.3  # where an inch of width goes, to the right and up
_THINNEST = 0.04
_BROKEN_FROM = 1.4, 2.5  # longer than so often the longest side of the image, at least and at most


@dataclass(frozen=True)
class Scale:
    """The one scale of all volumes of a diagram, and how much is written below them.

    Parameters
    ----------
    inches : float
        Of a pixel, and of a slice of the depth.
    longest : int
        Longer boxes are broken, and this long.
    words : str, default="all"
        As of `Part.caption`.
    """

    inches: float
    longest: float
    words: str = "all"

    @classmethod
    def of(cls, chain, box, words="all"):
        """Return the scale with which the longest box of a chain is so many inches long.

        It may be shorter where the depth is small, and is broken where the depth is much larger than the image, unless
        the network has no volume of more than one pixel.
        """
        volumes = [part.volume for part in parts_in(chain)]
        side = max(max(volume.height, volume.width) for volume in volumes)
        depths = [volume.depth for volume in volumes if volume.height * volume.width > 1]
        low, high = _BROKEN_FROM
        if depths:
            longest = min(max(*depths, low * side), high * side)
        else:
            longest = max(low, *(volume.depth for volume in volumes))
        return cls(box / longest, longest, words)

    def extent(self, n):
        """Return the length of so many pixels or slices in inches. What is too thin to be seen is a little thicker."""
        return max(_THINNEST, min(n, self.longest) * self.inches)

    def box(self, volume):
        """Return the depth and height of a volume's front, and where its back is: (right, up)."""
        width = self.extent(volume.width)
        return self.extent(volume.depth), self.extent(volume.height), (_BACK[0] * width, _BACK[1] * width)


@dataclass(frozen=True)
class Extent:
    """The room that parts of a diagram take: to the right, and above and below their line."""

    width: float
    above: float
    below: float


@dataclass
class Layout:
    """What is drawn, with places in inches. It goes from the origin down and to the right.

    Parameters
    ----------
    scale : Scale

    Attributes
    ----------
    boxes : list of (Part, x, y)
        The lower left corner of the front of each box.
    labels : list of (list of str, x, y)
        The lines of text below the boxes, and the middle of their top.
    lines : list of list of (x, y)
        Paths, which end in an arrow.
    signs : list of (str, x, y)
        Where branches join.
    frames : list of (int, x, y, width, height)
        Around chains that are repeated so often.
    width, height : float
    """

    scale: Scale
    boxes: list = field(default_factory=list)
    labels: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    signs: list = field(default_factory=list)
    frames: list = field(default_factory=list)
    width: float = 0
    height: float = 0


def text_width(text):
    """Return the width of a line of text in inches."""
    return len(text) * _CHARACTER


def lay_out(chain, width, box=1.0, words="all"):
    """Lay out a diagram in rows.

    Parameters
    ----------
    chain : tuple
        The diagram.
    width : float
        The most that a row takes, in inches, unless a single part is wider.
    box : float, default=1
        The length of the longest box in inches.
    words : str, default="all"
        As of `Part.caption`.

    Returns
    -------
    Layout

    Examples
    --------
    >>> from skconvnet import Architecture
    >>> from skconvnet.inspection.diagram import diagram_of
    >>> bound = Architecture.parse("INPUT -> CONV(K=4) -> RELU -> FC").bind((8, 8, 1))
    >>> [(part.name, round(x, 1)) for part, x, y in lay_out(diagram_of(bound), width=9).boxes]
    [('INPUT', 0.2), ('CONV 1', 0.8), ('FC 1', 1.6)]
    """
    scale = Scale.of(chain, box, words)
    rows = _rows(chain, width - 2 * _MARGIN, scale)
    extents = [_extent(row, scale) for row in rows]
    layout = Layout(scale, width=2 * _MARGIN + max(extent.width for extent in extents))
    path, y = [], -_MARGIN
    for row, extent in zip(rows, extents, strict=True):
        line = y - extent.above
        if path:
            path += _turn(path[-1][1], y + _BETWEEN_ROWS / 2, line, layout.width)
        path = _place(row, _MARGIN, line, path, layout)
        y = line - extent.below - _BETWEEN_ROWS
    layout.height = _MARGIN - _BETWEEN_ROWS - y
    return layout


def _rows(chain, width, scale):
    """Divide a chain into rows of at most this width, or of one part."""
    rows = [()]
    for part in chain:
        if rows[-1] and _extent((*rows[-1], part), scale).width > width:
            rows.append(())
        rows[-1] += (part,)
    return rows


def _turn(line, between, next_line, width):
    """Return the path from the end of a row to the begin of the next."""
    left, right = _MARGIN / 2, width - _MARGIN / 2
    return [(right, line), (right, between), (left, between), (left, next_line)]


@singledispatch
def _extent(part, scale):
    """Return the room that a part or a chain takes."""
    raise TypeError(type(part))


@singledispatch
def _place(part, x, y, path, layout):
    """Place a part or a chain from x on, along the line at y.

    Parameters
    ----------
    part : Part, Fork, Repeat or tuple of them
    x, y : float
    path : list of (x, y)
        The line that leads to the part; empty if none does.
    layout : Layout
        Gets what is drawn.

    Returns
    -------
    list of (x, y)
        The line that leads away from it, as far as it is drawn already.
    """
    raise TypeError(type(part))


@_extent.register
def _(part: Part, scale):
    depth, height, (right, up) = scale.box(part.volume)
    half, caption = (height + up) / 2, part.caption(scale.words)
    width = max([depth + right + _ARROW, *(text_width(line) + _BETWEEN_LABELS for line in caption)])
    return Extent(width, half, half + (_BELOW_BOX + LINE * len(caption) if caption else 0))


@_place.register
def _(part: Part, x, y, path, layout):
    depth, height, (right, up) = layout.scale.box(part.volume)
    width, half = _extent(part, layout.scale).width, (height + up) / 2
    left = x + (width - depth - right) / 2
    layout.boxes.append((part, left, y - half))
    layout.labels.append((part.caption(layout.scale.words), x + width / 2, y - half - _BELOW_BOX))
    slant = right * max(0, half - height) / up  # a flat box begins, and ends, on its slanted edges
    if path:
        layout.lines.append([*path, (left + slant, y)])
    return [(left + depth + right - slant, y)]


@_extent.register
def _(chain: tuple, scale):
    extents = [_extent(part, scale) for part in chain]
    if not extents:
        return Extent(_ARROW, 0, 0)
    above, below = max(extent.above for extent in extents), max(extent.below for extent in extents)
    return Extent(sum(extent.width for extent in extents), above, below)


@_place.register
def _(chain: tuple, x, y, path, layout):
    for part in chain:
        path = _place(part, x, y, path, layout)
        x += _extent(part, layout.scale).width
    return path


@_extent.register
def _(fork: Fork, scale):
    extents = [_extent(branch, scale) for branch in fork.branches]
    offsets, joint = _offsets(extents, fork.main), _extent(fork.joint, scale)
    above, below = offsets[0] + extents[0].above, extents[-1].below - offsets[-1]
    width = max(extent.width for extent in extents) + 2 * (_STEM + SIGN) + joint.width
    return Extent(width, max(above, joint.above), max(below, joint.below))


@_place.register
def _(fork: Fork, x, y, path, layout):
    extents = [_extent(branch, layout.scale) for branch in fork.branches]
    begin, end = x + _STEM / 2, x + 2 * _STEM + max(extent.width for extent in extents) + SIGN
    for branch, offset in zip(fork.branches, _offsets(extents, fork.main), strict=True):
        to_branch = [(begin, y), (begin, y + offset)] if offset else []
        away = _place(branch, x + _STEM, y + offset, [*path, *to_branch], layout)
        if offset:
            to_sign = [(end, y + offset), (end, y + (SIGN if offset > 0 else -SIGN))]
        else:
            to_sign = [(end - SIGN, y)]
        layout.lines.append([*away, *to_sign])
    layout.signs.append((fork.operator, end, y))
    return _place(fork.joint, end + SIGN, y, [(end + SIGN, y)], layout)


def _offsets(extents, main):
    """Return how far above the line each branch is, from the top to the bottom; the main one is on the line."""
    offsets = [0.0] * len(extents)
    for n in range(main - 1, -1, -1):
        offsets[n] = offsets[n + 1] + extents[n + 1].above + _BETWEEN_BRANCHES + extents[n].below
    for n in range(main + 1, len(extents)):
        offsets[n] = offsets[n - 1] - extents[n - 1].below - _BETWEEN_BRANCHES - extents[n].above
    return offsets


@_extent.register
def _(repeat: Repeat, scale):
    inside = _extent(repeat.chain, scale)
    return Extent(inside.width + 2 * _FRAME, inside.above + _FRAME + LINE, inside.below + _FRAME)


@_place.register
def _(repeat: Repeat, x, y, path, layout):
    extent = _extent(repeat, layout.scale)
    frame = x + _FRAME / 4, y - extent.below, extent.width - _FRAME / 2, extent.below + extent.above
    layout.frames.append((repeat.times, *frame))
    return _place(repeat.chain, x + _FRAME, y, path, layout)
