"""The response, as Starlette and FastAPI know them."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tokenstream import TokenStream, Wire, WireName, sse
from tokenstream.asgi import Watch, request_of, respond
from tokenstream.headers import merged
from tokenstream.host import Host
from tokenstream.reconnect import Answer, OnReconnect, answer, check_on_reconnect, run_id_for
from tokenstream.refusal import refusal

__all__ = ["HOST", "TokenStreamResponse"]


def _is_response(value: object) -> bool:
    return isinstance(value, Response)


HOST = Host(is_response=_is_response)


class TokenStreamResponse(Response):
    """A `starlette.responses.Response` that streams one source.

    source, wire, **stream_options: see `tokenstream.TokenStream`.
    status, headers: the response's; the stream's own headers are added.
        `status_code` is Starlette's name for the same, which FastAPI looks for
        in a response class when it writes its OpenAPI document.
    background: a Starlette task (or tasks) for after the response.
    on_reconnect: what an EventSource that comes back gets: "refuse" (an error
        event, then 204) or "rerun" (the generation again).

    Waits for the first part, for at most `prime` seconds: what the source
    raises until then goes to the app's exception handlers, unless it has a status
    of its own (`UpstreamError`, `PromptTooLong`, `BodyTooLarge`, `BadRequest`, a
    limit that passed): that is sent, in the wire's own shape.
    """

    media_type = sse.MEDIA_TYPE

    def __init__(
        self,
        source: object,
        wire: WireName | Wire = "json",
        *,
        status: int | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        on_reconnect: OnReconnect = "refuse",
        **stream_options: Any,
    ) -> None:
        check_on_reconnect(on_reconnect)
        self._stream = TokenStream(source, wire, **{"host": HOST, **stream_options})
        self._on_reconnect: OnReconnect = on_reconnect
        self._own_headers = headers
        self.status_code = status_code if status is None else status
        self.background = background
        self.init_headers(merged(self._stream.headers, headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, then run the background task."""
        await self._answer(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._stream
        request = request_of(scope)
        if whole := answer(request, stream.wire, self._on_reconnect):
            await stream.aclose()
            headers = dict(self.headers) if whole.status != 204 else dict(whole.headers)
            await Response(whole.body, whole.status, headers)(scope, receive, send)
            return
        stream.run_id = run_id_for(request, stream.wire, self._on_reconnect)
        async with Watch(receive) as watch:
            watch.drop_body()  # the endpoint has read what it needs
            finished = await self._respond(watch, send)
            if isinstance(finished, Response):
                await finished(scope, watch.receive, send)

    def _respond(self, watch: Watch, send: Send) -> Awaitable[object | None]:
        return respond(
            self._stream,
            watch,
            send,
            status=self.status_code,
            headers=self.headers,
            refused=self._refused,
        )

    def _refused(self, error: Exception) -> Answer | None:
        return refusal(error, self._stream.wire, self._own_headers, self._stream.on_error)
