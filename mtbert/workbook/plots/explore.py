"""Figures with sliders and menus, which stay ordinary pictures where no kernel runs."""

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import display
from ipywidgets import HBox, Layout, Output, Widget, interactive
from matplotlib.figure import Figure


def explore(draw: Callable[..., Figure], **choices: Any) -> dict[str, Widget]:
    """Show ``draw(...)`` with a control for each of its arguments; moving one draws the figure anew in its place.

    choices: per argument what ipywidgets turns into a control: a list (a menu), (low, high) or (low, high, step) (a
    slider), True or False (a box), or a widget. The figure begins at the controls' initial values and is a picture of
    its own, so that a notebook that is only read shows it too. What goes wrong later is printed under the controls.
    Returns the controls by name.
    """
    panel = interactive(lambda **values: None, **choices)  # only for what it makes of the choices
    controls = {control._kwarg: control for control in panel.kwargs_widgets}
    errors = Output()

    def figure_now() -> Figure:
        figure = draw(**{name: control.value for name, control in controls.items()})
        plt.close(figure)  # else the cell would show it a second time
        return figure

    def redraw(change: Any) -> None:
        figure = None
        errors.clear_output(wait=True)
        with errors:
            figure = figure_now()
        if figure is not None:
            picture.update(figure)

    bundle = HBox([*controls.values(), errors], layout=Layout(flex_flow="row wrap"))._repr_mimebundle_()
    bundle["text/plain"] = f"(controls for {', '.join(controls)}: run the notebook to use them)"
    display(bundle, raw=True)
    picture = display(figure_now(), display_id=True)
    for control in controls.values():
        control.observe(redraw, names="value")
    return controls
