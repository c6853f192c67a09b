"""The WHATWG event stream, both directions, with no I/O.

Quotes in comments are from the HTML Living Standard, section 9.2,
"Server-sent events": https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import EventTooLarge, InvalidOption
from .shown import shown

__all__ = ["MEDIA_TYPE", "Decoder", "Event", "comment", "encode", "utf8"]

MEDIA_TYPE = "text/event-stream"

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile("\r\n|\r|\n")
_FORBIDDEN = re.compile("[\r\n\0]")


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    data: the text; every kind of line end in it arrives as LF.
    event: its type; None is what a browser calls "message".
    id: what a browser sends back as `Last-Event-ID` when it reconnects.
    retry: milliseconds that a browser waits before it reconnects.

    Raises `InvalidOption` where `event` or `id` holds CR, LF or NUL (it would
    end the field, or be ignored), or `retry` is negative.
    """

    data: str
    event: str | None = None
    id: str | None = None
    retry: int | None = None

    def __post_init__(self) -> None:
        if type(self.data) is str and self.event is None and self.id is None and self.retry is None:
            return  # as nearly each that is decoded
        for name, text in (("data", self.data), ("event", self.event), ("id", self.id)):
            if not isinstance(text, str) and (text is not None or name == "data"):
                raise InvalidOption(f"Event({name}={shown(text)}): {name} must be a str")
        for name, value in (("event", self.event), ("id", self.id)):
            if value is not None and _FORBIDDEN.search(value):
                raise InvalidOption(
                    f"Event({name}={shown(value)}): {name} can't hold CR, LF or NUL; remove them"
                )
        if self.retry is not None and (type(self.retry) is not int or self.retry < 0):
            raise InvalidOption(f"Event(retry={self.retry!r}): give milliseconds, 0 or more")


def utf8(text: str) -> bytes:
    """Encode `text`; a lone surrogate becomes U+FFFD instead of killing the stream."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        # By way of UTF-16, so that a surrogate pair still is one character.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def data_lines(text: str) -> str:
    """Return `text` as `data:` lines, with the space that google-genai insists on."""
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    return "data: " + text.replace("\n", "\ndata: ") + "\n"


def encode(event: Event) -> bytes:
    """Return the event as a whole frame: LF only, UTF-8, closed by its blank line."""
    fields = ""
    if event.id is not None:
        fields += f"id: {event.id}\n"
    if event.event is not None:
        fields += f"event: {event.event}\n"
    if event.retry is not None:
        fields += f"retry: {event.retry}\n"
    return utf8(fields + data_lines(event.data) + "\n")


def comment(text: str = "") -> bytes:
    """Return `text` as a comment and a blank line: no reader shows it, proxies see life."""
    lines = _LINE_END.sub("\n", text).replace("\n", "\n: ")
    return utf8(f": {lines}\n\n")


class Decoder:
    """Bytes in, events out, at any split of the bytes.

    max_bytes: the most that is held of one event (8 MiB): its data, and a line
    that has no end yet. Past it `feed` raises `EventTooLarge`, then and ever
    after: what follows can't be told from the rest of what was too large.

    last_event_id: the id of the last event that had one, "" before.
    retry: the last reconnection time the stream named, in milliseconds, or None.
    """

    def __init__(self, max_bytes: int = 8 << 20) -> None:
        self.last_event_id = ""
        self.retry: int | None = None
        self._max_bytes = max_bytes
        self._partial: list[bytes] = []  # a line still without its end
        self._partial_size = 0
        self._at_start = True
        self._skip_lf = False
        self._overflow = False
        self._clear()

    def _clear(self) -> None:
        self._data: list[str] = []
        self._data_size = 0
        self._event: str | None = None
        self._id: str | None = None
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes; an unfinished one at the end of all is lost.

        "Once the end of the file is reached, any pending data must be discarded."
        """
        self._check(0)  # an overflow is for ever, and holds nothing more
        events: list[Event] = []
        for line in self._lines(chunk):
            # Before its line end came it was as large: no split makes a difference.
            self._check(len(line))
            if self._at_start:
                # "one leading U+FEFF BYTE ORDER MARK character must be ignored"
                self._at_start = False
                line = line.removeprefix(_BOM)
            if line:
                self._field(line)
            else:
                self._dispatch(events)
        self._check(self._partial_size)
        return events

    def _check(self, line_size: int) -> None:
        if self._overflow or self._data_size + line_size > self._max_bytes:
            self._overflow = True
            raise EventTooLarge(
                f"an event of more than {self._max_bytes} bytes: "
                "raise Decoder(max_bytes=...) if the sender may send such"
            )

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._skip_lf and chunk:
            # The CR that ended the last chunk was half of a CRLF.
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._skip_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *rest = chunk.split(b"\n")
        # Pieces are joined when the line is whole: a line that comes byte by
        # byte costs its length, not its square.
        self._partial.append(first)
        self._partial_size += len(first)
        if not rest:
            return []
        lines = [b"".join(self._partial), *rest]
        self._partial = [lines.pop()]
        self._partial_size = len(self._partial[0])
        return lines

    def _field(self, line: bytes) -> None:
        name, _, raw = line.partition(b":")
        # "If value starts with a U+0020 SPACE character, remove it from value."
        value = raw.removeprefix(b" ").decode("utf-8", "replace")
        match name:
            case b"data":
                self._data.append(value)
                # "append a single U+000A LINE FEED": else lines of nothing had no bound.
                self._data_size += len(raw) + 1
            case b"event":
                # Allowed here, though not where we send: it must not kill the decoder.
                self._event = value.replace("\0", "\ufffd") or None
            case b"id":
                # "If the field value does not contain U+0000 NULL, then set
                # the last event ID buffer to the field value."
                if "\0" not in value:
                    self._id = value
            case b"retry":
                # Digits past any clock's range are no time, and cost a quadratic int().
                if value.isascii() and value.isdigit() and len(value) < 19:
                    self._retry = self.retry = int(value)
            case _:
                pass  # a comment has no name; "Otherwise: The field is ignored."

    def _dispatch(self, events: list[Event]) -> None:
        # "Set the last event ID string of the event source to the value of the
        # last event ID buffer": here, so that an event that was cut is missed.
        if self._id is not None:
            self.last_event_id = self._id
        # "If the data buffer is an empty string, set the data buffer and the
        # event type buffer to the empty string and return."
        if self._data:
            events.append(Event("\n".join(self._data), self._event, self._id, self._retry))
        self._clear()
