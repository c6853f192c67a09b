"""The response that takes what sse-starlette's takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tokenstream import TokenStream, sse
from tokenstream.asgi import Watch, respond
from tokenstream.errors import InvalidOption
from tokenstream.headers import HEADERS, merged
from tokenstream.host import CLEAN_UP_SECONDS, Host

from .beside import Beside, CloseHandler, DataSender, ShutdownEvent, Work
from .events import CRLF, EventSource, check_separator

__all__ = ["EventSourceResponse"]

# The head is sent at once, and a stream may be silent for hours.
_DEFAULTS: Mapping[str, Any] = {"prime": 0, "source_timeout": None}


class EventSourceResponse(Response):
    """Server-sent events, with the arguments and the items of sse-starlette 3.7.

    content: a source, see `tokenstream.TokenStream`. Of its items bytes are
        sent as they are, a `ServerSentEvent` (theirs, too) and a dict of its
        arguments as an event, anything else as an event with its `str`.
    status_code, headers, media_type, background: the response's.
    ping: idle seconds before a ping (15); 0 turns it off.
    sep: what ends a line: CRLF (the default), LF or CR.
    ping_message_factory: makes the ping, an item; a comment if None.
    data_sender_callable: run beside the stream, and cancelled at its end; what
        it raises fails the stream.
    send_timeout: seconds one write may take before the reader counts as gone
        (30), or None.
    client_close_handler_callable: called, and awaited, once the reader has
        left, with the message that says so.
    shutdown_event: an `asyncio.Event` or `anyio.Event` that the app sets when
        its server ends.
    shutdown_grace_period: seconds that the source then has to end by itself (0).
    cleanup_timeout: seconds that the response waits for the source's clean-up
        (30), or None for as long as it takes.
    **stream_options: others of `TokenStream`, such as `on_finish` and
        `on_error`; `prime` is 0 here, and `source_timeout` None.

    A stream that ends without an error is a success; nothing marks its end.
    What the source raises is logged, and sent as `event: error` with a message
    that names no internals.

    Raises `InvalidOption`, a `ValueError`, and `TypeError` for a `ping` that is
    no number.
    """

    media_type = sse.MEDIA_TYPE

    DEFAULT_PING_INTERVAL: float = 15
    DEFAULT_SEPARATOR = CRLF

    def __init__(
        self,
        content: object,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = sse.MEDIA_TYPE,
        background: BackgroundTask | None = None,
        ping: float | None = None,
        sep: str | None = None,
        ping_message_factory: Callable[[], object] | None = None,
        data_sender_callable: DataSender | None = None,
        send_timeout: float | None = 30.0,
        client_close_handler_callable: CloseHandler | None = None,
        shutdown_event: ShutdownEvent | None = None,
        shutdown_grace_period: float = 0,
        cleanup_timeout: float | None = CLEAN_UP_SECONDS,
        **stream_options: Any,
    ) -> None:
        self._work = Work(
            data_sender_callable,
            client_close_handler_callable,
            shutdown_event,
            shutdown_grace_period,
            cleanup_timeout,
        )
        self._stream = TokenStream(
            content,
            EventSource(check_separator(sep or self.DEFAULT_SEPARATOR), ping_message_factory),
            keep_alive=_keep_alive(self.DEFAULT_PING_INTERVAL if ping is None else ping),
            send_timeout=send_timeout,
            host=Host(clean_up_seconds=cleanup_timeout),
            **{**_DEFAULTS, **stream_options},
        )
        self.status_code = status_code
        self.media_type = media_type
        self.background = background
        # Starlette writes the content type, with its charset.
        ours = {name: value for name, value in HEADERS.items() if name != "Content-Type"}
        self.init_headers(merged(ours, headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, then run the background task."""
        if scope["type"] == "websocket":
            receive, send = _denial(receive, send)
        if scope.get("method") == "HEAD":
            await self._stream.aclose()
            await self._send_head(send)
        else:
            await self._send_stream(receive, send)
        if self.background is not None:
            await self.background()

    async def _send_stream(self, receive: Receive, send: Send) -> None:
        stream = self._stream
        async with Beside(self._work, stream, receive) as beside, Watch(beside.receive) as watch:
            watch.drop_body()  # the endpoint has read what it needs
            await respond(stream, watch, send, status=self.status_code, headers=self.headers)

    async def _send_head(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _keep_alive(ping: float) -> float | None:
    if not isinstance(ping, int | float):
        raise TypeError(f"ping interval must be int or float, got: {ping!r}")
    if ping < 0:
        raise InvalidOption(f"ping={ping!r}: the interval must be >= 0, and 0 turns it off")
    return ping or None


def _denial(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Return the two for a WebSocket that is refused: a response in messages of its own."""

    async def received() -> Message:
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return {"type": "http.disconnect"}

    async def sent(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return received, sent
