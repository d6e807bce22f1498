"""One run in several processes, each on a GPU (or some cores) of its own: ``torchrun -m mtbert train ...``.

Every process holds the whole model and reads its share of each step's rows. A task's loss is a mean over the rows of
the step; so if each process weighs the mean over its own rows by their share, the gradients of all add up to that of
the whole step. They are flat vectors: one all-reduce makes the sum, and all processes take the same step from there.
With surgery the rows of the Jacobian are summed instead, and every process finds the same Gramian in them.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mtbert.data.read import Rows
from mtbert.data.sampling import derived_seed
from mtbert.nn.losses import LOSSES
from mtbert.optim.flat import FlatParameters, GradientVector
from mtbert.training.recipe import Recipe
from mtbert.utils.device import get_device
from mtbert.utils.errors import UserError

TIMEOUT = timedelta(minutes=10)  # how long a process waits for the others before it takes them for lost


class PeerLostError(UserError):
    """Another process of the run ended, or does not answer."""


@dataclass(frozen=True)
class World:
    """This process's number among those of the run, from 0, and how many they are.

    A tensor on a GPU is summed by NCCL, in the queue of that GPU; one on the host by gloo. All methods but
    ``parts``, ``shard`` and ``device`` wait for the other processes, so all must call them, in the same order; a
    process that is alone gets back what it gave. Raise Deserted where the others do not answer.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.rank == 0

    def device(self, name: str | None) -> torch.device:
        """The device of that name (see ``get_device``); of several GPUs the one with this process's number on its
        machine."""
        if self.size == 1 or not torch.cuda.is_available() or not (name or "cuda").startswith("cuda"):
            return get_device(name)
        on = get_device(f"cuda:{os.environ.get('LOCAL_RANK', self.rank)}")
        torch.cuda.set_device(on)
        return on

    def refuse(self, recipe: Recipe) -> None:
        """Raises UserError for a recipe with a loss that is no sum over the rows of a step."""
        ranked = [name for name in recipe.tasks if LOSSES[recipe.loss[name]].ranks]
        if self.size > 1 and ranked:
            raise UserError(
                f"loss.{ranked[0]}: {recipe.loss[ranked[0]]!r} compares the rows of a step, which "
                f"{self.size} processes share out: train in one process"
            )
        if self.size > 1 and recipe.loss_weighting == "famo":
            raise UserError(
                f"famo weighs the losses of whole steps, which {self.size} processes share out: train in one process"
            )

    # -- what is shared out -------------------------------------------------------------------------------------------

    def parts(self, each: int) -> range:
        """Which parts of a step are this process's, when all have so many each."""
        return range(self.rank, each * self.size, self.size)

    def shard(self, rows: Rows) -> Rows:
        """Every ``size``-th row, from this process's own number on."""
        return rows if self.size == 1 else replace(rows, examples=rows.examples[self.rank :: self.size])

    def together(self, mine: Tensor | None, rows: int, width: int) -> Tensor:
        """(rows, width) on the host, of all rows in order, from what each process found for its ``shard`` of them."""
        if self.size == 1:
            return mine
        whole = torch.zeros(rows, width)
        if mine is not None:
            whole[self.rank :: self.size] = mine
        return self.sum(whole)

    # -- what is agreed on --------------------------------------------------------------------------------------------

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors, put in the place of this one's."""
        return self._reduced(tensor, dist.ReduceOp.SUM)

    def any(self, asked: bool) -> bool:
        """Whether it is so in any process."""
        return asked if self.size == 1 else bool(self._reduced(torch.tensor(int(asked)), dist.ReduceOp.MAX))

    def total(self, numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sums of named scalars; the names must be the same everywhere."""
        if self.size == 1:
            return dict(numbers)
        return dict(zip(numbers, self.sum(torch.stack(list(numbers.values()))).unbind(), strict=True))

    def assert_same_step(self, step: int) -> None:
        """Raises UserError unless all processes are at this step: they go on from the same checkpoint."""
        ends = self._reduced(torch.tensor([step, -step]), dist.ReduceOp.MAX)
        if ends[0] != -ends[1]:
            raise UserError(
                f"the processes found checkpoints of steps {-ends[1]} to {ends[0]}: all must see the same run folder"
            )

    def _reduced(self, tensor: Tensor, how: dist.ReduceOp) -> Tensor:
        if self.size > 1:
            try:
                dist.all_reduce(tensor, how)
            except RuntimeError:  # gloo: the connection is closed, or the time is over
                minutes = TIMEOUT.seconds // 60
                raise PeerLostError(
                    f"process {self.rank}: another of the {self.size} processes ended, or did not answer for {minutes} "
                    "minutes: the same command goes on from the last checkpoint"
                ) from None
        return tensor

    # -- chance -------------------------------------------------------------------------------------------------------

    def seed_per_rank(self, seed: int, step: int) -> None:
        """From here on chance (dropout) is this process's own. It depends on nothing but seed, step and number, so
        that a run may go on in another number of processes. One that is alone draws on as it did."""
        if self.size > 1:
            torch.manual_seed(derived_seed(seed, "process", step, self.rank))

    def seed_shared(self, seed: int, step: int) -> None:
        """From here on chance is the same in all processes."""
        if self.size > 1:
            torch.manual_seed(derived_seed(seed, "processes", step))


ALONE = World()


class Exchange:
    """Makes one gradient of those that several processes have of their rows of a step."""

    def __init__(self, world: World, flat: FlatParameters, model: nn.Module):
        self.world, self.flat = world, flat
        embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding) and module.sparse]
        self.as_rows = {flat.names[module.weight] for module in embeddings if module.weight in flat.names}
        self.known: dict[tuple[str, ...], set[str]] = {}

    def all_reduce_gradients(self, gradients: Mapping[tuple[str, ...], GradientVector]) -> None:
        """Put the sum over all processes into each vector. A process that has no rows of a step takes part with zeros.

        gradients: by the tasks whose losses a vector holds the gradient of, the same in all processes.
        """
        if self.world.size == 1:
            return
        for tasks, vector in gradients.items():
            for name, where in self.flat.slices.items():
                if name not in vector.reached:  # what stands there is of an earlier step
                    vector.values[where] = 0
            if tasks not in self.known:
                self.known[tasks] = self._reached_anywhere(vector)
            self.world.sum(vector.values)
            vector.reached |= self.known[tasks]
            for name in self.as_rows & vector.reached:
                place = self.flat.slices[name]
                vector.rows[name] = vector.values[place].view(self.flat.shapes[name]).any(1).nonzero().squeeze(1)

    def _reached_anywhere(self, vector: GradientVector) -> set[str]:
        """Names of the parameters that the step reached in any process. Which ones depends on its tasks alone, so that
        this is asked once for each set of them."""
        names = list(self.flat.slices)
        found = torch.tensor([float(name in vector.reached) for name in names])
        return {name for name, count in zip(names, self.world.sum(found).tolist(), strict=True) if count}


def process_number() -> int:
    """This process's number among those that a launcher started together; 0 if it is alone."""
    return int(os.environ.get("RANK", "0")) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0


@contextmanager
def processes(device: str | None = None) -> Iterator[World]:
    """The processes that a launcher such as torchrun started together (it says so in RANK, WORLD_SIZE, MASTER_ADDR and
    MASTER_PORT), as long as the block runs; alone if there are no others.

    What ends the block in one process ends it in all; of a failure only the first process that has one speaks, and
    the others exit.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"WORLD_SIZE is {size}, but the processes cannot meet ({error}): start them with torchrun, or "
            "unset WORLD_SIZE"
        ) from None
    backend = "cpu:gloo,cuda:nccl" if get_device(device).type == "cuda" else "gloo"
    dist.init_process_group(
        backend, store=dist.PrefixStore("mtbert", store), rank=rank, world_size=size, timeout=TIMEOUT
    )
    world = World(rank, size)
    try:
        yield world
    except Exception as error:
        if not _speaks(store, error, rank):
            sys.exit(getattr(error, "exit_code", 1))
        raise
    else:
        world.any(False)  # what the first one writes is written before any other goes on
        dist.destroy_process_group()


def _speaks(store: dist.Store, error: Exception, rank: int) -> bool:
    """Whether it falls to this process to say what happened."""
    if getattr(error, "exit_code", 1) != 1:  # stopped on purpose, everywhere at once
        return rank == 0
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:  # the store went with the first process
        return True
