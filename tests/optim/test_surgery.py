"""Surgery on the parameters of a small model, and the record of conflicts."""

import itertools
import math

import pytest
import torch
from helpers import owner
from torch import nn

from mtbert.optim import Conflicts, FlatParameters, Surgery, cosines, pcgrad, relative_change, sum_weights
from mtbert.optim.surgery import group_of


class Shared(nn.Module):
    """An embedding and a layer that all tasks share, a frozen layer, and a head per task."""

    def __init__(self, tasks=("a", "b", "c")):
        super().__init__()
        torch.manual_seed(0)
        self.bert = nn.ModuleDict({"embeddings": nn.Embedding(20, 4), "layers": nn.ModuleList([nn.Linear(4, 4)])})
        self.heads = nn.ModuleDict({task: nn.Linear(4, 1) for task in tasks})
        self.frozen = nn.Linear(4, 4).requires_grad_(False)

    def loss(self, task: str, ids: torch.Tensor) -> torch.Tensor:
        x = self.frozen(self.bert["layers"][0](self.bert["embeddings"](ids)).tanh())
        return (self.heads[task](x) - {"a": 1.0, "b": -1.0, "c": 0.3}[task]).square().mean()


def build(weighting, granularity="model", tasks=("a", "b", "c")) -> tuple[Shared, FlatParameters, Surgery]:
    model = Shared(tasks)
    flat = FlatParameters(model, owner)
    return model, flat, Surgery(flat, list(tasks), weighting, granularity)


IDS = {"a": torch.tensor([1, 2, 3, 2]), "b": torch.tensor([2, 3, 9]), "c": torch.tensor([11, 1])}


def run(model, surgery, ids=IDS):
    surgery.zero_grad()
    for task, task_ids in ids.items():
        surgery.add(task, model.loss(task, task_ids))
    return surgery.aggregate()


def test_summing_is_the_gradient_of_the_sum_also_after_other_rows():
    model, flat, surgery = build(sum_weights)
    run(model, surgery, {task: (ids + 5) % 20 for task, ids in IDS.items()})  # leaves other rows behind
    run(model, surgery)
    combined = flat.gradient.clone()
    flat.backward(sum(model.loss(task, ids) for task, ids in IDS.items()))
    torch.testing.assert_close(combined, flat.gradient)


@pytest.mark.parametrize(("granularity", "groups"), [("model", 1), ("layer", 2), ("matrix", 3)])
def test_surgery_on_parameters_equals_surgery_on_vectors(granularity, groups):
    def weighting(gramian):
        return pcgrad(gramian, torch.Generator().manual_seed(3))

    model, flat, surgery = build(weighting, granularity)
    run(model, surgery)
    combined = flat.gradient.clone()
    per_task = {}
    for task, ids in IDS.items():
        flat.vector.values.zero_()
        flat.backward(model.loss(task, ids))
        per_task[task] = flat.gradient.clone()
    expected = sum(per_task.values())  # right for the heads
    shared = {name: where for name, where in flat.slices.items() if owner(name) == "encoder"}
    for group in dict.fromkeys(group_of(name, granularity) for name in shared):
        indices = torch.cat(
            [torch.arange(len(flat))[where] for name, where in shared.items() if group_of(name, granularity) == group]
        )
        g = torch.stack([gradient[indices] for gradient in per_task.values()]).double()
        expected[indices] = (weighting(g @ g.T) @ g).float()
    torch.testing.assert_close(combined, expected, rtol=1e-4, atol=1e-6)
    assert len(surgery.last.groups) == groups
    assert (cosines(surgery.last.gramians) < 0).any()  # these tasks do conflict
    assert float(relative_change(surgery.last.gramians, surgery.last.weights)) > 0.01


def test_heads_keep_their_own_gradient():
    model, flat, surgery = build(lambda gramian: 0 * sum_weights(gramian))
    run(model, surgery)
    for task, ids in IDS.items():
        expected = torch.autograd.grad(model.loss(task, ids), model.heads[task].weight)[0]
        torch.testing.assert_close(flat.gradient[flat.slices[f"heads.{task}.weight"]].view(1, 4), expected)
    assert flat.gradient[flat.slices["bert.layers.0.weight"]].abs().max() == 0


def test_a_step_of_one_task_is_its_plain_gradient_and_leaves_the_others_untouched():
    model, flat, surgery = build(pcgrad)
    run(model, surgery)
    parameters = run(model, surgery, {"b": IDS["b"]})
    combined = flat.gradient.clone()
    assert surgery.last.gramians is None
    owners = [shard.owner for shard in flat.shards if shard.parameter.grad is not None]
    assert set(owners) == {"encoder", "b"} and len(parameters) == len(owners)
    flat.backward(model.loss("b", IDS["b"]))
    for name in ("bert.embeddings.weight", "bert.layers.0.weight", "heads.b.weight"):
        torch.testing.assert_close(combined[flat.slices[name]], flat.gradient[flat.slices[name]])


def test_two_of_three_tasks_have_surgery_among_themselves():
    ids = {task: IDS[task] for task in ("a", "c")}
    model, flat, surgery = build(pcgrad)
    run(model, surgery, ids)
    assert surgery.last.tasks == ["a", "c"] and surgery.last.gramians.shape == (1, 2, 2)
    among_three = flat.gradient[flat.slices["bert.layers.0.weight"]].clone()
    two, flat, surgery = build(pcgrad, tasks=("a", "c"))
    two.load_state_dict({name: value for name, value in model.state_dict().items() if "heads.b" not in name})
    run(two, surgery, ids)
    torch.testing.assert_close(among_three, flat.gradient[flat.slices["bert.layers.0.weight"]])


def test_a_gradient_that_is_not_finite_and_an_unknown_granularity_are_refused():
    model, flat, surgery = build(pcgrad)
    surgery.zero_grad()
    surgery.add("a", model.loss("a", IDS["a"]))
    surgery.add("b", model.loss("b", IDS["b"]) * math.nan)
    with pytest.raises(FloatingPointError, match="the gradient of b is not finite"):
        surgery.aggregate()
    with pytest.raises(ValueError, match="granularity is 'head'"):
        build(pcgrad, "head")


def test_conflicts_are_counted_by_pair_and_survive_a_checkpoint():
    model, flat, surgery = build(pcgrad)
    conflicts = Conflicts(["a", "b", "c"])
    for shift in range(3):
        run(model, surgery, {task: (ids + shift) % 20 for task, ids in IDS.items()})
        conflicts.update(surgery.last)
        last = cosines(surgery.last.gramians[0])
    run(model, surgery, {"a": IDS["a"]})
    conflicts.update(surgery.last)  # one task alone meets nobody
    resumed = Conflicts(["a", "b", "c"])
    resumed.load_state_dict(conflicts.state_dict())
    summary = resumed.summary()
    assert summary["steps"] == 3 and set(summary["cosines"]) == {"a-b", "a-c", "b-c"}
    for (i, j), pair in zip(itertools.combinations(range(3), 2), ("a-b", "a-c", "b-c"), strict=True):
        assert summary["cosines"][pair][-1] == pytest.approx(float(last[i, j]), abs=1e-4)
        assert summary["conflicts"][pair] == sum(value < 0 for value in summary["cosines"][pair])
    run(model, surgery, {task: IDS[task] for task in ("a", "c")})  # a step without b
    resumed.update(surgery.last)
    lengths = {pair: len(values) for pair, values in resumed.summary()["cosines"].items()}
    assert lengths == {"a-b": 3, "a-c": 4, "b-c": 3}
    assert Conflicts(["a"]).summary() == {"steps": 0}
