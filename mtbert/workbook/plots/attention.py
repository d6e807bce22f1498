"""Figures of notebook 01: arrows, attention weights, masks, and where the heads of an encoder look."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter, ScalarFormatter
from numpy.typing import ArrayLike

from mtbert.workbook.plots import style
from mtbert.workbook.plots.style import FONT_SIZE, PALETTE, line_per_name, path, subplots, write_cells

_WIDTH = 10


def arrows(vectors: ArrayLike, words: Sequence[str], axis_names: tuple[str, str], title: str) -> Figure:
    """Draw one arrow per word, and all dot products; vectors (words, 2); axis_names: horizontal, vertical."""
    vectors = np.asarray(vectors, dtype=float)
    figure, (left, right) = style.panels(2, (_WIDTH, 4.4))
    for (x, y), word, color in zip(vectors, words, PALETTE, strict=False):
        left.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2.5})
        left.text(x + 0.06, y + 0.08, word, color=color, fontweight="bold")
    edge = 1.25 * np.abs(vectors).max()
    left.set(xlim=(-0.1, edge), ylim=(-0.1, edge), aspect="equal", title=title)
    left.set(xlabel=axis_names[0], ylabel=axis_names[1])
    products = vectors @ vectors.T
    right.imshow(products, cmap="Blues", vmin=0)
    write_cells(right, np.vectorize("{:.3g}".format)(products), products > 0.6 * products.max(), "0.1", FONT_SIZE)
    _name_tokens(right, words)
    right.set(xlabel="word", ylabel="word", title="Their dot products")
    return figure


def projections(tokens: int, width: int, features: int = 4) -> Figure:
    """Draw self-attention as matrices: X times three matrices, the scores, the weights, the weighted mean."""
    figure, axes = subplots(figsize=(_WIDTH + 1, 4.4))
    axes.set(xlim=(0, 11), ylim=(-0.1, 4.1), title="Query, key and value as matrices")
    axes.axis("off")
    names, heights, colors = "QKV", (3.5, 2.1, 0.7), (PALETTE[0], PALETTE[1], PALETTE[2])
    _matrix(axes, 0.2, 2.1, 0.9, 1.1, "X", f"{tokens} × {features}", "0.4")
    for name, y, color in zip(names, heights, colors, strict=True):
        path(axes, [(1.15, 2.1), (1.5, 2.1), (1.5, y), (1.85, y)], "0.5")
        _matrix(axes, 1.9, y, 0.9, 0.7, f"$W_{name}$", f"{features} × {width}", color)
        path(axes, [(2.85, y), (3.35, y)], "0.5")
        _matrix(axes, 3.4, y, 0.9, 0.8, name, f"{tokens} × {width}", color)
    _matrix(axes, 5.4, 2.8, 1.1, 0.9, "QKᵀ / √d", f"scores: {tokens} × {tokens}", "0.4", 1.5)
    path(axes, [(4.35, 3.5), (4.8, 3.5), (4.8, 2.95), (5.35, 2.95)], "0.5")
    path(axes, [(4.35, 2.1), (4.8, 2.1), (4.8, 2.65), (5.35, 2.65)], "0.5")
    path(axes, [(6.95, 2.8), (7.85, 2.8)], "0.5")
    axes.text(7.4, 2.92, "softmax", ha="center", fontsize=FONT_SIZE)
    _matrix(axes, 7.9, 2.8, 1.1, 0.9, "weights", "rows sum to 1", PALETTE[3])
    path(axes, [(9.05, 2.8), (9.3, 2.8), (9.3, 1.9), (9.6, 1.9)], "0.5")
    path(axes, [(4.35, 0.7), (9.3, 0.7), (9.3, 1.6), (9.6, 1.6)], "0.5")
    _matrix(axes, 9.65, 1.75, 1.1, 0.9, "output", f"{tokens} × {width}", "0.4")
    return figure


def _matrix(axes: Axes, x: float, y: float, width: float, height: float, name: str, shape: str, color, wide=0.0):
    """A box for a matrix whose left edge is at x and whose center is at y, with its shape below."""
    width = wide or width
    axes.add_patch(
        Rectangle((x, y - height / 2), width, height, facecolor=(*to_rgb(color), 0.2), edgecolor=color, linewidth=1.6)
    )
    axes.text(x + width / 2, y, name, ha="center", va="center", fontsize=FONT_SIZE + 1)
    axes.text(x + width / 2, y - height / 2 - 0.06, shape, ha="center", va="top", fontsize=FONT_SIZE, color="0.35")


def split_and_merge(tokens: int, heads: int, width: int) -> Figure:
    """Draw how (tokens, heads * width) is split into heads, mixed in each head, and merged again."""
    cell, gap = 0.3, 0.45
    columns, tall = heads * width, heads * tokens * cell + (heads - 1) * gap
    middle = 1.0 + tall / 2
    figure, axes = subplots(figsize=(_WIDTH + 1, tall + 1.6))
    axes.set(xlim=(0, 11), ylim=(0, tall + 1.1), title="Split into heads, attend, merge")
    axes.axis("off")

    def grid(x: float, top: float, colors: Sequence, alpha: float = 0.45) -> None:
        for row in range(tokens):
            for column, color in enumerate(colors):
                box = Rectangle((x + cell * column, top - cell * (row + 1)), cell, cell, facecolor=(*color, alpha))
                box.set(edgecolor="white", linewidth=1.5)
                axes.add_patch(box)

    by_column = [PALETTE[i // width] for i in range(columns)]
    side = tokens * cell / 2
    grid(0.1, middle + side, by_column)
    right = 11 - cell * columns - 0.1
    grid(right, middle + side, by_column, 0.9)
    split_x, weights_x, mixed_x = 3.4, 5.0, 7.3
    for head in range(heads):
        top = middle + tall / 2 - head * (tokens * cell + gap)
        center, color = top - side, PALETTE[head]
        grid(split_x, top, [color] * width)
        grid(weights_x, top, [(0.45, 0.45, 0.45)] * tokens)
        grid(mixed_x, top, [color] * width, 0.9)
        axes.text(split_x - 0.1, center, f"head {head}", ha="right", va="center", fontsize=FONT_SIZE)
        path(axes, [(split_x + cell * width + 0.05, center), (weights_x - 0.08, center)], "0.5")
        path(axes, [(weights_x + cell * tokens + 0.08, center), (mixed_x - 0.08, center)], "0.5")
        path(axes, [(mixed_x + cell * width + 0.1, center), (right - 0.1, middle)], "0.5")
        path(axes, [(0.1 + cell * columns + 0.1, middle), (split_x - 0.85, center)], "0.5")
    notes = {
        0.1 + cell * columns / 2: f"tokens × d\n{tokens} × {columns}",
        split_x + cell * width / 2: f"each tokens × d/h\n{tokens} × {width}",
        weights_x + cell * tokens / 2: f"weights\n{tokens} × {tokens}",
        mixed_x + cell * width / 2: f"weights × values\n{tokens} × {width}",
        right + cell * columns / 2: f"side by side again\n{tokens} × {columns}",
    }
    for x, note in notes.items():
        axes.text(x, middle - tall / 2 - 0.15, note, ha="center", va="top", fontsize=FONT_SIZE)
    return figure


def scaling(widths: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]], logarithmic=()) -> Figure:
    """Draw a panel per measure, a line per treatment, over the width d; panels: measure -> treatment -> values."""
    figure, row = style.panels(len(panels), (_WIDTH + 1, 4))
    for axes, (measure, lines) in zip(row, panels.items(), strict=True):
        line_per_name(axes, widths, lines, ("o-", "s--", "^:"), (PALETTE[0], PALETTE[3], PALETTE[2]))
        axes.set_xscale("log", base=2)
        if measure in logarithmic:
            powers_of_two = min(min(values) for values in lines.values()) >= 1  # 2, 4, 8 rather than powers of ten
            axes.set_yscale("log", base=2 if powers_of_two else 10)
            if powers_of_two:
                axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.set(xticks=widths, xticklabels=widths, xlabel="width d", ylabel=measure, title=measure.capitalize())
        axes.legend()
    return figure


def blocks(mask: ArrayLike, words: Sequence[str], title: str) -> Figure:
    """Draw which token may look at which; mask (tokens, tokens) bool."""
    figure, axes = subplots(figsize=(_WIDTH, 0.24 * len(words) + 1.4))
    axes.imshow(np.asarray(mask, dtype=float), cmap=ListedColormap(["0.93", PALETTE[0]]), vmin=0, vmax=1)
    _name_tokens(axes, words)
    axes.set_title(title)
    return figure


def cost(lengths: Sequence[int], shares: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw shares against length, the first one dashed, as a baseline for the others; shares: name -> (lengths,)."""
    figure, axes = subplots(figsize=(_WIDTH + 1, 4))
    line_per_name(axes, lengths, shares, ("--", "s-", "^-"), ("0.4", PALETTE[0], PALETTE[2]))
    axes.set(xlabel="tokens in the sequence, n", ylabel="share of attention", title=title, ylim=(0, 1))
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, lengths)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.minorticks_off()
    axes.legend()
    return figure


