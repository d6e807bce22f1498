"""Figures with sliders and menus; without a kernel they remain ordinary pictures."""

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import display
from ipywidgets import HBox, Layout, Output, Widget, interactive
from matplotlib.figure import Figure


def explore(draw: Callable[..., Figure], **choices: Any) -> dict[str, Widget]:
    """Show ``draw(...)`` with one control per argument; moving a control redraws the figure in place.

    The figure starts at the controls' initial values and is an ordinary picture, so that a reader without a kernel
    sees it too. An error raised while redrawing is printed below the controls.

    Args:
        draw: Function of the choices that returns a figure.
        choices: For each argument, what ipywidgets turns into a control: a list (menu), (low, high) or
            (low, high, step) (slider), True or False (checkbox), or a widget.

    Returns:
        The controls by argument name.
    """
    panel = interactive(lambda **values: None, **choices)  # used only to create the controls
    controls = {control._kwarg: control for control in panel.kwargs_widgets}
    errors = Output()

    def current_figure() -> Figure:
        figure = draw(**{name: control.value for name, control in controls.items()})
        plt.close(figure)  # otherwise the cell shows it a second time
        return figure

    def redraw(change: Any) -> None:
        figure = None
        errors.clear_output(wait=True)
        with errors:
            figure = current_figure()
        if figure is not None:
            picture.update(figure)

    bundle = HBox([*controls.values(), errors], layout=Layout(flex_flow="row wrap"))._repr_mimebundle_()
    bundle["text/plain"] = f"(controls for {', '.join(controls)}: run the notebook to use them)"
    display(bundle, raw=True)
    picture = display(current_figure(), display_id=True)
    for control in controls.values():
        control.observe(redraw, names="value")
    return controls
