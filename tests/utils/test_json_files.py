"""JSON and environment variables that users own: what means nothing is refused by file, field and value."""

import json

import pytest

from mtbert.utils import json_files
from mtbert.utils.environment import env_integer, env_number, env_path
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.json_files import MAX_DEPTH, MAX_DIGITS, check_types, read_object


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_json_writes_is_read_back(tmp_path, encoding):
    fields = {
        "text": "naïve 北京 😀",
        "list": [1, -2.5, 1e300, None, True],
        "empty": {},
        "long": 10 ** (MAX_DIGITS - 1),
    }
    fields["deep"] = json.loads("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    path = tmp_path / "file.json"
    for escaped in (True, False):
        path.write_text(json.dumps(fields, ensure_ascii=escaped), encoding=encoding)
        assert read_object(path) == fields


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"{'a': 1}", "JSON"),
        (b"[1, 2]", "object"),
        (b"null", "object"),
        (b"\xff", "UTF-8"),
        ('{"a": "é"}'.encode("latin-1"), "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        (b'{"lr": NaN}', "NaN.*lr"),
        (b'{"a": {"lr": [0, -Infinity]}}', "Infinity.*a.lr.1"),
        (b'{"lr": 1e999}', "1e999.*lr"),
        (b'{"epochs": %s}' % (b"9" * 5000), "5,000 digits.*epochs"),
        (b'{"seed": -%s}' % (b"1" * MAX_DIGITS), "digits.*seed"),
        (b'{"epochs": 1, "lr": 2, "epochs": 3}', "second.*epochs"),
        (rb'{"name": "a\u0000b"}', "NUL.*name"),
        (rb'{"name": ["\ud83d"]}', "surrogate.*name"),
        (rb'{"na\udc00me": 1}', "surrogate"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b'{"a": %s}' % (b"[" * 500 + b"]" * 500), "nested"),
    ],
)
def test_what_is_not_an_object_of_usable_values_is_refused(tmp_path, content, problem):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"(?s)^{path}.*{problem}.*: try again$") as raised:
        read_object(path, "try again")
    assert len(str(raised.value)) < len(str(path)) + 200


def test_files_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(UserError, match=f"^{path} "):
            read_object(path)
    with pytest.raises(UserError, match="file name"):
        read_object("a\0b")
    monkeypatch.setattr(json_files, "MAX_BYTES", 10)
    (tmp_path / "large.json").write_text('{"a": 1}   ')
    with pytest.raises(UserError, match=r"large\.json"):
        read_object(tmp_path / "large.json")


def test_types_of_fields_are_checked():
    fields = {"status": "finished", "epochs": [], "lr": 1, "lower": True}
    check_types(fields, {"status": str, "epochs": list, "lr": float, "lower": bool}, "run.json")
    for name, kind in (
        ("status", list),
        ("epochs", dict),
        ("lower", int),
        ("lower", float),
        ("lr", bool),
        ("none", str),
    ):
        with pytest.raises(UserError, match=rf"^run\.json.*{name}.*: try again$"):
            check_types(fields, {name: kind}, "run.json", "try again")


def test_a_quoted_value_is_short():
    for value in ("x" * 100_000, list(range(100_000)), 10**9000, {"a": "x" * 100_000}):
        assert len(shorten(value)) < 300


def test_an_environment_variable_is_a_path_or_a_number_or_refused(monkeypatch, tmp_path):
    for value in (str(tmp_path), str(tmp_path / "missing"), "/dev/null/x"):
        monkeypatch.setenv("MTBERT_TEST", value)
        assert str(env_path("MTBERT_TEST")) == value
    for value in ("", "  "):
        monkeypatch.setenv("MTBERT_TEST", value)
        assert env_path("MTBERT_TEST") is None and env_number("MTBERT_TEST", 3.0) == 3.0
    for value, number in (("1e3", 1000.0), ("-2", -2.0), ("inf", float("inf"))):
        monkeypatch.setenv("MTBERT_TEST", value)
        assert env_number("MTBERT_TEST", 3.0) == number
    monkeypatch.setenv("MTBERT_TEST", " 4 ")
    assert env_integer("MTBERT_TEST", 1) == 4
    for value in ("2.5", "inf", "four"):
        monkeypatch.setenv("MTBERT_TEST", value)
        with pytest.raises(UserError, match=f"MTBERT_TEST.*{value}"):
            env_integer("MTBERT_TEST", 1)
    for value in ("soon", "nan", "1" + "x" * 5000):
        monkeypatch.setenv("MTBERT_TEST", value)
        with pytest.raises(UserError, match="MTBERT_TEST") as raised:
            env_number("MTBERT_TEST", 3.0)
        assert len(str(raised.value)) < 300
    with pytest.raises(UserError, match="MTBERT_TEST"):
        env_path("MTBERT_TEST")  # too long for a path
