"""Answers to the exercises of notebook 05: usual mistakes by the property that they break."""

import torch
from workbook.exercises import edited, solutions

NAMES = ("fill", "passes", "task_losses", "multitask_step")
fill, passes, task_losses, multitask_step = (solutions("multitask")[name] for name in NAMES)


def mean_of_batches(lengths, size):
    batches = [lengths[at : at + size] for at in range(0, len(lengths), size)]
    return sum(sum(batch) / (len(batch) * max(batch)) for batch in batches) / len(batches)


RIGHT = {"features": [lambda u, v: torch.hstack([u, v, (v - u).abs()])]}
WRONG = {
    "features": [
        ("begins with u", lambda u, v: torch.cat([v, u, (u - v).abs()], dim=1)),
        ("the last third", lambda u, v: torch.cat([u, v, u * v], dim=1)),
        ("the last third is the difference", lambda u, v: torch.cat([u, v, (u - v) ** 2], dim=1)),
        ("it has no sign", lambda u, v: torch.cat([u, v, u - v], dim=1)),
    ],
    "fill": [
        ("one batch", lambda lengths, size: 1.0),
        ("its own longest", lambda lengths, size: sum(lengths) / (len(lengths) * max(lengths))),
        ("all of them together", mean_of_batches),
        ("shorter last batch", lambda lengths, size: fill(lengths[: len(lengths) // size * size], size)),
    ],
    "passes": [
        ("as often as", lambda rows, size: dict.fromkeys(rows, 1)),
        ("not full", edited(passes, "-(-rows[task] // batch_size[task]) => rows[task] // batch_size[task]")),
        ("", lambda rows, size: {task: max(rows.values()) / count for task, count in rows.items()}),
        ("most batches once", edited(passes, "max(batches.values()) => batches[max(rows, key=rows.get)]")),
    ],
    "task_losses": [
        ("a loss for each task", edited(task_losses, "return losses => return sum(losses.values())")),
        ("five logits", edited(task_losses, 'heads["sst"](vectors["sst"]) => heads["sst"](vectors["sst"]).softmax(1)')),
        (
            "left and right sentences alternate",
            edited(task_losses, "[0::2] => [: len(vectors[task]) // 2]", "[1::2] => [len(vectors[task]) // 2 :]"),
        ),
        ("one logit", edited(task_losses, "(u - v).abs() => u - v")),
        ("where is the relu", edited(task_losses, ".relu() => ")),
        ("the labels go up to 5", edited(task_losses, "5 * torch => torch")),
        (
            "both need the same shape",
            edited(task_losses, "F.mse_loss( => (lambda a, b: (a[:, None] - b).square().mean())("),
        ),
        ("has a gradient", lambda *given: {task: loss.item() for task, loss in task_losses(*given).items()}),
    ],
    "multitask_step": [
        ("sum of all losses", edited(multitask_step, "sum(by_task.values()) => by_task['sst']")),
        ("sum of all losses", edited(multitask_step, "sum(by_task.values()) => (sum(by_task.values()) / 3)")),
        ("gradients were before", edited(multitask_step, "optimizer.zero_grad() => pass")),
        ("taken together", edited(multitask_step, "torch.nn.utils.clip_grad_norm_(parameters, max_norm) => pass")),
        (
            "taken together",
            edited(multitask_step, "clip_grad_norm_(parameters, max_norm) => clip_grad_value_(parameters, max_norm)"),
        ),
        (
            "plain number",
            edited(multitask_step, "return {task: loss.item() for task, loss in by_task.items()} => return by_task"),
        ),
        (
            "before the step",
            edited(multitask_step, "loss.item() for task, loss in by_task => loss.item() for task, loss in losses()"),
        ),
    ],
    "overall": [
        ("only the correlation", lambda s: (sum(s.values()) / 3, sum(s.values()) / 3)),
        ("only the correlation", lambda s: (sum(s.values()) / 3, sum((x + 1) / 2 for x in s.values()) / 3)),
    ],
}
