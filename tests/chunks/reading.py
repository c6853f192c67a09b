"""Read a source to its end, and see what it was."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tokenstream import Result, TokenStream, ToolCall

from ..pairings import aread_all, read_all, result_of

__all__ = ["CALLS", "aread", "check", "fails", "read"]

CALLS = [("call_a", "weather", '{"city":"Rome"}'), ("call_b", "time", "{}")]


def read(source: object, wire: Any = "json", **options: Any) -> tuple[Result, bytes]:
    stream = TokenStream(source, wire, **options)
    frames = read_all(stream)
    return result_of(stream), frames


def aread(source: object, wire: Any = "json") -> tuple[Result, bytes]:
    """Read a source for a loop; `source` is a callable, so that it is opened there."""

    async def main() -> tuple[Result, bytes]:
        stream = TokenStream(source, wire)
        frames = await aread_all(stream)
        return result_of(stream), frames

    return asyncio.run(main())


def check(
    told: tuple[Result, bytes],
    *,
    text: str = "Hello",
    reasoning: str = "They greet.",
    calls: list[tuple[str | None, str, str]] = CALLS,
    finish: str | None = "tool_calls",
    usage: tuple[int, int] | None = (5, 7),
    details: dict[str, int] | None = None,
) -> None:
    """See that the reply came whole, in the result and on the wire."""
    result, frames = told
    if result.error is not None:
        raise result.error
    assert result.outcome == "completed"
    assert (result.text, result.reasoning, result.finish_reason) == (text, reasoning, finish)
    assert [(call.id, call.name, _value(call)) for call in result.tool_calls] == [
        (call_id, name, json.loads(arguments)) for call_id, name, arguments in calls
    ]
    found = result.usage
    assert (None if found is None else (found.input_tokens, found.output_tokens)) == usage
    assert dict(found.details if found else {}) == (details or {})
    # On the wire each piece is there once, too.
    *events, done = (line[6:] for line in frames.decode().split("\n\n") if line)
    assert done == "[DONE]"
    assert "".join(json.loads(event).get("token", "") for event in events) == text
    assert result.parts == len(events)


def _value(call: ToolCall) -> object:
    return json.loads(call.arguments)


def fails(told: tuple[Result, bytes], error: str, *, text: str = "") -> None:
    """See that a reply ended in an upstream's error, after what came before it."""
    result, frames = told
    assert result.outcome == "failed"
    assert type(result.error).__name__ == "UpstreamError"
    assert error in str(result.error)
    assert result.text == text
    assert b"[DONE]" not in frames
    assert frames.count(b"event: error\n") == 1
    assert error.encode() not in frames  # of an upstream's words a reader sees none
