"""The best linear heads on frozen vectors, and the standard error of a score."""

import pytest
import torch

from mtbert.data import TASKS
from mtbert.training.evaluation import accuracy, pearson
from mtbert.workbook.frozen_heads import best_linear, standard_error, standard_errors


@pytest.mark.parametrize("name", ["sst", "quora", "sts"])
def test_the_best_linear_layer_finds_a_linear_rule_and_answers_with_labels(name):
    task = TASKS[name]
    x = torch.randn(600, 6, generator=torch.Generator().manual_seed(0))
    signal = x @ torch.tensor([2.0, -1.0, 0.5, 0.0, 0.0, 0.0])
    if task.kind == "multiclass":
        labels = x[:, : task.labels].argmax(dim=1)
    else:
        labels = (signal > 0) if task.kind == "binary" else signal
    labels = labels.double().tolist()
    answers = best_linear(task, x[:400], labels[:400], x[400:])
    assert (pearson if task.kind == "regression" else accuracy)(answers, labels[400:]) > 0.85
    assert task.kind == "regression" or set(answers) <= set(labels)


def test_standard_errors_are_those_of_repeated_draws():
    generator = torch.Generator().manual_seed(0)
    hits = (torch.rand(4000, 200, generator=generator) < 0.3).double().mean(dim=1)
    assert standard_error(TASKS["quora"], 0.3, 200) == pytest.approx(hits.std().item(), rel=0.05)
    u, noise = torch.randn(2, 4000, 200, generator=generator, dtype=torch.float64)
    r = [pearson(a.tolist(), b.tolist()) for a, b in zip(u, 0.8 * u + 0.6 * noise, strict=True)]
    assert standard_error(TASKS["sts"], 0.8, 200) == pytest.approx(torch.tensor(r).std().item(), rel=0.05)


def test_a_score_of_zero_has_no_error():
    dev = {name: range(rows) for name, rows in (("quora", 200), ("sts", 100))}
    assert standard_errors({"quora": 0.3, "sts": 0.0}, dev) == {"quora": standard_error(TASKS["quora"], 0.3, 200)}
