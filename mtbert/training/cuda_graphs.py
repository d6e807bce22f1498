"""How steps are carried out on a device: what decides the cost of a step, and not its result.

On a GPU most of a small step is the CPU launching a thousand small kernels one after the other. A CUDA graph captures
them once and launches them all together. For that every step must have the same shape, take its rows from fixed
addresses on the device, and never wait for the device.
"""

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from mtbert.data.batch import PackedBatch, on_device
from mtbert.data.static_batch import StaticBatch, StaticShape
from mtbert.data.tokens import EncodedDataset
from mtbert.nn.compile import compile_layers
from mtbert.nn.heads import HEADS
from mtbert.nn.losses import LOSSES
from mtbert.nn.model import MultitaskModel
from mtbert.training.dataset import MicroBatch, TaskDataset
from mtbert.training.distributed import ALONE, World
from mtbert.training.recipe import Recipe
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.logging import logger

Result = TypeVar("Result")
Update = Callable[[Iterable[MicroBatch]], Result]

EXECUTION = "MTBERT_EXECUTION"
_WARM_UP_STEPS = 2  # of a shape, before it is captured: kernels are built and tuned in them
_MAX_GRAPHS = 64  # shapes that are captured; steps of further shapes run eagerly


@dataclass(frozen=True)
class Execution:
    """How steps are carried out. Results differ only by rounding and by the random numbers of dropout."""

    compile: bool = False  # encoder layers through torch.compile; not with surgery, which intercepts their operations
    cuda_graphs: bool = False  # steps of static shapes (see ``StaticShape``), on a GPU captured as CUDA graphs

    @classmethod
    def from_env(cls) -> "Execution":
        """The default of all runs, from ``$MTBERT_EXECUTION``: "compile", "cuda_graphs", or both joined by a comma."""
        words = [word.strip() for word in os.environ.get(EXECUTION, "").split(",") if word.strip()]
        names = [field.name for field in fields(cls)]
        for word in words:
            if word not in names:
                raise UserError(f"{EXECUTION} contains {shorten(word)}: choose from {', '.join(names)}")
        return cls(**dict.fromkeys(words, True))

    def __str__(self) -> str:  # as ``from_env`` reads it
        return ",".join(name for name, enabled in asdict(self).items() if enabled)


