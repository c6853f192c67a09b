"""A reader that is slow, or stops: the source waits, and `send_timeout` frees what waits with it.

What a stream has in memory is counted by its source and by what was handed to
the server. A reader that reads nothing is held by three: the kernel, the
server, and the stream.
"""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse

import pytest

from .client import Visit, wait_until
from .sites import ONE_THREAD, Site

MEGABYTE = 1_000_000

KERNEL = 5
"""Megabytes that Linux holds for a connection: 4 for the sender (`tcp_wmem`), and the reader's."""

SERVERS = {
    # A write waits until all of it is with the kernel.
    "gunicorn-sync": 1,
    "gunicorn-gthread": 1,
    "gunicorn-gevent": 1,
    "cheroot": 1,
    "uwsgi": 1,
    "werkzeug": 1,
    "flask-run": 1,
    "wsgiref": 1,
    "runserver": 1,
    # Messages wait in a channel, on the way from Python.
    "granian-asgi": 6,
    "granian-wsgi": 6,
    # 16 MiB (`outbuf_high_watermark`), of which all but 1 MiB is in a file.
    "waitress": 19,
    # Waits for nobody: the stream ends itself, see `tokenstream.asgi.UNSEEN_BYTES`.
    "daphne": 5,
}
"""Megabytes that a server holds for a reader before it lets the app wait, in these events."""

OTHERS = 3
"""The rest: one message is written, the next one waits; one is in Starlette's middleware."""

ALPHABET = "abcdefghijklmnopqrstuvwxyz"

kinds = pytest.mark.parametrize("kind", ["sync", "async"])


def held_outside(site: Site) -> int:
    return KERNEL + SERVERS.get(site.server, OTHERS)


@kinds
def test_a_reader_that_stops(
    visit: Visit, site: Site, kind: str, record_property: pytest.RecordProperty
) -> None:
    with visit.unread(f"/timed/{kind}/megabytes") as response:
        wait_until(lambda: bool(visit.results()), "the reader counts as gone")
        (result,) = visit.results()
        state = visit.state()
        rest = read_rest(response)
    record_property("peak_kib", result["peak_kib"])
    assert state["closed"] == 1
    assert state["yielded"] == result["parts"]
    # Ours: one event more than `high_water` lets in.
    assert result["parts"] * MEGABYTE - result["bytes_sent"] <= MEGABYTE
    assert result["parts"] <= held_outside(site) + 1
    assert result["outcome"] == ("failed" if site.server == "daphne" else "disconnected")
    assert (b"the reply is too long" in rest) is (site.server == "daphne")
    assert b"[DONE]" not in rest


@kinds
@pytest.mark.parametrize("script", ["megabytes", "five-megabytes"])
@pytest.mark.parametrize(
    "site", [site for site in ONE_THREAD if site.server.startswith("gunicorn")], ids=str
)
def test_the_servers_thread_is_free_where_it_lends_its_socket(
    visit: Visit, kind: str, script: str
) -> None:
    with visit.unread(f"/timed/{kind}/{script}"):
        wait_until(lambda: bool(visit.results()), "the reader counts as gone")
        visit.send("POST", "/echo/sync").raise_for_status()  # by the server's one thread
        assert [result["outcome"] for result in visit.results()] == ["disconnected"]


@kinds
def test_a_reader_that_stops_and_then_leaves(visit: Visit, kind: str) -> None:
    with visit.unread(f"/returning/{kind}/megabytes"):
        wait_until(lambda: visit.state()["yielded"] >= 4, "the kernel's buffers are full")
    wait_until(lambda: bool(visit.state()["closed"]), "the source was closed")


@kinds
def test_a_slow_reader_gets_all_of_it(visit: Visit, site: Site, kind: str) -> None:
    # daphne gets less than what the stream may have there.
    script, letters, size = (
        ("five-megabytes", "x", 5) if site.server == "daphne" else ("long", ALPHABET, 1)
    )
    body = bytearray()
    with visit.unread(f"/returning/{kind}/{script}") as response:
        while piece := response.read(1024):
            body += piece
            if len(body) % (1 << 20) == 0:
                ahead = visit.state()["yielded"] * size - len(body) / MEGABYTE
                assert ahead <= held_outside(site) + 2
    texts = [letter.encode() * size * MEGABYTE for letter in letters]
    frames = [b'data: {"token":"%s"}' % text for text in texts]
    assert bytes(body).split(b"\n\n") == [*frames, b"data: [DONE]", b""]


def read_rest(response: HTTPResponse) -> bytes:
    """Read what still comes, whole or cut."""
    rest = b""
    try:
        while piece := response.read(1 << 16):
            rest += piece
    except (OSError, HTTPException):
        pass
    return rest
