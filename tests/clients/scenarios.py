"""What each real client reads, whatever its protocol: a source by its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from tokenstream import Finish, Reasoning, Source, Step, ToolCall, ToolResult, Usage
from tokenstream.errors import UpstreamError

__all__ = ["HOSTILE", "SCENARIOS", "SECRET"]

SECRET = "internal-name-3f1"
"""What an exception says, and no reader may see."""

HOSTILE = [
    "line\u2028separator \u2029 \x85",
    "👩\u200d👩\u200d👧 é",
    "\ud83d",  # half of a pair
    "cr\rcrlf\r\nlf\nend",
    "nul\x00",
    "",
    "[DONE]",
    "data: x\n\nevent: error\ndata: y\n\n",
    '"}]}\\',
]

CALLS = [
    ToolCall(0, "call_a", "weather"),
    ToolCall(0, arguments='{"city": '),
    ToolCall(0, arguments='"Rome"}'),
    ToolCall(1, "call_b", "time", '{"zone":"CET"}'),
]


async def _text() -> AsyncIterator[object]:
    for token in ("Hel", "lo", " world"):
        yield token


async def _reasoning() -> AsyncIterator[object]:
    yield Reasoning("They ")
    yield Reasoning("greet.")
    yield Reasoning("", signature="sig-1")
    yield "Hello"
    yield Finish("stop")


async def _calls() -> AsyncIterator[object]:
    yield "Let me look."
    for part in CALLS:
        yield part
    yield Finish("tool_calls")


async def _steps() -> AsyncIterator[object]:
    for part in CALLS:
        yield part
    yield ToolResult("call_a", {"sun": True})
    yield ToolResult("call_b", "no such zone", is_error=True)
    yield Step()
    yield Source("https://example.org/rome", "Rome")
    yield "It is sunny."
    yield Finish("stop")


async def _usage() -> AsyncIterator[object]:
    yield "Hello"
    yield Usage(5, 2)
    yield Finish("length")


async def _fails_before() -> AsyncIterator[object]:
    words = "the model is overloaded"
    raise UpstreamError(SECRET, status=429, retry_after="7", public=words)
    yield


async def _fails_after() -> AsyncIterator[object]:
    yield "Hel"
    raise RuntimeError(SECRET)


async def _silent() -> AsyncIterator[object]:
    await asyncio.sleep(0.2)  # some keep-alives long, before the first token
    yield "Hel"
    await asyncio.sleep(0.2)
    yield "lo"


async def _hostile() -> AsyncIterator[object]:
    for token in HOSTILE:
        yield token


async def _nothing() -> AsyncIterator[object]:
    return
    yield


SCENARIOS: dict[str, Callable[[], AsyncIterator[object]]] = {
    "text": _text,
    "reasoning": _reasoning,
    "calls": _calls,
    "steps": _steps,
    "usage": _usage,
    "fails-before": _fails_before,
    "fails-after": _fails_after,
    "silent": _silent,
    "hostile": _hostile,
    "nothing": _nothing,
}
