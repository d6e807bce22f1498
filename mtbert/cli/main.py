"""The command line. Exit codes: 0 done, 1 a user's mistake or a failed check, 2 wrong usage, 130 Ctrl-C."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from tqdm.auto import tqdm

from mtbert.cli import bench as cli_bench
from mtbert.cli import recipe_lines
from mtbert.cli.options import Compile, Data, Device, Graphs, chosen_execution
from mtbert.data import check as checking
from mtbert.data import fetch as fetching
from mtbert.data.read import data_folder, read_rows, read_split
from mtbert.data.tasks import get_task
from mtbert.experiments import bundle as packing
from mtbert.experiments import costs as costing
from mtbert.experiments import recipes as named
from mtbert.experiments import statistics as evidence
from mtbert.experiments import submission
from mtbert.experiments import sweep as sweeping
from mtbert.experiments.metrics import averages, class_scores, classes_of
from mtbert.experiments.metrics import confusion as matrix_of
from mtbert.experiments.predictions import predictions, record_calibration, record_confusion
from mtbert.experiments.results import archive, gather, record
from mtbert.training.cuda_graphs import Execution
from mtbert.training.distributed import process_number
from mtbert.training.evaluation import evaluate as evaluate_model
from mtbert.training.evaluation import predict_logits, write_predictions
from mtbert.training.interrupt import Interrupted
from mtbert.training.recipe import settings
from mtbert.training.run import load_model, open_run
from mtbert.training.trainer import CHECKPOINT_SECONDS
from mtbert.training.trainer import train as train_recipe
from mtbert.utils import paths
from mtbert.utils.device import autocast, get_device
from mtbert.utils.errors import UserError
from mtbert.workbook.doctor import inspect_environment

app = typer.Typer(
    help="BERT and multi-task fine-tuning: data, training, prediction, benchmarks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at the data, or download the real sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(cli_bench.app, name="bench")


@data_app.command("check")
def check(data: Data = None):
    """What is there: rows, labels, lengths, overlaps between splits, sha256. Exit code 1 if a file has an error."""
    folder = data_folder(data)
    typer.echo(f"data: {paths.shown(folder)}")
    report = checking.check(folder)
    typer.echo(report.text())
    for error in report.errors:
        typer.echo(f"mtbert: {error}", err=True)
    if report.errors:
        raise typer.Exit(1)


@data_app.command("fetch")
def fetch(
    only: Annotated[str | None, typer.Option(help="Tasks, separated by commas: sst,cfimdb,quora,sts.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where to put the files; default data/full.")] = None,
    force: Annotated[bool, typer.Option(help="Replace files that differ from the published ones.")] = False,
):
    """Download the real sets, checksummed; a broken download goes on where it stopped."""
    tasks = [name.strip() for name in only.split(",")] if only is not None else None
    fetching.fetch(data, tasks, force=force)


@app.command("doctor")
def doctor():
    """Look at Python, packages, weights, data, memory and device; exit code 1 if something is missing."""
    findings = inspect_environment()
    for finding in findings:
        typer.echo(str(finding))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command("train")
def train(
    recipe: Annotated[str, typer.Argument(help="A name from `recipes`, or a recipe.json.")],
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; default runs/NAME-sSEED.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value or name.task=value; repeatable.")] = None,
    scale: Annotated[str, typer.Option(help="full, small (minilm, few rows) or demo (fewer).")] = "full",
    device: Device = None,
    checkpoint_seconds: Annotated[float, typer.Option(help="Work that may be lost.", min=0)] = CHECKPOINT_SECONDS,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
    compile_: Compile = None,
    graphs: Graphs = None,
):
    """Train a recipe. A run that was stopped goes on when the same command is given again."""
    wanted = named.scaled(named.recipe(recipe), scale).replace(**settings(set_ or []))
    progress = progress and sys.stderr.isatty()  # a file gets lines, not bars
    execution = chosen_execution(Execution.from_env(), compile_, graphs)
    run = train_recipe(wanted, out, data, device, progress, checkpoint_seconds, typer.echo, execution)
    if process_number():
        return
    typer.echo(f"best epoch {run.record['best_epoch']}: {_figures(run.scores)}")
    typer.echo(f"run: {paths.shown(run.folder)}")


@app.command("sweep")
def sweep(
    recipes: Annotated[str, typer.Argument(help="A report, recipes separated by commas, or a list file (.txt).")],
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    profile: Annotated[str, typer.Option(help="full, small or demo (the sample data): how much of each row.")] = "full",
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="Folder of all runs; default runs/sweep-RECIPES-PROFILE.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value for all of them; repeatable.")] = None,
    executor: Annotated[str, typer.Option(help="local, ray or slurm.")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(min=1, help="End after so many; unfinished runs go on later.")
    ] = None,
    compile_: Compile = None,
    graphs: Graphs = None,
    record_: Annotated[str | None, typer.Option("--record", help="Add them to data/results/NAME.csv.")] = None,
):
    """Recipes x seeds as papermill runs, one process each; finished ones are skipped, failures listed at the end."""
    folder = paths.SAMPLE if profile == "demo" and data is None else data_folder(data)
    is_list = recipes.endswith(".txt")
    title = Path(recipes).stem if is_list else recipes.replace("/", "-").replace(",", "+")
    out = out or paths.RUNS / f"sweep-{title}-{profile}"
    changes = settings(set_ or [])
    if is_list:
        todo = sweeping.jobs_from_file(Path(recipes), profile, out, folder, changes, workers)
    else:
        todo = sweeping.jobs(sweeping.expand_names(recipes), seeds, profile, out, folder, changes, workers)
    execution = chosen_execution(Execution.from_env(), compile_, graphs)
    todo = [replace(job, execution=execution) for job in todo]
    skipped = sum(job.finished for job in todo)
    typer.echo(f"data: {paths.shown(folder)}; {len(todo)} runs in {paths.shown(out)}, {skipped} of them finished")
    failures, left = [], 0
    try:
        with sweeping.ended_like_ctrl_c(), tqdm(total=len(todo), initial=skipped, desc="sweep", unit="run") as bar:
            for job, wrong in sweeping.sweep(todo, executor, workers, minutes):
                bar.update()
                if wrong == sweeping.TIME_LIMIT:
                    left += 1
                    continue
                said = f"failed: {wrong}" if wrong else _figures(open_run(job.folder).scores)
                bar.write(f"{job.name}: {said}", file=sys.stdout)
                failures += [f"{job.name}: {wrong} (see {paths.shown(job.beside('.log'))})"] if wrong else []
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped with {sum(job.finished for job in todo)} of {len(todo)} runs finished: "
            "the same command goes on from there"
        ) from None
    done = [job.folder for job in todo if job.finished]
    if done:
        typer.echo(sweeping.beside_printed(gather(done)).to_string(float_format="%.3f", na_rep=""))
        if profile == "demo":
            typer.echo("demo: two layers and a hundred rows of each set show that a row runs; its scores mean nothing")
    if done and record_:
        typer.echo(f"recorded in {paths.shown(record(done, record_))}")
    if left:
        typer.echo(f"{left} runs are left: {sweeping.LEFT}")
    for failure in failures:
        typer.echo(f"mtbert: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


@app.command("pack")
def pack(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to fill, or to look at.")],
    encoder: Annotated[list[str] | None, typer.Option(help="Encoders to pack; repeatable; default minilm.")] = None,
    data: Data = None,
    tasks: Annotated[str | None, typer.Option(help="Whose files; default all that the data folder has.")] = None,
    wheels: Annotated[str, typer.Option(help="Packages, separated by commas.")] = ",".join(packing.WHEELS),
    python: Annotated[str, typer.Option(help="The other machine's Python.")] = "3.12",
    installed: Annotated[Path | None, typer.Option(help="`pip list --format=freeze` of the other machine.")] = None,
    limit_mb: Annotated[float | None, typer.Option(min=1, help="Also an archive in pieces of so many MB.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only look: is everything there, undamaged?")] = False,
):
    """Encoders (as 16-bit floats), data and wheels in one folder, for a machine without network."""
    if check:
        wrong = packing.check(folder)
        for text in wrong:
            typer.echo(f"mtbert: {text}", err=True)
        if wrong:
            raise typer.Exit(1)
        typer.echo(f"{folder}: complete")
        return
    source = data_folder(data)
    typer.echo(f"data: {paths.shown(source)}")
    chosen = packing.packed_tasks(source) if tasks is None else [name.strip() for name in tasks.split(",")]
    packages = [name.strip() for name in wheels.split(",") if name.strip()]
    packing.pack(folder, encoder or ["minilm"], source, chosen, packages, python, installed, typer.echo)
    if limit_mb:
        for piece in packing.split(folder, limit_mb):
            typer.echo(f"{piece}: {piece.stat().st_size / 2**20:.1f} MB")
        typer.echo(f"on the other machine: cat {folder.name}.tar.gz.* | tar xz")


@app.command("evaluate")
def evaluate(run: Path, data: Data = None, device: Device = None):
    """A run's scores on the dev files of a data folder."""
    folder = data_folder(data)
    typer.echo(f"data: {paths.shown(folder)}")
    recipe = open_run(run).recipe
    model = load_model(run, get_device(device))
    sets = {task.name: read_split(folder, task, "dev") for task in recipe.task_list if "dev" in task.files}
    for rows in sets.values():
        for note in rows.notes():
            typer.echo(note)
    with autocast(model.device, recipe.precision):  # as its training scored them
        typer.echo(_figures(evaluate_model(model, sets)))


