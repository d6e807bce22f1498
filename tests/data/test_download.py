"""Downloads from a server that behaves well, badly, and not at all; nothing here leaves the machine."""

import contextlib
import errno
import gzip
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mtbert.data import download
from mtbert.data.download import BLOCK, FILES, TRIES, RemoteFile, download_data
from mtbert.data.tasks import TASKS
from mtbert.utils import paths
from mtbert.utils.errors import UserError

ROWS = 2_000
HEADER = "\tid\tsentence\tsentiment\n"
BODY = (HEADER + "".join(f"{i}\tx{i}\ta film, {i}\t{i % 5}\n" for i in range(ROWS))).encode()
OTHER = BODY.replace(b"film", b"song")
SHA256, OTHER_SHA256 = (hashlib.sha256(body).hexdigest() for body in (BODY, OTHER))
CUT = 3 * BLOCK  # where a connection breaks; a whole number of blocks, so that nothing that was sent is lost
NAME = "ids-sst-train.csv"


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next behavior of the server's plan, the last one again and again."""

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        assert self.headers.get("Accept-Encoding") == "identity"
        server.plan[min(len(server.requests), len(server.plan)) - 1](self)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *plan: Callable[[Handler], None]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.requests = plan, []
        self.host = f"127.0.0.1:{self.server_port}"
        self.base = f"http://{self.host}"

    @property
    def ranges(self) -> list[str | None]:
        return [span for _, span in self.requests]


def reply(status: int, body: bytes = b"sorry", **headers: str) -> Callable[[Handler], None]:
    """The behavior of one fixed answer, with headers such as ``Content_Range``."""

    def behave(handler):
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def span(start: int, stop: int, body: bytes = BODY) -> Callable[[Handler], None]:
    return reply(206, body[start:stop], Content_Range=f"bytes {start}-{stop - 1}/{len(body)}")


def good(handler: Handler, body: bytes = BODY):
    requested = handler.headers.get("Range")
    start = int(requested.removeprefix("bytes=").removesuffix("-")) if requested else 0
    if start >= len(body):
        reply(416, Content_Range=f"bytes */{len(body)}")(handler)
    else:
        (span(start, len(body), body) if requested else reply(200, body))(handler)


def corrupt(handler: Handler):
    good(handler, OTHER)


def drops_chunked(handler: Handler):
    """Gives no length, and closes the connection before the last chunk."""
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(f"{CUT:x}\r\n".encode() + BODY[:CUT] + b"\r\n")
    handler.close_connection = True


