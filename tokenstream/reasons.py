"""Why a model stopped, in each protocol's words: the one table, read in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .parts import FinishReason

__all__ = ["REASONS", "reason_from", "reason_in"]

REASONS: Mapping[str, Mapping[FinishReason, str]] = MappingProxyType(
    {
        "openai-chat": {
            "stop": "stop",
            "length": "length",
            "tool_calls": "tool_calls",
            "content_filter": "content_filter",
        },
        "openai-completions": {
            "stop": "stop",
            "length": "length",
            "tool_calls": "stop",  # it has no calls
            "content_filter": "content_filter",
        },
        "anthropic": {
            "stop": "end_turn",
            "length": "max_tokens",
            "tool_calls": "tool_use",
            "content_filter": "refusal",
        },
        "ai-sdk": {
            "stop": "stop",
            "length": "length",
            "tool_calls": "tool-calls",
            "content_filter": "content-filter",
        },
    }
)
"""By protocol: what each of our reasons is called there. Where there is no line, as on AG-UI,
the protocol has no words of its own."""

# What a protocol says in several words, or by a word that is also another's.
_MORE: Mapping[str, FinishReason] = {
    "stop": "stop",
    "function_call": "tool_calls",  # OpenAI's, before there were tools
    "stop_sequence": "stop",
    "tool_call": "tool_calls",  # Pydantic AI
    "pause_turn": "stop",
    "model_context_window_exceeded": "length",
    "max_output_tokens": "length",  # OpenAI's Responses
    "eos": "stop",
    "eos_token": "stop",
    "load": "stop",  # Ollama
    "unload": "stop",
    "safety": "content_filter",  # Gemini's, from here on
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "image_safety": "content_filter",
    "image_prohibited_content": "content_filter",
    "language": "content_filter",
    "model_armor": "content_filter",
}

_FROM: Mapping[str, FinishReason] = {
    **{word: reason for words in REASONS.values() for reason, word in words.items()},
    **_MORE,
}


def reason_in(protocol: str, reason: FinishReason) -> str:
    """Return what `protocol` calls a reason."""
    return REASONS[protocol][reason]


def reason_from(word: str) -> FinishReason | None:
    """Return the reason that a protocol's word stands for, None for one that nobody knows.

    A word of any protocol, in any case: no two protocols mean different things by one.
    """
    return _FROM.get(word.lower())
