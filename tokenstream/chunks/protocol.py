"""What the chunks of every protocol share: a reply that begins and ends, and what has no place."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from ..errors import UpstreamError
from ..parts import Finish, FinishReason, Source, ToolCall
from ..reasons import reason_from
from ..shown import shown
from .fields import Fields, fields_of, text

__all__ = ["Protocol", "failing", "upstream_error"]

log = logging.getLogger("tokenstream")


class Protocol:
    """One protocol's chunks in one stream, to parts.

    terminal: what ends a whole reply, None where none is promised.
    """

    terminal: str | None = None

    def __init__(self) -> None:
        self.is_open = False  # a reply has begun, and its end has not come
        self.has_spoken = False  # it gave a part
        self.has_calls = False
        self._began = False
        self._left_out: set[str] = set()
        self._sources: set[str] = set()

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of a chunk. Raises `Misshapen` for what is none of this protocol."""
        raise NotImplementedError

    def begin(self, found: list[object], *, is_first: bool = False) -> None:
        """Take note of a chunk and its parts, of a protocol whose replies have no word to begin.

        is_first: whether the chunk says that it is a reply's first.
        """
        # After the end a chunk may come that says nothing, OpenRouter counts in one, or cites.
        says = is_first or not all(isinstance(part, Source) for part in found)
        if not self.is_open and (says or not self._began):
            self._began = self.is_open = True
            self.has_calls = any(isinstance(part, ToolCall) for part in found)
        self.has_spoken = self.has_spoken or bool(found)

    def end(self) -> None:
        """See that the reply came to its end. Raises `UpstreamError` where it was cut."""
        if self.is_open and self.terminal is not None:
            raise UpstreamError(
                f"the upstream's reply was cut: it ended without {self.terminal}; "
                "a source that stops a reply on purpose yields Finish('stop')"
            )

    def finished(self, word: str) -> list[object]:
        """Return the part for a finish reason, in the protocol's own word; none for an unknown."""
        self.is_open = False
        reason = reason_from(word)
        if reason is None:
            self.leave_out(f"finish reason {shown(word)}")
            return []
        return [Finish(reason)]

    def stopped(self, word: str) -> list[object]:
        """Do what `finished` does, where a protocol says `stop` for a reply that ends in calls."""
        reason: FinishReason | None = reason_from(word)
        return self.finished("tool_calls" if reason == "stop" and self.has_calls else word)

    def source(self, url: str, title: str) -> list[object]:
        """Return the part for a place that the answer rests on, the first time it comes."""
        if not url or url in self._sources:
            return []
        self._sources.add(url)
        return [Source(url, title or None)]

    def leave_out(self, what: str) -> None:
        """Say once that something has no part."""
        if what not in self._left_out and len(self._left_out) < 20:
            self._left_out.add(what)
            log.info("chunks: %s has no part: it is left out", what)


def upstream_error(error: object) -> UpstreamError:
    """Return the error that an upstream tells in its stream."""
    if isinstance(error, str):
        return UpstreamError(error or "the upstream failed")
    held = fields_of(error)
    kind = held.get("type") or held.get("status") or held.get("code")
    kind = str(kind) if isinstance(kind, str | int) else None
    return UpstreamError(text(held, "message") or "the upstream failed", kind=kind)


def failing(parts: Iterable[object], error: UpstreamError) -> Iterator[object]:
    """Give the parts that came with an error, then raise it."""
    yield from parts
    raise error
