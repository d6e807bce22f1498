"""``mtbert ask``: what a model says about a sentence or a pair."""

import contextlib
import json
import os.path
import re
import sys
from pathlib import Path
from typing import Annotated, cast

import typer
from typer.core import TyperCommand

from mtbert.cli.options import Device
from mtbert.utils.errors import UserError

app = typer.Typer()

_EXAMPLES = """\b
Examples:
  mtbert ask "The plot is thin, but the two leads are superb."
  mtbert ask "How do I learn to swim?" "What is the best way to learn swimming?"
  mtbert ask --model runs/demo-s0 --file pairs.csv > answers.csv
  cat reviews.txt | mtbert ask --file - --json"""


class _TextsFirst(TyperCommand):
    """Takes "-5 stars, sadly" for a text: no option has a space in its name."""

    def parse_args(self, ctx, args):
        return super().parse_args(ctx, [f" {arg}" if re.match(r"-[^=]*\s", arg) else arg for arg in args])


@app.command("ask", cls=_TextsFirst, epilog=_EXAMPLES)
def ask(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="A sentence in quotes, or two for the tasks on pairs.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="A run's folder, or workbook, the model that comes with mtbert.")
    ] = "workbook",
    file: Annotated[
        Path | None, typer.Option(help="Texts from a file: one or two columns, or a text a line; - reads stdin.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per text, with all probabilities.")] = False,
    device: Device = None,
):
    """Ask a model about a sentence or a pair: every task's answer, with probabilities.

    The texts of a file are answered as CSV: the prediction of each task, its label and the label's probability.
    """
    from mtbert.data.text_files import read_texts
    from mtbert.experiments.answers import answers_table, ask_all
    from mtbert.nn.texts import Text, text_rows
    from mtbert.training.run import load_model
    from mtbert.utils.device import get_device

    texts = [text.strip() for text in texts or []]
    if texts and file:
        raise UserError("a text and --file are given: choose one of them")
    if len(texts) > 2:
        raise UserError(f"{len(texts)} texts given: put each sentence in quotes, and give one or two")
    if len(texts) == 1 and os.path.isfile(texts[0]):
        raise UserError(f"{texts[0]} is a file: to ask about its lines, write mtbert ask --file {texts[0]}")
    if not texts and file is None:
        if sys.stdin.isatty():
            raise UserError('no text given: write mtbert ask "A sentence.", or give --file')
        file = Path("-")
    rows = read_texts(file) if file else text_rows([cast(Text, tuple(texts))], (1, 2))
    with contextlib.redirect_stdout(sys.stderr) if file or as_json else contextlib.nullcontext():  # keep messages apart
        answers = ask_all(rows, load_model(model, get_device(device)))
    if as_json:
        for row, found in zip(rows, answers, strict=True):
            line = {"texts": row, **{task: answer.as_dict() for task, answer in found.items()}}
            typer.echo(json.dumps(line, ensure_ascii=False))
    elif file:
        typer.echo(answers_table(rows, answers), nl=False)
    else:
        utf8 = (sys.stdout.encoding or "").lower().startswith("utf")
        typer.echo(answers[0].chart("█" if utf8 else "#"))
