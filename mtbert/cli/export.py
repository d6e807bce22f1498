"""``mtbert export``: a small copy of a trained model, with its model card."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.cli.options import Data, Device, format_scores, resolve_data

app = typer.Typer()


@app.command("export", epilog="Example: mtbert export runs/workbook-s0 data/models/workbook")
def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run that left its encoder untrained.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    data: Data = None,
    device: Device = None,
):
    """Export a model to be shipped. Its adapters and heads as 16-bit floats, its dev scores, and a model card."""
    from mtbert.experiments.export import export_run
    from mtbert.utils import paths
    from mtbert.utils.device import get_device

    exported = export_run(run, folder, resolve_data(data), get_device(device))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    typer.echo(f"{paths.display_path(folder)}: {size / 2**20:.1f} MB; dev {format_scores(exported.scores)}")
