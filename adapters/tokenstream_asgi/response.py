"""The response: an ASGI app that streams one source."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tokenstream import TokenStream, Wire, WireName
from tokenstream.asgi import (
    Receive,
    Refused,
    Scope,
    Send,
    Watch,
    request_of,
    respond,
    send_whole,
)
from tokenstream.headers import check_headers, merged
from tokenstream.reconnect import (
    Answer,
    OnReconnect,
    Request,
    answer,
    check_on_reconnect,
    run_id_for,
)
from tokenstream.refusal import refusal

__all__ = ["TokenStreamResponse"]


class TokenStreamResponse:
    """`await TokenStreamResponse(source)(scope, receive, send)`.

    source, wire, **stream_options: see `tokenstream.TokenStream`.
    status, headers: the response's; the stream's own headers are added.
    on_reconnect: what an EventSource that comes back gets: "refuse" (an error
        event, then 204) or "rerun" (the generation again).

    Waits for the first part, for at most `prime` seconds: what the source
    raises until then is raised to the server, before a status is sent, unless
    it has a status of its own (`UpstreamError`, `PromptTooLong`, `BodyTooLarge`,
    `BadRequest`, a limit that passed): that is sent, in the wire's own shape.
    """

    # No __dict__: FastAPI would send the attributes of what it doesn't know as JSON.
    __slots__ = ("_headers", "_on_reconnect", "_status", "_stream")

    def __init__(
        self,
        source: object,
        wire: WireName | Wire = "json",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        on_reconnect: OnReconnect = "refuse",
        **stream_options: Any,
    ) -> None:
        check_on_reconnect(on_reconnect)
        check_headers(headers)
        self._stream = TokenStream(source, wire, **stream_options)
        self._status = status
        self._headers = headers
        self._on_reconnect: OnReconnect = on_reconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        request = request_of(scope)
        if whole := answer(request, self._stream.wire, self._on_reconnect):
            await self._send_whole(whole, send)
            return
        async with Watch(receive) as watch:
            watch.drop_body()  # whoever made this response has read what it needs
            response: Any = await self.respond(request, watch, send)
            if response is not None:
                await response(scope, watch.receive, send)

    def respond(
        self, request: Request, watch: Watch, send: Send, refused: Refused | None = None
    ) -> Awaitable[object | None]:
        """Stream to a request that gets a stream: see `tokenstream.asgi.respond`."""
        stream = self._stream
        stream.run_id = run_id_for(request, stream.wire, self._on_reconnect)
        headers = merged(stream.headers, self._headers)
        return respond(
            stream,
            watch,
            send,
            status=self._status,
            headers=headers,
            refused=refused or self._refused,
        )

    def _refused(self, error: Exception) -> Answer | None:
        return refusal(error, self._stream.wire, self._headers, self._stream.on_error)

    async def _send_whole(self, whole: Answer, send: Send) -> None:
        await self._stream.aclose()
        await send_whole(send, replace(whole, headers=merged(whole.headers, self._headers)))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"not a value: {self!r}")

    def __repr__(self) -> str:
        return (
            "<tokenstream_asgi.TokenStreamResponse, an ASGI app: "
            "in FastAPI and Starlette return tokenstream_starlette.TokenStreamResponse>"
        )
