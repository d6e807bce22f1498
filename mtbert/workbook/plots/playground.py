"""Figures of the playground: tokens, attention, neighbors and answers.

They are large enough for a projector, and low enough to stand below their boxes on a screen of 1280 x 720 pixels.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Patch

from mtbert.data.tasks import Task
from mtbert.experiments.answers import Answers
from mtbert.workbook.plots.style import PALETTE, subplots

_WIDTH = 10.5  # inches
_SIZE = 14  # points
_TOKEN_ROWS = 3
_MAP_TOKENS = 18  # more would not be legible


def tokens(pieces: Sequence[str], ids: Sequence[int]) -> Figure:
    """Draw the tokens of a text as boxes, with their ids below; pieces that continue a word have another color."""
    figure, axes = subplots(figsize=(_WIDTH, 2.8), layout="constrained")
    x, row, shown = 0.0, 0, 0  # x and widths in inches
    for piece, token_id in zip(map(_drawable, pieces), ids, strict=True):
        width = max(0.45, 0.3 + 0.125 * len(piece))
        if x + width > _WIDTH - 0.3:
            x, row = 0.0, row + 1
        if row == _TOKEN_ROWS:
            break
        color = "0.6" if piece.startswith("[") else PALETTE[1] if piece.startswith("##") else PALETTE[0]
        frame = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": color, "linewidth": 2}
        axes.text(x + width / 2, -row, piece, ha="center", va="center", fontsize=_SIZE, bbox=frame)
        axes.text(x + width / 2, -row - 0.45, str(token_id), ha="center", va="center", fontsize=13, color="0.45")
        x, shown = x + width, shown + 1
    axes.set(xlim=(0, _WIDTH - 0.3), ylim=(0.35 - _TOKEN_ROWS, 0.5), xticks=[], yticks=[])
    axes.axis("off")
    more = f", the first {shown} shown" if len(pieces) > shown else ""
    axes.set_title(f"{len(pieces)} tokens{more}: a piece with ## continues a word", fontsize=_SIZE)
    return figure


def attention(pieces: Sequence[str], weights: np.ndarray, layer: int, head: int) -> Figure:
    """Draw where each token of a text looks; weights: (tokens, tokens), a row sums to 1."""
    figure, axes = subplots(figsize=(_WIDTH, 4.8), layout="constrained")
    title = "every row sums to 1"
    if len(pieces) > _MAP_TOKENS:
        title = f"the first {_MAP_TOKENS} of {len(pieces)} tokens, whose rows sum to 1 over all"
    pieces, weights = [_drawable(piece) for piece in pieces[:_MAP_TOKENS]], weights[:_MAP_TOKENS, :_MAP_TOKENS]
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(pieces)), pieces, rotation=60, ha="right", rotation_mode="anchor", fontsize=13)
    axes.set_yticks(range(len(pieces)), pieces, fontsize=13)
    axes.set_xlabel("attended to (key)", fontsize=_SIZE)
    axes.set_ylabel("attending (query)", fontsize=_SIZE)
    axes.tick_params(length=0)
    axes.set_title(f"Layer {layer}, head {head}: {title}", fontsize=_SIZE)
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30)
    bar.set_label("weight", fontsize=_SIZE)
    bar.ax.tick_params(labelsize=13)
    return figure


def neighbors(sentences: Sequence[str], cosines: Sequence[float], among: int) -> Figure:
    """Draw the sentences nearest to a text, each on a bar as long as its cosine; ``among`` so many sentences."""
    figure, axes = subplots(figsize=(_WIDTH, 0.5 * len(sentences) + 1.2), layout="constrained")
    rows = -np.arange(len(sentences))
    axes.barh(rows, np.maximum(cosines, 0), color=(*PALETTE[0], 0.25), height=0.8)
    for row, sentence, cosine in zip(rows, sentences, cosines, strict=True):
        text = textwrap.shorten(sentence, 84, placeholder=" …")
        axes.text(0.01, row, text, va="center", fontsize=13)
        axes.text(1.01, row, f"{cosine:.2f}", va="center", fontsize=13, color="0.3")
    axes.set(xlim=(0, 1), yticks=[], ylim=(-len(sentences) + 0.4, 0.6))
    axes.tick_params(labelsize=13)
    axes.set_xlabel("cosine of the mean vectors", fontsize=_SIZE)
    axes.set_title(f"The nearest of {among:,} sentences", fontsize=_SIZE)
    return figure


def answers(by_model: Mapping[str, Answers], texts: Sequence[str]) -> Figure:
    """Draw what each model answers about a text or a pair: a panel per task, a bar per label and model."""
    tasks = {name: answer.task for found in by_model.values() for name, answer in found.items()}
    figure, row = subplots(1, len(tasks), figsize=(_WIDTH, 4.0), layout="constrained", squeeze=False)
    figure.suptitle(
        "\n".join(_drawable(textwrap.shorten(text, 80, placeholder=" …"), "italic") for text in texts),
        fontsize=_SIZE,
        style="italic",
        parse_math=False,
    )
    for axes, task in zip(row[0], tasks.values(), strict=True):
        _answer_panel(axes, task, by_model)
    if len(by_model) > 1:
        names = [name if found else f"{name} (has no such task)" for name, found in by_model.items()]
        handles = [Patch(color=color, label=name) for color, name in zip(PALETTE, names, strict=False)]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(names), fontsize=13)
    return figure


def _drawable(text: str, style: str = "normal") -> str:
    """A text with a box for every letter that the font lacks; matplotlib would warn of each."""
    font = get_font(findfont(FontProperties(style=style)))
    return "".join(letter if font.get_char_index(ord(letter)) else "□" for letter in text)


def _answer_panel(axes: Axes, task: Task, by_model: Mapping[str, Answers]) -> None:
    names = list(task.label_names) or ["similarity"]
    height = 0.8 / len(by_model)
    for number, found in enumerate(by_model.values()):
        if task.name not in found:
            continue
        answer = found[task.name]
        values = list(answer.probabilities.values()) or [answer.prediction]
        rows = -np.arange(len(names)) + 0.4 - height * (number + 0.5)
        color = PALETTE[number]
        bars = axes.barh(rows, values, height, color=color, edgecolor="white")
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=13)
    axes.set_yticks(-np.arange(len(names)), names)
    axes.tick_params(labelsize=13, left=False)
    axes.set(xlim=(0, 1.18 * (1 if task.label_names else task.max_label)), ylim=(-len(names) + 0.4, 0.6))
    axes.set_xlabel("probability" if task.label_names else "from 0 to 5", fontsize=_SIZE)
    first = next(found[task.name] for found in by_model.values() if task.name in found)
    axes.set_title(f"{task.title}:\n{first.label}", fontsize=_SIZE)
