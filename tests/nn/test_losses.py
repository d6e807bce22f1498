"""Losses, compared with float64 references of their formulas and with sentence-transformers' classes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtbert.data.tasks import TASKS, get_task
from mtbert.nn.losses import (
    LOSSES,
    LossSettings,
    build_loss,
    cosent,
    graded_mnrl,
    mnrl,
    ordinal,
    supervised_contrastive,
    task_loss,
    triplet,
)

SEEDS, ROWS = st.integers(0, 2**32), st.integers(2, 9)
STS = get_task("sts")


def vectors(rows: int, seed: int, count: int = 2, width: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, rows, width, generator=generator, dtype=torch.float64))


def cosine(a, b) -> float:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def scores(labels_seed: int, rows: int) -> torch.Tensor:
    return torch.randint(0, 11, (rows,), generator=torch.Generator().manual_seed(labels_seed)).double() / 2


@pytest.mark.parametrize(
    ("task", "logits", "labels", "expected"),
    [
        ("sst", [[0, math.log(3), 0, 0, 0], [0] * 5], [1, 4], (-math.log(3 / 7) - math.log(1 / 5)) / 2),
        ("quora", [[math.log(3)], [0]], [0, 1], (-math.log(1 / 4) - math.log(1 / 2)) / 2),  # probabilities 3/4 and 1/2
        ("sts", [[1], [4]], [3, 5], (4 + 1) / 2),
    ],
)
def test_a_task_has_the_loss_of_its_kind(task, logits, labels, expected):
    task, logits, labels = get_task(task), torch.tensor(logits, dtype=torch.float32), torch.tensor(labels).float()
    assert task_loss(task, logits, labels).item() == pytest.approx(expected)
    assert build_loss("default", task)(logits, None, labels).item() == pytest.approx(expected)
    named = build_loss("mse" if task.kind == "regression" else "cross_entropy", task)
    assert named(logits, None, labels).item() == pytest.approx(expected)


@settings(max_examples=25)
@given(ROWS, SEEDS, st.sampled_from([1.0, 20.0]))
def test_mnrl_is_the_formula(rows, seed, scale):
    u, v = vectors(rows, seed)
    losses = []
    for i in range(rows):
        similar = [math.exp(scale * cosine(u[i], v[j])) for j in range(rows)]
        losses.append(-math.log(similar[i] / sum(similar)))
    assert mnrl(u, v, scale).item() == pytest.approx(np.mean(losses), abs=1e-10)


@settings(max_examples=25)
@given(ROWS, SEEDS, st.sampled_from([1.0, 20.0]))
def test_the_supervised_contrastive_loss_is_the_formula(rows, seed, scale):
    x = vectors(rows, seed, 1)[0]
    labels = torch.randint(0, 3, (rows,), generator=torch.Generator().manual_seed(seed))
    losses = []
    for i in range(rows):
        others = [j for j in range(rows) if j != i]
        total = sum(math.exp(scale * cosine(x[i], x[j])) for j in others)
        same = [math.exp(scale * cosine(x[i], x[j])) / total for j in others if labels[i] == labels[j]]
        if same:
            losses.append(-np.mean(np.log(same)))
    loss = supervised_contrastive(x.requires_grad_(), labels, scale)
    loss.backward()
    assert loss.item() == pytest.approx(np.mean(losses) if losses else 0.0, abs=1e-10)
    assert x.grad.isfinite().all()


@settings(max_examples=25)
@given(st.integers(1, 8), SEEDS, st.sampled_from([1.0, 20.0]))
def test_graded_mnrl_is_the_formula(negatives, seed, scale):
    values = torch.rand(negatives + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    positive = torch.arange(negatives + 1) == 0
    p, rest = math.exp(scale * values[0]), sum(math.exp(scale * value) for value in values[1:])
    assert graded_mnrl(values, positive, scale).item() == pytest.approx(-math.log(p / (p + rest)), abs=1e-10)


@settings(max_examples=25)
@given(ROWS, SEEDS, st.floats(0, 1))
def test_triplet_is_the_formula(rows, seed, triplet_margin):
    a, p, n = vectors(rows, seed, 3)
    expected = [max(0.0, (1 - cosine(a[i], p[i])) - (1 - cosine(a[i], n[i])) + triplet_margin) for i in range(rows)]
    np.testing.assert_allclose(triplet(a, p, n, triplet_margin), expected, atol=1e-10)


@settings(max_examples=25)
@given(ROWS, SEEDS, SEEDS, st.sampled_from([1.0, 20.0]))
def test_cosent_is_the_formula(rows, seed, labels_seed, scale):
    u, v = vectors(rows, seed)
    labels, cosines = scores(labels_seed, rows), [cosine(u[i], v[i]) for i in range(rows)]
    terms = [
        math.exp(scale * (cosines[j] - cosines[i])) for i in range(rows) for j in range(rows) if labels[i] > labels[j]
    ]
    loss = cosent(torch.tensor(cosines, dtype=torch.float64), labels, scale)
    assert loss.item() == pytest.approx(math.log(1 + sum(terms)), abs=1e-9)


def test_losses_equal_those_of_sentence_transformers():
    peer = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    u, v, n = (x.float() for x in vectors(8, 3, 3))
    labels = scores(4, 8).float()
    expected = peer.MultipleNegativesRankingLoss(None, scale=20.0).compute_loss_from_embeddings([u, v], None)
    torch.testing.assert_close(mnrl(u, v), expected, rtol=0, atol=1e-5)
    expected = peer.CoSENTLoss(None, scale=20.0).compute_loss_from_embeddings([u, v], labels)
    torch.testing.assert_close(cosent(torch.cosine_similarity(u, v), labels), expected, rtol=0, atol=1e-5)
    by_cosine = peer.TripletLoss(None, peer.TripletDistanceMetric.COSINE, 0.5)
    expected = by_cosine.compute_loss_from_embeddings([u, v, n], None)
    torch.testing.assert_close(triplet(u, v, n).mean(), expected, rtol=0, atol=1e-5)


def test_graded_mnrl_does_not_see_grades():
    """Labels above the threshold are one class, those below another: it forgets the scores."""
    logits, loss = torch.rand(3, 1, dtype=torch.float64), build_loss("mnrl_graded", STS)
    assert loss(logits, None, torch.tensor([5, 2.9, 2.9])) == loss(logits, None, torch.tensor([3.0, 0, 1]))


@pytest.mark.parametrize("name", ["mnrl", "triplet"])
def test_a_row_alone_has_no_negative_and_so_no_loss(name):
    inputs = torch.randn(2, 6, requires_grad=True)
    loss = build_loss(name, STS)(None, inputs, torch.tensor([5.0]))
    loss.backward()
    assert loss == 0 and not inputs.grad.any()


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.input_kind == "pair"])
def test_losses_of_vectors_read_left_and_right_in_turn(name):
    u, v = vectors(4, 1)
    inputs, labels = torch.stack([u, v], dim=1).flatten(0, 1), torch.tensor([5.0, 4.0, 3.5, 1.0])
    expected = {
        "mnrl": mnrl(u, v, 3.0),
        "triplet": (labels / 5 * triplet(u, v, u.roll(-1, 0), 0.9)).mean(),
        "cosent": cosent(torch.cosine_similarity(u, v), labels, 3.0),
    }
    torch.testing.assert_close(build_loss(name, STS, LossSettings(3.0, 0.9))(None, inputs, labels), expected[name])


def test_the_losses_that_compare_the_rows_of_a_step_say_so():
    """Accumulation, several processes and CUDA graphs refuse them, since they are no mean over rows."""
    ranking = {"mnrl", "mnrl_graded", "triplet", "cosent", "supervised_contrastive"}
    assert {name for name, loss in LOSSES.items() if loss.ranks} == ranking


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("name", "classes"), [("sst", 5), ("quora", 2)])
def test_label_smoothing_mixes_the_target_with_a_uniform_distribution(name, classes, smoothing):
    logits, labels = torch.randn(6, TASKS[name].num_outputs, dtype=torch.float64), torch.arange(6.0).double() % classes
    both = logits if classes > 2 else torch.cat([torch.zeros_like(logits), logits], dim=1)
    targets = (1 - smoothing) * torch.eye(classes, dtype=torch.float64)[labels.long()] + smoothing / classes
    expected = -(targets * both.log_softmax(1)).sum(1).mean()
    loss = build_loss("default", TASKS[name], LossSettings(label_smoothing=smoothing))
    torch.testing.assert_close(loss(logits, None, labels), expected)


def test_the_ordinal_loss_counts_how_far_a_class_is_from_the_label():
    """It is lowest where the distribution is the target, and a distant class costs more than a neighbor."""
    labels, classes = torch.tensor([1.0]), torch.arange(5.0)
    best = -(classes - 1).square()[None]
    lowest = ordinal(best, labels)
    for _ in range(20):
        assert ordinal(best + 0.1 * torch.randn(1, 5), labels) >= lowest
    costs = [float(ordinal(5 * torch.eye(5)[[label]], labels)) for label in range(5)]
    assert costs[1] < costs[0] == pytest.approx(costs[2]) and costs[2] < costs[3] < costs[4]
