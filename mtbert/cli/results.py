"""Commands about recipes and finished runs: recipes, results, costs, confusion and claims."""

from pathlib import Path
from typing import Annotated

import typer

from mtbert.cli.options import Data, Force, check_target, format_scores, resolve_data
from mtbert.utils.errors import UserError, did_you_mean, shorten

app = typer.Typer()

Runs = Annotated[list[Path], typer.Argument(help="Run folders.")]
RecordName = Annotated[str | None, typer.Option("--record", help="Also add them to data/results/NAME.csv.")]


@app.command("recipes", epilog="Example: mtbert recipes li-tang")
def recipes(report: Annotated[str | None, typer.Argument(help="Only the recipes of this report.")] = None):
    """List the named recipes. For each: its purpose, the fields it changes, and the figures its report prints."""
    from mtbert.cli import recipe_lines

    for line in recipe_lines.lines(report):
        typer.echo(line)


@app.command("results", epilog="Example: mtbert results runs/demo-s? --record demo")
def results(
    runs: Runs,
    name: RecordName = None,
    archive: Annotated[
        Path | None, typer.Option(help="Also pack them, without their weights, into this .tar.xz.")
    ] = None,
    force: Force = False,
):
    """Show runs as a table. Files and folders that hold no run are left out."""
    from mtbert.experiments import results
    from mtbert.utils import paths

    if archive is not None:
        results.check_archive_name(archive)
        check_target(archive, force)
    if name is not None:
        results.table_path(name)
    readable, problems = results.readable_runs(runs)
    for problem in problems:
        typer.echo(f"mtbert: {problem}", err=True)
    if readable:
        columns = ["recipe", "seed", "encoder", "sst", "cfimdb", "quora", "sts", "plain", "normalised", "seconds"]
        table = results.gather(readable)[columns].dropna(axis=1, how="all")
        typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
        if name is not None:
            typer.echo(f"recorded in {paths.display_path(results.record(readable, name))}")
        if archive:
            typer.echo(f"{archive}: {results.archive(readable, archive) / 2**20:.1f} MB")
    if problems:
        raise typer.Exit(1)


@app.command("costs", epilog="Example: mtbert costs mixed best")
def costs(recipes: Annotated[list[str] | None, typer.Argument(help="Only these recipes. Default: all.")] = None):
    """Show what recorded runs took. Minutes and memory, by recipe, encoder and machine."""
    from mtbert.experiments import results
    from mtbert.experiments.recipes import RECIPES

    table = results.run_costs()
    known = [*RECIPES, *table.recipe]
    for name in recipes or ():
        if name not in known:
            hint = did_you_mean(name, known, "`mtbert recipes` lists them all")
            raise UserError(f"unknown recipe {shorten(name)}: {hint}")
    typer.echo(results.format_costs(table, recipes or ()))


@app.command("confusion", epilog="Example: mtbert confusion runs/demo-s0 runs/mixed-s0")
def confusion(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; with --record, each is compared with the first.")],
    data: Data = None,
    name: Annotated[str | None, typer.Option("--record", help="Also keep the counts in data/results/NAME.csv.")] = None,
    calibration: Annotated[
        str | None, typer.Option(help="Also run the models on this task and keep how well calibrated they are.")
    ] = None,
):
    """Show confusion matrices of dev predictions. Rows are labels, columns predictions."""
    import pandas as pd

    from mtbert.experiments import metrics
    from mtbert.experiments import predictions as predicting
    from mtbert.experiments.results import table_path
    from mtbert.training.run import open_run
    from mtbert.utils import paths

    folder = resolve_data(data)
    if name is not None:
        table_path(name)
    if calibration is not None:
        predicting.check_calibrated(calibration)
    for run in runs:
        if not open_run(run).epochs:
            raise UserError(f"{run} has finished no epoch: give it the same train command again")
        for task, (rows, values) in predicting.load_predictions(open_run(run), folder).items():
            labels, predicted = (metrics.classes_of(rows.task, scores) for scores in (rows.labels, values))
            matrix = metrics.confusion_matrix(labels, predicted, rows.task.labels)
            averages = format_scores(metrics.averages(matrix))
            typer.echo(f"{paths.display_path(run)}, {task}, {len(rows)} rows: {averages}")
            scores = metrics.class_scores(matrix).round(3).drop(columns="rows")
            typer.echo(pd.DataFrame(matrix).join(scores).to_string())
    if name is not None:
        for path in predicting.record_confusion(runs, folder, name):
            typer.echo(f"recorded in {paths.display_path(path)}")
    if calibration is not None:
        for run in runs:
            typer.echo(f"recorded in {paths.display_path(predicting.record_calibration(run, folder, calibration))}")


@app.command("claims", epilog="Example: mtbert claims runs/sweep-yin-small/*-s?")
def claims(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders of a report's rows.")],
    predictions: Annotated[
        bool,
        typer.Option(
            "--predictions", help="Compare folders of prediction files, from any program, each with the first."
        ),
    ] = False,
    data: Data = None,
    record: Annotated[bool, typer.Option("--record", help="Keep the figures in data/results/claims.csv.")] = False,
):
    """Test a report's claims on the same dev rows. Differences come with 95 % intervals (paired bootstrap)."""
    from mtbert.experiments import comparisons
    from mtbert.experiments.statistics import EffectEstimate
    from mtbert.utils import paths

    if predictions and record:
        raise typer.BadParameter("only runs can be recorded: leave out --record or --predictions")
    compare = comparisons.compare_files if predictions else comparisons.compare_runs
    compared = compare(folders, resolve_data(data))
    for line in compared.itertuples():
        row, baseline = line.row, line.baseline
        if not predictions:
            row, baseline = f"{row} s{line.row_seed}", f"{baseline} s{line.baseline_seed}"
        low, high = EffectEstimate.from_bootstrap(line.difference, line.error).interval()
        typer.echo(
            f"{row} against {baseline}, {line.metric}: {line.difference:+.4f}, {low:+.4f} to {high:+.4f} "
            f"({line.rows} rows)"
        )
    if record:
        typer.echo(f"recorded in {paths.display_path(comparisons.record_comparisons(compared))}")
