"""Every drawing function gives a figure with titles, named axes and finite limits."""

import inspect
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from workbook.figures import EXAMPLES, draw

from mtbert.workbook import plots

pytestmark = pytest.mark.usefixtures("close_figures")
MODULES = ["runs", *(name for name in plots.__all__ if inspect.ismodule(getattr(plots, name)) and name != "explore")]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_figure_has_titles_axis_names_and_finite_limits(name):
    plots.use_style()
    figure = draw(name)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert panels and figure.get_figwidth() <= 11 and plt.get_fignums() == [figure.number]
    assert all(axes.get_title() for axes in panels if axes.axison)
    assert all(axes.get_xlabel() + axes.get_ylabel() for axes in panels if axes.axison)
    assert all(np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all() for axes in figure.axes)
    if figure.get_layout_engine() is None:  # the others are laid out already
        plots.caption(figure, "What to see.")
        assert figure.texts[-1].get_text() == "What to see."


def test_every_drawing_function_has_an_example():
    drawing = {
        f"{module}.{name}"
        for module in MODULES
        for name, function in inspect.getmembers(import_module(f"mtbert.workbook.plots.{module}"), inspect.isfunction)
        if function.__module__.endswith(f".{module}") and inspect.signature(function).return_annotation is Figure
    }
    assert drawing == set(EXAMPLES)
