"""fetch against a server that behaves well, badly, and not at all; nothing here leaves the machine."""

import errno
import gzip
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers import Listener

from mtbert.data import fetch as fetching
from mtbert.data.fetch import BLOCK, FILES, RemoteFile, fetch
from mtbert.data.tasks import TASKS
from mtbert.utils.errors import UserError

ROWS = 2_000
HEADER = "\tid\tsentence\tsentiment\n"
BODY = (HEADER + "".join(f"{i}\tx{i}\ta film, {i}\t{i % 5}\n" for i in range(ROWS))).encode()
OTHER = BODY.replace(b"film", b"song")
SHA256 = hashlib.sha256(BODY).hexdigest()
CUT = 3 * BLOCK  # where a connection breaks; a whole number of blocks, so that nothing that was sent is lost
NAME = "ids-sst-train.csv"


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next behaviour of the server's plan, the last one again and again."""

    server: "Server"

    def do_GET(self) -> None:
        with self.server.lock:
            seen = self.server.seen
            behave = self.server.plan[min(len(seen), len(self.server.plan) - 1)]
            seen.append((self.path, self.headers.get("Range")))
            self.server.encodings.append(self.headers.get("Accept-Encoding"))
        behave(self)

    def reply(self, status: int, body: bytes, length: int = 0, span: str = "", encoding: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        if span:
            self.send_header("Content-Range", f"bytes {span}")
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *plan: Callable[[Handler], None]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.lock = plan, threading.Lock()
        self.seen: list[tuple[str, str | None]] = []
        self.encodings: list[str | None] = []
        self.host = f"127.0.0.1:{self.server_port}"
        self.base = f"http://{self.host}"

    @property
    def ranges(self) -> list[str | None]:
        return [span for _, span in self.seen]


def good(handler: Handler, body: bytes = BODY) -> None:
    span = handler.headers.get("Range")
    if span is None:
        return handler.reply(200, body)
    start = int(span.removeprefix("bytes=").removesuffix("-"))
    if start >= len(body):
        return handler.reply(416, b"no such range", span=f"*/{len(body)}")
    handler.reply(206, body[start:], span=f"{start}-{len(body) - 1}/{len(body)}")


def corrupt(handler: Handler) -> None:
    good(handler, OTHER)


def ignores_range(handler: Handler) -> None:
    handler.reply(200, BODY)


def drops(handler: Handler) -> None:
    """Promises all of the body and closes the connection at CUT."""
    handler.reply(200, BODY[:CUT], length=len(BODY))


def drops_chunked(handler: Handler) -> None:
    """Names no length, and closes the connection before the last chunk."""
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(f"{CUT:x}\r\n".encode() + BODY[:CUT] + b"\r\n")
    handler.close_connection = True


def wrong_span(handler: Handler) -> None:
    handler.reply(206, BODY, span=f"0-{len(BODY) - 1}/{len(BODY)}")


def compresses(handler: Handler) -> None:
    handler.reply(200, gzip.compress(BODY), encoding="gzip")


def short_range(start: int, stop: int) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(206, BODY[start:stop], span=f"{start}-{stop - 1}/{len(BODY)}")


def status(code: int) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(code, b"sorry")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BACKOFF", 0)
    monkeypatch.delenv(fetching.MIRROR, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*plan: Callable[[Handler], None]) -> Server:
        server = Server(*plan)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

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


def remote(*where: Server | str, sha256: str | None = SHA256, rows: int | None = None) -> RemoteFile:
    bases = [place if isinstance(place, str) else place.base for place in where]
    return RemoteFile(NAME, "sst", tuple(f"{base}/{NAME}" for base in bases), sha256, rows)


def get(folder: Path, *files: RemoteFile, only=("sst",), **options) -> list[str]:
    """Fetches without a progress bar; what was said."""
    listener = Listener()
    try:
        paths = fetch(folder, only, files, progress=False, **options)
    finally:
        listener.close()
    assert paths == [folder / file.name for file in files]
    return listener.messages


def refused(folder: Path, *files: RemoteFile, **options) -> str:
    """The one line of the UserError that fetching ends in."""
    with pytest.raises(UserError) as caught:
        get(folder, *files, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def holds(folder: Path, *, body: bytes = BODY, names: tuple[str, ...] = (NAME,)) -> bool:
    """The target has that body, and there is nothing beside it: no .part above all."""
    return (folder / NAME).read_bytes() == body and {path.name for path in folder.iterdir()} == set(names)


def test_a_file_is_downloaded_whole_into_a_new_folder(tmp_path, serve):
    server = serve(good)
    said = get(tmp_path / "new" / "folder", remote(server))
    assert holds(tmp_path / "new" / "folder")
    assert server.seen == [(f"/{NAME}", None)]
    assert server.encodings == ["identity"]
    assert said == [f"{NAME}: downloaded, sha256 as expected"]


def test_a_progress_bar_is_drawn_unless_it_is_off(tmp_path, serve, capsys):
    fetch(tmp_path / "on", ["sst"], (remote(serve(good)),))
    assert NAME in capsys.readouterr().err
    get(tmp_path / "off", remote(serve(good)))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("break_off", [drops, drops_chunked])
def test_a_broken_download_goes_on_where_it_ended(tmp_path, serve, break_off):
    server = serve(break_off, good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == [None, f"bytes={CUT}-"]


def test_a_broken_download_goes_on_at_the_second_address(tmp_path, serve):
    first, second = serve(drops, status(404)), serve(good)
    get(tmp_path, remote(first, second))
    assert holds(tmp_path)
    assert second.ranges == [f"bytes={CUT}-"]


def test_a_later_call_goes_on_where_an_earlier_one_ended(tmp_path, serve):
    message = refused(tmp_path, remote(serve(drops, status(500))))
    assert "HTTP 500" in message
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.part"]
    server = serve(good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == [f"bytes={CUT}-"]


def test_a_body_that_is_always_cut_short_leaves_no_target(tmp_path, serve):
    server = serve(drops)
    message = refused(tmp_path, remote(server))
    assert f"{server.host}: the connection broke off" in message
    assert not (tmp_path / NAME).exists()


def test_a_range_shorter_than_asked_for_is_gone_on_from(tmp_path, serve):
    (tmp_path / f"{NAME}.part").write_bytes(BODY[:10])
    server = serve(short_range(10, 20), short_range(20, 30), good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == ["bytes=10-", "bytes=20-", "bytes=30-"]


def test_ranges_that_never_reach_the_end_say_how_much_came(tmp_path, serve):
    (tmp_path / f"{NAME}.part").write_bytes(BODY[:10])
    message = refused(tmp_path, remote(serve(short_range(10, 20), short_range(20, 30), short_range(30, 40))))
    assert f"only 40 of {len(BODY):,} bytes came" in message
    assert not (tmp_path / NAME).exists()


def test_a_body_compressed_unasked_is_not_measured_by_its_compressed_length(tmp_path, serve):
    get(tmp_path, remote(serve(compresses)))
    assert holds(tmp_path)


def test_a_server_that_ignores_the_range_gives_the_file_anew(tmp_path, serve):
    server = serve(drops, ignores_range)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == [None, f"bytes={CUT}-"]


def test_a_range_that_does_not_fit_is_not_appended(tmp_path, serve):
    server = serve(drops, wrong_span, good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == [None, f"bytes={CUT}-", None]


def test_a_part_that_is_whole_already_is_checked_and_used(tmp_path, serve):
    (tmp_path / f"{NAME}.part").write_bytes(BODY)
    server = serve(good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == [f"bytes={len(BODY)}-"]


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path, serve):
    (tmp_path / f"{NAME}.part").write_bytes(BODY + b"more")
    server = serve(good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == [f"bytes={len(BODY) + 4}-", None]


def test_a_corrupt_body_is_asked_for_again_from_zero(tmp_path, serve):
    server = serve(corrupt, good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == [None, None]


def test_a_stale_part_costs_one_try_and_no_more(tmp_path, serve):
    (tmp_path / f"{NAME}.part").write_bytes(OTHER[:CUT])
    server = serve(good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert server.ranges == [f"bytes={CUT}-", None]


def test_an_address_that_is_always_corrupt_is_left_for_the_next(tmp_path, serve):
    first, second = serve(corrupt), serve(good)
    get(tmp_path, remote(first, second))
    assert holds(tmp_path)
    assert first.ranges == [None] * fetching.TRIES
    assert second.ranges == [None]


def test_corrupt_everywhere_names_the_file_and_both_checksums(tmp_path, serve):
    message = refused(tmp_path, remote(serve(corrupt), serve(corrupt)))
    assert NAME in message
    assert f"expected sha256 {SHA256}" in message
    assert f"found {hashlib.sha256(OTHER).hexdigest()}" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [403, 404])
def test_an_address_without_the_file_is_asked_once(tmp_path, serve, code):
    first, second = serve(status(code)), serve(good)
    get(tmp_path, remote(first, second))
    assert holds(tmp_path)
    assert len(first.seen) == len(second.seen) == 1


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(tmp_path, serve, code):
    server = serve(status(code), status(code), good)
    get(tmp_path, remote(server))
    assert holds(tmp_path)
    assert len(server.seen) == 3


def test_failure_everywhere_says_what_each_host_answered(tmp_path, serve, closed):
    server = serve(status(404))
    message = refused(tmp_path, remote(server, closed))
    assert f"{server.host}: HTTP 404" in message
    assert closed.removeprefix("http://") in message
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_line_that_names_the_hosts(tmp_path, closed):
    private = closed.replace("127.0.0.1", "me:secret@localhost")
    message = refused(tmp_path, remote(closed, private))
    assert message.startswith(f"no network: {NAME}")
    assert closed.removeprefix("http://") in message and "localhost" in message
    assert "secret" not in message
    assert list(tmp_path.iterdir()) == []


def test_the_waits_between_tries_double(tmp_path, closed, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(fetching, "BACKOFF", 0.5)
    monkeypatch.setattr(fetching.time, "sleep", waits.append)
    refused(tmp_path, remote(closed))
    assert waits == [0.5, 1.0]


def test_the_expected_file_is_left_alone(tmp_path, serve):
    server = serve(good)
    (tmp_path / NAME).write_bytes(BODY)
    assert get(tmp_path, remote(server)) == [f"{NAME}: already there"]
    assert get(tmp_path, remote(server), force=True) == [f"{NAME}: already there"]
    assert server.seen == []


def test_another_file_is_never_overwritten_unless_forced(tmp_path, serve):
    server = serve(good)
    (tmp_path / NAME).write_bytes(OTHER)
    message = refused(tmp_path, remote(server))
    assert str(tmp_path / NAME) in message and "move it away" in message and "force=True" in message
    assert holds(tmp_path, body=OTHER) and server.seen == []
    get(tmp_path, remote(server), force=True)
    assert holds(tmp_path)


def test_a_forced_download_that_fails_leaves_the_file_as_it_was(tmp_path, serve):
    (tmp_path / NAME).write_bytes(OTHER)
    refused(tmp_path, remote(serve(status(404))), force=True)
    assert holds(tmp_path, body=OTHER)


def test_a_full_disk_passes_through_and_leaves_no_target(tmp_path, serve, monkeypatch):
    def full(*args) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        get(tmp_path, remote(serve(good)))
    assert not (tmp_path / NAME).exists()


def test_a_file_without_a_checksum_is_recorded_and_recognised(tmp_path, serve):
    server = serve(good)
    (said,) = get(tmp_path, remote(server, sha256=None, rows=ROWS))
    assert SHA256 in said and "checksums.json" in said
    assert holds(tmp_path, names=(NAME, "checksums.json"))
    assert json.loads((tmp_path / "checksums.json").read_text()) == {NAME: SHA256}

    assert get(tmp_path, remote(server, sha256=None, rows=ROWS)) == [f"{NAME}: already there"]
    assert len(server.seen) == 1

    (tmp_path / NAME).write_bytes(OTHER)
    assert SHA256 in refused(tmp_path, remote(server, sha256=None, rows=ROWS))


def test_force_takes_what_the_address_gives_now_over_the_record(tmp_path, serve):
    get(tmp_path, remote(serve(good), sha256=None))
    get(tmp_path, remote(serve(corrupt), sha256=None), force=True)
    assert holds(tmp_path, body=OTHER, names=(NAME, "checksums.json"))
    assert json.loads((tmp_path / "checksums.json").read_text()) == {NAME: hashlib.sha256(OTHER).hexdigest()}


def test_the_record_keeps_the_other_files(tmp_path, serve):
    (tmp_path / "checksums.json").write_text('{"other.csv": "abc"}')
    get(tmp_path, remote(serve(good), sha256=None))
    assert json.loads((tmp_path / "checksums.json").read_text()) == {"other.csv": "abc", NAME: SHA256}


def test_a_file_that_nobody_recorded_is_left_alone_and_not_vouched_for(tmp_path, serve):
    server = serve(good)
    (tmp_path / NAME).write_bytes(BODY)
    (said,) = get(tmp_path, remote(server, sha256=None))
    assert "already there" in said and "no checksum" in said
    assert holds(tmp_path) and server.seen == []


@pytest.mark.parametrize("body", [BODY[:CUT], b"<html></html>", b"\xff\xfe\x00", b'\t"' + b"x" * 200_000])
def test_a_body_with_too_few_rows_is_refused(tmp_path, serve, body):
    message = refused(tmp_path, remote(serve(lambda handler: good(handler, body)), sha256=None, rows=ROWS))
    assert "expected at least 2,000 rows, found" in message
    assert list(tmp_path.iterdir()) == []


def test_mirrors_come_first_and_the_public_addresses_after_them(tmp_path, serve, closed, monkeypatch):
    mirror, public = serve(status(404)), serve(good)
    monkeypatch.setenv("MTBERT_DATA_URL", f"{closed} {mirror.base}/some/folder/\n no-address")
    get(tmp_path, remote(public))
    assert holds(tmp_path)
    assert mirror.seen == [(f"/some/folder/{NAME}", None)]
    assert len(public.seen) == 1


def test_only_the_tasks_asked_for_are_fetched(tmp_path, serve):
    server = serve(good)
    sts = RemoteFile("sts-dev.csv", "sts", (f"{server.base}/sts-dev.csv",), SHA256, None)
    paths = fetch(tmp_path, ["sts"], (remote(server), sts), progress=False)
    assert paths == [tmp_path / "sts-dev.csv"]
    assert server.seen == [("/sts-dev.csv", None)]


def test_an_unknown_task_is_refused_with_the_choices_before_anything_happens(tmp_path):
    message = refused(tmp_path / "new", *FILES, only=["sst", "squad"])
    assert message == "unknown task 'squad': choose from sst, cfimdb, quora, sts"
    assert not (tmp_path / "new").exists()


def test_yelp_is_refused_with_where_to_get_it_and_where_to_put_it(tmp_path):
    message = refused(tmp_path, *FILES, only=["yelp"])
    assert "2,500 reviews, 500 a star" in message and "yelp.com" in message
    assert str(tmp_path / "yelp-train.csv") in message


def test_fetching_everything_says_one_line_about_yelp(tmp_path, serve):
    said = get(tmp_path, remote(serve(good)), only=None)
    assert [line for line in said if "yelp.com" in line] == said[-1:]


def test_the_files_are_those_of_the_tasks_at_two_addresses_of_one_commit():
    assert [file.name for file in FILES] == [
        name for task in TASKS.values() if task.name != "yelp" for name in task.files.values()
    ]
    unknown = [file.name for file in FILES if file.sha256 is None]
    assert unknown == ["quora-train.csv", "quora-test-student.csv"]
    for file in FILES:
        first, second = file.addresses
        assert first.startswith("https://raw.githubusercontent.com/") and f"/{fetching.COMMIT}/data/" in first
        assert second.startswith("https://cdn.jsdelivr.net/gh/") and f"@{fetching.COMMIT}/data/" in second
        assert first.endswith(f"/{file.name}") and second.endswith(f"/{file.name}")


def test_the_default_folder_is_the_ignored_one_of_the_repository():
    assert Path(__file__).resolve().parents[2] / "data" / "full" == fetching.FOLDER
