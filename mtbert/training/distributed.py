"""One run in several processes, each on a GPU (or some CPU cores) of its own: ``torchrun -m mtbert train ...``.

Every process holds the whole model and reads its part of each step's rows. A task's loss is a mean over the rows of the
step; so if each process weights the mean over its own rows by their share of the step, the gradients of all processes
add up to that of the whole step. With surgery the rows of the Jacobian are summed instead.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mtbert.data.batch_samplers import derived_seed
from mtbert.data.read import Rows
from mtbert.nn.losses import LOSSES
from mtbert.optim.flat import FlatParameters, GradientVector
from mtbert.training.recipe import Recipe
from mtbert.utils.device import get_device
from mtbert.utils.environment import env_integer
from mtbert.utils.errors import UserError

TIMEOUT = timedelta(minutes=10)  # how long a process waits for the others before it gives them up


class PeerLostError(UserError):
    """Another process of the run ended, or does not answer."""


@dataclass(frozen=True)
class World:
    """This process's rank, and the number of processes.

    A tensor on a GPU is reduced by NCCL, one on the CPU by gloo. ``gather``, ``all_reduce``, ``any`` and
    ``assert_same_step`` wait for the other processes, so all must call them in the same order; they raise PeerLostError
    if another process does not answer.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:  # the one process that writes files and logs
        return self.rank == 0

    def device(self, name: str | None) -> torch.device:
        """The device of that name (see ``get_device``); of several GPUs the one of this process's local rank."""
        if self.size == 1 or not torch.cuda.is_available() or not (name or "cuda").startswith("cuda"):
            return get_device(name)
        device = get_device(f"cuda:{env_integer('LOCAL_RANK', self.rank)}")
        torch.cuda.set_device(device)
        return device

    def check_supported(self, recipe: Recipe) -> None:
        """Raise UserError for a recipe with a loss that is not a sum over the rows of a step."""
        ranking = [name for name in recipe.tasks if LOSSES[recipe.loss[name]].ranks]
        if self.size > 1 and ranking:
            reason = f"compares the rows of a step, but {self.size} processes split them"
            raise UserError(f"loss.{ranking[0]}: {recipe.loss[ranking[0]]!r} {reason}: train in one process")

    def shard(self, rows: Rows) -> Rows:
        """Every ``size``-th row, from this process's rank on."""
        return rows if self.size == 1 else replace(rows, examples=rows.examples[self.rank :: self.size])

    def gather(self, shard: Tensor | None, rows: int, width: int) -> Tensor:
        """All rows in order, (rows, width) on the CPU, from what each process computed for its ``shard``, if any."""
        if self.size == 1 and shard is not None:
            return shard
        whole = torch.zeros(rows, width)
        if shard is not None:
            whole[self.rank :: self.size] = shard
        return self.all_reduce(whole)

    def all_reduce(self, tensor: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
        """Reduce a tensor over all processes, in place."""
        if self.size > 1:
            try:
                dist.all_reduce(tensor, operation)
            except RuntimeError:  # gloo: the connection is closed, or the time is up
                raise PeerLostError(
                    f"process {self.rank}: another of the {self.size} processes ended or did not answer for "
                    f"{TIMEOUT.seconds // 60} minutes: the same command resumes from the last checkpoint"
                ) from None
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return flag if self.size == 1 else bool(self.all_reduce(torch.tensor(int(flag)), dist.ReduceOp.MAX))

    def assert_same_step(self, step: int) -> None:
        """Raise UserError unless all processes resume at this step, that is, from the same checkpoint."""
        ends = self.all_reduce(torch.tensor([step, -step]), dist.ReduceOp.MAX)
        if ends[0] != -ends[1]:
            raise UserError(
                f"the processes found checkpoints of steps {-ends[1]} to {ends[0]}: all must see the same run folder"
            )

    def seed_per_rank(self, seed: int, step: int) -> None:
        """Give each process random numbers (dropout) that depend on seed, step and rank alone, so that a run may resume
        in another number of processes. A single process continues its stream."""
        if self.size > 1:
            torch.manual_seed(derived_seed(seed, "process", step, self.rank))

    def seed_shared(self, seed: int, step: int) -> None:
        """Give all processes the same random numbers. A single process continues its stream."""
        if self.size > 1:
            torch.manual_seed(derived_seed(seed, "processes", step))


ALONE = World()


class Exchange:
    """Sums the gradients that several processes have of their rows of a step."""

    def __init__(self, world: World, flat: FlatParameters, model: nn.Module):
        self.world, self.flat = world, flat
        embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding) and module.sparse]
        self.sparse = {flat.names[module.weight] for module in embeddings if module.weight in flat.names}
        self._has_grad: dict[tuple[str, ...], set[str]] = {}

    def all_reduce_gradients(self, gradients: Mapping[tuple[str, ...], GradientVector]) -> None:
        """Sum each vector, named by the tasks whose losses it is the gradient of, over all processes, in place.

        A process without rows in this step contributes zeros.
        """
        if self.world.size == 1:
            return
        for tasks, vector in gradients.items():
            for name, where in self.flat.slices.items():
                if name not in vector.has_grad:  # its values are of an earlier step
                    vector.values[where] = 0
            if tasks not in self._has_grad:
                self._has_grad[tasks] = self._names_with_grad(vector)
            self.world.all_reduce(vector.values)
            vector.has_grad |= self._has_grad[tasks]
            for name in self.sparse & vector.has_grad:
                values = vector.values[self.flat.slices[name]].view(self.flat.shapes[name])
                vector.rows[name] = values.any(1).nonzero().squeeze(1)

    def _names_with_grad(self, vector: GradientVector) -> set[str]:
        """Names of the parameters that have a gradient in any process. They depend on the step's tasks alone, so
        this is computed once for each set of tasks."""
        names = list(self.flat.slices)
        counts = self.world.all_reduce(torch.tensor([float(name in vector.has_grad) for name in names]))
        return {name for name, count in zip(names, counts.tolist(), strict=True) if count}


