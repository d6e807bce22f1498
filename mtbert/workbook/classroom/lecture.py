"""A lecture as one HTML file: nbconvert's slides, with reveal.js and MathJax inside."""

import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import SlidesExporter

from mtbert.utils.extras import missing_extra
from mtbert.utils.files import atomic_write
from mtbert.workbook.classroom.exercises import choose_notebooks, source
from mtbert.workbook.classroom.release import check_target
from mtbert.workbook.classroom.slides import HEIGHT, WIDTH, hides_code, sections, set_slide_types

_TITLE = re.compile(r"^##? (.*)", re.MULTILINE)
_WIDGET = "application/vnd.jupyter.widget-view+json"
_TEMPLATE = Path(__file__).parent / "templates" / "lecture"


class LectureExporter(SlidesExporter):
    """Slides that need neither a network nor other files: ``jupyter nbconvert --to lecture``.

    The slide types are those in the notebook's metadata. Settings and links at its top, hints, solutions, and the code
    of cells that are longer than a slide can hold are left out.
    """

    export_from_notebook = None

    def __init__(self, **options):
        settings = {
            "template_name": _TEMPLATE.name,
            "extra_template_basedirs": [str(_TEMPLATE.parent)],
            "extra_template_paths": [str(_TEMPLATE)],
            "reveal_width": str(WIDTH),
            "reveal_height": str(HEIGHT),
            "exclude_input_prompt": True,
            "exclude_output_prompt": True,
            "embed_images": True,
        }
        super().__init__(**settings | options)

    def from_notebook_node(self, nb, resources=None, **options):
        # not in __init__: nbconvert and JupyterLab make one of each exporter to list them, also without the libraries
        self.template_paths = [*self.template_paths, *map(str, _libraries())]
        return super().from_notebook_node(nbformat.from_dict(lecture(nb)), resources, **options)


def _libraries() -> list[Path]:
    """The folders of reveal.js, its notes, and MathJax, which come with two Python packages."""
    places = [
        ("sphinx_revealjs", "_static/revealjs/dist"),
        ("sphinx_revealjs", "_static/revealjs/plugin/notes"),
        ("sphinx-mathjax-offline", "static/mathjax"),
    ]
    folders = []
    for package, folder in places:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise missing_extra(f"{package}, which slides need,", "book")
        folders.append(Path(spec.origin).parent / folder)
    return folders


def lecture(notebook: dict[str, Any]) -> dict[str, Any]:
    """A copy of a notebook that holds only what its slides show; each slide has the title of its section."""
    notebook = json.loads(json.dumps(notebook))
    if not any("slideshow" in cell["metadata"] for cell in notebook["cells"]):
        set_slide_types(notebook)
    cells: list[dict[str, Any]] = []
    section = ""
    for cell in notebook["cells"]:
        slide_type = cell["metadata"].get("slideshow", {}).get("slide_type", "-")
        if slide_type == "skip":
            continue
        if slide_type == "subslide" and section:
            cells.append(_text(f'<p class="section-title">{section}</p>', "subslide"))
            cell["metadata"]["slideshow"] = {"slide_type": "-"}
        if cell["cell_type"] == "markdown":
            first, *others = sections(source(cell))
            cells += [cell | {"source": first}, *(_text(text, "slide") for text in others)]
            section = (_TITLE.findall("\n".join([first, *others])) or [section])[-1]
        else:
            cell["metadata"]["transient"] = {"remove_source": hides_code(cell)}
            cell["outputs"] = [output for output in cell["outputs"] if _WIDGET not in output.get("data", {})]
            cells.append(cell)
    return notebook | {"cells": cells}


def _text(text: str, slide_type: str) -> dict[str, Any]:
    return nbformat.v4.new_markdown_cell(text, metadata={"slideshow": {"slide_type": slide_type}})


def write_slides(target: Path, notebooks: Sequence[str] | None = None, force: bool = False) -> list[Path]:
    """Write the slides of notebooks as HTML.

    Args:
        target: A folder; it is created if needed.
        notebooks: Numbers or file names; None for all.
        force: Whether to overwrite files.

    Returns:
        The files written.

    Raises:
        UserError: if a file would be overwritten without ``force``, a package is missing, or there is no such notebook.
    """
    sources = choose_notebooks(notebooks)
    files = [target / f"{path.stem}.slides.html" for path in sources]
    check_target(target, files, force)
    exporter = LectureExporter()
    for path, file in zip(sources, files, strict=True):
        html, _ = exporter.from_filename(str(path))
        atomic_write(file, html)
    return files
