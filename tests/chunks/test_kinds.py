"""Told from each other: no two protocols' chunks look alike."""

from __future__ import annotations

import pytest

from tokenstream.chunks.anthropic import Anthropic
from tokenstream.chunks.google import Google
from tokenstream.chunks.kinds import kind_of
from tokenstream.chunks.ollama import Ollama
from tokenstream.chunks.openai_chat import OpenAIChat
from tokenstream.chunks.openai_responses import OpenAIResponses

from .scripts import ANTHROPIC, CHAT, COMPLETIONS, GENERATE, GOOGLE, OLLAMA, RESPONSES


@pytest.mark.parametrize(
    "script, kind",
    [
        (CHAT, OpenAIChat),
        (COMPLETIONS, OpenAIChat),
        (RESPONSES, OpenAIResponses),
        (ANTHROPIC, Anthropic),
        (GOOGLE, Google),
        (OLLAMA, Ollama),
        (GENERATE, Ollama),
    ],
)
def test_each_chunk_is_told(script, kind):
    assert {kind_of(chunk) for chunk in script} == {kind}


@pytest.mark.parametrize(
    "chunk", [{}, {"type": "text", "text": "a"}, {"type": ["ping"]}, {"done": True}, {"text": "a"}]
)
def test_others_are_not(chunk):
    assert kind_of(chunk) is None
