"""Figures of notebook 02: what a BERT layer is made of, what it does to scales and gradients, what its vectors know."""

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mtbert.workbook.plots.style import (
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
    figure, row = panels(2, (9, 3.2), sharey=True)
    for axes, curves, title in zip(row, (without, normed), ("Without layer norm", "With layer norm"), strict=True):
        line_per_name(axes, None, curves, MARKED_LINES, markevery=6)
        axes.set(yscale="log", xlabel="layer (0: input)", title=title)
    row[0].set_ylabel("root mean square")
    legend_outside(row[1], title="std of weights")
    return figure


def residuals(gradients: Mapping[str, Sequence[float]], alike: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the norm of gradients (left) and the cosine of two tokens (right); both: kind of stack -> (layers + 1,)."""
    figure, (left, right) = panels(2, (10, 3.6))
    for axes, curves in ((left, gradients), (right, alike)):
        line_per_name(axes, None, curves, ("o-", "s--", "D-", "^--"), markevery=3)
        axes.set_xlabel("layer (0: input)")
    left.set(yscale="log", ylim=(1e-8, 1e3), ylabel="norm relative to the output")
    left.set_title("Gradient norm in the backward pass")
    right.set(ylim=(-0.1, 1.1), ylabel="mean cosine of two tokens", title="Similarity of tokens in the forward pass")
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def gelu() -> Figure:
    """Draw ReLU, GELU and its tanh approximation (left), and the approximation minus the exact form (right)."""
    x = torch.linspace(-4, 4, 801)
    exact, approximate = F.gelu(x), F.gelu(x, approximate="tanh")
    figure, (left, right) = panels(2, (9, 3.2))
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
    figure, axes = subplots(figsize=(10, 4.6))
    axes.set(xlim=(0, 10), ylim=(0, 4.6))
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
        fontsize=10,
    )


def parameters(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw a stacked bar per model, in millions; counts: model -> part -> parameters, the same parts for all."""
    figure, axes = subplots(figsize=(10, 0.8 * len(counts) + 1.7))
    names, left = list(counts), np.zeros(len(counts))
    room = 0.05 * max(sum(parts.values()) for parts in counts.values()) / 1e6  # a bar needs this for its number
    for part, color in zip(next(iter(counts.values())), PALETTE, strict=False):
        millions = np.array([counts[name][part] / 1e6 for name in names])
        bars = axes.barh(names, millions, left=left, color=color, edgecolor="white", label=part)
        labels = [f"{value:.1f}" if value > room else "" for value in millions]
        axes.bar_label(bars, labels, label_type="center", color="white", fontsize=10, fontweight="bold")
        left += millions
    axes.invert_yaxis()
    return finish(axes, xlabel="millions of parameters", ylabel="model", title="Number of parameters")


def probes(scores: Mapping[str, Mapping[str, Sequence[float]]], rows: int, majority: float) -> Figure:
    """Draw the accuracy of probes by layer with standard errors; scores: vector -> run -> (layers + 1,)."""
    figure, row = panels(len(scores), (10, 3.8), sharey=True)
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
    figure, axes = subplots(figsize=(8, 3.4))
    layers = range(len(cosines))
    axes.plot(layers, control.mean(1), color=_GRAY, linestyle=":", label="random weights, all pairs")
    kinds = (("same sense", same, PALETTE[0], "-", "o"), ("different sense", ~same, PALETTE[1], "--", "s"))
    for name, pairs, color, line, marker in kinds:
        style = {"color": color, "linestyle": line}
        axes.plot(layers, cosines[:, pairs], linewidth=0.8, alpha=0.4, **style)
        axes.plot(layers, cosines[:, pairs].mean(1), marker=marker, linewidth=2.5, label=f"{name}, mean", **style)
    axes.set(xlabel="layer (0: embeddings)", ylabel="cosine of two vectors", xticks=layers)
    return finish(axes, title="One word, six sentences")


def token_cosines(matrix: Tensor, pieces: Sequence[str], title: str) -> Figure:
    """Draw the cosine between every two tokens of a sentence; matrix (tokens, tokens)."""
    figure, axes = subplots(figsize=(6.4, 5.2))
    labels = {"xticklabels": pieces, "yticklabels": pieces, "cbar_kws": {"label": "cosine", "shrink": 0.8}}
    sns.heatmap(np.asarray(matrix), vmin=0, vmax=1, cmap="viridis", square=True, ax=axes, **labels)
    axes.set(title=title, xlabel="token", ylabel="token")
    axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="y", rotation=0)
    figure.tight_layout()
    return figure
