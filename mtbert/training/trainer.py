"""The one training loop: ``train(recipe)``.

A run can be stopped at any moment, by Ctrl-C or by losing power, and goes on when it is started again: on a CPU it ends
with the same weights, bit for bit, as one that was never stopped.
"""

import dataclasses
import itertools
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.batch import PackedBatch, StaticBatch, on_device
from mtbert.data.read import Rows, data_folder
from mtbert.data.sampling import SAMPLERS, SamplerConfig, Step
from mtbert.nn.flops import device_mfu, training_flops
from mtbert.nn.losses import LOSSES
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder
from mtbert.optim import (
    AdamW,
    Conflicts,
    FlatParameters,
    GradientVector,
    Surgery,
    TaskPermutations,
    build_loss_weighting,
    build_weighting,
    learning_rate_factor,
)
from mtbert.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from mtbert.training.cuda_graphs import CUDAGraphRunner, Execution, unsupported_reason
from mtbert.training.dataset import TaskDataset, read_tasks, task_batch_sampler
from mtbert.training.distributed import ALONE, Exchange, World, processes
from mtbert.training.evaluation import overall, score, write_predictions
from mtbert.training.interrupt import Interrupted, graceful_interrupt
from mtbert.training.recipe import Recipe
from mtbert.training.run import Run, build_model, check_same_recipe, read_run, recipe_encoder, save_model
from mtbert.training.state import give_back, state_of
from mtbert.utils import paths
from mtbert.utils.device import autocast, environment_info, peak_memory_mb, seed_everything
from mtbert.utils.errors import UserError
from mtbert.utils.files import LOCK, folder_lock, remove_parts, write_json
from mtbert.utils.logging import logger, verbosity

CHECKPOINT_SECONDS = 120.0
_REFRESH_SECONDS = 0.5


def train(
    recipe: Recipe,
    out: str | Path | None = None,
    data: str | Path | None = None,
    device: str | None = None,
    progress: bool = True,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    execution: Execution | None = None,
) -> Run:
    """Train a model, or go on with a run that was stopped, and return its record.

    out: the run's folder (default: runs/NAME-sSEED). A finished run of
    the same recipe and data is returned as it is; an unfinished one is resumed. data: the data folder (see
    ``data_folder``). device: "cpu", "cuda" ... checkpoint_seconds: at most so much work is lost
    when the process dies (0: a checkpoint every step). execution: what makes steps cheaper on a GPU (see
    ``Execution``; default: what ``$MTBERT_EXECUTION`` asks for). Several processes that torchrun started train one
    model together (see ``mtbert.training.distributed``).

    Raises UserError for bad input, a folder that holds a run of another recipe or other data, or that another process
    is training in, or a loss that is not a number. On Ctrl-C raises ``Interrupted`` after writing a checkpoint.
    """
    if not isinstance(recipe, Recipe):
        raise UserError(f"recipe is {recipe!r}, but must be a Recipe: give mtbert.recipe({str(recipe)!r})")
    out = Path(out) if out else paths.RUNS / f"{recipe.name.replace('/', '-')}-s{recipe.seed}"
    folder = data_folder(data)
    with processes(device) as world, nullcontext() if world.first else verbosity("error"):
        world.refuse(recipe)
        logger.info(f"data: {paths.shown(folder)}")
        earlier = _earlier_run(out, recipe)
        if earlier is not None and earlier.finished:
            if other := earlier.changed_files(folder):
                raise UserError(
                    f"{out} was trained on other data than {folder} has in {', '.join(other)}: choose another folder"
                )
            logger.info(f"{paths.shown(out)} is finished: nothing to do")
            return earlier
        progress = progress and world.first and not os.environ.get("TQDM_DISABLE")
        trainer = Trainer(recipe, out, folder, world.device(device), progress, world, execution)
        with folder_lock(out) if world.first else nullcontext(), graceful_interrupt() as interrupted:
            return trainer.run(checkpoint_seconds, interrupted)


