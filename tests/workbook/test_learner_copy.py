"""A learner's copy holds every notebook with its figures, and is never overwritten unasked."""

import json
import re

import pytest

from mtbert.utils.errors import UserError
from mtbert.workbook.learner_copy import NOTEBOOKS, copy_notebooks


def test_all_notebooks_are_copied_and_find_their_figures(tmp_path):
    copies = copy_notebooks(tmp_path / "mine" / "bert")
    assert [path.name for path in copies] == sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
    for path in copies:
        text = path.read_text(encoding="utf-8")
        assert json.loads(text)["cells"]
        assert "../figures" not in text
        for figure in re.findall(r"\((figures/[\w.-]+)", text):
            assert (path.parent / figure).exists()


def test_a_learners_work_is_overwritten_only_when_forced(tmp_path):
    first, *_ = copy_notebooks(tmp_path)
    first.write_text("my work")
    (tmp_path / "own.ipynb").write_text("my own")
    with pytest.raises(UserError, match=f"{first.name}.*--force"):
        copy_notebooks(tmp_path)
    assert first.read_text() == "my work"
    copy_notebooks(tmp_path, force=True)
    assert first.read_text(encoding="utf-8") == (NOTEBOOKS / first.name).read_text(encoding="utf-8")
    assert (tmp_path / "own.ipynb").read_text() == "my own"


def test_the_projects_folders_and_files_are_no_target(tmp_path):
    (tmp_path / "file").touch()
    for target in (NOTEBOOKS, NOTEBOOKS.parent, tmp_path / "file"):
        with pytest.raises(UserError, match=str(target)):
            copy_notebooks(target, force=True)
