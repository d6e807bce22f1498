"""flops: the count agrees with torch's own counter, operator by operator."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from mtbert.data.batch import pack_sequences
from mtbert.nn import flops
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.flops import DeviceSpec, Part

SMALL = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=40)
BASE = BertConfig()
lengths_of_batches = st.lists(st.integers(1, 12), min_size=1, max_size=5)


def counted(lengths: list[int], backward: bool) -> int:
    """What torch counts, a sequence at a time, so that no length group pads anything."""
    bert = Bert(SMALL)
    with FlopCounterMode(display=False) as counter:
        for length in lengths:
            hidden = bert(pack_sequences([[7] * length]))
            if backward:
                hidden.sum().backward()
    return counter.get_total_flops()


@settings(max_examples=8)
@given(lengths_of_batches, st.booleans())
def test_a_step_is_counted_as_torch_counts_it(lengths, backward):
    count = flops.training_flops if backward else flops.forward_flops
    assert count(SMALL, lengths) == counted(lengths, backward)


@pytest.mark.parametrize("config", [SMALL, dataclasses.replace(SMALL, num_hidden_layers=1, type_vocab_size=5)])
def test_parameters_are_those_of_the_model_without_its_pooler(config):
    bert = Bert(config)
    pooler = sum(parameter.numel() for parameter in bert.pooler.parameters())
    assert flops.parameters(config) == sum(parameter.numel() for parameter in bert.parameters()) - pooler


def test_bert_base_and_an_epoch_of_quora_have_their_known_sizes():
    assert flops.matrix_parameters(BASE) == 12 * 12 * 768**2
    assert flops.training_flops(BASE, [30]) * 141_000 == pytest.approx(2.2e15, rel=0.02)


def test_the_products_among_the_parts_add_up_to_the_training_flops():
    parts = {part.name: part.flops for part in flops.step_parts(SMALL, [3, 1, 12])}
    assert parts["matrix products"] + parts["attention products"] == flops.training_flops(SMALL, [3, 1, 12])


def test_narrower_numbers_move_fewer_bytes_for_the_same_flops_except_in_adamw():
    for wide, narrow in zip(flops.step_parts(BASE, [30] * 8), flops.step_parts(BASE, [30] * 8, width=2), strict=True):
        assert wide.flops == narrow.flops
        assert wide.bytes == (1 if wide.name == "AdamW" else 2) * narrow.bytes


def test_matrix_products_have_the_highest_intensity_and_adamw_is_bound_by_memory():
    intensity = {part.name: part.flops / part.bytes for part in flops.step_parts(BASE, [30] * 32)}
    assert max(intensity, key=intensity.get) == "matrix products"
    assert intensity["AdamW"] < 1


def test_a_part_waits_for_whichever_takes_longer():
    device = DeviceSpec(peak_flops=100.0, bandwidth=10.0)
    assert device.seconds(Part("arithmetic", flops=1000, bytes=10)) == 10.0
    assert device.seconds(Part("memory", flops=10, bytes=1000)) == 100.0
    assert flops.mfu(flops=50.0, seconds=2.0, peak=100.0) == 0.25
    assert device.rate(5.0) == 50.0 and device.rate(20.0) == 100.0


def test_a_device_is_found_by_the_name_that_cuda_gives_it():
    assert flops.datasheet("NVIDIA H200") == flops.DATASHEET["H200"]
    assert flops.datasheet("NVIDIA H100 80GB HBM3") == flops.DATASHEET["H100 80GB HBM3"]
    assert flops.datasheet("NVIDIA H100 PCIe") is None  # another chip, other figures
    assert flops.datasheet("AMD EPYC") is None
