"""The sources that all contenders stream, and what a request asks of them.

/hot           tokens that are ready at once: ?tokens=50000
/paced         a token every so many ms, each with the time of its making: ?tokens=100&ms=20
/sync-hot, /sync-paced   the same from a sync generator
/endless       tokens that are ready at once, for ever
/chat          as /hot, in chunks of OpenAI's Chat Completions, where the app knows them
/lambda-hot, /lambda-paced   as without "lambda-", for apps to which that is a difference
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from itertools import cycle, islice
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

__all__ = ["Ask", "ask_of", "source"]

# What a model's tokens look like: short, most with a space before them.
SENTENCE = (
    "The quick brown fox jumps over the lazy dog, again and again, until it has had enough. "
    "Then it sleeps in the shade of an old tree."
)
WORDS = tuple(re.findall(r" ?\w{1,5}|\W", SENTENCE))


class Ask(NamedTuple):
    """What a request asks for."""

    kind: str
    tokens: int
    seconds: float


def ask_of(path: str, query: str) -> Ask:
    """Read it from the URL."""
    asked = dict(parse_qsl(query))
    return Ask(path.strip("/"), int(asked.get("tokens", 1)), float(asked.get("ms", 0)) / 1000)


def ask_of_scope(scope: Any) -> Ask:
    """Read it from an ASGI scope."""
    return ask_of(scope["path"], scope["query_string"].decode())


def source(ask: Ask) -> Any:
    """Return the source: an async or a sync generator of text."""
    match ask.kind:
        case "hot" | "chat" | "lambda-hot":
            return hot(ask.tokens)
        case "paced" | "lambda-paced":
            return paced(ask.tokens, ask.seconds)
        case "sync-hot":
            return sync_hot(ask.tokens)
        case "sync-paced":
            return sync_paced(ask.tokens, ask.seconds)
        case "endless":
            return endless()
    raise ValueError(f"/{ask.kind} is none of the benchmark's sources")


async def hot(tokens: int) -> AsyncIterator[str]:
    for token in islice(cycle(WORDS), tokens):
        yield token


async def endless() -> AsyncIterator[str]:
    for token in cycle(WORDS):
        yield token


async def paced(tokens: int, seconds: float) -> AsyncIterator[str]:
    for _ in range(tokens):
        await asyncio.sleep(seconds)
        yield f" @{time.monotonic_ns()}"


def sync_hot(tokens: int) -> Iterator[str]:
    yield from islice(cycle(WORDS), tokens)


def sync_paced(tokens: int, seconds: float) -> Iterator[str]:
    for _ in range(tokens):
        time.sleep(seconds)
        yield f" @{time.monotonic_ns()}"
