"""An upstream's bytes to parts, at any split of them, and whether they were all. No I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from ...chunks import Chunks
from ...errors import EventTooLarge, UpstreamError
from ...parts import Relayed
from ...sse import Decoder, Event
from .failures import noted, said
from .secrets import Secrets

__all__ = ["Reply", "reply_of"]

JsonObject: TypeAlias = dict[str, Any]


class Reply:
    """One reply.

    begun: whether the reader has got a part, so that its HTTP status is out.
    complete: whether the terminal came: what follows is not read.
    """

    def __init__(self, secrets: Secrets) -> None:
        self.begun = False
        self.complete = False
        self._secrets = secrets
        self._decoder = Decoder()
        self._chunks = Chunks()
        self._held: list[tuple[str, tuple[object, ...]]] = []

    def feed(self, data: bytes) -> Iterator[object]:
        """Yield the parts that `data` completes. Raises `UpstreamError`, after those before it."""
        for event in self._events(data):
            for part in self._event(event)[1]:
                self.begun = True
                yield part

    def relay(self, data: bytes) -> Iterator[Relayed]:
        """Do what `feed` does, for a wire that speaks the same: the events, with their parts."""
        fault: UpstreamError | None = None
        try:
            for event in self._events(data):
                chunk, parts = self._event(event)
                self.begun = self.begun or bool(parts)
                if chunk is not None:
                    self._held.append((_written(event.data, chunk), parts))
        except UpstreamError as error:
            fault = error
        if self.begun and self._held:
            held, self._held = self._held, []
            yield Relayed(tuple(held))
        if fault is not None:
            raise fault

    def _events(self, data: bytes) -> Iterator[Event]:
        """Yield the events up to the terminal."""
        too_large = False
        try:
            events: Iterable[Event] = self._decoder.feed(data)
        except EventTooLarge as error:
            events, too_large = error.events, True
        for event in events:
            yield event
            if self.complete:
                return
        if too_large:
            raise self.broken("the upstream sent an event that is too large")

    def end(self) -> None:
        """The upstream has closed. Raises `UpstreamError` if that was not its reply's end."""
        if not self._is_whole():
            raise self.broken("the upstream ended in the middle of its reply")

    def broken(self, message: str, *, status: int = 502) -> UpstreamError:
        """Return the error for a stream that breaks off: with a status, while that can be told."""
        return UpstreamError(message, status=None if self.begun else status)

    def _is_whole(self) -> bool:
        return self.complete

    def _event(self, event: Event) -> tuple[JsonObject | None, tuple[object, ...]]:
        """Return the chunk that an event is, None where it is none, and the parts in it."""
        raise NotImplementedError  # each API has its own

    def _object(self, event: Event) -> JsonObject:
        """Return what an event says. Raises `UpstreamError` for what is no JSON object."""
        try:
            found = json.loads(event.data, parse_constant=_finite, parse_float=_finite)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self.broken("the upstream sent what is no JSON object")
        return found

    def _parts_of(self, chunk: JsonObject) -> tuple[object, ...]:
        error: Exception
        try:
            return tuple(self._chunks.parts(chunk))
        except UpstreamError:
            raise
        except Exception as unknown:  # whatever fields of other types lead to
            error = unknown
        raise noted(self.broken("the upstream sent what is no chunk"), error, self._secrets)

    def _failed(self, document: object) -> UpstreamError:
        """Return the error that an upstream tells of in its stream."""
        message, kind = said(document, self._secrets)
        told = self.broken(message or "the upstream failed")
        told.kind = kind
        return told


class OpenAIReply(Reply):
    """A reply in chunks of OpenAI's chat.

    `[DONE]` ends it; so does the upstream after a finish reason, as some servers
    send nothing else.
    """

    def __init__(self, secrets: Secrets) -> None:
        super().__init__(secrets)
        self._finished = False

    def _is_whole(self) -> bool:
        return self.complete or self._finished

    def _event(self, event: Event) -> tuple[JsonObject | None, tuple[object, ...]]:
        if event.data.strip() == "[DONE]":
            self.complete = True
            return None, ()
        if event.event not in (None, "message", "error"):
            return None, ()  # a ping
        chunk = self._object(event)
        if event.event == "error" or chunk.get("error"):
            raise self._failed(chunk)
        parts = self._parts_of(chunk)
        choices = chunk.get("choices")
        if isinstance(choices, list):
            self._finished = self._finished or any(it.get("finish_reason") for it in choices)
        return chunk, parts


class AnthropicReply(Reply):
    """A reply in events of Anthropic's messages; `message_stop` ends it."""

    def _event(self, event: Event) -> tuple[JsonObject | None, tuple[object, ...]]:
        chunk = self._object(event)
        kind = chunk.get("type")
        if kind == "error":
            raise self._failed(chunk)
        if kind == "ping":
            return None, ()
        parts = self._parts_of(chunk)
        self.complete = kind == "message_stop"
        return chunk, parts


def _written(data: str, chunk: JsonObject) -> str:
    """Return a chunk as one line of ASCII, as it came where it is that.

    Written anew, too, where a client would take it for an error, for the key alone.
    """
    # `in` twice, for a pattern takes 0.4 us.
    is_json = "NaN" not in data and "Infinity" not in data
    if is_json and data.isascii() and "\n" not in data and "error" not in chunk:
        return data
    told = {name: value for name, value in chunk.items() if name != "error"}
    return json.dumps(told, separators=(",", ":"))


def _finite(word: str) -> float | None:
    # Python reads, and would write, what JSON has not: NaN, and Infinity, which 1e999 becomes.
    return number if math.isfinite(number := float(word)) else None


def reply_of(protocol: str, secrets: Secrets) -> Reply:
    """Return what reads a reply in `protocol`."""
    return OpenAIReply(secrets) if protocol == "openai-chat" else AnthropicReply(secrets)
