"""What the benchmarks of training steps share: data, models on the same weights, and a step of mtbert."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch, on_device
from mtbert.data.batch_samplers import BatchSampler
from mtbert.data.read import read_split
from mtbert.data.tasks import TASKS, Task, get_task
from mtbert.data.tokens import Encoding, TokenizedDataset, Tokenizer
from mtbert.nn.compile import compile_layers
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder, load_encoder
from mtbert.optim import FlatParameters, FusedAdamW
from mtbert.training.cuda_graphs import CUDAGraphRunner, Execution
from mtbert.training.dataset import MicroBatch
from mtbert.utils.device import autocast

HEADS = {"sst": "linear", "quora": "linear", "sts": "cosine"}
ENCODING: dict[str, Encoding] = {"quora": "cross", "sts": "bi"}
MAX_LENGTH = 128
LR, WEIGHT_DECAY = 1e-5, 0.01
Rows = Mapping[str, Tensor]  # each task's row indices in a step
Datasets = Mapping[str, TokenizedDataset]
LoadEncoder = Callable[[], Encoder]


def read_datasets(folder: Path, tokenizer: Tokenizer, tasks: Iterable[str] = HEADS) -> dict[str, TokenizedDataset]:
    """The tokenized train files of some tasks."""
    return {task: TokenizedDataset.from_rows(read_split(folder, TASKS[task], "train"), tokenizer) for task in tasks}


def random_batches(datasets: Datasets, batch_size: Mapping[str, int], steps: int) -> list[dict[str, Tensor]]:
    """Random rows of each task for each of so many steps."""
    samplers = {task: BatchSampler(task, len(datasets[task]), size, seed=0) for task, size in batch_size.items()}
    return [{task: sampler.batch(index) for task, sampler in samplers.items()} for index in range(steps)]


def task_inputs(
    folder: Path, encoder: str, name: str, batch_size: int, steps: int
) -> tuple[Task, TokenizedDataset, list[Tensor]]:
    """A task, its tokenized train file, and random rows of it for each of so many steps."""
    datasets = read_datasets(folder, load_encoder(encoder).tokenizer, [name])
    batches = random_batches(datasets, {name: batch_size}, steps)
    return get_task(name), datasets[name], [rows[name] for rows in batches]


def owner_of(name: str) -> str:
    """Who owns a parameter, for ``FlatParameters``: a task, or the encoder."""
    return name.split(".")[1] if name.startswith("heads.") else "encoder"


def optimizer_step(optimizer: FusedAdamW, parameters: list[nn.Parameter]) -> None:
    """Update the parameters. While a CUDA graph is captured, the host's part waits for the replay."""
    if not (parameters[0].is_cuda and torch.cuda.is_current_stream_capturing()):
        optimizer.advance(parameters)
    optimizer.apply(parameters)


class Workload:
    """A model in training mode with the encoded rows and labels of its tasks, on the device.

    ``load`` loads the encoder: all sides of a benchmark start from the same weights.
    """

    def __init__(
        self,
        load: LoadEncoder,
        datasets: Datasets,
        device: torch.device,
        precision: str = "float32",
        heads: Mapping[str, str] = HEADS,
        encoding: Mapping[str, Encoding] = ENCODING,
        pooling: str = "mean",
    ):
        limits = dict.fromkeys(datasets, MAX_LENGTH)
        torch.manual_seed(0)  # of the heads
        model = MultitaskModel(load(), [TASKS[task] for task in datasets], heads, encoding, limits, pooling)
        self.model, self.device, self.precision = model.to(device).train(), device, precision
        self.sequences = {task: model.encode_dataset(task, dataset).to(device) for task, dataset in datasets.items()}
        self.labels = {task: dataset.labels.to(device) for task, dataset in datasets.items()}

    def micro_batch(self, rows: Rows) -> MicroBatch:
        """The sequences of all tasks in one batch, and the labels."""
        batches = {task: self.sequences[task].batch(indices) for task, indices in rows.items()}
        if len(batches) == 1:  # nothing to join
            ((task, batch),) = batches.items()
            batch.slices = {task: slice(0, len(batch))}
        else:
            batch = PackedBatch.join(batches)
        labels = {task: self.labels[task][on_device(indices, self.device)] for task, indices in rows.items()}
        return MicroBatch(batch, labels, dict.fromkeys(rows, 1.0))

    def losses(self, micro_batch: MicroBatch) -> dict[str, Tensor]:
        """Each task's mean loss, in one forward pass for all of them."""
        assert isinstance(micro_batch.inputs, PackedBatch)
        with autocast(self.device, self.precision):
            return self.model.losses(micro_batch.inputs, micro_batch.labels)


class PackedStep(Workload):
    """A step of mtbert: packed batch, flat parameters, our AdamW; perhaps CUDA graphs and compiled layers."""

    def __init__(self, *workload, execution: Execution | None = None, **options):
        super().__init__(*workload, **options)
        self.execution = execution or Execution()
        self.prepare()

    def prepare(self) -> None:
        """Set up what the step needs, once the model is built."""
        self.flat = FlatParameters(self.model, owner_of)
        self.optimizer = FusedAdamW(self.flat.groups(WEIGHT_DECAY), lr=LR)
        self.runner = CUDAGraphRunner(self.sequences, self.labels) if self.execution.cuda_graphs else None
        if self.execution.compile:
            compile_layers(self.model.bert, dynamic=None if self.execution.cuda_graphs else True)

    def step(self, rows: Rows) -> None:
        """Train on these rows."""
        if self.runner is None:
            self.update([self.micro_batch(rows)])
        else:
            self.runner(rows, self.update, before_replay=self.before_replay)

    def update(self, micro_batches: Iterable[MicroBatch]) -> list[nn.Parameter]:
        (micro_batch,) = micro_batches
        parameters = self.gradient(micro_batch)
        optimizer_step(self.optimizer, parameters)
        return parameters

    def gradient(self, micro_batch: MicroBatch) -> list[nn.Parameter]:
        """Leave the gradient of the summed losses in the flat parameters."""
        return self.flat.backward(torch.stack(list(self.losses(micro_batch).values())).sum())

    def before_replay(self, parameters: list[nn.Parameter]) -> None:
        """The host's part of a captured step."""
        self.optimizer.advance(parameters)
