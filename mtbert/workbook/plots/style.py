"""The workbook's one style: colors that everybody can tell apart, and what several figures draw in the same way."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import ArrayLike

from mtbert.utils import paths

PALETTE = sns.color_palette("colorblind")
COLORS = {name: PALETTE[i] for i, name in enumerate(("sst", "quora", "sts", "cfimdb", "yelp"))}
COLORS["plain"] = (0.35, 0.35, 0.35)
TASK_NAMES = {"sst": "SST", "quora": "Quora", "sts": "STS", "cfimdb": "CFIMDB", "yelp": "Yelp"}
FONT_SIZE = 13  # points, in figures that are 10 inches wide
MARKERS = "osD^vPX*<>"
DASHES = ("-", "--", "-.", ":")
MARKED_LINES = [f"{marker}-" for marker in MARKERS]


def use_style() -> None:
    """Set the workbook's style for all following figures: legible on a screen and when projected."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind", font_scale=FONT_SIZE / 11)
    figure = {"figure.dpi": 144, "figure.figsize": (10, 4), "font.size": FONT_SIZE, "legend.frameon": False}
    axes = {"spines.top": False, "spines.right": False, "titlesize": "medium", "titleweight": "bold"}
    mpl.rcParams.update(figure | {f"axes.{name}": value for name, value in axes.items()})


def caption(figure: Figure, text: str) -> None:
    """Write a line under the figure that says what to see."""
    if figure.get_layout_engine() is None:  # the others are laid out already
        figure.tight_layout()
    figure.text(
        0.01, -0.1 / figure.get_figheight(), text, ha="left", va="top", fontsize=FONT_SIZE, style="italic", wrap=True
    )


def save_figure(figure: Figure, name: str) -> None:
    """Write the figure to figures/NAME.png."""
    paths.FIGURES.mkdir(exist_ok=True)
    figure.savefig(paths.FIGURES / f"{name}.png", dpi=150, bbox_inches="tight")


def subplots(rows: int = 1, columns: int = 1, *, figsize=None, layout=None, **options: Any) -> tuple[Figure, Any]:
    """The same as pyplot's ``subplots``, for a figure that pyplot does not know.

    Pyplot keeps its figures in a global list. An explorer that moves while a cell runs would draw into the figures of
    that cell, or take them away.
    """
    figure = Figure(figsize=figsize, layout=layout)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def panels(count: int, size: tuple[float, float], title: str = "", **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels side by side, and a title above all of them."""
    figure, row = subplots(1, count, figsize=size, squeeze=False, **options)
    if title:
        figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure, list(row[0])


def legend_outside(axes: Axes, *entries: Any, **options: Any) -> None:
    """A legend to the right of the axes."""
    axes.legend(*entries, loc="upper left", bbox_to_anchor=(1, 1), **options)


def finish(axes: Axes, **settings: Any) -> Figure:
    """Set names, limits and scales of the axes, and return their figure with a legend to the right."""
    axes.set(**settings)
    legend_outside(axes)
    return axes.figure


def labelled_bars(axes: Axes, names: Iterable[str], values: Iterable[float], color: Any, fmt: str) -> None:
    """Horizontal bars, each with its value to the right."""
    axes.bar_label(axes.barh(list(names), list(values), color=color), fmt=fmt, padding=3, fontsize=FONT_SIZE)


def line_per_name(axes: Axes, x: ArrayLike | None, curves: Mapping, formats: Iterable[str], colors=PALETTE, **options):
    """A line over ``x`` (None: 0, 1, 2 ...) for each name, with its own marker or dashes and color."""
    for (name, values), line, color in zip(curves.items(), formats, colors, strict=False):
        axes.plot(range(len(values)) if x is None else x, values, line, color=color, label=name, **options)


def intervals(axes: Axes, table: pd.DataFrame, heights: Sequence[float], **options: Any) -> None:
    """Marks at the column ``mean``, with the half width of their interval where column ``half`` knows it."""
    axes.errorbar(table["mean"], heights, xerr=table["half"].fillna(0), capsize=3, **options)


def dot_rows(axes: Axes, rows: Mapping[str, Sequence[float]], colors: Sequence[Any], alpha: float) -> None:
    """A row of dots per name, moved up and down a little so that equal values stay visible."""
    noise = np.random.default_rng(0)
    for row, (values, color) in enumerate(zip(rows.values(), colors, strict=True)):
        axes.plot(values, row + noise.uniform(-0.25, 0.25, len(values)), ".", color=color, alpha=alpha)
    axes.set(yticks=range(len(rows)), yticklabels=list(rows))


def mean_and_seeds(axes: Axes, table: pd.DataFrame, x: str, y: str, color: Any, **options: Any) -> None:
    """The mean of ``y`` over ``x`` as a line, and a pale line per seed where there are several."""
    means = table.groupby(x)[y].mean()
    axes.plot(means.index, means, color=color, **options)
    if "seed" in table and table.seed.nunique() > 1:
        for _, run in table.groupby("seed"):
            axes.plot(run[x], run[y], color=color, alpha=0.3, linewidth=1)


def write_cells(axes: Axes, texts: np.ndarray, white: np.ndarray, dark: str, fontsize: int) -> None:
    """Write a text into each cell of an image, in white where ``white`` holds."""
    for (row, column), text in np.ndenumerate(texts):
        color = "white" if white[row, column] else dark
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=fontsize)


def plain_log_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Label a logarithmic axis at these values, as ordinary numbers."""
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def running_mean(values: ArrayLike, window: int) -> np.ndarray:
    """The mean of each ``window`` neighboring values; empty if there are fewer values."""
    values = np.asarray(values, dtype=float)
    return np.convolve(values, np.full(window, 1 / window), mode="valid") if len(values) >= window else np.empty(0)


def box(axes: Axes, x: float, y: float, width: float, height: float, name: str, note: str, color) -> None:
    """Draw a box whose left edge is at x and whose center is at y, with its name inside and a note below."""
    style = {"boxstyle": "round,pad=0,rounding_size=0.1", "facecolor": (*to_rgb(color), 0.18), "edgecolor": color}
    axes.add_patch(FancyBboxPatch((x, y - height / 2), width, height, linewidth=1.6, **style))
    axes.text(x + width / 2, y, name, ha="center", va="center", fontsize=FONT_SIZE)
    axes.text(x + width / 2, y - height / 2 - 0.07, note, ha="center", va="top", fontsize=FONT_SIZE, color="0.35")


def path(axes: Axes, points: Sequence[tuple[float, float]], color="0.2") -> None:
    """Draw a line through the points with an arrowhead at the last one."""
    *before, last = points
    axes.plot(*zip(*before, strict=True), color=color, linewidth=1.4)
    axes.annotate("", last, before[-1], arrowprops={"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0})


def plus(axes: Axes, x: float, y: float) -> None:
    """Draw a sum: a plus sign in a circle."""
    circle = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "0.2"}
    axes.text(x, y, "+", ha="center", va="center", fontsize=15, zorder=3, bbox=circle)
