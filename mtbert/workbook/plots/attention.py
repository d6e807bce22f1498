"""Figures of notebook 01: arrows, attention weights, masks, and where the heads of an encoder look."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import ScalarFormatter
from numpy.typing import ArrayLike

from mtbert.workbook.plots import style
from mtbert.workbook.plots.style import PALETTE, line_per_name, subplots


def arrows(vectors: ArrayLike, words: Sequence[str], axis_names: tuple[str, str], title: str) -> Figure:
    """Draw one arrow from the origin per word; vectors (words, 2); axis_names: horizontal, vertical."""
    vectors = np.asarray(vectors, dtype=float)
    figure, axes = subplots(figsize=(4.2, 3.6))
    for (x, y), word, color in zip(vectors, words, PALETTE, strict=False):
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2.5})
        axes.text(x + 0.06, y + 0.08, word, color=color, fontweight="bold")
    edge = 1.25 * np.abs(vectors).max()
    axes.set(xlim=(-0.1, edge), ylim=(-0.1, edge), aspect="equal", title=title)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    return figure


def scaling(widths: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]], logarithmic=()) -> Figure:
    """Draw a panel per measure, a line per treatment, over the width d; panels: measure -> treatment -> values."""
    figure, row = style.panels(len(panels), (9, 2.9))
    for axes, (measure, lines) in zip(row, panels.items(), strict=True):
        line_per_name(axes, widths, lines, ("o-", "s--", "^:"), (PALETTE[0], PALETTE[3], PALETTE[2]))
        axes.set_xscale("log", base=2)
        if measure in logarithmic:
            powers_of_two = min(min(values) for values in lines.values()) >= 1  # 2, 4, 8 rather than powers of ten
            axes.set_yscale("log", base=2 if powers_of_two else 10)
            if powers_of_two:
                axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.set(xticks=widths, xticklabels=widths, xlabel="width d", ylabel=measure, title=measure.capitalize())
        axes.legend(fontsize=9)
    return figure


def blocks(mask: ArrayLike, words: Sequence[str], title: str) -> Figure:
    """Draw which token may look at which; mask (tokens, tokens) bool."""
    figure, axes = subplots(figsize=(0.3 * len(words) + 2, 0.3 * len(words) + 1.4))
    axes.imshow(np.asarray(mask, dtype=float), cmap=ListedColormap(["0.93", PALETTE[0]]), vmin=0, vmax=1)
    _name_tokens(axes, words)
    axes.set_title(title)
    return figure


def cost(lengths: Sequence[int], seconds: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw time against length on logarithmic axes, and the slope of the three longest; seconds: name -> (lengths,)."""
    figure, axes = subplots(figsize=(9.4, 3.2))
    colors = [PALETTE[3], PALETTE[0], PALETTE[2]]
    for (name, times), marker, color in zip(seconds.items(), "os^", colors, strict=False):
        times = np.asarray(times, dtype=float)
        slope = np.polyfit(np.log(lengths[-3:]), np.log(times[-3:]), 1)[0]
        axes.plot(lengths, 1000 * times, marker=marker, color=color, label=f"{name}: slope {slope:.1f} at the end")
    axes.set(xscale="log", yscale="log", xlabel="tokens in the sequence, n", ylabel="milliseconds", title=title)
    axes.set_xticks(lengths, lengths)
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def maps(weights: Mapping[str, ArrayLike], pieces: Sequence[str]) -> Figure:
    """Draw attention maps side by side, with word pieces on both axes; weights: title -> (tokens, tokens)."""
    size = 3.1 if len(weights) > 1 else 5.5
    figure, row = style.panels(len(weights), (min(10, size * len(weights)), size + 0.6 if len(weights) > 1 else size))
    fontsize = min(10.0, max(5.0, 0.75 * 72 * size / len(pieces)))  # a row is size / tokens inches, an inch 72 points
    for axes, (title, matrix) in zip(row, weights.items(), strict=True):
        image = axes.imshow(np.asarray(matrix, dtype=float), cmap="Blues", vmin=0, vmax=1)
        _name_tokens(axes, pieces, fontsize)
        axes.set_title(title)
        if axes is not row[0]:
            axes.set(ylabel="", yticklabels=[])
    _color_scale(figure, image, row[-1], "weight")
    return figure


def scores(by_encoder: Mapping[str, ArrayLike], measure: str) -> Figure:
    """Draw a cell per head and a frame around the best one, on one scale; by_encoder: title -> (layers, heads)."""
    arrays = {title: np.asarray(values, dtype=float) for title, values in by_encoder.items()}
    top = max(values.max() for values in arrays.values())
    figure, row = style.panels(len(arrays), (9 if len(arrays) > 1 else 6, 2.9))
    for axes, (title, values) in zip(row, arrays.items(), strict=True):
        image = axes.imshow(values, cmap="viridis", vmin=0, vmax=top)
        layer, head = np.unravel_index(values.argmax(), values.shape)
        axes.add_patch(Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor=PALETTE[3], linewidth=3))
        axes.set(xlabel="head", ylabel="layer", xticks=range(values.shape[1]), yticks=range(values.shape[0]))
        axes.set_title(f"{title}: best {layer}.{head}, {values.max():.2f}")
    _color_scale(figure, image, row[-1], measure)
    return figure


def _name_tokens(axes: Axes, names: Sequence[str], fontsize: float = 10) -> None:
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=fontsize)
    axes.set_yticks(range(len(names)), names, fontsize=fontsize)
    axes.set(xlabel="attended to (key)", ylabel="attending token (query)")
    axes.tick_params(length=0)


def _color_scale(figure: Figure, image: AxesImage, axes: Axes, name: str) -> None:
    """A color scale in axes of its own, so that the layout can still be tightened."""
    figure.colorbar(image, cax=axes.inset_axes((1.03, 0, 0.05, 1)), label=name)
