"""`/plain/...` is a raw ASGI app, `/django/...` is Django's."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import django_app
from ledger import OPTIONS, note_loop, source_of

from tokenstream_asgi import token_stream


def query_in(scope: dict[str, Any]) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode()))


@token_stream(**OPTIONS)
def sync_view(scope: Any, receive: Any) -> Any:
    return source_of(query_in(scope))


@token_stream(**OPTIONS)
async def async_view(scope: Any, receive: Any) -> Any:
    return source_of(query_in(scope))


VIEWS = {"/plain/sync": sync_view, "/plain/async": async_view}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve HTTP; there is nothing to do at the start."""
    if scope["type"] == "http":
        note_loop()
        view: Any = VIEWS.get(scope["path"], django_app.asgi)
        await view(scope, receive, send)
