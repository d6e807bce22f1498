"""Gradient surgery: one gradient per task, weighted by their inner products, and combined into one.

The tasks' gradients are the rows of J, (T, P); a weighting (see ``mtbert.optim.weightings``) maps J J^T to weights w,
and the step follows w J. The rows are filled in one backward pass of the summed losses (see
``mtbert.optim.per_task_gradients``), or in one for each task. No gradient is copied, projected or flattened: besides J,
only T x T numbers are stored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch
from mtbert.optim.flat import FlatParameters, GradientVector, ParameterShard
from mtbert.optim.per_task_gradients import PerTaskGradients, PerTaskGradMode
from mtbert.optim.weightings.gramian import Weighting

GRANULARITIES = ("model", "layer", "matrix")
_PIECE = 1 << 14  # columns of J whose products are summed in float32; the sums of the pieces are added in float64
_CHUNK = 1 << 18  # columns of J that are combined at a time on a CPU: they stay in its cache


@dataclass(frozen=True)
class AggregationInfo:
    """How the gradients of the T ``tasks`` of one step were combined, by group of parameters that tasks shared."""

    tasks: list[str]
    groups: list[str]
    gramians: Tensor | None = None  # (groups, T, T) float64, on the device; None if there is no group
    weights: Tensor | None = None  # (groups, T)


class Surgery:
    """Collects the tasks' gradients of one step and combines them::

        surgery.zero_grad()
        with surgery.per_task_gradients(batch):
            losses = model.losses(batch, labels)  # {task: loss}
        surgery.backward(losses)                  # as often as needed; gradients add up
        parameters = surgery.aggregate()          # then clip and step

    Shards that every task of the step reached are combined with weights. A shard that only some tasks reached (a head,
    a task's adapter) gets the plain sum of their gradients. ``last`` tells how the last step was combined.

    Args:
        flat: The parameters, each owned by a task or by something else, such as "encoder".
        weighting: Maps a Gramian per group, (groups, T, T), to weights, (groups, T).
        granularity: The groups: the whole "model", each "layer" or each "matrix"; ValueError for any other.
    """

    def __init__(self, flat: FlatParameters, tasks: list[str], weighting: Weighting, granularity: str = "model"):
        if granularity not in GRANULARITIES:
            raise ValueError(f"granularity is {granularity!r}: choose from {', '.join(GRANULARITIES)}")
        self.flat, self.weighting, self.granularity = flat, weighting, granularity
        self.jacobian = torch.zeros(len(tasks), len(flat), dtype=flat.theta.dtype, device=flat.theta.device)
        self.rows = {task: GradientVector(flat, row) for task, row in zip(tasks, self.jacobian, strict=True)}
        self.last = AggregationInfo([], [])

    def zero_grad(self) -> None:
        """Start a step."""
        for row in self.rows.values():
            row.zero_grad()

    def add(self, task: str, loss: Tensor) -> None:
        """Add the gradient of one task's loss, with a graph of its own, to the task's row."""
        self.flat.add(loss, self.rows[task])

    def per_task_gradients(self, batch: PackedBatch) -> PerTaskGradMode:
        """A context for the forward pass over a batch of several tasks whose losses go to ``backward``."""
        return PerTaskGradMode(self.flat, batch)

    def backward(self, losses: Mapping[str, Tensor]) -> None:
        """Add the gradient of each task's loss to its row, in one backward pass for all of them.

        RuntimeError for a shared parameter that the forward pass used otherwise than ``PerTaskGradMode`` demands.
        """
        trained = {task: loss for task, loss in losses.items() if loss.requires_grad}
        if trained:
            destination = PerTaskGradients(self.flat, {task: self.rows[task] for task in trained})
            self.flat.add(torch.stack(list(trained.values())).sum(), destination)

    def aggregate(self) -> list[nn.Parameter]:
        """Leave the combined gradient in the flat parameters; returns the shards' parameters that have one.

        Raises:
            FloatingPointError: On a CPU, if a task's gradient is not finite, naming the task. On a GPU the check would
                wait for the device: look at ``last.gramians`` later.
        """
        rows = {task: row for task, row in self.rows.items() if row.has_grad}
        reached = {task: set(self.flat.shards_with_grad(row)) for task, row in rows.items()}
        shared = set.intersection(*reached.values()) if len(rows) > 1 else set()
        self.last = AggregationInfo(list(rows), [])
        self.flat.vector.zero_grad()
        for shard in self.flat.shards:
            for task, row in rows.items():
                if shard in reached[task] - shared:
                    _add_shard(shard, row, self.flat.vector)
        if shared:
            self._combine([shard for shard in self.flat.shards if shard in shared], rows)
        return self.flat.assign_grads()

    def _combine(self, shards: list[ParameterShard], rows: dict[str, GradientVector]) -> None:
        """Write w J into the shards that all ``rows`` share."""
        whole = len(rows) == len(self.rows)
        jacobian = self.jacobian if whole else torch.stack([row.values for row in rows.values()])
        blocks = self._blocks(shards, rows)
        index = {group: i for i, group in enumerate(dict.fromkeys(block.group for block in blocks))}
        gramians = torch.zeros(len(index), len(rows), len(rows), dtype=torch.float64, device=jacobian.device)
        for block in blocks:
            gramians[index[block.group]] += _gramian(block.columns(jacobian))
        if not gramians.is_cuda and not gramians.isfinite().all():
            not_finite = ~gramians.diagonal(dim1=-2, dim2=-1).sum(0).isfinite()
            raise FloatingPointError(f"the gradient of {list(rows)[int(not_finite.int().argmax())]} is not finite")
        weights = self.weighting(gramians)
        self.last = AggregationInfo(list(rows), list(index), gramians, weights)
        for block in blocks:
            _weighted_sum(jacobian, weights[index[block.group]], block, self.flat.vector.values)
        self.flat.vector.has_grad.update(name for shard in shards for name in shard.names)

    def _blocks(self, shards: list[ParameterShard], rows: dict[str, GradientVector]) -> list["_Block"]:
        """All parameters of these shards, in as few blocks as possible."""
        blocks: list[_Block] = []
        vector = self.flat.vector
        for name in (name for shard in shards for name in shard.names):
            where, group = self.flat.slices[name], group_of(name, self.granularity)
            sparse = [row.rows[name] for row in rows.values() if name in row.rows]
            last = blocks[-1] if blocks else None
            if sparse:
                if name in vector.rows:  # the last step left its values in other rows
                    vector[name][vector.rows[name]] = 0
                vector.rows[name] = torch.cat(sparse).unique()
                blocks.append(_Block(group, where, vector.rows[name], self.flat.shapes[name][-1]))
            elif last and last.group == group and last.rows is None and last.where.stop == where.start:
                last.where = slice(last.where.start, where.stop)
            else:
                blocks.append(_Block(group, where))
        return blocks


@dataclass
class _Block:
    """A range of J's columns that belongs to one group; of an embedding, those rows that any task has a gradient of."""

    group: str
    where: slice
    rows: Tensor | None = None
    width: int = 0  # of a row

    def columns(self, jacobian: Tensor) -> Tensor:
        """(T, n)."""
        columns = jacobian[:, self.where]
        return columns if self.rows is None else columns.unflatten(1, (-1, self.width))[:, self.rows].flatten(1)


def group_of(name: str, granularity: str) -> str:
    """The group of a parameter: "model", its layer (such as "layers.3" or "embeddings"), or its own name."""
    if granularity != "layer":
        return "model" if granularity == "model" else name
    layer = re.search(r"layers\.\d+", name)
    return layer[0] if layer else name.split(".")[min(1, name.count("."))]


def _gramian(columns: Tensor) -> Tensor:
    """(T, T) float64: inner products of the tasks' gradients over some columns."""
    if columns.is_cuda:
        from mtbert.optim import kernels  # needs Triton, which comes with torch for CUDA

        return kernels.gramian(columns)
    count = columns.shape[1] // _PIECE
    whole, rest = columns[:, : count * _PIECE], columns[:, count * _PIECE :]
    pieces = whole.unflatten(1, (count, _PIECE)).transpose(0, 1)  # (count, T, _PIECE): threads share them out
    return torch.bmm(pieces, pieces.mT).double().sum(0) + (rest @ rest.T).double()


def _weighted_sum(jacobian: Tensor, weights: Tensor, block: _Block, destination: Tensor) -> None:
    """Write w J, over the columns of one block, into ``destination``."""
    weights, where = weights.to(jacobian.dtype), block.where
    if block.rows is not None:
        destination[where].view(-1, block.width)[block.rows] = (weights @ block.columns(jacobian)).view(-1, block.width)
    elif jacobian.is_cuda:
        from mtbert.optim import kernels

        kernels.weighted_sum(jacobian[:, where], weights, destination[where])
    else:
        chunks = zip(jacobian[:, where].split(_CHUNK, dim=1), destination[where].split(_CHUNK), strict=True)
        for columns, out in chunks:
            torch.mv(columns.T, weights, out=out)


def _add_shard(shard: ParameterShard, row: GradientVector, destination: GradientVector) -> None:
    """Add one task's gradient of a shard to another gradient."""
    for name in shard.names:
        if name in row.rows:
            before = [destination.rows[name]] if name in destination.has_grad else []
            destination.rows[name] = torch.cat([*before, row.rows[name]])
        destination.add(name, row[name])