class Trainer:
    """One run: its data, model, optimiser and place in the schedule."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        folder: Path,
        device: torch.device,
        progress=True,
        world: World = ALONE,
        execution: Execution | None = None,
    ):
        self.execution = execution or Execution.from_env()
        self.started = time.monotonic()
        self.world = world
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)  # an earlier run's peak is not this one's
        self.recipe, self.out, self.device, self.progress = recipe, out, device, progress
        self.rows = read_tasks(recipe, folder)
        seed_everything(recipe.seed)
        encoder = recipe_encoder(recipe)
        for note in encoder.notes:
            logger.info(f"encoder {recipe.encoder}: {note}")
        self.model = build_model(recipe, encoder).to(device)
        self.record = self._new_record(encoder)
        self.sources = {name: self._source(rows["train"]) for name, rows in self.rows.items()}
        shards = {name: world.shard(rows["dev"]) for name, rows in self.rows.items() if "dev" in rows}
        self.dev = {name: self._source(shard) for name, shard in shards.items() if len(shard)}

        _freeze(self.model, recipe)
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise UserError("nothing to train: the encoder is frozen (trainable=heads) and the heads have no weights")
        squared = [
            task.name
            for task in recipe.task_list
            if task.kind == "regression" and recipe.loss[task.name] in ("default", "mse")
        ]
        self.loss_weighting = build_loss_weighting(recipe.loss_weighting, recipe.tasks, squared).to(device)
        self.model.add_module("loss_weighting", self.loss_weighting)  # what it learns is trained with the rest
        self.flat = FlatParameters(self.model, owner=_owner)
        self.exchange = Exchange(world, self.flat, self.model)
        self.record["trainable_parameters"] = len(self.flat)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.orders = TaskPermutations(self.generator)  # random ones, of surgery
        self.surgery = self._surgery() if recipe.surgery != "none" else None
        owners = recipe.tasks if recipe.optimizer_state == "per_task" else ("all",)
        self.optimizers = {name: AdamW(self.flat.groups(recipe.weight_decay), lr=recipe.lr) for name in owners}
        counts = {name: len(source) for name, source in self.sources.items()}
        pace = SamplerConfig(recipe.epochs, recipe.steps_per_epoch, recipe.temperature, recipe.oversample)
        orders = {name: task_batch_sampler(source, recipe) for name, source in self.sources.items()}
        self.sampler = SAMPLERS[recipe.sampler](counts, recipe.batch_size, recipe.seed, pace, orders)
        self.epoch_steps = recipe.steps_per_epoch or self.sampler.steps_per_epoch
        self.total_steps = recipe.epochs * self.epoch_steps
        self.task_steps = self._steps_of_tasks() if recipe.optimizer_state == "per_task" else {}
        self.fixed_steps = self._fixed_steps()
        self.loss_sums, self.noted = self._no_losses(), self._no_losses()  # of an epoch; of a step, in this process
        self.step = 0  # the next one
        self.seconds = 0.0  # in earlier sittings
        self._begin_epoch()

    # -- the loop -------------------------------------------------------------------------------------------------

    def run(self, checkpoint_seconds: float, interrupted: Callable[[], bool]) -> Run:
        self._go_on()
        self.world.assert_same_step(self.step)
        if self.world.first:
            remove_parts(self.out)
            Run(self.out, self.record).write()  # first: it is what tells a run's folder from any other
            write_json(self.out / "recipe.json", self.recipe.as_dict())
        saved = time.monotonic()
        with self._bar() as bar:
            for step in self.sampler.steps(self.step):
                if step.number >= self.total_steps:
                    break
                self._train_step(step)
                self.step += 1
                self._show(bar)
                if self.step % self.epoch_steps == 0:
                    self._end_epoch()
                stopping = self.world.any(interrupted())
                if stopping or time.monotonic() - saved >= checkpoint_seconds:
                    if self.world.first:
                        save_checkpoint(self.out, self.step, *state_of(self))
                    saved = time.monotonic()
                if stopping and self.step < self.total_steps:
                    raise Interrupted(
                        f"stopped after step {self.step} of {self.total_steps}: the same command goes on from there"
                    )
        return self._finish()

    def _go_on(self) -> None:
        """Take up the newest checkpoint, if the folder holds one."""
        found = load_checkpoint(self.out)
        if found is not None:
            give_back(self, *found)
            self._look_back()
            logger.info(f"going on after step {self.step} of {self.total_steps}")

    def _surgery(self) -> Surgery:
        tasks = list(self.recipe.tasks)
        weighting = build_weighting(self.recipe.surgery, len(tasks), self.recipe.surgery_beta, self.orders)
        return Surgery(self.flat, tasks, weighting, self.recipe.granularity)

    def _train_step(self, step: Step) -> None:
        if not self.model.training:  # going through all modules takes as long as a part of a small step
            self.model.train()
        self.world.seed_per_rank(self.recipe.seed, step.number)
        owner, number, total = self._place_in_schedule(step)
        factor = learning_rate_factor(number, total, self.recipe.warmup_ratio, self.recipe.lr_schedule)
        optimizer = self.optimizers[owner]
        for group in optimizer.param_groups:
            group["lr"] = self.recipe.lr * factor
        if self.fixed_steps is None:
            self._update(step, optimizer)
        else:
            self._update_in_place(step, owner)
        if self.surgery:
            self.conflicts.note(self.surgery)
        if getattr(self.loss_weighting, "looks_again", False):
            with torch.no_grad():
                self.loss_weighting.after(self._losses(step.rows))
        for name, loss in self.world.total(self.noted).items():
            self.loss_sums[name] += loss
        for noted in self.noted.values():
            noted.zero_()  # in its place: a recorded step adds to it
        for name, rows in step.rows.items():
            self.loss_counts[name] += 1
            self.examples += len(rows)
            lengths = self.sources[name].lengths(rows)
            self.tokens += int(lengths.sum())
            if self.recipe.trainable == "all":  # else there is less to do on the way back
                self.flops += training_flops(self.model.encoder.config, lengths.tolist())

    def _place_in_schedule(self, step: Step) -> tuple[str, int, int]:
        """Whose optimiser takes this step, which of its steps this is (from 0), and how many it will take."""
        if not self.task_steps:
            return "all", step.number, self.total_steps
        (task,) = step.rows
        return task, step.turns[task], self.task_steps[task]

    def _steps_of_tasks(self) -> Counter[str]:
        """How many steps of the run each task takes part in."""
        plan = itertools.chain.from_iterable(self.sampler.epoch(number) for number in itertools.count())
        return Counter(task for tasks in itertools.islice(plan, self.total_steps) for task in tasks)

    def _update(
        self, step: Step, optimizer: AdamW, fixed: tuple[StaticBatch, dict[str, Tensor]] | None = None, recording=False
    ) -> list[torch.nn.Parameter]:
        """The gradient of a step, and what the optimiser makes of it; returns the segments that were reached.

        fixed: the step's batch and labels, if they lie on the device already. recording: the host's part of the
        optimiser is left to whoever plays the recording.
        """
        gradient = self._gradient_of_sum if self.surgery is None else self._gradient_by_surgery
        reached = gradient(step, fixed)
        if self.recipe.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(reached, self.recipe.max_grad_norm)
        if not recording:
            optimizer.advance(reached)
        optimizer.apply(reached)
        return reached

    def _update_in_place(self, step: Step, owner: str) -> None:
        """As ``_update``, with the step in a fixed shape; on a GPU it is recorded, and soon only played again."""
        optimizer = self.optimizers[owner]

        def compute(batch: StaticBatch, labels: dict[str, Tensor], recording: bool):
            reached = self._update(step, optimizer, (batch, labels), recording)
            return reached, self.surgery and self.surgery.last

        def before(found) -> None:
            reached, met = found
            optimizer.advance(reached)
            if met:
                self.orders.redraw(len(met.taking_part), self.device)

        _, met = self.fixed_steps(step.rows, owner, compute, before)
        if self.surgery:
            self.surgery.last = met

    def _fixed_steps(self) -> CUDAGraphRunner | None:
        """What carries out steps of fixed shapes, if they were asked for and this recipe can have them."""
        if self.execution.compile and self.surgery:
            logger.info("layers are not compiled: surgery looks into them")
        elif self.execution.compile:
            self.model.bert.compile_layers(dynamic=None if self.execution.cuda_graphs else True)
        if not self.execution.cuda_graphs:
            return None
        reason = unsupported_reason(self.recipe, self.model, self.world)
        if reason:
            logger.info(f"steps are not recorded: {reason}")
            return None
        labels = {name: source.labels.to(self.device) for name, source in self.sources.items()}
        return CUDAGraphRunner({name: source.sequences for name, source in self.sources.items()}, labels)

    def _gradient_of_sum(self, step: Step, fixed=None) -> list[torch.nn.Parameter]:
        """One forward for all tasks, one backward of their summed losses; returns the segments that were reached."""
        self.flat.vector.start()
        for rows in self._parts(step.rows):
            losses = self._losses(rows, fixed)
            shares = {name: len(rows[name]) / len(step.rows[name]) for name in rows}
            self._note_losses(losses, shares)
            weighted = self.loss_weighting(losses)
            self.flat.add(torch.stack([shares[name] * loss for name, loss in weighted.items()]).sum(), self.flat.vector)
        self._add_up(step, {tuple(step.rows): self.flat.vector})
        return self.flat.assign_grads()

    def _gradient_by_surgery(self, step: Step, fixed=None) -> list[torch.nn.Parameter]:
        """As ``_gradient_of_sum``, with the tasks told apart on the way back, and surgery on what they share."""
        self.surgery.start()
        for rows in self._parts(step.rows):
            losses = self._losses(rows, fixed)
            shares = {name: len(rows[name]) / len(step.rows[name]) for name in rows}
            self._note_losses(losses, shares)
            self.surgery.backward({name: shares[name] * loss for name, loss in losses.items()})
        self._add_up(step, {(task,): self.surgery.rows[task] for task in step.rows})
        try:
            return self.surgery.finish()
        except FloatingPointError as error:
            raise UserError(f"step {step.number + 1}: {error}: lower lr, now {self.recipe.lr:g}") from None

    def _add_up(self, step: Step, gradients: Mapping[tuple[str, ...], GradientVector]) -> None:
        """Make this process's gradients those of the whole step."""
        self.exchange.all_reduce_gradients(gradients)
        self.world.seed_shared(self.recipe.seed, step.number)

    def _parts(self, rows: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """This process's rows of a step, in as many parts as the recipe accumulates; a part may have none."""
        parts = self.recipe.gradient_accumulation_steps * self.world.size
        split = {name: of_task.tensor_split(parts) for name, of_task in rows.items()}
        for number in self.world.parts(self.recipe.gradient_accumulation_steps):
            part = {name: pieces[number] for name, pieces in split.items() if len(pieces[number])}
            if part:
                yield part

    def _losses(self, rows: Mapping[str, Tensor], fixed=None) -> dict[str, Tensor]:
        """Each task's mean loss over some rows. fixed: their batch and labels, if they lie on the device already."""
        with autocast(self.device, self.recipe.precision):
            if self.recipe.trainable == "heads":
                vectors = {name: self.sources[name].cached(of_task) for name, of_task in rows.items()}
                return self.model.losses_of(vectors, self._labels(rows))
            batch, labels = fixed or (self._packed(rows), self._labels(rows))
            with self.surgery.per_task_gradients(batch) if self.surgery else nullcontext():
                return self.model.losses(batch, labels)

    def _packed(self, rows: Mapping[str, Tensor]) -> PackedBatch:
        return PackedBatch.join({name: self.sources[name].sequences.batch(of_task) for name, of_task in rows.items()})

    def _labels(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: on_device(self.sources[name].labels[of_task], self.device) for name, of_task in rows.items()}

    def _note_losses(self, losses: Mapping[str, Tensor], shares: Mapping[str, float]) -> None:
        for name, loss in losses.items():
            self.noted[name] += shares[name] * loss.detach().double()

    # -- epochs ---------------------------------------------------------------------------------------------------

    def _begin_epoch(self) -> None:
        for total in (*self.loss_sums.values(), *self.noted.values()):
            total.zero_()
        self.loss_counts = dict.fromkeys(self.sources, 0)
        self.examples = self.tokens = self.flops = 0
        self.conflicts = Conflicts(list(self.recipe.tasks))
        self._look_back()
        self.epoch_seconds = 0.0  # in earlier sittings
        self.epoch_started = time.monotonic()

    def _no_losses(self) -> dict[str, Tensor]:
        return {name: torch.zeros((), dtype=torch.float64, device=self.device) for name in self.sources}

    def _look_back(self) -> None:
        """Let a weighting that goes by the epochs so far see them."""
        if hasattr(self.loss_weighting, "look_back"):
            self.loss_weighting.look_back([epoch["losses"] for epoch in self.record["epochs"]])

    def _end_epoch(self) -> None:
        """Score the dev sets, note the epoch, and keep its weights if it is the best so far or cannot be scored."""
        losses = self._mean_losses()
        try:
            conflicts = self.conflicts.summary()
        except FloatingPointError as error:
            raise UserError(f"step {self.step}: {error}: lower lr, now {self.recipe.lr:g}") from None
        spent = self.epoch_seconds + time.monotonic() - self.epoch_started
        logits = self._dev_outputs()
        for name, out in logits.items():
            if not out.isfinite().all():
                raise UserError(
                    f"{name} has predictions that are no numbers by step {self.step}: lower lr, now {self.recipe.lr:g}"
                )
        scores = {
            name: score(self.rows[name]["dev"].task, out, self.rows[name]["dev"].labels) for name, out in logits.items()
        }
        scores |= overall(scores)
        number = self.step // self.epoch_steps
        self.record["epochs"].append(
            {
                "epoch": number,
                "step": self.step,
                "losses": losses,
                "scores": scores,
                "seconds": round(spent, 2),
                "examples": self.examples,
                "examples_per_second": round(self.examples / spent, 1),
                "tokens_per_second": round(self.tokens / spent, 1),
                "mfu": device_mfu(self.flops / self.world.size, spent, self.device) if self.flops else None,
                **({"surgery": conflicts} if self.surgery else {}),
            }
        )
        best = self.record["best_epoch"]
        if not best or not logits or scores["plain"] > self.record["epochs"][best - 1]["scores"]["plain"]:
            self.record["best_epoch"] = number
            if self.world.first:
                save_model(self.model, self.recipe, self.out)
                for name, out in logits.items():
                    write_predictions(self.out / "predictions" / f"{name}-dev.csv", self.rows[name]["dev"], out)
        self._note_cost()
        if self.world.first:
            Run(self.out, self.record).write()
        figures = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        means = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
        logger.info(f"epoch {number}/{self.recipe.epochs}: loss {means}; dev {figures}; {spent:.0f} s")
        self._begin_epoch()

    def _dev_outputs(self) -> dict[str, Tensor]:
        self.model.eval()
        total = sum(len(source) for source in self.dev.values())
        bar = tqdm(total=total, desc="dev", unit="row", leave=False, disable=not self.progress)
        with bar, torch.no_grad(), autocast(self.device, self.recipe.precision):
            mine = {name: source.logits(bar.update) for name, source in self.dev.items()}
        dev = {name: rows["dev"] for name, rows in self.rows.items() if "dev" in rows}
        return {
            name: self.world.together(mine.get(name), len(rows), rows.task.num_outputs) for name, rows in dev.items()
        }

    def _mean_losses(self) -> dict[str, float]:
        """Mean training loss per task so far in this epoch. Raises UserError at one that is not a number."""
        counted = {name: count for name, count in self.loss_counts.items() if count}
        means = {name: float(self.loss_sums[name]) / count for name, count in counted.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise UserError(f"the loss of {name} is {mean} by step {self.step}: lower lr, now {self.recipe.lr:g}")
        return means

    def _finish(self) -> Run:
        self.record["status"] = "finished"
        self._note_cost()
        run = Run(self.out, self.record)
        if self.world.first:
            run.write()
            for path in checkpoints(self.out):
                path.unlink()
        return run

    # -- records and progress ---------------------------------------------------------------------------------------

    def _new_record(self, encoder: Encoder) -> dict:
        files = {
            rows.path.name: {
                "task": name,
                "split": split,
                "sha256": rows.sha256,
                "rows": len(rows),
                "unlabelled": rows.unlabelled,
                "overlaps": dict(rows.overlaps),
                "copies": rows.copies,
            }
            for name, splits in self.rows.items()
            for split, rows in splits.items()
        }
        return {
            "status": "unfinished",
            "recipe": self.recipe.as_dict(),
            "data": files,
            "encoder_sha256": encoder.sha256,
            "encoder_stored": encoder.stored,
            **environment_info(self.device),
            "world_size": self.world.size,
            "execution": dataclasses.asdict(self.execution),
            "epochs": [],
            "best_epoch": 0,
            "seconds": 0.0,
            "peak_memory_mb": None,
        }

    def _note_cost(self) -> None:
        self.record["seconds"] = round(self.seconds + time.monotonic() - self.started, 1)
        self.record["peak_memory_mb"] = peak_memory_mb(self.device)

    def _source(self, rows: Rows) -> TaskDataset:
        return TaskDataset.of(rows, self.model, self.recipe, self.progress)

    def _bar(self) -> tqdm:
        return tqdm(
            total=self.total_steps, initial=self.step, desc=self.recipe.name, unit="step", disable=not self.progress
        )

    def _show(self, bar: tqdm) -> None:
        bar.update()
        now = time.monotonic()
        if not bar.disable and now - getattr(bar, "shown", 0.0) >= _REFRESH_SECONDS:
            bar.shown = now
            bar.set_postfix({name: f"{mean:.3f}" for name, mean in self._mean_losses().items()}, refresh=False)


def _freeze(model: MultitaskModel, recipe: Recipe) -> None:
    """Leave only what the recipe trains with a gradient."""
    model.bert.requires_grad_(recipe.trainable == "all")
    model.bert.pooler.requires_grad_(recipe.trainable == "all" and recipe.pooling == "pooler")
    if recipe.trainable == "adapters_and_norms":
        for norm in model.norms().values():
            norm.requires_grad_(True)
    for task in recipe.tasks:
        if LOSSES[recipe.loss[task]].input_kind == "pair" and not recipe.smart_weight[task]:
            model.heads[task].requires_grad_(False)  # its loss reads vectors: no gradient ever reaches the head


def _owner(name: str) -> str:
    """ "encoder" for what all tasks share, else the task whose head, adapter or weight of its loss it is."""
    of, *parts = name.split(".")
    return {"heads": parts[0], "adapters": parts[0], "loss_weighting": parts[-1]}.get(of, "encoder")


def _earlier_run(out: Path, recipe: Recipe) -> Run | None:
    """The run that ``out`` holds already, if any; UserError if it is of another recipe or no run at all."""
    earlier = read_run(out)
    if earlier is not None:
        check_same_recipe(recipe, earlier.recipe, out)
    elif out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: choose a folder")
    elif out.exists() and not checkpoints(out) and any(not _ours(path.name) for path in out.iterdir()):
        raise UserError(f"{out} is not empty and holds no run: choose another folder")
    return earlier


def _ours(name: str) -> bool:
    """Whether a run leaves a file of this name in its folder before its record stands there."""
    return name == LOCK or name.startswith("run.json.")
