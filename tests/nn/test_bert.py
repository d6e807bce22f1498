"""BERT and pooling: transformers' BertModel computes the same."""

import dataclasses
from functools import partial

import pytest
import torch
from helpers import random_batch, small_config
from hypothesis import given, settings
from hypothesis import strategies as st

import mtbert
from mtbert.data.batch import PackedBatch, pack_sequences
from mtbert.nn.attention import first_token_attention
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.pretrained import to_transformers
from mtbert.utils import onednn
from mtbert.utils.errors import UserError

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

SMALL = small_config(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
LENGTHS = st.lists(st.integers(1, 24), min_size=1, max_size=6)


def peer_of(bert: Bert) -> "transformers.BertModel":
    """transformers' model with the same configuration and weights, in evaluation mode."""
    config = transformers.BertConfig(**dataclasses.asdict(bert.config), attn_implementation="eager")
    peer = transformers.BertModel(config).to(bert.pooler.weight.dtype)
    missing, unknown = peer.load_state_dict(to_transformers(bert), strict=False)
    assert not unknown and not [name for name in missing if "position_ids" not in name]
    return peer.eval()


def padded(batch: PackedBatch) -> dict[str, torch.Tensor]:
    """The same sequences as transformers takes them."""
    pad = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True)
    return {
        "input_ids": pad(batch.ids.split(batch.lengths)),
        "token_type_ids": pad(batch.token_types.split(batch.lengths)),
        "attention_mask": pad([torch.ones(length, dtype=torch.int64) for length in batch.lengths]),
    }


def packed(states: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    """(sequences, longest, hidden) without its padding: (tokens, hidden)."""
    return torch.cat([row[:length] for row, length in zip(states, batch.lengths, strict=True)])


CONFIGS = st.builds(
    lambda heads, width, **sizes: small_config(num_attention_heads=heads, hidden_size=heads * width, **sizes),
    heads=st.integers(1, 3),
    width=st.integers(4, 8),
    vocab_size=st.integers(5, 60),
    num_hidden_layers=st.integers(1, 3),
    intermediate_size=st.integers(1, 24),
    type_vocab_size=st.integers(1, 3),
    layer_norm_eps=st.sampled_from([1e-12, 1e-5]),
    initializer_range=st.floats(0.01, 0.5),
)


def random_bert(config: BertConfig, seed: int) -> Bert:
    """Every weight random, biases and LayerNorms too, so that none can hide."""
    torch.manual_seed(seed)
    bert = Bert(config).double().eval()
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter.add_(torch.randn_like(parameter) * config.initializer_range)
    return bert


@given(config=CONFIGS, lengths=LENGTHS, seed=st.integers(0, 999))
@settings(max_examples=8)
def test_outputs_and_gradients_equal_transformers_on_any_configuration(config, lengths, seed):
    bert, batch = random_bert(config, seed), random_batch(lengths, seed, config.vocab_size, config.type_vocab_size)
    peer = peer_of(bert)
    hidden, expected = bert(batch), peer(**padded(batch))
    expected_hidden = packed(expected.last_hidden_state, batch)
    torch.testing.assert_close(hidden, expected_hidden, rtol=0, atol=1e-10)
    pooled = mtbert.Encoder(bert, None, "").pool(hidden, batch, "pooler")
    torch.testing.assert_close(pooled, expected.pooler_output, rtol=0, atol=1e-10)

    direction = torch.randn(batch.tokens, config.hidden_size, dtype=torch.float64)
    ((hidden * direction).mean() + pooled.square().sum()).backward()
    ((expected_hidden * direction).mean() + expected.pooler_output.square().sum()).backward()
    gradients = Bert(config).double()  # our gradients as weights, to read them under transformers' names
    with torch.no_grad():
        for target, parameter in zip(gradients.parameters(), bert.parameters(), strict=True):
            target.copy_(parameter.grad)
    ours = to_transformers(gradients)
    for name, parameter in peer.named_parameters():
        if name == "embeddings.word_embeddings.weight":  # padding_idx: transformers leaves that row out
            ours[name][0] = parameter.grad[0]
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


def test_dropout_acts_in_training_only_and_where_the_paper_puts_it(monkeypatch):
    """After each dense layer, before the residual sum: with all of it dropped, a layer is its two LayerNorms."""
    bert, batch = random_bert(SMALL, 0), random_batch([4, 6])
    with torch.no_grad():
        assert torch.equal(bert(batch), bert(batch))
        bert.train()
        assert not torch.equal(bert(batch), bert(batch))
        x, layer = torch.randn(10, 8, dtype=torch.float64), bert.layers[0]
        monkeypatch.setattr("mtbert.nn.bert.dropout", lambda x, p, training: x * 0)
        expected = layer.output_norm(layer.attention_norm(x))
        torch.testing.assert_close(layer(x, batch), expected, rtol=0, atol=1e-12)


def test_bert_base_has_109_482_240_weights():
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Bert(BertConfig()).parameters()) == 109_482_240


