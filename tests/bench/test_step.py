"""The sides of ``bench step``: they read the same rows and compute the same logits."""

import pytest
import torch

from mtbert.bench.profile import part_of, profile_step
from mtbert.bench.sides import Job, MatrixProducts, Ours, Peer
from mtbert.bench.step import Timing, length_grouped, variants
from mtbert.bench.workload import MAX_LENGTH, read_datasets
from mtbert.data.tasks import get_task
from mtbert.nn.pretrained import load_encoder

pytest.importorskip("transformers")


def test_all_sides_compute_the_same_logits(sample):
    encoder, cpu, rows = load_encoder("tiny"), torch.device("cpu"), torch.tensor([3, 0, 7, 12])
    dataset, task = read_datasets(sample, encoder.tokenizer, ["sst"])["sst"], get_task("sst")
    job = Job("tiny", task, dataset, cpu)
    ours, peers = Ours(job), [Peer(job, packed=packed) for packed in (False, True)]
    ours.model.eval()
    batch = ours.micro_batch({"sst": rows}).inputs
    with torch.no_grad():
        expected = ours.model(batch)["sst"]
        for peer in peers:
            peer.bert.eval()
            peer.head.load_state_dict(ours.model.heads["sst"].state_dict())
            peer.head.eval()
            torch.testing.assert_close(peer.logits(rows), expected, rtol=1e-4, atol=1e-5)


def test_length_grouped_batches_hold_the_same_rows_and_little_padding(sample):
    tokenizer = load_encoder("tiny").tokenizer
    lengths = read_datasets(sample, tokenizer, ["sst"])["sst"].encode("cross", MAX_LENGTH, tokenizer).lengths
    rows = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(1))[:96]
    batches = length_grouped(rows, lengths, 16)
    assert sorted(torch.cat(batches).tolist()) == sorted(rows.tolist())
    assert {len(batch) for batch in batches} == {16}

    def fill(batches):
        return lengths[rows].sum() / sum(len(batch) * lengths[batch].max() for batch in batches)

    assert fill(batches) > 0.8 > fill(rows.split(16))


def test_sides_are_both_packages_random_and_grouped_and_compiled_where_asked():
    names = [variant.name for variant in variants(compiled=False)]
    assert names == ["mtbert", "mtbert, grouped", "transformers", "transformers, grouped", "transformers, packed"]
    added = [variant.name for variant in variants(compiled=True)][len(names) :]
    assert added == [f"{package}, compiled{grouped}" for package in names[::2][:2] for grouped in ("", ", grouped")]


def test_the_lead_is_that_of_the_fastest_side():
    timing = Timing("sst", {"mtbert": 30.0, "mtbert, grouped": 40.0, "transformers": 20.0}, {}, {})
    assert timing.lead("transformers") == 2


def test_matrix_products_count_a_layer_forward_and_backward():
    config = load_encoder("tiny").config
    h, f = config.hidden_size, config.intermediate_size
    products = MatrixProducts(config, torch.device("cpu"), torch.float32)
    products.step(5)
    assert products.flops(5) == 3 * 2 * 5 * (4 * h * h + 2 * h * f)


def test_a_profile_has_all_the_time_and_finds_every_part(sample):
    spent = profile_step(sample, "tiny", "sst", 64, 2, torch.device("cpu"), warm_up=1)
    assert all(ms > 0 for ms in spent.values())
    assert list(spent)[:2] == ["linear, forward", "linear, backward"] and "rest" in spent
    assert spent["rest"] < sum(spent.values()) / 2


def test_an_operator_belongs_to_what_it_runs_in():
    backward = ["aten::mul", "autograd::engine::evaluate_function: _LinearBackward", "backward"]
    assert part_of(backward) == "linear, backward"
    assert part_of(["aten::addmm", "aten::linear", "forward"]) == "linear, forward"
    assert part_of(["aten::mul_", "AdamW"]) == "AdamW"
    assert part_of(["aten::gelu", "_Linear", "forward"]) == "GELU"
    assert part_of(["aten::add", "forward"]) == "rest"
