"""sse-starlette's EventSourceResponse, as its documentation shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from .asgi_sources import Ask, ask_of_scope, source


async def events(ask: Ask) -> AsyncIterator[dict[str, str]]:
    async for token in source(ask):
        yield {"data": token}
    yield {"data": "[DONE]"}


async def stream(request: Request) -> EventSourceResponse:
    return EventSourceResponse(events(ask_of_scope(request.scope)))


app = Starlette(routes=[Route("/{kind}", stream)])
