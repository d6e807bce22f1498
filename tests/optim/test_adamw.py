"""AdamW and its fused form against torch's and against the formulas, and the learning rate's schedule."""

import copy
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mtbert.optim import AdamW, FusedAdamW, fused_adamw, learning_rate_factor

both = pytest.mark.parametrize("kind", [AdamW, FusedAdamW])


def parameters(seed: int, *shapes: tuple[int, ...]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def assert_same_walk(ours, peers, optimizer, peer_optimizer, steps: int, seed: int = 0):
    """The same gradients for both, and the same weights after each tenth step."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for parameter, peer in zip(ours, peers, strict=True):
            scale = 10 ** torch.empty(()).uniform_(-4, 2, generator=generator).item()
            peer.grad = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * scale
            parameter.grad = peer.grad.clone()
            if parameter.ndim == 2 and step % 2:  # the layout of a gradient does not matter
                parameter.grad = parameter.grad.t().contiguous().t()
        optimizer.step()
        peer_optimizer.step()
        if step % 10 == 9:
            torch.testing.assert_close(ours, peers, rtol=1e-9, atol=1e-9)


@both
@given(
    lr=st.floats(1e-6, 0.1),
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0, 0.9999),
    eps=st.floats(1e-10, 1e-3),
    weight_decay=st.floats(0, 0.5),
    seed=st.integers(0, 999),
)
@settings(max_examples=5)
def test_adamw_equals_torchs_over_a_hundred_steps_of_two_groups(kind, lr, beta1, beta2, eps, weight_decay, seed):
    def optimizer(thetas, kind):
        group = {"params": thetas[2:], "lr": 0.03, "weight_decay": 0.2, "betas": (0.5, 0.7)}
        return kind([{"params": thetas[:2]}, group], lr, (beta1, beta2), eps, weight_decay)

    ours = parameters(seed, (3, 2), (), (5,), (4, 3))
    ours[3].data = ours[3].data.t().contiguous().t()  # now a parameter that is not contiguous
    peers = copy.deepcopy(ours)
    assert_same_walk(ours, peers, optimizer(ours, kind), optimizer(peers, torch.optim.AdamW), 100, seed)


@pytest.mark.parametrize("chunk", [1, 7, 64, 2**18])
def test_the_fused_form_equals_the_plain_one_in_chunks_of_any_size(monkeypatch, chunk):
    monkeypatch.setattr(fused_adamw, "_CHUNK", chunk)
    ours = parameters(0, (13, 5), (64,), (65,), (1,))
    peers = copy.deepcopy(ours)
    assert_same_walk(ours, peers, FusedAdamW(ours, lr=0.01), AdamW(peers, lr=0.01), 20)


@both
def test_a_parameter_without_a_gradient_is_not_touched_and_counts_only_its_own_steps(kind):
    """A gradient of zeros is another thing: momentum and decay move its parameter."""
    ours = parameters(0, (3,), (3,), (3,))
    peers = copy.deepcopy(ours)
    optimizers = kind(ours, lr=0.1), torch.optim.AdamW(peers, lr=0.1)
    for step in range(12):
        for parameter, peer in zip(ours, peers, strict=True):
            parameter.grad, peer.grad = torch.full((2, 3), step % 5 * 0.5, dtype=torch.float64).unbind(0)
        ours[0].grad = peers[0].grad = None
        if step % 3:
            ours[1].grad = peers[1].grad = None
        for optimizer in optimizers:
            optimizer.step()
    assert ours[0] not in optimizers[0].state and optimizers[0].state[ours[1]]["step"] == 4
    torch.testing.assert_close(ours, peers, rtol=0, atol=1e-12)


@both
def test_a_saved_state_goes_on_identically(kind, tmp_path):
    ours = parameters(0, (3, 2), (5,))
    gradients = torch.randn(20, 11, dtype=torch.float64)

    def walk(thetas, optimizer, rows):
        for row in rows:
            for parameter, part in zip(thetas, row.split([6, 5]), strict=True):
                parameter.grad = part.view_as(parameter).clone()
            optimizer.step()

    optimizer = kind(ours, lr=0.1)
    walk(ours, optimizer, gradients[:10])
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    resumed = copy.deepcopy(ours)
    restored = kind(resumed, lr=0.5, betas=(0.1, 0.1))
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    walk(ours, optimizer, gradients[10:])
    walk(resumed, restored, gradients[10:])
    assert all(map(torch.equal, ours, resumed))


@both
def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned(kind):
    (theta,) = parameters(0, (3,))
    optimizer = kind([theta], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = theta.square().sum()
        loss.backward()
        return loss

    before = theta.detach().clone()
    assert torch.equal(optimizer.step(closure), before.square().sum()) and not torch.equal(theta, before)
    assert optimizer.step() is None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lr", (-1e-3, math.nan)),
        ("eps", (0.0, -1.0, math.nan)),
        ("weight_decay", (-0.1, math.nan)),
        ("betas", ((1.0, 0.9), (0.9, -0.1), (math.nan, 0.9))),
    ],
)
def test_impossible_settings_are_refused(name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{name}.*{re.escape(str(value))}"):
            AdamW(parameters(0, (2,)), **{name: value})


def test_the_learning_rate_warms_up_and_falls_to_zero_or_stays():
    linear, constant = (
        [learning_rate_factor(step, 20, 0.25, schedule) for step in range(21)] for schedule in ("linear", "constant")
    )
    assert linear[:6] == constant[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    assert linear[5:] == pytest.approx([(20 - step) / 15 for step in range(5, 21)]) and linear[-1] == 0.0
    assert set(constant[5:]) == {1.0}


@given(total=st.integers(1, 200), warmup_ratio=st.floats(0, 1), lr_schedule=st.sampled_from(["linear", "constant"]))
def test_the_rate_rises_once_never_exceeds_one_and_no_step_is_lost(total, warmup_ratio, lr_schedule):
    factors = [learning_rate_factor(step, total, warmup_ratio, lr_schedule) for step in range(total)]
    top = factors.index(max(factors))
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
