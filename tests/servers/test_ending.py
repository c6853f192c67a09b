"""SIGTERM with streams open: each ends in the wire's own terminal, then the server does."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..snippets import python_blocks
from .client import Visit, wait_until
from .record import record
from .serving import Server
from .sites import ALL, APPS, PAGE, SITES, Site

ENDLESS = ["async/talking", "async/endless", "sync/talking"]  # the second is silent
ONE_AT_A_TIME = {"gunicorn-sync", "wsgiref"}

LINE, LIFESPAN = (
    block for block in python_blocks("docs/deployment.md") if "drain_on_signal" in block
)
(HYPERCORN,) = re.findall(r"`hypercorn ([^`]*)`", PAGE.read_text())
OPTIONS = {
    "hypercorn": HYPERCORN.split(),
    "gunicorn-sync": ["--timeout", "100"],  # longer than the watchdog
}


def _named(name: str) -> Site:
    (site,) = (it for it in ALL if str(it) == name)
    return site


def _preloaded(site: Site) -> Site:
    return replace(site, server=f"{site.server}-preload", command=(*site.command, "--preload"))


SERVED = [
    *(site for site in SITES if site.server != "uwsgi"),  # see the page
    *(site for site in [_named("gunicorn-gevent-flask")] if site not in SITES),
]
# Its app's control port is in the master, and knows of no stream: one of the tests can do without.
PRELOADED = _preloaded(_named("gunicorn-gthread-flask"))
# daphne knows no lifespan.
WITH_LIFESPAN = [it for it in SITES if it.app == "fastapi" and it.server != "daphne"]


@dataclass
class Ending:
    """A server with the page's line in its app, and what its app writes down of ends."""

    server: Server
    visit: Visit
    file: Path

    def tell_to_end(self) -> None:
        """Send SIGTERM, once the main thread has had the time to set its handler."""
        if self.visit.state()["started"]:
            wait_until(lambda: bool(self.visit.signals()["held"]), "the handler is in place")
            self.server.tell_to_end()
            wait_until(self._is_told, "the signal came")
        else:  # it is a preloaded app's master that answers
            self.server.tell_to_end()

    def _is_told(self) -> bool:
        try:
            signals = self.visit.signals()
            if not signals["told"]:
                # A main thread that waits at a lock may have the signal, and sleep on.
                os.kill(signals["pid"], signal.SIGURG)
            return bool(signals["told"])
        except (httpx.TransportError, ProcessLookupError):
            return True  # and it has ended

    def ends(self) -> list[str]:
        return sorted(self.file.read_text().splitlines())


@contextmanager
def ending(site: Site, folder: Path, http: Any, *, app: str) -> Iterator[Ending]:
    """Start the site's server; `app` is its app's module, `{served}` in it the site's app."""
    command, served = _with_own_app(site)
    server = Server(
        [*command, *OPTIONS.get(site.server, ())],
        folder,
        env={
            "PYTHONPATH": f"{APPS}:{folder}",
            "ENDS": str(folder / "ends.txt"),
            "DJANGO_SETTINGS_MODULE": "ended_settings",
        },
        files={
            "ended.py": app.replace("{served}", served),
            # runserver takes its app from there.
            "ended_settings.py": (
                "from django_site.settings import *\nWSGI_APPLICATION = 'ended.app'\n"
            ),
        },
    )
    try:
        yield Ending(server, Visit(http, server.url, server.control), folder / "ends.txt")
    except BaseException:
        print(server.output())
        raise
    finally:
        server.stop()


def _with_own_app(site: Site) -> tuple[list[str], str]:
    """Return its command with `ended:app` in it, and the import of the app that it had."""
    command, served = [], "from django_site.wsgi import application as app"
    for part in site.command:
        if match := re.fullmatch(r"([\w.]+):(app|application)", part):
            served = f"from {match[1]} import {match[2]} as app"
            part = "ended:app"
        elif part == "flask_app":
            served = "from flask_app import app"
            part = "ended"
        command.append(part)
    return command, served


def with_line(timeout: float) -> str:
    return "{served}\n" + LINE.replace("timeout=10", f"timeout={timeout}")


def with_lifespan(timeout: float) -> str:
    block = LIFESPAN.replace("timeout=10", f"timeout={timeout}")
    return f"{block}\nimport fastapi_app\napp.mount('/', fastapi_app.app)\n"


def _loads() -> Iterator[Any]:
    """Yield each site with what it can have open at once."""
    for site in [*SERVED, PRELOADED]:
        if site.server in ONE_AT_A_TIME:
            yield from (pytest.param(site, [path], id=f"{site}-{path}") for path in ENDLESS)
        else:
            yield pytest.param(site, ENDLESS, id=str(site))


def end_all(it: Ending, paths: list[str], record_property: Any) -> None:
    with ExitStack() as stack:
        readers = [iter(stack.enter_context(it.visit.reading(f"/returning/{p}"))) for p in paths]
        assert [next(reader).data for reader in readers] == ['{"token":"t0"}'] * len(paths)
        told_at = time.monotonic()
        it.tell_to_end()
        for reader in readers:
            *_, last = reader
            assert last.event == "error"
            assert last.data == '{"error":"the server is shutting down"}'
        it.server.exit_code()
        record_property("seconds from SIGTERM to exit", round(time.monotonic() - told_at, 2))
    count = len(paths)
    assert it.ends() == ["closed"] * count + ["finished shutdown"] * count


@pytest.mark.parametrize("site, paths", list(_loads()))
def test_streams_that_do_not_end_are_ended(
    site: Site, paths: list[str], tmp_path: Path, http: Any, record_property: Any
) -> None:
    with ending(site, tmp_path, http, app=with_line(0.5)) as it:
        end_all(it, paths, record_property)
    record(site, "ending", "error event")


@pytest.mark.parametrize("site", SERVED, ids=str)
def test_one_that_ends_by_itself_is_waited_for(site: Site, tmp_path: Path, http: Any) -> None:
    with ending(site, tmp_path, http, app=with_line(60)) as it:
        with it.visit.reading("/returning/sync/five") as stream:
            reader = iter(stream)
            assert next(reader).data == '{"token":"t0"}'
            it.tell_to_end()
            for _ in range(4):
                it.visit.release()
            assert [event.data for event in reader][-1] == "[DONE]"
        it.server.exit_code()
        assert it.ends() == ["closed", "finished completed"]
    record(site, "ending", "[DONE]")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_uwsgi_cuts_a_stream_and_exits(kind: str, tmp_path: Path, http: Any) -> None:
    site = _named("uwsgi-flask")
    with ending(site, tmp_path, http, app=with_line(0.5)) as it:
        with it.visit.reading(f"/returning/{kind}/endless") as stream:
            reader = iter(stream)
            assert next(reader).data == '{"token":"t0"}'
            it.server.tell_to_end()
            assert list(reader) == []  # neither an error nor `[DONE]`
        it.server.exit_code()
    record(site, "ending", "cut")


@pytest.mark.parametrize("site", WITH_LIFESPAN, ids=str)
def test_the_line_in_a_lifespan(
    site: Site, tmp_path: Path, http: Any, record_property: Any
) -> None:
    with ending(site, tmp_path, http, app=with_lifespan(0.5)) as it:
        end_all(it, ENDLESS, record_property)
