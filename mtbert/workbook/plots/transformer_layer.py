"""Figures of notebook 02: what a BERT layer is made of, what it does to scales and gradients, what its vectors know."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mtbert.workbook.plots.style import (
    FONT_SIZE,
    MARKED_LINES,
    MARKERS,
    PALETTE,
    box,
    finish,
    legend_outside,
    line_per_name,
    panels,
    path,
    plus,
    subplots,
)

_GRAY = "0.35"


def scales(without: Mapping[str, Sequence[float]], normed: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the root mean square of input and layers' outputs; both: the weights' deviation -> (layers + 1,)."""
    figure, row = panels(2, (11, 4.2), sharey=True)
    for axes, curves, title in zip(row, (without, normed), ("Without layer norm", "With layer norm"), strict=True):
        line_per_name(axes, None, curves, MARKED_LINES, markevery=6)
        axes.set(yscale="log", xlabel="layer (0: input)", title=title)
    row[0].set_ylabel("root mean square")
    legend_outside(row[1], title="std of weights")
    return figure


def residuals(stacks: Mapping[str, tuple[Mapping[str, Sequence[float]], Mapping[str, Sequence[float]]]]) -> Figure:
    """Draw a row per initialization: gradient norms (left) and cosines of tokens (right), by layer.

    stacks: initialization -> (kind of stack -> norms, kind of stack -> cosines), (layers + 1,) each.
    """
    figure, rows = subplots(len(stacks), 2, figsize=(11, 2.8 * len(stacks)), squeeze=False, sharex=True)
    for (left, right), (name, (gradients, cosines)) in zip(rows, stacks.items(), strict=True):
        for axes, curves in ((left, gradients), (right, cosines)):
            line_per_name(axes, None, curves, ("o-", "s--", "D-", "^--", "v:"), markevery=3)
        left.set(yscale="log", ylabel="relative to the output", title=f"{name}: gradient norm")
        right.set(ylim=(-0.1, 1.1), ylabel="mean cosine", title=f"{name}: similarity of tokens")
    for axes in rows[-1]:
        axes.set_xlabel("layer (0: input)")
    legend_outside(rows[0, 1])
    return figure


def embeddings(tokens: Sequence[str], ids: Sequence[int], types: Sequence[int]) -> Figure:
    """Draw the three vectors that are summed for each token of a sequence."""
    figure, axes = subplots(figsize=(11, 4.2))
    width, rows = 11 / (len(tokens) + 1.6), (("position", 2.3, 2), ("token type", 1.3, 1), ("token", 3.3, 0))
    axes.set(xlim=(0, 11), ylim=(0, 4.2), title="Three embeddings are summed for every token")
    axes.axis("off")
    below = {"token": ids, "position": range(len(tokens)), "token type": types}
    for name, y, color in rows:
        axes.text(0, y, f"{name}\nvector", va="center", fontsize=FONT_SIZE)
        for index, value in enumerate(below[name]):
            box(axes, 1.6 * width + index * width, y, 0.86 * width, 0.6, str(value), "", PALETTE[color])
    for index, token in enumerate(tokens):
        center = 1.6 * width + (index + 0.43) * width
        axes.text(center, 3.85, token, ha="center", va="center", fontweight="bold", fontsize=FONT_SIZE)
        for y in (2.8, 1.8):
            axes.text(center, y, "+", ha="center", va="center", fontsize=FONT_SIZE)
        path(axes, [(center, 0.95), (center, 0.55)])
        box(axes, center - 0.43 * width, 0.3, 0.86 * width, 0.4, "LN", "", _GRAY)
    return figure


