"""A server that streams fare badly under is named in the log, once, with what to do."""

from __future__ import annotations

import httpx
import pytest

from ..needs import need_module
from .client import Visit, wait_until
from .conftest import Farm
from .serving import python
from .sites import APPS

need_module("a2wsgi")
need_module("asgiref")

ENV = {"PYTHONPATH": str(APPS)}
TARGETS = {"flask": "flask_app:app", "django": "django_site.wsgi:application"}
FIX = "gthread --threads N"


def gunicorn(target: str, *options: str) -> tuple[str, ...]:
    return python("-m", "gunicorn", *options, "-b", "127.0.0.1:{port}", target)


def uvicorn(target: str) -> tuple[str, ...]:
    return python("-m", "uvicorn", "--port", "{port}", f"bridged:{target}")


WARNED = {
    "gunicorn-sync-flask": (gunicorn(TARGETS["flask"]), "gunicorn's sync worker"),
    "gunicorn-sync-django": (gunicorn(TARGETS["django"]), "gunicorn's sync worker"),
    "asgiref-flask": (uvicorn("flask_asgiref"), "WsgiToAsgi"),
    "asgiref-django": (uvicorn("django_asgiref"), "WsgiToAsgi"),
    "a2wsgi-flask": (uvicorn("flask_a2wsgi"), "a2wsgi"),
    "a2wsgi-django": (uvicorn("django_a2wsgi"), "a2wsgi"),
}
QUIET = {
    "gunicorn-gthread": gunicorn(TARGETS["flask"], "--threads", "4"),
    "gunicorn-gevent": gunicorn(TARGETS["django"], "-k", "gevent"),
}


def printed_for_two_streams(farm: Farm, http: httpx.Client, name: str, command: object) -> str:
    server = farm.start(f"warned-{name}", command, env=ENV)
    for _ in range(2):
        answer = Visit(http, server.url, server.control).send("POST", "/echo/sync", content=b"a b")
        assert answer.text.endswith("data: [DONE]\n\n")
    return server.output()


@pytest.mark.parametrize("name", WARNED)
def test_it_is_said_once(name: str, farm: Farm, http: httpx.Client) -> None:
    command, cause = WARNED[name]
    printed = [printed_for_two_streams(farm, http, name, command)]

    def is_said() -> bool:
        printed.append(farm.start(f"warned-{name}", command).output())
        return FIX in "".join(printed)

    wait_until(is_said, "the warning")
    lines = [line for line in "".join(printed).splitlines() if FIX in line]
    assert len(lines) == 1
    assert cause in lines[0]


@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_said_of_what_works(name: str, farm: Farm, http: httpx.Client) -> None:
    if name == "gunicorn-gevent":
        need_module("gevent")
    assert FIX not in printed_for_two_streams(farm, http, name, QUIET[name])
