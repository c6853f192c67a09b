"""What the apps serve, and what the tests are told of it.

A source belongs to a run, which a test names in its URLs: so any number of
tests share one server, and none sees another's sources. What became of a run
is told at a port of its own: a server that answers one request at a time is
asked while it streams, and one that is to end has nothing else open.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, islice, repeat
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tokenstream import Data, Result, Wire, signals
from tokenstream.errors import UpstreamError
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource, forever, pause
from tokenstream.wires import ChatRequest, Encoder

__all__ = [
    "BROKEN",
    "INLINE",
    "KEPT",
    "MODELS",
    "QUIET",
    "TIMED",
    "Busy",
    "Run",
    "aecho",
    "answer_of",
    "echo",
    "run_of",
]

ENDS = os.environ.get("ENDS")
"""The file that tells of ends when the process, and with it the control port, is gone."""

KEEP_ALIVE = 0.1
"""Seconds, of the views that are kept alive: the unit in which a server hears of a leaving reader
that it can't see."""

CLEAN_UP_SECONDS = 0.05


def note(*words: object) -> None:
    """Write a line in one piece: several threads write."""
    if ENDS:
        with open(ENDS, "a", encoding="utf-8") as file:
            file.write(" ".join(map(str, words)) + "\n")


def finished(result: Result) -> None:
    """Note it in the run; `on_finish` is called in the context of its source."""
    note("finished", result.outcome)
    _run.get().results.append(result)


# No keep-alive may help out a stream that is held back, nor the end of `prime` one that waits.
QUIET: dict[str, Any] = {"keep_alive": 120.0, "prime": 120.0, "on_finish": finished}
KEPT: dict[str, Any] = {"keep_alive": KEEP_ALIVE, "prime": KEEP_ALIVE}
INLINE: dict[str, Any] = {"keep_alive": None}
TIMED: dict[str, Any] = {**QUIET, "send_timeout": 1.0}

MEGABYTE = "x" * 1_000_000


class Secret(LookupError):
    """What no reader may see anything of."""


def fail(*_: object) -> Any:
    raise Secret("canary")


class BrokenEncoder(Encoder):
    """Raises at the token "break", and at the end after "break-end"."""

    _breaks = False

    def text(self, text: str) -> bytes:
        self._breaks = text == "break-end"
        return fail() if text == "break" else b"data: %s\n\n" % text.encode()

    def done(self) -> bytes:
        return fail() if self._breaks else super().done()

    def error(self, message: str) -> bytes:
        return b"event: error\ndata: %s\n\n" % message.encode()


class BrokenWire(Wire):
    name = "broken"

    def begin(self) -> Encoder:
        return BrokenEncoder()


BROKEN: dict[str, Any] = {**QUIET, "wire": BrokenWire(), "on_finish": fail, "on_error": fail}


def fails_at_its_end() -> Iterator[object]:
    try:
        yield "t0"
    finally:
        fail()


class Source(ScriptedSource):
    """A sync source. cut_at: when it was closed before its end, by the clock of all processes."""

    cut_at: float | None = None
    over = False

    def __iter__(self) -> Iterator[object]:
        try:
            yield from super().__iter__()
        except GeneratorExit:
            self.cut_at = time.monotonic()
            raise
        finally:
            self.over = True


class AsyncSource(AsyncScriptedSource):
    """An async source; closed before its end it has a clean-up, which must not be cut short."""

    cut_at: float | None = None
    over = False

    async def __aiter__(self) -> AsyncIterator[object]:
        try:
            async with aclosing(super().__aiter__()) as parts:
                async for part in parts:
                    yield part
        except (GeneratorExit, asyncio.CancelledError):
            self.cut_at = time.monotonic()
            raise
        finally:
            if self.cut_at is not None:
                await asyncio.sleep(CLEAN_UP_SECONDS)
            self.over = True


KINDS = {"sync": Source, "async": AsyncSource}


class Busy(Exception):
    """What each app answers with 503."""


def talking() -> Iterator[object]:
    """Yield ten tokens a second."""
    for number in count():
        yield f"t{number}"
        yield pause(0.1)


def endless() -> Iterator[object]:
    """Yield a token; each later one takes a permit."""
    for number in count():
        yield f"t{number}"
        yield WAIT


def flood() -> Iterator[object]:
    """Yield more than any server holds, but daphne, which takes all; then one at a time."""
    yield from islice(forever("x" * (1 << 18)), 256)
    yield from endless()


REFUSED = UpstreamError("canary", status=429, retry_after="7", public="overloaded")

