"""Anthropic's Messages: the events of `create(stream=True)` and of the `.stream()` helper.

The helper yields the raw events, and beside them some that repeat them (`text`,
`input_json`): those are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..parts import Reasoning, ToolCall, Usage
from .fields import Fields, counts, fields_of, inside, integer, json_text, text
from .protocol import Protocol

__all__ = ["Anthropic"]


class Anthropic(Protocol):
    """Events with a `type`. A reply is whole once `message_stop` came."""

    terminal = "message_stop"

    def __init__(self) -> None:
        super().__init__()
        self._calls: set[int] = set()  # the blocks that are calls of ours
        self._usage: dict[str, object] = {}
        self._reason = ""

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of an event."""
        read = _READ.get(text(chunk, "type"))
        return () if read is None else read(self, chunk)

    def _message_begins(self, event: Fields) -> list[object]:
        self.is_open = True
        self._calls.clear()
        self._reason = ""
        self._usage = _given(inside(inside(event, "message"), "usage"))
        return []

    def _block_begins(self, event: Fields) -> list[object]:
        self.is_open = True
        block = inside(event, "content_block")
        match kind := text(block, "type"):
            case "text":
                said = text(block, "text")
                return [said] if said else []
            case "thinking":
                thought, signature = text(block, "thinking"), text(block, "signature")
                return [Reasoning(thought, signature or None)] if thought or signature else []
            case "tool_use":
                return [self._call(event, block)]
            case _:
                # A tool that runs at Anthropic is none for the reader to run.
                self.leave_out(f"a block of {kind[:40]}")
                return []

    def _call(self, event: Fields, block: Fields) -> ToolCall:
        place = integer(event, "index") or 0
        self._calls.add(place)
        whole = json_text(block["input"]) if block.get("input") else ""
        return ToolCall(place, text(block, "id") or None, text(block, "name") or None, whole)

    def _grows(self, event: Fields) -> list[object]:
        self.is_open = True
        delta = inside(event, "delta")
        match kind := text(delta, "type"):
            case "text_delta":
                said = text(delta, "text")
                return [said] if said else []
            case "thinking_delta":
                thought = text(delta, "thinking")
                return [Reasoning(thought)] if thought else []
            case "signature_delta":
                return [Reasoning("", text(delta, "signature") or None)]
            case "input_json_delta":
                return self._arguments(event, text(delta, "partial_json"))
            case "citations_delta":
                cited = inside(delta, "citation")
                return self.source(text(cited, "url"), text(cited, "title"))
            case _:
                self.leave_out(f"a delta {kind[:40]}")
                return []

    def _arguments(self, event: Fields, arguments: str) -> list[object]:
        place = integer(event, "index") or 0
        if not arguments or place not in self._calls:
            return []
        return [ToolCall(place, arguments=arguments)]

    def _message_grows(self, event: Fields) -> list[object]:
        self.is_open = True
        self._reason = text(inside(event, "delta"), "stop_reason") or self._reason
        if (usage := event.get("usage")) is None:
            return []
        # Totals, which replace those of the beginning; what is not there stays.
        self._usage |= _given(fields_of(usage))
        return [_counted(self._usage)]

    def _message_ends(self, event: Fields) -> list[object]:
        reason, self._reason, self.is_open = self._reason, "", False
        return self.finished(reason) if reason else []


_READ: dict[str, Callable[[Anthropic, Fields], Iterable[object]]] = {
    "message_start": Anthropic._message_begins,
    "content_block_start": Anthropic._block_begins,
    "content_block_delta": Anthropic._grows,
    "message_delta": Anthropic._message_grows,
    "message_stop": Anthropic._message_ends,
}


def _given(usage: Fields) -> dict[str, object]:
    return {name: value for name, value in usage.items() if value is not None}


def _counted(usage: Fields) -> Usage:
    return Usage(
        integer(usage, "input_tokens") or 0,
        integer(usage, "output_tokens") or 0,
        counts(
            usage,
            cache_read_input_tokens="cache_read_input_tokens",
            cache_creation_input_tokens="cache_creation_input_tokens",
        ),
    )
