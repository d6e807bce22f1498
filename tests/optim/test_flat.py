"""All trainable parameters as one vector, and their gradients as another."""

import copy
import gc
import weakref

import pytest
import torch
from helpers import away_from_zero, owner, random_batch, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mtbert.data.batch import PackedBatch
from mtbert.nn.bert import Bert
from mtbert.optim import FlatParameters, FusedAdamW


class TwoTasks(nn.Module):
    """A small BERT under two heads."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.bert = Bert(small_config())
        self.bert.pooler.requires_grad_(False)
        self.heads = nn.ModuleDict({"one": nn.Linear(8, 3), "two": nn.Linear(8, 1)})
        self.to(dtype)

    def forward(self, batch, *tasks):
        first = self.bert(batch)[batch.cu_seqlens[:-1]]
        return torch.cat([self.heads[task](first).square().sum(1) for task in tasks]).mean()


def model_and_copy(dtype=torch.float64) -> tuple[TwoTasks, TwoTasks]:
    torch.manual_seed(0)
    model = away_from_zero(TwoTasks(dtype))
    return model, copy.deepcopy(model)


def some_batch(seed: int) -> PackedBatch:
    return random_batch([1 + (seed + 3 * row) % 8 for row in range(4)], seed)


def test_the_move_into_one_vector_leaves_the_model_as_it_was():
    model, untouched = model_and_copy()
    batch = some_batch(0)
    before = model(batch, "one", "two")
    flat = FlatParameters(model, owner)
    assert torch.equal(model(batch, "one", "two"), before)
    assert model.state_dict().keys() == untouched.state_dict().keys()
    assert all(torch.equal(value, untouched.state_dict()[name]) for name, value in model.state_dict().items())
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(flat) == sum(parameter.numel() for parameter in trainable)
    flat.theta.zero_()  # a change of the vector is a change of the model
    assert not any(parameter.any() for parameter in trainable)


def test_the_vector_is_laid_out_by_decay_and_then_by_owner():
    model, _ = model_and_copy()
    flat = FlatParameters(model, owner)
    owners = ["encoder", "one", "two"]
    layout = [(shard.decays, shard.owner) for shard in flat.shards]
    assert layout == [(True, name) for name in owners] + [(False, name) for name in owners]
    for ranges in (
        [shard.where for shard in flat.shards],
        [flat.slices[name] for shard in flat.shards for name in shard.names],
    ):
        ends = [0] + [where.stop for where in ranges]
        assert [where.start for where in ranges] == ends[:-1] and ends[-1] == len(flat)
    without_decay = {name for shard in flat.shards if not shard.decays for name in shard.names}
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert without_decay == {name for name in trainable if name.endswith("bias") or "norm" in name}
    assert flat.slices.keys() == trainable  # without the pooler


@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=4), tasks=st.data())
@settings(max_examples=10)
def test_the_gradient_vector_is_the_concatenation_of_autograds_gradients(seeds, tasks):
    """Over several steps: the embedding rows that only an earlier step read are zero again."""
    model, peer = model_and_copy()
    flat = FlatParameters(model, owner)
    for seed in seeds:
        batch = some_batch(seed)
        chosen = tasks.draw(st.sampled_from([("one",), ("two",), ("one", "two")]))
        parameters = flat.backward(model(batch, *chosen))
        peer.zero_grad(set_to_none=True)
        peer(batch, *chosen).backward()
        expected = {name: weight.grad for name, weight in peer.named_parameters() if weight.grad is not None}
        reached = [shard for shard in flat.shards if shard.names[0] in expected]
        assert list(map(id, parameters)) == [id(shard.parameter) for shard in reached]
        assert all(shard.parameter.grad is None for shard in flat.shards if shard not in reached)
        for shard in reached:
            assert shard.parameter.grad.data_ptr() == flat.gradient[shard.where].data_ptr()
            for name in shard.names:
                torch.testing.assert_close(flat.vector[name], expected[name], rtol=0, atol=1e-12)


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
    """Decay on matrices only, tasks in turn: the same weights as the unflattened model."""
    model, peer = model_and_copy()
    flat = FlatParameters(model, owner)
    optimizer = FusedAdamW(flat.groups(0.1), lr=1e-2)
    trainable = [parameter for parameter in peer.parameters() if parameter.requires_grad]
    peer_groups = [
        {"params": [parameter for parameter in trainable if parameter.ndim > 1], "weight_decay": 0.1},
        {"params": [parameter for parameter in trainable if parameter.ndim == 1], "weight_decay": 0.0},
    ]
    peer_optimizer = torch.optim.AdamW(peer_groups, lr=1e-2)
    for step in range(30):
        batch, tasks = some_batch(step), [("one",), ("two",), ("one", "two")][step % 3]
        parameters = flat.backward(model(batch, *tasks))
        peer.zero_grad(set_to_none=True)
        peer(batch, *tasks).backward()
        if clip:
            norm = nn.utils.clip_grad_norm_(parameters, clip)
            peer_norm = nn.utils.clip_grad_norm_(peer.parameters(), clip)
            torch.testing.assert_close(norm, peer_norm, rtol=1e-9, atol=1e-9)
        optimizer.step()
        peer_optimizer.step()
    torch.testing.assert_close(dict(model.named_parameters()), dict(peer.named_parameters()), rtol=0, atol=1e-9)


def test_a_head_that_a_step_does_not_reach_stays_bit_identical():
    model, _ = model_and_copy(torch.float32)
    flat = FlatParameters(model, owner)
    optimizer = FusedAdamW(flat.groups(0.5), lr=0.1)
    for tasks in (("one", "two"), ("one",), ("one",)):  # its momentum is not zero when it is left out
        before = copy.deepcopy(model.heads.two.state_dict())
        flat.backward(model(some_batch(1), *tasks))
        optimizer.step()
    assert all(torch.equal(weight, before[name]) for name, weight in model.heads.two.state_dict().items())


def test_an_owner_reached_in_part_and_a_model_with_nothing_to_train_are_refused():
    model, _ = model_and_copy()
    flat = FlatParameters(model, owner=lambda name: "everything")
    with pytest.raises(RuntimeError, match=r"heads\.two\.weight has no gradient.*everything"):
        flat.backward(model(some_batch(0), "one"))
    with pytest.raises(ValueError, match="no trainable parameter"):
        FlatParameters(model.requires_grad_(False), owner)


def test_a_model_that_nobody_uses_any_more_is_freed():
    """Hooks of autograd are invisible to the garbage collector, so they must not keep the model that they belong to."""
    model = TwoTasks()
    flat = FlatParameters(model, owner)
    flat.backward(model(some_batch(0), "one", "two"))
    memory = [weakref.ref(model), weakref.ref(flat.theta), *map(weakref.ref, model.parameters())]
    del model, flat
    gc.collect()
    assert not any(reference() is not None for reference in memory)


def test_a_model_outlives_its_flat_parameters():
    model = TwoTasks()
    FlatParameters(model, owner)
    gc.collect()
    model(some_batch(0), "one", "two").backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
