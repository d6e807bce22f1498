"""``mtbert predict``, ``evaluate`` and ``submit``: apply trained runs to rows."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.cli.options import Data, Device, Force, format_scores, resolve_data
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger

app = typer.Typer()


@app.command("predict", epilog="Example: mtbert predict runs/demo-s0 --task sts pairs.csv predictions.csv")
def predict(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    source: Annotated[Path, typer.Argument(metavar="IN.csv", help="In the course's format; labels are not read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.csv", help="Written as id,prediction.")],
    task: Annotated[str, typer.Option(help="sst, cfimdb, quora, sts or yelp.")],
    force: Force = False,
    device: Device = None,
):
    """Predict the rows of a file."""
    from mtbert.data.read import read_rows
    from mtbert.data.tasks import get_task
    from mtbert.training.evaluation import predict_logits, write_predictions
    from mtbert.training.run import load_model, open_run
    from mtbert.utils.device import autocast, get_device

    if target.exists() and not target.is_file():
        raise UserError(f"{target} is not a regular file: choose another name")
    if target.exists() and not force:
        raise UserError(f"{target} exists: choose another name, or --force to overwrite it")
    rows_task, recipe = get_task(task), open_run(run).recipe
    if task not in recipe.tasks:
        raise UserError(f"{run} has no head for {task!r}: it was trained on {', '.join(recipe.tasks)}")
    rows = read_rows(source, rows_task, "predict", labels=False)
    model = load_model(run, get_device(device))
    with autocast(model.device, recipe.precision):
        write_predictions(target, rows, predict_logits(model, rows))
    typer.echo(f"{len(rows)} predictions in {target}")


@app.command("evaluate", epilog="Example: mtbert evaluate runs/demo-s0")
def evaluate(run: Annotated[Path, typer.Argument(help="A run's folder.")], data: Data = None, device: Device = None):
    """Score a run on the dev files of a data folder."""
    from mtbert.data.read import read_split
    from mtbert.training import evaluation
    from mtbert.training.run import load_model, open_run
    from mtbert.utils.device import autocast, get_device

    folder = resolve_data(data)
    recipe = open_run(run).recipe
    model = load_model(run, get_device(device))
    sets = {task.name: read_split(folder, task, "dev") for task in recipe.task_list if "dev" in task.files}
    for rows in sets.values():
        for note in rows.notes():
            logger.info(note)
    with autocast(model.device, recipe.precision):  # the precision that dev rows had during training
        typer.echo(format_scores(evaluation.evaluate(model, sets)))


@app.command("submit", epilog="Example: mtbert submit runs/best-s0 runs/cfimdb-s0 --out submission")
def submit(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; each task must be in exactly one of them.")],
    out: Annotated[Path, typer.Option(help="Folder for TASK-test-output.csv and TASK-dev-output.csv.")],
    data: Data = None,
    force: Force = False,
    device: Device = None,
):
    """Write the course's submission files.

    They hold a prediction for every test and dev row; predictions.json lists their checksums, dev scores and runs.
    """
    from mtbert.experiments import submission
    from mtbert.utils import paths
    from mtbert.utils.device import get_device

    files = submission.submission_files(runs, resolve_data(data))
    submission.check_output_dir(files, out, force)
    for file in files:
        for note in file.rows.notes():
            logger.info(note)
    record = submission.submit(files, out, get_device(device))
    for run in record["runs"]:
        for name, facts in run["files"].items():
            score = f"{facts['metric']} {facts['score']:.4f}, " if "score" in facts else ""
            typer.echo(f"{name}: {facts['rows']} rows, {score}sha256 {facts['sha256']}")
    typer.echo(f"dev: {format_scores(record['dev'])}")
    typer.echo(f"{len(files)} files and {submission.RECORD} in {paths.display_path(out)}")
