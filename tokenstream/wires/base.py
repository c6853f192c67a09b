"""What every wire is: a request and a reply, as a frozen specification."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

from ..errors import InvalidOption, UnsupportedPart
from ..parts import Data, Finish, Reasoning, Source, Step, ToolCall, ToolResult, Usage, unknown_part
from ..shown import type_name
from ..sse import Event, comment
from .reply import Reply
from .request import ChatRequest, Fields, JsonObject

__all__ = ["DONE", "Document", "Encoder", "Wire", "json_ascii", "json_string", "unsupported"]

log = logging.getLogger("tokenstream")

DONE = b"data: [DONE]\n\n"

json_string = encode_basestring_ascii
"""Text as a JSON string in ASCII: U+0085, U+2028 and U+2029 break Python's
line-splitting readers, and a lone surrogate can't be sent as UTF-8."""


def json_ascii(value: Any) -> str:
    """Return `value` as compact JSON in ASCII."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Document:
    """The body of a response that is no stream."""

    body: bytes
    content_type: str = "application/json"


class Wire:
    """A protocol that front ends speak. Sharing one object is safe: state is in its encoders.

    name: the name it is known by.
    event_source: whether a browser's EventSource reads it, so that ids are
        worth sending: they stop its reconnects.
    closing: what closes a reader for good, on a protocol whose clients start anew after
        any answer but a stream. There a reader that comes back after the end gets it, not
        a 204, and a failure before the first part is told in the stream where ids are on.
    headers: what this protocol adds to the response's headers.
    """

    name: ClassVar[str]
    event_source: ClassVar[bool] = False
    closing: ClassVar[bytes] = b""
    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        raise NotImplementedError  # every wire encodes

    def read(self, body: Fields) -> ChatRequest:
        """Return what a request's body asks for. Raises `BadRequest`, which names the field."""
        raise InvalidOption(f"wire {self.name!r} has no request of its own: read the body yourself")

    def answering(self, ask: ChatRequest) -> Wire:
        """Return the wire that answers `ask`: this one, with the model and the ids it names."""
        return self

    def document(self, reply: Reply) -> JsonObject:
        """Return the protocol's ordinary JSON body, for `stream: false`."""
        raise InvalidOption(f"wire {self.name!r} has no reply but a stream")

    def refusal(self, status: int, message: str, field: str | None = None) -> Document:
        """Return the body of an error that is told by an HTTP status. `message` is public."""
        return Document(json_ascii({"error": message}).encode("ascii"))


class Encoder:
    """Parts to frames, for one stream. Each method returns whole frames, or nothing.

    A subclass writes what its protocol has a place for. What changes the
    meaning of a reply (tool calls, data) and has no place is an error; what
    only accompanies it is left out, and said so once in the log.
    """

    wire = "?"

    overhead = 8
    """Bytes of a token's frame that are not the token, about: `data: ` and its ends."""

    verbatim: ClassVar[bool] = False
    """Whether every item is an event of its own: an empty text, and bytes, which elsewhere are
    pieces of UTF-8 text. Its keep-alive is sent as it is, too."""

    relays: str | None = None
    """The protocol whose events `relay` takes; None where they are to be encoded anew."""

    _left_out: frozenset[type] = frozenset()
    """Kinds that had no place. The class has it until there are any: an empty set is 216 bytes."""

    def opening(self) -> bytes:
        """Return what goes before the first part, which may have been encoded already.

        It is asked for then, since a first part that is refused is told with nothing sent.
        """
        return b""

    def text(self, text: str) -> bytes:
        """Return the frames of a token, which is not empty unless `verbatim`."""
        raise NotImplementedError  # every wire has text

    def texts(self, texts: list[str]) -> bytes:
        """Return the frames of many tokens: what `text` gives for each, joined.

        A wire whose frames differ in the token alone makes them in one join. Where
        that raises none of them is sent; where `text` does, those before it are.
        """
        return b"".join(map(self.text, texts))

    def reasoning(self, part: Reasoning) -> bytes:
        """Return the frames of a piece of thinking."""
        return self._leave_out(part)

    def tool_call(self, part: ToolCall) -> bytes:
        """Return the frames of a fragment of a call."""
        self._refuse(part)

    def tool_result(self, part: ToolResult) -> bytes:
        """Return the frames of a call's result."""
        self._refuse(part)

    def source(self, part: Source) -> bytes:
        """Return the frames of a source."""
        return self._leave_out(part)

    def step(self, part: Step) -> bytes:
        """Return the frames between two rounds."""
        return b""

    def usage(self, part: Usage) -> bytes:
        """Return the frames of a count; many protocols send it with the ending."""
        return b""

    def finish(self, part: Finish) -> bytes:
        """Return the frames of a finish reason; many protocols send it with the ending."""
        return b""

    def data(self, part: Data) -> bytes:
        """Return the frames of what the app adds."""
        self._refuse(part)

    def event(self, part: Event) -> bytes:
        """Return the frame of a ready event."""
        self._refuse(part)

    def relay(self, events: Sequence[tuple[str, Sequence[object]]]) -> bytes:
        """Return the frames of an upstream's own events: each one's data, and the parts in it.

        They are all that comes then, the upstream's own opening and finish among them.
        """
        raise NotImplementedError  # of who says `relays`

    def done(self) -> bytes:
        """Return the protocol's success end."""
        return DONE

    def error(self, message: str) -> bytes:
        """Return the protocol's failure end. `message` is public."""
        raise NotImplementedError  # every wire tells failure from success

    def failure(self, message: str, error: BaseException) -> bytes:
        """Return the failure end of a protocol that has kinds of errors: by `error`, its kind.

        Nothing else of `error` is public.
        """
        return self.error(message)

    def keep_alive(self) -> bytes:
        """Return what keeps an idle stream open: real clients skip it (facts: a comment)."""
        return comment("keep-alive")

    def part(self, part: object) -> bytes:
        """Return the frames of a part that is not text, by its type."""
        for kind in type(part).__mro__:
            if (encode := _BY_TYPE.get(kind)) is not None:
                return encode(self, part)
        raise unknown_part(part)

    def _leave_out(self, part: object) -> bytes:
        kind = type(part)
        if kind not in self._left_out:
            self._left_out |= {kind}
            log.info("wire %r has no place for %s: it is left out", self.wire, kind.__name__)
        return b""

    def _refuse(self, part: object) -> NoReturn:
        raise unsupported(self.wire, part)


def unsupported(wire: str, part: object) -> UnsupportedPart:
    """Return the error for a part that the wire of that name has no place for."""
    named = type_name(part)
    return UnsupportedPart(
        f"wire {wire!r} has no place for {named}: "
        f"choose a wire that has one, or do not yield {named}"
    )


_BY_TYPE: dict[type, Callable[[Encoder, Any], bytes]] = {
    Reasoning: lambda encoder, part: encoder.reasoning(part),
    ToolCall: lambda encoder, part: encoder.tool_call(part),
    ToolResult: lambda encoder, part: encoder.tool_result(part),
    Source: lambda encoder, part: encoder.source(part),
    Step: lambda encoder, part: encoder.step(part),
    Usage: lambda encoder, part: encoder.usage(part),
    Finish: lambda encoder, part: encoder.finish(part),
    Data: lambda encoder, part: encoder.data(part),
    Event: lambda encoder, part: encoder.event(part),
}
