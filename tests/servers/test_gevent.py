"""gevent: threads are greenlets there, and a loop needs a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from .client import Visit, wait_until
from .raw import Connection, request
from .sites import ALL, GEVENT, PRELOADED, Site

CROWD = 100

WORKERS = [site for site in ALL if site.server == "gunicorn-gevent"]

workers = pytest.mark.parametrize("site", WORKERS, ids=str)
others = pytest.mark.parametrize("site", GEVENT, ids=str)
preloaded = pytest.mark.parametrize("site", PRELOADED, ids=str)
kinds = pytest.mark.parametrize("kind", ["sync", "async"])


def read_in_lock_step(visit: Visit, path: str, count: int) -> None:
    """Open so many streams; each gets a token when all have read the one before."""
    with ExitStack() as stack:
        readers = [stack.enter_context(visit.reading(path)) for _ in range(count)]
        streams: list[Iterator[str]] = [(event.data for event in reader) for reader in readers]
        for number in range(5):
            assert {next(stream) for stream in streams} == {f'{{"token":"t{number}"}}'}
            assert visit.state()["yielded"] == count * (number + 1)
            visit.release()
        assert {next(stream) for stream in streams} == {"[DONE]"}
    wait_until(lambda: visit.state()["closed"] == count, "all were closed")


@workers
@kinds
@pytest.mark.parametrize("style", ["returning", "coroutine"])
def test_a_hundred_at_once_in_lock_step(visit: Visit, style: str, kind: str) -> None:
    read_in_lock_step(visit, f"/{style}/{kind}/five", CROWD)


@workers
@kinds
@pytest.mark.parametrize("style", ["yielding", "coroutine"])
def test_a_hundred_wait_for_their_first_token_at_once(visit: Visit, style: str, kind: str) -> None:
    # So a hundred views are at work at once, async ones too.
    def read() -> str:
        with visit.reading(f"/{style}/{kind}/late") as reader:
            return reader.read().text

    visit.send("POST", "/echo/sync").raise_for_status()  # the app is loaded, and tells of its runs
    with ThreadPoolExecutor(CROWD) as pool:
        reading = [pool.submit(read) for _ in range(CROWD)]
        wait_until(lambda: visit.state()["started"] == CROWD, "all were started")
        visit.release()
        assert {future.result() for future in reading} == {"t0"}


@workers
@kinds
def test_a_body_that_comes_when_the_view_asks_for_it(visit: Visit, kind: str) -> None:
    with Connection(visit.url) as connection:
        connection.send(request("POST", visit.target(f"/echo/{kind}"), {"Content-Length": "3"}))
        # Its one worker answers this when it waits for that body.
        visit.send("POST", "/echo/sync").raise_for_status()
        connection.send(b"one")
        assert connection.head().status_code == 200
        assert [event.data for event in connection.events()] == ['{"token":"one"}', "[DONE]"]


@others
@kinds
@pytest.mark.parametrize("style", ["returning", "coroutine"])
def test_other_servers_of_gevents(visit: Visit, style: str, kind: str) -> None:
    read_in_lock_step(visit, f"/{style}/{kind}/five", 10)


@others
def test_a_reader_of_theirs_that_leaves(visit: Visit, site: Site) -> None:
    style = "returning" if site.sees_leaving else "kept"
    with visit.reading(f"/{style}/async/endless") as reader:
        next(iter(reader))
    wait_until(lambda: bool(visit.state()["closed"]), "the silent source was closed")
    assert visit.state()["yielded"] == 1


@preloaded
@kinds
def test_an_app_that_was_loaded_before_the_fork_and_the_patch(visit: Visit, kind: str) -> None:
    # Not in lock-step: what takes the permits is left in the parent.
    words = [f"w{n}" for n in range(2000)]
    with visit.reading(f"/echo/{kind}", content=" ".join(words)) as reader:
        assert reader.read().tokens == words
