"""A report's tables beside what was measured here: recorded runs of its rows, at one scale."""

import json
import math
from collections.abc import Sequence

import pandas as pd

from mtbert.experiments.recipes import RECIPES, Scale, scale_of
from mtbert.experiments.reports import SCORES, definition_used
from mtbert.experiments.results import half_interval, recipe_of
from mtbert.training.recipe import Recipe
from mtbert.utils import paths
from mtbert.utils.errors import UserError

METRICS = (*SCORES, "overall")
_THREE = {"sst", "quora", "sts"}
_NUMBERS = [*SCORES, "plain", "normalised", "seconds", "tokens", "tokens_per_second"]
_COLUMNS = ["recipe", "seed", "scale", "encoder", "precision", *_NUMBERS, "device", "revision", "data_sha256"]


def load_runs(name: str, scale: Scale, encoder: str | None = None, precision: str | None = None) -> pd.DataFrame:
    """Finished runs of data/results/NAME.csv that are named recipes at that scale; no rows where there are none.

    Columns: recipe, seed, scale, encoder (as results call it), precision, the scores, plain, normalised, seconds (of
    the whole run), tokens (of training), tokens_per_second, device, revision, data_sha256. encoder, precision: only
    runs with these. All runs returned are comparable: raises UserError if they have several encoders, precisions, or
    versions of a data file.
    """
    path = paths.RESULTS / f"{name}.csv"
    runs = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["status", "fields", *_COLUMNS])
    recipes = [recipe_of(row) for row in runs.to_dict("records")]
    runs = runs.assign(precision=[of.precision for of in recipes], scale=[scale_of(of) for of in recipes])
    wanted = (runs.scale == scale) & (runs.status == "finished")
    for column, value in (("encoder", encoder), ("precision", precision)):
        if value is not None:
            wanted &= runs[column] == value
    runs = runs[wanted].reindex(columns=_COLUMNS).astype(dict.fromkeys(_NUMBERS, float))
    _check_comparable(runs, f"{paths.shown(path)}, {scale} scale")
    return runs.reset_index(drop=True)


def _check_comparable(runs: pd.DataFrame, where: str) -> None:
    for column in ("encoder", "precision"):
        found = sorted(runs[column].unique())
        if len(found) > 1:
            raise UserError(f"{where}: runs with {column} {' and '.join(found)}: give the one that is wanted")
    versions: dict[str, str] = {}
    for row in runs.to_dict("records"):
        for file, sha256 in json.loads(row["data_sha256"]).items():
            if versions.setdefault(file, sha256) != sha256:
                raise UserError(
                    f"{where}: {row['recipe']}, seed {row['seed']}, has another {file} than runs before "
                    "it: record runs on the same data"
                )


def metrics_of(recipe: Recipe) -> list[str]:
    """The metrics that a recipe has: scores of its tasks, and "overall" if it has the three that it is made of."""
    return [name for name in METRICS if name in recipe.tasks or (name == "overall" and set(recipe.tasks) >= _THREE)]


def compare_to_report(report: str, runs: pd.DataFrame, rows: Sequence[str] | None = None) -> pd.DataFrame:
    """A report's rows: dev figures as printed, and mean ± half of the 95 % interval over the seeds of ``runs``.

    runs: see ``load_runs``. rows: names without the report's; default all of its recipes. One line per row; columns
    (printed, METRIC) and (measured, METRIC) as text, and (measured, seeds). The overall score is the one that the
    report uses. "not measured" where a recipe has no run; empty where nothing is printed, or there is nothing to
    measure.
    """
    names = [f"{report}/{row}" for row in rows] if rows else [name for name in RECIPES if name.startswith(f"{report}/")]
    columns = {**{name: name for name in SCORES}, "overall": definition_used(report)}
    shown_ones = [metric for metric in METRICS if any(metric in RECIPES[name].printed for name in names)]
    table = {}
    for name in names:
        of, has, printed = runs[runs.recipe == name], metrics_of(RECIPES[name].recipe), RECIPES[name].printed
        line = {("printed", metric): f"{printed[metric]:.3f}" if metric in printed else "" for metric in shown_ones}
        for metric in shown_ones:
            line["measured", metric] = shown(of[columns[metric]]) if metric in has else ""
        table[name.removeprefix(f"{report}/")] = {**line, ("measured", "seeds"): len(of)}
    return pd.DataFrame(table).T


def costs(report: str, runs: pd.DataFrame) -> pd.DataFrame:
    """What each row of a report took, as means over its runs: seconds of the whole run (with loading and scoring),
    thousands of tokens that training read, and tokens a second of training alone. "not measured" without a run.

    runs: see ``load_runs``.
    """
    columns = {
        "seconds": runs.seconds,
        "thousand tokens": runs.tokens / 1000,
        "tokens a second": runs.tokens_per_second,
    }
    names = [name for name in RECIPES if name.startswith(f"{report}/")]
    means = pd.DataFrame(columns).groupby(runs.recipe).mean().reindex(names).rename(lambda name: name.split("/")[1])
    return means.map(lambda mean: "not measured" if math.isnan(mean) else f"{mean:,.0f}")


def shown(scores: pd.Series) -> str:
    """A mean, with half of its 95 % interval if there are several scores; "not measured" if there is none."""
    scores = scores.dropna()
    if not len(scores):
        return "not measured"
    half = half_interval(scores)
    return f"{scores.mean():.3f}" + ("" if math.isnan(half) else f" ± {half:.3f}")
