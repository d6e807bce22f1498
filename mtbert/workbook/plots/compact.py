"""Figures and tables that take little room in a notebook's file."""

import io

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, Image
from matplotlib.figure import Figure
from PIL import Image as PillowImage

_COLORS = 64


def as_image(figure: Figure) -> Image:
    """Convert a figure to a PNG with a palette, a third or a quarter of the usual size, and close the figure."""
    original, compact = io.BytesIO(), io.BytesIO()
    figure.savefig(original, format="png", bbox_inches="tight")
    plt.close(figure)
    # maximum coverage: a palette of the most frequent colors would turn a few colored marks gray
    method = PillowImage.Quantize.MAXCOVERAGE
    picture = PillowImage.open(original).convert("RGB").quantize(_COLORS, method, dither=PillowImage.Dither.NONE)
    picture.save(compact, format="png", optimize=True)
    return Image(compact.getvalue())


def as_table(table: pd.DataFrame, index: bool = True) -> HTML:
    """Convert a table to HTML on one line, without the plain-text version that notebooks store beside it."""
    lines = table.to_html(index=index, border=0).splitlines()
    return HTML("".join(line.strip() for line in lines))
