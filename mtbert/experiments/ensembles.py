"""Ensembles: several runs of one task answer together, by the mean of their probabilities or scores."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from tqdm.auto import tqdm

from mtbert.data.read import Rows
from mtbert.data.tasks import OVERALL_TASKS, TASKS, Task, overall
from mtbert.experiments.results import run_origin, table_path
from mtbert.nn.model import labels_from
from mtbert.training.evaluation import predict_logits, score
from mtbert.training.run import Run, load_model, open_run
from mtbert.utils import paths
from mtbert.utils.device import autocast, environment_info
from mtbert.utils.errors import UserError
from mtbert.utils.tables import upsert_csv


def open_members(folders: Sequence[str | Path]) -> list[Run]:
    """The runs in some folders. Raises UserError if one is no run, or is given twice."""
    runs: dict[Path, Run] = {}
    for run in map(open_run, folders):
        if runs.setdefault(run.folder.resolve(), run) is not run:
            raise UserError(f"{run.folder} is given twice: give each run once")
    return list(runs.values())


def runs_by_task(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs that were trained on each task; several are its ensemble."""
    tasks = dict.fromkeys(name for run in runs for name in run.recipe.tasks)
    return {name: [run for run in runs if name in run.recipe.tasks] for name in tasks}


def average(task: Task, logits: Sequence[Tensor]) -> Tensor:
    """The logits of an ensemble, whose probabilities are the means of its members' probabilities.

    Of a regression task, the members' mean score.

    Args:
        task: the task.
        logits: (rows, outputs) of each member.

    Returns:
        (rows, outputs): of a single member its own logits, otherwise float64.

    Raises:
        UserError: the members have different numbers of rows or outputs.
    """
    shapes = {tuple(of_member.shape) for of_member in logits}
    if len(shapes) > 1:
        raise UserError(f"{task.name}: logits of shapes {sorted(shapes)} have no average: give models of the same task")
    if len(logits) == 1:
        return logits[0]
    members = torch.stack(list(logits)).double()  # (members, rows, outputs)
    if task.kind == "regression":
        return members.mean(dim=0)
    if task.kind == "multiclass":
        return members.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(logits))
    return logsigmoid(members).logsumexp(dim=0) - logsigmoid(-members).logsumexp(dim=0)  # log odds of the mean


@dataclass(frozen=True, eq=False)
class EnsemblePredictions:
    """What some runs, or one, predict for the rows of a file: (rows, outputs) logits of each."""

    rows: Rows
    by_run: Mapping[Run, Tensor]
    parameters: Mapping[Run, int]  # of each member's whole model
    both_orders: bool = False  # whether each pair was read in both orders

    @cached_property
    def logits(self) -> Tensor:
        """Those of the ensemble, (rows, outputs)."""
        return average(self.rows.task, list(self.by_run.values()))

    @property
    def values(self) -> list[int] | list[float]:
        """The predicted labels or scores, (rows,)."""
        return labels_from(self.rows.task, self.logits)

    @property
    def score(self) -> float:
        """The ensemble's score on rows with labels."""
        return score(self.rows.task, self.logits, self.rows.labels)

    @property
    def member_scores(self) -> dict[Run, float]:
        """The score of each member alone."""
        return {run: score(self.rows.task, logits, self.rows.labels) for run, logits in self.by_run.items()}

    def gain(self) -> str:
        """One line: each member's score, the ensemble's, and how much it is above the best of theirs."""
        scores = self.member_scores
        alone = ", ".join(f"{paths.display_path(run.folder)} {value:.4f}" for run, value in scores.items())
        gained = self.score - max(scores.values())
        return f"{self.rows.task.name}: {alone}; together {self.score:.4f} ({gained:+.4f} over the best)"


