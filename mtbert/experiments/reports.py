"""A report's printed figures beside our own: recorded runs of its rows, at one scale."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from mtbert.data.tasks import OVERALL_TASKS, TASKS
from mtbert.experiments.metrics import half_interval
from mtbert.experiments.recipes import RECIPES, Scale, planned_sampler, scale_of, scaled
from mtbert.experiments.report_tables import SCORES, overall_definition
from mtbert.experiments.results import read_table, recipe_of
from mtbert.training.recipe import Recipe
from mtbert.utils import paths
from mtbert.utils.errors import UserError

METRICS = (*SCORES, "overall")
NOT_MEASURED = "not measured"
_NUMBERS = [*SCORES, "plain", "normalised", "seconds", "tokens", "tokens_per_second"]
_COLUMNS = ["recipe", "seed", "scale", "encoder", "precision", *_NUMBERS, "device", "revision", "data_sha256"]


def load_runs(name: str, scale: Scale, encoder: str | None = None, precision: str | None = None) -> pd.DataFrame:
    """Load the finished runs of data/results/NAME.csv that are named recipes at a given scale (see ``scaled``).

    Args:
        encoder: only runs with this encoder, under the name that results give it.
        precision: only runs with this precision.

    Returns:
        One row per run, none if nothing is recorded, with the columns ``_COLUMNS`` of ``run_row``.

    Raises:
        UserError: the runs have several encoders, precisions, or versions of a data file.
    """
    path = paths.RESULTS / f"{name}.csv"
    runs = read_table(path) if path.exists() else pd.DataFrame(columns=["status", "fields", *_COLUMNS])
    recipes = [recipe_of(row) for row in runs.to_dict("records")]
    precisions = pd.Series([recipe.precision for recipe in recipes], runs.index, dtype=object)
    if "precision" in runs:  # what "auto" was; older rows do not say it
        precisions = runs.precision.fillna(precisions)
    runs = runs.assign(precision=precisions, scale=[scale_of(recipe) for recipe in recipes])
    selected = (runs.scale == scale) & (runs.status == "finished")
    for column, value in (("encoder", encoder), ("precision", precision)):
        if value is not None:
            selected &= runs[column] == value
    runs = runs[selected].reindex(columns=_COLUMNS).astype(dict.fromkeys(_NUMBERS, float))
    _check_comparable(runs, f"{paths.display_path(path)}, {scale} scale")
    return runs.reset_index(drop=True)


def _check_comparable(runs: pd.DataFrame, where: str) -> None:
    for column in ("encoder", "precision"):
        values = sorted(runs[column].unique())
        if len(values) > 1:
            raise UserError(f"{where}: runs with {column} {' and '.join(values)}: choose one of them")
    versions: dict[str, str] = {}
    for row in runs.to_dict("records"):
        for file, sha256 in json.loads(row["data_sha256"]).items():
            if versions.setdefault(file, sha256) != sha256:
                raise UserError(
                    f"{where}: {row['recipe']}, seed {row['seed']}, read another {file} than earlier runs: "
                    "record runs on the same data"
                )


def metrics_of(recipe: Recipe) -> list[str]:
    """The metrics of a recipe: its tasks' scores, and "overall" if it has the three tasks that it is made of."""
    names = {*recipe.tasks, "overall"} if set(recipe.tasks) >= set(OVERALL_TASKS) else recipe.tasks
    return [metric for metric in METRICS if metric in names]


def compare_to_report(report: str, runs: pd.DataFrame, rows: Sequence[str] | None = None) -> pd.DataFrame:
    """Set the dev scores that a report prints beside ours: the mean over seeds, ± half of its 95 % interval.

    Args:
        runs: see ``load_runs``.
        rows: recipes without the report's name; all of them by default.

    Returns:
        One line per row. Columns (printed, METRIC) and (measured, METRIC), as text, and (measured, seeds). The overall
        score is the one that the report uses. "not measured" if a recipe has no run; empty if nothing is printed or
        the recipe does not train that task.
    """
    names = [f"{report}/{row}" for row in rows] if rows else _rows_of(report)
    columns = {**{name: name for name in SCORES}, "overall": overall_definition(report)}
    metrics = [metric for metric in METRICS if any(metric in RECIPES[name].printed for name in names)]
    table = {}
    for name in names:
        printed, trained = RECIPES[name].printed, metrics_of(RECIPES[name].recipe)
        runs_of_row = runs[runs.recipe == name]
        line: dict[tuple[str, str], object] = {
            ("printed", metric): f"{printed[metric]:.3f}" if metric in printed else "" for metric in metrics
        }
        for metric in metrics:
            line["measured", metric] = format_mean_ci(runs_of_row[columns[metric]]) if metric in trained else ""
        table[name.removeprefix(f"{report}/")] = {**line, ("measured", "seeds"): len(runs_of_row)}
    return pd.DataFrame(table).T


