"""The project's folders, located from the package so that the working directory does not matter."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
FULL = ROOT / "data" / "full"
RESULTS = ROOT / "data" / "results"
REPORTS = ROOT / "data" / "reports"
FIGURES = ROOT / "figures"
RUNS = ROOT / "runs"
MODELS = ROOT / "data" / "models"  # models that come with the project; written by `mtbert export`


def cache_folder() -> Path:
    """The folder of tokenized data sets: ``$MTBERT_CACHE``, else data/cache."""
    return Path(os.environ.get("MTBERT_CACHE") or ROOT / "data" / "cache")


def is_folder(path: str | Path) -> bool:
    """Whether a folder exists there; False, too, for a blank path and for one that no file can have."""
    try:
        return bool(str(path).strip()) and Path(path).is_dir()
    except (OSError, ValueError):  # too long, or NUL in it
        return False


def display_path(path: Path) -> str:
    """A path for messages: relative to the project's root if inside it, else as given."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
