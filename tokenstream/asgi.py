"""What the ASGI adapters share: the watch on `receive()`, and the body's way out.

Source: the ASGI specification, "HTTP & WebSocket ASGI Message Format" 2.x.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

from . import process
from .errors import BodyDropped, BodyTooLarge, ReaderLeft
from .reconnect import Answer, Request
from .refusal import refusal
from .result import Result
from .stream import TokenStream

__all__ = [
    "App",
    "Message",
    "Receive",
    "Refused",
    "Scope",
    "Send",
    "Watch",
    "byte_limit",
    "read_body",
    "request_of",
    "respond",
    "respond_whole",
    "send_whole",
]

log = logging.getLogger("tokenstream")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Refused: TypeAlias = Callable[[Exception], Answer | None]
"""What a reader gets for an error before its reply; None: it is raised."""

BODY_BUFFER = 1 << 16
"""Bytes of the request's body that the watch holds for a handler that has not read them."""

UNSEEN_BYTES = 8 << 20
"""Bytes that a stream may have where `send()` never waits.

A reader that stops reading is not seen there, and all that its source gives
is held in memory. This is what a server that waits holds for one, with the
kernel, and a thousand times a long reply of a chat.
"""


def byte_limit() -> int | None:
    """Return how many bytes a stream may have under this server, None where `send()` waits.

    daphne's never does. That it is imported is no proof, as an app in
    `INSTALLED_APPS` it is so under any server; that Twisted runs is one.
    """
    reactor = sys.modules.get("twisted.internet.reactor")
    if "daphne.server" not in sys.modules or not getattr(reactor, "running", False):
        return None
    _warn_once()
    return UNSEEN_BYTES


@functools.cache
def _warn_once() -> None:
    log.warning(
        "daphne does not wait for slow readers: a stream ends with an error after %d bytes. "
        "uvicorn, hypercorn, granian and gunicorn wait",
        UNSEEN_BYTES,
    )


class Watch:
    """Owns the real `receive()` from the start, and tells when the reader leaves.

    `receive()` also carries the request's body: a handler reads it from this
    object's `receive`, a bounded copy that the watch feeds. While the copy is
    full nothing is received, and so no leaving seen: once the stream begins,
    what nobody has read by then is dropped.
    """

    __slots__ = (
        "_changed",
        "_dropped",
        "_held",
        "_keeps",
        "_messages",
        "_receive",
        "_task",
        "_when_left",
        "left",
    )

    def __init__(self, receive: Receive) -> None:
        self.left = False
        self._receive = receive
        self._messages: list[Message] = []  # an idle deque holds 760 bytes
        self._held = 0
        self._keeps = True
        self._dropped = False
        self._changed: asyncio.Event | None = None  # made when one waits: it holds 880 bytes
        self._when_left: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watch:
        self._task = asyncio.create_task(self._run(), name="tokenstream-watch")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None  # its exception knows this object, and that the stream

    def when_left(self, callback: Callable[[], None]) -> None:
        """Make `callback` when the reader leaves, or now if it has."""
        self._when_left = callback
        if self.left:
            callback()

    def drop_body(self) -> None:
        """Keep no more of the request's body than is held: see a leaving reader behind the rest."""
        self._keeps = False
        self._tell()

    async def receive(self) -> Message:
        """Return the next message of the request's body, or `http.disconnect`.

        Raises `BodyDropped` where the body was not read before the stream began.
        """
        while not self._messages:
            if self._dropped:
                raise BodyDropped(
                    "the request's body was not read before the first token, and is gone: "
                    "read it first"
                )
            if self.left:
                return {"type": "http.disconnect"}
            await self._change()
        message = self._messages.pop(0)
        self._held -= len(message.get("body", b""))
        self._tell()
        return message

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = asyncio.Event()
        await self._changed.wait()

    def _tell(self) -> None:
        """Let whoever waits for a change look again."""
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def _run(self) -> None:
        try:
            while (message := await self._receive())["type"] == "http.request":
                if self._keeps:
                    self._messages.append(message)
                    self._held += len(message.get("body", b""))
                else:
                    self._dropped = True
                self._tell()
                while self._keeps and self._held >= BODY_BUFFER:
                    await self._change()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("receive() raised: the reader counts as gone")
        self.left = True
        self._tell()
        if self._when_left is not None:
            self._when_left()


