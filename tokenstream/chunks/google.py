"""Google's Gemini: what google-genai yields, and the API's own JSON (camelCase)."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UnknownPart
from ..parts import Reasoning, ToolCall, Usage
from .fields import Fields, fields_of, inside, integer, json_text, listed, text
from .protocol import Protocol

__all__ = ["Google"]

_NO_REASON = "FINISH_REASON_UNSPECIFIED"


class Google(Protocol):
    """Chunks with `candidates`. A reply is whole once a finish reason came."""

    terminal = "a finish reason"

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of a chunk."""
        found: list[object] = []
        word = ""
        for item in listed(chunk, "candidates"):
            candidate = fields_of(item)
            if candidate.get("index"):
                raise UnknownPart(
                    "the source yielded a second candidate, and a stream has one: "
                    "ask for candidate_count=1"
                )
            found += self._said(candidate)
            if candidate.get("grounding_metadata") or candidate.get("groundingMetadata"):
                found += self._cited(candidate)
            word = text(candidate, "finish_reason", "finishReason")
        self.is_open = self.is_open or bool(found)
        if word and word != _NO_REASON:
            found += self.stopped(word)
        elif not chunk.get("candidates") and self._is_refused(chunk):
            found += self.finished("content_filter")
        else:
            return found
        # Each chunk has the count so far: the last is the one that counts.
        if usage := inside(chunk, "usage_metadata", "usageMetadata"):
            found.append(_usage(usage))
        return found

    def _said(self, candidate: Fields) -> list[object]:
        found: list[object] = []
        self.is_open = True
        for item in listed(inside(candidate, "content"), "parts"):
            part = fields_of(item)
            if said := text(part, "text"):
                found.append(Reasoning(said) if part.get("thought") is True else said)
            elif call := inside(part, "function_call", "functionCall"):
                found.append(self._call(call))
            else:
                self._leave_out_others(part)
        return found

    def _call(self, call: Fields) -> ToolCall:
        place, self._calls, self.has_calls = self._calls, self._calls + 1, True
        arguments = json_text(call.get("args") or {})
        return ToolCall(place, text(call, "id") or None, text(call, "name") or None, arguments)

    def _leave_out_others(self, part: Fields) -> None:
        for name, value in part.items():
            if value and name not in ("text", "thought", "thought_signature", "thoughtSignature"):
                self.leave_out(f"a part {name[:40]}")

    def _cited(self, candidate: Fields) -> list[object]:
        found: list[object] = []
        grounding = inside(candidate, "grounding_metadata", "groundingMetadata")
        for item in listed(grounding, "grounding_chunks", "groundingChunks"):
            web = inside(fields_of(item), "web")
            found += self.source(text(web, "uri"), text(web, "title"))
        return found

    def _is_refused(self, chunk: Fields) -> bool:
        feedback = inside(chunk, "prompt_feedback", "promptFeedback")
        return bool(text(feedback, "block_reason", "blockReason"))


def _usage(usage: Fields) -> Usage:
    thoughts = integer(usage, "thoughts_token_count", "thoughtsTokenCount") or 0
    cached = integer(usage, "cached_content_token_count", "cachedContentTokenCount")
    details = {"cached_tokens": cached, "reasoning_tokens": thoughts}
    written = integer(usage, "candidates_token_count", "candidatesTokenCount") or 0
    return Usage(
        integer(usage, "prompt_token_count", "promptTokenCount") or 0,
        written + thoughts,
        {name: count for name, count in details.items() if count},
    )
