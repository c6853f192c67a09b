"""Which protocol a chunk is of, by what it holds: SDKs and plain JSON have the same names."""

from __future__ import annotations

from .anthropic import Anthropic
from .fields import Fields
from .google import Google
from .langchain import LangChain
from .ollama import Ollama
from .openai_chat import OpenAIChat, OpenAIHelper
from .openai_responses import OpenAIResponses
from .protocol import Protocol
from .pydantic_ai import PydanticAI

__all__ = ["kind_of"]

_BY_FIELD: tuple[tuple[str, type[Protocol]], ...] = (
    ("choices", OpenAIChat),
    ("candidates", Google),
    ("event_kind", PydanticAI),
    ("response_metadata", LangChain),
    ("usageMetadata", Google),
    ("promptFeedback", Google),
)

_ANTHROPIC = {
    "message_start",
    "message_delta",
    "message_stop",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "ping",
    "signature",
    "compaction",
}

_REPEATS = {"text", "thinking", "citation", "input_json"}
"""Anthropic's helper: told from a plain block of text by their `snapshot`."""

_OPENAI_HELPER = ("chunk", "content.", "refusal.", "logprobs.", "tool_calls.function.")


def kind_of(chunk: Fields) -> type[Protocol] | None:
    """Return the protocol of a chunk, None for what is no chunk that is known."""
    for name, protocol in _BY_FIELD:
        if name in chunk:
            return protocol
    if isinstance(kind := chunk.get("type"), str):
        return _by_type(kind, chunk)
    if "done" in chunk and ("message" in chunk or "response" in chunk):
        return Ollama
    return None


def _by_type(kind: str, chunk: Fields) -> type[Protocol] | None:
    if kind in _ANTHROPIC or (kind in _REPEATS and "snapshot" in chunk):
        return Anthropic
    if kind.startswith("response.") or (kind == "error" and "message" in chunk):
        return OpenAIResponses
    if kind.startswith(_OPENAI_HELPER):
        return OpenAIHelper
    return None
