"""What SDKs yield, to parts. Nothing of an SDK is imported: chunks are told by their shape.

One file a protocol. Objects and dicts are read alike, by the fields they hold; which
protocol an object is of is looked at once a type, of a dict each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

from ..parts import Data, Finish, Reasoning, Source, Step, ToolCall, ToolResult, Usage, unknown_part
from ..sse import Event
from .fields import Fields, Misshapen, fields_of
from .kinds import kind_of
from .openai_chat import OpenAIChat, OpenAIHelper
from .protocol import Protocol, failing, upstream_error

__all__ = ["PARTS", "Chunks"]

PARTS = (str, Reasoning, ToolCall, ToolResult, Source, Step, Usage, Finish, Data, Event)
"""The kinds of part, besides bytes."""


class Chunks:
    """One stream's chunks to parts: a protocol's chunks refer to earlier ones."""

    def __init__(self) -> None:
        self._protocols: dict[type[Protocol], Protocol] = {}
        self._by_type: dict[type, Protocol] = {}

    def parts(self, item: object) -> Iterable[object]:
        """Return the parts of what a source has yielded: of a part, itself.

        Empty for a chunk that says nothing to a reader. Raises `UnknownPart` for what is
        neither a part nor a chunk that is known; `UpstreamError` is raised, maybe after
        some parts, by a chunk that tells of one.
        """
        # By its type: what only says of itself that it is text, as a proxy does, is none.
        if issubclass(type(item), PARTS):
            if isinstance(item, Finish):
                self.finished()
            return (item,)
        try:
            return self._chunk(item)
        except Misshapen:
            raise unknown_part(item) from None

    def end(self) -> None:
        """See that each reply came to its end. Raises `UpstreamError` for one that was cut."""
        for protocol in self._protocols.values():
            protocol.end()

    def finished(self) -> None:
        """A `Finish` came, maybe of a source that stops a reply on purpose: it is no cut."""
        for protocol in self._protocols.values():
            protocol.is_open = False

    def _chunk(self, item: object) -> Iterable[object]:
        kind = type(item)
        if (known := self._by_type.get(kind)) is not None:
            return known.parts(fields_of(item))
        if kind is tuple:
            item = _message(item)
        chunk = _fields(item)
        protocol = self._protocol(kind_of(chunk))
        if protocol is None:
            if isinstance(item, dict) and (error := chunk.get("error")):
                return failing((), upstream_error(error))
            raise unknown_part(item)
        if not isinstance(item, dict | SimpleNamespace):  # which may hold anything
            self._by_type[type(item)] = protocol
        return protocol.parts(chunk)

    def _protocol(self, kind: type[Protocol] | None) -> Protocol | None:
        if kind is None:
            return None
        if (known := self._protocols.get(kind)) is not None:
            return known
        made = self._protocols[kind] = (
            OpenAIHelper(self._chat()) if kind is OpenAIHelper else kind()
        )
        return made

    def _chat(self) -> OpenAIChat:
        chat = self._protocol(OpenAIChat)
        assert isinstance(chat, OpenAIChat)
        return chat


def _fields(item: object) -> Fields:
    try:
        return fields_of(item)
    except Exception:  # it is the item's own code that says what it holds
        raise Misshapen from None


def _message(item: object) -> object:
    """Return the message of what LangGraph streams as `messages`: a message and its metadata."""
    match item:
        case (message, dict()) if not isinstance(message, dict):
            return message
    raise Misshapen
