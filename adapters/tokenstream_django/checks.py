"""System checks: what in the settings and the URLs is at odds with streams, and what to do.

tokenstream.W001: an async view under ATOMIC_REQUESTS, which answers 500.
tokenstream.W002: release_db under ATOMIC_REQUESTS, whose transaction keeps the connection.
tokenstream.W003: streams that hold the connections of a pool.
tokenstream.W004: release_db closes what CONN_MAX_AGE is there to keep.
tokenstream.W005: daphne, which takes whatever it is given for a slow reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.urls import URLPattern, URLResolver, get_resolver

from .decorator import stream_options

__all__ = ["check_database", "check_server"]


def check_server(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Check the server that the settings name."""
    if not apps.is_installed("daphne"):
        return []
    return [
        Warning(
            "daphne is in INSTALLED_APPS: it never makes a stream wait for a slow reader. What is "
            "not read piles up in memory, so a stream ends with an error after 8 MiB.",
            hint="Take it out, and run the project under uvicorn, hypercorn or granian.",
            id="tokenstream.W005",
        )
    ]


def check_database(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Check the views in the URLs against the settings of the databases."""
    views = list(_views(get_resolver())) if getattr(settings, "ROOT_URLCONF", None) else []
    streams = [view for view in views if view.streams is not None]
    return [
        *(_refused(view) for view in views if view.is_refused()),
        *(_held(view) for view in streams if view.releases and view.is_atomic()),
        *_pools(streams),
        *_ages(streams),
    ]


@dataclass(frozen=True)
class _View:
    """A view of the URLs. streams: the options of its decorator, None where it has none."""

    name: str
    callback: Any
    streams: Mapping[str, Any] | None

    @property
    def releases(self) -> bool:
        return self.streams is not None and bool(self.streams.get("release_db", False))

    def is_refused(self) -> bool:
        """Whether Django will raise instead of calling it."""
        return _is_atomic(self.callback) and iscoroutinefunction(self.callback)

    def is_atomic(self) -> bool:
        """Whether Django will call it in a transaction."""
        return _is_atomic(self.callback) and not iscoroutinefunction(self.callback)


def _is_atomic(view: Any) -> bool:
    # Django's own word, `non_atomic_requests` included.
    try:
        return BaseHandler().make_view_atomic(view) is not view
    except RuntimeError:  # of an async view
        return True


def _views(resolver: URLResolver) -> Iterator[_View]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _views(entry)
        elif isinstance(entry, URLPattern):
            yield _View(entry.lookup_str, entry.callback, _options_of(entry.callback))


def _options_of(callback: Any) -> Mapping[str, Any] | None:
    """Return the decorator's options, be it on a function or on a method of a class."""
    kind = getattr(callback, "view_class", None)
    methods = [getattr(kind, name, None) for name in getattr(kind, "http_method_names", ())]
    return next((found for each in (callback, *methods) if (found := stream_options(each))), None)


def _refused(view: _View) -> CheckMessage:
    return Warning(
        f"{view.name} is an async view, and ATOMIC_REQUESTS is on: it answers 500.",
        hint="Decorate it with @transaction.non_atomic_requests, or write it as a sync view: "
        "its source may be async all the same.",
        id="tokenstream.W001",
    )


def _held(view: _View) -> CheckMessage:
    return Warning(
        f"{view.name} has release_db=True, but ATOMIC_REQUESTS keeps its connection, in a "
        "transaction, while it waits for its first token.",
        hint="Decorate it with @transaction.non_atomic_requests.",
        id="tokenstream.W002",
    )


def _pools(streams: Sequence[_View]) -> Iterator[CheckMessage]:
    holding = [view.name for view in streams if not view.releases]
    for alias, options in connections.settings.items():
        if holding and options["OPTIONS"].get("pool"):
            yield Warning(
                f"The database {alias!r} has a pool, of which each open stream holds a "
                f"connection to its end: {', '.join(holding)}.",
                hint="Give @token_stream release_db=True.",
                id="tokenstream.W003",
            )


def _ages(streams: Sequence[_View]) -> Iterator[CheckMessage]:
    releasing = [view.name for view in streams if view.releases]
    for alias, options in connections.settings.items():
        if releasing and options["CONN_MAX_AGE"] != 0:
            yield Warning(
                f"The database {alias!r} has CONN_MAX_AGE={options['CONN_MAX_AGE']!r}, but "
                f"release_db=True closes what it keeps: {', '.join(releasing)}.",
                hint='Set CONN_MAX_AGE to 0, and on PostgreSQL OPTIONS={"pool": True}.',
                id="tokenstream.W004",
            )
