"""What a request gets before any source is looked at: HEAD, and the readers that come back.

A browser's EventSource reconnects by itself after every end, and would run
the generation again. It sends the last id it saw, so the first event of a
stream carries `id: <run>` and its terminal `id: <run>.end`:

- `Last-Event-ID: <run>` has lost a stream that can't be resumed: 200 with one
  error event whose id is `<run>.end`, so that it stops next time;
- `Last-Event-ID: <run>.end` has seen the end: 204. "HTTP 204 No Content
  response code" is how a server tells a browser to stop reconnecting
  (HTML Living Standard, 9.2.1). htmx makes a new EventSource then, with no id:
  on its wire, 200 and the event that it closes on.

No source is started for either. Neutral: an adapter makes its framework's
response of an `Answer`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from .errors import InvalidOption
from .headers import HEADERS
from .machine import END_SUFFIX, Machine
from .shown import shown
from .wires import Wire

__all__ = [
    "Answer",
    "OnReconnect",
    "Request",
    "answer",
    "check_on_reconnect",
    "new_run_id",
    "run_id_for",
]

OnReconnect: TypeAlias = Literal["refuse", "rerun"]
"""What a reader that comes back gets: the ending above, or the generation again."""

LOST = "connection lost, cannot resume"

_CHOICES = get_args(OnReconnect)

_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request decides. The headers' values, "" where they are missing."""

    method: str
    accept: str = ""
    last_event_id: str = ""

    @property
    def accepts_events(self) -> bool:
        """Whether it names text/event-stream, as EventSource does."""
        for entry in self.accept.split(","):
            media_type, *parameters = (piece.strip().lower() for piece in entry.split(";"))
            if media_type == "text/event-stream":
                return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", piece) for piece in parameters)
        return False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response that needs no source."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def answer(request: Request, wire: Wire, on_reconnect: OnReconnect = "refuse") -> Answer | None:
    """Return what `request` gets without a source, or None: then it gets a stream."""
    if request.method == "HEAD":
        return Answer(200, {**HEADERS, **wire.headers}, b"")
    if not _has_ids(request, wire, on_reconnect) or not request.last_event_id:
        return None
    if request.last_event_id.endswith(END_SUFFIX):
        if wire.closing:
            return Answer(200, {**HEADERS, **wire.headers}, wire.closing)
        return Answer(204, {"Cache-Control": HEADERS["Cache-Control"]}, b"")
    # An id that is not ours is hostile, or another server's: never echoed.
    known = _RUN.fullmatch(request.last_event_id)
    machine = Machine(wire, known[0] if known else new_run_id(), lambda _: LOST)
    return Answer(200, {**HEADERS, **wire.headers}, machine.fail(ConnectionError(LOST)))


def run_id_for(request: Request, wire: Wire, on_reconnect: OnReconnect = "refuse") -> str | None:
    """Return the id of a new run, or None where the stream is to have none."""
    wanted = _has_ids(request, wire, on_reconnect) and request.accepts_events
    return new_run_id() if wanted else None


def new_run_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_urlsafe(16)


def check_on_reconnect(value: str) -> None:
    """Raise `InvalidOption` for what is no `OnReconnect`."""
    if value not in _CHOICES:
        choices = " or ".join(map(repr, _CHOICES))
        raise InvalidOption(f"on_reconnect={shown(value)}: give {choices}")


def _has_ids(request: Request, wire: Wire, on_reconnect: OnReconnect) -> bool:
    check_on_reconnect(on_reconnect)
    return request.method == "GET" and wire.event_source and on_reconnect == "refuse"