class Eager:
    """Carries out steps operation by operation, in any shape and in as many parts as gradients are accumulated over."""

    def __init__(self, datasets: Mapping[str, TaskDataset], device: torch.device, parts: int = 1, world: World = ALONE):
        self.datasets, self.device, self.parts, self.world = datasets, device, parts, world

    def __call__(self, rows: Mapping[str, Tensor], update: Update[Result], **replay: Any) -> Result:
        """Carry out a step; see ``CUDAGraphRunner`` for the arguments."""
        return update(self.micro_batches(rows))

    def micro_batches(self, rows: Mapping[str, Tensor]) -> Iterator[MicroBatch]:
        """This process's rows of a step, in parts; a part without rows is left out."""
        num_pieces = self.parts * self.world.size
        pieces = {task: task_rows.tensor_split(num_pieces) for task, task_rows in rows.items()}
        for index in range(self.world.rank, num_pieces, self.world.size):
            part = {task: pieces[task][index] for task in rows if len(pieces[task][index])}
            if part:
                shares = {task: len(part[task]) / len(rows[task]) for task in part}
                yield MicroBatch(self._inputs(part), self._labels(part), shares)

    def _inputs(self, rows: Mapping[str, Tensor]) -> PackedBatch | dict[str, Tensor]:
        datasets = {task: self.datasets[task] for task in rows}
        if all(dataset.vectors is not None for dataset in datasets.values()):
            return {task: dataset.cached_vectors(rows[task]) for task, dataset in datasets.items()}
        return PackedBatch.join({task: dataset.sequences.batch(rows[task]) for task, dataset in datasets.items()})

    def _labels(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {task: on_device(self.datasets[task].labels[rows[task]], self.device) for task in rows}


@dataclass
class _StaticStep:
    """The fixed addresses on the device that steps of one shape read from, and the graph captured from them."""

    shapes: dict[str, StaticShape]
    sizes: list[int]  # for each task: how many starts and lengths of sequences, and how many row indices
    inputs: Tensor  # these integers
    runs: int = 0
    graph: Any = None
    result: Any = None


class CUDAGraphRunner:
    """Carries out steps of static shapes; on a GPU each shape is captured as a CUDA graph and then replayed.

    It takes each task's encoded rows and its labels, (rows,), both on the device.
    """

    def __init__(self, datasets: Mapping[str, EncodedDataset], labels: Mapping[str, Tensor]):
        self.datasets, self.labels = datasets, labels
        self.device = next(iter(labels.values())).device
        self._steps: dict[Hashable, _StaticStep] = {}
        if self.device.type == "cuda":
            self._stream = torch.cuda.Stream(self.device)  # nothing can be captured on the default stream
            self._pool = torch.cuda.graph_pool_handle()

    def __call__(
        self,
        rows: Mapping[str, Tensor],
        update: Update[Result],
        key: Hashable = None,
        before_replay: Callable[[Result], object] | None = None,
    ) -> Result:
        """Carry out a step.

        Args:
            rows: Each task's rows, (n,) int64 on the CPU.
            update: Computes the step from its micro-batches. It may only read these and tensors that stay where they
                are, and change such in place. Its result is returned; once captured, only its tensors' values change.
            key: What distinguishes this update from others on rows of the same shape.
            before_replay: Does the CPU's part of a captured step, ahead of each replay, from the update's result.
        """
        shapes = {task: StaticShape.for_rows(self.datasets[task], task_rows) for task, task_rows in rows.items()}
        spans = {task: shape.spans(*self.datasets[task].spans(rows[task])) for task, shape in shapes.items()}
        parts = [part for task in rows for part in (spans[task].flatten(), rows[task])]
        step = self._static_step(key, shapes, [len(part) for part in parts])
        integers = torch.cat(parts)  # a few for each sequence go to the device, in one copy
        with self._on_stream():
            step.inputs.copy_(integers.pin_memory() if self.device.type == "cuda" else integers, non_blocking=True)
            if step.graph is None and not self._can_capture(step):
                step.runs += 1
                return update([self._micro_batch(step)])
            if step.graph is None:
                step.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(step.graph, pool=self._pool, stream=self._stream):
                    step.result = update([self._micro_batch(step)])
            if before_replay is not None:
                before_replay(step.result)
            step.graph.replay()
            return step.result

    @property
    def num_graphs(self) -> int:
        return sum(step.graph is not None for step in self._steps.values())

    def _can_capture(self, step: _StaticStep) -> bool:
        return self.device.type == "cuda" and step.runs >= _WARM_UP_STEPS and self.num_graphs < _MAX_GRAPHS

    def _static_step(self, key: Hashable, shapes: dict[str, StaticShape], sizes: list[int]) -> _StaticStep:
        key = key, tuple(shapes.items()), tuple(sizes)
        if key not in self._steps:
            inputs = torch.zeros(sum(sizes), dtype=torch.int64, device=self.device)
            self._steps[key] = _StaticStep(shapes, sizes, inputs)
        return self._steps[key]

    def _micro_batch(self, step: _StaticStep) -> MicroBatch:
        """The batch and labels, made on the device from a step's inputs."""
        parts = iter(step.inputs.split(step.sizes))
        batches, labels = {}, {}
        for task, shape in step.shapes.items():
            batches[task] = StaticBatch.from_spans(self.datasets[task], task, next(parts).view(2, -1), shape)
            labels[task] = self.labels[task][next(parts)]
        return MicroBatch(StaticBatch.join(batches), labels, dict.fromkeys(batches, 1.0))

    @contextmanager
    def _on_stream(self) -> Iterator[None]:
        if self.device.type != "cuda":
            return (yield)
        default = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(default)
        with torch.cuda.stream(self._stream):
            yield
        default.wait_stream(self._stream)


def build_runner(
    execution: Execution, recipe: Recipe, model: MultitaskModel, datasets: Mapping[str, TaskDataset], world: World
) -> Eager | CUDAGraphRunner:
    """The runner of a recipe's steps; also compiles the model's layers if ``execution`` says so."""
    if execution.compile and recipe.surgery != "none":
        logger.info("layers are not compiled: surgery intercepts their operations")
    elif execution.compile:
        compile_layers(model.bert, dynamic=None if execution.cuda_graphs else True)
    if execution.cuda_graphs:
        reason = unsupported_reason(recipe, model, world)
        if not reason:
            labels = {task: dataset.labels.to(model.device) for task, dataset in datasets.items()}
            return CUDAGraphRunner({task: dataset.sequences for task, dataset in datasets.items()}, labels)
        logger.info(f"no CUDA graphs: {reason}")
    return Eager(datasets, model.device, recipe.gradient_accumulation_steps, world)


def unsupported_reason(recipe: Recipe, model: MultitaskModel, world: World) -> str | None:
    """Why steps of this recipe cannot have static shapes or be captured; None if they can."""
    if world.size > 1:
        return f"{world.size} processes split the rows of a step"
    if recipe.trainable == "heads":
        return "trainable is heads: the vectors of the frozen encoder are cached"
    if recipe.gradient_accumulation_steps > 1:
        return "gradient_accumulation_steps splits the rows of a step"
    if model.smart_weight:
        return "smart_weight: SMART restores the random state to repeat its dropout masks"
    if recipe.surgery.startswith("torchjd:"):
        return f"surgery {recipe.surgery} is computed on the CPU"
    if recipe.surgery_groups != "tasks":
        return "surgery_groups: a replay draws the order of tasks, not of groups"
    for task in recipe.tasks:
        if LOSSES[recipe.loss[task]].ranks:
            return f"loss {recipe.loss[task]} selects rows by their labels"
        if HEADS[recipe.head[task]].input_kind == "tokens":
            return f"head {recipe.head[task]} needs the length of each sequence"
        if task in recipe.tokens_per_batch:
            return "tokens_per_batch: batches differ in their number of rows"
    return None
