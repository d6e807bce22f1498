"""The workbook's one style: colors that everybody can tell apart, and what several figures draw in the same way."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mtbert.utils import paths

PALETTE = sns.color_palette("colorblind")
COLORS = {name: PALETTE[i] for i, name in enumerate(("sst", "quora", "sts", "cfimdb", "yelp"))}
COLORS["plain"] = (0.35, 0.35, 0.35)
MARKERS = "osD^vPX*<>"
DASHES = ("-", "--", "-.", ":")


def use_style() -> None:
    """Set the workbook's style for all following figures."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    figure = {"figure.dpi": 72, "figure.figsize": (8, 3.4), "font.size": 11, "legend.frameon": False}
    axes = {"spines.top": False, "spines.right": False, "titlesize": "medium", "titleweight": "bold"}
    plt.rcParams.update(figure | {f"axes.{name}": value for name, value in axes.items()})


def caption(figure: Figure, text: str) -> None:
    """Write a line under the figure that says what to see."""
    figure.tight_layout()
    figure.text(0.01, -0.1 / figure.get_figheight(), text, ha="left", va="top", fontsize=10, style="italic", wrap=True)


def save_figure(figure: Figure, name: str) -> None:
    """Write the figure to figures/NAME.png."""
    paths.FIGURES.mkdir(exist_ok=True)
    figure.savefig(paths.FIGURES / f"{name}.png", dpi=150, bbox_inches="tight")


def check_shape(values: ArrayLike, *shape: int | None) -> np.ndarray:
    """Convert values to an array of floats of a given shape.

    Args:
        values: Numbers of any array type.
        shape: The size of each dimension; None allows any size.

    Returns:
        The values as a float64 array.

    Raises:
        ValueError: If the shape differs.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != len(shape) or any(size not in (None, has) for has, size in zip(array.shape, shape, strict=True)):
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"the values have shape {array.shape}, but should have ({expected})")
    return array


def panels(count: int, size: tuple[float, float], **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels side by side."""
    figure, row = plt.subplots(1, count, figsize=size, squeeze=False, **options)
    return figure, list(row[0])


def legend_outside(axes: Axes, *entries: Any, **options: Any) -> None:
    """A legend to the right of the axes."""
    axes.legend(*entries, loc="upper left", bbox_to_anchor=(1, 1), **options)


def figure_title(figure: Figure, title: str) -> None:
    """A title above all panels, in the style of a panel's title."""
    figure.suptitle(title, fontweight="bold", fontsize="medium")


def labelled_bars(
    axes: Axes,
    names: Iterable[str],
    values: Iterable[float],
    color: Any,
    fmt: str | Callable[[float], str],
    **options: Any,
) -> BarContainer:
    """Horizontal bars from top to bottom, each with its value to the right."""
    bars = axes.barh(list(names), list(values), color=color)
    axes.bar_label(bars, fmt=fmt, **{"padding": 3, "fontsize": 9, **options})
    return bars


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


def running_mean(values: ArrayLike, window: int) -> np.ndarray:
    """The mean of each ``window`` neighboring values; empty if there are fewer values."""
    values = np.asarray(values, dtype=float)
    return np.convolve(values, np.full(window, 1 / window), mode="valid") if len(values) >= window else np.empty(0)
