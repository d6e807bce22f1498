"""Negative controls."""

from collections import Counter

from mtbert.data import TASKS, read_split
from mtbert.utils import paths
from mtbert.workbook.controls import shuffle_train_labels


def test_only_the_labels_of_train_are_shuffled(tmp_path):
    task = TASKS["sst"]
    folder = shuffle_train_labels(task, paths.SAMPLE, tmp_path / "new")
    for split in ("train", "dev"):
        before, after = (read_split(root, task, split) for root in (paths.SAMPLE, folder))
        assert [row.texts for row in before.examples] == [row.texts for row in after.examples]
        assert Counter(before.labels) == Counter(after.labels)
        assert (before.labels == after.labels) == (split == "dev")


def test_a_sentence_that_reads_null_is_kept(tmp_path):
    task = TASKS["sst"]
    for split in ("train", "dev"):
        lines = (paths.SAMPLE / task.files[split]).read_text(encoding="utf-8").splitlines()
        cells = lines[1].split("\t")
        cells[lines[0].split("\t").index("sentence")] = "null"
        (tmp_path / task.files[split]).write_text("\n".join([lines[0], "\t".join(cells), *lines[2:]]) + "\n")
    folder = shuffle_train_labels(task, tmp_path, tmp_path / "new")
    assert read_split(folder, task, "train").examples[0].texts == ("null",)
