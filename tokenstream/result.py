"""Result: what a stream was, told once it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .parts import FinishReason, ToolCall, Usage

__all__ = ["Outcome", "Result"]

Outcome: TypeAlias = Literal[
    "completed", "failed", "disconnected", "timeout", "cancelled", "shutdown"
]


@dataclass(frozen=True, slots=True)
class Result:
    """What `on_finish` is called with.

    text, reasoning: all of it, joined.
    tool_calls: each call whole, its fragments joined, in the order in which they
        began; `index` is its place there.
    outcome: "completed" (the terminal was written), "failed" (the source
        raised), "disconnected" (the reader left before the terminal),
        "timeout" (`source_timeout` or `max_duration`), "cancelled" (the source
        was cancelled from outside) or "shutdown" (the process ended).
    error: the exception behind "failed", "timeout" and "cancelled".
    finish_reason, usage: what the source said last, or None.
    parts: how many parts the source yielded.
    ttft: seconds from the start to the first part, None if there was none.
    duration: seconds from the start to the end.
    bytes_sent: bytes handed to the reader, comments included.
    """

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    outcome: Outcome
    error: BaseException | None
    finish_reason: FinishReason | None
    parts: int
    usage: Usage | None
    ttft: float | None
    duration: float
    bytes_sent: int
