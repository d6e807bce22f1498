"""What a stopped run needs to go on: taken from a trainer, and given back to one.

It is the same in all processes but for their chance, which is drawn anew in every step where they are several; so a
state fits any number of them.
"""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mtbert.training.recipe import from_dict
from mtbert.training.run import check_same_recipe
from mtbert.utils.errors import UserError

if TYPE_CHECKING:
    from mtbert.training.trainer import Trainer

_FORMAT = 1  # one more whenever an older state can no longer be given back
_OTHER_VERSION = "{} was begun by another version of mtbert: choose another folder"


def state_of(run: "Trainer") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts (anything JSON holds) of a run between two steps."""
    tensors = {"theta": run.flat.theta, "random": torch.get_rng_state()}
    if run.device.type == "cuda":
        tensors["random_cuda"] = torch.cuda.get_rng_state(run.device)
    steps = {}
    for owner, number, kept in _optimizer_states(run):
        steps[f"{owner}.{number}"] = kept["step"]
        tensors[f"exp_avg.{owner}.{number}"] = kept["exp_avg"]
        tensors[f"exp_avg_sq.{owner}.{number}"] = kept["exp_avg_sq"]
    tensors["loss_sums"] = torch.stack(list(run.loss_sums.values()))
    tensors["conflicts"], tensors["generator"] = run.conflicts.tensor(), run.generator.get_state()
    tensors |= _weighting_states(run)
    now = time.monotonic()
    facts = {
        "format": _FORMAT,
        "recipe": run.recipe.as_dict(),
        "inputs": _inputs(run),
        "epochs": run.record["epochs"],
        "best_epoch": run.record["best_epoch"],
        "loss_counts": run.loss_counts,
        "segment_steps": steps,
        "examples": run.examples,
        "tokens": run.tokens,
        "flops": run.flops,
        "seconds": run.seconds + now - run.started,
        "epoch_seconds": run.epoch_seconds + now - run.epoch_started,
    }
    return tensors, facts


def give_back(run: "Trainer", tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Put a run where the state was taken. Raises UserError if that was of another recipe, other data or weights, or
    of another version of this package."""
    if facts.get("format") != _FORMAT:
        raise UserError(_OTHER_VERSION.format(run.out))
    check_same_recipe(run.recipe, from_dict(facts["recipe"]), run.out)
    if _loss_weighting_names(tensors) != _loss_weighting_names(_weighting_states(run)):
        raise UserError(_OTHER_VERSION.format(run.out))
    if facts["inputs"] != _inputs(run):
        raise UserError(f"{run.out} was begun with other data or other encoder weights: choose another folder")
    run.flat.theta.copy_(tensors["theta"])
    torch.set_rng_state(tensors["random"])
    if "random_cuda" in tensors and run.device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random_cuda"], run.device)
    for name, count in facts["segment_steps"].items():
        owner, number = name.split(".")
        run.optimizers[owner].state[run.flat.shards[int(number)].parameter] = {
            "step": count,
            "exp_avg": tensors[f"exp_avg.{name}"].to(run.device),
            "exp_avg_sq": tensors[f"exp_avg_sq.{name}"].to(run.device),
        }
    run.conflicts.load(tensors["conflicts"].to(run.device))
    run.generator.set_state(tensors["generator"])
    _load_weighting_states(run, tensors)
    for total, kept in zip(run.loss_sums.values(), tensors["loss_sums"], strict=True):
        total.copy_(kept)
    run.loss_counts, run.examples = facts["loss_counts"], facts["examples"]
    run.tokens, run.flops = facts["tokens"], facts["flops"]
    run.record["epochs"], run.record["best_epoch"] = facts["epochs"], facts["best_epoch"]
    run.step, run.seconds, run.epoch_seconds = facts["step"], facts["seconds"], facts["epoch_seconds"]


def _optimizer_states(run: "Trainer") -> Iterator[tuple[str, int, dict]]:
    """Whose optimiser, which segment, and what the one keeps for the other, where it keeps anything yet."""
    for owner, optimizer in run.optimizers.items():
        for number, shard in enumerate(run.flat.shards):
            if shard.parameter in optimizer.state:
                yield owner, number, optimizer.state[shard.parameter]


def _weighting_states(run: "Trainer") -> dict[str, Tensor]:
    """What the weightings keep between steps, but for what is trained."""
    states = {f"loss_weighting.{name}": tensor for name, tensor in run.loss_weighting.named_buffers()}
    if run.surgery and hasattr(run.surgery.weighting, "state_dict"):
        states |= {f"surgery.{name}": tensor for name, tensor in run.surgery.weighting.state_dict().items()}
    return states


def _loss_weighting_names(states: Mapping[str, Tensor]) -> set[str]:
    """They tell versions apart: the noise levels of "uw" were one vector once, beside a buffer."""
    return {name for name in states if name.startswith("loss_weighting.")}


def _load_weighting_states(run: "Trainer", tensors: Mapping[str, Tensor]) -> None:
    for name, buffer in run.loss_weighting.named_buffers():
        buffer.copy_(tensors[f"loss_weighting.{name}"])
    if run.surgery and hasattr(run.surgery.weighting, "load_state_dict"):
        states = {
            name.removeprefix("surgery."): tensor.to(run.device)
            for name, tensor in tensors.items()
            if name.startswith("surgery.")
        }
        run.surgery.weighting.load_state_dict(states)


def _inputs(run: "Trainer") -> dict[str, str | None]:
    files = {
        rows.path.name: f"{rows.sha256}, {len(rows)} rows"  # the overlap guard may leave some out
        for splits in run.rows.values()
        for rows in splits.values()
    }
    stored = {"encoder_stored": run.record["encoder_stored"]} if run.record["encoder_stored"] else {}
    return {**files, "encoder": run.record["encoder_sha256"], **stored}