def token_boxes(tokens: Sequence[str], ids: Sequence[int]) -> Figure:
    """Draw the tokens of a text as boxes with their ids below, eight in a line."""
    lines = -(-len(tokens) // 8)
    figure, axes = subplots(figsize=(10.5, 1.0 * lines + 0.6))
    axes.set(xlim=(0, 8), ylim=(-lines, 0.1), title=f"{len(tokens)} tokens")
    axes.axis("off")
    for index, (token, id) in enumerate(zip(tokens, ids, strict=True)):
        line, column = divmod(index, 8)
        special, continues = token.startswith("["), token.startswith("##")
        color = _GRAY if special else PALETTE[1] if continues else PALETTE[0]
        box(axes, column + 0.03, -line - 0.3, 0.94, 0.42, token, str(id), color)
    return figure


def pretraining(steps: Sequence[int], losses: Mapping[str, Sequence[float]], levels: Mapping[str, float]) -> Figure:
    """Draw losses by step, and constant levels to compare with; losses: name -> (steps,)."""
    figure, axes = subplots(figsize=(10.5, 3.3))
    line_per_name(axes, steps, losses, MARKED_LINES)
    for (name, level), dashes in zip(levels.items(), (":", "--", "-."), strict=False):
        axes.axhline(level, color=_GRAY, linestyle=dashes, label=name)
    return finish(axes, xlabel="step", ylabel="cross-entropy of masked tokens", title="Masked-LM pretraining")


def gelu() -> Figure:
    """Draw ReLU, GELU and its tanh approximation (left), and the approximation minus the exact form (right)."""
    x = torch.linspace(-4, 4, 801)
    exact, approximate = F.gelu(x), F.gelu(x, approximate="tanh")
    figure, (left, right) = panels(2, (11, 3.6))
    left.plot(x, F.relu(x), color=_GRAY, linestyle=":", label="ReLU")
    left.plot(x, exact, color=PALETTE[0], linewidth=2.5, label="GELU, exact")
    left.plot(x, approximate, color=PALETTE[1], linestyle="--", label="GELU, tanh form")
    left.set(xlabel="x", ylabel="output", title="Three activations", xlim=(-4, 2), ylim=(-0.4, 2))
    left.legend(loc="upper left")
    right.axhline(0, color="0.8")
    right.plot(x, 1e4 * (approximate - exact), color=PALETTE[1])
    right.set(xlabel="x", ylabel="difference, in 1/10,000", title="Tanh form minus exact form")
    return figure


def block(hidden: int, intermediate: int) -> Figure:
    """Draw a BERT layer as boxes and arrows: the attention sub-layer above, the feed-forward sub-layer below."""
    figure, axes = subplots(figsize=(11, 5.2))
    axes.set(xlim=(0, 10), ylim=(0, 4.7))
    axes.axis("off")
    axes.set_title("One layer of BERT")
    mixing, per_token, dropout = PALETTE[1], PALETTE[0], ("dropout", "", "0.55")
    attention = ("attention", "mixes tokens", mixing)
    query_key_value = ("dense\nq, k, v", f"{hidden} → 3 × {hidden}", per_token)
    _row(axes, 3.1, "x", [query_key_value, attention, ("dense", f"{hidden} → {hidden}", per_token), dropout], "h")
    wide = ("dense", f"{hidden} → {intermediate}", per_token)
    activation = ("GELU", "element-wise", per_token)
    _row(axes, 0.8, "h", [wide, activation, ("dense", f"{intermediate} → {hidden}", per_token), dropout], "y")
    axes.text(0.1, 4.5, "Attention sublayer", fontweight="bold", va="top")
    axes.text(0.1, 2.2, "Feed-forward sublayer", fontweight="bold", va="top")
    return figure


def _row(axes: Axes, y: float, start: str, boxes: Sequence[tuple[str, str, object]], end: str) -> None:
    """One sub-layer from left to right: the boxes, the residual sum, the norm."""
    width, height, gap = 1.2, 0.72, 0.42
    axes.text(0.25, y, start, ha="center", va="center", fontsize=15, style="italic")
    x = 0.5
    for name, note, color in boxes:
        path(axes, [(x, y), (x + gap, y)])
        box(axes, x + gap, y, width, height, name, note, color)
        x += gap + width
    center = x + gap + 0.17
    path(axes, [(x, y), (x + gap, y)])
    plus(axes, center, y)
    path(axes, [(center + 0.2, y), (center + 0.5, y)])
    box(axes, center + 0.5, y, width, height, "layer norm", "", PALETTE[2])
    path(axes, [(center + 0.5 + width, y), (center + 0.92 + width, y)])
    axes.text(center + 1.1 + width, y, end, ha="center", va="center", fontsize=15, style="italic")
    top = y + 0.72
    path(axes, [(0.7, y), (0.7, top), (center, top), (center, y + 0.19)])
    axes.text(
        (0.7 + center) / 2,
        top + 0.06,
        f"residual connection: {start} is unchanged",
        ha="center",
        va="bottom",
        fontsize=FONT_SIZE,
    )


def parameters(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw a stacked bar per model, in millions; counts: model -> part -> parameters, the same parts for all."""
    figure, axes = subplots(figsize=(11, 0.9 * len(counts) + 2))
    names, left = list(counts), np.zeros(len(counts))
    room = 0.05 * max(sum(parts.values()) for parts in counts.values()) / 1e6  # a bar needs this for its number
    for part, color in zip(next(iter(counts.values())), PALETTE, strict=False):
        millions = np.array([counts[name][part] / 1e6 for name in names])
        bars = axes.barh(names, millions, left=left, color=color, edgecolor="white", label=part)
        labels = [f"{value:.1f}" if value > room else "" for value in millions]
        axes.bar_label(bars, labels, label_type="center", color="white", fontsize=FONT_SIZE, fontweight="bold")
        left += millions
    axes.invert_yaxis()
    return finish(axes, xlabel="millions of parameters", ylabel="model", title="Number of parameters")


def probes(scores: Mapping[str, Mapping[str, Sequence[float]]], rows: int, majority: float) -> Figure:
    """Draw the accuracy of probes by layer with standard errors; scores: vector -> run -> (layers + 1,)."""
    figure, row = panels(len(scores), (11, 4.4), sharey=True)
    for axes, (vector, runs) in zip(row, scores.items(), strict=True):
        for index, (run, accuracies) in enumerate(runs.items()):
            accuracies = np.asarray(accuracies)
            errors = np.sqrt(accuracies * (1 - accuracies) / rows)
            x = np.arange(len(accuracies)) + 0.06 * (index - 1)  # side by side, so that error bars do not overlap
            style = {"color": PALETTE[index], "marker": MARKERS[index], "linestyle": ("-", "--", ":")[index % 3]}
            axes.errorbar(x, accuracies, errors, label=run, capsize=2, **style)
        axes.axhline(majority, color=_GRAY, linewidth=1, label="majority class")
        axes.set(xlabel="layer (0: embeddings)", title=vector, xticks=range(len(accuracies)))
    row[0].set_ylabel("dev accuracy")
    return finish(row[-1])


def senses(cosines: Tensor, same: Tensor, control: Tensor) -> Figure:
    """Draw cosines of a word's vectors; cosines, control (layers + 1, pairs); same (pairs,) bool: the same sense."""
    figure, axes = subplots(figsize=(10.5, 4.2))
    layers = range(len(cosines))
    axes.plot(layers, control.mean(1), color=_GRAY, linestyle=":", label="random weights, all pairs")
    kinds = (("same sense", same, PALETTE[0], "-", "o"), ("different sense", ~same, PALETTE[1], "--", "s"))
    for name, pairs, color, line, marker in kinds:
        style = {"color": color, "linestyle": line}
        axes.plot(layers, cosines[:, pairs], linewidth=0.8, alpha=0.4, **style)
        axes.plot(layers, cosines[:, pairs].mean(1), marker=marker, linewidth=2.5, label=f"{name}, mean", **style)
    axes.set(xlabel="layer (0: embeddings)", ylabel="cosine of two vectors", xticks=layers)
    return finish(axes, title="One word, six sentences")


def token_cosines(by_layer: Mapping[str, Tensor], tokens: Sequence[str]) -> Figure:
    """Draw the cosine between every two tokens of a sentence; by_layer: title -> (tokens, tokens)."""
    figure, row = panels(len(by_layer), (11, 4.9), layout="constrained", sharey=True)
    size = min(float(FONT_SIZE), max(6.0, 200 / len(tokens)))
    for axes, (title, matrix) in zip(row, by_layer.items(), strict=True):
        image = axes.imshow(np.asarray(matrix), vmin=0, vmax=1, cmap="Blues")
        axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=size)
        axes.set_yticks(range(len(tokens)), tokens, fontsize=size)
        axes.set(title=title, xlabel="token")
        axes.tick_params(length=0)
    row[0].set_ylabel("token")
    figure.colorbar(image, cax=row[-1].inset_axes((1.04, 0, 0.06, 1)), label="cosine")
    return figure
