"""The boundary where JSON that users own is read: recipe.json, run.json, config.json, manifests.

``read_object`` parses a file into an object that the rest of the package can rely on, and ``check_types`` then states
which fields it must have. Both raise UserError with the file, the field and the value:

    record = read_object(path, "choose another folder")
    check_types(record, {"status": str, "epochs": list, "best_epoch": int}, path, "choose another folder")
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtbert.utils.errors import UserError, shorten

MAX_BYTES = 64 * 2**20
MAX_DIGITS = 1000  # of a whole number; more than any field means, and less than Python refuses to convert
MAX_DEPTH = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def read_object(path: str | Path, advice: str = "") -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file, in UTF-8, with or without a byte order mark.
        advice: what the user should do about a bad file; it ends the message.

    Raises:
        UserError: if the file does not exist, cannot be read, is larger than ``MAX_BYTES``, is not JSON, or holds
            anything but one object. Also for what Python's parser would let through: a name given twice, NaN and
            infinite numbers, a number of more than ``MAX_DIGITS`` digits, NUL or an unpaired surrogate in a text, and
            nesting deeper than ``MAX_DEPTH``.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _error(path, "does not exist", advice) from None
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror})", advice) from None
    except ValueError as error:  # the path holds NUL or cannot be encoded
        raise UserError(f"{shorten(str(path))} is no file name ({error})") from None
    return parse_object(content, path, advice)


def parse_object(content: bytes, source: str | Path, advice: str = "") -> dict[str, Any]:
    """The JSON object in some bytes; ``source`` names them in messages. Raises as ``read_object`` does."""
    if len(content) > MAX_BYTES:
        raise _error(source, f"is larger than {MAX_BYTES // 2**20} MiB", advice)
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(
            text, parse_int=_whole_number, parse_float=_number, parse_constant=_Unusable, object_pairs_hook=_object
        )
        if not isinstance(value, dict):
            raise _error(source, "holds no JSON object", advice)
        for field, problem in _problems(value):
            raise _error(source, f"has {problem} in field {shorten(field)}", advice)
    except UnicodeDecodeError as error:
        raise _error(source, f"is not UTF-8 text ({error.reason} at byte {error.start})", advice) from None
    except json.JSONDecodeError as error:
        raise _error(source, f"is not JSON ({error})", advice) from None
    except RecursionError:
        raise _error(source, f"is nested deeper than {MAX_DEPTH} levels", advice) from None
    return value


def check_types(fields: Mapping[str, Any], types: Mapping[str, type], source: str | Path, advice: str = "") -> None:
    """Check that an object has some fields, each of its type.

    Args:
        types: bool, int, float, str, list or dict for each field. A float may be written as a whole number; true and
            false are bools only.
        source: the file, for messages.
        advice: as in ``read_object``.

    Raises:
        UserError: for the first field that is missing or has another type.
    """
    for name, kind in types.items():
        if name not in fields:
            raise _error(source, f"has no field {name!r}", advice)
        value = fields[name]
        allowed = (int, float) if kind is float else kind
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise _error(source, f"has {name} = {shorten(value)}, which should be {_WORDS[kind]}", advice)


class _Unusable:
    """Stands for a value that is refused once the field it belongs to is known."""

    def __init__(self, problem: str):
        self.problem = problem


def _whole_number(digits: str) -> int | _Unusable:
    return int(digits) if len(digits) <= MAX_DIGITS else _Unusable(f"a number of {len(digits):,} digits")


def _number(digits: str) -> float | _Unusable:
    value = float(digits)
    return value if math.isfinite(value) else _Unusable(f"the infinite number {shorten(digits)}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        fields[name] = value if name not in fields else _Unusable("a second value")
    return fields


def _problems(value: Any, field: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it) for everything below a parsed value that cannot be used."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, _Unusable):
        yield field, value.problem
    elif isinstance(value, str) and (problem := text_problem(value)):
        yield field, problem
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and (problem := text_problem(key)):
                yield key, f"{problem} in a name"
            yield from _problems(item, f"{field}.{key}" if field else str(key), depth + 1)


def text_problem(text: str) -> str | None:
    """What no name or text may hold because no file can: "NUL" or "an unpaired surrogate"; None if it holds neither."""
    if "\0" in text:
        return "NUL"
    return "an unpaired surrogate" if _SURROGATE.search(text) else None


def _error(source: str | Path, problem: str, advice: str) -> UserError:
    return UserError(f"{source} {problem}" + (f": {advice}" if advice else ""))
