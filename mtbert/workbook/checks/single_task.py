"""Checks of notebook 04: the error of a difference, cross-entropy, a training loop, truncation, early stopping."""

import math
from collections import Counter
from copy import deepcopy
from functools import cache
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from mtbert.data import TASKS, read_split
from mtbert.nn import load_encoder, pool
from mtbert.utils import paths
from mtbert.workbook.checks.engine import check, equal, expect, returned, same, several, shaped

THRESHOLD = 0.45  # dev accuracy that a head on frozen vectors of the sample must reach
Vectors = tuple[Tensor, Tensor]  # (rows, width), and labels (rows,)


@check
def cross_entropy(answer, draw):
    """answer(logits, labels) -> the mean loss, one number; logits (rows, classes), labels (rows,) whole numbers."""
    rows, classes = draw.whole(3, 8), draw.whole(3, 7)
    logits, labels = 2 * draw.normal(rows, classes), draw.wholes(0, classes - 1, rows)
    yield "returns one number"
    shaped(answer(logits, labels))
    yield "gives ln(classes) where all logits are equal, for any labels"
    same(answer(torch.full((rows, classes), 0.7), labels), math.log(classes))
    yield "depends on the logit of the label: raising it lowers the loss"
    raised = logits + 3 * F.one_hot(labels, classes)
    expect(answer(raised, labels) < answer(logits, labels), "the loss did not fall")
    yield "equals -log softmax(logits)[label], averaged"
    same(answer(logits, labels), F.cross_entropy(logits, labels))
    yield "survives logits of a thousand (subtract the largest first, or use logsumexp)"
    large = 1000 * logits
    same(answer(large, labels), F.cross_entropy(large, labels))


@check
def error_of_difference(answer, draw):
    """answer(right, others_right) -> the standard error of the difference of two accuracies on the same rows.

    Both (rows,), 1.0 where the model is right and 0.0 where it is wrong.
    """
    rows = draw.whole(200, 600)
    right = (draw.uniform(rows) < 0.7).float()
    other = torch.where(draw.uniform(rows) < 0.1 + 0.3 * right, 1 - right, right)  # the accuracies differ
    yield "returns one number"
    shaped(answer(right, other))
    yield "is 0 where both models are right on the same rows"
    for share in (right, *(draw.uniform(20, rows) < 0.7).float()):
        same(answer(share, share), 0.0)
    yield "does not depend on which model comes first"
    same(answer(other, right), answer(right, other), tolerance=1e-6)
    yield "halves when every row comes four times"
    same(answer(right.repeat(4), other.repeat(4)), float(answer(right, other)) / 2, tolerance=2e-4)
    yield "is smaller where the models agree on more rows"
    closer = torch.where(draw.uniform(rows) < 0.5, right, other)
    expect(answer(right, closer) < answer(right, other), "it is as large as for two models that agree on fewer rows")
    yield "equals the standard deviation of the rows' differences, divided by the square root of their number"
    per_row, expected = float(answer(right, other)) * rows**0.5, (right - other).std()
    equal_accuracies = (right != other).float().mean().sqrt()
    expect(abs(per_row - equal_accuracies) > 2e-3, "the square root of d / n holds only for equal accuracies")
    same(per_row / rows**0.5, expected / rows**0.5, tolerance=2e-3 / rows**0.5)


