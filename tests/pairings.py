"""The ways to run one script: sync or async source and reader, and all in the reader's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tokenstream import Result, TokenStream
from tokenstream.testing import AsyncScriptedSource, ScriptedSource

__all__ = [
    "PAIRINGS",
    "Pairing",
    "aread_all",
    "every_pairing",
    "read_all",
    "result_of",
    "turns",
    "turns_until",
    "until",
]


@dataclass(frozen=True)
class Pairing:
    """A kind of source and a kind of reader."""

    name: str
    source: type[ScriptedSource] | type[AsyncScriptedSource]
    reads_async: bool
    inline: bool = False

    def make(self, *steps: object, wire: Any = "json", **options: Any) -> TokenStream:
        """Return a stream over a script of this kind."""
        if self.inline:
            options["keep_alive"] = None
        return TokenStream(self.source(*steps), wire, **options)

    def read(self, stream: TokenStream) -> bytes:
        """Read all of it."""
        return asyncio.run(aread_all(stream)) if self.reads_async else read_all(stream)


SOURCES = {"sync": ScriptedSource, "async": AsyncScriptedSource}
READERS = {"for": False, "async for": True}

PAIRINGS = [
    Pairing(f"{kind} source, {reader}", source, reads_async)
    for kind, source in SOURCES.items()
    for reader, reads_async in READERS.items()
] + [Pairing("inline", ScriptedSource, False, inline=True)]

every_pairing = pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.name)


def read_all(stream: TokenStream) -> bytes:
    return b"".join(stream)


async def aread_all(stream: TokenStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


def result_of(stream: TokenStream) -> Result:
    assert stream.result is not None
    return stream.result


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does and has no event for."""
    for _ in range(20_000):
        if condition():
            return
        threading.Event().wait(0.0005)
    raise AssertionError("it never came to be")


async def turns(count: int) -> None:
    """Let the loop's other tasks have their steps."""
    for _ in range(count):
        await asyncio.sleep(0)


async def turns_until(condition: Callable[[], object]) -> None:
    """Wait for what another task does and has no event for."""
    for _ in range(200_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to be")
