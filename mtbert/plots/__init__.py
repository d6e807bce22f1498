"""Figures in one style. Each lesson's own drawings stand in the module of its name: ``plots.attention`` and so on."""

from mtbert.plots.compact import as_image, as_table
from mtbert.plots.runs import agreement, bars, compare, fill, learning_curves, plan, probabilities
from mtbert.plots.style import COLOURS, caption, keep, use_style

__all__ = [
    "COLOURS", "agreement", "as_image", "as_table", "bars", "caption", "compare", "fill", "keep", "learning_curves",
    "plan", "probabilities", "use_style",
]  # fmt: skip
