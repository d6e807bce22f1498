"""Every relative link and image of the guides and notebooks leads to a file, and every anchor to a heading."""

import json
import re
import string
from pathlib import Path

import pytest

from mtbert.utils import paths

LINK = re.compile(r"\]\((?!https?:|mailto:|attachment:|data:)([^)\s#]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`|\$[^$\n]*\$", re.DOTALL)
PUNCTUATION = string.punctuation.replace("-", "").replace("_", "") + "·“”’–…"


PATTERNS = ["README.md", ".github/*.md", "data/*.md", "data/*/*.md", "data/models/*/*.md", "notebooks/*.md"]
PAGES = [path for pattern in [*PATTERNS, "notebooks/*.ipynb"] for path in sorted(paths.ROOT.glob(pattern))]


def markdown(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def anchors(page: Path) -> set[str]:
    """A page's headings as anchors: "Two words" is #Two-words in JupyterLab and #two-words on GitHub."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub(lambda code: code[0].replace("\n", " "), markdown(page)), re.MULTILINE)
    plain = ["".join(letter for letter in heading.lower() if letter not in PUNCTUATION) for heading in headings]
    return {heading.replace(" ", "-") for heading in (*headings, *plain)}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for target, anchor in LINK.findall(CODE.sub("", markdown(page))):
        file = (page.parent / target).resolve() if target else page
        missing = not file.exists() or (anchor and file.suffix in (".md", ".ipynb") and anchor not in anchors(file))
        found += [target + (f"#{anchor}" if anchor else "")] if missing else []
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_no_broken_link(page):
    assert broken(page) == []


def test_a_wrong_file_and_a_wrong_anchor_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Two words\n[a](#two-words) [b](#other) [c](page.md) [d](none.md) `[e](code)` [f](https://x.y)\n")
    assert broken(page) == ["#other", "none.md"]
