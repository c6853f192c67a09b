"""SIGTERM, with streams open: each ends in the wire's own terminal, and the server exits."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tokenstream.testing import StreamReader

from .client import Visit, wait_until
from .serving import Server
from .sites import APPS, SITES, Site

ENDLESS = ["async/talking", "async/endless", "sync/talking"]
ONE_AT_A_TIME = {"gunicorn-sync", "wsgiref"}

APP = re.compile(r"\b(\w+(?:\.\w+)*):(app|application)\b|\bflask_app\b")

LINE = """
from {module} import {name} as app

from tokenstream import drain_on_signal

drain_on_signal({timeout})
"""


def started(site: Site, folder: Path, timeout: float) -> Server:
    command, found = [], ("django_site.wsgi", "application")
    for part in site.command:
        if match := APP.fullmatch(part):
            found = (match[1] or part, match[2] or "app")
            part = "ended:app" if match[1] else "ended"
        command.append(part)
    module, name = found
    options = OPTIONS.get(site.server, ())
    return Server(
        [*command, *options],
        folder,
        env={
            "PYTHONPATH": f"{APPS}:{folder}",
            "ENDS": str(folder / "ends.txt"),
            "DJANGO_SETTINGS_MODULE": "ended_settings"
            if site.server == "runserver"
            else "django_site.settings",
        },
        files={
            "ended.py": LINE.format(module=module, name=name, timeout=timeout),
            "ended_settings.py": "from django_site.settings import *\nWSGI_APPLICATION = 'ended.app'\n",
        },
    )


OPTIONS = {
    "hypercorn": ("--workers", "0", "--graceful-timeout", "70"),
    "gunicorn-sync": ("--timeout", "100"),
}


def groups() -> Iterator[object]:
    for site in SITES:
        if site.server in ONE_AT_A_TIME:
            yield from (pytest.param(site, [path], id=f"{site}-{path}") for path in ENDLESS)
        else:
            yield pytest.param(site, ENDLESS, id=str(site))


def ends(folder: Path) -> list[str]:
    return sorted((folder / "ends.txt").read_text().splitlines())


@pytest.mark.parametrize(("site", "paths"), groups())
def test_streams_that_do_not_end_are_ended(site, paths, tmp_path, http, record_property):
    server = started(site, tmp_path, 0.5)
    try:
        visit = Visit(http, server.url, server.control)
        with ExitStack() as stack:
            readers = [iter(stack.enter_context(visit.reading(f"/returning/{p}"))) for p in paths]
            for reader in readers:
                assert next(reader).data == '{"token":"t0"}'
            began = time.monotonic()
            server.tell_to_end()
            for reader in readers:
                last = [*reader][-1]
                assert (last.event, last.data) == (
                    "error",
                    '{"error":"the server is shutting down"}',
                )
            read = time.monotonic() - began
            code = server.exit_code()
            print("EXIT", site, read, time.monotonic() - began, code)
        assert ends(tmp_path) == ["closed"] * len(paths) + ["finished shutdown"] * len(paths)
    finally:
        print(server.output())
        server.stop()


@pytest.mark.parametrize("site", SITES, ids=str)
def test_streams_that_end_by_themselves_are_waited_for(site, tmp_path, http):
    server = started(site, tmp_path, 60)
    try:
        visit = Visit(http, server.url, server.control)
        with visit.reading("/returning/sync/five") as stream:
            reader = iter(stream)
            assert next(reader).data == '{"token":"t0"}'
            server.tell_to_end()
            wait_until(lambda: visit.state()["told"], "the signal came")
            for _ in range(4):
                visit.release()
            assert [event.data for event in reader][-1] == "[DONE]"
        began = time.monotonic()
        code = server.exit_code()
        print("EXIT", site, time.monotonic() - began, code)
        assert ends(tmp_path) == ["closed", "finished completed"]
    finally:
        print(server.output())
        server.stop()
