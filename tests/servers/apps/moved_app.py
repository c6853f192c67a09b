"""An app written for sse-starlette: the tests run it as it stands, and with our import."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from fastapi import FastAPI, Request
from scripts import run_of
from sse_starlette import EventSourceResponse, JSONServerSentEvent, ServerSentEvent


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.shutdown = asyncio.Event()
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(app.state.shutdown.set)
        before(number, frame)

    signal.signal(signal.SIGTERM, stop)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/every-item")
async def every_item() -> EventSourceResponse:
    async def events() -> AsyncIterator[Any]:
        yield "text\nof two lines"
        yield 7
        yield ""
        yield {"event": "update", "id": "1", "data": {"a": 1}, "retry": 3000}
        yield ServerSentEvent("x", event="y", comment="z")
        yield JSONServerSentEvent({"field": "value"})
        yield b": as it is\n\n"

    return EventSourceResponse(events(), headers={"X-Own": "1"}, ping=0)


@app.get("/channel", response_class=EventSourceResponse)
async def channel() -> EventSourceResponse:
    sending, receiving = anyio.create_memory_object_stream[Any](2)

    async def produce(channel: Any) -> None:
        async with channel:
            for number in range(5):
                await channel.send({"data": number})

    return EventSourceResponse(
        receiving, data_sender_callable=partial(produce, sending), sep="\n", ping=0
    )


@app.get("/sync")
def sync() -> EventSourceResponse:
    def events() -> Iterator[Any]:
        for number in range(5):
            yield {"data": number, "id": str(number)}

    return EventSourceResponse(events(), sep="\r", ping=0)


@app.get("/scripted/{kind}/{script}")
async def scripted(request: Request, kind: str, script: str) -> EventSourceResponse:
    run = run_of(request.query_params)
    run.called += 1

    async def left(message: Any) -> None:
        run.called += 100

    return EventSourceResponse(
        run.source(kind, script), ping=120, client_close_handler_callable=left
    )


@app.get("/watching")
async def watching(request: Request) -> EventSourceResponse:
    source = run_of(request.query_params).source("async", "endless")

    async def events() -> AsyncIterator[Any]:
        async for token in source:
            if await request.is_disconnected():
                break
            yield token

    return EventSourceResponse(events(), ping=120)


@app.get("/pinged")
async def pinged(request: Request) -> EventSourceResponse:
    return EventSourceResponse(
        run_of(request.query_params).source("async", "endless"),
        ping=0.1,
        ping_message_factory=lambda: ServerSentEvent(event="ping", data="are you there?"),
    )


@app.get("/ending")
async def ending(request: Request) -> EventSourceResponse:
    shutdown = request.app.state.shutdown

    async def events() -> AsyncIterator[Any]:
        yield {"data": os.getpid()}
        await shutdown.wait()
        yield {"event": "shutdown", "data": "bye"}

    return EventSourceResponse(events(), shutdown_event=shutdown, shutdown_grace_period=30)


@app.get("/not-ending")
async def not_ending(request: Request) -> EventSourceResponse:
    async def events() -> AsyncIterator[Any]:
        yield {"data": os.getpid()}
        await asyncio.Event().wait()

    return EventSourceResponse(events(), shutdown_event=request.app.state.shutdown)
