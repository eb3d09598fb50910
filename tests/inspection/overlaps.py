"""Which texts of a figure overlap."""

from itertools import combinations


def shown_texts(figure):
    """The texts that are drawn, and their rectangles in pixels: not the ticks outside of an axis."""
    figure.canvas.draw()
    for ax in figure.axes:
        texts = [*ax.texts, ax.title] + (ax.get_legend().get_texts() if ax.get_legend() else [])
        if ax.axison:
            for axis, (low, high) in ((ax.xaxis, ax.bbox.intervalx), (ax.yaxis, ax.bbox.intervaly)):
                across = 0 if axis is ax.xaxis else 1
                texts.append(axis.label)
                for tick in axis.get_major_ticks():
                    place = ax.transData.transform([tick.get_loc()] * 2)[across]
                    texts += [tick.label1] if low - 1 <= place <= high + 1 else []
        for text in texts:
            if text.get_visible() and text.get_text():
                yield text.get_text(), text.get_window_extent()


def overlaps(figure):
    """The pairs of texts that overlap, and those that leave the figure."""
    texts = list(shown_texts(figure))
    pairs = [(one, other) for (one, a), (other, b) in combinations(texts, 2) if a.overlaps(b)]
    box = figure.bbox.padded(1)
    outside = [one for one, a in texts if not (box.x0 <= a.x0 and a.x1 <= box.x1 and box.y0 <= a.y0 and a.y1 <= box.y1)]
    return pairs + outside
