"""OpenAI's Chat Completions, the older Completions, and all who speak as they do.

Source: the API's reference; litellm's ModelResponseStream; vLLM, DeepSeek, OpenRouter and
Perplexity for what they add (`reasoning`, `reasoning_content`, `error`, `citations`).
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UnknownPart, UpstreamError
from ..parts import Reasoning, ToolCall, Usage
from .fields import Fields, counts, fields_of, inside, integer, listed, text
from .protocol import Protocol, failing, upstream_error

__all__ = ["OpenAIChat", "OpenAIHelper"]

_RARE = frozenset({"thinking_blocks", "annotations", "audio", "images"})


class OpenAIChat(Protocol):
    """Chunks with `choices`. A reply is whole once a `finish_reason` came."""

    terminal = "a finish_reason"

    def __init__(self) -> None:
        super().__init__()
        self._last_call = 0

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of a chunk."""
        found: list[object] = []
        choices = listed(chunk, "choices")
        word = ""
        for item in choices:
            choice = fields_of(item)
            if choice.get("index"):
                raise _second_answer()
            found += self._said(choice)
            word = text(choice, "finish_reason")
        if "citations" in chunk:
            found += self._cited(chunk)
        self.begin(found, is_first=not self.is_open and _is_role(chunk, found))
        if word or chunk.get("usage") or chunk.get("error"):
            return self._more(chunk, found, word)
        return found

    def _more(self, chunk: Fields, found: list[object], word: str) -> Iterable[object]:
        """Return what there is of an end, a count and an error, after what was said."""
        if word and word != "error":
            found += self.finished(word)
        # A count that comes with a role only is not the first part.
        says_nothing = not (found or self.has_spoken) and self.is_open and chunk.get("choices")
        if (usage := chunk.get("usage")) and not says_nothing:
            found.append(_usage(fields_of(usage)))
        if error := chunk.get("error"):
            return failing(found, upstream_error(error))
        if word == "error":
            return failing(found, UpstreamError("the upstream's reply ended in an error"))
        return found

    def _said(self, choice: Fields) -> list[object]:
        # Looked at before it is read: a chunk has one field of these, or none.
        delta = choice.get("delta") or choice.get("message")
        if not delta:
            return [text(choice, "text")] if choice.get("text") else []  # of Completions
        held = fields_of(delta)
        found: list[object] = []
        if held.get("reasoning_content"):
            found.append(Reasoning(text(held, "reasoning_content")))
        elif held.get("reasoning"):
            found.append(Reasoning(text(held, "reasoning")))
        if not _RARE.isdisjoint(held):
            found += self._rare(held)
        if held.get("content"):
            found.append(text(held, "content"))
        elif held.get("refusal"):
            found.append(text(held, "refusal"))
        if held.get("tool_calls"):
            found += map(self._call, listed(held, "tool_calls"))
        elif called := held.get("function_call"):
            found.append(_called(0, None, fields_of(called)))
        return found

    def _rare(self, delta: Fields) -> list[object]:
        found = _signatures(delta)
        for note in listed(delta, "annotations"):
            cited = inside(fields_of(note), "url_citation")
            found += self.source(text(cited, "url"), text(cited, "title"))
        for kind in ("audio", "images"):
            if delta.get(kind):
                self.leave_out(kind)
        return found

    def _cited(self, chunk: Fields) -> list[object]:
        urls = (url for url in listed(chunk, "citations") if isinstance(url, str))
        return [source for url in urls for source in self.source(url, "")]

    def _call(self, item: object) -> ToolCall:
        call = fields_of(item)
        place, call_id = integer(call, "index"), text(call, "id")
        if place is None:  # of a server that sends each call whole
            place = self._last_call + 1 if call_id and self.has_calls else self._last_call
        self.has_calls, self._last_call = True, place
        return _called(place, call_id, inside(call, "function"))


class OpenAIHelper(Protocol):
    """The events of `client.chat.completions.stream()`: one holds the chunk, others repeat it."""

    def __init__(self, chat: OpenAIChat) -> None:
        super().__init__()
        self._chat = chat

    def parts(self, chunk: Fields) -> Iterable[object]:
        """Return the parts of an event."""
        if (raw := chunk.get("chunk")) is None:
            return ()
        return self._chat.parts(fields_of(raw))


def _is_role(chunk: Fields, found: list[object]) -> bool:
    """Tell whether a chunk has a role alone, as a reply's first has.

    A late count or citation may have a role, too, and a citation that is told again is no part.
    """
    if found or chunk.get("usage") or chunk.get("citations"):
        return False
    deltas = (fields_of(choice).get("delta") for choice in listed(chunk, "choices"))
    held = (fields_of(delta) for delta in deltas if delta)
    return any(it.get("role") and not it.get("annotations") for it in held)


def _called(place: int, call_id: str | None, function: Fields) -> ToolCall:
    name, arguments = text(function, "name") or None, text(function, "arguments")
    return ToolCall(place, call_id or None, name, arguments)


def _signatures(delta: Fields) -> list[object]:
    # litellm: what Anthropic's models sign their thinking with, which is in reasoning_content.
    blocks = map(fields_of, listed(delta, "thinking_blocks"))
    signatures = (text(block, "signature") for block in blocks)
    return [Reasoning("", signature) for signature in signatures if signature]


def _usage(usage: Fields) -> Usage:
    before, after = (
        inside(usage, "prompt_tokens_details"),
        inside(usage, "completion_tokens_details"),
    )
    return Usage(
        integer(usage, "prompt_tokens") or 0,
        integer(usage, "completion_tokens") or 0,
        counts(before, cached_tokens="cached_tokens")
        | counts(after, reasoning_tokens="reasoning_tokens"),
    )


def _second_answer() -> UnknownPart:
    return UnknownPart(
        "the source yielded a chunk of a second answer (choices[].index above 0), "
        "and a stream has one: ask for n=1"
    )
