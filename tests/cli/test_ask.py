"""``mtbert ask`` answers a sentence, a pair, a file and standard input."""

import csv
import io
import json
import sys

import mtbert as package


def test_a_sentence_and_a_pair_are_shown_with_bars(mtbert, trained):
    sentence, pair = mtbert("ask", "A film.", "--model", trained), mtbert("ask", "A cat.", "A dog.", "--model", trained)
    answers = package.ask("A film.", model=trained)
    assert sentence.code == 0 and f"sentiment (SST, 5 classes): {answers['sst'].label}" in sentence.out
    assert "paraphrase (Quora)" in pair.out and " of 5" in pair.out and "sentiment" not in pair.out


def test_a_file_is_answered_as_csv_and_as_json(mtbert, trained, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('sentence1,sentence2\n"One, cat","Two cats"\nA dog,The dog runs\n', encoding="utf-8")
    table = list(csv.DictReader(io.StringIO(mtbert("ask", "--file", path, "--model", trained).out)))
    assert [row["text1"] for row in table] == ["One, cat", "A dog"]
    lines = mtbert("ask", "--file", path, "--model", trained, "--json").out.splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["sts"]["prediction"] for record in records] == [float(row["sts"]) for row in table]
    assert [record["quora"]["label"] for record in records] == [row["quora_label"] for row in table]


def test_standard_input_is_read_and_messages_stay_out_of_the_table(mtbert, trained, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A film, " + b"very long " * 200 + b"\nTwo\n")))
    result = mtbert("ask", "--model", trained)
    assert len(list(csv.reader(io.StringIO(result.out)))) == 3
    assert "128 tokens" in result.err and "128 tokens" not in result.out


def test_a_text_may_begin_with_a_dash_but_an_unknown_option_is_none(mtbert, trained):
    lines = mtbert("ask", "-5 stars, hahaha", "--file- is no option", "--json", "--model", trained)
    assert json.loads(lines.out)["texts"] == ["-5 stars, hahaha", "--file- is no option"]
    wrong = mtbert("ask", "--modle", trained, "A film.")
    assert wrong.code == 2 and "No such option: --modle" in wrong.err and "--model" in wrong.err


def test_a_file_is_not_taken_for_a_text(mistake, tmp_path):
    path = tmp_path / "reviews.txt"
    path.write_text("A film.\n", encoding="utf-8")
    assert f"--file {path}" in mistake("ask", path)


def test_mistakes_are_one_line(mistake, trained, tmp_path):
    assert "none" in mistake("ask", "A film.", "--model", tmp_path / "none")
    assert "--file" in mistake("ask", "A film.", "--file", "x.csv")
    assert "x.csv" in mistake("ask", "--file", tmp_path / "x.csv", "--model", trained)
    assert "text 1 is empty" in mistake("ask", " ", "--model", trained)
    assert "pair 1 is empty" in mistake("ask", "A film.", "", "--model", trained)
    assert "3 texts" in mistake("ask", "A", "fine", "film.") and "quotes" in mistake("ask", "A", "fine", "film.")
