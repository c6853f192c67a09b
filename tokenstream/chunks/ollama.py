"""Ollama: what its client yields for `chat` and `generate`, and the API's own JSON."""

from __future__ import annotations

from collections.abc import Iterable

from ..parts import Reasoning, ToolCall, Usage
from .fields import Fields, fields_of, inside, integer, json_text, listed, text
from .protocol import Protocol

__all__ = ["Ollama"]


class Ollama(Protocol):
    """Chunks with `done`. A reply is whole once it is true."""

    terminal = "a chunk that says done"

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of a chunk."""
        self.is_open = True
        is_chat = chunk.get("message") is not None
        message = inside(chunk, "message") if is_chat else chunk
        found: list[object] = []
        if thought := text(message, "thinking"):
            found.append(Reasoning(thought))
        if said := text(message, "content" if is_chat else "response"):
            found.append(said)
        if is_chat:
            found += map(self._call, listed(message, "tool_calls"))
        if message.get("images") or message.get("image"):
            self.leave_out("images")
        return [*found, *self._ended(chunk)] if chunk.get("done") is True else found

    def _call(self, item: object) -> ToolCall:
        call = fields_of(item)
        function = inside(call, "function")
        place, self._calls, self.has_calls = self._calls, self._calls + 1, True
        arguments = json_text(function.get("arguments") or {})
        return ToolCall(place, text(call, "id") or None, text(function, "name") or None, arguments)

    def _ended(self, chunk: Fields) -> list[object]:
        ended = self.stopped(text(chunk, "done_reason") or "stop")
        self.has_calls = False  # of the next round
        read, written = integer(chunk, "prompt_eval_count"), integer(chunk, "eval_count")
        if read is None and written is None:
            return ended
        return [*ended, Usage(read or 0, written or 0)]
