"""A learner's own copy of the notebooks, apart from the project's, so that updates never conflict with it."""

import re
import shutil
from pathlib import Path

from mtbert.utils import paths
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write

NOTEBOOKS = paths.ROOT / "notebooks"
_FIGURE = re.compile(r"\.\./figures/([\w.-]+)")


def copy_notebooks(target: Path, force: bool = False) -> list[Path]:
    """Copy all notebooks, and the figures that they show.

    Data, models and runs stay in the project: the notebooks find them through the package.

    Args:
        target: the folder; it is created if needed.
        force: whether to overwrite notebooks that are there.

    Returns:
        The copied notebooks.

    Raises:
        UserError: if a file would be overwritten without ``force``, or the folder is one of the project's own.
    """
    if target.resolve() == NOTEBOOKS or target.resolve() == paths.ROOT:
        raise UserError(f"{target} is the project's own folder: choose another one")
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file: choose a folder")
    sources = sorted(NOTEBOOKS.glob("*.ipynb"))
    existing = [source.name for source in sources if (target / source.name).exists()]
    if existing and not force:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(f"{target} has {existing[0]}{more}: choose another folder, or overwrite your work with --force")
    for source in sources:
        write_copy(target / source.name, source.read_text(encoding="utf-8"))
    return [target / source.name for source in sources]


def write_copy(path: Path, text: str) -> None:
    """Write the text of a notebook, and the project's figures that it shows beside it."""
    for name in set(_FIGURE.findall(text)):
        (path.parent / "figures").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(paths.FIGURES / name, path.parent / "figures" / name)
    atomic_write(path, _FIGURE.sub(r"figures/\1", text))
