"""The servers' own timeouts: which of them end a stream, as docs/deployment.md tells.

Each is set to a second here, or three. A stream that outlives it has 40 tokens, ten a
second; in the small form one of each kind is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from .client import Visit
from .conftest import Farm
from .serving import python
from .sites import APPS, FULL

TOKENS = 40

GUNICORN = python("-m", "gunicorn", "-b", "127.0.0.1:{port}", "--timeout", "1")
UWSGI = python(
    *("-c", "import pyuwsgi; pyuwsgi.run()", "--master", "--lazy-apps", "--enable-threads"),
    *("--threads", "4", "--die-on-term", "--module", "flask_app:app"),
)
UWSGI_SOCKET = (*UWSGI, "--http-socket", "127.0.0.1:{port}")
# Its router in front, which is a process of its own: a busy machine may be late by a second.
UWSGI_ROUTER = (*UWSGI, "--http", "127.0.0.1:{port}", "--http-timeout", "3")

KILLED = {
    "gunicorn sync --timeout": (*GUNICORN, "-k", "sync", "flask_app:app"),
    "hypercorn --read-timeout": python(
        *("-m", "hypercorn", "--read-timeout", "1", "-b", "127.0.0.1:{port}", "raw_asgi:app"),
    ),
    "daphne --http-timeout": python(
        *("-m", "daphne", "--http-timeout", "1", "-b", "127.0.0.1", "-p", "{port}", "raw_asgi:app"),
    ),
    "uwsgi --harakiri": (*UWSGI_SOCKET, "--harakiri", "1"),
}

UNHARMED = {
    "gunicorn gthread --timeout": (*GUNICORN, "-k", "gthread", "--threads", "4", "flask_app:app"),
    "gunicorn asgi --timeout": (*GUNICORN, "-k", "asgi", "raw_asgi:app"),
    "gunicorn uvicorn --timeout": (
        *(*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "raw_asgi:app"),
    ),
    "gunicorn gevent --timeout": (*GUNICORN, "-k", "gevent", "flask_app:app"),
    "uvicorn --timeout-keep-alive": python(
        *("-m", "uvicorn", "--timeout-keep-alive", "1", "--port", "{port}", "raw_asgi:app"),
    ),
    "hypercorn --keep-alive": python(
        *("-m", "hypercorn", "--keep-alive", "1", "-b", "127.0.0.1:{port}", "raw_asgi:app"),
    ),
    "waitress --channel-timeout": python(
        *("-m", "waitress", "--channel-timeout", "1", "--cleanup-interval", "1"),
        *("--listen", "127.0.0.1:{port}", "flask_app:app"),
    ),
    "cheroot --timeout": python(
        *("-m", "cheroot", "--timeout", "1", "--bind", "127.0.0.1:{port}", "flask_app:app"),
    ),
    "uwsgi --socket-timeout": (*UWSGI_SOCKET, "--socket-timeout", "1"),
    "uwsgi --http-timeout": UWSGI_ROUTER,
}


def some(commands: dict[str, tuple[str, ...]]) -> list[str]:
    return list(commands) if FULL else list(commands)[:1]


def started(farm: Farm, http: httpx.Client, name: str, command: tuple[str, ...]) -> Visit:
    env = {"PYTHONPATH": str(APPS)}
    server = farm.start(name.replace(" ", "-"), command, env=env, is_told_of=True)
    return Visit(http, server.url, server.control)


@contextmanager
def may_be_cut() -> Iterator[None]:
    try:
        yield
    except (httpx.RemoteProtocolError, httpx.ReadError):
        pass


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", some(KILLED))
def test_it_ends_a_stream_that_talks(name: str, kind: str, farm: Farm, http: httpx.Client) -> None:
    visit = started(farm, http, name, KILLED[name])
    with may_be_cut(), visit.reading(f"/returning/{kind}/talking") as reader:
        for _ in reader:
            if len(reader.transcript.tokens) == TOKENS:
                break
    assert 0 < len(reader.transcript.tokens) < TOKENS
    assert not reader.transcript.done


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", some(UNHARMED))
def test_it_leaves_a_stream_alone(name: str, kind: str, farm: Farm, http: httpx.Client) -> None:
    visit = started(farm, http, name, UNHARMED[name])
    with visit.reading(f"/returning/{kind}/talking") as reader:
        for _ in reader:
            if len(reader.transcript.tokens) == TOKENS:
                break
    assert len(reader.transcript.tokens) == TOKENS


@pytest.mark.skipif(not FULL, reason="a part of the whole matrix")
def test_uwsgis_router_cuts_silence_and_a_keep_alive_prevents_it(
    farm: Farm, http: httpx.Client
) -> None:
    visit = started(farm, http, "uwsgi --http-timeout", UWSGI_ROUTER)
    with may_be_cut(), visit.reading("/returning/async/endless") as reader:
        reader.read()
    assert reader.transcript.tokens == ["t0"]
    assert not reader.transcript.done
    assert_kept(visit.another())


def assert_kept(visit: Visit) -> None:
    """Read a stream that is silent for longer than the timeout, but for its keep-alives."""
    comments = b""
    with visit.stream("POST", "/kept/async/endless") as response:
        for chunk in response.iter_bytes():
            comments += chunk
            if comments.count(b": keep-alive") >= TOKENS:
                return
    pytest.fail(f"it ended after {comments.count(b': keep-alive')} keep-alives")
