"""The short training of notebook 05 with a learner's two functions."""

from workbook.exercises import solutions

import mtbert
from mtbert.data import TASKS, TokenizedDataset, read_split
from mtbert.utils import paths
from mtbert.workbook.own_step import train_own_step


def test_with_right_answers_every_loss_falls():
    recipe, answers = mtbert.recipe("demo"), solutions("multitask")
    tokenizer = mtbert.load_encoder("minilm", num_layers=1).tokenizer
    tables = {
        name: TokenizedDataset.from_rows(read_split(paths.SAMPLE, TASKS[name], "train").subsample(200), tokenizer)
        for name in ("sst", "quora", "sts")
    }
    table = train_own_step(recipe, tables, answers["task_losses"], answers["multitask_step"], steps=20)
    assert table.index.tolist() == ["sst", "quora", "sts"]
    assert (table["last ten"] < table["first ten"]).all()
