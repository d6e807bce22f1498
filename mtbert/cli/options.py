"""Options that several commands share, and what they all do with them."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger

if TYPE_CHECKING:
    from mtbert.training.cuda_graphs import Execution

Data = Annotated[Path | None, typer.Option(help="Data folder. Default: $MTBERT_DATA, data/full or data/sample.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ... Default: cuda if there is a GPU.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Change a field: name=value or name.task=value; repeatable.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
Compile = Annotated[
    bool | None, typer.Option("--compile/--no-compile", help="Run the encoder's layers through torch.compile.")
]
CudaGraphs = Annotated[
    bool | None, typer.Option("--cuda-graphs/--no-cuda-graphs", help="On a GPU: replay training steps as CUDA graphs.")
]


def resolve_data(data: Path | None) -> Path:
    """The data folder that a command uses; logs which one it is."""
    from mtbert.data.read import data_folder
    from mtbert.utils import paths

    folder = data_folder(data)
    logger.info(f"data: {paths.display_path(folder)}")
    return folder


def override_execution(default: "Execution", compile_: bool | None, cuda_graphs: bool | None) -> "Execution":
    """``default`` with those of the two options that were given."""
    given = {"compile": compile_, "cuda_graphs": cuda_graphs}
    return replace(default, **{name: value for name, value in given.items() if value is not None})


def check_target(target: Path, force: bool, source: Path | None = None) -> None:
    """Refuse to write over what is no file, over ``source``, and without ``force`` over any file; or where none can be.

    A link counts as what it points to.
    """
    from mtbert.utils.files import check_place

    if not os.path.lexists(target):
        check_place(target)
        return
    points_to = Path(os.path.realpath(target))  # itself, unless it is a link
    if os.path.lexists(points_to) and not points_to.is_file():
        raise UserError(f"{target} is not a regular file: choose another name")
    if source is not None and source.exists() and points_to.exists() and points_to.samefile(source):
        raise UserError(f"{target} is the file that is read: choose another name for what is written")
    if not force:
        raise UserError(f"{target} exists: choose another name, or --force to overwrite it")


def split_names(text: str) -> list[str]:
    """The names in a list such as "sst, sts"."""
    return [name.strip() for name in text.split(",")]


def format_scores(scores: Mapping[str, float]) -> str:
    """Scores on one line: "sst 0.4651, sts 0.8741"."""
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
