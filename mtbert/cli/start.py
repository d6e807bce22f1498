"""``mtbert start``: a learner's own copy of the notebooks."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.cli.options import Force

app = typer.Typer()


@app.command("start", epilog="Example: mtbert start ~/bert, then: jupyter lab ~/bert/00_start_here.ipynb")
def start(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Your folder. It is created if needed.")],
    force: Force = False,
):
    """Copy the notebooks into a folder of your own. Later updates of the project do not touch it."""
    from mtbert.workbook.learner_copy import copy_notebooks

    notebooks = copy_notebooks(folder, force)
    typer.echo(f"{len(notebooks)} notebooks in {folder}; data, models and runs stay in the project")
    typer.echo(f"now: jupyter lab {notebooks[0]}")