@app.command("predict")
def predict(
    run: Path,
    source: Annotated[Path, typer.Argument(metavar="IN.csv", help="The course's format; labels are not read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.csv", help="Written as id,prediction.")],
    task: Annotated[str, typer.Option(help="Which head: sst, cfimdb, quora, sts or yelp.")],
    force: Annotated[bool, typer.Option(help="Write over OUT.csv if it exists.")] = False,
    device: Device = None,
):
    """Predict the rows of a file."""
    if target.exists() and not target.is_file():
        raise UserError(f"{target} is no file that can be written over: give another name")
    if target.exists() and not force:
        raise UserError(f"{target} exists: give another name, or --force to write over it")
    of, recipe = get_task(task), open_run(run).recipe
    if task not in recipe.tasks:
        raise UserError(f"{run} has no head for {task!r}: it was trained on {', '.join(recipe.tasks)}")
    rows = read_rows(source, of, "predict", labels=False)
    model = load_model(run, get_device(device))
    with autocast(model.device, recipe.precision):
        write_predictions(target, rows, predict_logits(model, rows))
    typer.echo(f"{len(rows)} predictions in {target}")


@app.command("submit")
def submit(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, each task in one of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the files TASK-test-output.csv and TASK-dev-output.csv.")],
    data: Data = None,
    force: Annotated[bool, typer.Option(help="Write over such files if they exist.")] = False,
    device: Device = None,
):
    """Predict all test and dev rows of the runs' tasks: the course's submission files, and where they come from."""
    folder = data_folder(data)
    typer.echo(f"data: {paths.shown(folder)}")
    sheets = submission.sheets(runs, folder)
    submission.check_output_dir(sheets, out, force)
    for note in (note for sheet in sheets for note in sheet.rows.notes()):
        typer.echo(note)
    record = submission.submit(sheets, out, get_device(device), typer.echo)
    for name, of in itertools.chain.from_iterable(run["files"].items() for run in record["runs"]):
        scored = f"{of['metric']} {of['score']:.4f}, " if "score" in of else ""
        typer.echo(f"{name}: {of['rows']} rows, {scored}sha256 {of['sha256']}")
    typer.echo(f"dev: {_figures(record['dev'])}")
    typer.echo(f"{len(sheets)} files and {submission.RECORD} in {paths.shown(out)}")


