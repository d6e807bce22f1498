"""Checks of notebook 05: padding, features of a pair, losses and the step of three tasks, passes, overall scores."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from mtbert.data.tasks import TASKS
from mtbert.data.tasks import overall as reference_overall
from mtbert.nn.losses import task_loss
from mtbert.workbook.checks.engine import by_key, check, expect, no_known_mistake, same, several, shaped


@check
def fill(answer, draw):
    """answer(lengths, batch_size) -> share of padded batches that is tokens; lengths is a list of token counts."""
    size = draw.whole(3, 6)
    lengths = draw.wholes(2, 60, size * draw.whole(3, 6)).tolist()
    yield "is 1 where all sequences have the same length"
    same(answer([7] * 2 * size, size), 1.0)
    yield "is right for one batch: tokens divided by longest times rows"
    first = lengths[:size]
    same(answer(list(first), size), sum(first) / (size * max(first)))
    yield "pads each batch to its own longest sequence, and counts all of them together"
    batches = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    cells = sum(len(batch) * max(batch) for batch in batches)
    same(answer(list(lengths), size), sum(lengths) / cells)
    yield "puts the remaining rows into a shorter last batch"
    more = [*lengths, 50, 10]
    same(answer(list(more), size), sum(more) / (cells + 2 * 50))


@check
def features(answer, draw):
    """answer(u, v) -> (rows, 3 * width), u, v and |u - v| side by side; u, v (rows, width)."""
    rows, width = draw.whole(4, 6), draw.whole(7, 9)
    u, v = draw.normal(rows, width), draw.normal(rows, width)
    yield "gives one row of features a pair, three times as wide as a vector"
    shaped(answer(u, v), rows, 3 * width)
    yield "begins with u, then v"
    same(torch.as_tensor(answer(u, v))[:, : 2 * width], torch.cat([u, v], dim=1))
    yield "the last third is the difference of u and v, number by number"
    same(torch.as_tensor(answer(u, v))[:, 2 * width :].abs(), (u - v).abs())
    yield "it has no sign: the order of the sentences does not matter"
    same(torch.as_tensor(answer(v, u))[:, 2 * width :], (u - v).abs())


@check
def task_losses(answer, draw):
    """answer(vectors, heads, labels) -> a loss per task; all are dicts with the keys sst, quora and sts.

    vectors: (rows, width) for sst; (2 * rows, width) for quora and sts, where left and right sentences alternate.
    heads: linear layers for sst, width -> 5, and quora, 3 * width -> 1; sts has none.
    labels: (rows,) floats.
    """
    width, rows = draw.whole(6, 9), {"sst": draw.whole(3, 5), "quora": draw.whole(6, 8), "sts": draw.whole(9, 11)}
    heads = nn.ModuleDict({"sst": nn.Linear(width, 5), "quora": nn.Linear(3 * width, 1)})
    for parameter in heads.parameters():
        parameter.data = draw.normal(*parameter.shape)
    sequences = {task: count if task == "sst" else 2 * count for task, count in rows.items()}
    vectors = {task: draw.normal(count, width).requires_grad_() for task, count in sequences.items()}
    highest = {"sst": 4, "quora": 1, "sts": 5}
    labels = {task: draw.wholes(0, highest[task], count).float() for task, count in rows.items()}
    expected = dict(zip(rows, _losses(vectors, heads, labels), strict=True))

    def given(task: str) -> float:
        return _numbers(answer(dict(vectors), heads, dict(labels)), rows)[list(rows).index(task)]

    yield "returns a loss for each task"
    given("sst")
    yield "sst: the cross-entropy of five logits"
    same(given("sst"), expected["sst"])
    yield "quora: the binary cross-entropy of one logit on u, v and |u - v|; u are rows 0, 2, 4 ..., v the others"
    halves = dict(zip(rows, _losses(_alternating(vectors), heads, labels), strict=True))
    pairs = "left and right sentences alternate: u is vectors[0::2], v is vectors[1::2]"
    no_known_mistake(torch.tensor(given("quora")), expected["quora"], {pairs: halves["quora"]})
    yield "sts: the mean squared error of 5 * relu(cos(u, v))"
    cosine = torch.cosine_similarity(vectors["sts"][0::2], vectors["sts"][1::2])
    mistakes = {
        pairs: halves["sts"],
        "a negative cosine should count as 0: where is the relu?": mse_loss(5 * cosine, labels["sts"]),
        "the labels go up to 5, the cosine up to 1": mse_loss(cosine.relu(), labels["sts"]),
        "(rows, 1) and (rows,) gave (rows, rows): both need the same shape": (
            (5 * cosine.relu()[:, None] - labels["sts"]).square().mean()
        ),
    }
    no_known_mistake(torch.tensor(given("sts")), expected["sts"], mistakes)
    yield "every loss has a gradient: none was turned into a plain number"
    losses = answer(dict(vectors), heads, dict(labels))
    expect(all(isinstance(loss, Tensor) and loss.requires_grad for loss in losses.values()), "a loss has no gradient")


def _numbers(got: Any, keys: Iterable[str]) -> list[float]:
    """The numbers of a dict of tensors or of plain numbers, as ``by_key`` gives them."""
    if isinstance(got, dict):
        got = {key: value.detach() if isinstance(value, Tensor) else value for key, value in got.items()}
    return by_key(got, keys)


def _alternating(vectors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What an answer reads that takes the first half of the rows for u: its u and v, in alternation."""
    return {
        task: rows if task == "sst" else torch.stack(rows.chunk(2), dim=1).flatten(0, 1)
        for task, rows in vectors.items()
    }


