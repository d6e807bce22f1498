"""The shared layer of notebook 09 learns each of its tasks, through weights that all of them change."""

import pytest
import torch

from mtbert.workbook.shared_layer import SharedLayer


def rows(task: str, count: int = 60, width: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    texts = torch.randn(count, 1 if task == "sst" else 2, width)
    if task == "sst":
        return texts, texts[:, 0, :5].argmax(1).float()
    texts[: count // 2, 1] = texts[: count // 2, 0] + 0.1 * torch.randn(count // 2, width)
    alike = torch.arange(count) < count // 2
    return texts, (5.0 if task == "sts" else 1.0) * alike


@pytest.mark.parametrize("task", ["sst", "quora", "sts"])
def test_training_lowers_the_loss_and_raises_the_score(task):
    model, (texts, labels) = SharedLayer(12, 16), rows(task)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    before = model.score(task, texts, labels), model.loss(task, texts, labels).item()
    for _ in range(80):
        optimizer.zero_grad()
        model.loss(task, texts, labels).backward()
        optimizer.step()
    assert model.score(task, texts, labels) > max(0.9, before[0] - 0.01)
    assert model.loss(task, texts, labels).item() < before[1]


def test_every_task_changes_the_shared_layer_and_no_other_head():
    for task in ("sst", "quora", "sts"):
        model = SharedLayer(12)
        model.loss(task, *rows(task)).backward()
        touched = {name.split(".")[-1] if "lines" in name else name.split(".")[0] for name, p in grads(model)}
        assert touched == {"shared", "sentiment" if task == "sst" else task}


def grads(model):
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.grad is not None]
