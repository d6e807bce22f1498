"""What the notebooks show: figures with alt text, and tables, both small in the notebook's file."""

import io
import re
import threading

import pandas as pd
from IPython.display import HTML, Image, display
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image as PillowImage

DRAWING = threading.RLock()  # explorers draw in another thread than cells do, and matplotlib expects one at a time
_COLORS = 256  # with fewer, pale grays turn pink or blue
_MARGIN = 0.1  # inches


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
        window: What to show of it, in inches; if None, all that ``extent`` finds and a small margin.
        dpi: Pixels per inch; if None, the figure's own.
    """
    original, compact = io.BytesIO(), io.BytesIO()
    window = window or extent(figure).padded(_MARGIN)
    figure.savefig(original, format="png", bbox_inches=window, dpi=dpi or "figure")
    # maximum coverage: a palette of the most frequent colors would turn a few colored marks gray
    method = PillowImage.Quantize.MAXCOVERAGE
    picture = PillowImage.open(original).convert("RGB").quantize(_COLORS, method, dither=PillowImage.Dither.NONE)
    picture.save(compact, format="png", optimize=True)
    return compact.getvalue()


def extent(figure: Figure) -> Bbox:
    """Everything that is drawn, in inches, and the full width: so text has the same size in narrow and wide figures."""
    figure.draw_without_rendering()  # places labels and lays out the panels
    drawn = figure.get_tightbbox()
    return Bbox.from_extents(min(drawn.x0, 0), drawn.y0, max(drawn.x1, figure.get_figwidth()), drawn.y1)


def alt_text(figure: Figure) -> str:
    """A figure in words: the title and the axis names of each panel or the texts of a diagram, and what is around."""
    panels = [_panel_in_words(axes) for axes in figure.axes if axes.get_label() != "<colorbar>"]
    texts = [figure.get_suptitle(), "; ".join(filter(None, panels)), *(text.get_text() for text in figure.texts)]
    return " ".join(text if text.endswith(".") else f"{text}." for text in dict.fromkeys(filter(None, texts)))


def _panel_in_words(axes) -> str:
    names = " by ".join(filter(None, [axes.get_ylabel(), axes.get_xlabel()]))
    if not axes.axison:  # a diagram
        names = ", ".join(dict.fromkeys(filter(None, (text.get_text() for text in axes.texts))))
    return _plain(": ".join(filter(None, [axes.get_title(), names])))


def _plain(text: str) -> str:
    """Text on one line, without TeX."""
    words = re.sub(r"\$([^$]*)\$", lambda tex: re.sub(r"[\\{}_]", "", tex[1]), text)
    return " ".join(words.split())


class _Table(HTML):
    """A table as HTML; its plain text can be compared when a notebook is executed again."""

    def __init__(self, html: str, text: str):
        super().__init__(html)
        self.text = text

    def __repr__(self) -> str:
        return self.text


def as_table(table: pd.DataFrame, index: bool = True) -> HTML:
    """Convert a table to HTML on one line, texts on the left, with all its cells in full also in the plain text."""
    has_texts = not all(map(pd.api.types.is_numeric_dtype, table.dtypes))
    html = table.to_html(index=index, border=0)
    if has_texts:  # JupyterLab and nbconvert align all cells on the right
        html = re.sub(r"<(t[dh])>", r'<\1 style="text-align: left;">', html)
    return _Table("".join(line.strip() for line in html.splitlines()), table.to_csv(index=index, sep="\t").rstrip())
