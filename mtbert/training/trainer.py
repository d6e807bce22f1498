"""The training loop: ``train(recipe)``, and the ``Trainer`` whose ``train_step`` is one optimizer step.

A run can be stopped at any moment, by Ctrl-C or by a power cut, and resumes when it is started again. On a CPU it ends
with the same weights, bit for bit, as a run that was never stopped. ``Trainer.state_dict`` is what a checkpoint holds,
``Trainer.run`` loads the newest one, and ``mtbert.training.checkpoint`` reads and writes the files.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from mtbert.data.batch import PackedBatch
from mtbert.data.read import Rows, data_folder
from mtbert.data.sampling import SAMPLERS, SamplerConfig, Step
from mtbert.optim import FlatParameters, TaskPermutations, WeightAverage
from mtbert.training.build import build_model, freeze
from mtbert.training.checkpoint import complete_state, load_checkpoint, remove_checkpoints, save_checkpoint
from mtbert.training.cuda_graphs import Execution, build_runner
from mtbert.training.dataset import MicroBatch, TaskDataset, read_tasks, task_batch_sampler
from mtbert.training.distributed import ALONE, Exchange, World, process_group
from mtbert.training.evaluation import DevSets, score_all, write_predictions
from mtbert.training.gradients import Gradient, SummedLoss, SurgeryGradient, recipe_loss_weighting, recipe_surgery
from mtbert.training.interrupt import Interrupted, graceful_interrupt
from mtbert.training.meters import Meters, Stopwatch
from mtbert.training.optimizers import ScheduledOptimizers, lr_scale, parameter_owner
from mtbert.training.recipe import Recipe, check_same_recipe, from_dict
from mtbert.training.record import check_same_inputs, inputs_of
from mtbert.training.run import Run, check_weights, earlier_run, new_record, recipe_encoder, save_model
from mtbert.utils import paths
from mtbert.utils.device import autocast, fast_bfloat16, peak_memory_mb, seed_everything
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import folder_lock, remove_parts, write_json
from mtbert.utils.logging import logger, verbosity

_COLUMNS = 100  # of a line in the log


def train(
    recipe: Recipe,
    out: str | Path | None = None,
    data: str | Path | None = None,
    device: str | None = None,
    progress: bool = True,
    checkpoint_seconds: float = 120.0,
    execution: Execution | None = None,
) -> Run:
    """Train a model, or resume a run that was stopped.

    Several processes started by torchrun train one model together (see ``mtbert.training.distributed``).

    Args:
        recipe: Every choice that affects the result, such as ``mtbert.recipe("demo")``.
        out: The run's folder; by default runs/NAME-sSEED. A finished run of the same recipe and data is returned as it
            is, and an unfinished one is resumed.
        data: The data folder (see ``data_folder``).
        device: "cpu", "cuda", ...; by default CUDA if there is one.
        progress: Whether to show progress bars.
        checkpoint_seconds: Seconds between checkpoints, the most work that is lost if the process dies; 0 writes one
            after every step.
        execution: How steps are made faster on a GPU (compilation, CUDA graphs); by default ``Execution.from_env()``.

    Raises:
        UserError: For bad input; for a folder that holds a run of another recipe or other data, or in which another
            process is training; for a loss that is not finite.
        Interrupted: On Ctrl-C, SIGTERM or SIGHUP, after a checkpoint is written.
    """
    if not isinstance(recipe, Recipe):
        raise UserError(f"recipe is {shorten(recipe)}, but must be a Recipe: give mtbert.recipe(NAME)")
    out = Path(out) if out else paths.RUNS / f"{recipe.name.replace('/', '-')}-s{recipe.seed}"
    folder = data_folder(data)
    with process_group(device) as world, nullcontext() if world.is_main else verbosity("error"):
        world.check_supported(recipe)
        logger.info(f"data: {paths.display_path(folder)}")
        chosen_device = world.device(device)
        run = earlier_run(out, recipe)
        if run is not None and run.finished:
            if changed := run.changed_files(folder):
                difference = f"{', '.join(changed)} differs in {folder}"
                raise UserError(f"{out} was trained on other data: {difference}: choose another folder")
            check_weights(run)
            if world.is_main:
                remove_checkpoints(out)  # left there if the run was killed in its last moment
            logger.info(f"{paths.display_path(out)} is finished: nothing to do")
            return run
        progress = progress and world.is_main and not os.environ.get("TQDM_DISABLE")
        trainer = Trainer(recipe, out, folder, chosen_device, progress, world, execution)
        with folder_lock(out) if world.is_main else nullcontext() as lock, graceful_interrupt() as stop:
            trainer.check_folder = lock or trainer.check_folder
            try:
                return trainer.run(checkpoint_seconds, stop)
            except Interrupted as interrupted:
                raise Interrupted(str(interrupted), stop.exit_code) from None


class Trainer:
    """One run: its data, model and optimizers, and its position in the schedule. The arguments are as in ``train``."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        data: Path,
        device: torch.device,
        progress: bool = True,
        world: World = ALONE,
        execution: Execution | None = None,
    ):
        execution = execution or Execution.from_env()
        self.stopwatch = Stopwatch()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)  # the peak of an earlier run does not count
        self.recipe, self.out, self.device, self.progress, self.world = recipe, out, device, progress, world
        rows = read_tasks(recipe, data)
        seed_everything(recipe.seed)
        encoder = recipe_encoder(recipe)
        for note in encoder.notes:
            logger.info(f"encoder {recipe.encoder}: {note}")
        self.model = build_model(recipe, encoder).to(device)
        self.record = new_record(recipe, rows, encoder, device, world.size, execution)
        if recipe.precision == "auto":  # all processes must agree
            self.record["precision"] = "float32" if world.any(not fast_bfloat16(device)) else "bfloat16"
        self.datasets = {name: self._dataset(splits["train"]) for name, splits in rows.items()}
        dev_rows = {name: splits["dev"] for name, splits in rows.items() if "dev" in splits}
        shards = {name: world.shard(task_rows) for name, task_rows in dev_rows.items()}
        dev_datasets = {name: self._dataset(shard) for name, shard in shards.items() if len(shard)}
        self.dev_sets = DevSets(dev_rows, dev_datasets, world, progress)

        freeze(self.model, recipe)
        self.loss_weighting = recipe_loss_weighting(recipe).to(device)
        self.model.add_module("loss_weighting", self.loss_weighting)  # its parameters are trained with the others
        scale = lr_scale(recipe.layerwise_lr_decay, len(self.model.bert.layers), recipe.head_lr_factor)
        self.flat = FlatParameters(self.model, parameter_owner, scale)
        self.average = WeightAverage(self.flat.theta, recipe.ema_decay) if recipe.ema_decay else None
        self.record["trainable_parameters"] = len(self.flat)

        exchange = Exchange(world, self.flat, self.model)
        self.generator = torch.Generator().manual_seed(recipe.seed)  # for surgery
        self.permutations = TaskPermutations(self.generator)
        self.surgery = recipe_surgery(recipe, self.flat, self.permutations)
        self.gradient: SummedLoss | SurgeryGradient
        if self.surgery is None:
            self.gradient = SummedLoss(self._logged_losses, self.flat, exchange, self.loss_weighting)
        else:
            self.gradient = SurgeryGradient(self._logged_losses, self.surgery, exchange, recipe.seed)
        self.runner = build_runner(execution, recipe, self.model, self.datasets, world)

        config = SamplerConfig(recipe.epochs, recipe.steps_per_epoch, recipe.temperature, recipe.max_oversampling)
        num_rows = {name: len(dataset) for name, dataset in self.datasets.items()}
        batch_samplers = {name: task_batch_sampler(dataset, recipe) for name, dataset in self.datasets.items()}
        self.sampler = SAMPLERS[recipe.sampler](num_rows, recipe.batch_size, recipe.seed, config, batch_samplers)
        self.epoch_steps = recipe.steps_per_epoch or self.sampler.steps_per_epoch
        self.total_steps = recipe.epochs * self.epoch_steps
        self.optimizers = ScheduledOptimizers(recipe, self.flat, self.sampler, self.total_steps)
        self.meters = Meters(list(recipe.tasks), device, encoder.config if recipe.trainable == "all" else None)
        self.step = 0  # number of steps taken
        self.check_folder: Callable[[], object] = lambda: None  # raises UserError if the folder is not this run's now

    def train_step(self, step: Step) -> None:
        """One optimizer step: batch -> losses -> gradient -> clip -> optimizer -> log.

        ``self.runner`` packs the batch, and calls ``update`` or replays it as a CUDA graph. ``self.gradient`` runs the
        forward and backward passes: the sum of the losses, or a gradient per task for surgery.
        """
        if not self.model.training:  # train() visits every module, which costs a noticeable part of a small step
            self.model.train()
        self.world.seed_per_rank(self.recipe.seed, step.number)
        owner, optimizer = self.optimizers.for_step(step)

        def update(micro_batches: Iterable[MicroBatch]) -> Gradient:
            gradient = self.gradient.compute(step, micro_batches)
            if self.recipe.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(gradient.parameters, self.recipe.max_grad_norm)
            optimizer.step()
            return gradient

        def before_replay(gradient: Gradient) -> None:
            optimizer.advance(gradient.parameters)
            if gradient.aggregation:
                self.permutations.redraw(len(gradient.aggregation.tasks), self.device)

        gradient = self.runner(step.rows, update, key=owner, before_replay=before_replay)
        if gradient.aggregation:
            self.meters.conflicts.update(gradient.aggregation)
        if self.average is not None:
            self.average.update()
        for sums in self.meters.step_sums:
            self.world.all_reduce(sums)
        self.meters.end_step()
        for task, rows in step.rows.items():
            self.meters.add_rows(task, len(rows), self.datasets[task].lengths(rows).tolist())

    def losses(self, micro_batch: MicroBatch) -> dict[str, Tensor]:
        """Each task's mean loss over a micro-batch."""
        observe = self.meters.add_predictions
        with autocast(self.device, self.record["precision"]):
            if isinstance(micro_batch.inputs, PackedBatch):
                return self.model.losses(micro_batch.inputs, micro_batch.labels, observe)
            # vectors of a frozen encoder
            return self.model.losses_from_vectors(micro_batch.inputs, micro_batch.labels, observe)

    def _logged_losses(self, micro_batch: MicroBatch) -> dict[str, Tensor]:
        losses = self.losses(micro_batch)
        self.meters.add_losses(losses, micro_batch.shares)
        return losses

    def run(self, checkpoint_seconds: float, interrupted: Callable[[], bool]) -> Run:
        """Train to the end, from the newest checkpoint in the run's folder if there is one."""
        state = load_checkpoint(self.out)
        if state is not None:
            with complete_state(self.out):
                self.load_state_dict(state)
            logger.info(f"resuming after step {self.step} of {self.total_steps}")
        self.world.assert_same_step(self.step)
        if self.world.is_main:
            remove_parts(self.out)
            if state is None or not (self.out / "run.json").exists():  # else it may be ahead, like the model beside it
                self._write_record()  # written first, because it marks the folder as a run's
            write_json(self.out / "recipe.json", self.recipe.as_dict())
        saved = time.monotonic()
        options: dict[str, Any] = {"desc": self.recipe.name, "unit": "step", "disable": not self.progress}
        with tqdm(total=self.total_steps, initial=self.step, mininterval=0.5, **options) as bar:
            for step in itertools.islice(self.sampler.steps(self.step), self.total_steps - self.step):
                try:
                    self.train_step(step)
                    self.step += 1
                    if bar.update():  # only when the bar is redrawn, because reading the losses waits for the device
                        losses = self.meters.mean_losses()
                        bar.set_postfix({name: f"{loss:.3f}" for name, loss in losses.items()}, refresh=False)
                    if self.step % self.epoch_steps == 0:
                        self._end_epoch()
                except FloatingPointError as error:
                    raise UserError(f"step {step.number + 1}: {error}: lower lr, now {self.recipe.lr:g}") from None
                stopping = self.world.any(interrupted())
                if stopping or time.monotonic() - saved >= checkpoint_seconds:
                    if self.world.is_main:
                        self.check_folder()
                        save_checkpoint(self.out, self.step, self.state_dict())
                    saved = time.monotonic()
                if stopping and self.step < self.total_steps:
                    progress = f"step {self.step} of {self.total_steps}"
                    raise Interrupted(f"stopped after {progress}: the same command resumes there")
        self.record["status"] = "finished"
        self._write_record()
        if self.world.is_main:
            remove_checkpoints(self.out)
        return Run(self.out, self.record)

    def _end_epoch(self) -> None:
        """Score the dev sets, record the epoch, and save its model if it is the best so far or cannot be scored."""
        epoch, losses = self.step // self.epoch_steps, self.meters.mean_losses()
        surgery = {"surgery": self.meters.conflicts.summary()} if self.surgery else {}
        throughput = self.meters.throughput(self.world.size)
        logits, scores, by_weights = self._score_dev()
        entry = {"epoch": epoch, "step": self.step, "losses": losses, "scores": scores, **by_weights}
        entry |= {"train_scores": self.meters.train_scores(), **throughput, **surgery}
        is_best = Run(self.out, self.record).add_epoch(entry)
        if is_best and self.world.is_main:
            self.check_folder()
            with self._weights(entry.get("weights")):
                self.record["weights_sha256"] = save_model(self.model, self.recipe, self.out)
            for name, task_logits in logits.items():
                write_predictions(self.out / "predictions" / f"{name}-dev.csv", self.dev_sets.rows[name], task_logits)
        self._write_record()
        means, dev = (", ".join(f"{name} {value:.3f}" for name, value in part.items()) for part in (losses, scores))
        seconds = throughput["seconds"]
        loss_part, dev_part = f"epoch {epoch}/{self.recipe.epochs}: loss {means};", f"dev {dev}; {seconds:.0f} s"
        separator = " " if len(loss_part + dev_part) < _COLUMNS else "\n    "
        logger.info(loss_part + separator + dev_part)
        self.meters.reset()

    def _score_dev(self) -> tuple[dict[str, Tensor], dict[str, float], dict[str, Any]]:
        """The dev sets' logits and scores; with a moving average those of the better weights, and how both scored."""
        self.model.eval()
        logits, scores = {}, {}
        for name in ("average", "raw") if self.average else ("raw",):
            with self._weights(name), autocast(self.device, self.record["precision"]):
                logits[name] = self.dev_sets.predict_logits()
            scores[name] = score_all(self.dev_sets.rows, logits[name])
        better = max(scores, key=lambda name: scores[name].get("plain", 0.0))  # the average, if they are the same
        by_weights = {"weights": better, "scores_by_weights": scores} if self.average else {}
        return logits[better], scores[better], by_weights

    def _weights(self, name: str | None) -> AbstractContextManager[None]:
        """A context in which the model has the "average" of its weights, or its own."""
        return self.average.applied() if self.average and name == "average" else nullcontext()

    def _write_record(self) -> None:
        self.record["seconds"] = round(self.stopwatch.seconds, 1)
        self.record["peak_memory_mb"] = peak_memory_mb(self.device)
        if self.world.is_main:
            self.check_folder()
            write_json(self.out / "run.json", self.record)

    def _dataset(self, rows: Rows) -> TaskDataset:
        return TaskDataset.from_rows(rows, self.model, self.recipe, self.progress)

    def state_dict(self) -> dict[str, Any]:
        """Everything a stopped run needs to resume between two steps, as tensors and JSON values.

        The sampler needs no state but the number of steps. Only the random state differs between processes, and where
        there are several, they reseed it in every step; so a run can resume with another number of processes.
        """
        random = {"cpu": torch.get_rng_state(), "surgery": self.generator.get_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        weighting: Any = self.surgery.weighting if self.surgery else None
        return {
            "recipe": self.recipe.as_dict(),
            "inputs": inputs_of(self.record),
            "step": self.step,
            "parameters": self.flat.theta,  # including those of the loss weighting
            "average": self.average.state_dict() if self.average else {},
            "optimizers": self.optimizers.state_dict(),
            "surgery": weighting.state_dict() if hasattr(weighting, "state_dict") else {},
            "random": random,
            "meters": self.meters.state_dict(),
            "epochs": self.record["epochs"],
            "best_epoch": self.record["best_epoch"],
            "weights_sha256": self.record["weights_sha256"],
            "precision": self.record["precision"],
            "seconds": self.stopwatch.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was called; UserError if the recipe, the data or the encoder differ."""
        check_same_recipe(self.recipe, from_dict(state["recipe"]), self.out)
        check_same_inputs(self.record, state["inputs"], self.out)
        self.flat.theta.copy_(state["parameters"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizers.load_state_dict(state["optimizers"])
        if self.surgery and state["surgery"]:
            weighting: Any = self.surgery.weighting
            weighting.load_state_dict({name: value.to(self.device) for name, value in state["surgery"].items()})
        torch.set_rng_state(state["random"]["cpu"])
        self.generator.set_state(state["random"]["surgery"])
        if self.device.type == "cuda" and "cuda" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)
        self.meters.load_state_dict(state["meters"])
        self.record |= {name: state[name] for name in ("epochs", "best_epoch", "weights_sha256", "precision")}
        self.step, self.stopwatch = state["step"], Stopwatch(state["seconds"])
