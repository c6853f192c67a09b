"""Starlette's own StreamingResponse, as its documentation shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from .asgi_sources import Ask, ask_of_scope, source

DONE = "data: [DONE]\n\n"


async def frames(ask: Ask) -> AsyncIterator[str]:
    async for token in source(ask):
        yield f"data: {token}\n\n"
    yield DONE


def sync_frames(ask: Ask) -> Iterator[str]:
    for token in source(ask):
        yield f"data: {token}\n\n"
    yield DONE


async def stream(request: Request) -> StreamingResponse:
    ask = ask_of_scope(request.scope)
    body = sync_frames(ask) if ask.kind.startswith("sync") else frames(ask)
    return StreamingResponse(body, media_type="text/event-stream")


app = Starlette(routes=[Route("/{kind}", stream)])
