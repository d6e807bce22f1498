"""Loss weightings against their formulas, and against TorchJD's."""

import math

import pytest
import torch

from mtbert.optim import build_loss_weighting

TASKS = ["a", "b", "c"]
scalarization = pytest.importorskip("torchjd.scalarization")


def losses(*values: float, scale: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    scale = torch.ones(()) if scale is None else scale
    return {task: scale * value for task, value in zip(TASKS, values, strict=False)}


def test_equal_leaves_the_losses_alone():
    assert {task: float(loss) for task, loss in build_loss_weighting("equal", TASKS)(losses(1, 2, 3)).items()} == {
        "a": 1,
        "b": 2,
        "c": 3,
    }


def test_uncertainty_begins_as_the_sum_with_half_a_squared_error_and_follows_the_formula():
    weighting = build_loss_weighting("uw", TASKS, squared=["c"])
    assert {task: loss.item() for task, loss in weighting(losses(1, 2, 3)).items()} == {"a": 1, "b": 2, "c": 1.5}
    with torch.no_grad():
        weighting.log_variance["a"].fill_(math.log(4))
        weighting.log_variance["c"].fill_(math.log(0.25))
    found = weighting(losses(1, 2, 3))
    assert found["a"].item() == pytest.approx(1 / 4 + math.log(2))  # L / sigma^2 + ln sigma
    assert found["c"].item() == pytest.approx(3 / (2 * 0.25) + math.log(0.5))  # L / (2 sigma^2) + ln sigma


def test_uncertainty_settles_where_the_noise_equals_the_loss():
    weighting = build_loss_weighting("uw", TASKS)
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        sum(weighting(losses(0.5, 2, 3)).values()).backward()
        optimizer.step()
    found = [float(s.detach().exp()) for s in weighting.log_variance.values()]
    assert found == pytest.approx([1, 4, 6], rel=1e-3)


def test_dynamic_average_needs_two_epochs_and_favours_the_task_that_fell_least():
    weighting = build_loss_weighting("dwa", TASKS)
    weighting.look_back([{"a": 1, "b": 1, "c": 1}])
    assert weighting.weights == dict.fromkeys(TASKS, 1.0)
    weighting.look_back([{"a": 1, "b": 1, "c": 1}, {"a": 0.9, "b": 0.5, "c": 0.1}])
    found = weighting.weights
    assert found["a"] > found["b"] > found["c"] and sum(found.values()) == pytest.approx(3)
    ratios = torch.tensor([0.9, 0.5, 0.1])
    torch.testing.assert_close(torch.tensor(list(found.values())), 3 * (ratios / 2).softmax(0))


def test_dynamic_average_waits_where_a_task_had_no_step_in_an_epoch():
    weighting = build_loss_weighting("dwa", TASKS)
    weighting.look_back([{"a": 1, "b": 1, "c": 1}, {"a": 0.9, "b": 0.5}])
    assert weighting.weights == dict.fromkeys(TASKS, 1.0)


def test_famo_begins_inverse_to_the_losses_and_the_weights_add_up_to_the_tasks():
    weighting = build_loss_weighting("famo", TASKS)
    one = torch.ones((), requires_grad=True)
    found = weighting(losses(1, 2, 4, scale=one))
    weights = {task: float(found[task] / loss) for task, loss in losses(1, 2, 4).items()}
    assert sum(weights.values()) == pytest.approx(3)
    assert weights["a"] == pytest.approx(2 * weights["b"]) == pytest.approx(4 * weights["c"])
    sum(found.values()).backward()
    assert float(one.grad) == pytest.approx(sum(w * v for w, v in zip(weights.values(), (1, 2, 4), strict=True)))


def test_famo_gives_more_weight_to_the_task_that_fell_less():
    weighting = build_loss_weighting("famo", TASKS)
    for _ in range(20):
        weighting(losses(1, 1, 1))
        weighting.after(losses(0.9, 0.5, 0.5))
    shares = weighting.logits.softmax(0)
    assert shares[0] > shares[1] == pytest.approx(float(shares[2]))


def test_famo_moves_as_torchjd_does():
    ours = build_loss_weighting("famo", TASKS)
    theirs = scalarization.FAMO(len(TASKS))
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        before = torch.rand(3, generator=generator) + 0.5
        now = before * (0.5 + torch.rand(3, generator=generator))
        mine, its = (each.clone().requires_grad_() for each in (before, before))
        sum(ours(dict(zip(TASKS, mine, strict=True))).values()).backward()
        theirs(its).backward()
        torch.testing.assert_close(mine.grad, len(TASKS) * its.grad)  # ours add up to the number of tasks, theirs to 1
        ours.after(dict(zip(TASKS, now, strict=True)))
        theirs.update(now)
