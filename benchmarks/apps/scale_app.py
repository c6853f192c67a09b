"""The hand-written loop and tokenstream over two sources, for streams that grow.

/<way>/<source>?tokens=100: `by-hand` or `tokenstream`; `hot` has its tokens at once, with
`turn` each one comes in a turn of the loop of its own, as a model's tokens do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from tokenstream import Result
from tokenstream.asgi import Receive, Scope, Send
from tokenstream_asgi import TokenStreamResponse

TOKEN = " token"
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")],
}


async def hot(tokens: int) -> AsyncIterator[str]:
    """Yield without ever waiting."""
    for _ in range(tokens):
        yield TOKEN


async def turn(tokens: int) -> AsyncIterator[str]:
    """Yield once in a turn of the loop."""
    for _ in range(tokens):
        await asyncio.sleep(0)
        yield TOKEN


SOURCES: dict[str, Callable[[int], AsyncIterator[str]]] = {"hot": hot, "turn": turn}


async def by_hand(source: AsyncIterator[str], send: Send) -> None:
    """Send each token as it comes."""
    await send(START)
    async for token in source:
        frame = f"data: {token}\n\n".encode()
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


def on_finish(result: Result) -> None:
    """Be the hook that an app has."""
    if result.outcome != "completed":
        raise RuntimeError(f"the stream ended as {result.outcome}: {result.error}")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve what the path says."""
    if scope["type"] != "http":
        return
    _, way, *rest = scope["path"].split("/")
    if way not in ("by-hand", "tokenstream"):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    source = SOURCES[rest[0]](int(scope["query_string"].partition(b"=")[2]))
    if way == "by-hand":
        await by_hand(source, send)
    else:
        await TokenStreamResponse(source, "text", on_finish=on_finish)(scope, receive, send)
