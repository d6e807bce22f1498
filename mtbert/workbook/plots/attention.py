"""Figures of notebook 01: arrows, attention weights, masks, and where the heads of an encoder look."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import ScalarFormatter
from numpy.typing import ArrayLike

from mtbert.workbook.plots.style import PALETTE, of_shape


def arrows(vectors: ArrayLike, words: Sequence[str], axis_names: tuple[str, str], title: str) -> Figure:
    """One arrow from the origin per word. vectors: (words, 2)."""
    vectors = of_shape(vectors, len(words), 2)
    figure, axes = plt.subplots(figsize=(4.2, 3.6))
    for (x, y), word, colour in zip(vectors, words, PALETTE, strict=False):
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.5})
        axes.text(x + 0.06, y + 0.08, word, color=colour, fontweight="bold")
    edge = 1.25 * np.abs(vectors).max()
    axes.set(xlim=(-0.1, edge), ylim=(-0.1, edge), aspect="equal", title=title)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    return figure


def scaling(widths: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]], logarithmic=()) -> Figure:
    """A panel per measure, a line per treatment, against the width d.

    panels: measure -> name of the line -> one number per width. logarithmic: the measures on a logarithmic axis.
    """
    figure, all_axes = plt.subplots(1, len(panels), figsize=(9, 2.9), squeeze=False)
    styles = [("o-", PALETTE[0]), ("s--", PALETTE[3]), ("^:", PALETTE[2])]
    for axes, (measure, lines) in zip(all_axes[0], panels.items(), strict=True):
        for (name, values), (style, colour) in zip(lines.items(), styles, strict=False):
            axes.plot(widths, of_shape(values, len(widths)), style, color=colour, label=name)
        axes.set_xscale("log", base=2)
        if measure in logarithmic:
            plain = min(min(values) for values in lines.values()) >= 1  # 2, 4, 8 rather than powers of ten
            axes.set_yscale("log", base=2 if plain else 10)
            if plain:
                axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.set(xticks=widths, xticklabels=widths, xlabel="width d", ylabel=measure, title=measure.capitalize())
        axes.legend(fontsize=9)
    return figure


def blocks(mask: ArrayLike, words: Sequence[str], title: str) -> Figure:
    """Which token may look at which. mask: (tokens, tokens) bool; words: one per token."""
    mask = of_shape(mask, len(words), len(words))
    figure, axes = plt.subplots(figsize=(0.3 * len(words) + 2, 0.3 * len(words) + 1.4))
    colours = ListedColormap(["0.93", PALETTE[0]])
    axes.imshow(mask.astype(float), cmap=colours, vmin=0, vmax=1)
    _pieces(axes, words, words)
    axes.set_title(title)
    return figure


def cost(lengths: Sequence[int], seconds: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Time against length on two logarithmic axes, with a slope fitted to the three longest of each line.

    seconds: name -> one time per length. A slope of 1 is proportional, a slope of 2 quadratic.
    """
    figure, axes = plt.subplots(figsize=(9.4, 3.2))
    colours = [PALETTE[3], PALETTE[0], PALETTE[2]]
    for (name, times), marker, colour in zip(seconds.items(), "os^", colours, strict=False):
        times = of_shape(times, len(lengths))
        slope = np.polyfit(np.log(lengths[-3:]), np.log(times[-3:]), 1)[0]
        axes.plot(lengths, 1000 * times, marker=marker, color=colour, label=f"{name}: slope {slope:.1f} at the end")
    axes.set(xscale="log", yscale="log", xlabel="tokens in the sequence, n", ylabel="milliseconds", title=title)
    axes.set_xticks(lengths, lengths)
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def maps(weights: Mapping[str, ArrayLike], pieces: Sequence[str]) -> Figure:
    """Attention maps side by side, word pieces on both axes. weights: title -> (tokens, tokens)."""
    size = 3.1 if len(weights) > 1 else 5.5
    room = (min(10, size * len(weights)), size + 0.6 if len(weights) > 1 else size)
    figure, all_axes = plt.subplots(1, len(weights), figsize=room, squeeze=False)
    for axes, (title, one) in zip(all_axes[0], weights.items(), strict=True):
        image = axes.imshow(of_shape(one, len(pieces), len(pieces)), cmap="Blues", vmin=0, vmax=1)
        _pieces(axes, pieces, pieces, size=_letter_size(len(pieces), size))
        axes.set_title(title)
        if axes is not all_axes[0, 0]:
            axes.set(ylabel="", yticklabels=[])
    _scale(figure, image, all_axes[0].tolist(), "weight")
    return figure


def scores(by_encoder: Mapping[str, ArrayLike], measure: str) -> Figure:
    """A cell per head, one panel per encoder, all on one scale; the best head of each is framed.

    by_encoder: title -> (layers, heads).
    """
    panels = {title: np.asarray(one) for title, one in by_encoder.items()}
    if any(one.ndim != 2 for one in panels.values()):
        raise ValueError("scores are one number per layer and head")
    top = max(one.max() for one in panels.values())
    figure, all_axes = plt.subplots(1, len(panels), figsize=(9 if len(panels) > 1 else 6, 2.9), squeeze=False)
    for axes, (title, one) in zip(all_axes[0], panels.items(), strict=True):
        image = axes.imshow(one, cmap="viridis", vmin=0, vmax=top)
        layer, head = np.unravel_index(one.argmax(), one.shape)
        axes.add_patch(Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor=PALETTE[3], linewidth=3))
        axes.set(xlabel="head", ylabel="layer", xticks=range(one.shape[1]), yticks=range(one.shape[0]))
        axes.set_title(f"{title}: best {layer}.{head}, {one.max():.2f}")
    _scale(figure, image, all_axes[0].tolist(), measure)
    return figure


def _pieces(axes: Axes, queries: Sequence[str], keys: Sequence[str], size: float = 10) -> None:
    axes.set_xticks(range(len(keys)), keys, rotation=90, fontsize=size)
    axes.set_yticks(range(len(queries)), queries, fontsize=size)
    axes.set(xlabel="looked at (key)", ylabel="who looks (query)")
    axes.tick_params(length=0)


def _letter_size(rows: int, inches: float) -> float:
    """Letters that fit: one row is ``inches`` / ``rows`` high, and an inch is 72 points."""
    return min(10.0, max(5.0, 0.75 * 72 * inches / rows))


def _scale(figure: Figure, image: AxesImage, beside: list[Axes], name: str) -> None:
    """A colour scale in axes of its own, so that the layout can still be tightened."""
    last = beside[-1]
    place = last.inset_axes((1.03, 0, 0.05, 1))
    figure.colorbar(image, cax=place, label=name)
