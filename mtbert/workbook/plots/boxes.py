"""Boxes and arrows, of which the drawings of layers consist."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch


def box(axes: Axes, x: float, y: float, width: float, height: float, name: str, note: str, colour) -> None:
    """A box from x on, centred on y, with its name inside and a note under it."""
    patch = FancyBboxPatch(
        (x, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.1",
        facecolor=(*to_rgb(colour), 0.18),
        edgecolor=colour,
        linewidth=1.6,
    )
    axes.add_patch(patch)
    axes.text(x + width / 2, y, name, ha="center", va="center", fontsize=11)
    axes.text(x + width / 2, y - height / 2 - 0.07, note, ha="center", va="top", fontsize=9, color="0.35")


def path(axes: Axes, points: Sequence[tuple[float, float]], colour="0.2") -> None:
    """A line through the points with an arrow's head at the last."""
    *before, last = points
    axes.plot(*zip(*before, strict=True), color=colour, linewidth=1.4)
    axes.annotate("", last, before[-1], arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0})


def plus(axes: Axes, x: float, y: float) -> None:
    """A sum: a plus in a circle."""
    axes.text(
        x,
        y,
        "+",
        ha="center",
        va="center",
        fontsize=15,
        zorder=3,
        bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "0.2"},
    )
