"""What answers: a script that needs nothing, or a small language model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

Model: TypeAlias = Callable[[list[dict[str, str]]], object]
"""Messages -> a source of tokens, which tokenstream reads."""

SECONDS_A_WORD = 0.04

ANSWER = """\
You said: “{question}”. I am a short script, not a model, but the words come one by one, \
as a model's do: each is on your screen before the next is there. Press Stop while I \
type, and I stop. Start me with ASGI_CHAT_MODEL=smollm2 for a real one."""


def load(name: str) -> Model:
    if name == "scripted":
        return scripted
    if name == "smollm2":
        return smollm2()
    raise SystemExit(f"ASGI_CHAT_MODEL={name!r}: choose scripted or smollm2")


async def scripted(messages: list[dict[str, str]]) -> AsyncIterator[str]:
    answer = ANSWER.format(question=messages[-1]["content"])
    for word in re.findall(r"\s*\S+", answer):
        yield word
        await asyncio.sleep(SECONDS_A_WORD)


def smollm2() -> Model:
    from tokenstream.sources.smollm2 import load as load_smollm2

    llm = load_smollm2()
    return lambda messages: llm.stream(messages, max_new_tokens=256)
