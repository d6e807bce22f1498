"""The ladder: every rung trains the same model on the same rows, and each adds just what it says."""

import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from mtbert.bench import ladder as bench_ladder
from mtbert.bench.ladder import CUDA_RUNGS, RUNGS, build, read_tables, real_cells, rungs, speedups, take_turns
from mtbert.data.batch import pack_sequences
from mtbert.nn.pretrained import load_encoder
from mtbert.utils import paths

CPU = torch.device("cpu")
HALF = ["bfloat16", "recorded steps", "compiled layers"]
ROWS = {"sst": 3, "quora": 4, "sts": 3}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def tiny():
    return load_encoder("tiny", **NO_DROPOUT)


@pytest.fixture(scope="module")
def tables():
    return read_tables(paths.SAMPLE, tiny())


@pytest.fixture(scope="module")
def losses(tables):
    """{rung: (steps, tasks)} of four steps at a rate that makes the optimiser's part count."""
    of_steps = bench_ladder.batches(tables, ROWS, 4)
    found, compiled = {}, torch.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda of, **options: compiled(of, backend="aot_eager", **options))
        for name, rung in build(CUDA_RUNGS, tiny, tables, CPU).items():
            for group in rung.optimizer.param_groups:
                group["lr"] = 1e-3
            found[name] = torch.stack([torch.stack(list(rung.step(rows).values())).detach() for rows in of_steps])
    return found


@pytest.mark.parametrize("name", [name for name in CUDA_RUNGS if name not in HALF and name != "padded"])
def test_every_rung_computes_the_losses_of_the_first_and_takes_the_same_steps(losses, name):
    assert_close(losses[name], losses["padded"], atol=1e-4, rtol=1e-4)


def test_the_steps_do_change_the_losses(losses, tables):
    still = bench_ladder.Padded(tiny, tables, CPU)
    of_steps = bench_ladder.batches(tables, ROWS, 4)
    untrained = torch.stack([still.loss(task, rows).detach() for task, rows in of_steps[-1].items()])
    assert (losses["padded"][-1] - untrained).abs().max() > 0.05


@pytest.mark.parametrize("name", HALF)
def test_bfloat16_agrees_to_two_digits(losses, name):
    assert_close(losses[name], losses["padded"], atol=0.03, rtol=0.03)
    assert not torch.equal(losses[name], losses["one pass for all tasks"])


def test_a_rung_changes_what_its_name_says_and_nothing_else():
    added = {rung: {name for name in vars(rung) if not name.startswith("__")} for rung in CUDA_RUNGS.values()}
    classes = list(CUDA_RUNGS.values())
    assert all(after.__mro__[1] is before for before, after in zip(classes, classes[1:], strict=False))
    assert [sorted(added[rung]) for rung in classes[1:]] == [
        ["hidden"],
        ["drop"],
        ["attention", "hidden"],
        ["fused", "prepare", "update"],
        ["prepare"],
        ["step", "train_on"],
        ["attention"],
        ["fused"],
        ["train_on"],
        ["compute", "prepare", "step", "update"],
        ["prepare"],
    ]


def test_only_a_gpu_has_the_rungs_of_a_gpu():
    assert rungs(CPU) == RUNGS
    assert rungs(torch.device("cuda")) == CUDA_RUNGS


def test_dropout_is_on_where_the_encoder_asks_for_it(tables):
    rows = bench_ladder.batches(tables, ROWS, 1)[0]
    for rung in build(RUNGS, lambda: load_encoder("tiny"), tables, CPU).values():
        torch.manual_seed(1)
        one = rung.loss("sst", rows["sst"])
        assert not torch.equal(one, rung.loss("sst", rows["sst"]))


def test_real_cells_hold_every_token_once_and_in_order():
    mask, place = real_cells(pack_sequences([[1, 2, 3], [4], [5, 6]]))
    assert mask.int().tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert place[mask].tolist() == [0, 1, 2, 3, 4, 5]


def test_sides_take_turns_in_both_orders_and_the_first_batches_do_not_count():
    seen = []
    sides = {name: lambda batch, name=name: seen.append((batch, name)) for name in "ab"}
    seconds = take_turns(sides, [0, 1, 2], CPU, warm_up=1)
    assert seen == [(0, "b"), (0, "a"), (1, "a"), (1, "b"), (2, "b"), (2, "a")]
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_gains_are_medians_of_ratios_within_a_batch():
    table = speedups({"first": [2.0, 20.0, 4.0], "second": [1.0, 10.0, 4.0], "third": [0.5, 10.0, 1.0]})
    assert list(table.seconds) == [4.0, 4.0, 1.0]
    assert list(table.gain) == [1.0, 2.0, 2.0]
    assert list(table.speedup) == [1.0, 2.0, 4.0]
    assert list(table.low) == [1.0, 1.5, 1.5] and list(table.high) == [1.0, 2.0, 3.0]


def test_a_record_replaces_that_of_the_same_device_and_rows_only(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_ladder, "TABLE", tmp_path / "ladder.csv")
    assert bench_ladder.recorded().empty
    found = speedups({"a": [2.0], "b": [1.0]}).assign(flops=1e9)
    for rows, steps in ((ROWS, 1), ({**ROWS, "sst": 5}, 1), (ROWS, 7)):
        bench_ladder.record(found, paths.SAMPLE, "tiny", rows, steps, CPU)
    kept = bench_ladder.recorded()
    assert list(kept.rung) == ["a", "b", "a", "b"]
    assert list(kept.steps) == [1, 1, 7, 7]
    assert set(kept.data) == {"sample"} and kept.device.str.startswith("cpu").all()


def test_the_bench_reports_every_rung(tables):
    found = bench_ladder.bench_ladder(paths.SAMPLE, "tiny", ROWS, 1, CPU, warm_up=0)
    assert isinstance(found, pd.DataFrame) and list(found.index) == list(RUNGS)
    assert (found[["seconds", "gain", "speedup", "flops"]] > 0).all().all()
    work = found.flops * found.seconds  # the same rows, so the same operations on real tokens
    assert work.to_list() == pytest.approx([work.iloc[0]] * len(work))
