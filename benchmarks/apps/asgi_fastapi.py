"""FastAPI's EventSourceResponse, as its documentation shows it.

`raw_data`, as it says for text that is not to be sent as JSON.
"""

from __future__ import annotations

from collections.abc import AsyncIterable

from fastapi import FastAPI, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from .asgi_sources import ask_of_scope, source

app = FastAPI()


@app.get("/{kind}", response_class=EventSourceResponse)
async def stream(request: Request) -> AsyncIterable[ServerSentEvent]:
    async for token in source(ask_of_scope(request.scope)):
        yield ServerSentEvent(raw_data=token)
    yield ServerSentEvent(raw_data="[DONE]")
