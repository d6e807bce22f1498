"""The ladder: every rung trains the same model on the same rows, and each adds only what its name says."""

import pytest
import torch
from torch.testing import assert_close

from mtbert.bench import ladder
from mtbert.bench.ladder import CUDA_RUNGS, RUNGS, build, padded_layout, rungs, speedups
from mtbert.bench.workload import random_batches, read_datasets
from mtbert.data.batch import pack_sequences
from mtbert.nn.pretrained import load_encoder
from mtbert.utils import paths

CPU = torch.device("cpu")
HALF = ["bfloat16", "CUDA graphs", "compiled layers"]
ROWS = {"sst": 3, "quora": 4, "sts": 3}
STEPS = 3


def without_dropout():
    return load_encoder("tiny", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture(scope="module")
def datasets():
    return read_datasets(paths.SAMPLE, without_dropout().tokenizer)


@pytest.fixture(scope="module")
def losses(datasets):
    """{rung: (steps, tasks)} at a learning rate at which the optimizer's part counts."""
    batches, losses, compile_ = random_batches(datasets, ROWS, STEPS), {}, torch.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda module, **options: compile_(module, backend="aot_eager", **options))
        for name, rung in build(CUDA_RUNGS, without_dropout, datasets, CPU).items():
            for group in rung.optimizer.param_groups:
                group["lr"] = 1e-3
            losses[name] = torch.stack([torch.stack(list(rung.step(rows).values())).detach() for rows in batches])
    return losses


@pytest.mark.parametrize("name", [name for name in CUDA_RUNGS if name not in HALF and name != "padded"])
def test_every_rung_computes_the_losses_of_the_first_and_takes_the_same_steps(losses, name):
    assert_close(losses[name], losses["padded"], atol=1e-4, rtol=1e-4)


def test_the_steps_do_change_the_losses(losses, datasets):
    untrained = ladder.Padded(without_dropout, datasets, CPU)
    rows = random_batches(datasets, ROWS, STEPS)[-1]
    before = torch.stack([untrained.loss(task, indices).detach() for task, indices in rows.items()])
    assert (losses["padded"][-1] - before).abs().max() > 0.05


@pytest.mark.parametrize("name", HALF)
def test_bfloat16_agrees_to_two_digits(losses, name):
    assert_close(losses[name], losses["padded"], atol=0.03, rtol=0.03)
    assert not torch.equal(losses[name], losses["one pass for all tasks"])


def test_a_rung_changes_what_its_name_says_and_nothing_else():
    classes = list(CUDA_RUNGS.values())
    assert all(after.__mro__[1] is before for before, after in zip(classes, classes[1:], strict=False))
    assert [sorted(name for name in vars(rung) if not name.startswith("__")) for rung in classes[1:]] == [
        ["hidden"],
        ["drop"],
        ["attention", "hidden"],
        ["prepare", "sparse_embedding", "update", "use_kernel"],
        ["sparse_embedding"],
        ["step", "train_on"],
        ["attention"],
        ["use_kernel"],
        ["train_on"],
        ["compute", "prepare", "step", "update"],
        ["prepare"],
    ]
    assert rungs(CPU) == RUNGS and rungs(torch.device("cuda")) == CUDA_RUNGS


def test_dropout_is_on_where_the_encoder_asks_for_it(datasets):
    rows = random_batches(datasets, ROWS, 1)[0]
    for rung in build(RUNGS, lambda: load_encoder("tiny"), datasets, CPU).values():
        torch.manual_seed(1)
        assert not torch.equal(rung.loss("sst", rows["sst"]), rung.loss("sst", rows["sst"]))


def test_the_padded_layout_holds_every_token_once_and_in_order():
    mask, index = padded_layout(pack_sequences([[1, 2, 3], [4], [5, 6]]))
    assert mask.int().tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]] and index[mask].tolist() == [0, 1, 2, 3, 4, 5]


def test_gains_are_medians_of_ratios_within_a_batch():
    table = speedups({"first": [2.0, 20.0, 4.0], "second": [1.0, 10.0, 4.0], "third": [0.5, 10.0, 1.0]})
    assert list(table.seconds) == [4.0, 4.0, 1.0] and list(table.gain) == [1.0, 2.0, 2.0]
    assert list(table.speedup) == [1.0, 2.0, 4.0]
    assert list(table.low) == [1.0, 1.5, 1.5] and list(table.high) == [1.0, 2.0, 3.0]


def test_a_record_replaces_that_of_the_same_device_and_rows_only(results_dir):
    assert ladder.recorded().empty
    table = speedups({"a": [2.0], "b": [1.0]}).assign(flops=1e9 / 3)
    for rows, steps in ((ROWS, 1), ({**ROWS, "sst": 5}, 2), (ROWS, 7)):
        ladder.record(table, paths.SAMPLE, "tiny", rows, steps, CPU)
    records = ladder.recorded()
    assert list(zip(records.rung, records.steps, strict=True)) == [("a", 7), ("b", 7), ("a", 2), ("b", 2)]
    assert set(records.data) == {"sample"} and records.device.str.startswith("cpu").all()
    assert "3.33333e+08" in (results_dir / "ladder.csv").read_text()  # six digits are recorded


def test_the_bench_reports_every_rung():
    table = ladder.bench_ladder(paths.SAMPLE, "tiny", ROWS, 1, CPU, warm_up=0)
    assert list(table.index) == list(RUNGS) and (table[["seconds", "gain", "speedup", "flops"]] > 0).all().all()
    operations = table.flops * table.seconds  # the same rows, so the same operations on real tokens
    assert operations.to_list() == pytest.approx([operations.iloc[0]] * len(operations))
