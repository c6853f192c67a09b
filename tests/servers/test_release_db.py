"""`release_db`: open streams hold no session of the database, counted where the sessions are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from glob import glob
from typing import Any, TypeAlias

import httpx
import pytest

from tokenstream import sse

from ..needs import need_module
from .client import Visit, wait_until
from .conftest import Farm
from .serving import Server, python
from .sites import APPS

need_module("psycopg")

from .postgres import Postgres

Opened: TypeAlias = tuple[Visit, Iterator[sse.Event]]

STREAMS = 10
REST = [*(f'{{"token":"t{n}"}}' for n in range(1, 5)), "[DONE]"]
COMMANDS = {
    "gunicorn": python(
        *("-m", "gunicorn", "-k", "gthread", "--threads", "16"),
        *("-b", "127.0.0.1:{port}", "database_site:wsgi"),
    ),
    "uvicorn": python(
        *("-m", "uvicorn", "--port", "{port}", "--no-access-log", "database_site:asgi")
    ),
}
VIEWS = [
    "yielding/sync",
    "yielding/async",
    "returning/sync",
    "returning/async",
    "coroutine/sync",
    "coroutine/async",
    "response/sync",
    "response/async",
    "aresponse/sync",
    "aresponse/async",
    "inline/sync",
]
EACH = pytest.mark.parametrize("view", VIEWS)
SERVERS = pytest.mark.parametrize("server", COMMANDS)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


def release_all(visit: Visit) -> None:
    """Let the source past each token after the first."""
    for _ in range(4):
        visit.release()


class Site:
    """A server of the project. sessions: how many it has open."""

    def __init__(self, http: httpx.Client, server: Server, sessions: Callable[[], int]) -> None:
        self._http = http
        self._server = server
        self.sessions = sessions

    def visit(self) -> Visit:
        """Return a visit with sources of its own."""
        return Visit(self._http, self._server.url, self._server.control)

    def open(self, view: str, count: int, stack: ExitStack) -> list[Opened]:
        """Open streams, one after the other, and read the first token of each."""
        opened = []
        for _ in range(count):
            visit = self.visit()
            reader = stack.enter_context(visit.reading(f"/{view}"))
            events = iter(reader)
            assert next(events).data == '{"token":"t0"}'
            opened.append((visit, events))
        return opened

    def finish(self, opened: list[Opened]) -> None:
        """Read the streams to their end."""
        for visit, events in opened:
            release_all(visit)
            assert [event.data for event in events] == REST


@pytest.fixture
def start(farm: Farm, http: httpx.Client) -> Callable[..., Site]:
    def started(
        server: str, name: str, database: Any, sessions: Callable[[], int], release: bool = True
    ) -> Site:
        env = {
            "PYTHONPATH": str(APPS),
            "DATABASE": json.dumps(database),
            "RELEASE_DB": str(int(release)),
        }
        command = COMMANDS[server]
        return Site(http, farm.start(f"database-{name}", command, env=env), sessions)

    return started


@pytest.fixture
def on_postgres(start: Callable[..., Site], postgres: Postgres) -> Callable[..., Site]:
    def started(server: str, **more: Any) -> Site:
        name = f"{server}-{'-'.join(map(str, more)) or 'released'}"
        options = more.pop("options", {})
        database = postgres.settings(name, **options)
        return start(server, f"postgres-{name}", database, lambda: postgres.sessions(name), **more)

    return started


@SERVERS
@EACH
def test_open_streams_hold_no_postgres_session(
    server: str, view: str, on_postgres: Callable[..., Site]
) -> None:
    site = on_postgres(server)
    with ExitStack() as stack:
        opened = site.open(view, STREAMS, stack)
        wait_until(lambda: site.sessions() == 0, "sessions given back")
        site.finish(opened)
    wait_until(lambda: site.sessions() == 0, "what `on_finish` has used is closed")


# What an async view has used under WSGI is its source's own, given back with the first token.
BEFORE = [
    *(("gunicorn", view) for view in ("silent/sync", "silent/async")),
    *(("uvicorn", view) for view in ("silent/sync", "silent/async")),
    *(("uvicorn", view) for view in ("asilent/sync", "asilent/async")),
]


@pytest.mark.parametrize("server, view", BEFORE)
def test_before_the_first_token_too(
    server: str, view: str, on_postgres: Callable[..., Site]
) -> None:
    site = on_postgres(server)
    with ExitStack() as stack:
        visits = [site.visit() for _ in range(3)]
        readers = [stack.enter_context(visit.reading(f"/{view}")) for visit in visits]
        wait_until(lambda: site.sessions() == 0, "sessions given back")
        for visit, reader in zip(visits, readers, strict=True):
            release_all(visit)
            assert reader.read().text == "t1t2t3t4"


@SERVERS
@EACH
def test_without_it_each_holds_some_to_its_end(
    server: str, view: str, on_postgres: Callable[..., Site]
) -> None:
    site = on_postgres(server, release=False)
    with ExitStack() as stack:
        opened = site.open(view, STREAMS, stack)
        assert site.sessions() >= STREAMS
        site.finish(opened)
    wait_until(lambda: site.sessions() == 0, "both the request's and the stream's own closed")


@SERVERS
@EACH
def test_a_pool_of_two_serves_six(server: str, view: str, on_postgres: Callable[..., Site]) -> None:
    need_module("psycopg_pool")
    site = on_postgres(server, options={"pool": {"min_size": 0, "max_size": 2, "timeout": 5}})
    with ExitStack() as stack:
        opened = site.open(view, 6, stack)
        assert site.sessions() <= 2
        site.finish(opened)


@SERVERS
@pytest.mark.parametrize("release", [True, False])
@EACH
def test_open_streams_hold_no_sqlite_file(
    server: str,
    release: bool,
    view: str,
    start: Callable[..., Site],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    name = f"sqlite-{server}-{release}"
    file = str(tmp_path_factory.getbasetemp() / f"{name}.sqlite3")
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": file}
    site = start(server, name, database, lambda: _openings(file), release)
    with ExitStack() as stack:
        opened = site.open(view, STREAMS, stack)
        if release:
            wait_until(lambda: site.sessions() == 0, "the file closed")
        else:
            assert site.sessions() >= STREAMS
        site.finish(opened)
    wait_until(lambda: site.sessions() == 0, "the file closed at the end")


def _openings(file: str) -> int:
    """Return how many descriptors of all processes are that file's."""
    return sum(_target(number) == file for number in glob("/proc/[0-9]*/fd/*"))


def _target(number: str) -> str:
    try:
        return os.readlink(number)
    except OSError:
        return ""  # closed meanwhile, or another's
