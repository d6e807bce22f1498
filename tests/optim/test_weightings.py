"""Weightings: their laws, the Gramian form against vectors written out, and TorchJD."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtbert.optim import GradVac, Grouped, TorchJD, build_weighting, cosines, pcgrad, sum_weights
from mtbert.optim.weightings.torchjd import TORCHJD_METHODS
from mtbert.utils.errors import UserError
from mtbert.workbook.reference import pcgrad_on_vectors

seeds = st.integers(0, 10_000)
several = st.integers(2, 6)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradients(tasks: int, size: int, seed: int, spread: float = 1.0) -> torch.Tensor:
    """(tasks, size) float64, of lengths that differ, and often in conflict."""
    g = torch.randn(tasks, size, generator=seeded(seed), dtype=torch.float64)
    return g * torch.logspace(-spread, spread, tasks, dtype=torch.float64)[:, None]


def orders(tasks: int, generator: torch.Generator) -> list[list[int]]:
    """The order in which pcgrad and GradVac visit the other tasks of each task."""
    return [[j for j in torch.randperm(tasks, generator=generator).tolist() if j != i] for i in range(tasks)]


def gradvac_on_vectors(g: torch.Tensor, order: list[list[int]], targets: torch.Tensor) -> torch.Tensor:
    changed = g.clone()
    for i, others in enumerate(order):
        for j in others:
            cosine, target = torch.cosine_similarity(changed[i], g[j], dim=0), targets[i, j]
            if cosine < target:
                above = changed[i].norm() * (target * (1 - cosine**2).sqrt() - cosine * (1 - target**2).sqrt())
                changed[i] += above / (g[j].norm() * (1 - target**2).sqrt()) * g[j]
    return changed


@given(seed=seeds, tasks=several, size=st.integers(2, 8))
def test_pcgrad_on_the_gramian_equals_pcgrad_on_vectors(seed, tasks, size):
    g = gradients(tasks, size, seed)
    expected = pcgrad_on_vectors(g, orders(tasks, seeded(seed))).sum(0)
    step = pcgrad(g @ g.T, seeded(seed)) @ g
    assert (step - expected).abs().max() <= 1e-10 * max(1, float(g.abs().max()) * tasks)


@given(seed=seeds, size=st.integers(2, 8))
def test_a_grouped_weighting_is_that_of_the_groups_summed_gradients(seed, size):
    g = gradients(4, size, seed)
    summed = torch.stack([g[0] + g[2] + g[3], g[1]])
    expected = pcgrad_on_vectors(summed, orders(2, seeded(seed))).sum(0)
    grouped = Grouped(lambda gramian: pcgrad(gramian, seeded(seed)), [0, 1, 0, 0])
    assert (grouped(g @ g.T) @ g - expected).abs().max() <= 1e-10 * max(1, float(g.abs().max()) * 4)


@given(seed=seeds, tasks=several, size=st.integers(3, 8))
def test_gradvac_on_the_gramian_equals_gradvac_on_vectors_over_steps(seed, tasks, size):
    vaccine, generator = GradVac(0.3, seeded(seed)), seeded(seed)
    targets = torch.zeros(tasks, tasks, dtype=torch.float64)
    for step in range(3):
        g = gradients(tasks, size, seed + 7 * step, spread=0.3)
        expected = gradvac_on_vectors(g, orders(tasks, generator), targets).sum(0)
        assert (vaccine(g @ g.T) @ g - expected).abs().max() <= 1e-10 * max(1.0, float(expected.abs().max()))
        unit = g / g.norm(dim=1, keepdim=True)
        targets = 0.7 * targets + 0.3 * unit @ unit.T
        torch.testing.assert_close(vaccine.targets, targets)


@given(seed=seeds, size=st.integers(2, 8))
def test_pcgrad_of_two_tasks_conflicts_with_neither(seed, size):
    g = gradients(2, size, seed)
    step = pcgrad(g @ g.T) @ g
    assert (g @ step >= -1e-9 * g.norm(dim=1) * step.norm()).all()


@given(seed=seeds, tasks=several)
def test_without_a_conflict_the_step_is_the_plain_sum(seed, tasks):
    g = gradients(tasks, 6, seed).abs()
    assert torch.equal(pcgrad(g @ g.T), sum_weights(g @ g.T))


@given(seed=seeds, tasks=several)
def test_gradvac_with_targets_of_zero_is_pcgrad(seed, tasks):
    g = gradients(tasks, 6, seed, spread=0.5)
    torch.testing.assert_close(GradVac(0.5, seeded(seed))(g @ g.T), pcgrad(g @ g.T, seeded(seed)))


@given(seed=seeds, target=st.floats(-0.9, 0.95))
def test_after_one_update_the_cosine_equals_the_target(seed, target):
    g = gradients(2, 5, seed)
    vaccine = GradVac(0.1)
    vaccine.targets = torch.full((2, 2), target, dtype=torch.float64)
    weights = vaccine(g @ g.T)
    if float(cosines(g @ g.T)[0, 1]) >= target:
        assert torch.equal(weights, torch.ones(2, dtype=torch.float64))
        return
    for i, j in ((0, 1), (1, 0)):  # weights[j] - 1 is how much of g_j was added to g_i
        changed = g[i] + (weights[j] - 1) * g[j]
        assert abs(float(torch.cosine_similarity(changed, g[j], dim=0)) - target) < 1e-6


@pytest.mark.parametrize("build", [lambda: pcgrad, lambda: GradVac(0.5), lambda: sum_weights])
def test_zero_gradients_and_a_single_task_change_nothing(build):
    for gramian in ([[3.0]], [[2.0, 0.0], [0.0, 0.0]]):
        assert torch.equal(build()(torch.tensor(gramian)), torch.ones(len(gramian)))


@given(seed=seeds, tasks=several)
def test_pcgrad_equals_torchjd_under_the_same_order(seed, tasks):
    aggregation = pytest.importorskip("torchjd.aggregation")
    g = gradients(tasks, 6, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = aggregation.PCGradWeighting()(g @ g.T)
    torch.testing.assert_close(pcgrad(g @ g.T, seeded(seed)), expected, rtol=1e-9, atol=1e-9)


@given(seed=seeds)
def test_gradvac_equals_torchjd_over_steps_of_two_tasks(seed):
    """With more tasks the two differ on purpose in what moves the targets: TorchJD takes the changed gradient."""
    peer = pytest.importorskip("torchjd.aggregation").GradVacWeighting(beta=0.3, eps=0.0)
    ours = GradVac(0.3)
    for step in range(4):
        g = gradients(2, 5, seed + step, spread=0.3)
        torch.testing.assert_close(ours(g @ g.T), peer(g @ g.T), rtol=1e-9, atol=1e-9)


def torchjd(name: str) -> TorchJD:
    pytest.importorskip("torchjd")
    try:
        return build_weighting(f"torchjd:{name}", 3, 0.5, seeded(0))
    except UserError as error:
        pytest.skip(str(error))


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of NashMTL's solver
every_method = pytest.mark.parametrize("name", TORCHJD_METHODS)


@every_method
def test_torchjd_weightings_equal_the_aggregator_on_gradients(name):
    g, weighting = gradients(3, 20, 3, spread=0.2), torchjd(name)
    settings = {"CAGrad": {"c": 0.5}, "FairGrad": {"alpha": 1.0}, "NashMTL": {"n_tasks": 3}}.get(name, {})
    aggregator = getattr(pytest.importorskip("torchjd.aggregation"), name)(**settings)
    torch.manual_seed(0)
    weights = weighting((g @ g.T)[None])
    torch.manual_seed(0)
    assert weights.shape == (1, 3)
    torch.testing.assert_close(weights[0] @ g, aggregator(g), rtol=2e-3, atol=2e-3)


@every_method
def test_torchjd_weightings_remember_each_group_for_itself_and_resume_bit_for_bit(name):
    def gramians(step: int) -> torch.Tensor:
        g = torch.stack([gradients(3, 5, 2 * step, 0.3), gradients(3, 5, 2 * step + 1, 0.3)])
        return g @ g.mT

    whole, resumed = torchjd(name), torchjd(name)
    for step in range(2):
        whole(gramians(step))
    before = torch.get_rng_state()
    resumed.load_state_dict(whole.state_dict())
    expected = whole(gramians(2))
    torch.set_rng_state(before)
    assert torch.equal(resumed(gramians(2)), expected)
    if name in ("NashMTL", "PCD"):  # they remember, and draw nothing
        alone = torchjd(name)
        assert torch.equal(torch.stack([alone(gramians(step)[1]) for step in range(3)])[-1], expected[1])


@every_method
def test_torchjd_weightings_bear_zero_gradients(name):
    assert torch.equal(torchjd(name)(torch.zeros(2, 3, 3)), torch.ones(2, 3))
    assert torchjd(name)(torch.diag(torch.tensor([1.0, 0.0, 2.0]))).isfinite().all()


def test_what_is_no_weighting_of_the_gramian_is_refused_by_name():
    for name in ("ExcessMTL", "GradDrop", "Krum", "os", "Weighting", "", "Nonsense"):
        with pytest.raises(UserError, match=f"'torchjd:{name}'.*UPGrad"):
            TorchJD(name, 3)
    with pytest.raises(ValueError, match=r"\(2, 2\).*3 tasks"):
        torchjd("UPGrad")(torch.eye(2))


@pytest.mark.parametrize("package", ["torchjd", "cvxpy"])
def test_a_method_whose_packages_are_missing_names_the_extra(monkeypatch, package):
    pytest.importorskip("torchjd")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"'torchjd:CAGrad'.*{package}.*\[surgery-full\]"):
        TorchJD("CAGrad", 3)
