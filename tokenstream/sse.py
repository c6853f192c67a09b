"""The WHATWG event stream, both directions, with no I/O.

Quotes in comments are from the HTML Living Standard, section 9.2,
"Server-sent events": https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

from .errors import EventTooLarge, InvalidOption
from .shown import shown

__all__ = ["MEDIA_TYPE", "Decoder", "Event", "comment", "encode", "utf8"]

MEDIA_TYPE = "text/event-stream"

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile("\r\n|\r|\n")
_FORBIDDEN = re.compile("[\r\n\0]")
_EVENT_END = b"\n\n"
_PLAIN = re.compile(r"(event: [^\n]*\n)?data: ([^\n]*)\n\n")
_NONE = repeat(None)
_RETRY_DIGITS = 18
"""More are past any clock's range, and int() of them is quadratic in Python."""


class _Fields(NamedTuple):
    # A tuple, since decoders make millions: a fifth of the time of a frozen dataclass.
    data: str
    event: str | None
    id: str | None
    retry: int | None


class Event(_Fields):
    """One event.

    data: the text; every kind of line end in it arrives as LF.
    event: its type; None is what a browser calls "message".
    id: what a browser sends back as `Last-Event-ID` when it reconnects.
    retry: milliseconds that a browser waits before it reconnects.

    Raises `InvalidOption` where `event` or `id` holds CR, LF or NUL (it would
    end the field, or be ignored), where `retry` is negative or has more than
    18 digits, and for a type that is none of these.
    """

    __slots__ = ()

    def __new__(
        cls, data: str, event: str | None = None, id: str | None = None, retry: int | None = None
    ) -> Event:
        """Return the event, checked."""
        event, id = _checked_field("event", event), _checked_field("id", id)
        if retry is not None and not (type(retry) is int and 0 <= retry < 10**_RETRY_DIGITS):
            raise InvalidOption(
                f"Event(retry={shown(retry)}): give milliseconds, 0 or more, in 18 digits"
            )
        return super().__new__(cls, _exactly_text("data", data), event, id, retry)


_unchecked = partial(tuple.__new__, Event)
"""Four fields to an event: for what the decoder has made itself."""


