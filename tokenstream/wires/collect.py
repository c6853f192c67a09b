"""A source to the protocol's ordinary JSON body, for `stream: false`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable

from ..chunks import Chunks
from ..opening import aclose_all, aenter, close_all, enter, is_factory, open_async, open_sync
from ..parts import TextPieces
from .base import Wire
from .names import WireName, find_wire
from .reply import Reply
from .request import JsonObject
from .whole import WholeEncoder

__all__ = ["acollect", "collect"]


def collect(source: object, wire: WireName | Wire = "openai-chat") -> JsonObject:
    """Read a sync source to its end; return the protocol's ordinary JSON body.

    source: an iterable of parts, or a callable that returns one.

    Raises what the source raises, `NotASource` for one that must be awaited (see
    `acollect`), `UnknownPart`, `UnknownWire`, `InvalidOption` for a wire that has no reply
    but a stream, and `UpstreamError` for an SDK's reply that fails or is cut.
    """
    folded = _Folded(find_wire(wire))
    opened = enter(source() if is_factory(source) else source)
    items = None
    try:
        items = open_sync(opened)
        for item in items:
            folded.add(item)
    finally:
        close_all(items, opened)
    return folded.document()


async def acollect(source: object, wire: WireName | Wire = "openai-chat") -> JsonObject:
    """Do what `collect` does in a task, for a source of either kind, or an awaitable of one."""
    folded = _Folded(find_wire(wire))
    opened = source() if is_factory(source) else source
    items = None
    try:
        if inspect.isawaitable(opened):
            opened = await opened
        if isinstance(opened := await aenter(opened), AsyncIterable):
            items = open_async(opened)
            async for item in items:
                folded.add(item)
        else:
            opened = enter(opened)
            for item in open_sync(opened):
                folded.add(item)
    finally:
        await aclose_all(items, opened)
    return folded.document()


class _Folded:
    """What a source has yielded, joined."""

    def __init__(self, wire: Wire) -> None:
        if type(wire).document is Wire.document:
            wire.document(Reply())  # it raises: before the source, which may cost, is read
        self._encoder = WholeEncoder(wire)
        self._chunks = Chunks()
        self._pieces = TextPieces()

    def add(self, item: object) -> None:
        if isinstance(item, bytes | bytearray | memoryview):
            self._encoder.text(self._pieces.feed(bytes(item)))
            return
        self._encoder.text(self._pieces.end())
        for part in self._chunks.parts(item):
            if isinstance(part, str):
                self._encoder.text(str.__str__(part))
            else:
                self._encoder.part(part)

    def document(self) -> JsonObject:
        self._chunks.end()
        self._encoder.text(self._pieces.end())
        return self._encoder.document()
