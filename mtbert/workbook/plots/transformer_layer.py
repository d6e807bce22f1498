"""Figures of notebook 02: what a BERT layer is made of, what it does to scales and gradients, what its vectors know."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mtbert.workbook.plots.boxes import box, path, plus
from mtbert.workbook.plots.style import PALETTE

_MARKERS = "osD^vP"
_GREY = "0.35"


def scales(without: Mapping[str, Sequence[float]], normed: Mapping[str, Sequence[float]]) -> Figure:
    """Size of the activations against depth (log scale), without normalisation and with it.

    without, normed: per spread of the weights, one size per layer, the input first. The same names in both.
    """
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    for axes, curves, title in zip(panels, (without, normed), ("Without layer norm", "With layer norm"), strict=True):
        _lines(axes, curves, every=6)
        axes.set(yscale="log", xlabel="layers passed", title=title)
    panels[0].set_ylabel("root mean square")
    panels[1].legend(title="spread of weights", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def residuals(gradients: Mapping[str, Sequence[float]], alike: Mapping[str, Sequence[float]]) -> Figure:
    """Left: the gradient's norm at each depth as a share of its norm at the output. Right: how alike the tokens are.

    gradients, alike: per kind of stack, one number for the input and for the output of each layer.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    styles = ["-", "--", "-", "--"]
    for axes, curves in ((left, gradients), (right, alike)):
        _lines(axes, curves, every=3, styles=styles)
        axes.set_xlabel("layers passed (0: the input)")
    left.set(yscale="log", ylim=(1e-8, 1e3), ylabel="share of the norm at the output", title="Gradient on its way back")
    right.set(ylim=(-0.1, 1.1), ylabel="mean cosine of two tokens", title="Tokens on their way up")
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def gelu(limit: float = 4.0) -> Figure:
    """Left: ReLU, GELU and its tanh approximation. Right: the approximation minus the exact form."""
    x = torch.linspace(-limit, limit, 801)
    exact, approximate = F.gelu(x), F.gelu(x, approximate="tanh")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.plot(x, F.relu(x), color=_GREY, linestyle=":", label="ReLU")
    left.plot(x, exact, color=PALETTE[0], linewidth=2.5, label="GELU, exact")
    left.plot(x, approximate, color=PALETTE[1], linestyle="--", label="GELU, tanh form")
    left.set(xlabel="x", ylabel="output", title="Three activations", xlim=(-limit, 2), ylim=(-0.4, 2))
    left.legend(loc="upper left")
    right.axhline(0, color="0.8")
    right.plot(x, 1e4 * (approximate - exact), color=PALETTE[1])
    right.set(xlabel="x", ylabel="difference, in 1/10,000", title="Tanh form minus exact form")
    return figure


def block(hidden: int, intermediate: int) -> Figure:
    """A BERT layer as boxes and arrows: the attention sub-layer above, the feed-forward sub-layer below."""
    figure, axes = plt.subplots(figsize=(10, 4.6))
    axes.set(xlim=(0, 10), ylim=(0, 4.6))
    axes.axis("off")
    axes.set_title("One layer of BERT")
    across, alone, plain = PALETTE[1], PALETTE[0], "0.55"
    _row(
        axes,
        3.1,
        "x",
        [
            ("dense\nq, k, v", f"{hidden} → 3 × {hidden}", alone),
            ("attention", "tokens meet", across),
            ("dense", f"{hidden} → {hidden}", alone),
            ("dropout", "", plain),
        ],
        "h",
    )
    _row(
        axes,
        0.8,
        "h",
        [
            ("dense", f"{hidden} → {intermediate}", alone),
            ("GELU", "number by number", alone),
            ("dense", f"{intermediate} → {hidden}", alone),
            ("dropout", "", plain),
        ],
        "y",
    )
    axes.text(0.1, 4.5, "Attention sub-layer", fontweight="bold", va="top")
    axes.text(0.1, 2.2, "Feed-forward sub-layer", fontweight="bold", va="top")
    return figure


def _row(axes: Axes, y: float, start: str, boxes: Sequence[tuple[str, str, object]], end: str) -> None:
    """One sub-layer from left to right: the boxes, the sum with what came in, the norm."""
    width, height, gap = 1.2, 0.72, 0.42
    axes.text(0.25, y, start, ha="center", va="center", fontsize=15, style="italic")
    x = 0.5
    for name, note, colour in boxes:
        path(axes, [(x, y), (x + gap, y)])
        box(axes, x + gap, y, width, height, name, note, colour)
        x += gap + width
    centre = x + gap + 0.17
    path(axes, [(x, y), (x + gap, y)])
    plus(axes, centre, y)
    path(axes, [(centre + 0.2, y), (centre + 0.5, y)])
    box(axes, centre + 0.5, y, width, height, "layer norm", "", PALETTE[2])
    path(axes, [(centre + 0.5 + width, y), (centre + 0.92 + width, y)])
    axes.text(centre + 1.1 + width, y, end, ha="center", va="center", fontsize=15, style="italic")
    top = y + 0.72
    path(axes, [(0.7, y), (0.7, top), (centre, top), (centre, y + 0.19)])
    axes.text((0.7 + centre) / 2, top + 0.06, f"{start} goes past unchanged", ha="center", va="bottom", fontsize=10)


