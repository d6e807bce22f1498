"""Weightings: from the inner products of the tasks' gradients to the weight of each in the step.

With J the tasks' gradients as rows, (T, P), and G = J J^T their Gramian, every method here maps G, (..., T, T), to
weights, (..., T), and the step follows w J. Written out, PCGrad and GradVac change vectors of P numbers; but each
changed gradient stays a combination sum_k C_ik g_k, so it is enough to change the T x T matrix C, and w = 1 C. Leading
dimensions of G are groups of parameters that are treated apart (each layer, or each matrix).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mtbert.utils.errors import UserError

Weighting = Callable[[Tensor], Tensor]


def sum_weights(gramian: Tensor) -> Tensor:
    """Weights of plain summing: all ones. (..., T, T) -> (..., T)."""
    return torch.ones_like(gramian[..., 0])


class TaskPermutations:
    """For every task the other tasks in random order, drawn on the host from ``generator``.

    Called with a number of tasks T and a device: (T, T - 1) int64 there. On a GPU it is always the same tensor, and
    ``redraw`` fills it anew in a queued copy: what was recorded with it can then be played again. While it is being
    recorded, nothing is drawn.
    """

    def __init__(self, generator: torch.Generator | None = None):
        self.generator = generator
        self._kept: dict[tuple[int, torch.device], Tensor] = {}

    def __call__(self, tasks: int, device: torch.device) -> Tensor:
        recording = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        return self._kept[tasks, device] if recording else self.draw(tasks, device)

    def redraw(self, tasks: int, device: torch.device) -> None:
        """Draw again for so many tasks, if anything has asked for their orders on this device."""
        if (tasks, device) in self._kept:
            self.draw(tasks, device)

    def draw(self, tasks: int, device: torch.device) -> Tensor:
        permutations = [torch.randperm(tasks, generator=self.generator).tolist() for _ in range(tasks)]
        others = [[j for j in order if j != i] for i, order in enumerate(permutations)]
        drawn = torch.tensor(others, dtype=torch.int64).view(tasks, tasks - 1)
        if device.type == "cpu":
            return drawn
        kept = self._kept.setdefault((tasks, device), torch.empty(drawn.shape, dtype=drawn.dtype, device=device))
        return kept.copy_(drawn.pin_memory(), non_blocking=True)


def pcgrad(gramian: Tensor, generator: torch.Generator | TaskPermutations | None = None) -> Tensor:
    """PCGrad (Yu et al. 2020, algorithm 1): take from each gradient what points against another task's.

    For every task i, and every other j in random order: if g_i' . g_j < 0, g_i' loses its component along the original
    g_j. The step is the sum of the g_i'. gramian: (..., T, T). Returns (..., T). A zero gradient conflicts with none.

    All tasks take their first j at once, then all their second: what one of them loses does not depend on the others.
    """
    changed = _identity(gramian)  # C: g_i' = sum_k C_ik g_k
    for other in _others(gramian, generator):  # (T,): the j of every i
        rows = gramian.mT[..., other, :]  # [..., i, k]: g_k . g_j
        product = (changed * rows).sum(-1)  # g_i' . g_j
        square = gramian.diagonal(dim1=-2, dim2=-1)[..., other]
        lost = torch.where(square > 0, product.clamp(max=0) / square, 0)
        changed.scatter_add_(-1, _column(other, changed), -lost[..., None])
    return changed.sum(-2)


class GradVac:
    """Gradient Vaccine (Wang et al. 2021): pull each pair's cosine up to its running mean.

    For every task i, and every other j in random order: where cos(g_i', g_j) is below the pair's target, so much of
    g_j is added to g_i' that the cosine equals the target (eq. 4). Then every target moves by ``beta`` towards the
    cosine of the unchanged pair. Targets begin at 0, where this is PCGrad.

    beta: in [0, 1]; the paper's runs use 0.01. Called with a Gramian, (..., T, T); returns weights, (..., T).
    """

    def __init__(self, beta: float = 0.01, generator: torch.Generator | TaskPermutations | None = None):
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
        for other in _others(gramian, self.generator):  # (T,): the j of every i
            column = _column(other, changed)
            products = changed @ gramian  # [..., i, k]: g_i' . g_k
            own = (products * changed).sum(-1).clamp(min=0).sqrt()  # |g_i'|
            norms = gramian.diagonal(dim1=-2, dim2=-1)[..., other].sqrt()
            product, target = (each.gather(-1, column).squeeze(-1) for each in (products, self.targets))
            changed.scatter_add_(-1, column, _vaccine(product, own, norms, target)[..., None])
        self.targets.lerp_(cosines(gramian), self.beta)
        return changed.sum(-2)

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self.targets is None else {"targets": self.targets.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        targets = state.get("targets")
        self.targets = None if targets is None else targets.clone()


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


def relative_change(gramians: Tensor, weights: Tensor) -> Tensor:
    """How far a weighting moves the step from the plain sum, relative to the sum: |w J - 1 J| / |1 J|, one number.

    gramians: (groups, T, T). weights: (groups, T).
    """
    change = (weights - 1).unsqueeze(1)
    moved = (change @ gramians @ change.mT).sum().clamp(min=0)
    return (moved / gramians.sum().clamp(min=torch.finfo(gramians.dtype).tiny)).sqrt()


def _identity(gramian: Tensor) -> Tensor:
    return torch.eye(gramian.shape[-1], dtype=gramian.dtype, device=gramian.device).expand_as(gramian).clone()


def _others(gramian: Tensor, generator: torch.Generator | TaskPermutations | None) -> tuple[Tensor, ...]:
    """T - 1 times a (T,) int64: for every task another one, until each has met all others, in random order."""
    orders = generator if isinstance(generator, TaskPermutations) else TaskPermutations(generator)
    return orders(gramian.shape[-1], gramian.device).unbind(1)


def _column(other: Tensor, like: Tensor) -> Tensor:
    """(..., T, 1): the place of each task's j in its row."""
    return other[:, None].expand(*like.shape[:-1], 1)


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


def build_weighting(name: str, tasks: int, beta: float, generator: torch.Generator | TaskPermutations) -> Weighting:
    """The weighting of that name: "sum", "pcgrad", "gradvac", or "torchjd:NAME"."""
    if name.startswith("torchjd:"):
        return TorchJD(name.removeprefix("torchjd:"), tasks)
    if name == "gradvac":
        return GradVac(beta, generator)
    return {"sum": sum_weights, "pcgrad": lambda gramian: pcgrad(gramian, generator)}[name]
