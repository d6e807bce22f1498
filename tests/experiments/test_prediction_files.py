"""Files of predictions: the course's bytes, and what is read back, from anyone's files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtbert.data import get_task
from mtbert.data.read import Example, Rows, course_id, read_split
from mtbert.experiments.prediction_files import (
    file_name,
    find_files,
    format_predictions,
    one_per_task,
    read_folder,
    read_predictions,
)
from mtbert.utils.errors import UserError
from mtbert.utils.files import file_sha256
from mtbert.utils.paths import RESULTS

VALUES = {"sst": [4, 0], "quora": [1, 0], "sts": [0.10000000149011612, -1e-05]}
HEADERS = {"sst": "Predicted_Sentiment", "quora": "Predicted_Is_Paraphrase", "sts": "Predicted_Similiary"}


def rows_of(task: str, *ids: str) -> Rows:
    examples = [Example(identity, ("a",), 0.0) for identity in ids]
    return Rows(get_task(task), "dev", Path("data.csv"), "", examples)


@pytest.mark.parametrize(
    ("task", "content"),
    [
        ("sst", "id \t Predicted_Sentiment \naf , 4 \nb 2 , 0 \n"),
        ("quora", "id \t Predicted_Is_Paraphrase \naf , 1.0 \nb 2 , 0.0 \n"),
        ("sts", "id \t Predicted_Similiary \naf , 0.10000000149011612 \nb 2 , -1e-05 \n"),
    ],
)
def test_the_courses_format_byte_by_byte(task, content):
    """Ids in lower case and without spaces around them, numbers as Python prints them, a space before each end."""
    assert format_predictions(rows_of(task, " aF", "B 2 "), VALUES[task], "course") == content


def test_names_are_the_courses_or_the_tasks():
    names = [file_name(get_task(task), "dev", "course") for task in ("sst", "quora", "sts")]
    assert names == ["sst-dev-output.csv", "para-dev-output.csv", "sts-dev-output.csv"]
    assert file_name(get_task("cfimdb"), "test", "course", "pretrain") == "pretrain-cfimdb-test-out.csv"
    assert file_name(get_task("quora"), "test", "plain", "pretrain") == "quora-test-output.csv"


@pytest.mark.parametrize("task", VALUES)
@pytest.mark.parametrize("file_format", ["course", "plain"])
def test_what_is_written_is_read_back_whatever_the_ids(tmp_path, task, file_format):
    rows = rows_of(task, 'a,"b"', "Ünï , 3")
    (tmp_path / "x.csv").write_text(format_predictions(rows, VALUES[task], file_format), encoding="utf-8")
    assert read_predictions(tmp_path / "x.csv", rows) == pytest.approx(VALUES[task], abs=1e-6)


@given(st.data(), st.sampled_from(["course", "plain"]), st.sampled_from(sorted(VALUES)))
def test_all_rows_come_back_or_a_reason(tmp_path_factory, data, file_format, task):
    ids = data.draw(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique_by=course_id, min_size=1))
    value = st.floats(-1e6, 1e6) if task == "sts" else st.integers(0, get_task(task).max_label)
    values = data.draw(st.lists(value, min_size=len(ids), max_size=len(ids)))
    path, rows = tmp_path_factory.mktemp("any") / "x.csv", rows_of(task, *ids)
    try:
        content = format_predictions(rows, values, file_format)
    except UserError as error:
        assert "line break" in str(error) and file_format == "course"
        return
    path.write_bytes(content.encode())
    assert read_predictions(path, rows) == pytest.approx(values, abs=1e-6)


@given(st.binary() | st.binary().map(lambda content: b"id,prediction\na," + content))
def test_bytes_of_any_kind_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_bytes(content)
    try:
        assert len(read_predictions(path, rows_of("sst", "a", "b"))) == 2
    except UserError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    "content",
    [
        "id \t Predicted_Sentiment \nb , 0 \nA , 3 \n",  # in another order, as the course shuffles its test rows
        "\ufeffid,Predicted_Sentiment\r\n\r\n a,3.0\r\nB,0",
        "id\tprediction\na,3\nb,0\n".replace("\t", ","),
        'id,prediction\n"b",0\n"A",3\n\n',
        "ID\tPREDICTED_SENTIMENT\nb\t0\na\t3\n",
    ],
)
def test_other_peoples_files_are_read(tmp_path, content):
    (tmp_path / "x.csv").write_text(content, encoding="utf-8", newline="")
    assert read_predictions(tmp_path / "x.csv", rows_of("sst", "a", "B")) == [3, 0]


@pytest.mark.parametrize(
    ("task", "body", "words"),
    [
        ("sst", "a , 3 \nb , 5 \n", "line 3: the value of id 'b' is '5', but must be a class from 0 to 4"),
        ("sst", "a , 2.5 \n", "line 2: the value of id 'a' is '2.5'"),
        ("sst", "a , 1_0 \n", "'1_0'"),
        ("quora", "a , 0.7 \n", "'0.7', but must be a class from 0 to 1"),
        ("quora", "a ,  \n", "line 2: the value of id 'a' is ''"),
        ("sts", "a , nan \n", "'nan', but must be a finite number"),
        ("sts", "a , 1e999 \n", "'1e999'"),
        ("sts", f"a , {'9' * 5000} \n", "line 2: the value of id 'a' is '9999"),
        ("sst", "a , 3 \nb , 1 \nA , 3 \n", "line 4: id 'a' is on line 2 too|line 4: id 'A' is on line 2 too"),
        ("sst", "a , 3 \nb , 1 \nc , 3 \n", "line 4: id 'c' is not in data.csv"),
        ("sst", "b , 3 \n", "no line for id 'a' of data.csv"),
        ("sst", "", r"no line for id 'a' \(and 1 more\)"),
        ("sst", "a 3\n", "line 2: 'a 3' is not an id"),
    ],
)
def test_a_bad_line_is_named_by_file_line_and_id(tmp_path, task, body, words):
    path = tmp_path / "x.csv"
    path.write_text(f"id \t {HEADERS[task]} \n{body}", encoding="utf-8")
    with pytest.raises(UserError, match=words) as error:
        read_predictions(path, rows_of(task, "a", "b"))
    assert str(path) in str(error.value) and len(str(error.value)) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: the header is ''"),
        (b"id \t Predicted_Similiary \na , 3 \n", "must be id and Predicted_Sentiment or prediction"),
        (b"id \t Predicted_Sentiment \na , 3 \nb\xff , 1 \n", "line 3: not UTF-8"),
        (b'id,prediction\na,3\n"b,1\n', "line 3: "),
        (b"id,prediction\na,3\nb,1,2\n", "line 3: 3 fields"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, words):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_predictions(tmp_path / "x.csv", rows_of("sst", "a", "b"))


def test_ids_that_cannot_be_told_apart_or_written_are_refused(tmp_path):
    (tmp_path / "x.csv").write_text("id,prediction\na,3\n")
    with pytest.raises(UserError, match="same id twice"):
        read_predictions(tmp_path / "x.csv", rows_of("sst", "a", "A"))
    with pytest.raises(UserError, match=r"'a\\nb' has a line break"):
        format_predictions(rows_of("sst", "a\nb"), [1], "course")


def test_a_folder_is_read_by_its_names_also_below_predictions(tmp_path, few_rows):
    (tmp_path / "predictions").mkdir()
    written = {}
    for task, split, option in [
        ("sst", "dev", None),
        ("sst", "dev", "finetune"),
        ("cfimdb", "dev", "pretrain"),
        ("cfimdb", "dev", "finetune"),
        ("quora", "test", None),
    ]:
        rows = read_split(few_rows, get_task(task), split)
        written[task, split, option] = [len(written) % 2] * len(rows)
        name = file_name(rows.task, split, "course", option)
        content = format_predictions(rows, written[task, split, option], "course")
        (tmp_path / "predictions" / name).write_text(content)
    (tmp_path / "predictions" / "notes.csv").write_text("mine")
    read = read_folder(tmp_path, few_rows)
    assert {(each.file.task.name, each.file.split, each.file.option): each.values for each in read} == written
    assert [each.score is None for each in read] == [each.file.split == "test" for each in read]
    counted = {task: each.file.option for task, each in one_per_task(read).items()}
    assert counted == {"sst": None, "cfimdb": "finetune"}
    (tmp_path / "predictions" / "quora-test-output.csv").write_text("")
    with pytest.raises(UserError, match="both predict quora, test"):
        find_files(tmp_path)
    with pytest.raises(UserError, match="none is no folder"):
        find_files(tmp_path / "none")


def test_a_line_for_a_dev_row_without_a_label_is_ignored(tmp_path, few_rows):
    source = few_rows / "quora-dev.csv"
    lines = source.read_text(encoding="utf-8").split("\n")
    lines[3] = lines[3].rpartition("\t")[0] + "\t"
    (tmp_path / "quora-dev.csv").write_text("\n".join(lines), encoding="utf-8")
    rows, all_rows = (read_split(folder, get_task("quora"), "dev") for folder in (tmp_path, few_rows))
    assert (len(rows), len(all_rows)) == (15, 16)
    values = list(range(2)) * 8
    (tmp_path / "x.csv").write_text(format_predictions(all_rows, values, "course"))
    assert read_predictions(tmp_path / "x.csv", rows) == values[:2] + values[3:]


def test_the_committed_predictions_are_in_the_courses_format():
    """Their ids belong to data that is not part of the project, so they are taken from the files themselves."""
    files = find_files(RESULTS / "predictions")
    record = json.loads((RESULTS / "predictions" / "predictions.json").read_text(encoding="utf-8"))
    recorded = {name: facts["sha256"] for run in record["runs"] for name, facts in run["files"].items()}
    assert {file.path.name: file_sha256(file.path) for file in files} == recorded
    names = {file_name(file.task, file.split, "course", file.option) for file in files}
    assert {file.path.name for file in files} == names and len(files) == 8
    for file in files:
        ids = [line.split(" , ")[0] for line in file.path.read_text(encoding="utf-8").splitlines()[1:]]
        rows = rows_of(file.task.name, *ids)
        content = format_predictions(rows, read_predictions(file.path, rows), "course")
        assert content == file.path.read_text(encoding="utf-8")


def test_the_committed_predictions_have_the_recorded_scores_on_the_real_data(real_data):
    record = json.loads((RESULTS / "predictions" / "predictions.json").read_text(encoding="utf-8"))
    read = one_per_task(read_folder(RESULTS / "predictions", real_data))
    for task, predictions in read.items():
        assert predictions.score == pytest.approx(record["dev"][task], abs=1e-6)