def parameters(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """One stacked bar per model: the millions of parameters in each of its parts. The same parts for every model."""
    figure, axes = plt.subplots(figsize=(10, 0.8 * len(counts) + 1.7))
    names, left = list(counts), np.zeros(len(counts))
    for number, part in enumerate(next(iter(counts.values()))):
        millions = np.array([counts[name][part] / 1e6 for name in names])
        drawn = axes.barh(names, millions, left=left, color=PALETTE[number], edgecolor="white", label=part)
        room = 0.05 * max(sum(parts.values()) for parts in counts.values()) / 1e6
        labels = [f"{value:.1f}" if value > room else "" for value in millions]
        axes.bar_label(drawn, labels, label_type="center", color="white", fontsize=10, fontweight="bold")
        left += millions
    axes.set(xlabel="millions of parameters", ylabel="model", title="Where the parameters are")
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def probes(scores: Mapping[str, Mapping[str, Sequence[float]]], rows: int, majority: float) -> Figure:
    """Dev accuracy of a probe at each layer, a panel per kind of vector, a line per kind of run, one standard error.

    scores: vector -> run -> one accuracy per layer, the embeddings first. rows: dev rows, for the error bars.
    majority: accuracy of the commonest label.
    """
    figure, panels = plt.subplots(1, len(scores), figsize=(10, 3.8), sharey=True)
    for axes, (vector, runs) in zip(np.atleast_1d(panels), scores.items(), strict=True):
        for number, (run, accuracies) in enumerate(runs.items()):
            accuracies = np.asarray(accuracies)
            errors = np.sqrt(accuracies * (1 - accuracies) / rows)
            places = np.arange(len(accuracies)) + 0.06 * (number - 1)  # side by side, so that bars do not hide bars
            axes.errorbar(
                places,
                accuracies,
                errors,
                label=run,
                color=PALETTE[number],
                marker=_MARKERS[number],
                linestyle=("-", "--", ":")[number % 3],
                capsize=2,
            )
        axes.axhline(majority, color=_GREY, linewidth=1, label="commonest label")
        axes.set(xlabel="layer (0: embeddings)", title=vector, xticks=range(len(accuracies)))
    np.atleast_1d(panels)[0].set_ylabel("dev accuracy")
    np.atleast_1d(panels)[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def senses(cosines: Tensor, same: Tensor, control: Tensor) -> Figure:
    """Cosines between one word's vectors in several sentences, layer by layer.

    cosines, control: (layers + 1, pairs), of the encoder and of one with random weights. same: (pairs,) bool, true
    where both sentences use the word in the same sense. Thin lines are pairs, thick ones their mean.
    """
    if cosines.shape != control.shape or cosines.shape[1:] != same.shape:
        raise ValueError(f"shapes do not fit: {tuple(cosines.shape)}, {tuple(same.shape)}, {tuple(control.shape)}")
    figure, axes = plt.subplots(figsize=(8, 3.4))
    layers = range(len(cosines))
    kinds = (("same sense", same, PALETTE[0], "-", "o"), ("other sense", ~same, PALETTE[1], "--", "s"))
    axes.plot(layers, control.mean(1), color=_GREY, linestyle=":", label="random weights, all pairs")
    for name, pairs, colour, line, marker in kinds:
        axes.plot(layers, cosines[:, pairs], color=colour, linestyle=line, linewidth=0.8, alpha=0.4)
        axes.plot(
            layers,
            cosines[:, pairs].mean(1),
            color=colour,
            linestyle=line,
            marker=marker,
            linewidth=2.5,
            label=f"{name}, mean",
        )
    axes.set(
        xlabel="layer (0: embeddings)", ylabel="cosine of two vectors", xticks=layers, title="One word, six sentences"
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def token_cosines(matrix: Tensor, pieces: Sequence[str], title: str) -> Figure:
    """The cosine between every two tokens of a sentence. matrix: (tokens, tokens)."""
    if matrix.shape != (len(pieces), len(pieces)):
        raise ValueError(f"{len(pieces)} pieces need a square of that size, not {tuple(matrix.shape)}")
    figure, axes = plt.subplots(figsize=(6.4, 5.2))
    sns.heatmap(
        np.asarray(matrix),
        vmin=0,
        vmax=1,
        cmap="viridis",
        square=True,
        xticklabels=pieces,
        yticklabels=pieces,
        cbar_kws={"label": "cosine", "shrink": 0.8},
        ax=axes,
    )
    axes.set(title=title, xlabel="token", ylabel="token")
    axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="y", rotation=0)
    figure.tight_layout()
    return figure


def _lines(axes: Axes, curves: Mapping[str, Sequence[float]], every: int, styles: Sequence[str] = ()) -> None:
    """One line per name over 0, 1, 2 ..., told apart by colour and marker (and line)."""
    for number, (name, values) in enumerate(curves.items()):
        axes.plot(
            range(len(values)),
            values,
            color=PALETTE[number],
            marker=_MARKERS[number],
            markevery=every,
            linestyle=styles[number] if styles else "-",
            label=name,
        )
