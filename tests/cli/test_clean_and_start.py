"""``mtbert clean`` lists unless told to remove, and ``mtbert start`` says what to open."""

import io
import sys

from mtbert.utils.files import folder_lock


def test_clean_lists_and_removes_only_what_is_asked_for(mtbert, copied, monkeypatch):
    root = copied.parent
    listed = mtbert("clean", root)
    assert listed.code == 0 and str(copied) in listed.out and "finished" in listed.out and "1 run, " in listed.out
    for options in (["--older-than", "1"], ["--larger-than", "1000"]):
        assert "0 runs" in mtbert("clean", root, *options, "--delete", "--yes").out
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert "nothing was removed" in mtbert("clean", root, "--delete").out
    assert copied.exists()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert "1 run removed" in mtbert("clean", root, "--delete").out
    assert not copied.exists() and root.exists()


def test_clean_leaves_a_run_in_training_alone(mtbert, copied):
    with folder_lock(copied):
        result = mtbert("clean", copied.parent, "--delete", "--yes")
    assert result.code == 1 and str(copied) in result.err and "0 runs removed" in result.out
    assert (copied / "run.json").exists()


def test_start_copies_the_notebooks_once(mtbert, mistake, tmp_path):
    result = mtbert("start", tmp_path / "bert")
    assert result.code == 0 and f"jupyter lab {tmp_path / 'bert' / '00_start_here.ipynb'}" in result.out
    assert "--force" in mistake("start", tmp_path / "bert")
    assert mtbert("start", tmp_path / "bert", "--force").code == 0
