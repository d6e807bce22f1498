"""Downloads the real data sets of the course project from public addresses, each file checked before use."""

import csv
import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.exceptions import ChunkedEncodingError, SSLError
from tqdm import tqdm

from mtbert.data.tasks import TASKS
from mtbert.utils.errors import UserError
from mtbert.utils.logging import logger

FOLDER = Path(__file__).resolve().parents[2] / "data" / "full"
MIRROR = "MTBERT_DATA_URL"  # environment variable: base addresses to try before the public ones
RECORD = "checksums.json"  # what was downloaded without a checksum to compare with

COMMIT = "f25cd95c73a1ce3f3b88dd7a11df90f0ab488bd9"
BASES = (
    f"https://raw.githubusercontent.com/gpoesia/minbert-default-final-project/{COMMIT}/data",
    f"https://cdn.jsdelivr.net/gh/gpoesia/minbert-default-final-project@{COMMIT}/data",
)

TRIES = 3  # at each address
BACKOFF = 0.5  # seconds before the second try, doubled before each further one
TIMEOUT = (10, 30)  # seconds to connect, seconds without a byte
BLOCK = 1 << 12  # bytes; a broken connection loses the block under way, no more


@dataclass(frozen=True)
class RemoteFile:
    """One file of one task: ``addresses`` in the order to try them, all serving the same bytes.

    sha256: of the whole file, or None where nobody has published it.
    rows: the fewest data rows (without the header) that the file may hold, checked where sha256 is None.
    """

    name: str
    task: str
    addresses: tuple[str, ...]
    sha256: str | None
    rows: int | None = None


_SHA256 = {
    "ids-sst-train.csv": "03b2b625c090f94a6afd59f114cde5282e2053aab0b101e87ed695d8a0c5b1df",
    "ids-sst-dev.csv": "a186ce94577635fbe10beaaddd50f16cccf6c30973221cefdf90deed2a584bfe",
    "ids-sst-test-student.csv": "bdd5a767faa0c26782117e37767ece154c30d5d04fb8727d09c71e3850a55c7b",
    "ids-cfimdb-train.csv": "140fc513045a966109faed46a5c7a898767b96714d71bcb9c15f659129fadcea",
    "ids-cfimdb-dev.csv": "3087f571b66860fe5d035b5a018d08202ad3fd3720e4821c04b2acf6c7ded559",
    "ids-cfimdb-test-student.csv": "7ae611548c9eac879e9ebb406cc9f8ae68ff12f78090e4965af5cbdfa06240f4",
    "quora-train.csv": None,
    "quora-dev.csv": "bfa3cc954a9ba300ae776a980141de65f622a3c1b97e3fd905d63245bc36d5ad",
    "quora-test-student.csv": None,
    "sts-train.csv": "15d12efc2d656fffb1d61ac1f08ec4227f43925fd16f420c037cbd063699c21b",
    "sts-dev.csv": "ce3cad6f16062586ac7ba462c28b010a9be10c530fd5074165860d7b7ab4e93d",
    "sts-test-student.csv": "dee455745b72e9ca3ff74e7c056bd73e34bad5b8d5641045a2c1e7e131866f47",
}
# The course says 141,506 rows, but its Quora and STS numbers count the header line too (20,215 for the 20,214
# rows of quora-dev), and its loader reports 141,498 rows with a label: only a lower bound is certain.
_ROWS = {"quora-train.csv": 141_498}

FILES: tuple[RemoteFile, ...] = tuple(
    RemoteFile(name, task.name, tuple(f"{base}/{name}" for base in BASES), _SHA256[name], _ROWS.get(name))
    for task in TASKS.values()
    for name in task.files.values()
    if name in _SHA256
)


