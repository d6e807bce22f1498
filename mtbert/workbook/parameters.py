"""What a notebook does with its parameters before anything else: refuse wrong ones, and find its data and its runs."""

import ast
import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from IPython import get_ipython

from mtbert.data import data_folder
from mtbert.utils import paths
from mtbert.utils.errors import UserError, did_you_mean, shorten
from mtbert.utils.files import LOCK, folder_lock

PROFILES = ("demo", "full")
_INJECTED = "# Parameters"  # the first line of the cell that papermill adds
_PLAIN = re.compile(r"[\w.]{1,24}")


class Settings(NamedTuple):
    """What the parameters of a notebook mean.

    Attributes:
        demo: Whether the profile is the short one.
        data: The folder to read data from.
        runs: The folder for this notebook's runs with these parameters.
    """

    demo: bool
    data: Path
    runs: Path


def settings(notebook: str, profile: str, data: str, fresh: bool = False, **deciding: Any) -> Settings:
    """Check a notebook's parameters, and find its data and the folder of its runs.

    The folder is named after everything that decides the runs, so that runs of different settings live side by side:
    ``runs/05_multitask/demo-minilm-seed3``. Zeros and empty values are left out of the name.

    Args:
        notebook: The notebook's name.
        profile: "demo" (sample data) or "full".
        data: The data folder; if empty, demo reads the sample, and full looks in the usual places.
        fresh: Whether to delete finished and unfinished runs of the same settings.
        deciding: The other parameters on which the runs depend, by name.

    Raises:
        UserError: if papermill was given a parameter that the notebook does not have, or a value of another type; if
            the profile is unknown; if the runs are to be deleted while another process is training one of them.
    """
    check_parameters()
    if profile not in PROFILES:
        raise UserError(f"profile is {shorten(profile)}: choose {' or '.join(PROFILES)}")
    demo = profile == "demo"
    folder = paths.SAMPLE if demo and not data else data_folder(data or None)
    if folder.resolve() != (paths.SAMPLE if demo else paths.FULL):
        deciding["data"] = folder.resolve()
    runs = paths.RUNS / notebook / "-".join([profile, *_in_words(deciding)])
    if fresh:
        remove_runs(runs)
    return Settings(demo, folder, runs)


def _in_words(deciding: Mapping[str, Any]) -> list[str]:
    """Texts as they are, numbers after their name, folders as a hash of their path."""
    words = []
    for name, value in deciding.items():
        if isinstance(value, int | float) and value:
            words.append(f"{name}{value}")
        elif value:
            digest = hashlib.sha256(str(value).encode()).hexdigest()[:8]
            words.append(value if _PLAIN.fullmatch(str(value)) else f"{name}-{digest}")
    return words


def remove_runs(folder: Path) -> None:
    """Delete a folder of runs, if it exists.

    Raises:
        UserError: if another process is training in it; nothing is deleted then.
    """
    for lock in Path(folder).rglob(LOCK):
        with folder_lock(lock.parent):  # refused if another process holds it
            pass
    shutil.rmtree(folder, ignore_errors=True)


def check_parameters() -> None:
    """Refuse parameters that papermill added although the notebook does not have them, or with values of another type.

    Papermill puts them into a cell of their own after the notebook's parameters, where a misspelled name would have no
    effect. Both cells stand in the kernel's history. Outside of papermill there is nothing to check.

    Raises:
        UserError: naming the parameter and what to give instead.
    """
    shell = get_ipython()
    cells = list(shell.user_ns.get("In", [])) if shell else []
    injected = next((i for i, cell in enumerate(cells) if cell.startswith(_INJECTED)), None)
    if injected is None:
        return
    declared = {name: value for cell in cells[:injected] for name, value in _assigned(cell).items()}
    for name, value in _assigned(cells[injected]).items():
        if name not in declared:
            known = f"the parameters are {', '.join(declared)}"
            raise UserError(f"this notebook has no parameter {shorten(name)}: {did_you_mean(name, declared, known)}")
        wanted = type(declared[name])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            choices = "True or False" if wanted is bool else f"a value like {declared[name]!r}"
            raise UserError(f"the parameter {name} is {shorten(value)}: give {choices}")


def _assigned(cell: str) -> dict[str, Any]:
    """The names that a cell sets to literals, with their values."""
    values = {}
    for statement in ast.parse(cell).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            if isinstance(target, ast.Name):
                values[target.id] = ast.literal_eval(statement.value)
    return values
