"""Which app runs under which server: the table that the tests are parametrised by."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from .serving import python

__all__ = [
    "ALL",
    "APPS",
    "FULL",
    "GEVENT",
    "ONE_THREAD",
    "PAGE",
    "PRELOADED",
    "SITES",
    "SMALL",
    "TLS",
    "Site",
    "styled",
]

APPS = Path(__file__).parent / "apps"
PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"

BIND = "127.0.0.1:{port}"


@dataclass(frozen=True)
class Site:
    """An app under a server.

    sees_leaving: whether a reader that leaves is seen without a write to it.
    """

    server: str
    app: str
    command: tuple[str, ...]
    sees_leaving: bool = True
    env: Mapping[str, str] = field(default_factory=lambda: {"PYTHONPATH": str(APPS)})

    @property
    def is_asgi(self) -> bool:
        return self.server in ASGI_SERVERS

    def __str__(self) -> str:
        return f"{self.server}-{self.app}"


ASGI_APPS = {
    "asgi": "raw_asgi:app",
    "starlette": "starlette_app:app",
    "fastapi": "fastapi_app:app",
    "django": "django_site.asgi:application",
}
WSGI_APPS = {"flask": "flask_app:app", "django": "django_site.wsgi:application"}


def _uvicorn(http: str, loop: str) -> tuple[str, ...]:
    options = ["--port", "{port}", "--http", http, "--loop", loop, "--no-access-log"]
    return python("-m", "uvicorn", *options, "{app}")


def _gunicorn(worker: str, *options: str) -> tuple[str, ...]:
    return python("-m", "gunicorn", "-k", worker, *options, "-b", BIND, "{app}")


def _granian(interface: str, *options: str) -> tuple[str, ...]:
    where = ["--host", "127.0.0.1", "--port", "{port}"]
    return python("-m", "granian", "--interface", interface, *options, *where, "{app}")


ASGI_SERVERS = {
    "uvicorn-httptools": _uvicorn("httptools", "uvloop"),
    "uvicorn-h11": _uvicorn("h11", "asyncio"),
    "hypercorn": python("-m", "hypercorn", "-b", BIND, "{app}"),
    "daphne": python("-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "{app}"),
    "granian-asgi": _granian("asgi"),
    "gunicorn-asgi": _gunicorn("asgi"),
    "gunicorn-uvicorn": _gunicorn("uvicorn_worker.UvicornWorker"),
}

_RUN = str(APPS / "run.py")


def _wsgi_servers(threads: str) -> dict[str, tuple[str, ...]]:
    return {
        "gunicorn-sync": _gunicorn("sync"),
        "gunicorn-gthread": _gunicorn("gthread", "--threads", threads),
        "gunicorn-gevent": _gunicorn("gevent"),
        "granian-wsgi": _granian("wsgi", "--blocking-threads", threads),
        # Without the lookahead it does not look whether a reader has left.
        "waitress": python(
            *("-m", "waitress", "--threads", threads, "--channel-request-lookahead", "1"),
            *("--listen", BIND, "{app}"),
        ),
        "cheroot": python("-m", "cheroot", "--bind", BIND, "--threads", threads, "{app}"),
        # Threads do not survive the fork of a preloaded app; nor do they run without the option.
        "uwsgi": python(
            *("-c", "import pyuwsgi; pyuwsgi.run()", "--http-socket", BIND, "--lazy-apps"),
            *("--master", "--enable-threads", "--threads", threads, "--die-on-term"),
            *("--module", "{app}"),
        ),
        "werkzeug": python(_RUN, "werkzeug", "{app}", "{port}"),
        "wsgiref": python(_RUN, "wsgiref", "{app}", "{port}"),
    }


WSGI_SERVERS = _wsgi_servers("16")

BLIND = {"granian-wsgi", "cheroot", "wsgiref", "runserver"}
"""Servers that show an app neither the socket nor what became of it."""


def _site(server: str, app: str) -> Site:
    if server in WSGI_SERVERS:
        return _filled(server, WSGI_SERVERS[server], app, WSGI_APPS[app])
    return _filled(server, ASGI_SERVERS[server], app, ASGI_APPS[app])


def _filled(server: str, command: tuple[str, ...], app: str, target: str) -> Site:
    filled = tuple(part.replace("{app}", target) for part in command)
    return Site(server, app, filled, sees_leaving=server not in BLIND)


_FLASK_RUN = python("-m", "flask", "--app", "flask_app", "run", "--port", "{port}", "--no-reload")
_RUNSERVER = python(str(APPS / "manage.py"), "runserver", "--noreload", "{port}")

ALL = [
    *(_site(server, app) for server in ASGI_SERVERS for app in ASGI_APPS),
    *(_site(server, app) for server in WSGI_SERVERS for app in WSGI_APPS),
    Site("flask-run", "flask", _FLASK_RUN),
    Site("runserver", "django", _RUNSERVER, sees_leaving=False),
]
"""Each app under each server that can run it."""

SMALL = {
    "uvicorn-httptools-asgi",
    "uvicorn-httptools-fastapi",
    "uvicorn-httptools-django",
    "uvicorn-h11-starlette",
    "hypercorn-django",
    "daphne-asgi",
    "granian-asgi-fastapi",
    "gunicorn-asgi-starlette",
    "gunicorn-uvicorn-django",
    "gunicorn-sync-flask",
    "gunicorn-gthread-django",
    "gunicorn-gthread-flask",
    "gunicorn-gevent-flask",
    "granian-wsgi-django",
    "waitress-flask",
    "cheroot-django",
    "uwsgi-flask",
    "wsgiref-django",
    "flask-run-flask",
    "runserver-django",
}
"""Each server once, each app at least once."""

FULL = bool(os.environ.get("TOKENSTREAM_MATRIX"))

SITES = ALL if FULL else [it for it in ALL if str(it) in SMALL]
"""What the tests run: the small form, or all of it where `TOKENSTREAM_MATRIX` is set."""

_RUN_GEVENT = str(APPS / "run_gevent.py")

GEVENT = [
    Site(server, app, tuple(part.replace("{app}", WSGI_APPS[app]) for part in command), sees)
    for server, app, sees, command in [
        ("gunicorn-gevent-pywsgi", "flask", True, _gunicorn("gevent_pywsgi")),
        ("pywsgi", "flask", False, python(_RUN_GEVENT, "patched", "{app}", "{port}")),
        ("pywsgi", "django", False, python(_RUN_GEVENT, "patched", "{app}", "{port}")),
        ("pywsgi-unpatched", "flask", False, python(_RUN_GEVENT, "plain", "{app}", "{port}")),
    ]
]
"""More of gevent's servers, with its patch and without."""

