"""Streams that send one token and then wait for ever, a path for each way to serve one.

uvicorn benchmarks.apps.idle_app:app, with the seconds between two comments in KEEP_ALIVE.

`/held` is the server's own connection: a request held open with nothing around it.
What a source waits for is one object for all of them, so that it weighs the same everywhere.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse as FastAPIEventSourceResponse
from fastapi.sse import ServerSentEvent
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import tokenstream_asgi
import tokenstream_starlette
from tokenstream import Result
from tokenstream.asgi import App, Receive, Scope, Send

KEEP_ALIVE = float(os.environ.get("KEEP_ALIVE", "15"))
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
MEDIA_TYPE = "text/event-stream; charset=utf-8"

never = asyncio.Event()
finished: collections.Counter[str] = collections.Counter()


async def source() -> AsyncIterator[str]:
    """Yield a token, and then none."""
    yield "token"
    await never.wait()


async def frames() -> AsyncIterator[str]:
    """Do what one writes by hand for Starlette."""
    async for token in source():
        yield f"data: {token}\n\n"


def on_finish(result: Result) -> None:
    """Be the hook that an app has."""
    finished[result.outcome] += 1


async def start(send: Send) -> None:
    """Send the response's start, with the headers of a stream."""
    headers = {"Content-Type": MEDIA_TYPE, **HEADERS}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})


async def held(scope: Scope, receive: Receive, send: Send) -> None:
    """Hold the request open: what every way to serve a stream stands on."""
    await start(send)
    await send({"type": "http.response.body", "body": b"data: token\n\n", "more_body": True})
    await never.wait()


async def by_hand(scope: Scope, receive: Receive, send: Send) -> None:
    """Loop and send, with no look at the reader."""
    await start(send)
    async for frame in frames():
        message = {"type": "http.response.body", "body": frame.encode(), "more_body": True}
        await send(message)


async def starlette(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream with Starlette's response, without an application around it."""
    await _starlette_response()(scope, receive, send)


async def sse_starlette(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream with sse-starlette's response, without an application around it."""
    response = EventSourceResponse(source(), ping=KEEP_ALIVE)
    await response(scope, receive, send)


async def ours(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream with everything on, without an application around it."""
    response = tokenstream_asgi.TokenStreamResponse(
        source(), "text", keep_alive=KEEP_ALIVE, on_finish=on_finish
    )
    await response(scope, receive, send)


def _starlette_response() -> StreamingResponse:
    return StreamingResponse(frames(), media_type="text/event-stream", headers=HEADERS)


async def _starlette_endpoint(request: Request) -> Response:
    return _starlette_response()


async def _our_endpoint(request: Request) -> Response:
    return tokenstream_starlette.TokenStreamResponse(
        source(), "text", keep_alive=KEEP_ALIVE, on_finish=on_finish
    )


in_starlette = Starlette(
    routes=[
        Route("/in-starlette/starlette", _starlette_endpoint),
        Route("/in-starlette/tokenstream", _our_endpoint),
    ]
)

fastapi = FastAPI()


@fastapi.get("/fastapi", response_class=FastAPIEventSourceResponse)
async def _fastapi_endpoint() -> AsyncIterator[ServerSentEvent]:
    async for token in source():
        yield ServerSentEvent(raw_data=token)


async def look(scope: Scope, receive: Receive, send: Send) -> None:
    """Collect the garbage, and tell how many tasks there are, by name."""
    gc.collect()
    names = collections.Counter(_kind(task.get_name()) for task in asyncio.all_tasks())
    await _send_json(send, {"tasks": names, "finished": finished})


def _kind(name: str) -> str:
    # asyncio numbers the tasks that nobody named.
    return "Task" if name.startswith("Task-") else name


async def _send_json(send: Send, value: object) -> None:
    body = json.dumps(value).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


APPS: dict[str, App] = {
    "/look": look,
    "/held": held,
    "/by-hand": by_hand,
    "/starlette": starlette,
    "/tokenstream": ours,
    "/sse-starlette": sse_starlette,
    "/in-starlette/starlette": in_starlette,
    "/in-starlette/tokenstream": in_starlette,
    "/fastapi": fastapi,
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve each path in its way."""
    if scope["type"] != "http":
        await in_starlette(scope, receive, send)  # the lifespan
        return
    path = scope["path"] if scope["path"] in APPS else "/look"
    await APPS[path](scope, receive, send)
