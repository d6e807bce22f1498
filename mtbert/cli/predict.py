"""``mtbert predict``, ``evaluate`` and ``submit``: apply trained runs to rows."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from mtbert.cli.options import Data, Device, Force, check_target, format_scores, resolve_data
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger

app = typer.Typer()

BothOrders = Annotated[
    bool, typer.Option("--both-orders", help="Read each pair in both orders and average; takes twice as long.")
]


@app.command("predict", epilog="Example: mtbert predict runs/demo-s0 --task sts pairs.csv predictions.csv")
def predict(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    source: Annotated[
        Path, typer.Argument(metavar="IN.csv", help="In the course's format; labels are not read. -: standard input.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.csv", help="Written as id,prediction. -: standard output.")],
    task: Annotated[str, typer.Option(help="sst, cfimdb, quora, sts or yelp.")],
    force: Force = False,
    device: Device = None,
):
    """Predict the rows of a file."""
    from mtbert.data.delimited import packed_file
    from mtbert.data.read import read_rows
    from mtbert.data.tasks import get_task
    from mtbert.nn.model import labels_from
    from mtbert.training.evaluation import predict_logits, predictions_csv
    from mtbert.training.run import load_model, open_run
    from mtbert.utils.device import autocast, get_device
    from mtbert.utils.files import atomic_write

    to_stdout = str(target) == "-"
    if not to_stdout:
        check_target(target, force, source)
    # notes about the rows must not get between the predictions
    with contextlib.redirect_stdout(sys.stderr) if to_stdout else contextlib.nullcontext():
        rows_task, recipe = get_task(task), open_run(run).recipe
        if task not in recipe.tasks:
            raise UserError(f"{run} has no head for {task!r}: it was trained on {', '.join(recipe.tasks)}")
        if str(source) != "-" and not source.exists() and not packed_file(source):
            raise UserError(f"{source} does not exist: give a file, or - for standard input")
        rows = read_rows(source, rows_task, "predict", labels=False)
        for note in rows.notes():
            logger.info(note)
        model = load_model(run, get_device(device))
        with autocast(model.device, recipe.precision):
            content = predictions_csv(rows, labels_from(rows_task, predict_logits(model, rows)))
    if to_stdout:
        typer.echo(content.encode("utf-8"), nl=False)
    else:
        atomic_write(target, content)
        typer.echo(f"{len(rows)} predictions in {target}")


@app.command("evaluate", epilog="Example: mtbert evaluate runs/demo-s0")
def evaluate(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders; several of a task are an ensemble.")
    ],
    predictions: Annotated[
        bool, typer.Option("--predictions", help="The folders hold files of predictions instead, from any program.")
    ] = False,
    name: Annotated[str | None, typer.Option("--record", help="Also keep the scores in data/results/NAME.csv.")] = None,
    both_orders: BothOrders = False,
    data: Data = None,
    device: Device = None,
):
    """Score runs on the dev files of a data folder.

    Several runs of one task are an ensemble, which predicts by the mean of their probabilities or scores.
    """
    from mtbert.data.read import read_split
    from mtbert.data.tasks import get_task, overall
    from mtbert.experiments import ensembles
    from mtbert.experiments.results import table_path
    from mtbert.utils import paths
    from mtbert.utils.device import get_device

    if predictions:
        if name is not None:
            raise UserError("--record keeps the scores of runs, not those of files: leave out --predictions")
        if both_orders:
            raise UserError("--both-orders is for runs; files hold their predictions already: leave out --predictions")
        _evaluate_files(folders, data)
        return
    if name is not None:
        table_path(name)  # a mistake in the name is told before anything is computed
    data_folder = resolve_data(data)
    runs = ensembles.open_members(folders)
    sets = [
        (read_split(data_folder, get_task(name), "dev"), members)
        for name, members in ensembles.runs_by_task(runs).items()
        if "dev" in get_task(name).files
    ]
    for rows, _ in sets:
        for note in rows.notes():
            logger.info(note)
    predicted = ensembles.predict(sets, get_device(device), both_orders=both_orders)
    for of_task in predicted:
        if len(of_task.by_run) > 1:
            logger.info(of_task.gain())
    scores = {of_task.rows.task.name: of_task.score for of_task in predicted}
    # one run has the overall score that its training printed
    typer.echo(format_scores(ensembles.with_overall(scores) if len(runs) > 1 else {**scores, **overall(scores)}))
    if name is not None:
        typer.echo(f"recorded in {paths.display_path(ensembles.record(predicted, get_device(device), name))}")


def _evaluate_files(folders: list[Path], data: Path | None) -> None:
    from mtbert.experiments import ensembles, prediction_files

    data_folder = resolve_data(data)
    for folder in folders:
        files = prediction_files.read_folder(folder, data_folder)
        for each in files:
            score = "no labels" if each.score is None else f"{each.rows.task.metric} {each.score:.4f}"
            typer.echo(f"{each.file.path}: {len(each.rows)} rows, {score}")
        counted = prediction_files.one_per_task(files)
        scores = {name: each.score for name, each in counted.items() if each.score is not None}
        if scores:
            typer.echo(f"{folder}: {format_scores(ensembles.with_overall(scores))}")


@app.command("submit", epilog="Example: mtbert submit runs/best-s0 runs/cfimdb-s0 --out predictions")
def submit(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several of a task are an ensemble.")],
    out: Annotated[Path, typer.Option(help="Folder for the files, such as sst-dev-output.csv.")],
    file_format: Annotated[
        Literal["course", "plain"], typer.Option("--format", help="As the course does, or id,prediction.")
    ] = "course",
    zipped: Annotated[bool, typer.Option("--zip", help="Also write them into predictions.zip.")] = False,
    both_orders: BothOrders = False,
    data: Data = None,
    force: Force = False,
    device: Device = None,
):
    """Write the course's submission files.

    They hold a prediction for every test and dev row; predictions.json lists their checksums, dev scores and runs.
    Several runs of one task are an ensemble, which predicts by the mean of their probabilities or scores. cfimdb, and
    sst without quora and sts, get the names of the course's part 1, such as finetune-cfimdb-dev-out.csv.
    """
    from mtbert.experiments import submission
    from mtbert.utils import paths
    from mtbert.utils.device import get_device

    files = submission.submission_files(runs, resolve_data(data), file_format)
    submission.check_output_dir(files, out, force)
    for file in files:
        for note in file.rows.notes():
            logger.info(note)
    record = submission.submit(files, out, get_device(device), file_format, zipped, both_orders)
    written = {name: facts for run in record["runs"] for name, facts in run["files"].items()}
    for name, facts in written.items():
        score = f"{facts['metric']} {facts['score']:.4f}, " if "score" in facts else ""
        typer.echo(f"{name}: {facts['rows']} rows, {score}sha256 {facts['sha256']}")
    if record["dev"]:
        typer.echo(f"dev: {format_scores(record['dev'])}")
    also = f", {submission.ZIP}" if zipped else ""
    typer.echo(f"{len(files)} files{also} and {submission.RECORD} in {paths.display_path(out)}")
