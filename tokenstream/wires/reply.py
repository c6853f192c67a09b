"""A whole reply, for `stream: false`: its parts in their order, what belongs together joined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ..calls import Call, Calls
from ..parts import Data, Finish, FinishReason, Reasoning, Source, Step, ToolCall, ToolResult, Usage

__all__ = ["Block", "Reply"]

Block: TypeAlias = str | Reasoning | ToolCall | ToolResult | Source | Step | Data
"""Text, thinking and calls are whole; the others are as they came."""


@dataclass(slots=True)
class _Words:
    """Text, or thinking, that is still being joined."""

    thinks: bool
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None

    def whole(self) -> str | Reasoning:
        words = "".join(self.pieces)
        return Reasoning(words, self.signature) if self.thinks else words


class Reply:
    """A whole reply.

    usage: the count that came last, None where none came.
    stated_reason: why the model stopped, None where it did not say so; see `reason`.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.stated_reason: FinishReason | None = None
        self._calls = Calls()
        self._order: list[_Words | Call | ToolResult | Source | Step | Data] = []

    def add(self, part: object) -> None:
        """Add a part, which may be text."""
        match part:
            case "" | Reasoning("", None):
                pass  # it would part what belongs together
            case str():
                self._words(thinks=False).pieces.append(part)
            case Reasoning():
                words = self._words(thinks=True)
                words.pieces.append(part.text)
                words.signature = part.signature
            case ToolCall():
                call = self._calls.add(part)
                if len(call.pieces) == 1:
                    self._order.append(call)
            case Usage():
                self.usage = part
            case Finish():
                self.stated_reason = part.reason
            case Step():
                self._calls.next_round()
                self._order.append(part)
            case ToolResult() | Source() | Data():
                self._order.append(part)

    @property
    def reason(self) -> FinishReason:
        """Why the model stopped; where it did not say so, to call a tool or at its end."""
        if self.stated_reason is not None:
            return self.stated_reason
        acts = (it for it in reversed(self._order) if isinstance(it, Call | ToolResult | Step))
        return "tool_calls" if isinstance(next(acts, None), Call) else "stop"

    @property
    def blocks(self) -> list[Block]:
        """The reply's parts in the order in which they began."""
        return [it.whole() if isinstance(it, _Words | Call) else it for it in self._order]

    @property
    def text(self) -> str:
        """All text."""
        return "".join(it for it in self.blocks if isinstance(it, str))

    @property
    def reasoning(self) -> str:
        """All thinking."""
        return "".join(it.text for it in self.blocks if isinstance(it, Reasoning))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Each call whole."""
        return [call.whole() for call in self._calls.all]

    def _words(self, *, thinks: bool) -> _Words:
        # What is told beside a text parts it no more than it does in a stream.
        beside = () if thinks else (Source, Data)
        last = next((it for it in reversed(self._order) if not isinstance(it, beside)), None)
        # A signature is the last of its block of thinking.
        if isinstance(last, _Words) and last.thinks is thinks and last.signature is None:
            return last
        self._order.append(words := _Words(thinks))
        return words
