"""Old runs are found with their sizes, and removed whole unless somebody needs them."""

import os
import shutil

import pytest

from mtbert.experiments.old_runs import remove_run, stored_runs
from mtbert.utils.errors import UserError
from mtbert.utils.files import folder_lock


@pytest.fixture
def runs(tiny_runs, tmp_path):
    """Copies of two runs, one of them in a folder below and ten days old."""
    folders = [shutil.copytree(tiny_runs / "one", tmp_path / "one"), tmp_path / "deep" / "two"]
    shutil.copytree(tiny_runs / "two", folders[1])
    before = (folders[1] / "run.json").stat().st_mtime - 10 * 86400
    os.utime(folders[1] / "run.json", (before, before))
    return folders


def test_runs_are_found_with_size_and_age(runs, tmp_path):
    found = {stored.folder: stored for stored in stored_runs(tmp_path)}
    assert set(found) == set(runs)
    assert found[runs[0]].bytes == sum(path.stat().st_size for path in runs[0].rglob("*") if path.is_file())
    assert found[runs[0]].days < 1 and found[runs[1]].days == pytest.approx(10, abs=0.1)


def test_a_damaged_record_is_noted_and_skipped(runs, tmp_path, messages):
    (runs[0] / "run.json").write_text("{")
    assert [stored.folder for stored in stored_runs(tmp_path)] == [runs[1]]
    assert str(runs[0] / "run.json") in messages[-1]


def test_a_run_is_removed_whole_and_nothing_beside_it(runs):
    (runs[1].parent / "notes.txt").write_text("mine")
    remove_run(runs[1])
    assert not runs[1].exists() and runs[0].exists() and (runs[1].parent / "notes.txt").exists()


def test_a_run_in_training_and_one_with_files_of_others_are_left_alone(runs):
    (runs[1] / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        remove_run(runs[1])
    before = sorted(runs[0].rglob("*"))
    with folder_lock(runs[0]), pytest.raises(UserError, match="another process is training"):
        remove_run(runs[0])
    assert sorted(runs[0].rglob("*")) == before and (runs[1] / "run.json").exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match="none"):
        list(stored_runs(tmp_path / "none"))
