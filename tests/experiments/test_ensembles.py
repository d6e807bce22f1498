"""Ensembles: the mean of probabilities and scores, and who answers together."""

import json

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mtbert
from mtbert.data import get_task, read_split
from mtbert.experiments import ensembles
from mtbert.nn.model import labels_from, probabilities
from mtbert.utils import paths
from mtbert.utils.errors import UserError

TASKS = st.sampled_from(["sst", "quora", "sts"]).map(get_task)


@given(TASKS, st.integers(1, 4), st.floats(0.01, 100), st.integers(0, 99))
def test_probabilities_of_an_ensemble_are_the_means_of_its_members(task, members, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = [scale * torch.randn(5, task.num_outputs, generator=generator) for _ in range(members)]
    mean = torch.stack([probabilities(task, member.double()) for member in logits]).mean(dim=0)
    averaged = ensembles.average(task, logits)
    assert torch.allclose(probabilities(task, averaged.double()), mean, atol=1e-9)
    if members == 1:
        assert averaged is logits[0]


def test_certain_members_that_disagree_leave_finite_logits():
    averaged = ensembles.average(get_task("quora"), [torch.tensor([[1e4], [50.0]]), torch.tensor([[-1e4], [49.0]])])
    assert averaged.isfinite().all() and averaged[0] == 0 and labels_from(get_task("quora"), averaged) == [0, 1]


def test_members_with_other_labels_or_rows_have_no_average():
    for other in (torch.zeros(3, 2), torch.zeros(2, 5)):
        with pytest.raises(UserError, match="sst: logits of shapes"):
            ensembles.average(get_task("sst"), [torch.zeros(3, 5), other])


def test_each_run_answers_for_its_tasks_and_gains_are_told(tiny_runs, sample):
    runs = ensembles.open_members([tiny_runs / "one", tiny_runs / "two"])
    by_task = ensembles.runs_by_task(runs)
    assert by_task == {"sst": runs, "quora": runs, "sts": runs}
    rows = read_split(sample, get_task("sts"), "dev")
    together, alone = ensembles.predict([(rows, runs), (rows, runs[1:])])
    texts = [example.texts for example in rows.examples]
    expected = [mtbert.load_model(run.folder).predict("sts", texts) for run in runs]
    assert alone.values == expected[1]
    assert together.values == pytest.approx(torch.tensor(expected).double().mean(dim=0).tolist(), abs=1e-6)
    scores = [run.scores["sts"] for run in runs]
    assert list(together.member_scores.values()) == pytest.approx(scores, abs=1e-6)
    gain = together.score - max(scores)
    assert f"{scores[0]:.4f}" in together.gain() and f"{together.score:.4f} ({gain:+.4f}" in together.gain()
    with pytest.raises(UserError, match="one is given twice"):
        ensembles.open_members([tiny_runs / "one", tiny_runs / ".." / tiny_runs.name / "one"])


def test_a_pair_read_in_both_orders_has_the_mean_of_both_predictions(tiny_runs, sample):
    (run,) = ensembles.open_members([tiny_runs / "one"])
    model = mtbert.load_model(run.folder)
    rows = {name: read_split(sample, get_task(name), "dev") for name in ("sst", "quora", "sts")}
    predicted = ensembles.predict([(each, [run]) for each in rows.values()], both_orders=True)
    for (name, each), of_task in zip(rows.items(), predicted, strict=True):
        texts = [example.texts for example in each.examples]
        swapped = [text[::-1] for text in texts]
        mean = torch.stack([model.predict_proba(name, order).double() for order in (texts, swapped)]).mean(dim=0)
        found = probabilities(each.task, of_task.logits.double())
        assert torch.allclose(found, mean, atol=1e-6)
        if name == "quora":
            assert not torch.allclose(found, model.predict_proba(name, texts).double(), atol=1e-6)
    again = ensembles.predict([(each.swapped(), [run]) for each in rows.values()], both_orders=True)
    for one, other in zip(predicted, again, strict=True):
        if one.rows.task.is_pair:
            assert torch.allclose(one.logits, other.logits, atol=1e-6)


def test_the_overall_score_of_the_courses_tasks_leaves_others_out():
    three = {"sst": 0.5, "quora": 0.6, "sts": 0.7}
    assert ensembles.with_overall({**three, "cfimdb": 1.0})["plain"] == pytest.approx(0.6)
    assert ensembles.with_overall({"sst": 0.5, "cfimdb": 1.0})["plain"] == pytest.approx(0.75)


def test_an_ensemble_is_recorded_with_its_members(tiny_runs, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    runs = ensembles.open_members([tiny_runs / "one", tiny_runs / "two"])
    sets = [(read_split(sample, get_task(name), "dev"), runs) for name in ("sst", "quora", "sts")]
    predicted = ensembles.predict(sets)
    for _ in range(2):  # the second takes the place of the first
        path = ensembles.record(predicted, torch.device("cpu"), "together")
    ensembles.record(ensembles.predict(sets, both_orders=True), torch.device("cpu"), "together")
    row, in_both_orders = pd.read_csv(path).to_dict("records")
    assert not row["both_orders"] and in_both_orders["both_orders"]
    model = mtbert.load_model(runs[0].folder)
    assert row["parameters"] == 2 * sum(parameter.numel() for parameter in model.parameters())
    assert row["plain"] == pytest.approx(sum(of_task.score for of_task in predicted) / 3)
    assert [alone["plain"] for alone in json.loads(row["alone"])] == pytest.approx(
        [run.scores["plain"] for run in runs]
    )
    assert [member["seed"] for member in json.loads(row["members"])] == [run.recipe.seed for run in runs]
    assert json.loads(row["data_sha256"]).keys() == {rows.path.name for rows, _ in sets}
