"""Moving from sse-starlette is one import: an app of its users under a real server, with either."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..needs import need_module
from .client import EVENTS, WATCHDOG, Visit, wait_until
from .conftest import Farm
from .serving import Server, python
from .sites import APPS

need_module("sse_starlette")

THEIRS = "from sse_starlette import EventSourceResponse, JSONServerSentEvent, ServerSentEvent\n"
OURS = THEIRS.replace("sse_starlette", "tokenstream_starlette")

KINDS = pytest.mark.parametrize("kind", ["sync", "async"])
BOTH = pytest.mark.parametrize("owner", ["theirs", "ours"])


def source_of(owner: str) -> str:
    text = (APPS / "moved_app.py").read_text(encoding="utf-8")
    assert text.count(THEIRS) == 1
    return text if owner == "theirs" else text.replace(THEIRS, OURS)


def options_of(owner: str) -> dict[str, dict[str, str]]:
    # What one of the two defines is not shadowed by the app's own folder.
    return {"files": {f"{owner}.py": source_of(owner)}, "env": {"PYTHONPATH": str(APPS)}}


def command_of(owner: str, http: str = "httptools") -> tuple[str, ...]:
    options = ["--port", "{port}", "--http", http, "--no-access-log", "--app-dir", "."]
    return python("-m", "uvicorn", f"{owner}:app", *options)


def visit_to(owner: str, farm: Farm, http: httpx.Client, parser: str = "httptools") -> Visit:
    name = f"moved-{owner}-{parser}"
    server = farm.start(name, command_of(owner, parser), **options_of(owner))
    farm.outputs()
    return Visit(http, server.url, server.control)


@pytest.fixture
def theirs(farm: Farm, http: httpx.Client) -> Visit:
    return visit_to("theirs", farm, http)


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ours(farm: Farm, http: httpx.Client, parser: str) -> Visit:
    return visit_to("ours", farm, http, parser)


@pytest.mark.parametrize("path", ["/every-item", "/channel", "/sync"])
def test_the_bytes_are_the_same(ours: Visit, theirs: Visit, path: str) -> None:
    mine, expected = ours.send("GET", path), theirs.send("GET", path)
    assert mine.content == expected.content
    assert expected.content.count(b"data: ") >= 5
    names = ["content-type", "x-accel-buffering", "x-own"]
    for name in names:
        assert mine.headers.get(name) == expected.headers.get(name), name
    assert mine.status_code == expected.status_code == 200


def read_in_lock_step(visit: Visit, kind: str) -> None:
    seen = []
    with visit.reading(f"/scripted/{kind}/five", "GET", headers=EVENTS) as reader:
        for event in reader:
            seen.append(event.data)
            assert visit.state()["yielded"] == len(seen)
            visit.release()
    assert seen == ["t0", "t1", "t2", "t3", "t4"]
    wait_until(lambda: visit.state()["closed"] == 1, "the source was closed")


@KINDS
def test_each_event_is_read_before_the_next_is_made(ours: Visit, kind: str) -> None:
    read_in_lock_step(ours, kind)


def test_as_it_was(theirs: Visit) -> None:
    read_in_lock_step(theirs, "async")


@pytest.mark.parametrize("path", ["/scripted/async/endless", "/watching"])
def test_a_reader_that_leaves_a_silent_source(ours: Visit, path: str) -> None:
    with ours.reading(path, "GET") as reader:
        for _ in reader:
            break
    wait_until(lambda: ours.state()["closed"] == 1, "the silent source was closed")
    assert ours.state()["yielded"] == 1


@KINDS
def test_the_app_is_told_that_the_reader_left(ours: Visit, kind: str) -> None:
    with ours.reading(f"/scripted/{kind}/endless", "GET") as reader:
        for _ in reader:
            break
    wait_until(lambda: ours.state()["called"] == 101, "the handler was called")
    ours.release()
    wait_until(lambda: ours.state()["closed"] == 1, "the source was closed")


def test_head_starts_nothing(ours: Visit) -> None:
    # FastAPI's GET routes answer HEAD with 405, so the app is asked as Starlette asks it.
    assert ours.send("HEAD", "/scripted/async/five").status_code == 405
    assert ours.state()["started"] == 0


def test_pings_are_the_apps_own(ours: Visit) -> None:
    with ours.reading("/pinged", "GET") as reader:
        events = iter(reader)
        assert [next(events).event for _ in range(3)] == [None, "ping", "ping"]


@pytest.mark.parametrize("script", ["fails-before", "fails-after"])
@KINDS
def test_a_failure_is_an_error_event_and_no_cut(
    ours: Visit, farm: Farm, parser: str, kind: str, script: str
) -> None:
    response = ours.send("GET", f"/scripted/{kind}/{script}")
    # A thread may have failed before the head is sent, which is not waited for.
    if (kind, script) != ("sync", "fails-before") or response.status_code != 500:
        assert response.status_code == 200
        assert response.content.endswith(b"event: error\r\ndata: generation failed\r\n\r\n")
    assert b"secret" not in response.content
    printed = []

    def is_logged() -> bool:
        printed.append(farm.outputs()[f"moved-ours-{parser}"])
        return "LookupError: secret" in "".join(printed)

    wait_until(is_logged, "the failure was logged")
    assert "".join(printed).count("LookupError: secret") == 1


def test_theirs_cuts_the_connection(theirs: Visit) -> None:
    # What the page says of it.
    with pytest.raises(httpx.RemoteProtocolError):
        theirs.send("GET", "/scripted/async/fails-after")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(command_of("ours"), tmp_path, **options_of("ours"))
    yield server
    server.stop()


@pytest.mark.parametrize(
    "path, last",
    [
        ("/ending", b"event: shutdown\r\ndata: bye\r\n\r\n"),
        ("/not-ending", b"event: error\r\ndata: the server is shutting down\r\n\r\n"),
    ],
)
def test_the_server_ends_while_streams_are_open(server: Server, path: str, last: bytes) -> None:
    with httpx.stream("GET", server.url + path, timeout=WATCHDOG, trust_env=False) as response:
        chunks = response.iter_raw()
        first = next(chunks)
        os.kill(int(first.removeprefix(b"data: ")), signal.SIGTERM)
        assert b"".join(chunks) == last
    printed: list[str] = []

    def has_ended() -> bool:
        printed.append(server.output())
        return "Finished server process" in "".join(printed)

    wait_until(has_ended, "the server ended")
    assert "Traceback" not in "".join(printed)
