"""Sphinx's settings for the book; see build.py."""

import importlib.util
import re
from pathlib import Path

from myst_nb.core.render import NbElementRenderer

import mtbert

project, author = "mtbert", "the authors of mtbert"
version = release = mtbert.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
templates_path = [str(Path(__file__).parent / "templates")]

mathjax = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax" / "tex-svg.js"
mathjax_path = mathjax.name  # part of the site, fonts included

html_theme = "furo"
html_static_path = [str(mathjax)]
html_title = "BERT and multi-task fine-tuning"
html_show_sourcelink = html_show_copyright = False

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are described once, in the docstring of their class
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

suppress_warnings = ["ref.python"]  # a type such as bytes has the name of some class's attribute


def setup(app):
    app.connect("autodoc-process-docstring", lambda *event: keep_colons(event[1], event[-1]), priority=400)
    app.connect("autodoc-process-docstring", lambda *event: escape_markup(event[-1]))


def keep_colons(what, lines):
    """Keep "By metric: the scores" a text: before a colon, napoleon expects a type, which signatures have already."""
    firsts = [0] if what in ("attribute", "data", "property") else []
    firsts += [i + 1 for i, line in enumerate(lines[:-1]) if line.strip() in ("Returns:", "Yields:")]
    for i in firsts:
        text = lines[i].lstrip()
        lines[i] = f"{lines[i].removesuffix(text)}: {text}"


def escape_markup(lines):
    """Keep |u - v| and sbatch_ as they are: reStructuredText reads substitutions and links."""
    lines[:] = [line if "``" in line else re.sub(r"(\||(?<=\w)_(?!\w))", r"\\\1", line) for line in lines]


_render_image = NbElementRenderer.render_image


def render_image_with_alt_text(self, data):
    """Give an image the alt text in its output's metadata, which myst-nb leaves out."""
    images = _render_image(self, data)
    for image in images:
        image["alt"] = data.output_metadata.get(data.mime_type, {}).get("alt", "")
    return images


NbElementRenderer.render_image = render_image_with_alt_text
