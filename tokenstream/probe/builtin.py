"""What answers where no model is: a script that says that it is one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence

from tokenstream import Finish, Usage

__all__ = ["reply"]

TOKEN_SECONDS = 0.03

ANSWER = """\
You asked: “{question}”

No language model is at work here, so this is not much of an answer: it is the \
built-in script, {turn}. But what carries it is the real thing. Each word leaves the \
server as an event of its own, comes through HTTP, and is on your screen before the \
next one exists.

Try the Stop button while I type: the server hears of it at once and ends the source. \
Say “fail” to see how an error arrives in the middle of a reply, or “long” for one \
that takes a while. 日本語 and 👩‍🚀 arrive whole, too."""


async def reply(messages: Sequence[Mapping[str, str]]) -> AsyncIterator[str | Usage | Finish]:
    """Answer the last of `messages`, a word at a time."""
    question = messages[-1]["content"]
    pieces = _pieces(question, turn=sum(message["role"] == "user" for message in messages))
    for count, piece in enumerate(pieces):
        if question.strip().lower() == "fail" and count == 12:
            raise RuntimeError("asked to fail")
        yield piece
        await asyncio.sleep(TOKEN_SECONDS)
    yield Usage(sum(_count(message["content"]) for message in messages), len(pieces))
    yield Finish("stop")


def _pieces(question: str, turn: int) -> list[str]:
    shown = question if len(question) <= 200 else f"{question[:200]}…"
    text = ANSWER.format(question=shown, turn=f"in turn {turn} of our talk")
    if question.strip().lower() == "long":
        text = "\n\n".join([text] * 10)
    return re.findall(r"\s*\S+", text)


def _count(text: str) -> int:
    return len(text.split())
