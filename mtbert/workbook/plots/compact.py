"""Figures and tables that take little room in a notebook's file."""

import io

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, Image
from matplotlib.figure import Figure
from PIL import Image as Picture

_COLOURS = 64


def as_image(figure: Figure) -> Image:
    """The figure as a PNG with a palette, a third or a quarter as large as the usual one; closes the figure."""
    whole, small = io.BytesIO(), io.BytesIO()
    figure.savefig(whole, format="png", bbox_inches="tight")
    plt.close(figure)
    # a palette that covers all colours: one of the commonest colours would make a few coloured marks grey
    method = Picture.Quantize.MAXCOVERAGE
    picture = Picture.open(whole).convert("RGB").quantize(_COLOURS, method, dither=Picture.Dither.NONE)
    picture.save(small, format="png", optimize=True)
    return Image(small.getvalue())


def as_table(table: pd.DataFrame, index: bool = True) -> HTML:
    """The table as HTML alone, on one line."""
    lines = table.to_html(index=index, border=0).splitlines()
    return HTML("".join(line.strip() for line in lines))