def _losses(vectors: dict[str, Tensor], heads: nn.ModuleDict, labels: dict[str, Tensor]) -> list[Tensor]:
    u, v = vectors["quora"][0::2], vectors["quora"][1::2]
    cosine = torch.cosine_similarity(vectors["sts"][0::2], vectors["sts"][1::2])
    logits = {
        "sst": heads["sst"](vectors["sst"]),
        "quora": heads["quora"](torch.cat([u, v, (u - v).abs()], dim=1)),
        "sts": 5 * cosine.relu()[:, None],
    }
    return [task_loss(TASKS[task], logits[task], labels[task]) for task in logits]


@check
def multitask_step(answer, draw):
    """answer(losses, optimizer, parameters, max_norm) -> a dict of plain numbers; takes one optimizer step.

    losses: a function without arguments that returns a loss per task, computed from the parameters.
    parameters: a list of tensors; the norm of their gradient, taken together, is clipped to max_norm.
    """
    targets = {task: draw.normal(4) for task in ("sst", "quora", "sts")}
    start = [draw.normal(4), draw.normal(4)]

    def losses_of(parameters):
        return {task: (parameters[0] * parameters[1] - target).square().mean() for task, target in targets.items()}

    def take(max_norm, stale=False):
        parameters = [tensor.clone().requires_grad_() for tensor in start]
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        for parameter in parameters if stale else []:
            parameter.grad = torch.ones(4)
        returned = answer(lambda: losses_of(parameters), optimizer, parameters, max_norm)
        return torch.cat(parameters).detach(), returned

    def expected(max_norm):
        parameters = [tensor.clone().requires_grad_() for tensor in start]
        gradient = torch.cat(torch.autograd.grad(sum(losses_of(parameters).values()), parameters))
        return torch.cat(start) - 0.1 * gradient * min(1.0, max_norm / float(gradient.norm()))

    yield "moves the parameters once, along the gradient of the sum of all losses"
    same(take(1e6)[0], expected(1e6))
    yield "forgets what the gradients were before"
    same(take(1e6, stale=True)[0], expected(1e6))
    yield "clips the norm of all gradients taken together"
    same(take(0.1)[0], expected(0.1))
    yield "returns each task's loss before the step, as a plain number"
    returned = take(1e6)[1]
    same(_numbers(returned, targets), [float(loss) for loss in losses_of(start).values()])
    expect(not any(isinstance(value, Tensor) for value in returned.values()), "use .item(): a tensor keeps its graph")


@check
def passes(answer, draw):
    """answer(rows, batch_size) -> how often a mixed epoch reads each set; all three are dicts with a key per task."""
    size = {"a": draw.whole(2, 4), "b": draw.whole(30, 40), "c": draw.whole(5, 8)}
    batches = {"a": draw.whole(50, 60), "b": draw.whole(20, 30), "c": draw.whole(5, 15)}
    rows = {task: size[task] * batches[task] for task in size}  # a has the most batches, b the most rows

    def given(rows, size=size):
        return by_key(answer(dict(rows), dict(size)), rows)

    yield "reads the set with the most batches once, which need not be the one with the most rows"
    same(given(rows)[0], 1.0)
    yield "reads the others as often as their batches fit into the largest number of batches"
    same(given(rows), [batches["a"] / batches[task] for task in rows])
    yield "counts a batch that is not full as a batch"
    same(given(dict(rows, b=rows["b"] + 1)), [1.0, batches["a"] / (batches["b"] + 1), batches["a"] / batches["c"]])


@check
def overall(answer, draw):
    """answer(scores) -> (plain, normalized); scores has accuracies for "sst" and "quora", a correlation for "sts"."""
    sst, quora, sts = (0.2 + 0.7 * draw.uniform(3)).tolist()
    scores = {"sst": sst, "quora": quora, "sts": sts}

    def given(scores):
        return several(answer(dict(scores)), "plain", "normalised")

    yield "plain is the mean of the three"
    same(given(scores)[0], (sst + quora + sts) / 3)
    yield "normalized is 1 for a perfect model"
    same(given(dict.fromkeys(scores, 1.0))[1], 1.0)
    yield "normalized maps only the correlation, from [-1, 1] to [0, 1]"
    same(given({"sst": 0.0, "quora": 0.0, "sts": -1.0})[1], 0.0)
    same(given({"sst": sst, "quora": quora, "sts": -1.0})[1], (sst + quora) / 3)
    yield "both agree with mtbert"
    expected = reference_overall(scores)
    same(list(given(scores)), [expected["plain"], expected["normalised"]], tolerance=1e-6)