def predict(
    sets: Sequence[tuple[Rows, Sequence[Run]]],
    device: torch.device | str = "cpu",
    progress: bool = False,
    both_orders: bool = False,
) -> list[EnsemblePredictions]:
    """Predict rows with the runs that are given with them.

    Args:
        sets: rows, and the members of the ensemble that predicts them.
        device: where the models run.
        progress: whether to show a progress bar.
        both_orders: whether to read each pair a second time with its texts swapped, and average. Paraphrase and
            similarity are symmetric; a model that reads a pair as one sequence is not.

    Raises:
        UserError: a model cannot be loaded.
    """
    logits: list[dict[Run, Tensor]] = [{} for _ in sets]
    parameters: dict[Run, int] = {}
    runs = dict.fromkeys(run for _, members in sets for run in members)
    loaded: Run | None = None
    for run in runs:  # only one is kept in memory; that a model cannot be loaded is known before any row is predicted
        loaded, model = run, load_model(run.folder, device)
    readings = [[rows, rows.swapped()] if both_orders and rows.task.is_pair else [rows] for rows, _ in sets]
    total = sum(len(rows) * len(members) * len(read) for (rows, members), read in zip(sets, readings, strict=True))
    options = {} if progress else {"disable": True}  # without the option, TQDM_DISABLE decides
    with tqdm(total=total, desc="predict", unit="row", leave=False, **options) as bar:
        for run in reversed(runs):
            if run is not loaded:
                model = load_model(run.folder, device)
            parameters[run] = sum(parameter.numel() for parameter in model.parameters())
            with autocast(model.device, run.recipe.precision):  # as dev rows were scored in training
                for (rows, members), read, of_set in zip(sets, readings, logits, strict=True):
                    if run in members:
                        of_set[run] = average(rows.task, [predict_logits(model, each, bar.update) for each in read])
    # members in the order given, whichever task's model was loaded first
    return [
        EnsemblePredictions(
            rows, {run: of_set[run] for run in members}, {run: parameters[run] for run in members}, both_orders
        )
        for (rows, members), of_set in zip(sets, logits, strict=True)
    ]


def with_overall(scores: Mapping[str, float]) -> dict[str, float]:
    """Dev scores by task, and both overall scores: of the course's three tasks if all are there, else of all."""
    counted = OVERALL_TASKS if scores.keys() >= set(OVERALL_TASKS) else scores
    return {**scores, **overall({task: scores[task] for task in counted})}


def record(predicted: Sequence[EnsemblePredictions], device: torch.device, name: str = "ensembles") -> Path:
    """Add what ``predict`` found for dev rows, of one run or several, to data/results/NAME.csv.

    The same members on the same data, read in the same orders, replace their older row.

    Args:
        predicted: the predictions of each task, of rows with labels.
        device: where they were made.
        name: the table's name.

    Returns:
        The table's file.

    Raises:
        UserError: ``name`` is not the name of a file, or the table holds something else.
    """
    about = environment_info(device)
    parameters = {run: count for of_task in predicted for run, count in of_task.parameters.items()}
    alone: dict[Run, dict[str, float]] = {run: {} for run in parameters}
    for of_task in predicted:
        for run, value in of_task.member_scores.items():
            alone[run][of_task.rows.task.name] = value
    scores = with_overall({of_task.rows.task.name: of_task.score for of_task in predicted})
    row = {
        "members": json.dumps(
            [run_origin(run) | {"weights_sha256": run.record["weights_sha256"]} for run in parameters]
        ),
        "parameters": sum(parameters.values()),
        **{name: scores.get(name) for name in (*TASKS, "plain", "normalised")},
        "alone": json.dumps([with_overall(of_member) for of_member in alone.values()]),
        "both_orders": any(of_task.both_orders for of_task in predicted),
        "device": about["device"],
        "torch": about["versions"]["torch"],
        "revision": about["revision"],
        "data_sha256": json.dumps({of_task.rows.path.name: of_task.rows.sha256 for of_task in predicted}),
    }
    return upsert_csv(table_path(name), [row], ["members", "data_sha256", "both_orders"])