def fetch(
    folder: str | Path | None = None,
    only: Sequence[str] | None = None,
    files: tuple[RemoteFile, ...] = FILES,
    progress: bool = True,
    force: bool = False,
) -> list[Path]:
    """Downloads ``files`` into ``folder`` (default: data/full/) and returns their paths.

    only: names of the tasks to fetch; None for all. The bases in MTBERT_DATA_URL are tried first.
    A file that is there already is left alone; an interrupted download is resumed from its ``.part`` file.
    A file without a known sha256 gets the one found written into checksums.json, to be recognised by.

    Raises UserError for an unknown task, for yelp (it has no public address), for a file there that is not
    the expected one (unless ``force``), and where no address gives the file. OSError, as of a full disk,
    passes through. Whatever happens, a target is either the whole checked file or what it was before.
    """
    folder = FOLDER if folder is None else Path(folder)
    _check_tasks(only, files, folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [file for file in files if only is None or file.task in only]
    paths = [_fetch_file(file, folder, progress, force) for file in wanted]
    if only is None:
        logger.info(_about_yelp(folder))
    return paths


def _check_tasks(only: Sequence[str] | None, files: tuple[RemoteFile, ...], folder: Path) -> None:
    tasks = dict.fromkeys(file.task for file in files)
    for task in only or ():
        if task == "yelp":
            raise UserError(_about_yelp(folder))
        if task not in tasks:
            raise UserError(f"unknown task {task!r}: choose from {', '.join(tasks)}")


def _about_yelp(folder: Path) -> str:
    return (
        "yelp has no public address: the reports sampled 2,500 reviews, 500 a star, from the Yelp Open "
        "Dataset, whose terms ask each user to download it from yelp.com themselves; "
        f"the file goes to {folder / 'yelp-train.csv'}"
    )


def _fetch_file(file: RemoteFile, folder: Path, progress: bool, force: bool) -> Path:
    target = folder / file.name
    # The record only says what came last time; force asks for what the addresses give now.
    expected = file.sha256 or (None if force else _recorded(folder).get(file.name))
    if target.exists():
        fault = _fault(target, expected, file.rows)
        if fault and not force:
            raise UserError(f"{target} is another file ({fault}): move it away or pass force=True")
        if not fault and (expected or not force):
            logger.info(f"{file.name}: already there" + ("" if expected else " (no checksum known to check it by)"))
            return target

    part = target.with_name(target.name + ".part")
    _download(file, part, expected, progress)
    os.replace(part, target)
    if file.sha256:
        logger.info(f"{file.name}: downloaded, sha256 as expected")
    else:
        logger.info(f"{file.name}: downloaded, its sha256 {_record(folder, target)} is now in {folder / RECORD}")
    return target


class _Failure(Exception):
    """One try that failed. lasting: asking again would not help. unreachable: no server answered."""

    def __init__(self, reason: str, lasting: bool = False, unreachable: bool = False):
        super().__init__(reason)
        self.lasting = lasting
        self.unreachable = unreachable


def _download(file: RemoteFile, part: Path, expected: str | None, progress: bool) -> None:
    """Leaves the whole checked file at ``part``, or raises UserError."""
    mirrors = tuple(f"{base.rstrip('/')}/{file.name}" for base in os.environ.get(MIRROR, "").split())
    failures: dict[str, _Failure] = {}
    for address in mirrors + file.addresses:
        for attempt in range(TRIES):
            if attempt:
                time.sleep(BACKOFF * 2 ** (attempt - 1))
            try:
                _receive(address, part, progress)
                if fault := _fault(part, expected, file.rows):
                    part.unlink()  # nothing in it can be trusted: the next try starts from zero
                    raise _Failure(fault)
                return
            except _Failure as failure:
                failures[address] = failure
                if failure.lasting:
                    break
    raise UserError(_explain(file.name, failures))


def _explain(name: str, failures: dict[str, _Failure]) -> str:
    # Without what stands before an @, which may be a password.
    hosts = {address: urlsplit(address).netloc.rpartition("@")[2] or address for address in failures}
    if all(failure.unreachable for failure in failures.values()):
        where = " or ".join(dict.fromkeys(hosts.values()))
        return f"no network: {name} comes from {where}, which cannot be reached; connect and try again"
    reasons = "; ".join(f"{hosts[address]}: {failure}" for address, failure in failures.items())
    return f"{name} could not be downloaded ({reasons}): try again later, or set {MIRROR} to a mirror"


def _receive(address: str, part: Path, progress: bool) -> None:
    """Appends to ``part`` what it lacks of the file at ``address``; _Failure if it is not whole then."""
    have = part.stat().st_size if part.exists() else 0
    # Compressed on the way, neither Range nor Content-Length would count the bytes of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
            start, total = _extent(response, part, have)
            if response.status_code != 416:
                _write(response, part, start, total, progress)
    except ChunkedEncodingError as error:
        raise _Failure("the connection broke off") from error
    except requests.RequestException as error:
        # A refused certificate is a ConnectionError too, but then there is a network.
        unreachable = isinstance(error, requests.ConnectionError) and not isinstance(error, SSLError)
        raise _Failure(type(error).__name__, unreachable=unreachable) from error
    if total is not None and (size := part.stat().st_size) < total:
        raise _Failure(f"only {size:,} of {total:,} bytes came")


def _extent(response: requests.Response, part: Path, have: int) -> tuple[int, int | None]:
    """Where in the file the body of the response starts, and how long the whole file is (None: not said)."""
    status = response.status_code
    if status == 200:  # the whole file, also from a server that ignores Range
        length = None if "Content-Encoding" in response.headers else response.headers.get("Content-Length")
        return 0, int(length) if length else None
    if status not in (206, 416):
        raise _Failure(f"HTTP {status}", lasting=status < 500 and status not in (408, 429))
    said = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
    if said and have == int(said[1] or said[2]):  # a 416 names the length alone: have is all of it
        return have, int(said[2])
    part.unlink(missing_ok=True)
    raise _Failure(f"HTTP {status} for a range that does not fit")


def _write(response: requests.Response, part: Path, start: int, total: int | None, progress: bool) -> None:
    bar = tqdm(desc=part.stem, total=total, initial=start, unit="B", unit_scale=True, disable=not progress)
    with bar, part.open("ab" if start else "wb") as out:
        for block in response.iter_content(BLOCK):
            out.write(block)
            bar.update(len(block))


def _fault(path: Path, sha256: str | None, rows: int | None) -> str | None:
    """What tells a whole file from the expected one; None if nothing does."""
    if sha256:
        found = _sha256(path)
        return None if found == sha256 else f"expected sha256 {sha256}, found {found}"
    if rows and (count := _count_rows(path)) < rows:
        return f"expected at least {rows:,} rows, found {count:,}"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _count_rows(path: Path) -> int:
    """Rows below the header of a tab-separated file; 0 if it is no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return max(0, sum(1 for _ in csv.reader(file, delimiter="\t")) - 1)
    except (csv.Error, UnicodeDecodeError):
        return 0


def _recorded(folder: Path) -> dict[str, str]:
    record = folder / RECORD
    return json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}


def _record(folder: Path, path: Path) -> str:
    """Writes the sha256 of ``path`` into the record of ``folder`` and returns it."""
    found = _sha256(path)
    part = folder / f"{RECORD}.part"
    part.write_text(json.dumps(_recorded(folder) | {path.name: found}, indent=2) + "\n", encoding="utf-8")
    os.replace(part, folder / RECORD)
    return found
