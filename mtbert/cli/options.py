"""Options that many commands of the command line have."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.training.cuda_graphs import Execution

Data = Annotated[Path | None, typer.Option(help="Data folder; default $MTBERT_DATA, data/full, data/sample.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda ...; default: cuda if there is one.")]
Compile = Annotated[bool | None, typer.Option("--compile/--no-compile", help="Encoder layers through torch.compile.")]
Graphs = Annotated[
    bool | None, typer.Option("--cuda-graphs/--no-cuda-graphs", help="Steps of fixed shapes, recorded on a GPU.")
]


def chosen_execution(otherwise: Execution, compile_: bool | None, graphs: bool | None) -> Execution:
    """What the two options ask for; where they are not given, ``otherwise``."""
    return Execution(
        otherwise.compile if compile_ is None else compile_, otherwise.cuda_graphs if graphs is None else graphs
    )