def _checked_field(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    value = _exactly_text(name, value)
    if _FORBIDDEN.search(value):
        raise InvalidOption(
            f"Event({name}={shown(value)}): {name} can't hold CR, LF or NUL; remove them"
        )
    return value


def _exactly_text(name: str, text: Any) -> str:
    """Return the text of a subclass, an enum say, and not what it prints as."""
    if type(text) is str:
        return text
    if not issubclass(type(text), str):
        raise InvalidOption(f"Event({name}={shown(text)}): {name} must be a str")
    return str.__str__(text)


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

    max_bytes: the most that is held of one event (8 MiB): its data, type and id,
        and a line that has no end yet. Past it `feed` raises `EventTooLarge`,
        then and ever after: what follows can't be told from the rest of what
        was too large. Raises `InvalidOption` for less than 1.

    last_event_id: the id of the last event that had one, "" before; within the
        same bound.
    retry: the last reconnection time the stream named, in milliseconds, or None.
    """

    def __init__(self, max_bytes: int = 8 << 20) -> None:
        if not (isinstance(max_bytes, int) and max_bytes > 0):
            raise InvalidOption(f"max_bytes={shown(max_bytes)}: give a number of bytes above 0")
        self.last_event_id = ""
        self.retry: int | None = None
        self._max_bytes = max_bytes
        self._partial = bytearray()  # a line still without its end
        self._at_start = True
        self._skip_lf = False
        self._overflow = False
        self._clear()

    def _clear(self) -> None:
        self._data: bytes | bytearray | None = None
        self._event: bytes | None = None
        self._id: bytes | None = None
        self._size = 0  # bytes of the three
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes; an unfinished one at the end of all is lost.

        "Once the end of the file is reached, any pending data must be discarded."
        """
        events: list[Event] = []
        self._check(0, events)  # an overflow is for ever
        # To the first line end by itself: a search for two bytes takes a hundred times as long.
        line_end = chunk.find(b"\n")
        first = 0 if self._is_between() else chunk.find(_EVENT_END, line_end) + 2
        last = chunk.rfind(_EVENT_END) + 2 if line_end >= 0 and first != 1 else 0
        if last <= first:
            self._feed(chunk, events)
            return events
        if first:
            self._feed(chunk[:first], events)
        whole = chunk[first:last]
        plain = _plain_events(whole) if len(whole) <= self._max_bytes else None
        if plain is None:
            self._feed(whole, events)
        else:
            events += plain
        if last < len(chunk):
            self._feed(chunk[last:], events)
        return events

    def _is_between(self) -> bool:
        """Tell whether nothing of an event has come yet."""
        if self._partial or self._skip_lf or self._at_start:
            return False
        return self._data is self._event is self._id is None and self._retry is None

    def _feed(self, chunk: bytes, events: list[Event]) -> None:
        """Add the events that `chunk` completes, whatever is in it."""
        for line in self._lines(chunk):
            # Before its line end came it was as large: no split makes a difference.
            if self._size + len(line) > self._max_bytes:
                self._check(len(line), events)
            if self._at_start:
                # "one leading U+FEFF BYTE ORDER MARK character must be ignored"
                self._at_start = False
                line = line.removeprefix(_BOM)
            if line:
                self._field(line)
            else:
                self._dispatch(events)
        self._check(len(self._partial), events)

    def _check(self, line_size: int, events: list[Event]) -> None:
        if self._overflow or self._size + line_size > self._max_bytes:
            self._overflow = True
            self._partial.clear()
            self._clear()
            raise EventTooLarge(
                f"an event of more than {self._max_bytes} bytes: "
                "raise Decoder(max_bytes=...) if the sender may send such",
                events,
            )

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._skip_lf and chunk:
            # The CR that ended the last chunk was half of a CRLF.
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._skip_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        rest = lines.pop()
        # A line that comes byte by byte costs its length, not its square.
        if lines and self._partial:
            lines[0] = bytes(self._partial) + lines[0]
            self._partial.clear()
        self._partial += rest
        return lines

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        # "If value starts with a U+0020 SPACE character, remove it from value."
        value = value.removeprefix(b" ")
        if name == b"data":
            self._add(value)
            return
        match name:
            case b"event":
                self._size += len(value) - len(self._event or b"")
                self._event = value
            case b"id":
                # "If the field value does not contain U+0000 NULL, then set
                # the last event ID buffer to the field value."
                if b"\0" not in value:
                    self._size += len(value) - len(self._id or b"")
                    self._id = value
            case b"retry":
                if value.isdigit() and len(value) <= _RETRY_DIGITS:
                    self._retry = self.retry = int(value)
            case _:
                pass  # a comment has no name; "Otherwise: The field is ignored."

    def _add(self, data: bytes) -> None:
        # "append a single U+000A LINE FEED": else lines of nothing had no bound.
        self._size += len(data) + 1
        if self._data is None:
            self._data = data  # as of nearly each event: no copy
            return
        if isinstance(self._data, bytes):
            # And no list: one of short lines holds twenty times what came.
            self._data = bytearray(self._data)
        self._data += b"\n"
        self._data += data

    def _dispatch(self, events: list[Event]) -> None:
        # "Set the last event ID string of the event source to the value of the
        # last event ID buffer": here, so that an event that was cut is missed.
        event_id = None if self._id is None else _text(self._id)
        if event_id is not None:
            self.last_event_id = event_id
        # "If the data buffer is an empty string, set the data buffer and the
        # event type buffer to the empty string and return."
        if self._data is not None:
            # NUL is allowed here, though not where we send: it must not kill the decoder.
            kind = _text(self._event).replace("\0", "\ufffd") if self._event else None
            events.append(_unchecked((_text(self._data), kind, event_id, self._retry)))
        self._clear()


def _plain_events(frames: bytes) -> list[Event] | None:
    """Return the events of whole frames if all are as plain as most are, else None.

    Plain is one line of data, maybe after its type. What a line at a time costs 1.5 us
    an event is here done for all of them at once.
    """
    if b"\r" in frames:
        return None
    text = frames.decode("utf-8", "replace")
    if text.startswith("data: "):
        data = text[len("data: ") : -2].split("\n\ndata: ")
        if text.count("\n") == 2 * len(data):
            return list(map(_unchecked, zip(data, _NONE, _NONE, _NONE, strict=False)))
    found = _PLAIN.findall(text)
    if "\0" in text or len(text) != sum(map(len, chain(*found))) + len("data: \n\n") * len(found):
        return None
    return [
        _unchecked((data, kind[len("event: ") : -1] or None, None, None)) for kind, data in found
    ]


def _text(value: bytes | bytearray) -> str:
    return value.decode("utf-8", "replace")
