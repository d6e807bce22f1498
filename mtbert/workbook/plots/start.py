"""Figures of 00_start_here: the road from a row to a score, and what the notebooks cost."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mtbert.workbook.plots.style import COLOURS

# (what it is, its shape, the notebook that builds it)
ROAD = (
    ("rows of text", "", "05 09"),
    ("word pieces", "(tokens,)", "02"),
    ("packed batch", "(tokens,)", "01"),
    ("BERT", "(tokens, hidden)", "01 02 07"),
    ("pooling", "(sequences, hidden)", "05 08"),
    ("heads", "(rows, outputs)", "05 08"),
    ("losses", "one per task", "05 08"),
    ("gradients", "(tasks, parameters)", "06"),
    ("AdamW", "(parameters,)", "03"),
)
_ROW = 5


def road() -> Figure:
    """The parts in the order that data passes them, in two rows, each with the shape it gives and its notebook."""
    figure, axes = plt.subplots(figsize=(10, 3.3))
    spots = [_spot(number) for number in range(len(ROAD))]
    for (x, y), (name, shape, notebook) in zip(spots, ROAD, strict=True):
        box = FancyBboxPatch(
            (x - 0.42, y - 0.3),
            0.84,
            0.6,
            boxstyle="round,pad=0.02,rounding_size=0.08",
            facecolor=(*COLOURS["sst"], 0.12),
            edgecolor=COLOURS["sst"],
        )
        axes.add_patch(box)
        axes.text(x, y + 0.08, name, ha="center", va="center", weight="bold")
        axes.text(x, y - 0.14, shape, ha="center", va="center", fontsize=9)
        axes.text(x, y - 0.46, f"notebook {notebook}", ha="center", va="center", fontsize=9, color="0.4")
    for (x, y), (to_x, to_y) in zip(spots, spots[1:], strict=False):
        side = 0.45 * (to_x > x) - 0.45 * (to_x < x)
        start, end = ((x + side, y), (to_x - side, to_y)) if side else ((x, y - 0.55), (to_x, to_y + 0.33))
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.3"})
    axes.set(xlim=(-0.6, _ROW - 0.4), ylim=(-2.0, 0.6), title="The road of a row")
    axes.axis("off")
    return figure


def _spot(number: int) -> tuple[float, float]:
    """Where a part stands: five in the first row, the others under them, on the way back."""
    row, column = divmod(number, _ROW)
    return float(_ROW - 1 - column if row else column), -1.3 * row


def costs(table: pd.DataFrame) -> Figure:
    """Seconds and memory of every notebook, side by side. table: columns notebook, seconds, peak_memory_mb."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 0.32 * len(table) + 1.2), sharey=True)
    names: Sequence[str] = list(table.notebook)
    left.bar_label(left.barh(names, table.seconds, color=COLOURS["sst"]), fmt="%.0f", padding=3, fontsize=9)
    right.bar_label(
        right.barh(names, table.peak_memory_mb / 1000, color=COLOURS["quora"]), fmt="%.1f", padding=3, fontsize=9
    )
    left.set(title="Time", xlabel="seconds", xlim=(0, 1.15 * table.seconds.max()))
    right.set(title="Memory", xlabel="GB at its peak", xlim=(0, 1.15 * table.peak_memory_mb.max() / 1000))
    left.invert_yaxis()
    return figure
