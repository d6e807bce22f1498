"""Counted operations, their share of a peak, and the record of a bench."""

import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mtbert import throughput
from mtbert.bench import Timing, alternate, random_encoder
from mtbert.data.batch import pack
from mtbert.nn import load_encoder
from mtbert.throughput import peak_flops, training_flops, utilisation


def test_operations_are_those_of_the_matrix_products_of_a_step():
    """Against torch's own counter, on one sequence: there a group of equal lengths holds no padding."""
    bert = load_encoder("tiny", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).bert
    batch = pack([[5] * 24, [7] * 24])
    hidden = bert.embeddings(batch).detach().requires_grad_()
    with FlopCounterMode(display=False) as counter:
        bert.encode(hidden, batch).sum().backward()
    assert counter.get_total_flops() == pytest.approx(training_flops(bert.config, torch.tensor([24, 24])))


def test_utilisation_is_a_share_of_the_peak_and_not_known_without_one():
    assert utilisation(6e12, 2.0, 10e12) == pytest.approx(0.3)
    assert utilisation(6e12, 2.0, None) is None and peak_flops(torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H200", 989e12), ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("Some GPU", None)],
)
def test_peaks_are_known_by_the_drivers_name(monkeypatch, name, peak):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(torch.device("cuda")) == peak


def test_a_record_replaces_the_older_one_of_the_same_bench(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "TABLE", tmp_path / "throughput.csv")
    row = {"bench": "step", "device": "cpu", "encoder": "tiny", "task": "sst", "batch": 8, "precision": "float32",
           "side": "mtbert", "examples_per_second": 1.0}  # fmt: skip
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

    found = alternate({"a": Side("a"), "b": Side("b")}, [1, 2, 3], 1, torch.device("cpu"))
    assert seen == [("a", 1), ("b", 1), ("b", 2), ("a", 2), ("a", 3), ("b", 3)] and found.keys() == {"a", "b"}


def test_a_ratio_is_how_many_times_faster_mtbert_is():
    timing = Timing("sst", {"mtbert": 30.0, "transformers": 10.0}, {}, {})
    assert timing.ratio("transformers") == pytest.approx(3)


def test_an_encoder_of_a_shape_is_the_same_for_every_side(tmp_path, monkeypatch):
    from mtbert import bench
    from mtbert.nn.bert import BertConfig

    small = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    monkeypatch.setitem(bench.SHAPES, "small", small)
    one, two = (load_encoder(random_encoder("small", tmp_path / name)) for name in ("one", "two"))
    assert one.config == small and one.sha256 == two.sha256