SCRIPTS: Mapping[str, Any] = {
    "one": lambda: iter(["t0"]),
    "five": lambda: islice(endless(), 9),
    "endless": endless,
    "talking": talking,
    "late": lambda: iter([WAIT, "t0"]),
    "hot": lambda: forever("t"),
    "flood": flood,
    "megabytes": lambda: repeat(MEGABYTE, 300),
    "five-megabytes": lambda: iter([5 * MEGABYTE]),
    "long": lambda: (chr(ord("a") + n) * len(MEGABYTE) for n in range(26)),
    "fails-before": lambda: iter([LookupError("secret")]),
    "busy-before": lambda: iter([Busy("come back")]),
    "fails-after": lambda: iter(["t0", LookupError("secret")]),
    "refused": lambda: iter([REFUSED]),
    "secret-before": lambda: iter([Secret("canary")]),
    "secret-after": lambda: iter(["t0", Secret("canary")]),
    "secret-at-its-end": fails_at_its_end,
    "not-encoded": lambda: iter(["t0", Data("canary", Secret)]),
    "two": lambda: iter(["t0", "t1"]),
    "not-framed": lambda: iter(["t0", "t1", "break"]),
    "not-framed-at-first": lambda: iter(["break"]),
    "not-framed-at-its-end": lambda: iter(["t0", "break-end"]),
}


def noted(source: ScriptedSource) -> Iterator[object]:
    """Yield what it yields, and note that it was closed."""
    try:
        yield from source
    finally:
        note("closed")


async def anoted(source: AsyncScriptedSource) -> AsyncIterator[object]:
    """Yield what it yields, and note that it was closed, with a clean-up that awaits."""
    parts = aiter(source)
    try:
        async for part in parts:
            yield part
    finally:
        await asyncio.sleep(0.01)
        await parts.aclose()
        note("closed")


class Run:
    """The sources that one test has asked for. called: views that were called."""

    def __init__(self) -> None:
        self.called = 0
        self.results: list[Result] = []
        self._sources: list[Source | AsyncSource] = []

    def source(self, kind: str, script: str) -> Any:
        """Return a new source."""
        source = KINDS[kind](script=SCRIPTS[script]())
        self._sources.append(source)
        if not ENDS:
            return source
        return noted(source) if isinstance(source, ScriptedSource) else anoted(source)

    def release(self) -> None:
        """Give each source a permit."""
        for source in self._sources:
            source.release()

    def state(self) -> dict[str, Any]:
        """Return what `/state` tells."""
        return {
            "called": self.called,
            "started": sum(source.started.is_set() for source in self._sources),
            "closed": sum(source.over for source in self._sources),
            "cut_at": [it.cut_at for it in self._sources if it.cut_at is not None],
            "yielded": sum(source.yielded for source in self._sources),
            "threads": sorted(set().union(*(source.threads for source in self._sources))),
        }

    def told(self) -> list[dict[str, Any]]:
        """Return what `/results` tells: of each result what does not grow with the stream."""
        names = ("outcome", "parts", "bytes_sent")
        peak = {"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
        return [{name: getattr(it, name) for name in names} | peak for it in self.results]


_run: ContextVar[Run] = ContextVar("_run")
_runs: defaultdict[str, Run] = defaultdict(Run)


def run_of(query: Mapping[str, str]) -> Run:
    """Return the run that a request names."""
    run = _runs[query["run"]]
    _run.set(run)
    return run


def signals_state() -> dict[str, int]:
    """Return whether `drain_on_signal` is the first to hear a signal, and has heard one."""
    return {
        "pid": os.getpid(),
        "held": all(hold.is_first() for hold in signals._holds),
        "told": any(hold.is_told for hold in signals._holds),
    }


MODELS = ("async/two", "sync/two")


def answer_of(query: Mapping[str, str], ask: ChatRequest) -> Any:
    """Return the source that a chat's model names, as in `async/two`."""
    kind, _, script = (ask.model or "").partition("/")
    return run_of(query).source(kind, script)


def echo(body: bytes) -> Iterator[str]:
    """Yield a body's words."""
    yield from body.decode().split()


async def aecho(body: bytes) -> AsyncIterator[str]:
    """Yield a body's words."""
    for word in body.decode().split():
        yield word


class Control(BaseHTTPRequestHandler):
    """Of the run that the query names `POST /release`, `GET /state` and `/results`; `/signals`."""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        run = run_of(dict(parse_qsl(asked.query)))
        if asked.path == "/release":
            run.release()
        told: object = run.state()
        if asked.path == "/results":
            told = run.told()
        elif asked.path == "/signals":
            told = signals_state()
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class ControlServer(ThreadingHTTPServer):
    daemon_threads = True


if port := os.environ.get("CONTROL_PORT"):
    server = ControlServer(("127.0.0.1", int(port)), Control)
    threading.Thread(target=server.serve_forever, daemon=True).start()
