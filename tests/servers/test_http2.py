"""HTTP/2: many streams on one connection, each with a window and an end of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .client import NOTHING, WATCHDOG, Visit, wait_until
from .raw_h2 import Connection, Stream
from .serving import python
from .sites import BIND, SITES, Site

KINDS = ["sync", "async"]
TOKENS = [*(f'{{"token":"t{n}"}}' for n in range(5)), "[DONE]"]

HELD = 20
"""Megabytes, of 300, that may be on their way to a reader that takes none."""

kinds = pytest.mark.parametrize("kind", KINDS)

_H2C = ("--http-protocols", "h2,h1", "--http2-cleartext", "prior-knowledge")

HTTP2 = [
    *(site for site in SITES if site.server in ("hypercorn", "granian-asgi", "granian-wsgi")),
    Site(
        "gunicorn-h2c",
        "asgi",
        python("-m", "gunicorn", "-k", "asgi", *_H2C, "-b", BIND, "raw_asgi:app"),
    ),
]


@pytest.fixture(params=HTTP2, ids=str)
def site(request: pytest.FixtureRequest) -> Site:
    site: Site = request.param
    return site


def in_lock_step(stream: Stream, visit: Visit) -> Iterator[str]:
    """Read the events of a stream, each before the next is made."""
    for read, event in enumerate(stream.events(), 1):
        if event.data != "[DONE]":
            assert visit.state()["yielded"] == read
        yield event.data
        visit.release()


@kinds
def test_two_streams_on_one_connection(visit: Visit, kind: str) -> None:
    second = visit.another()
    with Connection(visit.url) as connection:
        runs = [visit, second]
        streams = [connection.request("POST", it.target(f"/returning/{kind}/five")) for it in runs]
        for stream in streams:
            head = stream.head()
            assert head[b":status"] == b"200"
            assert not {b"connection", b"transfer-encoding"} & head.keys()
        # A token of one, then a token of the other.
        turns = zip(*map(in_lock_step, streams, runs), strict=True)
        assert [*turns] == [*zip(TOKENS, TOKENS, strict=True)]


@kinds
def test_head_starts_nothing_and_the_connection_goes_on(visit: Visit, kind: str) -> None:
    path = visit.target(f"/returning/{kind}/five")
    with Connection(visit.url) as connection:
        asked = connection.request("HEAD", path)
        assert asked.head()[b":status"] == b"200"
        assert b"".join(asked.body()) == b""
        assert visit.state() == NOTHING
        stream = connection.request("POST", path)
        stream.head()
        assert [*in_lock_step(stream, visit)] == TOKENS


@kinds
def test_a_reset_stops_one_source_and_not_the_other(visit: Visit, kind: str) -> None:
    second = visit.another()
    with Connection(visit.url) as connection:
        left = connection.request("POST", visit.target(f"/kept/{kind}/endless"))
        stays = connection.request("POST", second.target(f"/returning/{kind}/five"))
        left.head()
        next(left.events())
        stays.head()
        tokens = in_lock_step(stays, second)
        assert next(tokens) == TOKENS[0]
        left.reset()

        def is_closed() -> bool:
            if kind == "sync":  # it can't be stopped in its wait
                visit.release()
            return bool(visit.state()["closed"])

        wait_until(is_closed, "the source was closed")
        assert second.state()["closed"] == 0
        assert [*tokens] == TOKENS[1:]


# Hypercorn 0.18 looks for the mark of its buffer in what it takes out of it, which is nothing while
# the window is shut: its send() never waits then, and only the stream's length bounds it.
@kinds
@pytest.mark.parametrize("site", [it for it in HTTP2 if it.server != "hypercorn"], ids=str)
def test_a_window_that_is_not_opened_holds_the_source(visit: Visit, kind: str) -> None:
    with Connection(visit.url) as connection:
        stream = connection.request("POST", visit.target(f"/returning/{kind}/flood"))
        stream.head()
        next(stream.body(opens=False))
        assert settled(visit) <= HELD
        stream.reset()
        wait_until(lambda: bool(visit.state()["closed"]), "the source was closed")
        assert visit.state()["yielded"] <= 2 * HELD  # the news of it takes a moment


def settled(visit: Visit) -> int:
    """Return how many parts a source had yielded when it waited, and went on waiting."""
    seen: list[int] = []
    deadline = time.monotonic() + WATCHDOG
    while seen[-10:].count(visit.state()["yielded"]) < 10:
        assert time.monotonic() < deadline, seen
        seen.append(visit.state()["yielded"])
        time.sleep(0.05)
    return seen[-1]
