"""What the notebooks show: figures with alt text, and tables, both small in the notebook's file."""

import io
import threading

import pandas as pd
from IPython.display import HTML, Image, display
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image as PillowImage

DRAWING = threading.RLock()  # explorers draw in another thread than cells do, and matplotlib expects one at a time
_COLORS = 64


def show(figure: Figure, text: str = "") -> None:
    """Show a figure below the cell, as a picture with alt text.

    Args:
        figure: The figure.
        text: A line that says what to see. It follows the picture as Markdown, and ends its alt text.
    """
    with DRAWING:
        if figure.get_layout_engine() is None:  # the others are laid out already
            figure.tight_layout()
        picture, alt = Image(png(figure)), " ".join(filter(None, [alt_text(figure), text]))
    # nbconvert reads the alt text from the metadata; the plain text stands in where no picture can be shown
    bundle = {"image/png": picture._repr_png_(), "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})
    if text:
        display({"text/markdown": f"*{text}*", "text/plain": text}, raw=True)


def png(figure: Figure, window: Bbox | None = None, dpi: float | None = None) -> bytes:
    """A figure as a PNG with a palette, a third or a quarter of the usual size.

    Args:
        figure: The figure.
        window: What to show of it, in inches; if None, everything drawn and a small margin.
        dpi: Pixels per inch; if None, the figure's own.
    """
    original, compact = io.BytesIO(), io.BytesIO()
    figure.savefig(original, format="png", bbox_inches="tight" if window is None else window, dpi=dpi or "figure")
    # maximum coverage: a palette of the most frequent colors would turn a few colored marks gray
    method = PillowImage.Quantize.MAXCOVERAGE
    picture = PillowImage.open(original).convert("RGB").quantize(_COLORS, method, dither=PillowImage.Dither.NONE)
    picture.save(compact, format="png", optimize=True)
    return compact.getvalue()


def alt_text(figure: Figure) -> str:
    """A figure in words: the title and the axis names of each panel, and the texts around them."""
    panels = [_panel_in_words(axes) for axes in figure.axes if axes.get_label() != "<colorbar>"]
    texts = [figure.get_suptitle(), "; ".join(filter(None, panels)), *(text.get_text() for text in figure.texts)]
    return " ".join(text if text.endswith(".") else f"{text}." for text in dict.fromkeys(filter(None, texts)))


def _panel_in_words(axes) -> str:
    names = [name for name in (axes.get_ylabel(), axes.get_xlabel()) if name and axes.axison]
    return ": ".join(filter(None, [axes.get_title(), " by ".join(names)])).replace("\n", " ")


class _Table(HTML):
    """A table as HTML; its plain text can be compared when a notebook is executed again."""

    def __init__(self, html: str, text: str):
        super().__init__(html)
        self.text = text

    def __repr__(self) -> str:
        return self.text


def as_table(table: pd.DataFrame, index: bool = True) -> HTML:
    """Convert a table to HTML on one line, with all its cells in full also in the plain text."""
    lines = table.to_html(index=index, border=0).splitlines()
    return _Table("".join(line.strip() for line in lines), table.to_csv(index=index, sep="\t").rstrip())
