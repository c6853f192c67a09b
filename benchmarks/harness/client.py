"""Reads streams from one other process, so that neither server nor bench pays for it."""

from __future__ import annotations

import atexit
import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .servers import REPOSITORY

__all__ = ["Check", "Reading", "Want", "read", "read_all"]


@dataclass(frozen=True)
class Check:
    """What each stream must hold: a benchmark of a broken stream is worthless.

    needle: bytes that are there once a token. tokens: how often `needle` must be
    found, exactly. terminal: the data of the last event, None where there is none.
    """

    tokens: int
    needle: str = "data:"
    terminal: str | None = "[DONE]"


@dataclass(frozen=True)
class Want:
    """Streams to be read together.

    one_by_one: each is opened when the one before has ended. lags: the server puts
    `@` and `time.monotonic_ns()` into each token: return how late each arrived.
    background: endless streams; they are left when all others have ended.
    method: "GET" or "POST" (with an empty body). accept: the Accept header.
    """

    path: str
    streams: int = 1
    check: Check | None = None
    one_by_one: bool = False
    lags: bool = False
    background: bool = False
    method: str = "GET"
    accept: str = "*/*"


@dataclass(frozen=True)
class Reading:
    """What a `Want` gave.

    bytes: on the wire, head and chunk lines included. body: without them. events:
    with data; comments are none. wall: seconds from the first connect to the last
    end. first_byte: seconds from a request's sending to the body's first byte, one
    a stream. lags: seconds from a token's making to its arrival, one a token.
    """

    bytes: int
    body: int
    events: int
    wall: float
    first_byte: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)


def read(port: int, path: str, streams: int = 1, *, check: Check | None, **options: Any) -> Reading:
    """Open so many requests at once and read each to its end; see `Want` for the options.

    Raises `RuntimeError` where a stream is not whole: status, length, tokens, terminal.
    """
    return read_all(port, [Want(path, streams, check, **options)])[0]


def read_all(port: int, wants: Sequence[Want]) -> list[Reading]:
    """Do it for several kinds of streams at the same time, all in one other process."""
    answer = _reader().ask({"port": port, "wants": [asdict(want) for want in wants]})
    return [Reading(**reading) for reading in answer]


class _Reader:
    """The other process. It is kept: its start would cost more than what is read."""

    def __init__(self) -> None:
        # Its errors go where ours go.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )

    def ask(self, asked: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the reader's process ended"}
        if "error" in answer:
            raise RuntimeError(f"reading {asked} failed: {answer['error']}")
        return answer["readings"]

    def close(self) -> None:
        # It ends with its input.
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@functools.cache
def _reader() -> _Reader:
    reader = _Reader()
    atexit.register(reader.close)
    return reader
