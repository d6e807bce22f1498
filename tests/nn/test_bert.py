"""BERT and pooling: transformers' BertModel computes the same."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mtbert
from mtbert.data.batch import PackedBatch, pack_sequences
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.pretrained import to_transformers
from mtbert.utils.errors import UserError

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

SMALL = BertConfig(
    vocab_size=40,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=24,
)
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
    pad = torch.nn.utils.rnn.pad_sequence
    types, ones = batch.token_types.split(batch.lengths), [torch.ones(n, dtype=torch.int64) for n in batch.lengths]
    return {
        "input_ids": pad(batch.ids.split(batch.lengths), batch_first=True),
        "token_type_ids": pad(types, batch_first=True),
        "attention_mask": pad(ones, batch_first=True),
    }


def packed(states: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    """(sequences, longest, hidden) without its padding: (tokens, hidden)."""
    return torch.cat([row[:length] for row, length in zip(states, batch.lengths, strict=True)])


@st.composite
def configs(draw) -> BertConfig:
    heads = draw(st.integers(1, 3))
    return BertConfig(
        vocab_size=draw(st.integers(5, 60)),
        hidden_size=heads * draw(st.integers(4, 8)),
        num_hidden_layers=draw(st.integers(1, 3)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 24)),
        max_position_embeddings=24,
        type_vocab_size=draw(st.integers(1, 3)),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-5])),
        initializer_range=draw(st.floats(0.01, 0.5)),
    )


def random_bert(config: BertConfig, seed: int, dtype=torch.float64) -> Bert:
    """Every weight random, biases and LayerNorms too, so that none can hide."""
    torch.manual_seed(seed)
    bert = Bert(config).to(dtype).eval()
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter.add_(torch.randn_like(parameter) * config.initializer_range)
    return bert


def random_batch(config: BertConfig, lengths: list[int], seed: int) -> PackedBatch:
    generator = torch.Generator().manual_seed(seed)

    def integers(below: int) -> list[list[int]]:
        return [torch.randint(0, below, (length,), generator=generator).tolist() for length in lengths]

    return pack_sequences(integers(config.vocab_size), integers(config.type_vocab_size))


# -- the model --------------------------------------------------------------------------------------------------------


@given(config=configs(), lengths=LENGTHS, seed=st.integers(0, 999))
@settings(max_examples=8)
def test_outputs_and_gradients_equal_transformers_on_any_configuration(config, lengths, seed):
    bert, batch = random_bert(config, seed), random_batch(config, lengths, seed)
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


def test_bert_equals_transformers_in_single_precision():
    config = dataclasses.replace(SMALL, hidden_size=32, num_hidden_layers=3, num_attention_heads=4)
    bert, batch = random_bert(config, 0, torch.float32), random_batch(config, [1, 24, 7], 0)
    with torch.no_grad():
        expected = peer_of(bert)(**padded(batch)).last_hidden_state
        torch.testing.assert_close(bert(batch), packed(expected, batch), rtol=0, atol=1e-5)


def test_tokens_do_not_look_into_other_sequences():
    bert, batch = random_bert(SMALL, 0), random_batch(SMALL, [4, 6, 5], 0)
    changed = PackedBatch(batch.ids.clone(), batch.token_types, batch.lengths)
    changed.ids[4:10] = (changed.ids[4:10] + 1) % 40
    with torch.no_grad():
        difference = (bert(batch) - bert(changed)).abs().amax(1)
    assert difference[4:10].min() > 1e-6
    assert difference[:4].max() < 1e-12 and difference[10:].max() < 1e-12


def test_dropout_acts_in_training_only_and_where_the_paper_puts_it(monkeypatch):
    """After each dense layer, before the residual sum: with all of it dropped, a layer is its two LayerNorms."""
    bert, batch = random_bert(SMALL, 0), random_batch(SMALL, [4, 6], 0)
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


def test_too_long_a_sequence_is_refused():
    bert = Bert(SMALL)
    bert(pack_sequences([[1] * 24]))
    with pytest.raises(ValueError, match="25 tokens, more than the 24 positions"):
        bert(pack_sequences([[1] * 3, [1] * 25]))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="hidden_size 10 does not divide into 3"):
        BertConfig(hidden_size=10, num_attention_heads=3)


# -- pooling ----------------------------------------------------------------------------------------------------------


@given(lengths=LENGTHS, seed=st.integers(0, 99))
@settings(max_examples=20)
def test_pooling_equals_a_loop(lengths, seed):
    torch.manual_seed(seed)
    batch = pack_sequences([[1] * length for length in lengths])
    hidden = torch.randn(batch.tokens, 5, dtype=torch.float64) - 3  # all negative: padding with zeros would show
    parts = hidden.split(lengths)
    loops = {
        "cls": torch.stack([part[0] for part in parts]),
        "mean": torch.stack([part.mean(0) for part in parts]),
        "max": torch.stack([part.max(0).values for part in parts]),
    }
    for how, expected in loops.items():
        torch.testing.assert_close(mtbert.pool(hidden, batch, how), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", ["cls", "mean", "max"])
def test_the_gradient_of_pooling_passes_gradcheck(how):
    batch = pack_sequences([[1] * 3, [1], [1] * 5])
    hidden = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: mtbert.pool(x, batch, how), hidden)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(UserError, match="'sum': choose from cls, mean, max"):
        mtbert.pool(torch.zeros(1, 2), pack_sequences([[1]]), "sum")
