"""How a device carries out training steps: the choices that decide what a step costs, and not what it computes.

On a GPU most of a small step is not arithmetic: the host hands over a thousand little kernels, one after the other. A
CUDA graph records them once and starts them all at a time. For that, every step must have the same shape, know nothing
of its rows but what lies in fixed places on the device, and never wait for the device.
"""

import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from mtbert.data.batch import StaticBatch, StaticShape
from mtbert.data.tokens import EncodedDataset
from mtbert.nn.heads import HEADS
from mtbert.nn.losses import LOSSES
from mtbert.nn.model import MultitaskModel
from mtbert.training.distributed import World
from mtbert.training.recipe import Recipe
from mtbert.utils.errors import UserError

Found = TypeVar("Found")
# (batch, labels of each task, whether it is being recorded) -> anything
Compute = Callable[[StaticBatch, dict[str, Tensor], bool], Found]

EXECUTION = "MTBERT_EXECUTION"
_WARM_UP = 2  # steps of a shape are carried out as ever before one is recorded: kernels are built and tuned then
_MOST = 64  # shapes that are recorded; steps of yet other shapes are carried out as ever


@dataclass(frozen=True)
class Execution:
    """What a run may choose beside its recipe. Results stay the same but for rounding and the numbers dropout draws.

    compile: encoder layers go through torch.compile, which makes one kernel of neighbouring elementwise operations;
    not with gradient surgery, which looks into the layers. cuda_graphs: steps have fixed shapes (see ``StaticShape``) and, on
    a GPU, are recorded as CUDA graphs; on a CPU only the shapes differ.
    """

    compile: bool = False
    cuda_graphs: bool = False

    @classmethod
    def from_env(cls) -> "Execution":
        """What ``$MTBERT_EXECUTION`` asks for, of all runs that are not told otherwise: "compile", "cuda_graphs", or both
        with a comma between. Raises UserError for another word."""
        words = [word.strip() for word in os.environ.get(EXECUTION, "").split(",") if word.strip()]
        known = [field.name for field in fields(cls)]
        for word in words:
            if word not in known:
                raise UserError(f"{EXECUTION} asks for {word!r}: choose from {', '.join(known)}")
        return cls(**dict.fromkeys(words, True))

    def __str__(self) -> str:
        """As ``from_env`` reads it."""
        return ",".join(name for name, chosen in asdict(self).items() if chosen)


@dataclass
class _Place:
    """The fixed places on the device that steps of one shape read from, and the recording that does."""

    shapes: dict[str, StaticShape]
    sizes: list[int]  # of each task after the other: starts and lengths of its sequences, and numbers of its rows
    inputs: Tensor  # these numbers
    runs: int = 0
    graph: Any = None
    found: Any = None


def unsupported_reason(recipe: Recipe, model: MultitaskModel, world: World) -> str | None:
    """Why steps of this recipe cannot have fixed shapes, or cannot be recorded; None if they can."""
    if world.size > 1:
        return f"{world.size} processes share out the rows of a step"
    if recipe.trainable == "heads":
        return "the encoder stays as it is, and its vectors are kept"
    if recipe.gradient_accumulation_steps > 1:
        return "a step takes its rows in parts"
    if model.smart_weight:
        return "SMART draws the same dropout masks twice"
    if recipe.loss_weighting not in ("equal", "uw"):
        return f"loss weighting {recipe.loss_weighting} is worked out on the host"
    if recipe.surgery.startswith("torchjd:"):
        return f"{recipe.surgery} is worked out on the host"
    for task in recipe.tasks:
        if LOSSES[recipe.loss[task]].ranks:
            return f"loss {recipe.loss[task]} chooses rows by their labels"
        if HEADS[recipe.head[task]].input_kind == "tokens":
            return f"head {recipe.head[task]} asks for the length of each sequence"
        if task in recipe.tokens_per_batch:
            return "batches of like lengths have any number of rows"
    return None


class CUDAGraphRunner:
    """Steps of fixed shapes, over tables and labels that lie on the device.

    tables: of each task, its sequences. labels: of each task, those of all rows, (rows,), on the same device.
    """

    def __init__(self, tables: Mapping[str, EncodedDataset], labels: Mapping[str, Tensor]):
        self.tables, self.labels = tables, labels
        self.device = next(iter(labels.values())).device
        self._places: dict[Hashable, _Place] = {}
        if self.device.type == "cuda":
            self._stream = torch.cuda.Stream(self.device)  # nothing can be recorded on the usual one
            self._pool = torch.cuda.graph_pool_handle()

    def __call__(
        self, rows: Mapping[str, Tensor], kind: Hashable, compute: Compute, before: Callable[[Found], None]
    ) -> Found:
        """Carry out ``compute`` for a step on these rows of each task, (n,) int64 on the host; returns what it found.

        It may only read the batch, the labels, and tensors that stay where they are, and changes such in place. kind:
        whatever else tells two computations apart. Once one is recorded, only the tensors that it found change from
        step to step. before: called ahead of each replay with what was found, for what the host has to do.
        """
        place = self._place(rows, kind)
        with self._on_stream():
            place.inputs.copy_(self._laid_out(rows, place.shapes), non_blocking=True)
            if place.graph is None and (self.device.type != "cuda" or place.runs < _WARM_UP or self._full(place)):
                place.runs += 1
                return compute(*self._batch(place), False)
            if place.graph is None:
                place.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(place.graph, pool=self._pool, stream=self._stream):
                    place.found = compute(*self._batch(place), True)
            before(place.found)
            place.graph.replay()
            return place.found

    @property
    def recorded(self) -> int:
        """How many shapes of steps have been recorded."""
        return sum(place.graph is not None for place in self._places.values())

    def _full(self, place: _Place) -> bool:
        return place.graph is None and self.recorded >= _MOST

    def _place(self, rows: Mapping[str, Tensor], kind: Hashable) -> _Place:
        shapes = {task: self.tables[task].static_shape(of_task) for task, of_task in rows.items()}
        key = kind, tuple(shapes.items()), tuple(len(of_task) for of_task in rows.values())
        if key not in self._places:
            sizes = []
            for task, shape in shapes.items():
                sizes += [2 * (shape.sequences + shape.dummy_sequences), len(rows[task])]
            self._places[key] = _Place(shapes, sizes, torch.zeros(sum(sizes), dtype=torch.int64, device=self.device))
        return self._places[key]

    def _laid_out(self, rows: Mapping[str, Tensor], shapes: Mapping[str, StaticShape]) -> Tensor:
        """What goes to the device for a step: a few numbers for each sequence, in one copy."""
        parts = []
        for task, of_task in rows.items():
            parts += [shapes[task].spans(*self.tables[task].spans(of_task)).flatten(), of_task]
        whole = torch.cat(parts)
        return whole.pin_memory() if self.device.type == "cuda" else whole

    def _batch(self, place: _Place) -> tuple[StaticBatch, dict[str, Tensor]]:
        """The batch and labels that lie in a place; made anew, on the device, each time it is read."""
        parts = iter(place.inputs.split(place.sizes))
        batches, labels = {}, {}
        for task, shape in place.shapes.items():
            batches[task] = self.tables[task].static_batch(task, next(parts).view(2, -1), shape)
            labels[task] = self.labels[task][next(parts)]
        return StaticBatch.join(batches), labels

    @contextmanager
    def _on_stream(self) -> Iterator[None]:
        if self.device.type != "cuda":
            yield
            return
        usual = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            yield
        usual.wait_stream(self._stream)