def process_rank() -> int:
    """This process's rank among those that a launcher started together; 0 for a single process."""
    return env_integer("RANK", 0) if env_integer("WORLD_SIZE", 1) > 1 else 0


@contextmanager
def process_group(device: str | None = None) -> Iterator[World]:
    """Connect the processes that a launcher such as torchrun started together, for as long as the block runs.

    The launcher sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT; without them this process is alone. An exception in
    one process ends the block in all; only the first process that fails raises it, and the others exit.
    """
    size = env_integer("WORLD_SIZE", 1)
    if size == 1:
        yield ALONE
        return
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
    except (ValueError, RuntimeError) as error:
        action = "start them with torchrun, or unset WORLD_SIZE"
        raise UserError(f"WORLD_SIZE is {size}, but the processes cannot connect ({error}): {action}") from None
    backend = "cpu:gloo,cuda:nccl" if get_device(device).type == "cuda" else "gloo"
    prefixed = dist.PrefixStore("mtbert", store)
    dist.init_process_group(backend, store=prefixed, rank=rank, world_size=size, timeout=TIMEOUT)
    world = World(rank, size)
    try:
        yield world
    except Exception as error:
        if not _reports(store, error, rank):
            sys.exit(getattr(error, "exit_code", 1))
        raise
    else:
        world.any(False)  # a barrier: the main process has written its files before any other continues
        dist.destroy_process_group()
        time.sleep(0.2)  # gloo's thread releases the last tensor, for which it needs the GIL: at exit that would abort


def _reports(store: dist.Store, error: Exception, rank: int) -> bool:
    """Whether it is up to this process to report the error."""
    if getattr(error, "exit_code", 1) != 1:  # stopped on purpose, in all processes at once
        return rank == 0
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:  # the store ended with the main process
        return True