def compare_to_printed(table: pd.DataFrame) -> pd.DataFrame:
    """Set the mean scores of runs (see ``gather``) beside the dev scores that the reports print for their recipes.

    Returns:
        One row per recipe: the number of seeds, the mean of each score, and the printed scores as "NAME, printed".
        "overall" is only printed: some reports mean the plain score by it, others the normalised one.
    """
    groups = table.groupby("recipe", sort=False)
    means = pd.DataFrame({"seeds": groups.size()})
    for name in (*TASKS, "plain", "normalised", "overall"):
        if name in table and table[name].notna().any():
            means[name] = groups[name].mean()
        printed = [RECIPES[recipe].printed.get(name) if recipe in RECIPES else None for recipe in means.index]
        if any(value is not None for value in printed):
            means[f"{name}, printed"] = pd.Series(printed, means.index, dtype=float)
    return means


def rows_read(recipe: Recipe) -> dict[str, int]:
    """How many rows of each train file a run of a recipe reads, those read again and augmented copies included."""
    sampler = planned_sampler(recipe)
    steps = recipe.steps_per_epoch or sampler.steps_per_epoch
    batches: Counter[str] = Counter()
    for epoch in range(recipe.epochs):
        batches.update(itertools.chain.from_iterable(itertools.islice(sampler.epoch(epoch), steps)))
    read = {}
    for task in recipe.tasks:
        passes, rest = divmod(batches[task], sampler.num_batches[task])
        read[task] = passes * sampler.num_rows[task] + rest * recipe.batch_size[task]
    return read


def scale_changes(name: str) -> pd.DataFrame:
    """What the small scale changes in a report's row: a line per field, with its value at small scale and in full."""
    full = RECIPES[name].recipe
    return pd.DataFrame(scaled(full, "small").differences(full), index=["small", "full"], dtype=object).T


def uneven_pairs(pairs: Iterable[tuple[str, str]], task: str, factor: float = 1.1) -> pd.DataFrame:
    """Find pairs of rows that the small scale does not shrink alike.

    Args:
        pairs: Row and baseline, by the full names of their recipes.
        task: The train file whose rows are counted.
        factor: How much the ratio of the rows that both read may change between the scales.

    Returns:
        One line per pair whose ratio changes by more than the factor: the rows read and their ratio, at both scales.
        Pairs of which a row does not train the task are left out.
    """
    scales: tuple[Scale, ...] = ("full", "small")
    lines = []
    for pair in dict.fromkeys(pairs):
        read = {
            scale: [rows_read(scaled(RECIPES[name].recipe, scale)).get(task, 0) for name in pair] for scale in scales
        }
        if not all(map(all, read.values())):
            continue
        ratio = {scale: row / baseline for scale, (row, baseline) in read.items()}
        if abs(math.log(ratio["small"] / ratio["full"])) > math.log(factor):
            rows = {f"{scale}: rows": "{:,} / {:,}".format(*read[scale]) for scale in scales}
            ratios = {f"{scale}: ratio": f"{ratio[scale]:.2f}" for scale in scales}
            lines.append({"row / baseline": f"{pair[0]} / {pair[1].split('/')[1]}", **rows, **ratios})
    return pd.DataFrame(lines)


def format_mean_ci(scores: pd.Series) -> str:
    """A mean as text, with half of its 95 % interval if there are several scores; "not measured" if there is none."""
    scores = scores.dropna()
    if not len(scores):
        return NOT_MEASURED
    half = half_interval(scores)
    return f"{scores.mean():.3f}" + ("" if math.isnan(half) else f" ± {half:.3f}")


def _rows_of(report: str) -> list[str]:
    return [name for name in RECIPES if name.startswith(f"{report}/")]
