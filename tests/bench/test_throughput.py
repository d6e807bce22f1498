"""How much of a device is used, the record of a bench, and its turns."""

import pandas as pd
import pytest
import torch

from mtbert.bench import throughput
from mtbert.bench.step import Timing, interleave, random_encoder
from mtbert.nn import load_encoder
from mtbert.nn.flops import device_mfu


def test_mfu_is_a_share_of_a_peak_given_or_known_by_the_drivers_name(monkeypatch):
    assert device_mfu(6e12, 2.0, torch.device("cpu"), peak=10e12) == pytest.approx(0.3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert device_mfu(989.4e12, 2.0, torch.device("cuda")) == pytest.approx(0.5)


def test_mfu_is_not_known_without_a_peak(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    assert device_mfu(6e12, 2.0, torch.device("cuda")) is None
    assert device_mfu(6e12, 2.0, torch.device("cpu")) is None


def test_a_record_replaces_the_older_one_of_the_same_bench(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "TABLE", tmp_path / "throughput.csv")
    row = {
        "bench": "step",
        "device": "cpu",
        "encoder": "tiny",
        "task": "sst",
        "batch": 8,
        "precision": "float32",
        "side": "mtbert",
        "examples_per_second": 1.0,
    }
    throughput.record([row, {**row, "side": "transformers"}])
    throughput.record([{**row, "examples_per_second": 2.0}])
    table = pd.read_csv(tmp_path / "throughput.csv")
    assert dict(zip(table.side, table.examples_per_second, strict=True)) == {"transformers": 1.0, "mtbert": 2.0}
    assert table.torch.notna().all()


def test_sides_take_turns_on_the_same_batches():
    seen = []

    class Side:
        def __init__(self, name):
            self.name = name

        def step(self, rows):
            seen.append((self.name, rows))

    found = interleave({"a": Side("a"), "b": Side("b")}, [1, 2, 3], 1, torch.device("cpu"))
    assert seen == [("a", 1), ("b", 1), ("b", 2), ("a", 2), ("a", 3), ("b", 3)] and found.keys() == {"a", "b"}


def test_a_ratio_is_how_many_times_faster_mtbert_is():
    timing = Timing("sst", {"mtbert": 30.0, "transformers": 10.0}, {}, {})
    assert timing.ratio("transformers") == pytest.approx(3)


def test_an_encoder_of_a_shape_is_the_same_for_every_side(tmp_path, monkeypatch):
    from mtbert.bench import step as bench
    from mtbert.nn.bert import BertConfig

    small = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    monkeypatch.setitem(bench.SHAPES, "small", small)
    one, two = (load_encoder(random_encoder("small", tmp_path / name)) for name in ("one", "two"))
    assert one.config == small and one.sha256 == two.sha256
