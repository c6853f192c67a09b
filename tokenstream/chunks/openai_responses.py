"""OpenAI's Responses: the events of `client.responses.create(stream=True)` and `.stream()`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..errors import UpstreamError
from ..parts import Reasoning, ToolCall, Usage
from .fields import Fields, Misshapen, counts, fields_of, inside, integer, text
from .protocol import Protocol, failing, upstream_error

__all__ = ["OpenAIResponses"]


class OpenAIResponses(Protocol):
    """Events whose `type` begins with `response.`, and `error`."""

    terminal = "response.completed"

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[int, bool] = {}  # by place: whether arguments came

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of an event."""
        kind = text(chunk, "type")
        if kind == "error":  # flat: its own message and code
            return failing((), upstream_error({**chunk, "type": None}))
        if kind in ("response.created", "response.in_progress", "response.queued"):
            self.is_open = True
        if (read := _READ.get(kind)) is not None:
            return read(self, chunk)
        if kind.endswith(".delta") or "image" in kind:
            self.leave_out(kind)
        return ()

    def _text(self, event: Fields) -> list[object]:
        said = text(event, "delta")
        return [said] if said else []

    def _thought(self, event: Fields) -> list[object]:
        thought = text(event, "delta")
        return [Reasoning(thought)] if thought else []

    def _next_thought(self, event: Fields) -> list[object]:
        return [Reasoning("\n\n")] if integer(event, "summary_index") else []

    def _item_begins(self, event: Fields) -> list[object]:
        item = inside(event, "item")
        if item.get("type") not in _CALLS:
            return []
        place = _place(event)
        self._calls[place] = False
        self.has_calls = True
        return [ToolCall(place, text(item, "call_id") or None, text(item, "name") or None)]

    def _arguments(self, event: Fields) -> list[object]:
        place, arguments = _place(event), text(event, "delta")
        if place not in self._calls or not arguments:
            return []
        self._calls[place] = True
        return [ToolCall(place, arguments=arguments)]

    def _item_ends(self, event: Fields) -> list[object]:
        item = inside(event, "item")
        if item.get("type") not in _CALLS:
            return []
        place = _place(event)
        found = [] if place in self._calls else self._item_begins(event)
        whole = text(item, "arguments") or text(item, "input")
        if whole and not self._calls[place]:  # of a server that sends no pieces
            found.append(ToolCall(place, arguments=whole))
        self._calls[place] = True
        return found

    def _note(self, event: Fields) -> list[object]:
        note = inside(event, "annotation")
        return self.source(text(note, "url"), text(note, "title"))

    def _completed(self, event: Fields) -> list[object]:
        return [*self.stopped("stop"), *self._counted(event)]

    def _incomplete(self, event: Fields) -> list[object]:
        details = inside(inside(event, "response"), "incomplete_details")
        return [*self.finished(text(details, "reason")), *self._counted(event)]

    def _failed(self, event: Fields) -> Iterable[object]:
        error = inside(event, "response").get("error")
        failure = upstream_error(error) if error else UpstreamError("the upstream failed")
        return failing(self._counted(event), failure)

    def _counted(self, event: Fields) -> list[object]:
        self._calls.clear()
        self.has_calls = False  # of the next round
        usage = inside(event, "response").get("usage")
        return [] if usage is None else [_usage(fields_of(usage))]


_CALLS = ("function_call", "custom_tool_call")

_READ: dict[str, Callable[[OpenAIResponses, Fields], Iterable[object]]] = {
    "response.output_text.delta": OpenAIResponses._text,
    "response.refusal.delta": OpenAIResponses._text,
    "response.reasoning_text.delta": OpenAIResponses._thought,
    "response.reasoning_summary_text.delta": OpenAIResponses._thought,
    "response.reasoning_summary_part.added": OpenAIResponses._next_thought,
    "response.output_item.added": OpenAIResponses._item_begins,
    "response.function_call_arguments.delta": OpenAIResponses._arguments,
    "response.custom_tool_call_input.delta": OpenAIResponses._arguments,
    "response.output_item.done": OpenAIResponses._item_ends,
    "response.output_text.annotation.added": OpenAIResponses._note,
    "response.completed": OpenAIResponses._completed,
    "response.incomplete": OpenAIResponses._incomplete,
    "response.failed": OpenAIResponses._failed,
    "response.cancelled": OpenAIResponses._failed,
}


def _place(event: Fields) -> int:
    place = integer(event, "output_index")
    if place is None:
        raise Misshapen
    return place


def _usage(usage: Fields) -> Usage:
    before, after = inside(usage, "input_tokens_details"), inside(usage, "output_tokens_details")
    return Usage(
        integer(usage, "input_tokens") or 0,
        integer(usage, "output_tokens") or 0,
        counts(before, cached_tokens="cached_tokens")
        | counts(after, reasoning_tokens="reasoning_tokens"),
    )
