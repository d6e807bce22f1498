"""Figures of notebook 00: the road from a row to a score, and what the notebooks cost."""

from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mtbert.workbook.plots.style import COLORS, labelled_bars, panels, subplots

# (name, shape of its output, the notebooks that build it)
ROAD = (
    ("rows of text", "", "05, 09"),
    ("tokens", "(tokens,)", "02"),
    ("packed batch", "(tokens,)", "01"),
    ("BERT", "(tokens, hidden)", "01, 02, 07"),
    ("pooling", "(sequences, hidden)", "05, 08"),
    ("heads", "(rows, outputs)", "04, 05, 08"),
    ("losses", "one per task", "04, 05, 08"),
    ("gradients", "(tasks, parameters)", "06"),
    ("AdamW", "(parameters,)", "03"),
)
_ROW = 5


def road() -> Figure:
    """Draw the parts in the order in which data passes them, each with the shape of its output and its notebook."""
    figure, axes = subplots(figsize=(11, 4.3))
    positions = [_position(index) for index in range(len(ROAD))]
    style = {"boxstyle": "round,pad=0.02,rounding_size=0.08", "edgecolor": COLORS["sst"]}
    centered = {"ha": "center", "va": "center"}
    for (x, y), (name, shape, notebook) in zip(positions, ROAD, strict=True):
        axes.add_patch(FancyBboxPatch((x - 0.42, y - 0.3), 0.84, 0.6, facecolor=(*COLORS["sst"], 0.12), **style))
        axes.text(x, y + 0.17 * bool(shape), name, weight="bold", **centered)
        axes.text(x, y - 0.08, shape.replace(", ", ",\n"), **centered)
        axes.text(x, y - 0.44, f"in {notebook}", color="0.35", **centered)
    for (x, y), (to_x, to_y) in zip(positions, positions[1:], strict=False):
        side = 0.45 * (to_x > x) - 0.45 * (to_x < x)
        start, end = ((x + side, y), (to_x - side, to_y)) if side else ((x, y - 0.55), (to_x, to_y + 0.33))
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.3"})
    axes.set(xlim=(-0.6, _ROW - 0.4), ylim=(-1.85, 0.4), title="From a row of text to an update of the weights")
    axes.axis("off")
    return figure


def _position(index: int) -> tuple[float, float]:
    """Where a part is drawn: the first five from left to right, the others below from right to left."""
    row, column = divmod(index, _ROW)
    return float(_ROW - 1 - column if row else column), -1.3 * row


def costs(table: pd.DataFrame) -> Figure:
    """Draw the CPU time and the memory of every notebook; table: columns notebook, cpu_seconds, peak_memory_mb."""
    figure, (left, right) = panels(2, (10.5, 0.33 * len(table) + 1.3), sharey=True)
    labelled_bars(left, table.notebook, table.cpu_seconds, COLORS["sst"], "%.0f")
    labelled_bars(right, table.notebook, table.peak_memory_mb / 1000, COLORS["quora"], "%.1f")
    left.set(title="Time", xlabel="CPU seconds, all cores", xlim=(0, 1.15 * table.cpu_seconds.max()))
    right.set(title="Memory", xlabel="peak memory in GB", xlim=(0, 1.15 * table.peak_memory_mb.max() / 1000))
    left.invert_yaxis()
    return figure


def cost_note(table: pd.DataFrame, notebooks: Iterable[str]) -> str:
    """A line on where the costs in a table were measured, and which notebooks it lacks.

    Args:
        table: Columns notebook, cores, device.
        notebooks: The names of all notebooks.
    """
    machines = sorted({f"{row.cores} cores ({_processor(row.device)})" for row in table.itertuples()})
    missing = sorted(name.split("_")[0] for name in set(notebooks) - set(table.notebook))
    note = f"Measured on {' and '.join(machines)}."
    return f"{note} Not measured: {', '.join(missing)}." if missing else note


def _processor(device: str) -> str:
    """AMD EPYC for "cpu (AMD EPYC)"; other devices as they are."""
    return device.removeprefix("cpu (").removesuffix(")") if device.startswith("cpu (") else device
