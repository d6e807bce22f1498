"""``mtbert bundle``: encoders, data and wheels for a machine without network."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.cli.options import Data, resolve_data, split_names

app = typer.Typer()


@app.command("bundle", epilog="Example: mtbert bundle offline --encoder minilm --data data/full --limit-mb 60")
def bundle(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to fill, or to check.")],
    encoder: Annotated[list[str] | None, typer.Option(help="An encoder; repeatable. Default: minilm.")] = None,
    data: Data = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks, separated by commas. Default: all with files.")] = None,
    wheels: Annotated[
        str | None, typer.Option(help="Packages, separated by commas; '' for none. Default: those that run notebooks.")
    ] = None,
    python: Annotated[str, typer.Option(help="Python version of the other machine.")] = "3.12",
    limit_mb: Annotated[
        float | None, typer.Option(min=1, help="Also write an archive, in pieces of at most so many MB.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the pieces of an earlier archive.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only check that everything is there and undamaged.")] = False,
):
    """Pack encoders, data and wheels for an offline machine. Weights are rounded to 16-bit floats."""
    from mtbert.experiments import bundle as bundling

    if check:
        problems = bundling.verify_bundle(folder)
        for problem in problems:
            typer.echo(f"mtbert: {problem}", err=True)
        if problems:
            raise typer.Exit(1)
        typer.echo(f"{folder}: complete")
        return
    if limit_mb:
        bundling.check_archive_parts(folder, force)
    source = resolve_data(data)
    names = bundling.available_tasks(source) if tasks is None else split_names(tasks)
    packages = bundling.WHEELS if wheels is None else [name for name in split_names(wheels) if name]
    bundling.write_bundle(folder, encoder or ["minilm"], source, names, packages, python)
    if limit_mb:
        for piece in bundling.archive_bundle(folder, limit_mb, force):
            typer.echo(f"{piece}: {piece.stat().st_size / 2**20:.1f} MB")
        typer.echo(f"on the other machine: cat {folder.resolve().name}.tar.gz.* | tar xz")
