"""LangChain's messages: chunks, whole ones, and LangGraph's pairs of a message and its metadata.

A model's end is not to be told from a cut there: LangChain adds the last chunk by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..parts import Reasoning, Step, ToolCall, ToolResult, Usage
from .fields import Fields, counts, fields_of, inside, integer, json_text, listed, text
from .protocol import Protocol

__all__ = ["LangChain"]

_REASONS = ("finish_reason", "stop_reason", "done_reason", "finishReason")


class LangChain(Protocol):
    """Messages with `content` and `response_metadata`."""

    def __init__(self) -> None:
        super().__init__()
        self._ran_tools = False
        self._places: dict[object, int] = {}  # by index: what they call one is a number or not
        self._last_place = -1
        self._usage: list[Usage] = []

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of a message."""
        match text(chunk, "type"):
            case "AIMessageChunk":
                return self._grown(chunk, listed(chunk, "tool_call_chunks"), chunk_of=True)
            case "ai":
                return self._grown(chunk, listed(chunk, "tool_calls"), chunk_of=False)
            case "tool":
                self._ran_tools = True
                is_error = text(chunk, "status") == "error"
                return [ToolResult(text(chunk, "tool_call_id"), chunk.get("content"), is_error)]
        return ()

    def _grown(self, message: Fields, calls: Iterable[object], *, chunk_of: bool) -> list[object]:
        found: list[object] = []
        if more := message.get("additional_kwargs"):
            thought = text(fields_of(more), "reasoning_content")
            found += [Reasoning(thought)] if thought else []
        content = message.get("content")
        for block in (content,) if isinstance(content, str) else listed(message, "content"):
            found += ([block] if block else []) if isinstance(block, str) else self._block(block)
        found += [self._call(fields_of(call), chunk_of=chunk_of) for call in calls]
        if found and self._ran_tools:
            self._ran_tools = False
            self._places.clear()
            found.insert(0, Step())
        self.has_spoken = self.has_spoken or bool(found)
        if told := message.get("response_metadata"):
            found += self._ended(fields_of(told))
        return found + self._counted(message, bool(found))

    def _ended(self, told: Fields) -> list[object]:
        words = (text(told, name) for name in _REASONS)
        word = next(filter(None, words), None)
        return [] if word is None else self.finished(word)

    def _block(self, item: object) -> list[object]:
        block = fields_of(item)
        match kind := text(block, "type"):
            case "text" | "text_delta":
                said = text(block, "text")
                return [*([said] if said else []), *self._cited(block)]
            case "thinking" | "reasoning":
                return _thoughts(block)
            case "refusal":
                said = text(block, "refusal")
                return [said] if said else []
            case _:
                if kind not in _ARE_CALLS:
                    self.leave_out(f"a block {kind[:40]}")
                return []

    def _cited(self, block: Fields) -> list[object]:
        found: list[object] = []
        for note in map(fields_of, listed(block, "annotations")):
            cited = inside(note, "url_citation") or note
            found += self.source(text(cited, "url"), text(cited, "title"))
        return found

    def _call(self, call: Fields, *, chunk_of: bool) -> ToolCall:
        call_id = text(call, "id")
        place = self._place(call.get("index"), call_id)
        arguments = call.get("args")
        whole = "" if arguments is None else json_text(arguments)
        return ToolCall(place, call_id or None, text(call, "name") or None, whole)

    def _place(self, index: object, call_id: str) -> int:
        if index is None:
            key: object = call_id or None
            if key is None:
                return max(self._last_place, 0)
        else:
            key = index if isinstance(index, int | str) else repr(index)[:40]
        self._last_place = self._places.setdefault(key, len(self._places))
        return self._last_place

    def _counted(self, message: Fields, says_more: bool) -> list[object]:
        if (usage := message.get("usage_metadata")) is None:
            return []
        # LangChain's own chunks are added up, counts too.
        self._usage.append(_usage(fields_of(usage)))
        is_last = message.get("chunk_position") == "last" or message.get("type") == "ai"
        # One that comes before all else is not the first part.
        return [_sum(self._usage)] if says_more or self.has_spoken or is_last else []


_ARE_CALLS = (
    "tool_use",
    "tool_call",
    "tool_call_chunk",
    "input_json_delta",
    "function_call",
    "invalid_tool_call",
)


def _thoughts(block: Fields) -> list[object]:
    thought = text(block, "thinking") or text(block, "reasoning")
    for part in map(fields_of, listed(block, "summary")):
        thought += text(part, "text")
    signature = text(block, "signature") or None
    return [Reasoning(thought, signature)] if thought or signature else []


def _usage(usage: Fields) -> Usage:
    before, after = inside(usage, "input_token_details"), inside(usage, "output_token_details")
    return Usage(
        integer(usage, "input_tokens") or 0,
        integer(usage, "output_tokens") or 0,
        counts(before, cached_tokens="cache_read") | counts(after, reasoning_tokens="reasoning"),
    )


def _sum(all_of: list[Usage]) -> Usage:
    details: dict[str, int] = {}
    for usage in all_of:
        for name, count in usage.details.items():
            details[name] = details.get(name, 0) + count
    return Usage(
        sum(usage.input_tokens for usage in all_of),
        sum(usage.output_tokens for usage in all_of),
        details,
    )
