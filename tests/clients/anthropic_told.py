"""What the wire "anthropic" must tell of each scenario, whichever client reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from tokenstream import Finish, Source, ToolCall, Usage
from tokenstream.errors import UpstreamError
from tokenstream.wires import ChatRequest

from .scenarios import CALLS, HOSTILE, SCENARIOS

__all__ = ["ASK", "TOLD", "TOOLS", "Told", "source_of"]

ASK: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
}

TOOLS: list[dict[str, Any]] = [
    {
        "name": name,
        "description": f"Tells the {name}.",
        "input_schema": {"type": "object", "properties": {field: {"type": "string"}}},
    }
    for name, field in (("weather", "city"), ("time", "zone"))
]


def _yielding(*parts: object) -> Callable[[], AsyncIterator[object]]:
    async def source() -> AsyncIterator[object]:
        for part in parts:
            if isinstance(part, Exception):
                raise part
            yield part

    return source


_PARALLEL = [
    ToolCall(0, "call_a", "weather"),
    ToolCall(1, "call_b", "time"),
    ToolCall(0, arguments='{"city": '),
    ToolCall(1, arguments='{"zone":'),
    ToolCall(0, arguments='"Rome"}'),
    ToolCall(1, arguments='"CET"}'),
]

_MORE = {
    "parallel": _yielding(*_PARALLEL, Finish("tool_calls")),
    "held": _yielding(*_PARALLEL[:-2], "So?", Finish("length")),
    "no-arguments": _yielding(ToolCall(0, "call_a", "now")),
    "cut-call": _yielding(ToolCall(0, "call_a", "f", '{"a": 1, "b": "x'), Finish("length")),
    "broken-call": _yielding("Hm", ToolCall(0, "call_a", "f", '{"a": 1, "b": "x')),
    "cited": _yielding("Sunny", Source("https://example.org/rome", "Rome"), "."),
    "cached": _yielding(
        Usage(5, 0, {"cache_read_input_tokens": 3, "unknown": 1}),
        "Hi",
        Usage(5, 2, {"cache_read_input_tokens": 3, "unknown": 1}),
    ),
    "overloaded": _yielding("Hm", UpstreamError("no", kind="overloaded_error")),
}
"""Scenarios of this protocol's own."""


def source_of(ask: ChatRequest) -> object:
    """Return the source that the path names."""
    return {**SCENARIOS, **_MORE}[ask.request["path"].split("/")[1]]()


@dataclass
class Told:
    """What a client has read of a message. usage: tokens read and written."""

    content: list[dict[str, Any]]
    reason: str = "end_turn"
    usage: tuple[int, int] = (0, 0)


def _text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def _call(call_id: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


_CALLS = [_call("call_a", "weather", city="Rome"), _call("call_b", "time", zone="CET")]
assert [call["id"] for call in _CALLS] == [part.id for part in CALLS if part.id]

_CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.org/rome",
    "title": "Rome",
    "cited_text": "",
    "encrypted_index": "",
}

TOLD = {
    "text": Told([_text("Hello world")]),
    "reasoning": Told(
        [
            {"type": "thinking", "thinking": "They greet.", "signature": "sig-1"},
            _text("Hello"),
        ]
    ),
    "calls": Told([_text("Let me look."), *_CALLS], "tool_use"),
    "usage": Told([_text("Hello")], "max_tokens", (5, 2)),
    "silent": Told([_text("Hello")]),
    "hostile": Told([_text("".join(HOSTILE))]),
    "nothing": Told([]),
    "parallel": Told(_CALLS, "tool_use"),
    "no-arguments": Told([_call("call_a", "now")], "tool_use"),
    "cited": Told([_text("Sunny.", citations=[_CITATION])]),
    "cached": Told([_text("Hi")], usage=(5, 2)),
}
"""The scenarios that end well."""
