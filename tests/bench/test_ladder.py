"""The ladder: every rung trains the same model on the same rows, and each adds only what its name says."""

import pytest
import torch
from torch.testing import assert_close

from mtbert.bench import ladder
from mtbert.bench.ladder import CUDA_RUNGS, RUNGS, build, rungs, speedups
from mtbert.bench.workload import random_batches, read_datasets
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
        untrained = ladder.Padded(without_dropout, datasets, CPU)
        before = torch.stack([untrained.loss(task, rows).detach() for task, rows in batches[-1].items()])
        for name, rung in build(CUDA_RUNGS, without_dropout, datasets, CPU).items():
            for group in rung.optimizer.param_groups:
                group["lr"] = 1e-3
            losses[name] = torch.stack([torch.stack(list(rung.step(rows).values())).detach() for rows in batches])
    assert (losses["padded"][-1] - before).abs().max() > 0.05  # the steps do change the losses
    return losses


@pytest.mark.parametrize("name", list(CUDA_RUNGS)[1:])
def test_every_rung_computes_the_losses_of_the_first_and_takes_the_same_steps(losses, name):
    tolerance = 0.03 if name in HALF else 1e-4  # bfloat16 agrees to two digits
    assert_close(losses[name], losses["padded"], atol=tolerance, rtol=tolerance)
    assert name not in HALF or not torch.equal(losses[name], losses["one pass for all tasks"])


def test_every_rung_extends_the_one_before_it():
    classes = list(CUDA_RUNGS.values())
    assert all(after.__mro__[1] is before for before, after in zip(classes, classes[1:], strict=False))
    assert rungs(CPU) == RUNGS and rungs(torch.device("cuda")) == CUDA_RUNGS


def test_dropout_is_on_where_the_encoder_asks_for_it(datasets):
    rows = random_batches(datasets, ROWS, 1)[0]
    for rung in build(RUNGS, lambda: load_encoder("tiny"), datasets, CPU).values():
        torch.manual_seed(1)
        assert not torch.equal(rung.loss("sst", rows["sst"]), rung.loss("sst", rows["sst"]))


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