@app.command("recipes")
def recipes(report: Annotated[str | None, typer.Argument(help="Only recipes of this report.")] = None):
    """Named recipes: what each is for, what it changes, and the figures its report prints."""
    for line in recipe_lines.lines(report):
        typer.echo(line)


@app.command("results")
def results(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    name: Annotated[str | None, typer.Option("--record", help="Also add them to data/results/NAME.csv.")] = None,
    to: Annotated[
        Path | None, typer.Option("--archive", help="Also put them, without weights, into a .tar.xz.")
    ] = None,
):
    """Runs as a table; with --record, kept in data/results."""
    columns = ["recipe", "seed", "encoder", "sst", "cfimdb", "quora", "sts", "plain", "normalised", "seconds"]
    typer.echo(gather(runs)[columns].dropna(axis=1, how="all").to_string(index=False, float_format="{:.4f}".format))
    if name:
        typer.echo(f"recorded in {paths.shown(record(runs, name))}")
    if to:
        typer.echo(f"{to}: {archive(runs, to) / 2**20:.1f} MB")


@app.command("costs")
def costs(recipes: Annotated[list[str] | None, typer.Argument(help="Only these; default all.")] = None):
    """Minutes and memory of the runs that data/results keeps, by recipe, encoder and machine."""
    typer.echo(costing.markdown(costing.costs(), recipes or ()))


