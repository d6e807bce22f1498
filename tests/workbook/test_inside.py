"""Attention maps and hidden states are those that the encoder computes with."""

import pytest
import torch
from torch.testing import assert_close

import mtbert
from mtbert.workbook import attention_maps, hidden_states


@pytest.fixture(scope="module")
def encoder():
    encoder = mtbert.load_encoder("tiny")
    encoder.bert.eval()
    return encoder


def test_the_last_hidden_state_is_the_encoders_output(encoder):
    batch = encoder.pack(["a film", "it is long"])
    states = hidden_states(encoder.bert, batch)
    assert len(states) == 3
    assert_close(states[-1], encoder.bert(batch))


def test_the_maps_times_the_values_are_what_attention_passes_on(encoder):
    batch = encoder.pack(["it is long"])
    maps, states = attention_maps(encoder.bert, batch), hidden_states(encoder.bert, batch)
    assert_close(maps.sum(-1), torch.ones(maps.shape[:-1]))
    layer = encoder.bert.layers[1]
    qkv = layer.qkv(states[1])
    value = qkv.view(batch.tokens, 3, layer.heads, -1)[:, 2].transpose(0, 1)
    mixed = (maps[1] @ value).transpose(0, 1).flatten(1)
    assert_close(mixed, layer.attend(qkv, batch, layer.heads, 0.0))


def test_maps_of_several_sequences_are_refused(encoder):
    with pytest.raises(ValueError, match="2 sequences"):
        attention_maps(encoder.bert, encoder.pack(["a film", "long"]))