PRELOADED = [
    _filled("gunicorn-gevent-preload", _gunicorn("gevent", "--preload"), app, target)
    for app, target in WSGI_APPS.items()
]
"""Servers that import the app before they fork."""

_GUNICORN_TLS = ("--certfile", "{tls}/cert.pem", "--keyfile", "{tls}/key.pem")

TLS = [
    Site(server, "flask", tuple(part.replace("{app}", WSGI_APPS["flask"]) for part in command))
    for server, command in {
        "gunicorn-sync-tls": _gunicorn("sync", *_GUNICORN_TLS),
        "gunicorn-gthread-tls": _gunicorn("gthread", "--threads", "4", *_GUNICORN_TLS),
        "gunicorn-gevent-tls": _gunicorn("gevent", *_GUNICORN_TLS),
        "flask-run-tls": (*_FLASK_RUN, "--cert", "{tls}/cert.pem", "--key", "{tls}/key.pem"),
    }.items()
]
"""Servers that speak TLS; `{tls}` is where the certificate is."""


def styled(sites: Sequence[Site], styles: Sequence[str]) -> list[Any]:
    """Return each site with each style of view, for `parametrize("site, style", ...)`.

    In the small form all styles for one site of each app under each interface,
    since they differ in the adapter alone, and one style for every other site.
    """
    return [
        pytest.param(site, style, id=f"{site}-{style}")
        for number, site in enumerate(sites)
        for style in (styles if FULL or _is_first(site, sites) else [styles[number % len(styles)]])
    ]


def _is_first(site: Site, sites: Sequence[Site]) -> bool:
    same = (it for it in sites if (it.app, it.is_asgi) == (site.app, site.is_asgi))
    return next(same) is site


_ONE_AT_A_TIME = {
    **_wsgi_servers("1"),
    "gunicorn-gevent": _gunicorn("gevent", "--worker-connections", "1"),
}

ONE_THREAD = [
    replace(_filled(server, command, app, WSGI_APPS[app]), server=f"{server}-1-thread")
    for number, (server, command) in enumerate(_ONE_AT_A_TIME.items())
    if server != "werkzeug"  # it has a thread for each request
    for app in (WSGI_APPS if FULL else [list(WSGI_APPS)[number % 2]])
]
"""Servers that answer one request at a time."""
