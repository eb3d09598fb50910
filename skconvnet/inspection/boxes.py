"""The layout of a diagram, drawn with Matplotlib."""

from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, Rectangle

from skconvnet.inspection.layout import FONT_SIZE, LINE, SIGN

__all__ = ["draw_layout"]

_COLOURS = {"INPUT": "#e8a09a", "CONV": "#8db8dc", "POOL": "#93cfa0", "FC": "#f2c879"}
_COLOURS |= dict.fromkeys(("SUM", "STACK", "GATE"), "#c0a8d8")
_OTHER = "#c8c8c8"
_EDGE, _LINE, _FRAME = "#333333", "#666666", "#f0f0f0"
_SIGNS = {"+": "+", "|": "|", "*": "×"}
_EDGE_WIDTH = 0.6  # points
_ARROW_HEAD = 0.05
_GAP, _SLANT, _OVER = 0.06, 0.025, 0.03  # of a broken box
_LINE_SPACING = 1.35  # with which lines of Matplotlib are LINE apart


def draw_layout(layout, ax, font_size):
    """Draw a layout.

    Parameters
    ----------
    layout : Layout
    ax : matplotlib Axes
        One unit is one inch of the layout.
    font_size : float
        In points.
    """
    has_words = layout.scale.words != "none"
    _draw_frames(layout.frames, ax, font_size if has_words else None)
    heads = [_arrow_head(*path[-2:]) for path in layout.lines]
    ax.add_collection(LineCollection(layout.lines, colors=_LINE, linewidths=0.8, zorder=1))
    ax.add_collection(PolyCollection(heads, facecolors=_LINE, edgecolors="none", zorder=1, gid="arrows"))
    _draw_signs(layout.signs, ax, font_size if has_words else None)
    _draw_boxes(layout.boxes, layout.scale, ax, _EDGE_WIDTH * min(1, font_size / FONT_SIZE))
    for (name, *others), x, y in layout.labels if has_words else ():
        font = {"family": "monospace", "fontsize": font_size, "ha": "center", "va": "top"}
        ax.text(x, y, name, weight="bold", **font)
        if others:
            ax.text(x, y - LINE, "\n".join(others), linespacing=_LINE_SPACING, **font)


def _draw_frames(frames, ax, font_size):
    """Draw what is behind the parts that are repeated; without a font size, not how often they are."""
    for times, x, y, width, height in frames:
        ax.add_patch(Rectangle((x, y), width, height, facecolor=_FRAME, edgecolor="none", zorder=0))
        if font_size is not None:
            text = {"ha": "left", "va": "top", "fontsize": font_size, "style": "italic"}
            ax.text(x + LINE / 3, y + height - LINE / 4, f"{times} times", **text)


def _draw_signs(signs, ax, font_size):
    """Draw what joins branches, as a sign in a circle, or without a font size as a circle."""
    for sign, x, y in signs:
        ax.add_patch(Circle((x, y), SIGN, facecolor="white", edgecolor=_LINE, linewidth=0.8, zorder=2))
        if font_size is not None:
            ax.text(x, y, _SIGNS[sign], ha="center", va="center_baseline", fontsize=font_size, zorder=3)


def _arrow_head(before, tip):
    """Return the corners of the head of an arrow."""
    (x0, y0), (x, y) = before, tip
    length = max(abs(x - x0), abs(y - y0)) / _ARROW_HEAD  # arrows are horizontal or vertical
    right, up = (x - x0) / length, (y - y0) / length
    return [(x, y), (x - right - up / 2, y - up + right / 2), (x - right + up / 2, y - up - right / 2)]


def _draw_boxes(boxes, scale, ax, edge_width):
    """Draw three faces of each box, and over them the gaps where boxes are broken."""
    faces, colours, gaps = [], [], []
    for part, x, y in boxes:
        depth, height, back = scale.box(part.volume)
        faces += _faces(x, y, depth, height, *back)
        colours += [_shaded(_COLOURS.get(part.kind, _OTHER), shade) for shade in (0, 0.35, -0.15)]
        if part.volume.depth > scale.longest:
            gaps.append(_gap(x + depth / 2, y, height, *back))
    edges = {"edgecolors": _EDGE, "linewidths": edge_width}
    ax.add_collection(PolyCollection(faces, facecolors=colours, joinstyle="round", zorder=2, gid="boxes", **edges))
    ax.add_collection(PolyCollection(gaps, facecolors="white", edgecolors="none", zorder=2.1, gid="gaps"))
    sides = [side for gap in gaps for side in (gap[:3], gap[3:])]
    ax.add_collection(LineCollection(sides, colors=_EDGE, linewidths=edge_width, zorder=2.2))


def _faces(x, y, depth, height, right, up):
    """Return the corners of the front, the top and the right side of a box, whose front begins at (x, y)."""
    front = [(x, y), (x + depth, y), (x + depth, y + height), (x, y + height)]
    back = [(corner_x + right, corner_y + up) for corner_x, corner_y in front]
    return [front, [front[3], front[2], back[2], back[3]], [front[1], back[1], back[2], front[2]]]


def _gap(x, y, height, right, up):
    """Return the corners of the gap across the front and the top of a box, beginning at (x, y)."""
    side = [(x - _SLANT, y - _OVER), (x + _SLANT, y + height), (x + right + _SLANT, y + height + up + _OVER)]
    return [*side, *((corner_x + _GAP, corner_y) for corner_x, corner_y in reversed(side))]


def _shaded(colour, shade):
    """Return a colour mixed with white, or with black if the shade is negative."""
    target = 1 if shade > 0 else 0
    return tuple(channel + abs(shade) * (target - channel) for channel in to_rgb(colour))
