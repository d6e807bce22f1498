"""The exporter of lectures: nbconvert finds it by its name, and its files load nothing from a network."""

import importlib.util
from html.parser import HTMLParser

import nbformat
import pytest
from nbconvert.exporters import get_export_names, get_exporter

from mtbert.utils.errors import UserError
from mtbert.workbook.classroom.lecture import LectureExporter


class Loaded(HTMLParser):
    """What a browser loads for a page: scripts, styles, pictures and the like."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        address = found.get("src") or (found.get("href") if tag == "link" else None)
        if address and not address.startswith("data:"):
            self.addresses.append(address)


NOTEBOOK = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title\n\nOne formula: $x^2$.")])


def test_nbconvert_knows_the_lecture_by_its_name():
    assert get_exporter("lecture") is LectureExporter


def test_a_lecture_loads_nothing_from_a_network():
    for package in ("sphinx_revealjs", "sphinx-mathjax-offline"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    html, _ = LectureExporter().from_notebook_node(NOTEBOOK)
    assert "One formula" in html
    assert Loaded(html).addresses == []
    page = '<link href="a.css"><script src="https://b/c.js"></script><a href="d">'
    assert Loaded(page).addresses == ["a.css", "https://b/c.js"]


def test_without_its_libraries_a_lecture_names_the_extra_and_does_not_stop_the_others(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert {"lecture", "slides", "html"} <= set(get_export_names())
    with pytest.raises(UserError, match=r"\[book\]"):
        LectureExporter().from_notebook_node(NOTEBOOK)
