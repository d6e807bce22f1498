"""Answers to the exercises of notebook 04: usual mistakes by the property that they break."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from workbook.exercises import edited, solutions

right = solutions("single_task")
early_stopping, train_head, head_and_tail = right["early_stopping"], right["train_head"], right["head_and_tail"]


def naive(logits, labels):
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -shares[range(len(labels)), labels].log().mean()


def step(head, optimizer, vectors, labels, clear=True, move=True, graph=False):
    loss = F.cross_entropy(head(vectors), labels)
    if clear:
        optimizer.zero_grad()
    loss.backward()
    if move:
        optimizer.step()
    return loss if graph else loss.item()


def step_by_hand(head, optimizer, vectors, labels):
    loss = step(head, optimizer, vectors, labels, move=False)
    with torch.no_grad():
        for weight in head.parameters():
            weight -= 0.1 * weight.grad
    return loss


def loss_after_the_step(head, optimizer, vectors, labels):
    step(head, optimizer, vectors, labels)
    return F.cross_entropy(head(vectors), labels).item()


def step_with_functional_gradients(head, optimizer, vectors, labels):
    loss = -head(vectors).log_softmax(1).gather(1, labels[:, None]).mean()
    gradients = torch.autograd.grad(loss, list(head.parameters()))
    for weight, gradient in zip(head.parameters(), gradients, strict=True):
        weight.grad = gradient
    optimizer.step()
    return loss.detach()


def batches_of_numpy(rows, batch_size, generator):
    seed = int(torch.randint(10**6, (), generator=generator))
    order = np.random.default_rng(seed).permutation(rows)
    return [order[start : start + batch_size].tolist() for start in range(0, rows, batch_size)]


def shuffled_within_batches(rows, size, generator):
    return [batch[torch.randperm(len(batch), generator=generator)] for batch in torch.arange(rows).split(size)]


RIGHT = {
    "error_of_difference": [
        lambda a, b: math.sqrt(((a != b).float().mean() - (a - b).mean() ** 2) / len(a)),
        lambda a, b: np.std((a - b).numpy()) / np.sqrt(len(a)),
        lambda a, b: torch.stack([a, b]).double().cov().mul(torch.tensor([[1, -1], [-1, 1]])).sum().div(len(a)).sqrt(),
    ],
    "epoch_batches": [
        batches_of_numpy,
        lambda rows, size, generator: torch.randperm(rows, generator=generator).split(size),
    ],
    "training_step": [step_with_functional_gradients],
    "train_head": [edited(train_head, "AdamW => Adam", "split(32) => split(16)")],
}
WRONG = {
    "error_of_difference": [
        ("one number", lambda a, b: a - b),
        ("same rows", lambda a, b: ((a.var() + b.var()) / len(a)) ** 0.5),
        ("comes first", lambda a, b: ((a - b).clamp(min=0).mean() / len(a)) ** 0.5),
        ("four times", lambda a, b: (a - b).std()),
        ("the rows' differences", lambda a, b: (a - b).abs().std() / len(a) ** 0.5),
        ("the rows' differences", lambda a, b: ((a != b).float().mean() / len(a)) ** 0.5),
    ],
    "cross_entropy": [
        ("ln(classes)", lambda x, y: x.mean()),
        ("the logit of the label", lambda x, y: torch.tensor(math.log(x.shape[1]))),
        ("averaged", lambda x, y: F.cross_entropy(x / 2, y)),
        ("a thousand", naive),
    ],
    "epoch_batches": [
        (
            "did not come, and",
            lambda rows, size, generator: torch.randint(rows, (rows,), generator=generator).split(size),
        ),
        ("did not come", lambda rows, size, generator: torch.randperm(rows, generator=generator).split(size)[:-1]),
        (
            "the rows are 0 to",
            lambda rows, size, generator: (torch.randperm(rows, generator=generator) + 1).split(size),
        ),
        (
            "there are only",
            lambda rows, size, generator: (torch.randperm(2 * rows, generator=generator) % rows).split(size),
        ),
        ("but the last", lambda rows, size, generator: torch.randperm(rows, generator=generator).split(size - 1)),
        ("but the last", lambda rows, size, generator: torch.randperm(rows, generator=generator).chunk(size)),
        ("random order", lambda rows, size, generator: torch.arange(rows).split(size)),
        ("shuffle all rows first", shuffled_within_batches),
        (
            "another order",
            lambda rows, size, generator: torch.randperm(rows, generator=generator.manual_seed(0)).split(size),
        ),
        ("same state", lambda rows, size, generator: torch.randperm(rows).split(size)),
    ],
    "training_step": [
        ("before the step", loss_after_the_step),
        ("without the graph", lambda *given: step(*given, graph=True)),
        ("one step", lambda *given: step(*given, move=False)),
        ("earlier steps", lambda *given: step(*given, clear=False)),
        ("whatever optimizer", step_by_hand),
    ],
    "train_head": [
        ("a score per epoch", lambda train, dev, lr, epochs: (torch.nn.Linear(train[0].shape[1], 5), [0.2])),
        ("the first is list", edited(train_head, "return head, scores => return scores, head")),
        ("separate clusters", edited(train_head, "optimizer.step() => pass")),
        ("a step for every batch", edited(train_head, ".split(32) => .split(32)[:1]")),
        ("by AdamW", edited(train_head, "torch.optim.AdamW( => torch.optim.SGD(")),
        ("by AdamW", edited(train_head, "optim.AdamW( => optim.SGD(momentum=0.9, params=")),
        ("fewer rows", edited(train_head, ".split(32) => .split(32)[: len(labels) // 32]")),
        (
            "on dev",
            edited(
                train_head, "head(dev_vectors).argmax(dim=1) == dev_labels => head(vectors).argmax(dim=1) == labels"
            ),
        ),
        (
            "one optimizer",
            edited(
                train_head, "for rows in => optimizer = torch.optim.AdamW(head.parameters(), lr)\n        for rows in"
            ),
        ),
        (
            "shuffles",
            edited(train_head, "torch.randperm(len(labels), generator=generator) => torch.arange(len(labels))"),
        ),
        ("best epoch", edited(train_head, "head.load_state_dict(best) => pass")),
        ("best epoch", edited(train_head, "copy.deepcopy(head.state_dict()) => head.state_dict()")),
    ],
    "head_and_tail": [
        ("shorter", edited(head_and_tail, "if len(ids) <= max_length: => if len(ids) == max_length:")),
        ("cuts", lambda ids, length, head: ids),
        ("[CLS] at the front", lambda ids, length, head: ids[:length]),
        ("last tokens", lambda ids, length, head: [*ids[: length - 1], ids[-1]] if len(ids) > length else ids),
        ("first", lambda ids, length, head: ids if len(ids) <= length else [ids[0], *ids[1 - length :]]),
        ("no room for the tail", edited(head_and_tail, "inner[len(inner) - tail :] => inner[-tail:]")),
    ],
    "early_stopping": [
        ("stops after", lambda scores, patience: (scores.index(max(scores)) + 1, len(scores))),
        (
            "the epoch before",
            edited(early_stopping, "score > scores[best - 1] => epoch > 1 and score > scores[epoch - 2]"),
        ),
        ("earliest", edited(early_stopping, "score >  => score >= ")),
        (
            "waits anew",
            edited(
                early_stopping,
                "epoch - best >= => sum(score <= max(scores[: i + 1]) for i, score in enumerate(scores[1:epoch])) >=",
            ),
        ),
    ],
}
