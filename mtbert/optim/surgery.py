"""Gradient surgery: one gradient per task, side by side, weighed by their inner products, and handed on as one.

The tasks' gradients are the rows of J, (T, P); a weighting (see ``mtbert.optim.weightings``) maps J J^T to weights w,
and the step follows w J. The rows fill in one backward of the summed losses (see ``mtbert.optim.per_task``), or in one
for each task. No gradient is copied, projected or flattened: besides J only T x T numbers are kept.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.optim.flat import FlatParameters, GradientVector, ParameterShard
from mtbert.optim.per_task import PerTaskGradients, PerTaskGradMode
from mtbert.optim.weightings import Weighting, cosines, relative_change

GRANULARITIES = ("model", "layer", "matrix")
_PIECE = 1 << 14  # numbers of each gradient whose products are summed at a time; the pieces' sums are added in float64
_CHUNK = 1 << 18  # numbers of each gradient that are combined at a time: they stay in the processor's cache


@dataclass(frozen=True)
class AggregationInfo:
    """How the gradients of a step's tasks met. taking_part: the tasks. groups: names of the groups of parameters.
    gramians (groups, T, T) and weights (groups, T) stay on the device; None if fewer than two tasks shared anything."""

    taking_part: list[str]
    groups: list[str]
    gramians: Tensor | None = None
    weights: Tensor | None = None


class Surgery:
    """Tasks' gradients side by side, weighed, and handed to the optimiser as one.

    Between ``start`` and ``finish`` come the losses, of each task as often as one likes: ``backward`` takes those
    of one forward over a batch of several tasks, run within ``apart``, in a single backward; ``add`` takes the loss of
    one task, from a graph of its own. Segments that every task of the step reached take part; a segment that only some
    reached (a head, a task's adapter) gets the plain sum of theirs.

    weighting: from a Gramian per group, (groups, T, T), to weights, (groups, T). granularity: the groups: the whole
    "model", each "layer", or each "matrix". last: the ``AggregationInfo`` of the last step, whose fields can be asked for here.
    """

    def __init__(self, flat: FlatParameters, tasks: list[str], weighting: Weighting, granularity: str = "model"):
        if granularity not in GRANULARITIES:
            raise ValueError(f"granularity is {granularity!r}: choose from {', '.join(GRANULARITIES)}")
        self.flat, self.weighting, self.granularity = flat, weighting, granularity
        self.jacobian = torch.zeros(len(tasks), len(flat), dtype=flat.theta.dtype, device=flat.theta.device)
        self.rows = {task: GradientVector(row) for task, row in zip(tasks, self.jacobian, strict=True)}
        self.last = AggregationInfo([], [])

    @property
    def taking_part(self) -> list[str]:
        return self.last.taking_part

    @property
    def groups(self) -> list[str]:
        return self.last.groups

    @property
    def gramians(self) -> Tensor | None:
        return self.last.gramians

    @property
    def weights(self) -> Tensor | None:
        return self.last.weights

    def start(self) -> None:
        for row in self.rows.values():
            row.start()

    def add(self, task: str, loss: Tensor) -> None:
        """Add the gradient of a task's loss to its row."""
        self.flat.add(loss, self.rows[task])

    def per_task_gradients(self, batch: PackedBatch) -> PerTaskGradMode:
        """A context for a forward over a batch of several tasks, whose losses go to ``backward``."""
        return PerTaskGradMode(self.flat, batch)

    def backward(self, losses: Mapping[str, Tensor]) -> None:
        """Add the gradients of several tasks' losses, of one forward, each to its own row; one backward for all.

        What a task owns must be named so by the owner that ``flat`` was given. Raises RuntimeError for shared weights
        that the forward used in a way in which tasks cannot be told apart (see ``PerTaskGradMode``).
        """
        learning = {task: loss for task, loss in losses.items() if loss.requires_grad}
        if learning:
            destination = PerTaskGradients(self.flat, {task: self.rows[task] for task in learning})
            self.flat.add(torch.stack(list(learning.values())).sum(), destination)

    def finish(self) -> list[nn.Parameter]:
        """Leave the combined gradient in the flat parameters; returns the segments that were reached.

        Raises FloatingPointError naming a task whose gradient is not finite (on a GPU, where looking would stop the
        queue, the caller has to look at ``gramians`` later).
        """
        taking_part = {task: row for task, row in self.rows.items() if row.has_grad}
        has_grad = {task: {part.where.start for part in self.flat.has_grad(row)} for task, row in taking_part.items()}
        shared = set.intersection(*has_grad.values()) if len(taking_part) > 1 else set()
        self.last = AggregationInfo(list(taking_part), [])

        destination = self.flat.vector
        destination.start()
        for shard in self.flat.shards:
            if shard.where.start not in shared:
                for task, row in taking_part.items():
                    if shard.where.start in has_grad[task]:
                        _add_segment(self.flat, shard, row, destination)
        if shared:
            self._combine([part for part in self.flat.shards if part.where.start in shared], taking_part, destination)
        return self.flat.assign_grads()

    def _combine(
        self, shards: list[ParameterShard], rows: dict[str, GradientVector], destination: GradientVector
    ) -> None:
        chosen = [number for number, task in enumerate(self.rows) if task in rows]
        whole = len(chosen) == len(self.rows)
        jacobian = self.jacobian if whole else torch.stack([self.jacobian[number] for number in chosen])
        stretches = self._stretches(shards, rows)
        groups = list(dict.fromkeys(group for group, _, _ in stretches))
        index = {group: number for number, group in enumerate(groups)}
        tasks = len(rows)
        gramians = torch.zeros(len(groups), tasks, tasks, dtype=torch.float64, device=jacobian.device)
        for group, where, touched in stretches:
            gramians[index[group]] += _gramian(jacobian, where, touched)
        if not gramians.is_cuda and not gramians.isfinite().all():
            bad = ~gramians.diagonal(dim1=-2, dim2=-1).sum(0).isfinite()
            raise FloatingPointError(f"the gradient of {list(rows)[int(bad.int().argmax())]} is not finite")
        weights = self.weighting(gramians)
        self.last = AggregationInfo(list(rows), groups, gramians, weights)
        for group, where, touched in stretches:
            _weighted_sum(jacobian, weights[index[group]], where, touched, destination.values)
        for shard in shards:
            destination.has_grad.update(shard.names)

    def _stretches(self, shards: list[ParameterShard], rows: dict[str, GradientVector]):
        """(group, where, touched) for all shared parameters, in as few stretches as possible.

        touched: for a parameter whose gradient came as rows, the numbers of those that any task touched and its width;
        None for stretches that are dense.
        """
        found: list[tuple[str, slice, tuple[Tensor, int] | None]] = []
        for shard in shards:
            for name in shard.names:
                where, group = self.flat.slices[name], group_of(name, self.granularity)
                sparse = [row.rows[name] for row in rows.values() if name in row.rows]
                if sparse:
                    found.append((group, where, self._touched(name, where, sparse)))
                elif found and found[-1][0] == group and found[-1][2] is None and found[-1][1].stop == where.start:
                    found[-1] = (group, slice(found[-1][1].start, where.stop), None)
                else:
                    found.append((group, where, None))
        return found

    def _touched(self, name: str, where: slice, sparse: list[Tensor]) -> tuple[Tensor, int]:
        touched = torch.cat(sparse).unique()
        vector, width = self.flat.vector, self.flat.shapes[name][-1]
        if name in vector.rows:  # what the last step left elsewhere
            vector.values[where].view(-1, width)[vector.rows[name]] = 0
        vector.rows[name] = touched
        return touched, width


def group_of(name: str, granularity: str) -> str:
    """The group of a parameter: "model", its layer (such as "layers.3" or "embeddings"), or its own name."""
    if granularity == "model":
        return "model"
    if granularity == "matrix":
        return name
    layer = re.search(r"layers\.\d+", name)
    return layer[0] if layer else name.split(".")[min(1, name.count("."))]


def _gramian(jacobian: Tensor, where: slice, touched: tuple[Tensor, int] | None) -> Tensor:
    """(T, T) float64: inner products of the tasks' gradients over one stretch."""
    block = jacobian[:, where] if touched is None else _touched_columns(jacobian, where, touched)
    if block.is_cuda:
        from mtbert.optim import kernels  # needs Triton, which comes with torch for CUDA

        return kernels.gramian(block)
    number = block.shape[1] // _PIECE
    whole, rest = block[:, : number * _PIECE], block[:, number * _PIECE :]
    pieces = whole.unflatten(1, (number, _PIECE)).transpose(0, 1)  # (pieces, T, _PIECE): shared out among the threads
    return torch.bmm(pieces, pieces.mT).double().sum(0) + (rest @ rest.T).double()


def _weighted_sum(jacobian: Tensor, weights: Tensor, where: slice, touched, destination: Tensor) -> None:
    weights = weights.to(jacobian.dtype)
    if touched is not None:
        rows, width = touched
        destination[where].view(-1, width)[rows] = (weights @ _touched_columns(jacobian, where, touched)).view(
            -1, width
        )
        return
    if jacobian.is_cuda:
        from mtbert.optim import kernels

        kernels.weighted_sum(jacobian[:, where], weights, destination[where])
        return
    for start in range(where.start, where.stop, _CHUNK):
        chunk = slice(start, min(start + _CHUNK, where.stop))
        torch.mv(jacobian[:, chunk].T, weights, out=destination[chunk])


def _touched_columns(jacobian: Tensor, where: slice, touched: tuple[Tensor, int]) -> Tensor:
    """(T, rows * width): the rows of an embedding that any task touched."""
    rows, width = touched
    return jacobian[:, where].unflatten(1, (-1, width))[:, rows].flatten(1)


def _add_segment(flat: FlatParameters, shard: ParameterShard, row: GradientVector, destination: GradientVector) -> None:
    for name in shard.names:
        where = flat.slices[name]
        if name in destination.has_grad:
            destination.values[where].add_(row.values[where])
        else:
            destination.values[where].copy_(row.values[where])
        if name in row.rows:
            before = [destination.rows[name]] if name in destination.has_grad else []
            destination.rows[name] = torch.cat([*before, row.rows[name]])
        destination.has_grad.add(name)


class Conflicts:
    """How the tasks' gradients met, step by step, read off the Gramians that surgery needs anyway."""

    def __init__(self, tasks: list[str]):
        self.tasks = tasks
        self.steps: list[Tensor] = []  # of each step: the Gramian, row after row, and how much was altered

    def note(self, surgery: Surgery) -> None:
        """Keep the last step, on its device; a step in which fewer than two tasks met leaves nothing."""
        if surgery.gramians is None:
            return
        summed = surgery.gramians.sum(0)
        share = relative_change(surgery.gramians, surgery.weights.to(summed))
        places = [self.tasks.index(task) for task in surgery.taking_part]
        whole = summed
        if places != list(range(len(self.tasks))):
            whole = torch.full((len(self.tasks), len(self.tasks)), torch.nan, dtype=summed.dtype, device=summed.device)
            for row, column in itertools.product(range(len(places)), repeat=2):
                whole[places[row], places[column]] = summed[row, column]
        self.steps.append(torch.cat([whole.flatten(), share[None]]))

    def tensor(self) -> Tensor:
        """(steps, T * T + 1), for a checkpoint."""
        return torch.stack(self.steps).cpu() if self.steps else torch.zeros(0, len(self.tasks) ** 2 + 1)

    def load(self, kept: Tensor) -> None:
        self.steps = list(kept.unbind())

    def summary(self) -> dict[str, Any]:
        """Of each pair, such as "sst-quora": the cosine at every step, its mean, and in how many steps it was negative;
        and the mean share by which the step was altered. Raises FloatingPointError naming a task and step whose
        gradient was not finite."""
        if not self.steps:
            return {"steps": 0}
        kept = self.tensor().double()
        gramians = kept[:, :-1].view(len(kept), len(self.tasks), len(self.tasks))
        infinite = gramians.diagonal(dim1=1, dim2=2).isinf() | (kept[:, -1:].isnan())
        if infinite.any():
            step, task = infinite.nonzero()[0].tolist()
            raise FloatingPointError(f"the gradient of {self.tasks[task]} was not finite {len(kept) - step} steps ago")
        found = cosines(gramians)
        names = [(i, j) for i in range(len(self.tasks)) for j in range(i)]
        by_pair = {f"{self.tasks[j]}-{self.tasks[i]}": found[:, j, i][~gramians[:, j, i].isnan()] for i, j in names}
        return {
            "steps": len(kept),
            "cosines": {pair: [round(value, 4) for value in of.tolist()] for pair, of in by_pair.items()},
            "mean_cosine": {pair: float(of.mean()) if len(of) else None for pair, of in by_pair.items()},
            "conflicts": {pair: int((of < 0).sum()) for pair, of in by_pair.items()},
            "relative_change": float(kept[:, -1].mean()),
        }
