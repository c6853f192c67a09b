"""What OpenAI's chat must tell of each scenario, whichever client reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .scenarios import HOSTILE

__all__ = ["ASK", "COMPLETED", "TOLD", "TOOLS", "Completed", "Told", "asking"]


@dataclass
class Told:
    """What a client has read of a reply.

    text: None for none at all. calls: id, type, name and arguments of each.
    usage: tokens read, written, and both.
    """

    text: str | None
    reason: str = "stop"
    reasoning: str | None = None
    calls: tuple[tuple[str, str, str, str], ...] = ()
    usage: tuple[int, int, int] | None = None


TOLD = {
    "text": Told("Hello world"),
    "reasoning": Told("Hello", reasoning="They greet."),
    "calls": Told(
        "Let me look.",
        "tool_calls",
        calls=(
            ("call_a", "function", "weather", '{"city": "Rome"}'),
            ("call_b", "function", "time", '{"zone":"CET"}'),
        ),
    ),
    "usage": Told("Hello", "length", usage=(5, 2, 7)),
    "silent": Told("Hello"),
    "hostile": Told("".join(HOSTILE)),
    "nothing": Told(None),
}
"""The scenarios that end well on "openai-chat"."""


@dataclass
class Completed:
    """What a client has read of a completion."""

    text: str
    reason: str = "stop"
    usage: tuple[int, int, int] | None = None


COMPLETED = {
    "text": Completed("Hello world"),
    "reasoning": Completed("Hello"),
    "usage": Completed("Hello", "length", (5, 2, 7)),
    "silent": Completed("Hello"),
    "hostile": Completed("".join(HOSTILE)),
    "nothing": Completed(""),
}
"""The scenarios that end well on "openai-completions"."""


def _tool(name: str, *fields: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {field: {"type": "string"} for field in fields},
        "required": list(fields),
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": name, "parameters": parameters, "strict": True},
    }


TOOLS = [_tool("weather", "city"), _tool("time", "zone")]

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def asking(scenario: str) -> dict[str, Any]:
    """Return what to ask for a stream of that scenario.

    Tools are asked for where they are called: with any that is strict, openai-python's
    helper tells no usage of a reply that is too long.
    """
    tools = {"tools": TOOLS} if "call_a" in str(TOLD.get(scenario)) else {}
    return {**ASK, **tools, "stream_options": {"include_usage": True}}
