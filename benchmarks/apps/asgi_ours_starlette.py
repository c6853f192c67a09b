"""tokenstream in a Starlette app, with all that is on by default and a hook on the result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from tokenstream_starlette import token_stream

from .asgi_ours import bookkeeping, sync_bookkeeping
from .asgi_sources import ask_of_scope, source


@token_stream("text", on_finish=bookkeeping)
async def stream(request: Request) -> Any:
    return source(ask_of_scope(request.scope))


@token_stream("text", on_finish=sync_bookkeeping)
def from_sync(request: Request) -> Iterator[str]:
    tokens: Iterator[str] = source(ask_of_scope(request.scope))
    return tokens


app = Starlette(
    routes=[
        Route("/sync-hot", from_sync),
        Route("/sync-paced", from_sync),
        Route("/{kind}", stream),
    ]
)