@app.command("confusion")
def confusion(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the others are compared with the first.")],
    data: Data = None,
    name: Annotated[str | None, typer.Option("--record", help="Also keep the counts in data/results/NAME.csv.")] = None,
    calibration: Annotated[
        str | None, typer.Option(help="A task: run the models, and keep how often their claims are true.")
    ] = None,
):
    """Confusion matrices of the runs' dev predictions: rows are the truth, columns the prediction."""
    folder = data_folder(data)
    typer.echo(f"data: {paths.shown(folder)}")
    for run in runs:
        for task, (rows, values) in predictions(open_run(run), folder).items():
            matrix = matrix_of(classes_of(rows.task, rows.labels), classes_of(rows.task, values), rows.task.labels)
            typer.echo(f"{paths.shown(run)}, {task}, {len(rows)} rows: {_figures(averages(matrix))}")
            typer.echo(pd.DataFrame(matrix).join(class_scores(matrix).round(3).drop(columns="rows")).to_string())
    for path in record_confusion(runs, folder, name, typer.echo) if name else []:
        typer.echo(f"recorded in {paths.shown(path)}")
    for run in runs if calibration is not None else []:
        typer.echo(f"recorded in {paths.shown(record_calibration(run, folder, calibration))}")


@app.command("claims")
def claims(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of a report's rows.")],
    data: Data = None,
    record_: Annotated[bool, typer.Option("--record", help="Keep the figures in data/results/claims.csv.")] = False,
):
    """Rows that a report's claims compare, on the same dev rows: differences and 95 % intervals (paired bootstrap)."""
    folder = data_folder(data)
    typer.echo(f"data: {paths.shown(folder)}")
    compared = evidence.compare_runs(runs, folder)
    for line in compared.itertuples():
        low, high = evidence.EffectEstimate.over_rows(line.difference, line.error).interval()
        typer.echo(
            f"{line.row} s{line.row_seed} against {line.against} s{line.against_seed}, {line.metric}: "
            f"{line.difference:+.4f}, {low:+.4f} to {high:+.4f} ({line.rows} rows)"
        )
    if record_:
        typer.echo(f"recorded in {paths.shown(evidence.record(compared))}")


def _figures(scores) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def main() -> None:
    """Run the command line; a user's mistake becomes one line on stderr."""
    try:
        app()
    except Interrupted as stop:
        print(f"mtbert: {stop}", file=sys.stderr)
        sys.exit(stop.exit_code)
    except UserError as error:
        print(f"mtbert: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"mtbert: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
