"""Gradient surgery: one gradient per task, combined by weights that depend on their inner products alone.

With J the tasks' gradients as rows, (T, P), and G = J J^T their Gramian, every method here is a *weighting*: it maps
G, (..., T, T), to weights, (..., T), and the step follows w J. Written out, PCGrad and GradVac change vectors of P
numbers; but each changed gradient stays a combination sum_k C_ik g_k, so it is enough to change the T x T matrix C, and
w = 1 C.
Leading dimensions of G are groups of parameters that are treated apart (each layer, or each matrix).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mtbert.errors import UserError
from mtbert.optim.flat import FlatParameters, GradientVector, Segment

Weighting = Callable[[Tensor], Tensor]
GRANULARITIES = ("model", "layer", "matrix")
_CHUNK = 1 << 16  # numbers of each gradient that are worked on at a time: they stay in the processor's cache


def plain(gramian: Tensor) -> Tensor:
    """Weights of plain summing: all ones. (..., T, T) -> (..., T)."""
    return torch.ones_like(gramian[..., 0])


def pcgrad(gramian: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """PCGrad (Yu et al. 2020, algorithm 1): take from each gradient what points against another task's.

    For every task i, and every other j in random order: if g_i' . g_j < 0, g_i' loses its component along the original
    g_j. The step is the sum of the g_i'. gramian: (..., T, T). Returns (..., T). A zero gradient conflicts with none.
    """
    changed = _identity(gramian)  # C: g_i' = sum_k C_ik g_k
    for i, j in _pairs(gramian.shape[-1], generator):
        product = (changed[..., i, :] * gramian[..., :, j]).sum(-1)  # g_i' . g_j
        square = gramian[..., j, j]
        changed[..., i, j] -= torch.where(square > 0, product.clamp(max=0) / square, 0)
    return changed.sum(-2)


class GradVac:
    """Gradient Vaccine (Wang et al. 2021): pull each pair's cosine up to its running mean.

    For every task i, and every other j in random order: where cos(g_i', g_j) is below the pair's target, so much of
    g_j is added to g_i' that the cosine equals the target (eq. 4). Then every target moves by ``beta`` towards the
    cosine of the unchanged pair. Targets begin at 0, where this is PCGrad.

    beta: in [0, 1]; the paper's runs use 0.01. Called with a Gramian, (..., T, T); returns weights, (..., T).
    """

    def __init__(self, beta: float = 0.01, generator: torch.Generator | None = None):
        if not 0 <= beta <= 1:
            raise ValueError(f"beta is {beta}, but must be from 0 to 1")
        self.beta, self.generator = beta, generator
        self.targets: Tensor | None = None  # (..., T, T)

    def __call__(self, gramian: Tensor) -> Tensor:
        if self.targets is None:
            self.targets = torch.zeros_like(gramian)
        if self.targets.shape != gramian.shape:
            raise ValueError(f"the Gramian is {tuple(gramian.shape)}, but the targets are {tuple(self.targets.shape)}")
        changed = _identity(gramian)
        for i, j in _pairs(gramian.shape[-1], self.generator):
            row = changed[..., i, :]
            products = (row.unsqueeze(-2) @ gramian).squeeze(-2)  # g_i' . g_k for every k
            own = (products * row).sum(-1).clamp(min=0).sqrt()  # |g_i'|
            other = gramian[..., j, j].sqrt()
            changed[..., i, j] += _vaccine(products[..., j], own, other, self.targets[..., i, j])
        self.targets = torch.lerp(self.targets, cosines(gramian), self.beta)
        return changed.sum(-2)

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self.targets is None else {"targets": self.targets}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.targets = state.get("targets")


def _vaccine(product: Tensor, own: Tensor, other: Tensor, target: Tensor) -> Tensor:
    """How much of g_j brings cos(g_i', g_j) up to the target; 0 where it is there, or where a gradient is zero."""
    norms = own * other
    cosine = torch.where(norms > 0, product / norms, 0).clamp(-1, 1)
    sine, target_sine = (1 - cosine.square()).sqrt(), (1 - target.square()).sqrt()
    amount = own * (target * sine - cosine * target_sine) / (other * target_sine)
    return torch.where((cosine < target) & (norms > 0) & (target_sine > 0), amount, 0)


def cosines(gramian: Tensor) -> Tensor:
    """Cosine of every pair of gradients, (..., T, T); 0 where one of them is zero."""
    norms = gramian.diagonal(dim1=-2, dim2=-1).sqrt()
    products = norms.unsqueeze(-1) * norms.unsqueeze(-2)
    return torch.where(products > 0, gramian / products, 0).clamp(-1, 1)


def altered(gramians: Tensor, weights: Tensor) -> Tensor:
    """How far a weighting moves the step from the plain sum, relative to the sum: |w J - 1 J| / |1 J|, one number.

    gramians: (groups, T, T). weights: (groups, T).
    """
    change = (weights - 1).unsqueeze(1)
    moved = (change @ gramians @ change.mT).sum().clamp(min=0)
    return (moved / gramians.sum().clamp(min=torch.finfo(gramians.dtype).tiny)).sqrt()


def _identity(gramian: Tensor) -> Tensor:
    return torch.eye(gramian.shape[-1], dtype=gramian.dtype, device=gramian.device).expand_as(gramian).clone()


def _pairs(tasks: int, generator: torch.Generator | None) -> list[tuple[int, int]]:
    """Every task i with every other task j, the j in random order."""
    return [(i, j) for i in range(tasks) for j in torch.randperm(tasks, generator=generator).tolist() if j != i]


class TorchJD:
    """A weighting of the TorchJD package by its name there, such as "UPGrad" or "CAGrad", with its usual settings.

    Methods that ask for the gradients themselves get the root of the Gramian: it has the same inner products, which is
    all that a weighting depends on. Groups are weighted one after the other. Raises UserError if the package or the
    method is not there, or needs another package.
    """

    def __init__(self, name: str, tasks: int):
        try:
            from torchjd import aggregation
        except ImportError:
            raise UserError("torchjd is not installed: pip install 'torchjd[full]'") from None
        settings = {"CAGrad": {"c": 0.5}, "NashMTL": {"n_tasks": tasks}}.get(name, {})
        try:
            self.of_gramian = hasattr(aggregation, f"{name}Weighting")
            if self.of_gramian:
                self.weighting = getattr(aggregation, f"{name}Weighting")(**settings)
            else:
                self.weighting = getattr(aggregation, name)(**settings).weighting
        except (AttributeError, TypeError):
            raise UserError(f"torchjd has no weighting {name!r} that works from inner products alone") from None
        except ImportError as error:
            raise UserError(f"torchjd's {name} needs another package ({error}): pip install 'torchjd[full]'") from None

    def __call__(self, gramian: Tensor) -> Tensor:
        groups = gramian.reshape(-1, *gramian.shape[-2:])
        weights = [self.weighting(group if self.of_gramian else _root(group)) for group in groups]
        return torch.stack(weights).reshape(gramian.shape[:-1]).to(gramian)


def _root(gramian: Tensor) -> Tensor:
    """R with R R^T = G."""
    values, vectors = torch.linalg.eigh(gramian)
    return vectors * values.clamp(min=0).sqrt()


def build_weighting(name: str, tasks: int, beta: float, generator: torch.Generator) -> Weighting:
    """The weighting of that name: "plain", "pcgrad", "gradvac", or "torchjd:NAME"."""
    if name.startswith("torchjd:"):
        return TorchJD(name.removeprefix("torchjd:"), tasks)
    if name == "gradvac":
        return GradVac(beta, generator)
    return {"plain": plain, "pcgrad": lambda gramian: pcgrad(gramian, generator)}[name]


class Surgery:
    """Tasks' gradients side by side, weighed, and handed to the optimiser as one.

    Between ``start`` and ``finish``, ``add`` takes the losses of the tasks, each as often as it likes; a task's own
    graph can be freed before the next one is built. Segments that every task of the step reached take part; a segment
    that only some reached (a head, a task's adapter) gets the plain sum of theirs.

    weighting: from a Gramian per group, (groups, T, T), to weights, (groups, T). granularity: the groups: the whole
    "model", each "layer", or each "matrix". Of the last step: gramians (groups, T, T) and weights (groups, T), None if
    fewer than two tasks met; groups, the names of the first; taking_part, those of the tasks.
    """

    def __init__(self, flat: FlatParameters, tasks: list[str], weighting: Weighting, granularity: str = "model"):
        if granularity not in GRANULARITIES:
            raise ValueError(f"granularity is {granularity!r}: choose from {', '.join(GRANULARITIES)}")
        self.flat, self.weighting, self.granularity = flat, weighting, granularity
        self.jacobian = torch.zeros(len(tasks), len(flat), dtype=flat.theta.dtype, device=flat.theta.device)
        self.rows = {task: GradientVector(row) for task, row in zip(tasks, self.jacobian, strict=True)}
        self.groups: list[str] = []
        self.taking_part: list[str] = []
        self.gramians = self.weights = None

    def start(self) -> None:
        for row in self.rows.values():
            row.start()

    def add(self, task: str, loss: Tensor) -> None:
        """Add the gradient of a task's loss to its row."""
        self.flat.add(loss, self.rows[task])

    def finish(self) -> list[nn.Parameter]:
        """Leave the combined gradient in the flat parameters; returns the segments that were reached.

        Raises FloatingPointError naming a task whose gradient is not finite (on a GPU, where looking would stop the
        queue, the caller has to look at ``gramians`` later).
        """
        taking_part = {task: row for task, row in self.rows.items() if row.reached}
        reached = {task: {part.where.start for part in self.flat.reached(row)} for task, row in taking_part.items()}
        shared = set.intersection(*reached.values()) if len(taking_part) > 1 else set()
        self.taking_part, self.gramians, self.weights = list(taking_part), None, None

        into = self.flat.vector
        into.start()
        for segment in self.flat.segments:
            if segment.where.start not in shared:
                for task, row in taking_part.items():
                    if segment.where.start in reached[task]:
                        _add_segment(self.flat, segment, row, into)
        if shared:
            self._combine([part for part in self.flat.segments if part.where.start in shared], taking_part, into)
        return self.flat.hand_out()

    def _combine(self, segments: list[Segment], rows: dict[str, GradientVector], into: GradientVector) -> None:
        chosen = [number for number, task in enumerate(self.rows) if task in rows]
        jacobian = self.jacobian if len(chosen) == len(self.rows) else self.jacobian[chosen]
        stretches = self._stretches(segments, rows)
        self.groups = list(dict.fromkeys(group for group, _, _ in stretches))
        index = {group: number for number, group in enumerate(self.groups)}
        tasks = len(rows)
        gramians = torch.zeros(len(self.groups), tasks, tasks, dtype=torch.float64, device=jacobian.device)
        for group, where, touched in stretches:
            gramians[index[group]] += _gramian(jacobian, where, touched)
        if not gramians.is_cuda and not gramians.isfinite().all():
            bad = ~gramians.diagonal(dim1=-2, dim2=-1).sum(0).isfinite()
            raise FloatingPointError(f"the gradient of {list(rows)[int(bad.int().argmax())]} is not finite")
        self.gramians, self.weights = gramians, self.weighting(gramians)
        for group, where, touched in stretches:
            _weighted_sum(jacobian, self.weights[index[group]], where, touched, into.values)
        for segment in segments:
            into.reached.update(segment.names)

    def _stretches(self, segments: list[Segment], rows: dict[str, GradientVector]):
        """(group, where, touched) for all shared parameters, in as few stretches as possible.

        touched: for a parameter whose gradient came as rows, the numbers of those that any task touched and its width;
        None for stretches that are dense.
        """
        found: list[tuple[str, slice, tuple[Tensor, int] | None]] = []
        for segment in segments:
            for name in segment.names:
                where, group = self.flat.places[name], group_of(name, self.granularity)
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


def _blocks(jacobian: Tensor, where: slice, touched: tuple[Tensor, int] | None):
    """(columns of the Jacobian, (T, n), and where they belong) a piece at a time."""
    if touched is not None:
        rows, width = touched
        yield jacobian[:, where].unflatten(1, (-1, width))[:, rows].flatten(1), None
        return
    size = _CHUNK if not jacobian.is_cuda else len(jacobian[0])
    for start in range(where.start, where.stop, size):
        piece = slice(start, min(start + size, where.stop))
        yield jacobian[:, piece], piece


def _gramian(jacobian: Tensor, where: slice, touched: tuple[Tensor, int] | None) -> Tensor:
    """(T, T) float64: inner products of the tasks' gradients over one stretch."""
    return sum((block @ block.T).double() for block, _ in _blocks(jacobian, where, touched))


def _weighted_sum(jacobian: Tensor, weights: Tensor, where: slice, touched, into: Tensor) -> None:
    weights = weights.to(jacobian.dtype)
    for block, piece in _blocks(jacobian, where, touched):
        if piece is None:
            rows, width = touched
            into[where].view(-1, width)[rows] = (weights @ block).view(-1, width)
        else:
            torch.mv(block.T, weights, out=into[piece])


def _add_segment(flat: FlatParameters, segment: Segment, row: GradientVector, into: GradientVector) -> None:
    for name in segment.names:
        where = flat.places[name]
        if name in into.reached:
            into.values[where].add_(row.values[where])
        else:
            into.values[where].copy_(row.values[where])
        if name in row.rows:
            before = [into.rows[name]] if name in into.reached else []
            into.rows[name] = torch.cat([*before, row.rows[name]])
        into.reached.add(name)


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
        share = altered(surgery.gramians, surgery.weights.to(summed))
        whole = torch.full((len(self.tasks), len(self.tasks)), torch.nan, dtype=summed.dtype, device=summed.device)
        places = [self.tasks.index(task) for task in surgery.taking_part]
        for row, place in enumerate(places):
            whole[place, places] = summed[row]
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
            "altered": float(kept[:, -1].mean()),
        }