drops = reply(200, BODY[:CUT], Content_Length=str(len(BODY)))  # announces all and closes the connection at CUT
compresses = reply(200, gzip.compress(BODY), Content_Encoding="gzip")


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setattr(download, "BACKOFF", 0)
    monkeypatch.delenv(download.MIRROR, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def serve():
    """Starts a server with a plan of behaviors."""
    servers: list[Server] = []

    def start(*plan: Callable[[Handler], None]) -> Server:
        servers.append(Server(*plan))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed() -> str:
    """A base address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def remote(*servers: Server | str, sha256: str | None = SHA256, min_rows: int | None = None) -> RemoteFile:
    bases = [server if isinstance(server, str) else server.base for server in servers]
    return RemoteFile(NAME, "sst", tuple(f"{base}/{NAME}" for base in bases), sha256, min_rows)


def get(folder: Path, *files: RemoteFile, only=("sst",), **options):
    assert download_data(folder, only, files, progress=False, **options) == [folder / file.name for file in files]


def refused(folder: Path, *files: RemoteFile, **options) -> str:
    """The one line of the UserError that the download ends in."""
    with pytest.raises(UserError) as caught:
        get(folder, *files, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def holds(folder: Path, *, body: bytes = BODY, names: tuple[str, ...] = (NAME,)) -> bool:
    """Whether the target has that body and there is nothing beside it, above all no .part file."""
    return (folder / NAME).read_bytes() == body and {path.name for path in folder.iterdir()} == set(names)


SIZE = len(BODY)
RESUMED = f"bytes={CUT}-"


@pytest.mark.parametrize(
    ("part", "plan", "ranges"),
    [
        (b"", [good], [None]),
        (b"", [compresses], [None]),  # its length is not measured by that of the compressed body
        (b"", [drops, good], [None, RESUMED]),
        (b"", [drops_chunked, good], [None, RESUMED]),
        (b"", [drops, reply(200, BODY)], [None, RESUMED]),
        (b"", [drops, span(0, SIZE), good], [None, RESUMED, None]),  # a wrong range is not appended
        (BODY[:10], [span(10, 20), span(20, 30), good], ["bytes=10-", "bytes=20-", "bytes=30-"]),
        (BODY, [good], [f"bytes={SIZE}-"]),  # complete already: checked and used
        (BODY + b"more", [good], [f"bytes={SIZE + 4}-", None]),
        (OTHER[:CUT], [good], [RESUMED, None]),  # a stale part costs one try
        (b"", [corrupt, good], [None, None]),  # nothing of a corrupt body is used
        (b"", [reply(429), reply(500), good], [None, None, None]),
        (b"", [reply(503), good], [None, None]),
    ],
)
def test_a_download_ends_with_the_whole_file(tmp_path, serve, messages, part, plan, ranges):
    server = serve(*plan)
    if part:
        (tmp_path / f"{NAME}.part").write_bytes(part)
    get(tmp_path, remote(server))
    assert holds(tmp_path) and server.requests == [(f"/{NAME}", span) for span in ranges]
    assert len(messages) == 1 and messages[0].startswith(f"{NAME}: downloaded")


@pytest.mark.parametrize(
    ("plan", "message", "part"),
    [
        ([drops], "the connection was lost", BODY[:CUT]),
        ([drops, reply(500)], "HTTP 500", BODY[:CUT]),
        ([span(0, 10), span(10, 20), span(20, 30)], f"only 30 of {SIZE:,} bytes", BODY[:30]),
        ([corrupt], f"expected sha256 {SHA256}, found {OTHER_SHA256}", None),
        ([reply(404)], "HTTP 404", None),
        ([reply(416, Content_Range="bytes */0")], "HTTP 416", None),
    ],
)
def test_a_failed_download_leaves_no_target_and_is_resumed_by_the_next_call(tmp_path, serve, plan, message, part):
    server = serve(*plan)
    error = refused(tmp_path, remote(server))
    assert NAME in error and f"{server.host}: {message}" in error and not (tmp_path / NAME).exists()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == ({f"{NAME}.part": part} if part else {})
    server = serve(good)
    get(tmp_path, remote(server))
    assert holds(tmp_path) and server.ranges == [f"bytes={len(part)}-" if part else None]


def test_a_full_disk_passes_through_and_leaves_no_target(tmp_path, serve, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        get(tmp_path, remote(serve(good)))
    assert not (tmp_path / NAME).exists()


def test_a_progress_bar_is_drawn_unless_it_is_off(tmp_path, serve, capsys):
    download_data(tmp_path / "new" / "folder", ["sst"], (remote(serve(good)),))
    assert NAME in capsys.readouterr().err
    get(tmp_path / "off", remote(serve(good)))
    assert capsys.readouterr().err == ""


def test_the_waits_between_tries_double(tmp_path, closed, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(download, "BACKOFF", 0.5)
    monkeypatch.setattr(download.time, "sleep", waits.append)
    refused(tmp_path, remote(closed))
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize(
    ("plan", "tries", "ranges"),
    [
        ([drops, reply(404)], 2, [RESUMED]),  # resumes at the second address
        ([corrupt], TRIES, [None]),
        ([reply(403)], 1, [None]),  # an address without the file is tried once
        ([reply(404)], 1, [None]),
    ],
)
def test_the_next_address_is_tried_after_a_failure(tmp_path, serve, plan, tries, ranges):
    first, second = serve(*plan), serve(good)
    get(tmp_path, remote(first, second))
    assert holds(tmp_path) and len(first.requests) == tries and second.ranges == ranges


def test_failure_everywhere_names_every_host(tmp_path, serve, closed):
    server = serve(reply(404))
    message = refused(tmp_path, remote(server, closed))
    assert f"{server.host}: HTTP 404" in message and closed.removeprefix("http://") in message
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_line_that_names_the_hosts_but_no_password(tmp_path, closed):
    message = refused(tmp_path, remote(closed, closed.replace("127.0.0.1", "me:secret@localhost")))
    assert message.startswith(f"no network: {NAME}")
    assert closed.removeprefix("http://") in message and "localhost" in message and "secret" not in message


def test_mirrors_are_tried_before_the_public_addresses(tmp_path, serve, closed, monkeypatch):
    mirror, public = serve(reply(404)), serve(good)
    monkeypatch.setenv("MTBERT_DATA_URL", f"{closed} {mirror.base}/some/folder/\n no-address")
    get(tmp_path, remote(public))
    assert holds(tmp_path) and len(public.requests) == 1
    assert mirror.requests == [(f"/some/folder/{NAME}", None)]


def test_the_expected_file_is_left_alone_and_another_one_is_overwritten_only_if_forced(tmp_path, serve):
    server = serve(good)
    (tmp_path / NAME).write_bytes(BODY)
    for force in (False, True):
        get(tmp_path, remote(server), force=force)
    (tmp_path / NAME).write_bytes(OTHER)
    message = refused(tmp_path, remote(server))
    assert str(tmp_path / NAME) in message and "force=True" in message
    assert holds(tmp_path, body=OTHER) and server.requests == []
    refused(tmp_path, remote(serve(reply(404))), force=True)
    assert holds(tmp_path, body=OTHER)
    get(tmp_path, remote(server), force=True)
    assert holds(tmp_path)


def test_a_file_without_a_checksum_is_recorded_and_recognized(tmp_path, serve, messages):
    server, record = serve(good), tmp_path / "checksums.json"
    other = {"other.csv": OTHER_SHA256}
    record.write_text(json.dumps(other))
    file = remote(server, sha256=None, min_rows=ROWS)
    get(tmp_path, file)
    assert holds(tmp_path, names=(NAME, record.name)) and SHA256 in messages[0]
    assert json.loads(record.read_text()) == other | {NAME: SHA256}
    get(tmp_path, file)
    assert len(server.requests) == 1
    (tmp_path / NAME).write_bytes(OTHER)
    assert SHA256 in refused(tmp_path, file)
    get(tmp_path, remote(serve(corrupt), sha256=None), force=True)  # what the address serves now wins over the record
    assert json.loads(record.read_text())[NAME] == OTHER_SHA256 and (tmp_path / NAME).read_bytes() == OTHER


def test_a_file_without_any_known_checksum_is_left_alone_with_a_note(tmp_path, serve, messages):
    server = serve(good)
    (tmp_path / NAME).write_bytes(BODY)
    get(tmp_path, remote(server, sha256=None))
    assert "no checksum" in messages[0] and holds(tmp_path) and server.requests == []


PAGE = b"<!DOCTYPE html><html><body>Please sign in</body></html>"


@pytest.mark.parametrize("min_rows", [None, ROWS])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        PAGE,
        b"{}",
        b"id\tsentence\n1\tFine\n",
        BODY[:-4],
        b"\xff\xfe\x00",
        b'\t"' + b"x" * 200_000,
        gzip.compress(BODY),
    ],
    ids=["empty", "page", "JSON", "unlabeled", "cut", "utf-16", "one field", "gzip"],
)
def test_a_body_that_is_no_data_of_the_task_is_refused_even_without_a_checksum(tmp_path, serve, body, min_rows):
    message = refused(tmp_path, remote(serve(reply(200, body)), sha256=None, min_rows=min_rows))
    assert "no data of sst" in message and len(message) < 1000
    assert list(tmp_path.iterdir()) == []
    (tmp_path / NAME).write_bytes(body)  # nor is it taken for the file
    assert str(tmp_path / NAME) in refused(tmp_path, remote(serve(good), sha256=None, min_rows=min_rows))


def test_a_body_with_too_few_rows_is_refused(tmp_path, serve):
    body = BODY[: BODY.index(b"\n1000\t") + 1]
    file = remote(serve(lambda handler: good(handler, body)), sha256=None, min_rows=ROWS)
    assert "expected at least 2,000 rows, found 1,000" in refused(tmp_path, file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", ["many", "-5", "1_0", "9" * 5000, "٣", ""])
def test_a_bad_content_length_is_a_failed_try(tmp_path, serve, length):
    server = serve(reply(200, BODY, Content_Length=length.encode().decode("latin-1")), good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)


@pytest.mark.parametrize("span", ["bytes 0-9/many", "bytes 0-9/" + "9" * 5000, "items 0-9/10"])
def test_a_bad_content_range_is_a_failed_try(tmp_path, serve, span):
    (tmp_path / f"{NAME}.part").write_bytes(BODY[:10])
    get(tmp_path, remote(serve(reply(206, BODY, Content_Range=span), good)))
    assert holds(tmp_path)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end_is_cut_off(tmp_path, serve, monkeypatch, chunked):
    def endless(handler):
        handler.send_response(200)
        if not chunked:
            handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(BODY)

    monkeypatch.setattr(download, "MAX_BYTES", 2 * len(BODY))
    server = serve(endless)
    message = refused(tmp_path, remote(server))
    assert f"{server.host}: " in message and f"{2 * len(BODY):,}" in message and len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_a_byte_now_and_then_is_left_and_resumed(tmp_path, serve, monkeypatch):
    def drips(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        with contextlib.suppress(OSError):
            for byte in BODY:
                handler.wfile.write(bytes([byte]))
                time.sleep(0.01)

    monkeypatch.setattr(download, "MAX_SECONDS", 0.1)
    server = serve(drips, good)
    get(tmp_path, remote(server))
    assert holds(tmp_path) and int(server.ranges[1].removeprefix("bytes=").removesuffix("-")) < 1000


def test_a_part_that_is_a_link_is_not_followed(tmp_path, serve):
    folder, precious = tmp_path / "data", tmp_path / "precious.txt"
    folder.mkdir()
    precious.write_text("precious")
    (folder / f"{NAME}.part").symlink_to(precious)
    get(folder, remote(serve(good)))
    assert precious.read_text() == "precious" and holds(folder) and not (folder / NAME).is_symlink()


@pytest.mark.parametrize(
    "location", ["http://localhost:{port}/{name}", "http://127.0.0.1:1/{name}", "//example.invalid/{name}"]
)
def test_a_redirect_to_another_host_is_refused(tmp_path, serve, location):
    other = serve(good)
    server = serve(reply(302, Location=location.format(port=other.server_port, name=NAME)))
    message = refused(tmp_path, remote(server))
    assert f"{server.host}: redirects to another host" in message
    assert other.requests == [] and len(server.requests) == 1


def test_a_redirect_on_the_same_host_is_followed_but_not_in_a_circle(tmp_path, serve):
    server = serve(reply(301, Location="/elsewhere/file.csv"), good)
    get(tmp_path, remote(server))
    assert holds(tmp_path) and [path for path, _ in server.requests] == [f"/{NAME}", "/elsewhere/file.csv"]
    circle = serve(reply(302, Location=f"/{NAME}"))
    assert "redirects" in refused(tmp_path / "new", remote(circle)) and len(circle.requests) < 10


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"ids-sst-train.csv": 3}', '{"ids-sst-train.csv": "x"}', "[" * 10**5]
)
def test_a_damaged_record_of_checksums_is_named(tmp_path, serve, content):
    (tmp_path / "checksums.json").write_text(content)
    message = refused(tmp_path, remote(serve(good), sha256=None))
    assert "checksums.json" in message and "delete it" in message
    assert (tmp_path / "checksums.json").read_text() == content and not (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    "mirror", ["http://[::1", "http://127.0.0.1:99999", "ftp://127.0.0.1", "http://a\udcff", "x" * 10**5]
)
def test_a_mirror_that_is_no_address_is_passed_over(tmp_path, serve, monkeypatch, mirror):
    monkeypatch.setenv("MTBERT_DATA_URL", mirror)
    get(tmp_path / "data", remote(serve(good)))
    assert holds(tmp_path / "data")
    message = refused(tmp_path / "new", remote(serve(reply(404))))
    assert "HTTP 404" in message and len(message) < 1000


def test_only_the_tasks_asked_for_are_fetched_and_all_come_with_a_line_about_yelp(tmp_path, serve, messages):
    server = serve(good)
    sts = RemoteFile("sts-dev.csv", "sts", (f"{server.base}/sts-dev.csv",), SHA256)
    assert download_data(tmp_path, ["sts"], (remote(server), sts), progress=False) == [tmp_path / "sts-dev.csv"]
    assert server.requests == [("/sts-dev.csv", None)]
    get(tmp_path, remote(server), sts, only=None)
    assert [line for line in messages if "yelp.com" in line] == messages[-1:]


def test_an_unknown_task_and_yelp_are_refused_before_anything_happens(tmp_path):
    folder = tmp_path / "new"
    assert "'squad': choose from sst, cfimdb, quora, sts" in refused(folder, *FILES, only=["sst", "squad"])
    message = refused(folder, *FILES, only=["yelp"])
    assert "2,500 reviews" in message and "yelp.com" in message and str(folder / "yelp-train.csv") in message
    assert not folder.exists()


def test_the_files_are_those_of_the_tasks_at_two_addresses_of_one_commit():
    names = [name for task in TASKS.values() if task.name != "yelp" for name in task.files.values()]
    assert [file.name for file in FILES] == names
    assert [f.name for f in FILES if f.sha256 is None] == ["quora-train.csv", "quora-test-student.csv"]
    for file in FILES:
        first, second = file.addresses
        assert first.startswith("https://raw.githubusercontent.com/") and second.startswith("https://cdn.jsdelivr.net/")
        assert f"/{download.COMMIT}/data/{file.name}" in first and f"@{download.COMMIT}/data/{file.name}" in second
    assert Path(__file__).resolve().parents[2] / "data" / "full" == paths.FULL