def test_a_new_bert_is_initialized_as_the_papers_is():
    torch.manual_seed(0)
    bert = Bert(BertConfig(vocab_size=500, hidden_size=64, num_hidden_layers=1, num_attention_heads=2))
    for name, parameter in bert.named_parameters():
        if "norm" in name:
            assert (parameter == (1.0 if name.endswith("weight") else 0.0)).all(), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
    assert not bert.embeddings.word.weight[0].any()


@given(lengths=LENGTHS, seed=st.integers(0, 99))
@settings(max_examples=20)
def test_pooling_equals_a_loop(lengths, seed):
    torch.manual_seed(seed)
    batch = pack_sequences([[1] * length for length in lengths])
    hidden = torch.randn(batch.tokens, 5, dtype=torch.float64) - 3  # all negative: padding with zeros would show
    parts = hidden.requires_grad_().split(lengths)
    loops = {
        "cls": torch.stack([part[0] for part in parts]),
        "mean": torch.stack([part.mean(0) for part in parts]),
        "max": torch.stack([part.max(0).values for part in parts]),
    }
    for how, expected in loops.items():
        vectors = mtbert.pool(hidden, batch, how)
        torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-12)
        gradients = [torch.autograd.grad(each.square().sum(), hidden)[0] for each in (vectors, expected)]
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_an_unknown_pooling_and_too_long_a_sequence_are_refused():
    with pytest.raises(UserError, match="'sum': choose from cls, mean, max"):
        mtbert.pool(torch.zeros(1, 2), pack_sequences([[1]]), "sum")
    with pytest.raises(ValueError, match="25 tokens, more than the 24 positions"):
        Bert(SMALL)(pack_sequences([[1] * 24, [1] * 25]))


@settings(deadline=None, max_examples=25)
@given(config=CONFIGS, lengths=LENGTHS, seed=st.integers(0, 2**32 - 1))
def test_first_tokens_alone_equal_the_first_rows_of_the_whole_output(config, lengths, seed):
    torch.manual_seed(seed)
    bert, batch = Bert(config).double().eval(), random_batch(lengths, seed, config.vocab_size, config.type_vocab_size)
    grads = []
    for first_only in (False, True):
        hidden = bert(batch, first_only=first_only)
        first = hidden if first_only else hidden[batch.first_tokens]
        assert first.shape == (len(lengths), config.hidden_size)
        bert.zero_grad()
        (first * torch.arange(1, config.hidden_size + 1)).sin().sum().backward()
        grads.append([first.detach(), *(p.grad for p in bert.parameters() if p.grad is not None)])
    for whole, alone in zip(*grads, strict=True):
        torch.testing.assert_close(alone, whole, rtol=1e-9, atol=1e-11)


def test_attention_of_first_tokens_drops_weights_at_the_given_rate():
    torch.manual_seed(0)
    batch, tokens = random_batch([500, 1500]), 2000
    qkv = torch.cat([torch.zeros(tokens, 16), torch.ones(tokens, 8)], dim=1).double()  # equal weights, and values of 1
    kept = first_token_attention(qkv, batch, 2, p=0.25)
    torch.testing.assert_close(first_token_attention(qkv, batch, 2), torch.ones(2, 8).double())
    torch.testing.assert_close(kept, torch.ones(2, 8).double(), rtol=0, atol=0.1)
    assert (kept != 1).all()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_training_through_onednn_is_training_through_torch(monkeypatch):
    """Outputs and gradients to float32's rounding, also where the last layer has first tokens alone."""
    torch.manual_seed(0)
    bert, batch, product = Bert(SMALL), random_batch([24, 9] * 9), onednn.onednn_product
    results = []
    for preferred in (False, True):
        products = []
        monkeypatch.setattr(onednn, "prefers_onednn", lambda: preferred)  # noqa: B023
        monkeypatch.setattr(onednn, "onednn_product", lambda *args: products.append(1) or product(*args))  # noqa: B023
        torch.manual_seed(1)
        hidden = [bert(batch, first_only=first_only) for first_only in (False, True)]
        trained = [parameter for name, parameter in bert.named_parameters() if "pooler" not in name]
        gradients = torch.autograd.grad(hidden[0].sin().sum() + hidden[1].sin().sum(), trained)
        results.append([*hidden, *gradients])
        assert bool(products) == preferred
    for through_torch, through_onednn in zip(*results, strict=True):
        torch.testing.assert_close(through_onednn, through_torch, rtol=1e-4, atol=1e-4)
