"""The limits of a machine, and what a step's parts compute and move."""

import pytest
import torch

from mtbert.nn import BertConfig, flops
from mtbert.workbook import machine

CONFIG = BertConfig(hidden_size=16, num_attention_heads=2, intermediate_size=64)


def test_the_fastest_call_counts_and_the_first_one_does_not(monkeypatch):
    ticks = iter([0, 1, 2, 7, 10, 13, 20, 24])  # 1, 5, 3, 4
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(ticks))
    assert machine.best_time(lambda: None, tries=3) == 3


def test_limits_count_the_product_and_both_ways_of_a_copy(monkeypatch):
    monkeypatch.setattr(machine, "best_time", lambda function, tries: 0.5)
    found = machine.limits(CONFIG, tokens=8)
    assert found == flops.DeviceSpec(peak_flops=2 * 8 * 16 * 64 / 0.5, bandwidth=2 * 4 * 2**24 / 0.5)


def test_parts_count_like_the_step():
    works = machine.parts(CONFIG, sequences=2, length=4)
    products = {part.name: part for part in flops.step_parts(CONFIG, [4, 4])}
    assert works["x W"].flops == 2 * 8 * 16 * 64
    assert works["Q Kᵀ"].flops * 6 * CONFIG.num_hidden_layers == products["attention products"].flops
    assert works["AdamW"].bytes == 28 * 2**22
    for work in works.values():
        work.run()


def test_measured_parts_are_intensity_and_rate(monkeypatch):
    monkeypatch.setattr(machine, "best_time", lambda function, tries: 0.5)
    work = machine.Work(flops=12, bytes=4, run=torch.zeros)
    assert machine.measured({"a": work}) == {"a": (pytest.approx(3.0), pytest.approx(24.0))}


def test_a_profile_sorts_the_operators_of_both_passes_by_kind():
    clock = iter(range(1000)).__next__  # a second per operator
    x = torch.ones(2, 2, requires_grad=True)
    seconds = machine.profile(lambda y: (x @ y).sigmoid().sum().backward(), [torch.ones(2, 2)], clock)
    assert seconds["matrix products"] == 2  # forward, and the gradient of x
    assert seconds["dropout"] == seconds["AdamW"] == 0 < seconds[machine.OTHER]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("addmm", "matrix products"),
        ("_linear_pointwise", "matrix products"),
        ("native_layer_norm_backward", "softmax, GELU, LayerNorm"),
        ("bernoulli_", "dropout"),
        ("_fused_adamw_", "AdamW"),
        ("index_select", "copies and fills"),
        ("tanh", machine.OTHER),
    ],
)
def test_kinds_of_operators(operator, expected):
    assert machine.kind(operator) == expected
