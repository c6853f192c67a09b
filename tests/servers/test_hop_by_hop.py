"""What belongs to one connection: old versions, HEAD, half-closes, pipelining, reuse, bodies.

All of it is the server's to do; each row below says where one does less than the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import h11
import pytest

from .client import NOTHING, Visit, wait_until
from .raw import Connection, request
from .sites import ASGI_SERVERS, Site

KINDS = ["sync", "async"]
TOKENS = [*(f'{{"token":"t{n}"}}' for n in range(5)), "[DONE]"]
WORDS = ["one", "two", "three"]
ECHO = [*(f'{{"token":"{word}"}}' for word in WORDS), "[DONE]"]

kinds = pytest.mark.parametrize("kind", KINDS)

CHUNKS_FOR_HTTP_1_0 = {"uvicorn-httptools", "gunicorn-uvicorn", "werkzeug", "flask-run"}
"""Servers that send chunks to an HTTP/1.0 client, which RFC 9112 forbids (6.1)."""

ONE_REQUEST = {
    "gunicorn-sync",
    "waitress",
    "uwsgi",
    "werkzeug",
    "flask-run",
    "wsgiref",
    "runserver",
}
"""Servers that close the connection behind a stream, whose length they do not know."""

CLOSES_BEHIND_HEAD = ONE_REQUEST - {"runserver"} | {"cheroot"}

STREAMS_ON = {"cheroot", "uwsgi", "wsgiref", "runserver"}
"""Servers that never look whether the client still sends. The rest take a half-close for a leave:
they read the end of its stream, or lend the socket, where both look the same."""

NEVER_CONTINUES = {"uwsgi", "wsgiref"}
"""Servers that do not answer `Expect: 100-continue`: curl waits a second for them, then sends."""


def reads_chunks(site: Site) -> bool:
    """Tell whether a body of unknown length reaches the app.

    Django under WSGI goes by `Content-Length` alone, which waitress makes, as it has the whole
    body first. uWSGI has an API of its own for it, and wsgiref none.
    """
    if site.server in ("uwsgi", "wsgiref"):
        return False
    return site.app != "django" or site.server in ASGI_SERVERS or site.server == "waitress"


def in_lock_step(connection: Connection, visit: Visit) -> Iterator[str]:
    """Read the events of a stream, each before the next is made."""
    for read, event in enumerate(connection.events(), 1):
        if event.data != "[DONE]":
            assert visit.state()["yielded"] == read
        yield event.data
        visit.release()


def headers(response: h11.Response) -> dict[bytes, bytes]:
    return dict(response.headers)


@kinds
def test_http_1_0(visit: Visit, site: Site, kind: str) -> None:
    with Connection(visit.url) as connection:
        connection.send(request("POST", visit.target(f"/returning/{kind}/five"), version="1.0"))
        response = connection.head()
        assert [*in_lock_step(connection, visit)] == TOKENS
        assert (b"transfer-encoding" in headers(response)) == (site.server in CHUNKS_FOR_HTTP_1_0)
        assert connection.rest() == b""


@kinds
def test_no_byte_follows_the_head_that_head_gets(visit: Visit, site: Site, kind: str) -> None:
    with Connection(visit.url) as connection:
        path = visit.target(f"/returning/{kind}/five")
        connection.send(request("HEAD", path))
        connection.head("HEAD")
        assert [*connection.body()] == []
        assert visit.state() == NOTHING
        if site.server in CLOSES_BEHIND_HEAD:
            # Waitress ends a body that has not begun: its client was told to read no more.
            assert connection.rest() in (b"", b"0\r\n\r\n")
        else:
            connection.send(request("POST", path))
            assert connection.head().status_code == 200
            assert [*in_lock_step(connection, visit)] == TOKENS


@kinds
def test_a_half_close_before_the_answer(visit: Visit, kind: str) -> None:
    with Connection(visit.url) as connection:
        connection.send(request("POST", visit.target(f"/kept/{kind}/five")))
        connection.shut_down()
        read = []
        try:
            connection.head()
            read += in_lock_step(connection, visit)
        except h11.RemoteProtocolError:
            pass  # there is no answer, or it is cut

    def is_over() -> bool:
        visit.release()  # a sync source sees it at its next token
        state = visit.state()
        return bool(state["closed"] == state["started"])

    assert read == TOKENS[: len(read)]
    wait_until(is_over, "the source was closed")


def test_a_half_close_in_the_stream(visit: Visit, site: Site) -> None:
    with Connection(visit.url) as connection:
        connection.send(request("POST", visit.target("/kept/async/five")))
        connection.head()
        stream = in_lock_step(connection, visit)
        assert next(stream) == TOKENS[0]
        connection.shut_down()
        if site.server in STREAMS_ON:
            assert [*stream] == TOKENS[1:]
            return
        wait_until(lambda: bool(visit.state()["closed"]), "the silent source was closed")
        try:
            assert [*stream] == []
        except h11.RemoteProtocolError:
            pass  # the body is cut as well
    assert visit.state()["yielded"] == 1


@kinds
def test_pipelined_requests(visit: Visit, site: Site, kind: str) -> None:
    second = visit.another()
    both = [request("POST", it.target(f"/returning/{kind}/five")) for it in (visit, second)]
    with Connection(visit.url) as connection:
        connection.send(b"".join(both))
        connection.head()
        first = in_lock_step(connection, visit)
        assert [next(first) for _ in range(4)] == TOKENS[:4]
        assert second.state() == NOTHING
        assert [*first] == TOKENS[4:]
        if site.server in ONE_REQUEST:
            assert connection.rest() == b""
            assert second.state() == NOTHING
        else:
            connection.head()
            assert [*in_lock_step(connection, second)] == TOKENS


@kinds
def test_a_connection_is_used_again(visit: Visit, site: Site, kind: str) -> None:
    with Connection(visit.url) as connection:
        for _ in range(3):
            once = visit.another()
            connection.send(request("POST", once.target(f"/returning/{kind}/five")))
            response = connection.head()
            assert [*in_lock_step(connection, once)] == TOKENS
            if site.server in ONE_REQUEST:
                # Werkzeug's closes only after its client.
                assert headers(response).get(b"connection") == b"close" or connection.rest() == b""
                return
            assert headers(response)[b"transfer-encoding"] == b"chunked"


@kinds
def test_a_body_that_waits_to_be_asked_for(visit: Visit, site: Site, kind: str) -> None:
    body = " ".join(WORDS).encode()
    expects = {"Expect": "100-continue", "Content-Length": str(len(body))}
    with Connection(visit.url) as connection:
        connection.send(request("POST", visit.target(f"/echo/{kind}"), expects))
        if site.server not in NEVER_CONTINUES:
            answer = connection.informed()
            assert isinstance(answer, h11.InformationalResponse)
            assert answer.status_code == 100
            connection.send(body)
            response = connection.after_information()
        else:
            connection.send(body)
            response = connection.head()
        assert response.status_code == 200
        assert [event.data for event in connection.events()] == ECHO


@kinds
def test_a_body_in_chunks(visit: Visit, site: Site, kind: str) -> None:
    with Connection(visit.url) as connection:
        path = visit.target(f"/echo/{kind}")
        connection.send(request("POST", path, {"Transfer-Encoding": "chunked"}))
        connection.send(b"4\r\none \r\n9\r\ntwo three\r\n0\r\n\r\n")
        assert connection.head().status_code == 200
        read = [event.data for event in connection.events()]
    assert read == (ECHO if reads_chunks(site) else ["[DONE]"])


UNREAD = b"x" * (4 << 20)  # more than the watch holds, and the kernel
UNREAD_LENGTH = {"Content-Length": str(len(UNREAD))}


@kinds
def test_a_body_that_nobody_reads(visit: Visit, kind: str) -> None:
    with Connection(visit.url) as connection:
        path = visit.target(f"/returning/{kind}/five")
        connection.send(request("POST", path, UNREAD_LENGTH))
        connection.send_meanwhile(UNREAD)
        connection.head()
        assert [*in_lock_step(connection, visit)] == TOKENS


def test_a_reader_that_leaves_its_body_unread(visit: Visit) -> None:
    with Connection(visit.url) as connection:
        connection.send(request("POST", visit.target("/kept/async/endless"), UNREAD_LENGTH))
        connection.send_meanwhile(UNREAD)
        connection.head()
        next(connection.events())
    wait_until(lambda: bool(visit.state()["closed"]), "the silent source was closed")
    assert visit.state()["yielded"] == 1
