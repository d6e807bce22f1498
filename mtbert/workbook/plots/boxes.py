"""Boxes and arrows for diagrams of layers."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch


def box(axes: Axes, x: float, y: float, width: float, height: float, name: str, note: str, color) -> None:
    """Draw a box whose left edge is at x and whose center is at y, with its name inside and a note below."""
    style = {"boxstyle": "round,pad=0,rounding_size=0.1", "facecolor": (*to_rgb(color), 0.18), "edgecolor": color}
    axes.add_patch(FancyBboxPatch((x, y - height / 2), width, height, linewidth=1.6, **style))
    axes.text(x + width / 2, y, name, ha="center", va="center", fontsize=11)
    axes.text(x + width / 2, y - height / 2 - 0.07, note, ha="center", va="top", fontsize=9, color="0.35")


def path(axes: Axes, points: Sequence[tuple[float, float]], color="0.2") -> None:
    """Draw a line through the points with an arrowhead at the last one."""
    *before, last = points
    axes.plot(*zip(*before, strict=True), color=color, linewidth=1.4)
    axes.annotate("", last, before[-1], arrowprops={"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0})


def plus(axes: Axes, x: float, y: float) -> None:
    """Draw a sum: a plus sign in a circle."""
    circle = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "0.2"}
    axes.text(x, y, "+", ha="center", va="center", fontsize=15, zorder=3, bbox=circle)