@check
def epoch_batches(answer, draw):
    """answer(rows, batch_size, generator) -> the batches of one epoch: a list of tensors of row numbers."""
    size = draw.whole(4, 6)
    rows = size * draw.whole(size + 1, size + 3) + draw.whole(1, size - 1)  # more batches than rows in a batch
    generator = torch.Generator().manual_seed(draw.whole(0, 10**6))

    def batches() -> list[Tensor]:
        return [torch.as_tensor(batch).flatten() for batch in returned(answer(rows, size, generator))]

    yield "has every row exactly once"
    first = batches()
    flat = torch.cat(first) if first else torch.zeros(0)
    came = Counter(flat.tolist())
    strange, missing = came.keys() - set(range(rows)), len(set(range(rows)) - came.keys())
    repeated = ", and others came more than once" if len(flat) > len(came) else ""
    expect(not strange, f"row {min(strange, default=0)} came, but the rows are 0 to {rows - 1}")
    expect(not missing, f"{missing} of the {rows} rows did not come{repeated}")
    expect(not repeated, f"{len(flat)} rows came, but there are only {rows}")
    yield "fills every batch but the last, which holds the remaining rows"
    sizes = [len(batch) for batch in first]
    equal(sizes, [size] * (rows // size) + [rows % size], f"sizes for {rows} rows in batches of {size}")
    yield "is in random order"
    expect(flat.tolist() != list(range(rows)), "the rows are in the order of the file")
    apart = any(int(batch.max() - batch.min()) >= len(batch) for batch in first)
    expect(apart, "each batch holds neighbors of the file: shuffle all rows first, then cut them into batches")
    yield "is in another order in the next epoch"
    expect(torch.cat(batches()).tolist() != flat.tolist(), "two epochs have the same order")
    yield "has the same order again for a generator in the same state"
    state = generator.get_state()
    before = torch.cat(batches())
    generator.set_state(state)
    expect(torch.cat(batches()).tolist() == before.tolist(), "hand the generator on to torch.randperm")


@check
def training_step(answer, draw):
    """answer(head, optimizer, vectors, labels) -> the loss before the step, a plain number; it trains the head.

    head: an nn.Module, (rows, width) -> (rows, classes); labels (rows,) whole numbers.
    """
    rows, width, classes = draw.whole(5, 9), draw.whole(4, 8), draw.whole(3, 5)
    vectors, labels = draw.normal(rows, width), draw.wholes(0, classes - 1, rows)
    start = nn.Linear(width, classes)
    start.load_state_dict({"weight": draw.normal(classes, width), "bias": draw.normal(classes)})

    def optimizer_of(head: nn.Module, kind: type = torch.optim.SGD) -> torch.optim.Optimizer:
        return kind(head.parameters(), lr=0.1)

    def trained(kind: type, steps: int) -> Tensor:
        head = deepcopy(start)
        optimizer = optimizer_of(head, kind)
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(head(vectors), labels).backward()
            optimizer.step()
        return head.weight

    head = deepcopy(start)
    optimizer = optimizer_of(head)
    yield "returns the mean loss before the step"
    loss = answer(head, optimizer, vectors, labels)
    same(loss, F.cross_entropy(start(vectors), labels))
    yield "returns it without the graph"
    expect(not getattr(loss, "requires_grad", False), "a loss that keeps its graph keeps all its tensors: loss.item()")
    yield "moves the weights by one step of the optimizer"
    expect(not torch.equal(head.weight, start.weight), "the weights are still the same")
    same(head.weight, trained(torch.optim.SGD, 1))
    yield "clears the gradients of earlier steps"
    answer(head, optimizer, vectors, labels)
    same(head.weight, trained(torch.optim.SGD, 2))
    yield "steps with whatever optimizer it is given"
    head = deepcopy(start)
    optimizer = optimizer_of(head, torch.optim.AdamW)
    for _ in range(3):
        answer(head, optimizer, vectors, labels)
    same(head.weight, trained(torch.optim.AdamW, 3))


@check
def train_head(answer, draw):
    """answer(train, dev, lr, epochs) -> (head, scores), trained with AdamW in batches of 32, from 5 classes.

    train, dev: (vectors, labels), (rows, width) and (rows,). scores: the dev accuracy after each epoch.
    """
    train, dev = _clusters(draw, 150), _clusters(draw, 60)

    def fit(train: Vectors, dev: Vectors, lr: float, epochs: int) -> tuple[nn.Module, list[float]]:
        head, scores = several(answer(train, dev, lr, epochs), "head", "scores")
        expect(isinstance(head, nn.Module), f"it should return head, scores, but the first is {type(head).__name__}")
        return head, [float(score) for score in scores]

    yield "returns a head with an output per class, and a score per epoch"
    head, scores = fit(train, dev, 0.03, 3)
    shaped(head(dev[0]), 60, 5)
    expect(len(scores) == 3, f"3 epochs were run, and {len(scores)} scores came back")
    yield "learns five separate clusters of points"
    head, scores = fit(train, dev, 0.1, 10)  # enough for any optimizer
    expect(_accuracy(head, dev) > 0.9, f"dev accuracy is {_accuracy(head, dev):.2f} after 10 epochs")
    yield "takes a step for every batch of 32 rows"
    steps: list[None] = []
    counted = register_optimizer_step_post_hook(lambda *_: steps.append(None))
    try:
        fit(train, dev, 0.03, 3)
    finally:
        counted.remove()
    taken = len(steps)  # 0 of an optimizer written by hand
    expect(taken == 0 or taken >= 3 * (150 // 32), f"3 epochs of 150 rows took {taken} steps")
    yield "trains by AdamW, whose steps are as large for small gradients as for large ones"
    small, large = 1e-4 * train[0], 0.5  # inputs with tiny gradients, and a learning rate that AdamW moves weights by
    head, _ = fit((small, train[1]), (small, train[1]), large, 3)
    moved = max(weights.abs().max().item() for weights in head.parameters() if weights.dim() == 2)
    expect(moved > 0.5, f"with lr={large} and tiny gradients, no weight passes {moved:.2f}: AdamW moves them further")
    yield "scores every epoch on dev, from 0 to 1"
    vectors, labels = _clusters(draw, 300, noise=0.9)
    wrong_labels = vectors, (labels + 1) % 5  # the accuracy on them falls with every epoch
    head, scores = fit(train, wrong_labels, 3e-3, 40)
    expect(scores[-1] < 0.5, f"the last score is {scores[-1]:.2f} on dev rows whose labels are all wrong")
    yield "returns the head of the best epoch, not of the last one"
    same(_accuracy(head, wrong_labels), max(scores))
    yield "learns from fewer rows than a batch, too"
    few = _clusters(draw, 25)
    expect(_accuracy(fit(few, dev, 0.03, 60)[0], dev) > 0.7, "a last batch that is not full counts as well")
    yield "makes one optimizer, which keeps its moments from epoch to epoch"
    with patch.object(
        torch.optim.Optimizer, "__init__", autospec=True, side_effect=torch.optim.Optimizer.__init__
    ) as made:
        fit(train, dev, 0.03, 3)
    expect(made.call_count <= 1, f"{made.call_count} optimizers were made in 3 epochs")
    yield "shuffles the rows of an epoch"
    equal_rows, sorted_labels = torch.ones(2048, 4), (torch.arange(2048) >= 512).long()  # three in four have label 1
    head, _ = fit((equal_rows, sorted_labels), (equal_rows, sorted_labels), 0.03, 1)
    share = head(equal_rows[:1]).softmax(dim=1)[0, 1].item()
    expect(share < 0.92, f"after rows sorted by label, the last label has a probability of {share:.2f} instead of .75")
    yield f"reaches {THRESHOLD} on dev in the sample's SST"
    head, scores = fit(*_sample_vectors(), 1e-2, 10)
    expect(max(scores) >= THRESHOLD, f"the best of 10 epochs has an accuracy of {max(scores):.3f}")


def _clusters(draw, rows: int, noise: float = 0.4) -> Vectors:
    """Five clusters of points around the first five axes, sorted by cluster, as many rows in each."""
    labels = torch.arange(5).repeat_interleave(rows // 5)
    return 2 * F.one_hot(labels, 12) + noise * draw.normal(rows, 12), labels


def _accuracy(head: nn.Module, rows: Vectors) -> float:
    with torch.no_grad():
        return (head(rows[0]).argmax(dim=1) == rows[1]).float().mean().item()


@cache
def _sample_vectors() -> tuple[Vectors, Vectors]:
    """Mean vectors of MiniLM's lowest two layers for some of the sample's SST rows: train and dev."""
    encoder = load_encoder("minilm", num_layers=2)
    encoder.bert.eval()

    def vectors(split, count: int) -> Vectors:
        rows = read_split(paths.SAMPLE, TASKS["sst"], split).subsample(count)
        batch = encoder.pack([row.texts[0] for row in rows.examples])
        with torch.no_grad():
            return pool(encoder.bert(batch), batch, "mean"), torch.tensor(rows.labels).long()

    return vectors("train", 600), vectors("dev", 300)


@check
def head_and_tail(answer, draw):
    """answer(ids, max_length, head) -> list of at most max_length ids; ids begins with [CLS] and ends with [SEP]."""
    cls, sep = 101, 102
    head, tail = draw.whole(2, 4), draw.whole(5, 7)
    length = head + tail + 2
    inner = draw.wholes(1000, 9999, length + draw.whole(2, 4)).tolist()
    text = [cls, *inner, sep]
    short = text[: length - 1] + [sep]
    yield "leaves a text alone that fits exactly"
    got = returned(answer(list(short), length, head))
    expect(list(got) == short, f"{len(short)} ids went in, and other ids came out")
    yield "leaves shorter texts alone"
    for size in (length - 1, head + 2, 3, 2):
        shorter = [*text[: size - 1], sep]
        equal(list(answer(list(shorter), length, head)), shorter, f"for {size} ids, where {length} fit")
    yield "cuts a long text to max_length ids"
    got = list(answer(list(text), length, head))
    expect(len(got) == length, f"{len(got)} ids came out, not {length}")
    yield "keeps [CLS] at the front and [SEP] at the end"
    expect(got[0] == cls and got[-1] == sep, f"it begins with {got[0]} and ends with {got[-1]}")
    yield "keeps the first `head` tokens after [CLS]"
    case = f"for the inner tokens {inner}, max_length {length} and head {head}"
    equal(got[1 : head + 1], inner[:head], case)
    yield "fills the rest with the last tokens, in their order"
    equal(got[head + 1 : -1], inner[-tail:], case)
    yield "with head = 0 keeps the tail alone"
    expected = [cls, *inner[-(length - 2) :], sep]
    equal(list(answer(list(text), length, 0)), expected, f"for the inner tokens {inner} and max_length {length}")
    yield "with head = max_length - 2 leaves no room for the tail"
    expected = [cls, *inner[: length - 2], sep]
    got = list(answer(list(text), length, length - 2))
    expect(len(got) == length, f"{len(got)} ids came out, not {length}: what is the slice for a tail of 0 tokens?")
    equal(got, expected, f"for the inner tokens {inner} and max_length {length}")


@check
def early_stopping(answer, draw):
    """answer(scores, patience) -> (best epoch, epochs run), both counted from 1; scores is a list, one per epoch."""
    rising = sorted(draw.uniform(draw.whole(4, 8)).tolist())
    patience = draw.whole(2, 4)

    def gives(scores: list[float], best: int, epochs: int) -> None:
        got = several(answer(list(scores), patience), "best epoch", "epochs run")
        case = f"for {[round(score, 2) for score in scores]} with patience {patience}"
        equal(tuple(int(epoch) for epoch in got), (best, epochs), case)

    yield "runs to the end while the score still rises"
    gives(rising, len(rising), len(rising))
    yield "stops after `patience` epochs without a better score"
    gives([0.5, 0.6] + [0.55] * (patience + 3), 2, 2 + patience)
    yield "ignores a better score that comes after it stopped"
    gives([0.6] + [0.5] * patience + [0.9], 1, 1 + patience)
    yield "compares with the best score so far, not with that of the epoch before"
    gives([0.8] + [0.1 * (epoch + 1) for epoch in range(patience + 2)], 1, 1 + patience)
    yield "takes the earliest of equal scores, which do not count as better"
    gives([0.4] + [0.7] * (patience + 2), 2, 2 + patience)
    yield "waits anew after every better score"
    gives([0.3] + [0.2] * (patience - 1) + [0.4] + [0.1] * patience, patience + 1, 2 * patience + 1)
