"""Builds the book: all notebooks with their committed outputs, the guides, and the API reference, as a static site.

    pip install -e ".[book]" && python .book/build.py

writes ``build/book/index.html``, which needs no server and no network. Nothing is executed. Sphinx wants all sources in
one folder, so they are copied to ``build/book-sources`` first. Any warning, such as a broken link, fails the build.
"""

import base64
import json
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx_build

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "build" / "book-sources"
COPIED = ["LICENSE", "notebooks/*.md", "figures/*", "data/**/*.md", "data/re*/*.csv", "data/models/**/*.json"]
HIDDEN = ".github/"  # becomes project/, because web servers leave out hidden folders


def copy_sources() -> None:
    """Write everything that the book is made of to ``build/book-sources``."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    files = [path for pattern in COPIED for path in ROOT.glob(pattern) if path.is_file()]
    for path in files:
        _copy(path, SOURCES / path.relative_to(ROOT))
    for path in (ROOT / ".book").glob("*.md"):
        _copy(path, SOURCES / path.name)
    for path in (ROOT / HIDDEN).glob("C*"):
        _copy(path, SOURCES / "project" / path.name)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (SOURCES / "README.md").write_text(text.replace(f"]({HIDDEN}", "](project/"), encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        target = SOURCES / "notebooks" / path.name
        target.parent.mkdir(exist_ok=True)
        adapt(notebook, target.with_suffix(""))
        target.write_text(json.dumps(notebook), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def adapt(notebook: dict, folder: Path) -> None:
    """Turn what myst-nb does not know into what it does: attached images into files, widgets into their pictures.

    The state of widgets goes, too: for it, myst-nb would load scripts from the network.
    """
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        for name, bundle in cell.pop("attachments", {}).items():
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(base64.b64decode(bundle["image/png"]))
            cell["source"] = [line.replace(f"attachment:{name}", f"{folder.name}/{name}") for line in cell["source"]]
        widgets = "application/vnd.jupyter.widget-view+json"
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell["outputs"] if widgets not in output.get("data", {})]


if __name__ == "__main__":
    copy_sources()
    options = ["--fail-on-warning", "--keep-going", "--jobs", "auto", "--quiet", "-c", str(ROOT / ".book")]
    target = ROOT / "build" / "book"
    code = sphinx_build([*options, *sys.argv[1:], str(SOURCES), str(target)])
    print(f"{target / 'index.html'}" if code == 0 else "the book has errors: see above", file=sys.stderr)
    sys.exit(code)
