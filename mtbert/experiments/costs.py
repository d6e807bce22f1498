"""What recorded runs cost: minutes and memory by recipe, encoder and machine, as data/results keeps them."""

from collections.abc import Sequence

import pandas as pd

from mtbert.utils import paths
from mtbert.utils.errors import UserError

README = ("mixed", "mixed-pcgrad", "sst", "sst-last-layer", "cfimdb", "sts-cosine", "sts-cross")  # those it shows
_BY = ["recipe", "encoder", "steps", "device", "world_size"]


def costs() -> pd.DataFrame:
    """A row for each recipe, encoder, number of steps and machine of which data/results has finished runs.

    Columns: recipe, encoder, steps, device, world_size (processes), runs, minutes (mean, all that a run took) and
    memory_gb (the largest peak). Raises UserError if no run is recorded there.
    """
    tables = [pd.read_csv(path) for path in sorted(paths.RESULTS.glob("*.csv"))]
    tables = [table for table in tables if {"seconds", "peak_memory_mb", "fields"} <= set(table.columns)]
    if not tables:
        raise UserError(f"{paths.shown(paths.RESULTS)} holds no run: record some with `mtbert results --record NAME`")
    runs = pd.concat(tables)
    runs = runs[runs.status == "finished"].reindex(columns=[*_BY, "seconds", "peak_memory_mb"])
    runs["world_size"] = runs.world_size.fillna(1).astype(int)
    groups = runs.groupby(_BY, sort=False)
    found = groups.agg(runs=("seconds", "size"), minutes=("seconds", "mean"), memory_gb=("peak_memory_mb", "max"))
    found["minutes"] /= 60
    found["memory_gb"] /= 1024
    return found.reset_index()


def markdown(table: pd.DataFrame, recipes: Sequence[str] = ()) -> str:
    """Rows of ``costs`` as a table for a README, of some recipes or all; a last row says so if no GPU was measured."""
    chosen = [row for row in table.itertuples() if not recipes or row.recipe in recipes]
    if recipes:
        chosen.sort(key=lambda row: list(recipes).index(row.recipe))
    lines = [
        "| recipe | encoder | steps | machine | runs | minutes | peak memory |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in chosen:
        machine = f"{row.world_size} x {row.device}" if row.world_size > 1 else row.device
        lines.append(
            f"| `{row.recipe}` | {row.encoder.split('/')[-1]} | {row.steps:,} | {machine} | {row.runs} "
            f"| {row.minutes:.1f} | {row.memory_gb:.1f} GB |"
        )
    if not any(row.device.startswith("cuda") for row in chosen):
        lines.append("| any | any | | a GPU | | not measured | not measured |")
    return "\n".join(lines)
