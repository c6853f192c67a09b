"""The decorator: a handler of `(scope, receive)` becomes an ASGI app."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, overload

from tokenstream import Wire, WireName
from tokenstream.asgi import App, Receive, Scope, Send, Watch, request_of, send_whole
from tokenstream.errors import ReaderLeft
from tokenstream.host import Host
from tokenstream.reconnect import answer
from tokenstream.views import AnyView, decorate, is_async_view
from tokenstream.wires import find_wire

from .response import TokenStreamResponse

__all__ = ["HOST", "not_http", "token_stream"]


@overload
def token_stream(handler: AnyView, /) -> App: ...
@overload
def token_stream(wire: WireName | Wire, /, **options: Any) -> Callable[[AnyView], App]: ...
@overload
def token_stream(*, wire: WireName | Wire = ..., **options: Any) -> Callable[[AnyView], App]: ...
def token_stream(first: Any = None, /, *, wire: WireName | Wire = "json", **options: Any) -> Any:
    """Make an ASGI app of a handler.

    The handler gets `(scope, receive)`. It may yield parts, return a source,
    or return a finished response, which is any ASGI app. Written
    `@token_stream`, `@token_stream("json")` or `@token_stream(wire="json", ...)`
    with the options of `TokenStreamResponse`.

    HEAD and reconnects are answered before the handler is called. Errors before
    the first part are raised to the server, but those with a status of their own:
    a body over `read_body`'s limit is answered with 413. Lifespan is acknowledged,
    a websocket refused.
    """
    return decorate(_app, first, wire, options)


def _app(handler: AnyView, wire: WireName | Wire, options: Mapping[str, Any]) -> App:
    known_wire = find_wire(wire)
    TokenStreamResponse((), known_wire, **options)  # options are checked where they are written
    on_reconnect = options.get("on_reconnect", "refuse")
    starts_lazily = is_async_view(handler) or inspect.isgeneratorfunction(handler)

    @functools.wraps(handler)
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await not_http(scope, receive, send)
            return
        request = request_of(scope)
        if whole := answer(request, known_wire, on_reconnect):
            await send_whole(send, whole)
            return
        async with Watch(receive) as watch:
            source = functools.partial(handler, scope, watch.receive)
            response = TokenStreamResponse(
                source() if starts_lazily else source, known_wire, **{"host": HOST, **options}
            )
            try:
                finished: Any = await response.respond(request, watch, send)
            except ReaderLeft:
                return
            if finished is not None:
                await finished(scope, watch.receive, send)

    return app


def _is_app(value: object) -> bool:
    if not callable(value) or isinstance(value, AsyncIterable):
        return False
    if isinstance(value, TokenStreamResponse):
        return True
    if isinstance(value, Iterable):
        return False
    try:
        inspect.signature(value).bind("scope", "receive", "send")
    except (TypeError, ValueError):
        return False
    return True


HOST = Host(is_response=_is_app)


async def not_http(scope: Scope, receive: Receive, send: Send) -> None:
    """Acknowledge lifespan, refuse a websocket; `ValueError` for anything else."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})  # before accept: 403
        return
    if scope["type"] != "lifespan":
        raise ValueError(f"scope type {scope['type']!r} is unknown: this app answers http")
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
