"""``mtbert train`` and ``mtbert sweep``: one run, or many."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mtbert.cli.options import Compile, CudaGraphs, Data, Device, Set, format_scores, override_execution, resolve_data
from mtbert.utils.logging import logger

app = typer.Typer()


@app.command("train", epilog="Example: mtbert train demo --set lr=2e-5 --out runs/demo")
def train(
    recipe: Annotated[str, typer.Argument(help="A name from `mtbert recipes`, or a recipe.json.")],
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder. Default: runs/NAME-sSEED.")] = None,
    set_: Set = None,
    scale: Annotated[str, typer.Option(help="full, small (minilm, few rows) or demo (fewer still).")] = "full",
    device: Device = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints: the most work that an interruption can lose.")
    ] = 120.0,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
    compile_: Compile = None,
    cuda_graphs: CudaGraphs = None,
):
    """Train a recipe. To resume a run that was stopped, give the same command again."""
    from mtbert.experiments import recipes
    from mtbert.training import trainer
    from mtbert.training.cuda_graphs import Execution
    from mtbert.training.distributed import process_rank
    from mtbert.training.recipe import settings
    from mtbert.utils import paths

    scaled_recipe = recipes.scaled(recipes.recipe(recipe), scale).replace(**settings(set_ or []))
    run = trainer.train(
        scaled_recipe,
        out,
        data,
        device,
        progress and sys.stderr.isatty(),  # a log file gets lines, not bars
        checkpoint_seconds,
        override_execution(Execution.from_env(), compile_, cuda_graphs),
    )
    if process_rank():
        return
    typer.echo(f"best epoch {run.record['best_epoch']}: {format_scores(run.scores)}")
    typer.echo(f"run: {paths.display_path(run.folder)}")


@app.command("sweep", epilog="Example: mtbert sweep yin --profile small --seeds 3 --record yin-small")
def sweep(
    recipes: Annotated[str, typer.Argument(help="A report, recipes separated by commas, or a list file (.txt).")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per recipe.")] = 3,
    profile: Annotated[str, typer.Option(help="How much of each recipe: full, small or demo (sample data).")] = "full",
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="Folder of all runs. Default: runs/sweep-RECIPES-PROFILE.")] = None,
    set_: Set = None,
    executor: Annotated[str, typer.Option(help="local, ray or slurm.")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(min=1, help="Stop after so many minutes; unfinished runs resume next time.")
    ] = None,
    compile_: Compile = None,
    cuda_graphs: CudaGraphs = None,
    record: Annotated[str | None, typer.Option(help="Add the runs to data/results/NAME.csv.")] = None,
):
    """Run recipes x seeds with papermill. Each run is a process; finished ones are skipped, failures listed."""
    from tqdm.auto import tqdm

    from mtbert.experiments import reports, results
    from mtbert.experiments import sweep as sweeping
    from mtbert.training.cuda_graphs import Execution
    from mtbert.training.interrupt import Interrupted
    from mtbert.training.recipe import settings
    from mtbert.training.run import open_run
    from mtbert.utils import paths

    folder = resolve_data(paths.SAMPLE if profile == "demo" and data is None else data)
    is_list = recipes.endswith(".txt")
    title = Path(recipes).stem if is_list else recipes.replace("/", "-").replace(",", "+")
    out = out or paths.RUNS / f"sweep-{title}-{profile}"
    changes = settings(set_ or [])
    if is_list:
        jobs = sweeping.jobs_from_file(Path(recipes), profile, out, folder, changes, workers)
    else:
        jobs = sweeping.jobs(sweeping.expand_names(recipes), seeds, profile, out, folder, changes, workers)
    if record is not None:
        results.table_path(record)
    execution = override_execution(Execution.from_env(), compile_, cuda_graphs)
    jobs = [replace(job, execution=execution) for job in jobs]
    finished = sum(job.finished for job in jobs)
    logger.info(f"{len(jobs)} runs in {paths.display_path(out)}, {finished} of them finished")
    outcomes = sweeping.sweep(jobs, executor, workers, minutes)
    failures, unfinished = [], 0
    try:
        with sweeping.signals_as_ctrl_c(), tqdm(total=len(jobs), initial=finished, desc="sweep", unit="run") as bar:
            for job, error in outcomes:
                bar.update()
                if error == sweeping.TIME_LIMIT:
                    unfinished += 1
                    continue
                if error:
                    failures.append(f"{job.name}: {error} (see {paths.display_path(job.sibling('.log'))})")
                outcome = f"failed: {error}" if error else format_scores(open_run(job.folder).scores)
                bar.write(f"{job.name}: {outcome}", file=sys.stdout)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped with {sum(job.finished for job in jobs)} of {len(jobs)} runs finished: "
            "give the same command again to go on"
        ) from None
    done = [job.folder for job in jobs if job.finished]
    if done:
        typer.echo(reports.compare_to_printed(results.gather(done)).to_string(float_format="%.3f", na_rep=""))
        if profile == "demo":
            typer.echo("demo: these runs only show that a recipe works; their scores mean nothing")
    if done and record is not None:
        typer.echo(f"recorded in {paths.display_path(results.record(done, record))}")
    if unfinished:
        typer.echo(f"{unfinished} runs are unfinished: {sweeping.TIME_LIMIT}")
    for failure in failures:
        typer.echo(f"mtbert: {failure}", err=True)
    if failures:
        raise typer.Exit(1)
