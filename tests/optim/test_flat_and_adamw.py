"""AdamW against torch's, and all parameters as one vector."""

import copy
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mtbert.data.batch import pack
from mtbert.nn.bert import Bert, BertConfig
from mtbert.optim import AdamW, FlatParameters, learning_rate_factor
from mtbert.optim import adamw as module

SMALL = BertConfig(
    vocab_size=50,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=16,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


# -- AdamW ------------------------------------------------------------------------------------------------------------


def parameters(seed: int, *shapes: tuple[int, ...]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def assert_same_walk(ours, theirs, our_optimizer, their_optimizer, steps: int, seed: int = 0):
    """The same gradients for both, and the same weights after each tenth step."""
    generator = torch.Generator().manual_seed(seed)
    for number in range(steps):
        for mine, other in zip(ours, theirs, strict=True):
            scale = 10 ** torch.empty(()).uniform_(-4, 2, generator=generator).item()
            mine.grad = torch.randn(mine.shape, generator=generator, dtype=torch.float64) * scale
            other.grad = mine.grad.clone()
        our_optimizer.step()
        their_optimizer.step()
        if number % 10 == 9:
            for mine, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


@given(
    lr=st.floats(1e-6, 0.1),
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0, 0.9999),
    eps=st.floats(1e-10, 1e-3),
    weight_decay=st.floats(0, 0.5),
    seed=st.integers(0, 999),
)
@settings(max_examples=4, deadline=None)
def test_adamw_equals_torchs_over_a_thousand_steps(lr, beta1, beta2, eps, weight_decay, seed):
    ours = parameters(seed, (3, 2), (5,), ())
    theirs = copy.deepcopy(ours)
    settings_ = {"lr": lr, "betas": (beta1, beta2), "eps": eps, "weight_decay": weight_decay}
    assert_same_walk(ours, theirs, AdamW(ours, **settings_), torch.optim.AdamW(theirs, **settings_), 1000, seed)


@given(lr=st.floats(1e-4, 0.1), weight_decay=st.floats(0, 0.5), seed=st.integers(0, 999))
@settings(max_examples=5, deadline=None)
def test_adamw_follows_each_parameter_group(lr, weight_decay, seed):
    ours = parameters(seed, (3, 2), (5,), (4, 1))
    theirs = copy.deepcopy(ours)

    def groups(of):
        return [{"params": of[:1], "lr": lr, "weight_decay": weight_decay}, {"params": of[1:], "betas": (0.5, 0.7)}]

    assert_same_walk(ours, theirs, AdamW(groups(ours)), torch.optim.AdamW(groups(theirs)), 100, seed)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_adamw_equals_torchs_on_parameters_larger_than_a_chunk(monkeypatch, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    ours = parameters(0, (13, 5), (64,), (65,), (1,))
    theirs = copy.deepcopy(ours)
    assert_same_walk(ours, theirs, AdamW(ours, lr=0.01), torch.optim.AdamW(theirs, lr=0.01), 40)


def test_the_first_step_worked_by_hand():
    """theta 2, g 3, lr .1, decay .5: the old weight decays to 1.9, then lr * g / (|g| + eps) is taken off."""
    theta = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    theta.grad = torch.tensor([3.0], dtype=torch.float64)
    AdamW([theta], lr=0.1, eps=0.25, weight_decay=0.5).step()
    assert theta.item() == pytest.approx(2 * (1 - 0.1 * 0.5) - 0.1 * 3 / (3 + 0.25), abs=1e-12)


def test_the_efficient_form_is_the_documented_one():
    """theta - alpha_t m / (sqrt(v) + eps_t), alpha_t = lr sqrt(1 - beta2^t) / (1 - beta1^t), eps_t in proportion."""
    lr, beta1, beta2, eps, lr_schedule = 0.05, 0.8, 0.95, 1e-2, 0.1
    theta = nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    optimizer = AdamW([theta], lr, (beta1, beta2), eps, lr_schedule)
    value, m, v = 1.5, 0.0, 0.0
    for t, g in enumerate([0.3, -2.0, 0.0, 1e-3, 5.0], start=1):
        theta.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        value -= lr * lr_schedule * value
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        root = math.sqrt(1 - beta2**t)
        value -= lr * root / (1 - beta1**t) * m / (math.sqrt(v) + eps * root)
        assert theta.item() == pytest.approx(value, abs=1e-12)


def test_a_parameter_without_a_gradient_is_not_touched():
    """A gradient of zeros is another thing: momentum and decay move its parameter."""
    left, zero, moved = parameters(0, (4, 3), (4, 3), (4, 3))
    before = [each.detach().clone() for each in (left, zero, moved)]
    optimizer = AdamW([left, zero, moved], lr=0.1, weight_decay=0.1)
    zero.grad, moved.grad = torch.zeros_like(zero), torch.ones_like(moved)
    optimizer.step()
    assert torch.equal(left, before[0]) and left not in optimizer.state
    assert not torch.equal(zero, before[1]) and not torch.equal(moved, before[2])


def test_a_parameter_left_out_for_some_steps_counts_only_its_own():
    ours = parameters(0, (3,), (3,))
    theirs = copy.deepcopy(ours)
    optimizers = AdamW(ours, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    for number in range(12):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad, other.grad = torch.full((2, 3), number - 5.5, dtype=torch.float64).unbind(0)
        if number % 3:
            ours[1].grad = theirs[1].grad = None
        for optimizer in optimizers:
            optimizer.step()
    assert optimizers[0].state[ours[1]]["step"] == 4
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_adamw_trains_any_module_as_torchs_does():
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.LazyLinear(8), nn.LayerNorm(8), nn.Linear(8, 1)).double()
    images, target = torch.randn(6, 2, 5, 5, dtype=torch.float64), torch.randn(6, 1, dtype=torch.float64)
    ours(images)
    ours.to(memory_format=torch.channels_last)  # the weights of the convolution are not contiguous
    theirs = copy.deepcopy(ours)
    losses = []
    for model, kind in ((ours, AdamW), (theirs, torch.optim.AdamW)):
        optimizer = kind(model.parameters(), lr=0.01)
        for _ in range(30):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(images), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    torch.testing.assert_close(list(ours.parameters()), list(theirs.parameters()), rtol=0, atol=1e-9)
    assert losses[29] < 0.5 * losses[0]


def test_the_layout_of_a_gradient_does_not_matter():
    ours = parameters(0, (6, 4), (6, 4))
    ours[1].data = ours[1].data.t().contiguous().t()  # now a parameter that is not contiguous
    theirs = copy.deepcopy(ours)
    optimizers = AdamW(ours, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    for _ in range(3):
        for mine, other in zip(ours, theirs, strict=True):
            gradient = torch.randn(6, 4, dtype=torch.float64)
            mine.grad = gradient.t().contiguous().t() if mine is ours[0] else gradient
            other.grad = gradient
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_a_saved_state_goes_on_identically(tmp_path):
    ours = parameters(0, (3, 2), (5,))
    gradients = torch.randn(20, 11, dtype=torch.float64)

    def walk(of, optimizer, rows):
        for row in rows:
            for each, part in zip(of, row.split([6, 5]), strict=True):
                each.grad = part.view_as(each).clone()
            optimizer.step()

    optimizer = AdamW(ours, lr=0.1)
    walk(ours, optimizer, gradients[:10])
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    later = copy.deepcopy(ours)
    restored = AdamW(later, lr=0.5, betas=(0.1, 0.1))
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    walk(ours, optimizer, gradients[10:])
    walk(later, restored, gradients[10:])
    assert all(torch.equal(one, two) for one, two in zip(ours, later, strict=True))


def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned():
    (theta,) = parameters(0, (3,))
    optimizer = AdamW([theta], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = theta.square().sum()
        loss.backward()
        return loss

    before = theta.detach().clone()
    assert optimizer.step(closure).item() == pytest.approx(before.square().sum().item())
    assert not torch.equal(theta, before)
    assert optimizer.step() is None


def test_a_learning_rate_of_zero_changes_nothing():
    (theta,) = parameters(0, (3,))
    before, theta.grad = theta.detach().clone(), torch.ones(3, dtype=torch.float64)
    AdamW([theta], lr=0.0, weight_decay=0.5).step()
    assert torch.equal(theta, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", -1e-3),
        ("eps", 0.0),
        ("eps", -1.0),
        ("weight_decay", -0.1),
        ("betas", (1.0, 0.9)),
        ("betas", (0.9, -0.1)),
        ("lr", math.nan),
        ("weight_decay", math.nan),
        ("eps", math.nan),
        ("betas", (math.nan, 0.9)),
    ],
)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}.*{re.escape(str(value))}"):
        AdamW(parameters(0, (2,)), **{name: value})


# -- flat parameters --------------------------------------------------------------------------------------------------


class TwoTasks(nn.Module):
    """A small BERT under two heads."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.bert = Bert(SMALL)
        self.bert.pooler.requires_grad_(False)
        self.heads = nn.ModuleDict({"one": nn.Linear(8, 3), "two": nn.Linear(8, 1)})
        self.to(dtype)

    def forward(self, batch, *tasks):
        first = self.bert(batch)[batch.cu_seqlens[:-1]]
        return torch.cat([self.heads[task](first).square().sum(1) for task in tasks]).mean()


def owner(name: str) -> str:
    return name.split(".")[1] if name.startswith("heads.") else "encoder"


def model_and_copy(dtype=torch.float64) -> tuple[TwoTasks, TwoTasks]:
    torch.manual_seed(0)
    model = TwoTasks(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # away from zeros and ones
    return model, copy.deepcopy(model)


def some_batch(seed: int):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (4,), generator=generator).tolist()
    return pack([torch.randint(0, 50, (length,), generator=generator).tolist() for length in lengths])


def by_name(flat: FlatParameters, vector: torch.Tensor, model: nn.Module) -> dict[str, torch.Tensor]:
    """The parts of a vector laid out as ``flat`` is, under the names of the parameters."""
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    found = {}
    for segment in flat.shards:
        parts = vector[segment.where].split([shapes[name].numel() for name in segment.names])
        found |= {name: part.view(shapes[name]) for name, part in zip(segment.names, parts, strict=True)}
    return found


def test_the_move_into_one_vector_leaves_the_model_as_it_was():
    model, untouched = model_and_copy()
    batch = some_batch(0)
    before = model(batch, "one", "two")
    flat = FlatParameters(model, owner)
    assert torch.equal(model(batch, "one", "two"), before)
    assert model.state_dict().keys() == untouched.state_dict().keys()
    assert all(torch.equal(mine, untouched.state_dict()[name]) for name, mine in model.state_dict().items())
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(flat) == sum(parameter.numel() for parameter in trainable)
    assert all(each.untyped_storage().data_ptr() == flat.theta.untyped_storage().data_ptr() for each in trainable)


def test_a_change_of_the_vector_is_a_change_of_the_model():
    model, _ = model_and_copy()
    flat = FlatParameters(model, owner)
    flat.theta.zero_()
    assert all(not parameter.any() for parameter in model.parameters() if parameter.requires_grad)


def test_the_vector_is_laid_out_by_decay_and_then_by_owner():
    model, _ = model_and_copy()
    flat = FlatParameters(model, owner)
    assert [(segment.decays, segment.owner) for segment in flat.shards] == [
        (True, "encoder"),
        (True, "one"),
        (True, "two"),
        (False, "encoder"),
        (False, "one"),
        (False, "two"),
    ]
    ends = [0] + [segment.where.stop for segment in flat.shards]
    assert [segment.where.start for segment in flat.shards] == ends[:-1] and ends[-1] == len(flat)
    without_decay = {name for segment in flat.shards if not segment.decays for name in segment.names}
    named = {name for name, each in model.named_parameters() if each.requires_grad}
    assert without_decay == {name for name in named if name.endswith("bias") or "norm" in name}
    assert not any("pooler" in name for segment in flat.shards for name in segment.names)


@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=4), tasks=st.data())
@settings(max_examples=10, deadline=None)
def test_the_gradient_vector_is_the_concatenation_of_autograds_gradients(seeds, tasks):
    """Over several steps: the embedding rows that only an earlier step read are zero again."""
    model, peer = model_and_copy()
    flat = FlatParameters(model, owner)
    for seed in seeds:
        batch = some_batch(seed)
        chosen = tasks.draw(st.sampled_from([("one",), ("two",), ("one", "two")]))
        has_grad = flat.backward(model(batch, *chosen))
        peer.zero_grad(set_to_none=True)
        peer(batch, *chosen).backward()
        expected = {name: each.grad for name, each in peer.named_parameters() if each.grad is not None}
        found = by_name(flat, flat.gradient, model)
        assert {id(each) for each in has_grad} == {
            id(segment.parameter) for segment in flat.shards if segment.names[0] in expected
        }
        for segment in flat.shards:
            if segment.names[0] not in expected:
                assert segment.parameter.grad is None
                continue
            assert segment.parameter.grad.data_ptr() == flat.gradient[segment.where].data_ptr()
            for name in segment.names:
                torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-12)


def test_embedding_rows_of_the_previous_step_are_zero_again():
    model, _ = model_and_copy()
    flat = FlatParameters(model, owner)
    for row in (3, 7, 3):
        flat.backward(model(pack([[row, 9, row]]), "one"))
        gradient = by_name(flat, flat.gradient, model)["bert.embeddings.word.weight"]
        assert set(gradient.abs().sum(1).nonzero().flatten().tolist()) == {row, 9}


def test_an_embedding_read_twice_in_one_step_adds_up():
    embedding = nn.Embedding(10, 3).double()
    peer = copy.deepcopy(embedding)
    flat = FlatParameters(embedding, owner=lambda name: "all")
    for rows in ([1, 2], [2, 4]):
        ids = torch.tensor(rows)
        flat.backward((embedding(ids).square() * embedding(ids + 1)).sum())
        peer.zero_grad()
        (peer(ids).square() * peer(ids + 1)).sum().backward()
        torch.testing.assert_close(flat.gradient.view(10, 3), peer.weight.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_one_flat_adamw_run_equals_torchs_on_separate_parameters(clip):
    """Fifty steps, decay on matrices only, tasks in turn: the same weights as the unflattened model."""
    model, peer = model_and_copy()
    flat = FlatParameters(model, owner)
    ours = AdamW(flat.groups(0.1), lr=1e-2)
    trainable = [(name, each) for name, each in peer.named_parameters() if each.requires_grad]
    theirs = torch.optim.AdamW(
        [
            {"params": [each for _, each in trainable if each.ndim > 1], "weight_decay": 0.1},
            {"params": [each for _, each in trainable if each.ndim == 1], "weight_decay": 0.0},
        ],
        lr=1e-2,
    )
    for number in range(50):
        batch, tasks = some_batch(number), [("one",), ("two",), ("one", "two")][number % 3]
        has_grad = flat.backward(model(batch, *tasks))
        peer.zero_grad(set_to_none=True)
        peer(batch, *tasks).backward()
        if clip:
            ours_norm = nn.utils.clip_grad_norm_(has_grad, clip)
            peer_norm = nn.utils.clip_grad_norm_(peer.parameters(), clip)
            torch.testing.assert_close(ours_norm, peer_norm, rtol=1e-9, atol=1e-9)
        ours.step()
        theirs.step()
    for name, each in peer.named_parameters():
        torch.testing.assert_close(
            model.get_parameter(name), each, rtol=0, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_a_head_that_a_step_does_not_reach_stays_bit_identical():
    model, _ = model_and_copy(torch.float32)
    flat = FlatParameters(model, owner)
    optimizer = AdamW(flat.groups(0.5), lr=0.1)
    for tasks in (("one", "two"), ("one",), ("one",)):  # its momentum is not zero when it is left out
        before = {name: each.clone() for name, each in model.heads.two.state_dict().items()}
        flat.backward(model(some_batch(1), *tasks))
        optimizer.step()
    assert all(torch.equal(each, before[name]) for name, each in model.heads.two.state_dict().items())


def test_an_owner_reached_in_part_is_an_error_that_names_the_parameter():
    model, _ = model_and_copy()
    flat = FlatParameters(model, owner=lambda name: "everything")
    with pytest.raises(RuntimeError, match=r"heads\.two\.weight has no gradient.*everything"):
        flat.backward(model(some_batch(0), "one"))


def test_a_model_with_nothing_to_train_is_refused():
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        FlatParameters(model, owner)


def test_a_loss_without_weights_reaches_nothing():
    model, _ = model_and_copy()
    flat = FlatParameters(model, owner)
    flat.backward(model(some_batch(0), "one", "two"))
    assert flat.backward(torch.ones(())) == []
    assert all(segment.parameter.grad is None for segment in flat.shards)


# -- the schedule -----------------------------------------------------------------------------------------------------


def test_the_learning_rate_warms_up_and_falls_to_zero():
    factors = [learning_rate_factor(step, 20, 0.25, "linear") for step in range(21)]
    assert factors[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    assert factors[5:] == pytest.approx([(20 - step) / 15 for step in range(5, 21)])
    assert factors[-1] == 0.0


def test_a_constant_rate_warms_up_and_stays():
    factors = [learning_rate_factor(step, 20, 0.25, "constant") for step in range(20)]
    assert factors[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert set(factors[5:]) == {1.0}


@given(total=st.integers(1, 200), warmup_ratio=st.floats(0, 1), lr_schedule=st.sampled_from(["linear", "constant"]))
def test_the_rate_rises_once_never_exceeds_one_and_no_step_is_lost(total, warmup_ratio, lr_schedule):
    factors = [learning_rate_factor(step, total, warmup_ratio, lr_schedule) for step in range(total)]
    top = factors.index(max(factors))
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
