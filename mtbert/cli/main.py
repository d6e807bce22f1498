"""The command line. Exit codes: 0 done, 1 a mistake in the input or a failed check, 2 wrong usage, 130 Ctrl-C.

Commands import what they need inside their functions, so that ``mtbert --help`` answers without loading torch.
"""

import io
import os
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import typer

import mtbert
from mtbert.cli import ask, bench, bundle, classroom, clean, data, export, predict, results, soup, start, train
from mtbert.training.interrupt import Interrupted
from mtbert.utils import paths
from mtbert.utils.errors import UserError, clip
from mtbert.utils.logging import set_verbosity

_EXAMPLES = """\b
Examples:
  mtbert ask "The plot is thin, but the two leads are superb."
  mtbert train demo --out runs/demo
  mtbert results runs/*
  mtbert --install-completion        complete commands and options with Tab
`mtbert COMMAND --help` describes a command and gives an example."""

app = typer.Typer(
    help="BERT and multi-task fine-tuning: data, training, prediction, benchmarks.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"mtbert {mtbert.__version__}")
        raise typer.Exit


_NEED_THE_PROJECT = ("start", "recipes", "costs", "claims", "sweep", "progress", "classroom")
_INCOMPLETE = (
    "the notebooks, the sample data and the model workbook are not installed: they are not part of a wheel; "
    "clone the project and run `pip install -e .` in its folder"
)


@app.callback()
def _global_options(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show debug messages too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show results and warnings only.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
):
    if verbose and quiet:
        raise typer.BadParameter("choose --verbose or --quiet, not both")
    if verbose or quiet:
        set_verbosity("debug" if verbose else "warning")
    if not paths.SAMPLE.is_dir():
        if context.invoked_subcommand in _NEED_THE_PROJECT:
            raise UserError(_INCOMPLETE)
        typer.echo(f"mtbert: {_INCOMPLETE}", err=True)


@app.command(epilog="Example: mtbert doctor --device mps")
def doctor(
    device: Annotated[
        str | None, typer.Option(help="Check this device; by default the one a run would choose.")
    ] = None,
):
    """Check Python, packages, weights, data, memory and device. Exit code 1 if something is missing."""
    from mtbert.workbook.doctor import inspect_environment

    findings = inspect_environment(device)
    for finding in findings:
        typer.echo(str(finding))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


app.add_typer(data.app, name="data")
for module in (start, ask, train, soup, predict, results, clean, export, bundle):
    app.add_typer(module.app)
app.add_typer(bench.app, name="bench")
app.add_typer(classroom.app, name="classroom")
app.add_typer(classroom.progress_app)


def main() -> None:
    """Run the command line; a user's mistake becomes one line on stderr."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed, as a shell does with <&-
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or file that cannot show all letters gets escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        _refuse_blank(sys.argv[1:])
        app()
    except Interrupted as stop:
        _exit_with(str(stop), stop.exit_code)
    except UserError as error:
        _exit_with(str(error), 1)
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # from Path.resolve, before Python 3.13
            raise
        _exit_with(f"{error}: choose another name", 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        remedy = _REMEDIES.get(type(error), "") if where else ""
        _exit_with(clip(f"{where}{error.strerror or error}{remedy}"), 1)


_REMEDIES: dict[type, str] = {
    FileExistsError: ": choose another name",
    NotADirectoryError: ": a part of the path is a file, choose another folder",
    PermissionError: ": choose another place, or change its permissions",
}


def _refuse_blank(arguments: Sequence[str]) -> None:
    """Refuse an empty argument, as of a shell variable that is not set: as a path, it would be the current folder."""
    command = next((argument for argument in arguments if not argument.startswith("-")), "").strip()
    for before, argument in pairwise(["", *arguments]):
        option = re.match(r"(--[\w-]+)=\s*$", argument) or re.match(r"(--[\w-]+)$", before)
        name = option[1] if option else ""
        if name == "--wheels" or (command == "ask" and not name):  # no wheels; and ask names an empty text
            continue
        if re.fullmatch(r"(--[\w-]+=)?\s*", argument):
            where = f"the value of {name}" if name else f"an argument of {command or 'mtbert'}"
            raise UserError(f"{where} is empty: write it or leave it out (is a variable of the shell not set?)")


def _exit_with(message: str, code: int) -> None:
    print(f"mtbert: {message}", file=sys.stderr)
    sys.exit(code)