async def read_body(receive: Receive, limit: int = 1 << 20) -> bytes:
    """Return the request's whole body.

    limit: bytes (1 MiB). Raises `BodyTooLarge` past it, which the decorator
    answers with 413, and `ReaderLeft` where the reader went away before the end.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ReaderLeft(f"the reader left after {size} bytes of the request's body")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise BodyTooLarge(
                f"the request's body is larger than {limit} bytes, which is the limit here"
            )
        if not message.get("more_body", False):
            return b"".join(pieces)


def request_of(scope: Scope) -> Request:
    """Return what of the request decides whether it gets a stream."""
    headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
    return Request(
        method=scope["method"],
        accept=headers.get(b"accept", b"").decode("latin-1"),
        last_event_id=headers.get(b"last-event-id", b"").decode("latin-1"),
    )


async def send_whole(send: Send, answer: Answer) -> None:
    """Send a response that is no stream."""
    length = {"Content-Length": str(len(answer.body))} if answer.body else {}
    await send(_start(answer.status, {**answer.headers, **length}))
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def respond(
    stream: TokenStream,
    watch: Watch,
    send: Send,
    *,
    status: int,
    headers: Mapping[str, str],
    refused: Refused | None = None,
) -> object | None:
    """Send the stream as a response, from its first part to `on_finish`.

    Waits for the first part before the status goes out: what the source raises
    until then is answered as `refused` has it (`refusal`), or raised here. Returns
    None, or the finished response that the source returned instead, of which
    nothing is sent.
    """
    stream.byte_limit = byte_limit()
    watch.when_left(stream.leave)
    try:
        if (over := await _primed(stream, watch, send, refused)) is not None:
            return over.response
        watch.drop_body()
        if not watch.left:
            await _send_stream(stream, watch, send, status, headers)
    finally:
        await stream.aclose()
    return None


async def respond_whole(
    stream: TokenStream,
    watch: Watch,
    send: Send,
    *,
    whole: Callable[[Result | None, bytes], Answer],
    refused: Refused,
) -> object | None:
    """Read the stream to its end, and send what `whole` makes of it; else do as `respond`."""
    watch.when_left(stream.leave)
    try:
        if (over := await _primed(stream, watch, send, refused)) is not None:
            return over.response
        watch.drop_body()
        body = b"".join([chunk async for chunk in stream])
        if not watch.left:
            await send_whole(send, whole(stream.result, body))
    finally:
        await stream.aclose()
    return None


async def _send_stream(
    stream: TokenStream, watch: Watch, send: Send, status: int, headers: Mapping[str, str]
) -> None:
    is_open = True

    def write(chunk: bytes, more: bool) -> Awaitable[None]:
        nonlocal is_open
        # A server that ends may stop its loop after its last response (granian does),
        # and with it the clean-up: so the response ends after the source, then.
        is_open = more or process.is_ending()
        return send({"type": "http.response.body", "body": chunk, "more_body": is_open})

    try:
        await stream.write_to(write, opening=send(_start(status, headers)))
        if is_open and not watch.left:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except (OSError, ReaderLeft):
        # Servers of ASGI 2.4 raise the former where the reader has gone.
        stream.leave(unsent=True)


@dataclass(frozen=True, slots=True)
class _Over:
    """There is no stream. response: the finished one that the source returned, if it did."""

    response: object | None = None


async def _primed(
    stream: TokenStream, watch: Watch, send: Send, refused: Refused | None
) -> _Over | None:
    try:
        response = await stream.aprime()
    except Exception as error:
        if watch.left:
            # Nobody is there to be told, and a server would log it as its app's error.
            log.debug("the source failed when the reader had left", exc_info=True)
            return _Over()
        answer = (
            refusal(error, stream.wire, None, stream.on_error)
            if refused is None
            else refused(error)
        )
        if answer is None:
            raise
        await send_whole(send, answer)
        return _Over()
    return None if response is None else _Over(response)


def _start(status: int, headers: Mapping[str, str]) -> Message:
    raw = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]
    return {"type": "http.response.start", "status": status, "headers": raw}
