"""An upstream's bytes to parts, at any split of them, and whether they were all. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...chunks import Chunks
from ...errors import EventTooLarge, UpstreamError
from ...sse import Decoder, Event
from .failures import noted, said
from .secrets import Secrets

__all__ = ["Reply", "reply_of"]


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

    def feed(self, data: bytes) -> Iterator[object]:
        """Yield the parts that `data` completes. Raises `UpstreamError`, after those before it."""
        try:
            events = self._decoder.feed(data)
        except EventTooLarge as error:
            yield from self._parts(list(error.events))
            raise self.broken("the upstream sent an event that is too large") from None
        yield from self._parts(events)

    def end(self) -> None:
        """The upstream has closed. Raises `UpstreamError` if that was not its reply's end."""
        if not self._is_whole():
            raise self.broken("the upstream ended in the middle of its reply")

    def broken(self, message: str, *, status: int = 502) -> UpstreamError:
        """Return the error for a stream that breaks off: with a status, while that can be told."""
        return UpstreamError(message, status=None if self.begun else status)

    def _is_whole(self) -> bool:
        return self.complete

    def _parts(self, events: list[Event]) -> Iterator[object]:
        for event in events:
            for part in self._event(event):
                self.begun = True
                yield part
            if self.complete:
                return

    def _event(self, event: Event) -> Iterator[object]:
        raise NotImplementedError  # each API has its own

    def _object(self, event: Event) -> dict[str, Any]:
        """Return what an event says. Raises `UpstreamError` for what is no JSON object."""
        try:
            found = json.loads(event.data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self.broken("the upstream sent what is no JSON object")
        return found

    def _parts_of(self, chunk: dict[str, Any]) -> Iterator[object]:
        error: Exception
        try:
            yield from self._chunks.parts(chunk)
            return
        except UpstreamError:
            raise
        except Exception as unknown:  # whatever fields of other types lead to
            error = unknown
        raise noted(self.broken("the upstream sent what is no chunk"), error, self._secrets)

    def _failed(self, document: object) -> UpstreamError:
        """Return the error that an upstream tells of in its stream."""
        message, kind = said(document)
        told = self.broken(self._secrets.hide(message or "the upstream failed"))
        told.kind = None if kind is None else self._secrets.hide(kind)
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

    def _event(self, event: Event) -> Iterator[object]:
        if event.data.strip() == "[DONE]":
            self.complete = True
            return
        if event.event not in (None, "message", "error"):
            return  # a ping
        chunk = self._object(event)
        if event.event == "error" or chunk.get("error") is not None:
            raise self._failed(chunk)
        yield from self._parts_of(chunk)
        choices = chunk.get("choices")
        if isinstance(choices, list):
            self._finished |= any(it.get("finish_reason") for it in choices)


class AnthropicReply(Reply):
    """A reply in events of Anthropic's messages; `message_stop` ends it."""

    def _event(self, event: Event) -> Iterator[object]:
        chunk = self._object(event)
        match chunk.get("type"):
            case "error":
                raise self._failed(chunk)
            case "ping":
                return
            case kind:
                yield from self._parts_of(chunk)
                self.complete = kind == "message_stop"


def reply_of(protocol: str, secrets: Secrets) -> Reply:
    """Return what reads a reply in `protocol`."""
    return OpenAIReply(secrets) if protocol == "openai-chat" else AnthropicReply(secrets)
