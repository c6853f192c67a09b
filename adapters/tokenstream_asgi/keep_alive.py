"""Comments into the idle event streams of any ASGI app."""

from __future__ import annotations

import asyncio
import re

from tokenstream import sse
from tokenstream.asgi import App, Message, Receive, Scope, Send
from tokenstream.clock import current_clock
from tokenstream.errors import InvalidOption
from tokenstream.gates import Alarm

__all__ = ["KeepAliveMiddleware"]

_BLANK_LINE = (b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n")
_ID_FIELD = re.compile(rb"(?:\A|[\r\n])id:")


class KeepAliveMiddleware:
    """`app = KeepAliveMiddleware(app, interval=15)`.

    interval: idle seconds before a comment is sent into an event stream.

    Comments go only between whole events. Left alone are other content types,
    encoded bodies, and answers to HEAD.
    """

    def __init__(self, app: App, interval: float = 15.0) -> None:
        if not interval > 0:
            raise InvalidOption(f"interval={interval!r}: give seconds above 0")
        self._app = app
        self._interval = interval

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app."""
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        writer = _IdleWriter(send, self._interval)
        try:
            await self._app(scope, receive, writer.send)
        finally:
            writer.close()


class _IdleWriter:
    """Passes messages on, and writes a comment where none came for a while.

    One lazy timer, and a task only for the comment itself; the app's own send
    waits for one that is under way.
    """

    def __init__(self, send: Send, interval: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._send = send
        self._interval = interval
        self._clock = current_clock.get()
        self._alarm = Alarm(self._clock, self)
        self._is_events = False
        self._tail = b""
        self._has_ids = False
        self._comment: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        self._alarm.clear()
        if self._comment is not None:
            # Shielded: a comment cut short would end inside of the stream.
            await asyncio.shield(self._comment)
        await self._send(message)
        if message["type"] == "http.response.start":
            self._is_events = _is_plain_event_stream(message)
            if self._is_events:
                self._set_alarm()
        elif self._is_events and message["type"] == "http.response.body":
            self._note(message)

    def wake(self) -> None:
        """Write a comment: the alarm rings."""
        self._comment = self.loop.create_task(self._write_comment())

    def close(self) -> None:
        self._alarm.cancel()
        if self._comment is not None:
            self._comment.cancel()

    def _note(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        text = self._tail + body
        self._has_ids = self._has_ids or _ID_FIELD.search(text) is not None
        self._tail = text[-4:]
        if message.get("more_body", False):
            self._set_alarm()

    def _set_alarm(self) -> None:
        # Before the first event, and after a whole one.
        if not self._tail or self._tail.endswith(_BLANK_LINE):
            self._alarm.set(self._clock.now() + self._interval)

    async def _write_comment(self) -> None:
        frame = sse.comment("keep-alive")
        if self._has_ids:
            # After an id some clients take any blank line for an event.
            frame = frame.removesuffix(b"\n")
        try:
            await self._send({"type": "http.response.body", "body": frame, "more_body": True})
        except OSError:
            return  # the reader has gone; the app's next send says so
        finally:
            self._comment = None
        self._set_alarm()


def _is_plain_event_stream(start: Message) -> bool:
    headers = {bytes(name).lower(): bytes(value) for name, value in start.get("headers", [])}
    media_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    is_plain = media_type == b"text/event-stream" and encoding == b"identity"
    # A body of a length that is told has no place for more.
    return is_plain and b"content-length" not in headers
