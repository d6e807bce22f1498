"""``mtbert soup``: one model from the mean weights of several runs."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.cli.options import Data, Device, format_scores, resolve_data

app = typer.Typer()


@app.command("soup", epilog="Example: mtbert soup runs/mixed-s0 runs/mixed-s1 --out runs/mixed-soup")
def soup(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs of one model, from the same encoder.")],
    out: Annotated[Path, typer.Option(help="A new folder, which is then one of a run.")],
    data: Data = None,
    device: Device = None,
):
    """Average the weights of several runs. The result is a run like others, scored on their dev rows."""
    from mtbert.experiments.soup import make_soup
    from mtbert.training.run import open_run
    from mtbert.utils import paths

    made = make_soup(runs, out, resolve_data(data), device)
    for run in map(open_run, runs):
        typer.echo(f"{paths.display_path(run.folder)}: {format_scores(run.scores)}")
    typer.echo(f"{paths.display_path(out)}: {format_scores(made.scores)}")
