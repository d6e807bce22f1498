"""Gradient surgery: laws, the Gramian form against vectors written out, TorchJD, and the bookkeeping around it."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mtbert.optim import Conflicts, FlatParameters, GradVac, Surgery, TorchJD, build_weighting, cosines, pcgrad
from mtbert.optim.surgery import group_of
from mtbert.optim.weightings import relative_change, sum_weights
from mtbert.utils.errors import UserError

torchjd = pytest.importorskip("torchjd")


def gradients(tasks: int, size: int, seed: int, spread: float = 1.0) -> torch.Tensor:
    """(tasks, size) float64, of lengths that differ, and often in conflict."""
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(tasks, size, generator=generator, dtype=torch.float64)
    return g * torch.logspace(-spread, spread, tasks, dtype=torch.float64)[:, None]


def orders(tasks: int, seed: int) -> list[list[int]]:
    """The order in which pcgrad and GradVac visit the other tasks of each task."""
    generator = torch.Generator().manual_seed(seed)
    return [[j for j in torch.randperm(tasks, generator=generator).tolist() if j != i] for i in range(tasks)]


def pcgrad_on_vectors(g: torch.Tensor, order: list[list[int]]) -> torch.Tensor:
    changed = g.clone()
    for i, others in enumerate(order):
        for j in others:
            product = changed[i] @ g[j]
            if product < 0:
                changed[i] -= product / (g[j] @ g[j]) * g[j]
    return changed


def gradvac_on_vectors(g: torch.Tensor, order: list[list[int]], targets: torch.Tensor) -> torch.Tensor:
    changed = g.clone()
    for i, others in enumerate(order):
        for j in others:
            cosine = torch.cosine_similarity(changed[i], g[j], dim=0)
            target = targets[i, j]
            if cosine < target:
                above = changed[i].norm() * (target * (1 - cosine**2).sqrt() - cosine * (1 - target**2).sqrt())
                changed[i] += above / (g[j].norm() * (1 - target**2).sqrt()) * g[j]
    return changed


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


seeds = st.integers(0, 10_000)


@given(seed=seeds, tasks=st.integers(2, 6), size=st.integers(2, 8))
def test_pcgrad_on_the_gramian_equals_pcgrad_on_vectors(seed, tasks, size):
    g = gradients(tasks, size, seed)
    wanted = pcgrad_on_vectors(g, orders(tasks, seed)).sum(0)
    step = pcgrad(g @ g.T, seeded(seed)) @ g
    assert (step - wanted).abs().max() <= 1e-10 * max(1, float(g.abs().max()) * tasks)


@given(seed=seeds, tasks=st.integers(2, 6), size=st.integers(3, 8))
def test_gradvac_on_the_gramian_equals_gradvac_on_vectors_over_steps(seed, tasks, size):
    vaccine, generator = GradVac(0.3, seeded(seed)), seeded(seed)
    targets = torch.zeros(tasks, tasks, dtype=torch.float64)
    for step in range(3):
        g = gradients(tasks, size, seed + 7 * step, spread=0.3)
        order = [[j for j in torch.randperm(tasks, generator=generator).tolist() if j != i] for i in range(tasks)]
        wanted = gradvac_on_vectors(g, order, targets)
        weights = vaccine(g @ g.T)
        assert (weights @ g - wanted.sum(0)).abs().max() <= 1e-10 * max(1.0, float(wanted.abs().max()))
        unit = g / g.norm(dim=1, keepdim=True)
        targets = 0.7 * targets + 0.3 * unit @ unit.T
        torch.testing.assert_close(vaccine.targets, targets)


@given(seed=seeds, size=st.integers(2, 8))
def test_pcgrad_of_two_tasks_conflicts_with_neither(seed, size):
    g = gradients(2, size, seed)
    step = pcgrad(g @ g.T) @ g
    assert (g @ step >= -1e-9 * g.norm(dim=1) * step.norm()).all()


@given(seed=seeds, tasks=st.integers(2, 5))
def test_without_a_conflict_the_step_is_the_plain_sum(seed, tasks):
    g = gradients(tasks, 6, seed).abs()
    assert torch.equal(pcgrad(g @ g.T), sum_weights(g @ g.T))


@given(seed=seeds, tasks=st.integers(2, 5))
def test_gradvac_with_targets_of_zero_is_pcgrad(seed, tasks):
    g = gradients(tasks, 6, seed, spread=0.5)
    gramian = g @ g.T
    torch.testing.assert_close(GradVac(0.5, seeded(seed))(gramian), pcgrad(gramian, seeded(seed)))


@given(seed=seeds, target=st.floats(-0.9, 0.95))
def test_after_one_update_the_cosine_equals_the_target(seed, target):
    g = gradients(2, 5, seed)
    gramian = g @ g.T
    vaccine = GradVac(0.1)
    vaccine.targets = torch.full((2, 2), target, dtype=torch.float64)
    before = float(cosines(gramian)[0, 1])
    weights = vaccine(gramian)
    if before >= target:
        assert torch.equal(weights, torch.ones(2, dtype=torch.float64))
        return
    for i, j in ((0, 1), (1, 0)):  # weights[j] - 1 is how much of g_j was added to g_i
        changed = g[i] + (weights[j] - 1) * g[j]
        assert abs(float(torch.cosine_similarity(changed, g[j], dim=0)) - target) < 1e-6


def test_targets_move_whether_or_not_anything_was_changed_and_can_fall_and_rise():
    agree = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    vaccine = GradVac(0.25)
    assert torch.equal(vaccine(agree), torch.ones(2, dtype=torch.float64))
    assert float(vaccine.targets[0, 1]) == pytest.approx(0.225)
    vaccine(torch.tensor([[1.0, -0.4], [-0.4, 1.0]], dtype=torch.float64))
    assert float(vaccine.targets[0, 1]) == pytest.approx(0.75 * 0.225 - 0.25 * 0.4)


@given(seed=seeds, scale=st.floats(0.01, 100))
def test_pcgrad_follows_the_scale_of_a_task_exactly(seed, scale):
    g = gradients(3, 6, seed, spread=0)
    scales = torch.tensor([1.0, scale, 1.0], dtype=torch.float64)
    larger = g * scales[:, None]
    wanted = pcgrad_on_vectors(g, orders(3, seed)) * scales[:, None]  # each g_i' scales with its own task alone
    step = pcgrad(larger @ larger.T, seeded(seed)) @ larger
    torch.testing.assert_close(step, wanted.sum(0), rtol=1e-9, atol=1e-9)


def test_groups_are_treated_apart():
    one, other = gradients(3, 5, 1), gradients(3, 5, 2)
    gramians = torch.stack([one @ one.T, other @ other.T])
    both = pcgrad(gramians, seeded(4))
    for row, g in zip(both, (one, other), strict=True):
        torch.testing.assert_close(row @ g, pcgrad_on_vectors(g, orders(3, 4)).sum(0))


@pytest.mark.parametrize("weighting", [pcgrad, GradVac(0.5), sum_weights])
def test_zero_gradients_and_a_single_task_change_nothing(weighting):
    assert torch.equal(weighting(torch.tensor([[3.0]])), torch.ones(1))
    weighting = GradVac(0.5) if isinstance(weighting, GradVac) else weighting
    zero = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    assert torch.equal(weighting(zero), torch.ones(2))


@given(seed=seeds, tasks=st.integers(2, 6))
@settings(deadline=None)
def test_pcgrad_equals_torchjd_under_the_same_order(seed, tasks):
    g = gradients(tasks, 6, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wanted = torchjd.aggregation.PCGradWeighting()(g @ g.T)
    torch.testing.assert_close(pcgrad(g @ g.T, seeded(seed)), wanted, rtol=1e-9, atol=1e-9)


@given(seed=seeds)
@settings(deadline=None)
def test_gradvac_equals_torchjd_over_steps_of_two_tasks(seed):
    """With more tasks the two differ on purpose in what moves the targets: TorchJD takes the changed gradient."""
    ours, theirs = GradVac(0.3), torchjd.aggregation.GradVacWeighting(beta=0.3, eps=0.0)
    for step in range(4):
        g = gradients(2, 5, seed + step, spread=0.3)
        torch.testing.assert_close(ours(g @ g.T), theirs(g @ g.T), rtol=1e-9, atol=1e-9)


def test_gradvac_equals_torchjd_in_a_step_of_three_tasks_with_given_targets(monkeypatch):
    g = gradients(3, 6, 5, spread=0.3)
    targets = torch.tensor([[0, 0.3, 0.1], [0.3, 0, 0.4], [0.1, 0.4, 0]], dtype=torch.float64)
    ours = GradVac(0.3, seeded(1))
    ours.targets = targets.clone()
    theirs = torchjd.aggregation.GradVacWeighting(beta=0.3, eps=0.0)
    theirs._ensure_state(3, torch.float64)
    theirs._phi_t = targets.clone()
    places = iter([[sorted(others).index(j) for j in others] for others in orders(3, 1)])
    wanted = ours(g @ g.T)
    monkeypatch.setattr(torch, "randperm", lambda *args, **kwargs: torch.tensor(next(places)))
    torch.testing.assert_close(theirs(g @ g.T), wanted)


@pytest.mark.parametrize("name", ["UPGrad", "MGDA", "AlignedMTL", "IMTLG", "CAGrad", "NashMTL", "PCGrad", "Mean"])
def test_torchjd_weightings_work_by_name_and_equal_the_aggregator_on_gradients(name):
    g = gradients(3, 20, 3, spread=0.2).float()
    try:
        weights = build_weighting(f"torchjd:{name}", 3, 0.5, seeded(0))((g @ g.T)[None])
        settings = {"CAGrad": {"c": 0.5}, "NashMTL": {"n_tasks": 3}}.get(name, {})
        torch.manual_seed(0)
        aggregator = getattr(torchjd.aggregation, name)(**settings)
    except (UserError, ImportError) as error:
        pytest.skip(str(error))
    assert weights.shape == (1, 3)
    if name != "PCGrad":  # its order is random
        torch.testing.assert_close(weights[0] @ g, aggregator(g), rtol=2e-3, atol=2e-3)


def test_an_unknown_torchjd_method_is_refused_in_one_sentence():
    with pytest.raises(UserError, match="no weighting 'Nonsense'"):
        TorchJD("Nonsense", 3)


# -- on parameters ------------------------------------------------------------------------------------------------


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


def owner(name: str) -> str:
    return name.split(".")[1] if name.startswith("heads.") else "encoder"


def flat_and_surgery(weighting, granularity="model", tasks=("a", "b", "c")):
    model = Shared(tasks)
    flat = FlatParameters(model, owner)
    return model, flat, Surgery(flat, list(tasks), weighting, granularity)


IDS = {"a": torch.tensor([1, 2, 3, 2]), "b": torch.tensor([2, 3, 9]), "c": torch.tensor([11, 1])}


def run(model, surgery, ids=IDS):
    surgery.start()
    for task, of_task in ids.items():
        surgery.add(task, model.loss(task, of_task))
    return surgery.finish()


def test_plain_surgery_is_the_gradient_of_the_sum_also_after_other_rows():
    model, flat, surgery = flat_and_surgery(sum_weights)
    run(model, surgery, {task: (ids + 5) % 20 for task, ids in IDS.items()})  # leaves other rows behind
    run(model, surgery)
    ours = flat.gradient.clone()
    flat.backward(sum(model.loss(task, ids) for task, ids in IDS.items()))
    torch.testing.assert_close(ours, flat.gradient)


@pytest.mark.parametrize("granularity", ["model", "layer", "matrix"])
def test_surgery_on_parameters_equals_surgery_on_vectors(granularity):
    model, flat, surgery = flat_and_surgery(lambda gramian: pcgrad(gramian, seeded(3)), granularity)
    run(model, surgery)
    ours = flat.gradient.clone()
    apart = {}
    for task, ids in IDS.items():
        flat.vector.start()
        flat.vector.values.zero_()
        flat.add(model.loss(task, ids), flat.vector)
        apart[task] = flat.gradient.clone()
    wanted = sum(apart.values())  # right for the heads
    shared = {name: where for name, where in flat.slices.items() if owner(name) == "encoder"}
    for group in dict.fromkeys(group_of(name, granularity) for name in shared):
        where = torch.cat(
            [torch.arange(of.start, of.stop) for name, of in shared.items() if group_of(name, granularity) == group]
        )
        g = torch.stack([gradient[where] for gradient in apart.values()]).double()
        wanted[where] = pcgrad_on_vectors(g, orders(3, 3)).sum(0).float()
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-6)
    assert len(surgery.groups) == {"model": 1, "layer": 2, "matrix": 3}[granularity]


def test_conflicting_tasks_are_really_changed_here():
    model, flat, surgery = flat_and_surgery(pcgrad)
    run(model, surgery)
    assert (cosines(surgery.gramians) < 0).any() and float(relative_change(surgery.gramians, surgery.weights)) > 0.01


def test_heads_keep_their_own_gradient():
    model, flat, surgery = flat_and_surgery(lambda gramian: 0 * sum_weights(gramian))
    run(model, surgery)
    for task, ids in IDS.items():
        wanted = torch.autograd.grad(model.loss(task, ids), model.heads[task].weight)[0]
        torch.testing.assert_close(flat.gradient[flat.slices[f"heads.{task}.weight"]].view(1, 4), wanted)
    assert flat.gradient[flat.slices["bert.layers.0.weight"]].abs().max() == 0


def test_several_batches_a_task_add_up_before_surgery():
    model, flat, surgery = flat_and_surgery(pcgrad, tasks=("a", "b"))
    ids = {task: IDS[task] for task in ("a", "b")}
    run(model, surgery, ids)
    whole = flat.gradient.clone()
    surgery.start()
    for task, of_task in ids.items():
        for part in of_task.tensor_split(2):
            surgery.add(task, model.loss(task, part) * len(part) / len(of_task))
    surgery.finish()
    torch.testing.assert_close(flat.gradient, whole)


def test_a_step_of_one_task_is_its_plain_gradient_and_leaves_the_others_untouched():
    model, flat, surgery = flat_and_surgery(pcgrad)
    run(model, surgery)
    has_grad = run(model, surgery, {"b": IDS["b"]})
    ours = flat.gradient.clone()
    assert surgery.gramians is None
    owners = {segment.owner for segment in flat.shards if any(segment.parameter is part for part in has_grad)}
    assert owners == {"encoder", "b"}
    assert all(part.parameter.grad is None for part in flat.shards if part.owner in ("a", "c"))
    flat.backward(model.loss("b", IDS["b"]))
    for name in ("bert.embeddings.weight", "bert.layers.0.weight", "heads.b.weight"):
        torch.testing.assert_close(ours[flat.slices[name]], flat.gradient[flat.slices[name]])


def test_two_of_three_tasks_have_surgery_among_themselves():
    model, flat, surgery = flat_and_surgery(pcgrad)
    run(model, surgery, {task: IDS[task] for task in ("a", "c")})
    assert surgery.taking_part == ["a", "c"] and surgery.gramians.shape == (1, 2, 2)
    alone = flat.gradient[flat.slices["bert.layers.0.weight"]].clone()
    model, flat, surgery = flat_and_surgery(pcgrad, tasks=("a", "c"))
    with torch.no_grad():
        wanted = Shared()
        for name, parameter in model.named_parameters():
            parameter.copy_(dict(wanted.named_parameters())[name])
    run(model, surgery, {task: IDS[task] for task in ("a", "c")})
    torch.testing.assert_close(alone, flat.gradient[flat.slices["bert.layers.0.weight"]])


def test_a_gradient_that_is_not_finite_is_named_with_its_task():
    model, flat, surgery = flat_and_surgery(pcgrad)
    surgery.start()
    surgery.add("a", model.loss("a", IDS["a"]))
    surgery.add("b", model.loss("b", IDS["b"]) * math.nan)
    with pytest.raises(FloatingPointError, match="the gradient of b is not finite"):
        surgery.finish()


def test_conflicts_are_counted_by_pair_and_survive_a_checkpoint():
    model, flat, surgery = flat_and_surgery(pcgrad)
    log = Conflicts(["a", "b", "c"])
    for shift in range(3):
        run(model, surgery, {task: (ids + shift) % 20 for task, ids in IDS.items()})
        log.note(surgery)
        last = cosines(surgery.gramians[0])
    run(model, surgery, {"a": IDS["a"]})
    log.note(surgery)  # one task alone meets nobody
    again = Conflicts(["a", "b", "c"])
    again.load(log.tensor())
    summary = again.summary()
    assert summary["steps"] == 3 and set(summary["cosines"]) == {"a-b", "a-c", "b-c"}
    for (i, j), pair in zip(itertools.combinations(range(3), 2), ("a-b", "a-c", "b-c"), strict=True):
        assert summary["cosines"][pair][-1] == pytest.approx(float(last[i, j]), abs=1e-4)
        assert summary["conflicts"][pair] == sum(value < 0 for value in summary["cosines"][pair])
    assert Conflicts(["a"]).summary() == {"steps": 0}
