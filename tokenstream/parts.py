"""What a source may yield: text is a plain `str`, the rest is named here.

Parts are frozen and small. A wire decides how, and whether, each is sent;
`Usage` and `Finish` always reach `Result`.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from .errors import InvalidOption, UnknownPart
from .shown import shown, type_name

__all__ = [
    "Data",
    "Finish",
    "FinishReason",
    "Interruptible",
    "Reasoning",
    "Relayed",
    "Relays",
    "Source",
    "Step",
    "TextPieces",
    "ToolCall",
    "ToolResult",
    "Usage",
    "unknown_part",
]

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thinks before it answers.

    `signature` is what Anthropic's models sign a block of thinking with.
    """

    text: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A fragment of a call.

    The first of an `index` carries `id` and `name`; `arguments` is a delta.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the call `id` gave, run by the server."""

    id: str
    output: Any
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A place that the answer rests on."""

    url: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One round of model and tools ends here and the next begins."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, as the model counts them."""

    input_tokens: int
    output_tokens: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finish:
    """Why the model stopped. Raises `InvalidOption` for a reason that is none of the four."""

    reason: FinishReason

    def __post_init__(self) -> None:
        if self.reason not in get_args(FinishReason):
            reasons = ", ".join(get_args(FinishReason))
            raise InvalidOption(
                f"Finish({shown(self.reason)}): the reason must be one of {reasons}"
            )


@dataclass(frozen=True, slots=True)
class Data:
    """What the app adds: `value` must be something that `json.dumps` takes."""

    name: str
    value: Any


@runtime_checkable
class Interruptible(Protocol):
    """A source whose blocked `next()` another thread may end.

    Closing an iterator while a thread is inside its `next()` is an error in
    general. A source that has this method says that it may be called at any
    time, from any thread, more than once: `next()` then raises StopIteration.
    """

    def interrupt(self) -> None:
        """End the iteration; return at once."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """Events of a protocol as an upstream sent them, for a wire that speaks it.

    events: the data of each, a JSON object in one line of ASCII, and the parts in it.
    """

    events: tuple[tuple[str, tuple[object, ...]], ...]


class Relays(Protocol):
    """A source that can give what its upstream sent as it came.

    It is known by the name of its method, which an app's own source has for nothing else.
    """

    def relay_protocol(self, protocol: str) -> None:
        """Give `Relayed` and no parts, if the upstream speaks `protocol`. Called before it is read.

        It holds back the events that have no part until one comes that has, and gives no
        terminal and no error: those are the wire's.
        """


class TextPieces:
    """Bytes to text, a piece at a time: a character split over two pieces arrives whole."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        """Return the text that `piece` completes."""
        return self._decoder.decode(piece)

    def end(self) -> str:
        """Return U+FFFD for a character that never was completed, else the empty string."""
        return self._decoder.decode(b"", True)


def unknown_part(item: object) -> UnknownPart:
    """Return the error for an item that is no part."""
    return UnknownPart(
        f"the source yielded {type_name(item)} ({shown(item)}), which is no part of a stream: "
        "yield str, bytes, or a part from tokenstream "
        "(Reasoning, ToolCall, ToolResult, Source, Step, Usage, Finish, Data, sse.Event)"
    )
