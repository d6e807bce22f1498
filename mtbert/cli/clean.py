"""``mtbert clean``: what runs take on disk, and removing old ones."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.utils.errors import UserError

app = typer.Typer()

_EXAMPLES = """\b
Examples:
  mtbert clean                                      list all runs and their sizes
  mtbert clean --older-than 30                      list those of more than 30 days
  mtbert clean --older-than 30 --delete             remove them, after a question
  mtbert clean runs/sweep-yin-small --larger-than 100 --delete --yes"""


@app.command("clean", epilog=_EXAMPLES)
def clean(
    folder: Annotated[Path | None, typer.Argument(help="Where to look. Default: runs.")] = None,
    older_than: Annotated[float, typer.Option(min=0, metavar="DAYS", help="Only runs that are older.")] = 0,
    larger_than: Annotated[float, typer.Option(min=0, metavar="MB", help="Only runs that take more.")] = 0,
    delete: Annotated[bool, typer.Option("--delete", help="Remove them. Without it, they are only listed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them without asking.")] = False,
):
    """List runs by size, or remove old ones. A run that is being trained is never removed."""
    from mtbert.experiments.old_runs import remove_run, stored_runs
    from mtbert.utils import paths

    root = folder or paths.RUNS
    if folder is None and not root.exists():
        typer.echo("no runs yet")
        return
    runs = [run for run in stored_runs(root) if run.days >= older_than and run.bytes >= larger_than * 2**20]
    for run in runs:
        status = run.run.record["status"]
        typer.echo(f"{run.bytes / 2**20:8.1f} MB {run.days:5.0f} days  {status:10}  {paths.display_path(run.folder)}")
    total = f"{_count(len(runs))}, {sum(run.bytes for run in runs) / 2**20:.1f} MB"
    typer.echo(total)
    if not delete or not runs:
        return
    if not yes and not typer.confirm(f"Remove {total}?"):
        typer.echo("nothing was removed")
        return
    kept = 0
    for run in reversed(runs):
        try:
            remove_run(run.folder)
        except UserError as error:
            kept += 1
            typer.echo(f"mtbert: left alone: {error}", err=True)
    typer.echo(f"{_count(len(runs) - kept)} removed")
    if kept:
        raise typer.Exit(1)


def _count(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"
