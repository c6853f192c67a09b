"""Litestar's ServerSentEvent, as its documentation shows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from litestar import Litestar, Request, get
from litestar.response import ServerSentEvent

from .asgi_sources import Ask, ask_of_scope, source


async def events(ask: Ask) -> AsyncGenerator[str, None]:
    async for token in source(ask):
        yield token
    yield "[DONE]"


@get("/{kind:str}", sync_to_thread=False)
def stream(request: Request[Any, Any, Any]) -> ServerSentEvent:
    return ServerSentEvent(events(ask_of_scope(request.scope)))


app = Litestar([stream])