def maps(weights: Mapping[str, ArrayLike], tokens: Sequence[str]) -> Figure:
    """Draw attention maps side by side, with the tokens on both axes; weights: title -> (tokens, tokens)."""
    room = 8.6 / len(weights) if len(weights) > 1 else 4.2  # inches for a map
    figure, row = style.panels(len(weights), (_WIDTH + 1, room + 1.6), layout="constrained")
    fontsize = min(float(FONT_SIZE), max(5.0, 0.8 * 72 * room / len(tokens)))  # a row is room / tokens inches
    for axes, (title, matrix) in zip(row, weights.items(), strict=True):
        image = axes.imshow(np.asarray(matrix, dtype=float), cmap="Blues", vmin=0, vmax=1)
        _name_tokens(axes, tokens, fontsize)
        axes.set_title(title)
        if axes is not row[0]:
            axes.set(ylabel="", yticklabels=[])
    _color_scale(figure, image, row[-1], "weight")
    return figure


def scores(by_encoder: Mapping[str, ArrayLike], measure: str) -> Figure:
    """Draw a cell per head and a frame around the best one, on one scale; by_encoder: title -> (layers, heads)."""
    arrays = {title: np.asarray(values, dtype=float) for title, values in by_encoder.items()}
    top = max(values.max() for values in arrays.values())
    figure, row = style.panels(len(arrays), (_WIDTH + 1, 3.6), layout="constrained")
    for axes, (title, values) in zip(row, arrays.items(), strict=True):
        image = axes.imshow(values, cmap="Blues", vmin=0, vmax=top)
        layer, head = np.unravel_index(values.argmax(), values.shape)
        axes.add_patch(Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor=PALETTE[3], linewidth=3))
        axes.set(xlabel="head", ylabel="layer", xticks=range(values.shape[1]), yticks=range(values.shape[0]))
        axes.set_title(f"{title}: best {layer}.{head}, {values.max():.2f}")
    _color_scale(figure, image, row[-1], measure)
    return figure


def _name_tokens(axes: Axes, names: Sequence[str], fontsize: float = FONT_SIZE) -> None:
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=fontsize)
    axes.set_yticks(range(len(names)), names, fontsize=fontsize)
    axes.set(xlabel="attended to (key)", ylabel="attending token (query)")
    axes.tick_params(length=0)


def _color_scale(figure: Figure, image: AxesImage, axes: Axes, name: str) -> None:
    """A color scale in axes of its own, so that the layout can still be tightened."""
    figure.colorbar(image, cax=axes.inset_axes((1.03, 0, 0.05, 1)), label=name)
