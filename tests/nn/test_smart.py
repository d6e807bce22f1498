"""SMART: the distance, the step that finds delta, and that the term is really added."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mtbert
from mtbert.data.tasks import get_task
from mtbert.nn.smart import adversarial_perturbation, smoothness
from mtbert.training.run import build_model

SEEDS = st.integers(0, 2**32)
SENTENCES = ["a fine film", "one of the longest evenings that anyone spent in a cinema", "no"]


def outputs(task, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, 5, task.num_outputs, generator=generator, dtype=torch.float64))


def tiny(**fields):
    """A tiny model with dropout, a batch of three sentences for sst, and their labels."""
    recipe = mtbert.Recipe(tasks=("sst",), encoder="tiny", **fields)
    encoder = mtbert.load_encoder("tiny")
    model, batch = build_model(recipe, encoder).train(), encoder.pack(SENTENCES)
    batch.slices = {"sst": slice(0, 3)}
    return model, batch, {"sst": torch.tensor([0.0, 3.0, 4.0])}


def loss_of(model, batch, labels) -> torch.Tensor:
    torch.manual_seed(7)
    return model.losses(batch, labels)["sst"]


@settings(max_examples=15)
@given(SEEDS)
def test_classes_are_apart_by_the_symmetric_divergence(seed):
    one, other = outputs(get_task("sst"), seed)
    p, q = (np.exp(x.numpy()) / np.exp(x.numpy()).sum(1, keepdims=True) for x in (one, other))
    expected = ((p * np.log(p / q)).sum(1) + (q * np.log(q / p)).sum(1)).mean()
    assert smoothness(get_task("sst"), one, other).item() == pytest.approx(expected, abs=1e-10)


def test_a_yes_or_no_is_a_choice_of_two_classes_and_scores_are_apart_by_their_squared_difference():
    one, other = outputs(get_task("quora"), 0)
    two_classes = [torch.cat([torch.zeros_like(logit), logit], dim=1) for logit in (one, other)]
    expected = smoothness(get_task("cfimdb"), *two_classes)
    torch.testing.assert_close(smoothness(get_task("quora"), one, other), expected)
    assert smoothness(get_task("sts"), torch.tensor([[1.0], [4.0]]), torch.tensor([[3.0], [4.0]])).item() == 2


def test_delta_is_the_gradient_with_the_radius_as_its_largest_number_for_each_token():
    gradient = torch.tensor([[3.0, -1.0, 0.5], [0.1, 0.2, 0.0], [0.0, 0.0, 0.0]])  # that of the last token is no NaN
    embedded = torch.zeros(3, 3, requires_grad=True)
    delta = adversarial_perturbation(lambda delta: (gradient * (embedded + delta)).sum(), embedded, 0.3)
    assert not delta.requires_grad
    torch.testing.assert_close(delta, 0.3 * gradient / torch.tensor([[3.0], [0.2], [1.0]]))


def test_the_term_is_added_with_its_weight():
    plain = loss_of(*tiny())
    once, twice = (loss_of(*tiny(smart_weight=weight)) - plain for weight in (1.0, 2.0))
    assert once > 0
    torch.testing.assert_close(twice, 2 * once, rtol=1e-3, atol=1e-7)


def test_the_term_has_a_gradient_for_the_encoder_and_the_head():
    gradients = []
    for weight in (0.0, 50.0):
        model, batch, labels = tiny(smart_weight=weight)
        loss_of(model, batch, labels).backward()
        gradients.append([model.heads["sst"].head.dense.weight.grad, model.bert.layers[0].qkv.weight.grad])
    assert all(not torch.allclose(plain, smooth) for plain, smooth in zip(*gradients, strict=True))


def test_clean_and_perturbed_logits_have_the_same_dropout_and_the_generator_goes_on(monkeypatch):
    """Without a perturbation the distance is zero, although the model drops half of everything."""
    monkeypatch.setattr("mtbert.nn.model.adversarial_perturbation", lambda distance, x: torch.zeros_like(x))
    dropped = {"hidden_dropout": 0.5, "attention_dropout": 0.5, "head_dropout": 0.5}
    results = [(loss_of(*tiny(smart_weight=weight, **dropped)), torch.rand(4)) for weight in (1.0, 0.0)]
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def test_the_term_is_found_where_gradients_are_off():
    model, batch, labels = tiny(smart_weight=1.0)
    with torch.no_grad():
        assert loss_of(model, batch, labels) > loss_of(*tiny())


def test_tasks_that_do_not_ask_for_it_have_their_plain_loss():
    encoder = mtbert.load_encoder("tiny", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    pairs = [("a cat", "the cat"), ("one", "two")]
    labels, losses = {"sst": torch.tensor([0.0, 3.0, 4.0]), "sts": torch.tensor([4.0, 0.0])}, {}
    for smart in ({"sst": 1.0}, {}):
        recipe = mtbert.Recipe(tasks=("sst", "sts"), encoder="tiny", smart_weight=smart, head_dropout=0.0)
        model = build_model(recipe, encoder)
        batch = mtbert.data.PackedBatch.join({"sst": encoder.pack(SENTENCES), "sts": encoder.pack(pairs, "bi")})
        losses[bool(smart)] = model.losses(batch, labels)
    torch.testing.assert_close(losses[True]["sts"], losses[False]["sts"])
    assert losses[True]["sst"] > losses[False]["sst"]
