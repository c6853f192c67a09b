"""The events of an `EventSourceResponse`, and their wire: the bytes that sse-starlette writes."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from tokenstream import Wire, sse
from tokenstream.errors import InvalidOption, UnknownPart
from tokenstream.wires.base import Encoder, json_ascii

__all__ = ["CRLF", "EventSource", "JSONServerSentEvent", "ServerSentEvent", "check_separator"]

log = logging.getLogger("tokenstream")

CRLF = "\r\n"

_LINE_END = re.compile("\r\n|\r|\n")
_FORBIDDEN = re.compile("[\r\n\0]")


def check_separator(sep: str) -> str:
    """Return what ends a line. Raises `InvalidOption` for what an event stream has no such end."""
    if sep not in (CRLF, "\r", "\n"):
        raise InvalidOption(f"sep must be one of: \\r\\n, \\r, \\n, got: {sep!r}")
    return sep


class ServerSentEvent:
    """One event, or a comment, as sse-starlette has it.

    data: what `str` makes of it is sent, its lines as lines of data; None for
        no data, and then no reader dispatches an event.
    event, id: one line each. CR, LF and NUL are left out of them: they would
        begin another field, or have the id ignored.
    retry: milliseconds that a browser waits before it reconnects. What is no
        int is a `TypeError` of `encode`.
    comment: what no reader shows, ahead of the rest.
    sep: what ends a line, CRLF, LF or CR; None is CRLF, also where the
        response has another.

    Raises `InvalidOption`, a `ValueError`, for another `sep`.
    """

    def __init__(
        self,
        data: object = None,
        *,
        event: str | None = None,
        id: str | None = None,
        retry: int | None = None,
        comment: str | None = None,
        sep: str | None = None,
    ) -> None:
        self.data = data
        self.event = event
        self.id = id
        self.retry = retry
        self.comment = comment
        self.sep = check_separator(CRLF if sep is None else sep)

    def encode(self) -> bytes:
        """Return the frame, in UTF-8, closed by its blank line."""
        lines: list[str] = []
        if self.comment is not None:
            lines += [f": {line}" for line in _LINE_END.split(str(self.comment))]
        if self.id is not None:
            lines.append(f"id: {_one_line(self.id)}")
        if self.event is not None:
            lines.append(f"event: {_one_line(self.event)}")
        if self.data is not None:
            lines += [f"data: {line}" for line in _LINE_END.split(str(self.data))]
        if self.retry is not None:
            if not isinstance(self.retry, int):
                raise TypeError(f"retry argument must be int, got: {self.retry!r}")
            lines.append(f"retry: {self.retry}")
        return sse.utf8(self.sep.join([*lines, "", ""]))


class JSONServerSentEvent(ServerSentEvent):
    """One event whose data is sent as JSON, in ASCII.

    data: what `json.dumps` takes; None for no data. The rest as for
    `ServerSentEvent`.
    """

    def __init__(
        self,
        data: object = None,
        *,
        event: str | None = None,
        id: str | None = None,
        retry: int | None = None,
        comment: str | None = None,
        sep: str | None = None,
    ) -> None:
        text = None if data is None else json_ascii(data)
        super().__init__(text, event=event, id=id, retry=retry, comment=comment, sep=sep)


def _one_line(value: object) -> str:
    return _FORBIDDEN.sub("", str(value))


@dataclass(frozen=True)
class EventSource(Wire):
    """The wire of an `EventSourceResponse`: each item an event, and no terminal.

    sep: what ends a line. ping: makes what is sent while nothing comes, None
    for a comment. A browser's ids are the app's own.
    """

    name = "event-source"
    sep: str = CRLF
    ping: Callable[[], object] | None = None

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _Events(self.sep, self.ping)


class _Events(Encoder):
    wire = "event-source"
    verbatim = True

    def __init__(self, sep: str, ping: Callable[[], object] | None) -> None:
        self._sep = sep
        self._end = sep + sep
        self._ping = ping
        self._has_ids = False

    def text(self, text: str) -> bytes:
        if "\n" in text or "\r" in text:
            return ServerSentEvent(text, sep=self._sep).encode()
        return sse.utf8(f"data: {text}{self._end}")

    def texts(self, texts: list[str]) -> bytes:
        whole = "".join(texts)
        if "\n" in whole or "\r" in whole:
            return super().texts(texts)
        return sse.utf8("data: " + f"{self._end}data: ".join(texts) + self._end)

    def part(self, part: object) -> bytes:
        if isinstance(part, bytes | bytearray | memoryview):
            return bytes(part)  # frames already
        if isinstance(part, dict):
            part = ServerSentEvent(**{**part, "sep": self._sep})
        if (frame := self._encoded(part)) is not None:
            return frame
        try:
            return super().part(part)
        except UnknownPart:
            return self.text(str(part))

    def event(self, part: sse.Event) -> bytes:
        self._has_ids = self._has_ids or part.id is not None
        fields = {"event": part.event, "id": part.id}
        return ServerSentEvent(part.data, **fields, retry=part.retry, sep=self._sep).encode()

    def done(self) -> bytes:
        return b""

    def error(self, message: str) -> bytes:
        return ServerSentEvent(message, event="error", sep=self._sep).encode()

    def keep_alive(self) -> bytes:
        if self._ping is not None:
            try:
                ping = self._ping()
                return self.text(ping) if isinstance(ping, str) else self.part(ping)
            except Exception:
                log.exception("ping_message_factory raised: a comment is sent instead")
        # After an id some clients take any blank line for an event.
        return (": ping" + (self._sep if self._has_ids else self._end)).encode()

    def _encoded(self, part: object) -> bytes | None:
        """Return the frame of what encodes itself: our events, and those of sse-starlette."""
        encode = getattr(part, "encode", None)
        frame = encode() if callable(encode) else None
        if not isinstance(frame, bytes):
            return None
        self._has_ids = self._has_ids or getattr(part, "id", None) is not None
        return frame
