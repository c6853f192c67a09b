"""Pydantic AI: the events of `agent.run_stream_events()` and of the nodes of `agent.iter()`.

`stream_text(delta=True)` yields plain text, which needs none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..parts import Reasoning, Step, ToolCall, ToolResult, Usage
from .fields import Fields, Misshapen, counts, fields_of, inside, integer, json_text, listed, text
from .protocol import Protocol

__all__ = ["PydanticAI"]


class PydanticAI(Protocol):
    """Events with `event_kind`. An agent that fails raises, so no end is missed."""

    def __init__(self) -> None:
        super().__init__()
        self._ran_tools = False

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of an event."""
        read = _READ.get(text(chunk, "event_kind"))
        return () if read is None else read(self, chunk)

    def _begins(self, event: Fields) -> list[object]:
        step: list[object] = [Step()] if self._ran_tools else []
        self._ran_tools = False
        part = inside(event, "part")
        match kind := text(part, "part_kind"):
            case "text":
                return [*step, *_some(text(part, "content")), *self._cited(part, "citations")]
            case "thinking":
                return [*step, *_thought(text(part, "content"), text(part, "signature"))]
            case "tool-call":
                call_id, name = text(part, "tool_call_id"), text(part, "tool_name")
                return [*step, ToolCall(_place(event), call_id, name, _arguments(part, "args"))]
            case _:
                self.leave_out(f"a part {kind[:40]}")
                return step

    def _grows(self, event: Fields) -> list[object]:
        delta = inside(event, "delta")
        match text(delta, "part_delta_kind"):
            case "text":
                said = _some(text(delta, "content_delta"))
                return [*said, *self._cited(delta, "citations_delta")]
            case "thinking":
                return _thought(text(delta, "content_delta"), text(delta, "signature_delta"))
            case "tool_call":
                name = text(delta, "tool_name_delta") or None
                arguments = _arguments(delta, "args_delta")
                return [ToolCall(_place(event), name=name, arguments=arguments)]
            case _:
                return []

    def _tool_ran(self, event: Fields) -> list[object]:
        self._ran_tools = True
        part = inside(event, "part") or inside(event, "result")
        output = part.get("content")
        was_refused = text(part, "part_kind") == "retry-prompt"
        is_error = was_refused or part.get("outcome") not in (None, "success")
        return [ToolResult(text(part, "tool_call_id"), _plain(output), is_error)]

    def _run_ended(self, event: Fields) -> list[object]:
        result = event.get("result")
        word = getattr(getattr(result, "response", None), "finish_reason", None)
        found = self.finished(word) if isinstance(word, str) else []
        usage = getattr(result, "usage", None)
        return found if usage is None else [*found, _usage(usage)]

    def _cited(self, part: Fields, name: str) -> list[object]:
        found: list[object] = []
        for cited in map(fields_of, listed(part, name)):
            found += self.source(text(cited, "url"), text(cited, "title"))
        return found


_READ: dict[str, Callable[[PydanticAI, Fields], list[object]]] = {
    "part_start": PydanticAI._begins,
    "part_delta": PydanticAI._grows,
    "function_tool_result": PydanticAI._tool_ran,
    "agent_run_result": PydanticAI._run_ended,
}


def _some(said: str) -> list[object]:
    return [said] if said else []


def _thought(thought: str, signature: str) -> list[object]:
    return [Reasoning(thought, signature or None)] if thought or signature else []


def _place(event: Fields) -> int:
    place = integer(event, "index")
    if place is None:
        raise Misshapen
    return place


def _arguments(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return "" if value is None else json_text(value)


def _plain(output: object) -> object:
    """Return a tool's output as what JSON has, and as text what it has not."""
    try:
        json_text(output)
    except Misshapen:
        return str(output)
    return output


def _usage(usage: object) -> Usage:
    # Attributes: a count that is 0 is the class's.
    held = {name: getattr(usage, name, None) for name in _COUNTS}
    details = inside(held, "details")
    return Usage(
        integer(held, "input_tokens") or 0,
        integer(held, "output_tokens") or 0,
        counts(held, cached_tokens="cache_read_tokens")
        | counts(details, reasoning_tokens="reasoning_tokens"),
    )


_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "details")
