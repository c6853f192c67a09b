"""Which app runs under which server: the table that the tests are parametrised by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .serving import python

__all__ = ["APPS", "ONE_THREAD", "PAGE", "SITES", "Site"]

APPS = Path(__file__).parent / "apps"
PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"


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

    def __str__(self) -> str:
        return f"{self.server}-{self.app}"


def _uvicorn(http: str, loop: str, app: str, target: str) -> Site:
    options = ["--port", "{port}", "--http", http, "--loop", loop, "--no-access-log"]
    return Site(f"uvicorn-{http}", app, python("-m", "uvicorn", target, *options))


def _gunicorn(app: str, target: str, threads: int = 16) -> Site:
    options = ["-k", "gthread", "--threads", str(threads), "-b", "127.0.0.1:{port}"]
    name = f"gunicorn-{threads}-threads"
    return Site(name, app, python("-m", "gunicorn", *options, target))


_ASGI_APPS = {
    "asgi": "raw_asgi:app",
    "fastapi": "fastapi_app:app",
    "django": "django_site.asgi:application",
}
_WSGI_APPS = {"flask": "flask_app:app", "django": "django_site.wsgi:application"}

_FLASK_RUN = python("-m", "flask", "--app", "flask_app", "run", "--port", "{port}", "--no-reload")
_RUNSERVER = python(str(APPS / "manage.py"), "runserver", "--noreload", "{port}")

SITES = [
    *(_uvicorn("httptools", "uvloop", app, target) for app, target in _ASGI_APPS.items()),
    *(_uvicorn("h11", "asyncio", app, target) for app, target in _ASGI_APPS.items()),
    *(_gunicorn(app, target) for app, target in _WSGI_APPS.items()),
    Site("werkzeug", "flask", _FLASK_RUN),
    Site("runserver", "django", _RUNSERVER, sees_leaving=False),
]

ONE_THREAD = [_gunicorn(app, target, threads=1) for app, target in _WSGI_APPS.items()]
"""Servers that answer one request at a time."""
