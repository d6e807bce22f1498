"""``mtbert data``: look at the data files, or download them."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.cli.options import Data, resolve_data, split_names

app = typer.Typer(
    help="Check the data files, or download the real ones.",
    epilog="Example: mtbert data check",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("check", epilog="Example: mtbert data check --data data/sample")
def check(data: Data = None):
    """Look at every file. Rows, labels, lengths, sha256, overlaps between splits; exit code 1 if a file is bad."""
    from mtbert.data.checking import check_folder

    report = check_folder(resolve_data(data))
    typer.echo(report.text())
    for error in report.errors:
        typer.echo(f"mtbert: {error}", err=True)
    if report.errors:
        raise typer.Exit(1)


@app.command("fetch", epilog="Example: mtbert data fetch --only sst,sts")
def fetch(
    only: Annotated[str | None, typer.Option(help="Tasks, separated by commas: sst,cfimdb,quora,sts.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where to put the files. Default: data/full.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that differ from the published ones.")] = False,
):
    """Download the real data sets. Checksums are verified; an interrupted download resumes where it stopped."""
    from mtbert.data.download import download_data

    download_data(data, split_names(only) if only is not None else None, force=force)
