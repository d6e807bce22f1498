"""Figures with sliders and menus; without a kernel they remain ordinary pictures.

Lab runs the callbacks of controls in a thread beside the running cell. ``explore`` and ``LiveFigure`` therefore touch
nothing global: figures are drawn without pyplot, and a widget shows them as images. The widget is part of the kernel's
state, so it still follows its controls after the page is loaded again.

    explore(draw, layer=(0, 5), sentence=["one", "two"])    # controls and a figure, in one line

    picture = LiveFigure(draw(0))                           # the same in parts, for panels of one's own
    slider.observe(lambda change: picture.draw(draw(change["new"])), names="value")
    display(VBox([slider, picture]))
"""

import base64
import html
import io
import threading
from collections.abc import Callable
from typing import Any

from IPython import get_ipython
from IPython.display import display
from ipywidgets import HTML, HBox, Layout, VBox, Widget, interactive
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from matplotlib_inline.backend_inline import flush_figures
from PIL import Image as PillowImage

from mtbert.utils.errors import UserError
from mtbert.workbook.plots.output import DRAWING, alt_text, extent, png, show

_DPI = 96
_MARGIN = 0.15  # inches around the first figure, so that longer labels of later ones still fit
_CLASS = "mtbert-explorer"
# the picture below the controls is for readers without a kernel: it is hidden while the controls are alive
_HIDE_STATIC_PICTURE = f"<style>.jp-OutputArea-child:has(.{_CLASS}) + .jp-OutputArea-child {{ display: none; }}</style>"


class LiveFigure(HTML):
    """A figure as a widget that keeps its size: later figures are shown in the room of the first.

    It holds an ``<img>``, because the image widget of ipywidgets has no alt text.

    Args:
        figure: The first figure. It should not belong to pyplot: see ``style.subplots``.
    """

    def __init__(self, figure: Figure):
        super().__init__()
        with DRAWING:
            self._window = extent(figure).padded(_MARGIN)
            self._size = PillowImage.open(io.BytesIO(png(figure, self._window, _DPI))).size
        self.draw(figure)

    def draw(self, figure: Figure) -> None:
        """Show another figure in the same place."""
        with DRAWING:
            # what is larger than the first figure is shown smaller, by the room's object-fit
            picture = png(figure, Bbox.union([self._window, extent(figure)]), _DPI)
            alt = html.escape(alt_text(figure))
        width, height = self._size
        room = f"width: {width}px; aspect-ratio: {width} / {height}; object-fit: contain; object-position: left top"
        source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        self.value = f'<img alt="{alt}" src="{source}" style="{room}; max-width: 100%">'


def _control(name: str, choice: Any) -> Widget:
    """One control; the panel of ``interactive`` would show pyplot's figures at each of its moves."""
    control = interactive.widget_from_abbrev(choice)
    control.description = control.description or name
    return control


def _leave_figures_to_their_cell() -> None:
    """Let only the main thread show pyplot's figures: the kernel asks for it after every callback, in its thread."""
    shell = get_ipython()
    if shell and flush_figures in shell.events.callbacks["post_execute"]:
        shell.events.unregister("post_execute", flush_figures)
        shell.events.register("post_execute", _flush_in_main_thread)


def _flush_in_main_thread() -> None:
    if threading.current_thread() is threading.main_thread():
        flush_figures()


def explore(draw: Callable[..., Figure], **choices: Any) -> dict[str, Widget]:
    """Show ``draw(...)`` with one control per argument; moving a control redraws the figure in place.

    The figure starts at the controls' initial values. Readers without a kernel see it as an ordinary picture. An error
    raised while redrawing is shown between the controls and the figure.

    Args:
        draw: Function of the choices that returns a figure.
        choices: For each argument, what ipywidgets turns into a control: a list (menu), (low, high) or
            (low, high, step) (slider), True or False (checkbox), or a widget.

    Returns:
        The controls by argument name.
    """
    controls = {name: _control(name, choice) for name, choice in choices.items()}
    errors = HTML()

    def current_figure() -> Figure:
        with DRAWING:
            return draw(**{name: control.value for name, control in controls.items()})

    def redraw(change: Any) -> None:
        try:
            picture.draw(current_figure())
            errors.value = ""
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            errors.value = f"<pre>{kind}{html.escape(str(error))}</pre>"
        _leave_figures_to_their_cell()  # last: the cell may have begun to use pyplot meanwhile

    figure = current_figure()
    picture = LiveFigure(figure)
    style = HTML(_HIDE_STATIC_PICTURE, layout=Layout(display="none"))
    live = VBox([HBox([*controls.values()], layout=Layout(flex_flow="row wrap")), errors, picture, style])
    live.add_class(_CLASS)
    bundle = live._repr_mimebundle_()
    bundle["text/plain"] = f"(controls for {', '.join(controls)}: run the notebook to use them)"
    display(bundle, raw=True)
    show(figure)
    _leave_figures_to_their_cell()
    for control in controls.values():
        control.observe(redraw, names="value")
    return controls
